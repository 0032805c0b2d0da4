package plan

import (
	"fmt"

	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
)

// judgeBridge finds what is wrong between a Linux bridge and its uplinks.
func (w *walker) judgeBridge(s *Segment) {
	if s.Missing {
		w.find(finding.BridgeMissing, "", "%s", s.Why)
		return
	}
	if s.BridgeMTU == 0 {
		w.find(finding.NotKnown, "", "%s", s.Why)
		return
	}
	bridge, _ := w.Topology.link(s.Bridge)
	least, wired := s.minUplink()
	for _, u := range s.Uplinks {
		if u.MTU != 0 && u.MTU < s.BridgeMTU {
			w.find(finding.BridgeAboveUplink, w.aboveRemedy(bridge, u), "bridge %s has %d, but its uplink %s %d: what is larger vanishes there", s.Bridge, s.BridgeMTU, u.Name, u.MTU)
			break
		}
	}
	if wired && s.belowUplinks() {
		w.find(finding.BridgeBelowUplink, w.belowRemedy(bridge, s, least), "%s: its taps and the host's own address get less than the wire carries", s.held())
	}
	w.judgeUplinks("bridge "+s.Bridge, s.Uplinks)
}

// judgeUplinks: where the uplinks of one bridge disagree, its segment has two sizes.
func (w *walker) judgeUplinks(where string, up []Uplink) {
	low, high := Uplink{}, Uplink{}
	for _, u := range up {
		if u.Certainty != Known {
			continue
		}
		if low.Carry.MTU == 0 || u.Carry.MTU < low.Carry.MTU {
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
	if l, ok := w.Topology.link(low.Name); ok && l.MTU == low.Carry.MTU {
		remedy = "# raise it, where its wire carries that too:\n" + setLink(l, high.Carry.MTU)
	}
	w.find(finding.PeerMismatch, remedy, "the uplinks of %s disagree: %s carries %d and %s %d; a segment has to have one MTU", where, low.Name, low.Carry.MTU, high.Name, high.Carry.MTU)
}

// aboveRemedy is for a bridge above an uplink.
func (w *walker) aboveRemedy(bridge host.Link, u Uplink) string {
	l, _ := w.Topology.link(u.Name)
	return "# either raise the uplink, where its wire carries that:\n" + setLink(l, bridge.MTU) +
		"\n# or lower the bridge, after its guests and taps:\n" + setLink(bridge, u.MTU)
}

// belowRemedy is for a bridge below its uplinks.
func (w *walker) belowRemedy(bridge host.Link, s *Segment, least Uplink) string {
	if p, ok := w.Topology.link(s.Holder); ok {
		return fmt.Sprintf("# raise the port that drags it:\nip link set dev %s mtu %d\n# and where it still stands below, it is pinned:\n%s", ShellWord(p.Name), least.Carry.MTU, setLink(bridge, least.Carry.MTU))
	}
	return setLink(bridge, least.Carry.MTU)
}

// judgeOVS finds what is wrong between the internal port of an Open vSwitch bridge
// that a NIC is on, and its own uplinks. Behind patch ports and tunnels it means
// nothing: there Open vSwitch sets it to what its other ports happen to have.
func (w *walker) judgeOVS(name string, up *ovsUplinks) {
	w.judgeUplinks(name, up.direct)
	p, ok := w.plugs[name]
	if !ok || p.MTU == 0 || len(up.patched) > 0 {
		return
	}
	for _, u := range up.direct {
		if w.plugs[u.Name].Tunnel != nil || u.Certainty != Known {
			return
		}
	}
	s := Segment{Uplinks: up.direct}
	least, wired := s.minUplink()
	remedy := fmt.Sprintf("ovs-vsctl set interface %s mtu_request=%d", ShellWord(name), least.Carry.MTU)
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
	p, ok := t.plugs[e.port]
	want := min(guest, e.behind.MTU)
	if !ok || p.MTU == 0 || p.MTU >= want {
		return nil
	}
	counted := ""
	if p.TxErrors > 0 {
		counted = fmt.Sprintf(" (tx_errors %d)", p.TxErrors)
	}
	remedy := fmt.Sprintf("ovs-vsctl set interface %s mtu_request=%d", ShellWord(e.port), want)
	return []finding.Finding{finding.New(finding.OVSPortLimits, fmt.Sprintf("port %s of %s has %d, where the guest has %d and the uplinks carry %d: larger packets to the guest vanish there%s", e.port, e.bridge, p.MTU, guest, e.behind.MTU, counted), remedy)}
}
