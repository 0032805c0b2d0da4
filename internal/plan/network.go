package plan

import (
	"fmt"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
	"virt-mtu/internal/nicmodel"
	"virt-mtu/internal/owned"
)

// takesMTU are the forward modes of libvirt networks that may have an <mtu>: those whose
// bridge is libvirt's own (virNetworkDefParseXML refuses the others).
var takesMTU = map[string]bool{"": true, "nat": true, "route": true, "open": true}

// minIPv6 is the least MTU that the kernel has IPv6 at (IPV6_MIN_MTU). A network with an
// IPv6 address and less does not start.
const minIPv6 = 1280

// networkMTU is a libvirt network's own number, 0 where it has none. One that runs has
// what it was started with. What its definition says since then counts too, unless that
// is more than its bridge has yet: guests get it when they start.
func (t *Topology) networkMTU(n host.Network) (mtu int, why string) {
	bridge, _ := t.link(n.Bridge)
	if n.Redefined && n.DefinedMTU > 0 && n.DefinedMTU <= max(n.MTU, bridge.MTU) {
		return n.DefinedMTU, fmt.Sprintf("network %s has %d by its definition", n.Name, n.DefinedMTU)
	}
	return n.MTU, fmt.Sprintf("network %s has %d", n.Name, n.MTU)
}

// NetworkInput is all that the plan of a libvirt network is made from.
type NetworkInput struct {
	// Network as libvirt has it, which the Host's own may be behind.
	Network host.Network
	// Definition is nil for a transient network.
	Definition *domxml.Network
	Host       *Topology
	MTU        int // --mtu; 0: inherit
	Force      bool
	Lower      bool
	Undo       bool
}

// Network is the plan for one libvirt network. MTUs are in bytes of IP packet.
type Network struct {
	Name   string
	Bridge string
	// Current is the definition's <mtu> before, Set after; 0: none. Target is 0 where it
	// is not known.
	Current, Target, Set int
	Action               Action
	Reason, Hint         string
	Warnings             []string
	// Record is what the definition's metadata has to say afterwards; nil: nothing.
	Record *owned.Network
	// Forgotten: a record goes whose number is not there any more.
	Forgotten bool
	// BridgeMTU is what the bridge has, 0 where there is none that could be set;
	// BridgeSet what it is to get now, 0: it stays.
	BridgeMTU, BridgeSet int
	// Waits: it runs, and something of it comes to this with its next start alone.
	Waits bool

	before *owned.Network // the record that is there
}

// Changes reports whether the definition has to change.
func (n *Network) Changes() bool {
	changed := n.before != n.Record && (n.before == nil || n.Record == nil || *n.before != *n.Record)
	return n.Set != n.Current || changed
}

// MakeNetwork plans a libvirt network: its own <mtu>, and the bridge where it runs. The
// error is for a record that does not parse.
//
// Its segment ends at its bridge: where packets leave it the host routes them, and tells
// a sender for which link they are too large. So what is inherited is what the bridge has
// now, capped by ports that somebody has added to it.
func MakeNetwork(in NetworkInput) (Network, error) {
	n := Network{Name: in.Network.Name, Bridge: in.Network.Bridge, Action: None}
	switch {
	case !takesMTU[in.Network.Forward]:
		return n.refuse(fmt.Sprintf("libvirt takes <mtu> only in networks of forward mode nat, route, open or none, and this one has %s", printable(in.Network.Forward)),
			elsewhere(in.Network)), nil
	case in.Definition == nil:
		return n.refuse("it is transient: there is no definition that its next start would go by", ""), nil
	}
	n.Current, n.Set = in.Definition.MTU, in.Definition.MTU
	var err error
	if n.before, err = owned.NetworkFromMetadata(in.Definition.Metadata); err != nil {
		return n, err
	}
	ours := n.before != nil && n.before.Set == n.Current
	if n.Record = n.before; !ours {
		n.Record, n.Forgotten = nil, n.before != nil
	}
	seg := in.Host.bridge(n.Bridge, false)
	if !in.Network.Inactive {
		n.BridgeMTU = seg.BridgeMTU
	}
	switch {
	case in.Undo && ours:
		n.change(n.before.Before, n.before.Before)
		n.Reason = "put in by virt-mtu"
		if n.Set != 0 {
			n.Reason = fmt.Sprintf("%d stood there before virt-mtu", n.Set)
		}
	case in.Undo:
		n.Reason = "not virt-mtu's"
	default:
		n.aim(&in, &seg, ours)
		n.bridge(&in, &seg)
	}
	if in.Network.Inactive || n.Action == Skip || n.Action == Refuse {
		return n, nil
	}
	n.Waits = n.Set != in.Network.MTU
	if at := max(n.BridgeMTU, n.BridgeSet); in.Undo && n.Action != None && at > effective(n.Set) {
		n.Waits = true
		n.Warnings = append(n.Warnings, fmt.Sprintf("bridge %s stays at %d until the network starts anew", n.Bridge, at))
	}
	return n, nil
}

// MetadataRemedyNetwork is what to do against an error of MakeNetwork.
func MetadataRemedyNetwork(network string) string {
	return fmt.Sprintf("virsh net-edit %s # take the node of %s out; then its <mtu> counts as an admin's", ShellWord(network), owned.URI)
}

