package plan

import (
	"fmt"
	"strings"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
	"virt-mtu/internal/nicmodel"
)

// bridged looks at a NIC that a tap connects to a bridge, or that a tap is made for
// and somebody else connects.
func (s *Subject) bridged(x domxml.NIC, planned *NIC) Inspection {
	in := s.begin(x, planned)
	seg := s.Host.Segment(x)
	if x.Type == "ethernet" {
		seg = s.Host.wherePlugged(x)
	}
	in.Bridge = seg.Bridge
	if !in.Running && !seg.OVS && !seg.Missing { // of Open vSwitch's only a tap shows its VLAN
		in.Segment = seg.Bridge
	}
	in.tap(&seg)
	in.network(&seg)
	net, known := s.Host.network(x.Network)
	switch {
	case x.Type == "network" && (seg.Bridge == "" || seg.Missing):
		in.unreachable(&seg, net, known)
	case seg.Bridge != "":
		in.follow(s.Host.bridgeTail(&seg))
	}
	in.model()
	in.above(&seg)
	in.notTold(&seg)
	in.coldStart()
	in.unmanaged(&seg)
	return in.done()
}

// wherePlugged is the segment of a NIC that names none, by where its tap is.
func (t *Topology) wherePlugged(x domxml.NIC) Segment {
	if l, ok := t.link(x.Target); ok && l.Tap && x.Target != "" {
		if p, ok := t.plugs[l.Name]; ok {
			return t.bridge(p.bridge, true)
		}
		if m, ok := t.link(l.Master); ok && m.Kind == "bridge" {
			return t.bridge(m.Name, false)
		}
	}
	return Segment{Why: "the NIC names no bridge"}
}

// tap adds the host's end of a NIC that runs, and judges it against its bridge.
func (in *inspector) tap(seg *Segment) {
	if in.XML.Target == "" || !in.Running {
		return
	}
	l, ok := in.s.Host.link(in.XML.Target)
	n := Node{Kind: NodeTap, Name: in.XML.Target, MTU: l.MTU}
	on := l.Master
	if p, plugged := in.s.Host.plugs[l.Name]; plugged {
		on = p.bridge
	}
	switch {
	case !ok:
		n.Note = "there is no such device here"
		in.find(finding.NotKnown, "virsh domiflist "+ShellWord(in.s.Name), "tap %s is not there, so what it carries is not known", in.XML.Target)
	case !l.Tap:
		n.Note = "not a tap"
	case seg.Bridge != "" && !seg.Missing && on != seg.Bridge && (!seg.OVS || in.s.Host.host.OVS != nil):
		n.Note = fmt.Sprintf("not a port of %s", seg.Bridge)
		if on == "" {
			on = "none"
		}
		in.find(finding.BridgeMissing, plugRemedy(l.Name, seg), "tap %s is not a port of %s, which the NIC names (its bridge: %s)", l.Name, seg.Bridge, on)
	case l.MTU == 0: // libvirt alone told of it
		in.find(finding.NotKnown, "virt-mtu check "+ShellWord(in.s.Name)+" # on that host: there it is seen", "what MTU tap %s has is not known: what is larger does not reach the guest", l.Name)
	case seg.OVS:
		in.Segment = fmt.Sprint(seg.Bridge, " ", in.s.Host.plugs[l.Name].tag)
		in.limits(entry{l.Name, seg.Bridge, seg.Wire})
		n.Note = portNote(in.s.Host.plugs[l.Name].OVSInterface)
	case l.MTU != 0 && l.MTU < seg.BridgeMTU && !in.Ignored:
		remedy := fmt.Sprintf("virt-mtu fix %s\n# or only the tap: %s", ShellWord(in.s.Name), setMTU(l.Name, seg.BridgeMTU))
		in.find(finding.TapBelowBridge, remedy, "tap %s has %d, its bridge %s %d: what is larger does not reach the guest", l.Name, l.MTU, seg.Bridge, seg.BridgeMTU)
	}
	if on == seg.Bridge && !seg.OVS {
		in.Segment = seg.Bridge
	}
	n.Carries = l.MTU
	in.step(n)
}

