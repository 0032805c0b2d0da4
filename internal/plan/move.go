package plan

import (
	"virt-mtu/internal/domxml"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/policy"
)

// networkNIC is a NIC on a libvirt network, as far as its segment goes.
func (t *Topology) networkNIC(name string) domxml.NIC {
	return domxml.NIC{Type: "network", Network: name}
}

// Move judges whether a domain's large packets would get through on another host: the
// findings are by the same rule as the hook's there at migrate. XML is the running
// domain's; of one that does not run the definition.
func Move(domain domxml.Domain, to *Topology, c policy.Config) ([]finding.Finding, error) {
	// Where libvirt has resolved a network to a bridge of the one host, the other's
	// own network of that name counts.
	nics := make([]domxml.NIC, len(domain.NICs))
	for i, n := range domain.NICs {
		if n.Network != "" {
			n.Type, n.Bridge = "network", ""
		}
		nics[i] = n
	}
	domain.NICs = nics
	p, err := Make(Input{Domain: domain, Host: to, Config: c, Mode: Upward})
	if err != nil {
		return nil, err
	}
	var out []finding.Finding
	for _, a := range p.Arrivals() {
		if a.Reason != "" {
			out = append(out, finding.New(a.Code, "NIC "+a.NIC.MAC+": "+a.Reason, ""))
		}
	}
	return out, nil
}
