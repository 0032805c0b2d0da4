package plan

import (
	"fmt"
	"slices"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
)

// Certainty is how far a number is known.
type Certainty int

const (
	Unknown Certainty = iota
	AtMost            // it is this or less
	Known
)

// Uplink is a bridge port that leads off the host.
type Uplink struct {
	Name string
	MTU  int
	// Tunnel: what lies under it may carry less than its MTU says.
	Tunnel bool
}

// Segment is the layer-2 segment that a NIC is on.
type Segment struct {
	// Bridge that the NIC's tap is a port of; empty where none is known. BridgeMTU
	// is 0 where it is not a Linux bridge of this host.
	Bridge    string
	BridgeMTU int
	// Uplinks of the bridge; with none the segment ends at the bridge.
	Uplinks []Uplink
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

// tunnels are the kinds of link whose MTU is somebody's setting, not what their
// underlay leaves them. A link whose kind the kernel did not tell may be one: older
// kernels name no driver for some.
var tunnels = map[string]bool{
	"":      true,
	"vxlan": true, "geneve": true, "gretap": true, "ip6gretap": true,
	"erspan": true, "ip6erspan": true, "l2tp_eth": true, "batadv": true, "bareudp": true,
}

// minUplink returns the smallest of the uplinks; false: there is none.
func (s *Segment) minUplink() (Uplink, bool) {
	if len(s.Uplinks) == 0 {
		return Uplink{}, false
	}
	least := s.Uplinks[0]
	for _, u := range s.Uplinks[1:] {
		if u.MTU < least.MTU {
			least = u
		}
	}
	return least, true
}

// belowUplinks reports whether the bridge stands below all its uplinks: pinned
// there, or dragged there by a port. The two cannot be told apart.
func (s *Segment) belowUplinks() bool {
	least, ok := s.minUplink()
	return ok && s.BridgeMTU < least.MTU
}

// Undragged returns the host as it would be if no bridge stood below its uplinks: at
// any start the hook may bring that about.
func Undragged(h host.Snapshot) host.Snapshot {
	h.Links = slices.Clone(h.Links)
	for i, l := range h.Links {
		if l.Kind != "bridge" {
			continue
		}
		s := bridgeSegment(l.Name, false, &h)
		if least, _ := s.minUplink(); s.belowUplinks() {
			h.Links[i].MTU = least.MTU
		}
	}
	return h
}

// Held reports whether something may be keeping the bridge down: it stands below all
// its uplinks, or where it has none a port is as low as the bridge and others are
// above. It may have been dragged there, or pinned: the two cannot be told apart.
func (s *Segment) Held() bool { return s.belowUplinks() || s.Holder != "" }

// held says how.
func (s *Segment) held() string {
	text := fmt.Sprintf("bridge %s stands at %d", s.Bridge, s.BridgeMTU)
	if least, ok := s.minUplink(); ok {
		text += fmt.Sprintf(", below its uplink %s at %d", least.Name, least.MTU)
	}
	if s.Holder == "" {
		return text + " (it is pinned there)"
	}
	return text + fmt.Sprintf(" (port %s has %d, or it is pinned there)", s.Holder, s.BridgeMTU)
}

// unknown says why what the segment carries is not known.
func (s *Segment) unknown() string {
	if s.Certainty == AtMost {
		return s.Why + ", and a tunnel may carry less: what the segment carries is not known"
	}
	return s.Why
}

// SegmentOf finds a NIC's segment and computes what it carries: the bridge's MTU,
// capped by the smallest uplink's; for a libvirt network its own <mtu> if it has one.
func SegmentOf(n domxml.NIC, h *host.Snapshot) Segment {
	bridge, ovs := n.Bridge, n.VirtualPort == "openvswitch"
	if n.Type == "network" {
		network, ok := h.Network(n.Network)
		if bridge == "" {
			bridge = network.Bridge
		}
		ovs = ovs || network.OVS
		switch {
		case network.MTU > 0:
			s := bridgeSegment(bridge, ovs, h)
			s.MTU, s.Certainty = network.MTU, Known
			s.Why = fmt.Sprintf("network %s has %d", network.Name, network.MTU)
			return s
		case bridge == "" && !ok:
			return Segment{Why: fmt.Sprintf("which bridge network %q is on is not known", n.Network)}
		case bridge == "":
			return Segment{Why: fmt.Sprintf("network %s has no bridge (forward mode %q)", n.Network, network.Forward)}
		}
	}
	if n.Type == "ethernet" || bridge == "" {
		return Segment{Why: "the NIC names no bridge"}
	}
	return bridgeSegment(bridge, ovs, h)
}

func bridgeSegment(bridge string, ovs bool, h *host.Snapshot) Segment {
	s := Segment{Bridge: bridge}
	link, ok := h.Link(bridge)
	switch {
	case ovs || link.Kind == "openvswitch":
		s.Why = fmt.Sprintf("%s is Open vSwitch's, and what its uplinks carry is not known", bridge)
		return s
	case !ok:
		s.Why = fmt.Sprintf("there is no bridge %q here", bridge)
		return s
	case link.Kind != "bridge":
		s.Why = fmt.Sprintf("%s is not a bridge", bridge)
		return s
	}
	s.BridgeMTU, s.MTU, s.Certainty = link.MTU, min(link.MTU, maxTap), Known
	s.Why = fmt.Sprintf("bridge %s has %d", bridge, link.MTU)
	ports := h.Ports(bridge)
	s.Uplinks = uplinks(ports)
	for _, u := range s.Uplinks {
		if u.MTU < s.MTU {
			s.MTU, s.Why = u.MTU, fmt.Sprintf("uplink %s of bridge %s has %d", u.Name, bridge, u.MTU)
		}
		if u.Tunnel {
			s.Certainty = AtMost
		}
	}
	s.Holder = holder(&s, ports)
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

// uplinks picks the ports that are neither taps nor veths; veths count only where
// there is no other, since they mostly lead to containers.
func uplinks(ports []host.Link) []Uplink {
	var up, veths []Uplink
	for _, p := range ports {
		u := Uplink{Name: p.Name, MTU: p.MTU, Tunnel: tunnels[p.Kind]}
		switch {
		case p.Tap:
		case p.Kind == "veth":
			veths = append(veths, u)
		default:
			up = append(up, u)
		}
	}
	if len(up) == 0 {
		return veths
	}
	return up
}
