package plan

import (
	"fmt"
	"slices"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
	"virt-mtu/internal/nicmodel"
)

// Segment is the layer-2 segment that a NIC is on.
type Segment struct {
	// Bridge that the NIC's tap is a port of; empty where none is known. BridgeMTU
	// is 0 where it is not a Linux bridge of this host.
	Bridge    string
	BridgeMTU int
	// OVS: it is a bridge of Open vSwitch.
	OVS bool
	// Missing: there is no such bridge here, or its network does not run.
	Missing bool
	// Uplinks of the bridge, and what they carry; with none the segment ends at the
	// bridge.
	Uplinks []Uplink
	Wire    Carry
	// Holder is the port whose own MTU may be what keeps an automatic bridge below
	// its uplinks, or without any below its other ports; empty where no port does.
	Holder string

	MTU       int // what the segment carries; 0 where Unknown
	Certainty Certainty
	Why       string // how the number came about, or why there is none
}

// maxTap is the largest MTU of a tap: 65535 less an Ethernet header (the kernel's
// drivers/net/tun.c). With a larger <mtu> the domain does not start.
const maxTap = 65521

// minUplink returns the uplink that carries the least; false: there is none, or of one
// it is not known.
func (s *Segment) minUplink() (Uplink, bool) {
	var least Uplink
	for _, u := range s.Uplinks {
		if u.Certainty != Known {
			return Uplink{}, false
		}
		if u.Carry.MTU != 0 && (least.Carry.MTU == 0 || u.Carry.MTU < least.Carry.MTU) {
			least = u
		}
	}
	return least, least.Carry.MTU != 0
}

// limit is what a guest on the segment cannot go above: what the uplinks carry, or
// without any the bridge itself. Where that is for ports to say of which it is not known
// what they are, it is the most that it could be. The code is for a guest that does.
func (s *Segment) limit() (c Carry, code finding.Code) {
	if len(s.Uplinks) > 0 && s.Wire.MTU != 0 {
		return s.Wire, finding.GuestAboveSegment
	}
	if s.BridgeMTU == 0 {
		return Carry{Why: s.Why}, finding.GuestAboveBridge
	}
	c = Carry{MTU: s.BridgeMTU, Certainty: Known, Why: fmt.Sprintf("bridge %s has %d", s.Bridge, s.BridgeMTU)}
	if len(s.Uplinks) > 0 {
		c.Certainty, c.Why = AtMost, c.Why+", and "+s.Wire.Why
	}
	for _, u := range s.Uplinks {
		switch {
		case u.Maybe && u.MTU == 0:
			return Carry{Why: s.Wire.Why}, finding.GuestAboveBridge
		case u.Maybe && u.MTU > c.MTU:
			c.MTU, c.Why = u.MTU, fmt.Sprintf("port %s of bridge %s has %d and bridge %s %d, and %s", u.Name, s.Bridge, u.MTU, s.Bridge, s.BridgeMTU, s.Wire.Why)
		}
	}
	return c, finding.GuestAboveBridge
}

// narrowest says why a segment carries no more than its limit. Where others may carry
// even less, the limit's own reason is about them.
func (s *Segment) narrowest(limit Carry) string {
	if limit.Certainty != Known && !s.OVS {
		for _, u := range s.Uplinks {
			if u.Carry.MTU == limit.MTU && !u.Maybe {
				return uplinkSays(s.Bridge, u)
			}
		}
	}
	return limit.Why
}

// belowUplinks reports whether the bridge stands below all its uplinks: pinned
// there, or dragged there by a port. The two cannot be told apart. Where one of them
// may carry less than is known it need not be so.
func (s *Segment) belowUplinks() bool {
	return s.Wire.Certainty == Known && s.BridgeMTU < s.Wire.MTU
}

// Undragged returns the host as it would be if no bridge stood below its uplinks: at
// any start the hook may bring that about.
func Undragged(h host.Snapshot) host.Snapshot {
	t := NewTopology(&h)
	risen := h
	risen.Links = slices.Clone(h.Links)
	for i, l := range h.Links {
		if l.Kind != "bridge" {
			continue
		}
		if s := t.bridge(l.Name, false); s.belowUplinks() {
			risen.Links[i].MTU = s.Wire.MTU
		}
	}
	return risen
}

// Held reports whether something may be keeping the bridge down: it stands below all
// its uplinks, or where it has none a port is as low as the bridge and others are
// above. It may have been dragged there, or pinned: the two cannot be told apart.
func (s *Segment) Held() bool { return s.BridgeMTU != 0 && (s.belowUplinks() || s.Holder != "") }

// held says how.
func (s *Segment) held() string {
	text := fmt.Sprintf("bridge %s stands at %d", s.Bridge, s.BridgeMTU)
	if least, ok := s.minUplink(); ok {
		text += fmt.Sprintf(", below its uplink %s at %d", least.Name, least.Carry.MTU)
	}
	if s.Holder == "" {
		return text + " (it is pinned there)"
	}
	return text + fmt.Sprintf(" (port %s has %d, or it is pinned there)", s.Holder, s.BridgeMTU)
}