// elsewhere is where the number of a network is that takes none.
func elsewhere(n host.Network) string {
	const guests = "; its guests: virt-mtu fix DOMAIN"
	switch {
	case n.OVS:
		return "its bridge is Open vSwitch's: what its uplinks carry counts" + guests
	case n.Bridge != "":
		return "its bridge is the host's: ip link set dev " + Quoted(n.Bridge) + " mtu N" + guests
	case n.Forward == "hostdev":
		return "its guests get functions of a card: the MTU is that of the card's physical function"
	}
	return "its guests are on macvtaps: the MTU is that of the device under them"
}

func (n Network) refuse(why, hint string) Network {
	n.Action, n.Reason, n.Hint = Refuse, why, hint
	return n
}

func (n *Network) skip(why, hint string) {
	n.Action, n.Reason, n.Hint = Skip, why, hint
}

// aim finds the target, and what is to be done about the <mtu>.
func (n *Network) aim(in *NetworkInput, seg *Segment, ours bool) {
	asked := in.MTU != 0
	switch {
	case n.Current != 0 && !ours && !in.Force:
		n.Target, n.Reason = n.Current, "written by an admin: kept"
		if asked && in.MTU != n.Current {
			n.Hint = "--force changes it, and --undo brings it back"
		}
		return
	case asked:
		n.Target, n.Reason = in.MTU, fmt.Sprintf("%s says %d", flagMTU, in.MTU)
	case in.Network.Inactive && n.Current != 0:
		n.Target, n.Reason = n.Current, "it does not run: there is no bridge to go by"
		return
	case in.Network.Inactive:
		n.skip("it does not run, so it has no bridge whose number it could inherit", "name the number (--mtu N), or start it: virsh net-start "+ShellWord(n.Name))
		return
	case seg.Certainty != Known:
		n.skip(seg.unknown(), "name the number: --mtu N")
		return
	default:
		n.Target, n.Reason = seg.MTU, seg.Why
	}
	want := n.Target
	if !asked && want == nicmodel.Standard && (n.Current == 0 || ours && n.before.Before == 0) {
		want = 0 // what a network without one has
	}
	switch {
	case want == n.Current:
		return
	case want != 0 && want < minIPv6 && in.Network.IPv6:
		*n = n.refuse(fmt.Sprintf("%s, and with less than %d a network with an IPv6 address does not start", n.Reason, minIPv6), "")
		return
	case !asked && effective(want) < effective(n.Current) && seg.Held() && !in.Lower:
		n.skip(seg.held()+": not lowered", "raise that port or the bridge (ip link set dev PORT mtu N); to lower the network, add --lower")
		return
	}
	before := n.Current
	if ours {
		before = n.before.Before
	}
	n.change(want, before)
}

// change plans another <mtu>, before being what undo brings back.
func (n *Network) change(to, before int) {
	n.Forgotten, n.Record = false, nil
	if to != before {
		n.Record = &owned.Network{Before: before, Set: to}
	}
	n.Set = to
	if n.Target == 0 {
		n.Target = to
	}
	switch {
	case to == n.Current:
	case n.Current == 0:
		n.Action = Inject
	case to == 0:
		n.Action = Remove
	default:
		n.Action = Update
	}
}

// bridge plans the bridge of a network that runs. Like a guest it goes up by itself and
// down only when asked.
func (n *Network) bridge(in *NetworkInput, seg *Segment) {
	if in.Network.Inactive || n.Set == 0 || n.Action == Skip || n.Action == Refuse {
		return
	}
	switch {
	case n.BridgeMTU == 0:
		n.Warnings = append(n.Warnings, seg.Why+": it gets its number when the network starts anew")
	case n.Set > n.BridgeMTU, n.Set < n.BridgeMTU && in.Lower:
		n.BridgeSet = n.Set
	case n.Set < n.BridgeMTU:
		n.Warnings = append(n.Warnings, fmt.Sprintf("bridge %s stays at %d until the network starts anew (--lower lowers it now)", n.Bridge, n.BridgeMTU))
	}
	if least, ok := seg.minUplink(); ok && least.Carry.MTU < n.Set {
		n.Warnings = append(n.Warnings, fmt.Sprintf("port %s of bridge %s carries %d: larger packets vanish there", least.Name, n.Bridge, least.Carry.MTU))
	}
}

// Redefined returns a host as it is once a network's plan is carried out.
func (n *Network) Redefined(h host.Snapshot) host.Snapshot {
	h.Networks = append([]host.Network(nil), h.Networks...)
	for i := range h.Networks {
		x := &h.Networks[i]
		if x.Name != n.Name {
			continue
		}
		if x.Inactive {
			x.MTU = n.Set
		} else {
			x.Redefined, x.DefinedMTU = x.MTU != n.Set, n.Set
		}
	}
	h.Links = append([]host.Link(nil), h.Links...)
	for i := range h.Links {
		if n.BridgeSet != 0 && h.Links[i].Name == n.Bridge {
			h.Links[i].MTU = n.BridgeSet
		}
	}
	return h
}
