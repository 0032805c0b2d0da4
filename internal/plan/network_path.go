package plan

import (
	"fmt"

	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
	"virt-mtu/internal/nicmodel"
)

// judgeNetwork compares what a libvirt network that runs says of its MTU in each place:
// its definition, its <mtu>, its bridge, its DHCP server and its router advertisements.
func (t *Topology) judgeNetwork(n host.Network) []finding.Finding {
	t.mu.Lock()
	t.judged[n.Name] = true
	t.mu.Unlock()
	if n.Inactive || !takesMTU[n.Forward] {
		return nil
	}
	var out []finding.Finding
	find := func(code finding.Code, remedy, format string, a ...any) {
		out = append(out, finding.New(code, fmt.Sprintf(format, a...), remedy))
	}
	name := ShellWord(n.Name)
	anew := fmt.Sprintf("# takes running guests off the network until they are started anew:\nvirsh net-destroy %s && virsh net-start %s", name, name)
	wants := n.MTU
	if n.Redefined {
		tells := ""
		if n.DHCP {
			tells = fmt.Sprintf(", and its DHCP server tells %s", orNoMTU(n.DHCPMTU))
		}
		find(finding.NeedsColdStart, anew, "the definition of network %s has %s, but it runs with %s%s", n.Name, mtuText(n.DefinedMTU), mtuText(n.MTU), tells)
		if n.DefinedMTU != 0 {
			wants = n.DefinedMTU
		}
	}
	bridge, _ := t.link(n.Bridge)
	if bridge.Kind != "bridge" || bridge.MTU == 0 {
		return out
	}
	fix := fmt.Sprintf("virt-mtu fix --network %s", Quoted(n.Name))
	switch {
	case wants != 0 && bridge.MTU < wants:
		find(finding.BridgeBelowUplink, fmt.Sprintf("%s --mtu %d", fix, wants), "network %s has %d, but its bridge %s only %d", n.Name, wants, n.Bridge, bridge.MTU)
	case wants != 0 && bridge.MTU > wants:
		find(finding.PeerMismatch, fmt.Sprintf("%s --mtu %d --lower", fix, wants), "network %s has %d, but its bridge %s %d: what the host sends may be too large for its guests", n.Name, wants, n.Bridge, bridge.MTU)
	}
	if wants == 0 {
		wants = bridge.MTU
	}
	asStarted := n.Redefined && n.DHCPMTU == n.MTU // said above
	if n.DHCP && effective(n.DHCPMTU) != wants && !asStarted {
		remedy := fix + " # then, for DHCP:\n" + anew
		if n.DHCPMTU != n.MTU {
			remedy = fmt.Sprintf("virsh net-edit %s # its dnsmasq has a dhcp-option for 26 of its own: take it out\n%s", name, anew)
		}
		find(finding.PeerMismatch, remedy, "the DHCP server of network %s tells %s (option 26), but %d is what is carried there", n.Name, orNoMTU(n.DHCPMTU), wants)
	}
	if n.RouterMTU != 0 && n.RouterMTU != wants {
		find(finding.PeerMismatch, fmt.Sprintf("virsh net-edit %s # its dnsmasq has a ra-param with that number: without one it says what the bridge has\n%s", name, anew),
			"router advertisements on network %s say %d, but %d is what is carried there", n.Name, n.RouterMTU, wants)
	}
	return out
}

func orNoMTU(mtu int) string {
	if mtu == 0 {
		return fmt.Sprintf("no MTU, which is %d", nicmodel.Standard)
	}
	return fmt.Sprint(mtu)
}

// unjudged are the networks that no NIC's path has come by.
func (t *Topology) unjudged() []host.Network {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []host.Network
	for _, n := range t.host.Networks {
		if !t.judged[n.Name] {
			out = append(out, n)
		}
	}
	return out
}