// unknown says why what the segment carries is not known.
func (s *Segment) unknown() string {
	if s.Certainty == AtMost {
		return s.Why + ": what the segment carries is not known"
	}
	return s.Why
}

// Segment finds a NIC's segment and computes what it carries: the bridge's MTU,
// capped by what the smallest of its uplinks carries; on Open vSwitch the uplinks
// alone; for a libvirt network its own <mtu> if it has one.
func (t *Topology) Segment(n domxml.NIC) Segment {
	bridge, ovs := n.Bridge, n.VirtualPort == "openvswitch"
	if n.Type == "network" {
		network, ok := t.network(n.Network)
		if bridge == "" {
			bridge = network.Bridge
		}
		ovs = ovs || network.OVS
		switch mtu, why := t.networkMTU(network); {
		case mtu > 0:
			s := t.bridge(bridge, ovs)
			s.MTU, s.Certainty, s.Why = mtu, Known, why
			return s
		case bridge == "" && !ok:
			return Segment{Why: fmt.Sprintf("which bridge network %q is on is not known", n.Network)}
		case bridge == "":
			return Segment{Why: fmt.Sprintf("network %s has no bridge (forward mode %q)", n.Network, network.Forward)}
		}
	}
	if !nicmodel.LookupType(n.Type).Bridged || bridge == "" {
		return Segment{Why: "the NIC names no bridge"}
	}
	return t.bridge(bridge, ovs)
}

// bridge returns the segment of a bridge.
func (t *Topology) bridge(name string, ovs bool) Segment {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := name
	if ovs {
		key = "ovs " + name
	}
	s, ok := t.segments[key]
	if !ok {
		s = t.bridgeSegment(name, ovs)
		t.segments[key] = s
	}
	return s
}

func (t *Topology) bridgeSegment(bridge string, ovs bool) Segment {
	s := Segment{Bridge: bridge}
	link, ok := t.link(bridge)
	_, known := t.bridges[bridge]
	switch {
	case known && link.Kind != "bridge":
		return t.ovsSegment(bridge)
	case ovs && t.host.OVS != nil:
		s.OVS, s.Missing = true, true
		s.Why = fmt.Sprintf("Open vSwitch has no bridge %q here", bridge)
		return s
	case ovs || link.Kind == "openvswitch":
		s.OVS = true
		s.Why = fmt.Sprintf("%s is Open vSwitch's, and what its uplinks carry is not known", bridge)
		return s
	case !ok:
		s.Missing = true
		s.Why = fmt.Sprintf("there is no bridge %q here", bridge)
		return s
	case link.Kind == host.Virtual:
		s.Why = fmt.Sprintf("what %s is cannot be told", bridge)
		return s
	case link.Kind != "bridge":
		s.Missing = true
		s.Why = fmt.Sprintf("%s is not a bridge", bridge)
		return s
	case link.MTU == 0:
		s.Why = fmt.Sprintf("the MTU of bridge %s is not known", bridge)
		return s
	}
	s.BridgeMTU, s.MTU, s.Certainty = link.MTU, min(link.MTU, maxTap), Known
	s.Why = fmt.Sprintf("bridge %s has %d", bridge, link.MTU)
	s.Uplinks = t.uplinks(bridge, "")
	wire := wire(bridge, s.Uplinks)
	if s.Wire = wire.Carry; !wire.none && wire.MTU != 0 && wire.MTU < s.MTU {
		s.MTU, s.Why = wire.MTU, wire.Why
	}
	if !wire.none && wire.Certainty != Known {
		if s.Certainty = AtMost; s.Why != wire.Why {
			s.Why += ", but " + wire.Why
		}
	}
	if link.Bereft && len(s.Uplinks) == 0 {
		// A driver that is loaded anew, a network that is restarted: they come back.
		s.Certainty, s.Why = AtMost, s.Why+", but its uplinks are away"
	}
	s.Holder = holder(&s, t.portsOf(bridge))
	return s
}

// ovsSegment is that of an Open vSwitch bridge: what its uplinks carry. Its internal
// port is the host's own and does not count.
func (t *Topology) ovsSegment(bridge string) Segment {
	s := Segment{Bridge: bridge, OVS: true}
	up := t.ovsWires(bridge, "")
	s.Uplinks = up.all()
	b := up.carry()
	s.Wire = b.Carry
	if b.none {
		s.Why = fmt.Sprintf("%s is Open vSwitch's and has no uplink to go by", bridge)
		return s
	}
	s.MTU, s.Certainty = min(b.MTU, maxTap), b.Certainty
	s.Why = fmt.Sprintf("%s is Open vSwitch's: %s", bridge, b.Why)
	return s
}

// holder finds what Segment says of it.
func holder(s *Segment, ports []host.Link) string {
	low, above := "", s.belowUplinks()
	for _, p := range ports {
		if p.MTU == s.BridgeMTU && low == "" {
			low = p.Name
		}
		above = above || len(s.Uplinks) == 0 && p.MTU > s.BridgeMTU
	}
	if !above {
		return ""
	}
	return low
}
