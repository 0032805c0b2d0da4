package plan

import (
	"fmt"

	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
)

// judgeBridge finds what is wrong between a Linux bridge and its uplinks.
func (w *walker) judgeBridge(s *Segment) {
	if s.Missing {
		w.find(finding.BridgeMissing, missingRemedy(s), "%s", s.Why)
		return
	}
	if s.BridgeMTU == 0 {
		w.find(finding.NotKnown, "", "%s", s.Why)
		return
	}
	bridge, _ := w.Topology.link(s.Bridge)
	for _, u := range s.Uplinks {
		if u.MTU != 0 && u.MTU < s.BridgeMTU {
			w.find(finding.BridgeAboveUplink, w.aboveRemedy(bridge, u), "bridge %s has %d, but its uplink %s %d: what is larger vanishes there", s.Bridge, s.BridgeMTU, u.Name, u.MTU)
			break
		}
	}
	if s.belowUplinks() {
		w.find(finding.BridgeBelowUplink, w.belowRemedy(bridge, s), "%s: its taps and the host's own address get less than the wire carries", s.held())
	}
	w.judgeUplinks("bridge "+s.Bridge, s.Uplinks)
}

// missingRemedy is for a bridge that is not there.
func missingRemedy(s *Segment) string {
	if s.OVS {
		return fmt.Sprintf("ovs-vsctl add-br %s # or put right what the domain names: virsh edit", Quoted(s.Bridge))
	}
	return fmt.Sprintf("ip link add name %s type bridge # or put right what the domain names: virsh edit", Quoted(s.Bridge))
}

// judgeUplinks: where the uplinks of one bridge disagree, its segment has two sizes.
// Veths are passed over: they mostly lead to stations, each with an MTU of its own.
func (w *walker) judgeUplinks(where string, up []Uplink) {
	var known []Uplink
	for _, u := range up {
		if l, _ := w.Topology.link(u.Name); u.Certainty == Known && l.Kind != "veth" {
			known = append(known, u)
		}
	}
	if len(known) < 2 {
		return
	}
	low, high := known[0], known[0]
	for _, u := range known {
		if u.Carry.MTU < low.Carry.MTU {
			low = u
		}
		if u.Carry.MTU > high.Carry.MTU {
			high = u
		}
	}
	if low.Carry.MTU == high.Carry.MTU {
		return
	}
	remedy := ""
	if raise := w.raise(low.Name, high.Carry.MTU); raise != "" {
		remedy = "# raise it, where its wire carries that too:\n" + raise
	}
	w.find(finding.PeerMismatch, remedy, "the uplinks of %s disagree: %s carries %d and %s %d; a segment has to have one MTU", where, low.Name, low.Carry.MTU, high.Name, high.Carry.MTU)
}

// aboveRemedy is for a bridge above an uplink.
func (w *walker) aboveRemedy(bridge host.Link, u Uplink) string {
	return instead("# raise the uplink, where its wire carries that:\n"+w.raise(u.Name, bridge.MTU),
		"lower the bridge, after its guests and taps", w.set(bridge, u.MTU))
}

// belowRemedy is for a bridge below its uplinks.
func (w *walker) belowRemedy(bridge host.Link, s *Segment) string {
	set := w.set(bridge, s.Wire.MTU)
	if p, ok := w.Topology.link(s.Holder); ok {
		return "# raise the port that drags it:\n" + w.set(p, s.Wire.MTU) + "\n# where the bridge still stands below it is pinned:\n" + set
	}
	return set
}

// judgeOVS finds what is wrong between the internal port of an Open vSwitch bridge
// that a NIC is on, and its own uplinks. Behind patch ports and tunnels it means
// nothing: there Open vSwitch sets it to what its other ports happen to have.
func (w *walker) judgeOVS(name string, up *ovsUplinks) {
	var wires []Uplink // each network has its own kind of tunnel
	for _, u := range up.direct {
		if w.plugs[u.Name].Tunnel == nil {
			wires = append(wires, u)
		}
	}
	w.judgeUplinks(name, wires)
	p, ok := w.plugs[name]
	if !ok || p.MTU == 0 || len(up.patched) > 0 || len(wires) < len(up.direct) {
		return
	}
	s := Segment{Uplinks: wires}
	least, wired := s.minUplink()
	remedy := setPort(name, least.Carry.MTU)
	switch {
	case !wired:
	case p.MTU > least.Carry.MTU:
		w.find(finding.BridgeAboveUplink, remedy, "the internal port of %s has %d, but its uplink %s %s: what the host itself sends beyond that vanishes there", name, p.MTU, least.Name, least.says())
	case p.MTU < least.Carry.MTU:
		w.find(finding.BridgeBelowUplink, remedy, "the internal port of %s has %d, its uplinks carry %d: libvirt gives a tap without <mtu> the smaller number", name, p.MTU, least.Carry.MTU)
	}
}

// entry is a port by which a path enters a bridge of Open vSwitch, and what is behind.
type entry struct {
	port   string
	bridge string
	behind Carry
}

// limits finds where such a port silently limits a guest that works with an MTU: the
// switch drops what is larger than the port it leaves by.
func (e *entry) limits(t *Topology, guest int) []finding.Finding {
	p, plugged := t.plugs[e.port]
	l, _ := t.link(e.port)
	has, want, carries := l.MTU, guest, ""
	if plugged {
		has = p.MTU
	}
	if e.behind.MTU != 0 {
		want, carries = min(guest, e.behind.MTU), fmt.Sprintf(" and the uplinks carry %d", e.behind.MTU)
	}
	if has == 0 || has >= want {
		return nil
	}
	counted := ""
	if plugged && p.TxErrors > 0 {
		counted = fmt.Sprintf(" (tx_errors %d)", p.TxErrors)
	}
	return []finding.Finding{finding.New(finding.OVSPortLimits,
		fmt.Sprintf("port %s of %s has %d, where the guest has %d%s: larger packets to the guest vanish there%s", e.port, e.bridge, has, guest, carries, counted),
		setPort(e.port, want))}
}
