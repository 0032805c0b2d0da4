package plan

import (
	"fmt"
	"strings"

	"virt-mtu/internal/encap"
	"virt-mtu/internal/host"
)

// ovsUplinks are the ways that lead on from a bridge of Open vSwitch.
type ovsUplinks struct {
	direct []Uplink // its own ports
	// patched lead through a patch port to another bridge. Which of them a packet
	// takes is for the flows to say.
	patched []Uplink
}

func (u *ovsUplinks) all() []Uplink { return append(append([]Uplink(nil), u.direct...), u.patched...) }

// ovsWires finds the uplinks of an Open vSwitch bridge, seen from one of its ports.
// Taps and vhost-user ports are guests', internal ports are the host's own, which
// never count. Veths count where there is no other. By an internal port the host itself
// sends: to the wire, where the bridge has one of its own.
func (t *Topology) ovsWires(bridge, from string) ovsUplinks {
	var u ovsUplinks
	var veths []Uplink
	b, ok := t.bridges[bridge]
	if !ok {
		return u
	}
	for _, p := range b.Ports {
		for i := range p.Interfaces {
			x := &p.Interfaces[i]
			up := Uplink{Name: x.Name, MTU: x.MTU}
			switch {
			case x.Name == from, x.Type == "internal", strings.HasPrefix(x.Type, "dpdkvhostuser"):
			case x.Type == "patch":
				if c, leads := t.patch(x); leads {
					up.MTU, up.Carry = 0, c
					u.patched = append(u.patched, up)
				}
			case x.Tunnel != nil:
				up.MTU, up.Carry = 0, t.underlays(x.Type, x.Tunnel, encap.OVSTunnel).Carry
				u.direct = append(u.direct, up)
			case x.Type == "" || x.Type == "system":
				l, ok := t.link(x.Name)
				switch {
				case l.Tap:
				case ok && l.Kind == "veth":
					veths = append(veths, Uplink{Name: x.Name, MTU: l.MTU})
				case ok:
					up.MTU, up.Carry = l.MTU, t.carry(x.Name)
					u.direct = append(u.direct, up)
				default:
					up.Carry = ovsOwn(x)
					u.direct = append(u.direct, up)
				}
			case x.Type == "tap": // the userspace datapath's own, a guest's or the host's
			default: // dpdk, afxdp: hardware that Open vSwitch drives itself
				up.Carry = ovsOwn(x)
				u.direct = append(u.direct, up)
			}
		}
	}
	if len(u.direct)+len(u.patched) == 0 {
		for i := range veths {
			veths[i].Carry = t.carry(veths[i].Name)
		}
		u.direct = veths
	}
	if t.internal(from) && len(u.direct) > 0 {
		u.patched = nil
	}
	return u
}

// internal reports whether a link is an internal port of Open vSwitch's.
func (t *Topology) internal(name string) bool {
	p, ok := t.plugs[name]
	return ok && p.Type == "internal"
}

func ovsOwn(x *host.OVSInterface) Carry { return bare(host.Link{Name: x.Name, MTU: x.MTU}) }

// patch is what carries on behind a patch port; false: it leads nowhere.
func (t *Topology) patch(x *host.OVSInterface) (Carry, bool) {
	peer, ok := t.plugs[x.Peer]
	if !ok {
		return Carry{}, false
	}
	key := "patch " + x.Name // no link's name: it has a space in it
	if c, ok := t.carries[key]; ok {
		return c, c.MTU != 0 || c.Certainty != Unknown || c.Why != ""
	}
	t.carries[key] = Carry{} // a loop leads nowhere
	up := t.ovsWires(peer.bridge, peer.Name)
	b := up.carry()
	if b.none {
		return Carry{}, false
	}
	c := b.Carry
	c.Why = fmt.Sprintf("%s behind it: %s", peer.bridge, c.Why)
	c = c.brief()
	t.carries[key] = c
	return c, true
}

// carry is what a packet can count on that may leave by any of the uplinks. Behind
// different patch ports there may be different numbers: then the largest is a bound.
func (u *ovsUplinks) carry() below {
	if len(u.direct)+len(u.patched) == 0 {
		return below{none: true}
	}
	var ways []Carry
	if len(u.direct) > 0 {
		var all []Carry
		for _, d := range u.direct {
			d.Carry.Why = fmt.Sprintf("uplink %s %s", d.Name, d.says())
			all = append(all, d.Carry)
		}
		ways = append(ways, smallest(all))
	}
	for _, p := range u.patched {
		p.Carry.Why = fmt.Sprintf("patch port %s carries %d: %s", p.Name, p.Carry.MTU, p.Why)
		ways = append(ways, p.Carry)
	}
	c := ways[0]
	for _, w := range ways[1:] {
		c = either(c, w)
	}
	return below{Carry: c}
}

// either is what is known of a packet that goes one way or the other.
func either(a, b Carry) Carry {
	switch {
	case a.Certainty == Unknown:
		return a
	case b.Certainty == Unknown:
		return b
	case a.MTU == b.MTU && a.Certainty == b.Certainty:
		return a
	case a.MTU < b.MTU:
		a, b = b, a
	}
	a.Certainty = AtMost
	a.Why = fmt.Sprintf("%s; or %s; which way a packet takes is for the flows to say", a.Why, b.Why)
	return a
}