// plugRemedy puts a tap where its NIC says that it is.
func plugRemedy(tap string, seg *Segment) string {
	if seg.OVS {
		return fmt.Sprintf("ovs-vsctl add-port %s %s", Quoted(seg.Bridge), Quoted(tap))
	}
	return fmt.Sprintf("ip link set dev %s master %s", Quoted(tap), Quoted(seg.Bridge))
}

// limits finds ports that limit a guest which is known to work with its MTU.
func (in *inspector) limits(entries ...entry) {
	if !in.Told {
		return // 1500 of a guest that was told nothing may be another by now
	}
	for _, e := range entries {
		in.Findings = append(in.Findings, e.limits(in.s.Host, in.Guest)...)
	}
}

// network adds the libvirt network that a NIC names.
func (in *inspector) network(seg *Segment) {
	if in.XML.Network == "" {
		return
	}
	n := Node{Kind: NodeNetwork, Name: in.XML.Network}
	net, ok := in.s.Host.network(in.XML.Network)
	switch {
	case !ok:
		n.Note = "not known here"
	case net.Inactive:
		n.MTU, n.Note = net.MTU, "not active"
	default:
		n.MTU = net.MTU
	}
	if ok && net.Forward != "" {
		n.Note = clauses(n.Note, "forward mode "+net.Forward)
	}
	if ok && net.DHCP && net.DHCPMTU != 0 {
		n.Note = clauses(n.Note, fmt.Sprintf("DHCP tells %d", net.DHCPMTU))
	}
	if ok {
		in.Findings = append(in.Findings, in.s.Host.judgeNetwork(net)...)
	}
	in.step(n)
}

// unreachable says why a NIC on a network comes down to no bridge.
func (in *inspector) unreachable(seg *Segment, net host.Network, ok bool) {
	switch {
	case !ok && seg.Missing, !ok && in.s.Host.host.Networks == nil:
		in.find(finding.NotKnown, "", "%s", seg.Why)
	case !ok:
		in.find(finding.BridgeMissing, "virsh net-define FILE # or put right what the domain names: virsh edit "+ShellWord(in.s.Name), "there is no network %q here", in.XML.Network)
	case net.Inactive:
		in.find(finding.BridgeMissing, "virsh net-start "+ShellWord(net.Name), "network %q is not active", net.Name)
	case seg.Missing:
		in.find(finding.BridgeMissing, "virsh net-start "+ShellWord(net.Name), "bridge %q of network %q is not here", seg.Bridge, net.Name)
	default: // macvtap and SR-IOV pools: which device it gets is seen when it runs
		in.find(finding.NotKnown, "", "network %q gives its guests a device of their own when they start", net.Name)
	}
}

// model: can the NIC carry what it has, or what the plan has for it?
func (in *inspector) model() {
	m, ok := nicmodel.Lookup(in.XML.Model)
	switch {
	case ok && in.XML.MTU > m.Max:
		in.find(finding.ModelCannotCarry, in.virtio(), "model %s carries at most %d, but its <mtu> is %d", m.Name, m.Max, in.XML.MTU)
	case in.planned != nil && in.planned.Action == Refuse:
		in.find(finding.ModelCannotCarry, in.planned.Hint, "%s", in.planned.Reason)
	}
}

// virtio is the remedy for a model that cannot.
func (in *inspector) virtio() string {
	return fmt.Sprintf("# give the NIC <model type='virtio'/>:\nvirsh edit %s", ShellWord(in.s.Name))
}

