package plan

import (
	"fmt"

	"virt-mtu/internal/encap"
	"virt-mtu/internal/host"
)

// Certainty is how far a number is known.
type Certainty int

const (
	Unknown Certainty = iota
	AtMost            // it is this or less
	Known
)

// Carry is what gets through a link and all that lies under it.
type Carry struct {
	MTU       int // bytes of IP packet; 0 where Unknown
	Certainty Certainty
	// Why the number is below the link's own, or not certain; empty: it is the
	// link's own.
	Why string
	// Below is what the layers under the link leave for it, whatever its own MTU
	// says; 0: nothing is under it, or that is not known.
	Below int
	// room is the largest payload of an Ethernet frame, VLAN tags and all. Hardware
	// takes one tag beyond its MTU; what a tunnel carries of it is payload.
	room int
}

// stacked are the kinds of link that sit on one other, their Lower.
var stacked = map[string]bool{"vlan": true, "macvlan": true, "macvtap": true, "ipvlan": true, "ipvtap": true, "macsec": true}

// aggregates are the kinds whose members carry for them. The kernel gives members
// the aggregate's MTU, but lets each be changed after.
var aggregates = map[string]bool{"bond": true, "team": true}

// tunnels are the kinds of link whose MTU is somebody's setting, not what their
// underlay leaves them. A link whose kind the kernel did not tell may be one: older
// kernels name no driver for some.
var tunnels = map[string]bool{
	"":      true,
	"vxlan": true, "geneve": true, "gretap": true, "ip6gretap": true,
	"erspan": true, "ip6erspan": true, "l2tp_eth": true, "batadv": true, "bareudp": true,
	"gre": true, "ip6gre": true, "ipip": true, "sit": true, "ip6tnl": true, "vti": true, "vti6": true,
	"xfrm": true, "wireguard": true, "ppp": true,
}

// layered reports whether a link's MTU is bounded by a layer under it, not by others
// beside it.
func layered(l host.Link) bool { return stacked[l.Kind] || tunnels[l.Kind] }

// bare is what a link carries that has nothing under it.
func bare(l host.Link) Carry {
	if l.MTU == 0 {
		return Carry{Why: fmt.Sprintf("the MTU of %s is not known", l.Name)}
	}
	return Carry{MTU: l.MTU, Certainty: Known, room: l.MTU + encap.VLANTag}
}

// carry is what gets out by the link called name.
func (t *Topology) carry(name string) Carry {
	if c, ok := t.carries[name]; ok {
		return c // a loop comes here too, and finds no limit
	}
	l, ok := t.link(name)
	switch {
	case !ok:
		return Carry{Why: fmt.Sprintf("%s was not seen here", name)}
	case l.Tap && t.plugs[name].OVSInterface == nil: // nothing lies under a tap
		return bare(l)
	}
	t.carries[name] = Carry{Why: name + " leads back to itself"}
	c := t.measure(l).brief()
	t.carries[name] = c
	return c
}

// longestWhy bounds a reason that is made of those of the layers below, in bytes.
const longestWhy = 300

// brief keeps a chain of reasons from growing with every layer.
func (c Carry) brief() Carry {
	if len(c.Why) > longestWhy {
		c.Why = "for what lies further down"
	}
	return c
}

func (t *Topology) measure(l host.Link) Carry {
	name, c := l.Name, bare(l)
	switch {
	case stacked[l.Kind]:
		return c.over(t.lower(l))
	case aggregates[l.Kind]:
		return c.over(t.members(l))
	case l.Kind == host.Virtual:
		return c.over(below{Carry: Carry{Why: "it may be a tunnel, which may carry less than its MTU"}})
	case tunnels[l.Kind]:
		return c.over(t.underlays(l.Kind, l.Tunnel, encap.Tunnel))
	case l.Kind == "veth":
		return c.over(t.beyond(l))
	case l.Kind == "bridge":
		return c.over(t.wires(name, ""))
	}
	p, plugged := t.plugs[name]
	switch {
	case t.internal(name):
		up := t.ovsWires(p.bridge, name)
		return c.over(up.carry())
	case !plugged && l.Kind == "openvswitch":
		return c.over(below{Carry: Carry{Why: name + " is Open vSwitch's, whose database was not read"}})
	}
	return c
}

// below is what lies under a link.
type below struct {
	Carry
	none bool // there is nothing
}

// over limits a link's own carry by what lies under it.
func (c Carry) over(b below) Carry {
	if b.none {
		return c
	}
	if c.MTU == 0 {
		return Carry{Why: c.Why}
	}
	if b.Certainty != Known {
		c.Certainty, c.Why = AtMost, b.Why
	} else {
		c.Below = b.MTU
	}
	if b.MTU != 0 && b.MTU < c.MTU {
		c.MTU, c.Why, c.Below = b.MTU, b.Why, b.MTU
	}
	if b.room != 0 {
		c.room = min(c.room, b.room)
	}
	return c
}

