package plan

import (
	"fmt"
	"strings"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/nicmodel"
	"virt-mtu/internal/policy"
)

// networkNIC is a NIC on a libvirt network, as far as its segment goes.
func networkNIC(name string) domxml.NIC { return domxml.NIC{Type: "network", Network: name} }

// Move judges whether a domain could run on another host and its large packets would
// get through there: of MTUs by the same rule as the hook's there at migrate, and
// whether what its NICs name is there at all. XML is the running domain's; of one that
// does not run the definition; host is what the other is called.
func Move(domain domxml.Domain, to *Topology, host string, c policy.Config) ([]finding.Finding, error) {
	// Where libvirt has resolved a network to a bridge of the one host, the other's
	// own network of that name counts.
	var nics []domxml.NIC
	var out []finding.Finding
	for _, n := range domain.NICs {
		if n.Network != "" {
			n.Type, n.Bridge = "network", ""
		}
		if lacks := to.lacks(n); len(lacks) > 0 {
			out = append(out, lacks...)
			continue
		}
		nics = append(nics, n)
	}
	domain.NICs = nics
	p, err := Make(Input{Domain: domain, Host: to, Config: c, Mode: Upward})
	if err != nil {
		return nil, err
	}
	for _, a := range p.Arrivals(host) {
		if a.Reason != "" {
			out = append(out, finding.New(a.Code, "NIC "+a.NIC.MAC+": "+a.Reason, to.letIn(&a)))
		}
	}
	for _, n := range p.NICs {
		if limit, _ := n.Segment.limit(); n.XML.MTU == 0 && limit.MTU != 0 && limit.MTU < nicmodel.Standard {
			out = append(out, finding.New(finding.GuestNotTold, fmt.Sprintf("NIC %s: nobody tells the guest that %s on %s", n.XML.MAC, limit.Why, host), ""))
		}
	}
	return out, nil
}

// letIn is what to do on the destination so that it carries the guest's MTU.
func (t *Topology) letIn(a *Arrival) string {
	s, want := &a.segment, a.NIC.MTU
	bridge, _ := t.link(s.Bridge)
	switch a.Code {
	case finding.BridgeBelowUplink:
		return t.set(bridge, want)
	case finding.GuestAboveBridge:
		if s.BridgeMTU != 0 && len(s.Uplinks) == 0 {
			return t.set(bridge, want)
		}
	case finding.GuestAboveSegment:
		var lines []string
		for _, u := range s.Uplinks {
			if u.Carry.MTU != 0 && u.Carry.MTU < want && !u.Maybe {
				lines = append(lines, t.raise(u.Name, want))
			}
		}
		if raise := join("\n", lines...); raise != "" {
			return "# where every switch on the way carries that:\n" + raise
		}
	}
	return ""
}

// lacks says what a NIC names and this host does not have. Where not all could be read
// of the host, a network may be there all the same.
func (t *Topology) lacks(n domxml.NIC) []finding.Finding {
	missing := func(remedy, format string, a ...any) []finding.Finding {
		return []finding.Finding{finding.New(finding.BridgeMissing, fmt.Sprintf("NIC %s: %s", n.MAC, fmt.Sprintf(format, a...)), remedy)}
	}
	network, known := t.network(n.Network)
	switch {
	case n.Type == "network" && !known && t.host.Networks != nil && len(t.host.Unread) == 0:
		return missing("", "there is no network %q", n.Network)
	case n.Type == "network" && network.Inactive:
		return missing("virsh net-start "+ShellWord(n.Network), "network %q is not active", n.Network)
	case n.Type == "direct" && n.Dev != "" && t.host.Links != nil:
		if _, ok := t.link(n.Dev); !ok {
			return missing("", "there is no link %q", n.Dev)
		}
	}
	if s := t.Segment(n); s.Missing {
		return missing(missingRemedy(&s), "%s", strings.TrimSuffix(s.Why, " here"))
	}
	return nil
}