// above: does the guest work with more than gets through?
func (in *inspector) above(seg *Segment) {
	if in.Guest == 0 || seg.Bridge == "" || seg.Missing {
		return
	}
	limit, code := seg.limit()
	sure := in.Told // 1500 of a guest that was told nothing may be another by now
	if limit.MTU != 0 && in.Guest > limit.MTU && sure {
		in.find(code, in.lowerRemedy(limit.MTU), "the guest has %d, but %s: its larger packets vanish", in.Guest, limit.Why)
	}
	if tap, ok := in.s.Host.link(in.XML.Target); ok && in.Running && tap.Tap && !seg.OVS && sure && tap.MTU != 0 && tap.MTU < in.Guest && (limit.MTU == 0 || tap.MTU < limit.MTU) {
		in.find(finding.GuestAboveSegment, "virt-mtu fix "+ShellWord(in.s.Name), "the guest has %d, but its own tap %s %d: larger packets to the guest vanish there", in.Guest, tap.Name, tap.MTU)
	}
	in.limits(in.s.Host.bridgeTail(seg).entries...)
}

// lowerRemedy is for a guest above its segment.
func (in *inspector) lowerRemedy(to int) string {
	name := ShellWord(in.s.Name)
	up := "# either raise what is marked on its path, from the wire in; or lower the guest:\n"
	switch {
	case in.reading && in.XML.MTU != in.Guest:
		return up + in.inside(to)
	case in.planned == nil:
		return up + "# its definition has no such NIC\n" + inside(to)
	case in.planned.Ours:
		return fmt.Sprintf("%svirt-mtu fix %s # add --lower where it asks for that; then a cold start", up, name)
	case in.s.Definition != nil && len(in.s.Definition.NICs) > 1: // fix --force --mtu is for all NICs of a domain
		return fmt.Sprintf("%svirsh edit %s # <mtu size='%d'/> for the NIC with %s, which somebody wrote; then a cold start", up, name, to, printable(in.XML.MAC))
	}
	return fmt.Sprintf("%svirt-mtu fix --force --mtu %d %s # somebody wrote its <mtu>; then a cold start", up, to, name)
}

// notTold: the guest should have another number than 1500, and nobody tells it.
func (in *inspector) notTold(seg *Segment) {
	want, why := seg.MTU, seg.Why
	if seg.Certainty != Known {
		want = 0
	}
	if in.planned != nil && in.planned.Target != 0 {
		want = in.planned.Target
		if in.planned.Action != Skip {
			why = in.planned.Reason
		}
	}
	if limit, _ := seg.limit(); !tellable(in.XML) && limit.MTU != 0 {
		want = min(want, limit.MTU) // nobody is to set more inside than gets through
	}
	tells := tellable(in.XML)
	switch {
	case want == 0 || in.Ignored || seg.Missing || in.has(finding.ModelCannotCarry):
	case in.reading && in.Guest >= want: // it knows, or above has said so
	case in.reading && in.XML.MTU >= want && tells:
		in.find(finding.WaitsForGuest, in.inside(want), "the guest works with %d, although it was told %d", in.Guest, in.XML.MTU)
	case want == nicmodel.Standard && (in.XML.MTU == 0 || !tells):
	case in.XML.MTU != 0 && tells:
	case in.XML.MTU == 0 && in.planned != nil && in.planned.XML.MTU != 0 && told(in.planned.XML) == nicmodel.ToldVirtio: // needs-cold-start says so
	case in.dhcp() == want && !tells:
		in.find(finding.WaitsForGuest, inside(want), "DHCP alone tells the guest that its segment carries %d: it has that once it asks (option 26)", want)
	case in.dhcp() == want && in.XML.MTU == 0:
		in.find(finding.GuestNotTold, in.tellRemedy(want, tells), "the NIC has no <mtu>: that its segment carries %d the guest is told by DHCP alone, where it asks; %s", want, why)
	case in.XML.MTU == 0:
		in.find(finding.GuestNotTold, in.tellRemedy(want, tells), "nobody tells the guest that its segment carries %d: the NIC has no <mtu>; %s", want, why)
	default:
		in.find(finding.GuestNotTold, in.tellRemedy(want, false), "a %s tells its guest nothing: its <mtu> of %d is for the tap alone", orUnknown(in.XML.Model), in.XML.MTU)
	}
}