// lower is what the device under a stacked link leaves it.
func (t *Topology) lower(l host.Link) below {
	if l.Lower == "" {
		return below{Carry: Carry{Why: fmt.Sprintf("what %s sits on is not known", l.Name)}}
	}
	c := t.carry(l.Lower)
	if c.MTU == 0 {
		return below{Carry: c}
	}
	why := fmt.Sprintf("%s under it carries %d", l.Lower, c.MTU)
	if c.Why != "" {
		why += ": " + c.Why
	}
	switch l.Kind {
	case "vlan":
		c.room -= encap.VLANTag
		if c.room < c.MTU {
			c.MTU, why = c.room, fmt.Sprintf("%s under it has no room for another VLAN tag beyond %d", l.Lower, c.room)
		}
	case "macsec":
		if cost, ok := encap.Tunnel(l.Kind, false, 4, 0); ok {
			c.MTU, c.room = c.MTU-cost.Bytes, c.MTU-cost.Bytes
			why = fmt.Sprintf("%s under it leaves %d, less %d for MACsec", l.Lower, c.MTU+cost.Bytes, cost.Bytes)
		}
	}
	return below{Carry: Carry{MTU: max(c.MTU, 0), Certainty: c.Certainty, Why: why, room: c.room}}
}

// members is what the smallest member of a bond or team carries.
func (t *Topology) members(l host.Link) below {
	members := t.portsOf(l.Name)
	if len(members) == 0 {
		return below{none: true}
	}
	var all []Carry
	for _, m := range members {
		c := t.carry(m.Name)
		c.Why = fmt.Sprintf("its member %s carries %d", m.Name, c.MTU)
		all = append(all, c)
	}
	return below{Carry: smallest(all)}
}

// cost is what a tunnel of a kind takes off its underlay's MTU.
type cost func(kind string, key bool, family, optionBytes int) (encap.Layer, bool)

// underlays is what the smallest underlay of a tunnel leaves it.
func (t *Topology) underlays(kind string, n *host.Tunnel, of cost) below {
	if n == nil {
		return below{Carry: Carry{Why: "a tunnel may carry less than its MTU"}}
	}
	takes, ok := of(kind, n.Key, n.Family, n.OptionBytes)
	if !ok {
		return below{Carry: Carry{Why: fmt.Sprintf("what a tunnel of kind %q takes is not known", kind)}}
	}
	var all []Carry
	if n.Unsure {
		all = append(all, Carry{Why: "its packets carry more than its settings tell"})
	}
	if n.External || len(n.Remotes) == 0 {
		all = append(all, Carry{Why: "where its packets go is not configured, and so its underlay is not known"})
	}
	seen := map[host.Remote]bool{}
	for _, r := range n.Remotes {
		to := r.Address
		if r.Address = ""; seen[r] && r.Underlay != "" {
			continue
		}
		seen[r] = true
		all = append(all, t.underlay(r, to, takes, n.Family))
	}
	return below{Carry: smallest(all)}
}

func (t *Topology) underlay(r host.Remote, to string, takes encap.Layer, family int) Carry {
	if r.Underlay == "" {
		return Carry{Why: fmt.Sprintf("by which link packets to %s leave is not known", to)}
	}
	c := t.carry(r.Underlay)
	if c.MTU == 0 {
		return c
	}
	why := fmt.Sprintf("its underlay %s carries %d", r.Underlay, c.MTU)
	if c.Certainty != Known {
		why += fmt.Sprintf(" and may carry less (%s)", c.Why)
	}
	if r.MTU != 0 && r.MTU < c.MTU {
		c.MTU, why = r.MTU, fmt.Sprintf("the route to %s has %d", to, r.MTU)
	}
	left := max(c.MTU-takes.Bytes, 0)
	return Carry{MTU: left, Certainty: c.Certainty, room: left, Why: fmt.Sprintf("%s, less %d for %s over IPv%d", why, takes.Bytes, takes.Name, family)}
}

// beyond is what carries on from the other end of a veth that is a port of another
// bridge: its own MTU, since the kernel drops what is larger on the way in
// (is_skb_forwardable), and what is behind it. An end that is no port is a station on
// this segment, like a guest: it limits nobody but itself.
func (t *Topology) beyond(l host.Link) below {
	if l.Away {
		return below{none: true} // another host, for all that can be seen
	}
	peer, ok := t.link(l.Peer)
	if l.Peer == "" || !ok {
		return below{Carry: Carry{Why: fmt.Sprintf("the other end of %s was not seen", l.Name)}}
	}
	behind := t.behind(peer)
	if behind.none {
		return behind
	}
	c := bare(peer)
	c.Why = fmt.Sprintf("its other end %s has %d", peer.Name, peer.MTU)
	return below{Carry: c.over(behind)}
}