// dhcp is the MTU that libvirt's DHCP server tells on the NIC's network, 0: none.
func (in *inspector) dhcp() int {
	if net, ok := in.s.Host.network(in.XML.Network); ok && net.DHCP && !net.Inactive {
		return net.DHCPMTU
	}
	return 0
}

// tellable: the NIC tells its guest what <mtu> it has.
func tellable(n domxml.NIC) bool { return told(n) == nicmodel.ToldVirtio }

func orUnknown(model string) string {
	if model == "" {
		return "NIC without a <model>"
	}
	return model
}

// inside is what to do in the guest, where that alone helps.
func inside(mtu int) string {
	return fmt.Sprintf("# inside the guest: ip link set dev DEVICE mtu %d", mtu)
}

// inside is what to do in this guest: where it has said what it has, it can be told.
func (in *inspector) inside(mtu int) string {
	if !in.reading {
		return inside(mtu)
	}
	return fmt.Sprintf("virt-mtu fix --agent %s\n# or %s", ShellWord(in.s.Name), strings.TrimPrefix(inside(mtu), "# "))
}

// tellRemedy is how a guest comes to know its MTU.
func (in *inspector) tellRemedy(mtu int, byXML bool) string {
	if m, ok := nicmodel.Lookup(in.XML.Model); ok && m.Max < mtu {
		return in.virtio()
	}
	if !nicmodel.LookupType(in.XML.Type).Inject {
		return in.inside(mtu)
	}
	fix := fmt.Sprintf("virt-mtu fix %s", ShellWord(in.s.Name))
	switch {
	case in.planned != nil && in.planned.Action == Skip && in.XML.MTU == 0:
		return fmt.Sprintf("# fix leaves it alone: %s\nvirsh edit %s", printable(in.planned.Reason), ShellWord(in.s.Name))
	case byXML:
		return fix + " # then a cold start"
	case in.XML.MTU == 0:
		return fix + "\n" + in.inside(mtu)
	}
	return in.inside(mtu)
}

// coldStart: does the guest run with another <mtu> than its definition has?
func (in *inspector) coldStart() {
	if in.planned == nil || in.s.Definition == nil {
		return
	}
	name := ShellWord(in.s.Name)
	has, now := mtuText(in.planned.XML.MTU), ""
	remedy := ""
	switch {
	case in.Running && in.XML.MTU != in.planned.XML.MTU:
		now = "it runs with " + mtuText(in.XML.MTU)
		remedy = fmt.Sprintf("virsh shutdown %s # and when it is off: virsh start %s", name, name)
	case in.s.Saved != nil && in.s.Live == nil:
		saved, ok := SameNIC(in.s.Saved.NICs, in.XML.MAC, -1)
		if !ok || saved.MTU == in.planned.XML.MTU {
			return
		}
		now = "its managed save image, which the next start takes, has " + mtuText(saved.MTU)
		remedy = fmt.Sprintf("# start it, shut it down and start it again; or drop the image, and what runs in it:\nvirsh managedsave-remove %s", name)
	default:
		return
	}
	in.find(finding.NeedsColdStart, remedy, "its definition has %s, but %s", has, now)
}

func mtuText(mtu int) string {
	if mtu == 0 {
		return "no <mtu>"
	}
	return fmt.Sprintf("<mtu size='%d'/>", mtu)
}

// unmanaged: libvirt takes an <mtu> for a tap that it does not set, and tells the
// guest.
func (in *inspector) unmanaged(seg *Segment) {
	if !in.XML.Unmanaged || in.XML.MTU == 0 || in.Ignored {
		return
	}
	l, ok := in.s.Host.link(in.XML.Target)
	if ok && l.MTU >= in.XML.MTU {
		return
	}
	has := "is not there"
	if ok {
		has = fmt.Sprintf("has %d", l.MTU)
	}
	in.find(finding.UnmanagedTap, setMTU(in.XML.Target, in.XML.MTU), "managed='no': the guest is told %d, but libvirt does not set tap %s, which %s", in.XML.MTU, Quoted(in.XML.Target), has)
}