// behind is what carries on from a port, into the bridge that it is a port of.
func (t *Topology) behind(port host.Link) below {
	if p, ok := t.plugs[port.Name]; ok {
		up := t.ovsWires(p.bridge, port.Name)
		return up.carry()
	}
	if port.Master == "" {
		return below{none: true}
	}
	if master, ok := t.link(port.Master); ok && master.Kind == "bridge" {
		if up := t.wires(master.Name, port.Name); !up.none {
			return up
		}
		return below{Carry: Carry{MTU: port.MTU, Certainty: Known}} // the segment ends there
	}
	return below{Carry: Carry{Why: fmt.Sprintf("%s is a port of %s, and what that carries is not known", port.Name, port.Master)}}
}

// wires is what the uplinks of a Linux bridge carry, seen from one of its ports: the
// bridge's own MTU is no matter to what it forwards.
func (t *Topology) wires(bridge, from string) below {
	return wire(bridge, t.uplinks(bridge, from))
}

// wire is what the uplinks of a bridge carry together.
func wire(bridge string, up []Uplink) below {
	if len(up) == 0 {
		return below{none: true}
	}
	var all []Carry
	for _, u := range up {
		if u.Maybe {
			all = append(all, Carry{Why: fmt.Sprintf("whether port %s of bridge %s leads off the host is not known", u.Name, bridge)})
			continue
		}
		u.Carry.Why = uplinkSays(bridge, u)
		all = append(all, u.Carry)
	}
	return below{Carry: smallest(all)}
}

func uplinkSays(bridge string, u Uplink) string {
	return fmt.Sprintf("uplink %s of bridge %s %s", u.Name, bridge, u.says())
}

// smallest is the least of what several ways carry that a packet may all have to
// take. With one that is not known the rest is a bound.
func smallest(all []Carry) Carry {
	least := Carry{Certainty: Known}
	for _, c := range all {
		if c.MTU != 0 && (least.MTU == 0 || c.MTU < least.MTU) {
			least.MTU, least.room, least.Why = c.MTU, c.room, c.Why
		}
	}
	for _, c := range all {
		if c.Certainty == Known {
			continue
		}
		least.Certainty = AtMost
		if c.Certainty == Unknown || c.MTU > least.MTU || least.Why == "" {
			least.Why = c.Why
		}
	}
	if least.MTU == 0 {
		least.Certainty = Unknown
	}
	return least
}

// Uplink is a bridge port that leads off the host.
type Uplink struct {
	Name string
	// Maybe: of all that is known it may as well be a tap, or a veth that does not count.
	Maybe bool
	MTU   int // its own; 0: it has none (a tunnel or patch port of Open vSwitch), or that is not known
	Carry
}

// says is what to say of an uplink, behind its name.
func (u Uplink) says() string {
	switch {
	case u.Carry.MTU == 0:
		return fmt.Sprintf("carries what is not known (%s)", u.Why)
	case u.Certainty == AtMost && u.Carry.MTU == u.MTU:
		return fmt.Sprintf("has %d and may carry less (%s)", u.MTU, u.Why)
	case u.Carry.MTU == u.MTU:
		return fmt.Sprintf("has %d", u.MTU)
	case u.Certainty == AtMost:
		return fmt.Sprintf("carries at most %d (%s)", u.Carry.MTU, u.Why)
	}
	return fmt.Sprintf("carries %d (%s)", u.Carry.MTU, u.Why)
}

// uplinks picks the ports of a Linux bridge that are neither taps nor veths; veths
// count only where there is no other, since they mostly lead to containers. The port
// that one comes from is none. What may be either comes last.
func (t *Topology) uplinks(bridge, from string) []Uplink {
	var up, veths, maybe []Uplink
	for _, i := range t.ports[bridge] {
		p := &t.host.Links[i]
		switch {
		case p.Tap && !t.internal(p.Name), p.Name == from:
		case p.Kind == host.Virtual:
			maybe = append(maybe, Uplink{Name: p.Name, MTU: p.MTU, Maybe: true})
		case p.Kind == "veth":
			if len(up) == 0 {
				veths = append(veths, Uplink{Name: p.Name, MTU: p.MTU})
			}
		default:
			up = append(up, Uplink{Name: p.Name, MTU: p.MTU})
		}
	}
	if len(up) == 0 {
		up = veths
	}
	up = append(up, maybe...)
	for i := range up {
		up[i].Carry = t.carry(up[i].Name)
	}
	return up
}
