package plan

import (
	"fmt"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/nicmodel"
)

// macvtap looks at a NIC of type direct: its device sits on a lower one, without a
// bridge.
func (s *Subject) macvtap(x domxml.NIC, planned *NIC) Inspection {
	in := s.begin(x, planned)
	dev, ok := s.Host.link(x.Target)
	if x.Target != "" && in.Running {
		n := Node{Kind: NodeMacvtap, Name: x.Target, MTU: dev.MTU, Carries: dev.MTU}
		if !ok {
			n.Note = "there is no such device here"
		}
		in.step(n)
	}
	lower := x.Dev
	if lower == "" {
		lower = dev.Lower
	}
	under, known := s.Host.link(lower)
	if !known {
		in.find(finding.NotKnown, "", "lower device %s is not there, so what it carries is not known", Quoted(lower))
		return in.done()
	}
	in.follow(s.Host.linkTail(lower))
	carry := s.Host.carry(lower)
	if ok && dev.MTU != 0 && dev.MTU < under.MTU {
		in.find(finding.MacvtapBelowLower, setMTU(dev.Name, under.MTU),
			"macvtap %s has %d, its lower device %s %d: a macvtap goes down with its lower device, and does not come up again by itself", dev.Name, dev.MTU, lower, under.MTU)
	}
	in.model()
	limit := carry.MTU
	if ok && dev.MTU != 0 && in.Running && (limit == 0 || dev.MTU < limit) {
		limit = dev.MTU
	}
	if in.Told && limit != 0 && in.Guest > limit {
		in.find(finding.GuestAboveSegment, inside(limit), "the guest has %d, but %d gets through: its larger packets vanish", in.Guest, limit)
	}
	if !in.reading && carry.Certainty == Known && carry.MTU != nicmodel.Standard && !in.Ignored {
		in.find(finding.GuestNotTold, in.tellRemedy(carry.MTU, false), "nobody tells the guest that %s carries %d: libvirt takes no <mtu> on a macvtap", lower, carry.MTU)
	}
	return in.done()
}

// function looks at a passed-through PCI device.
func (s *Subject) function(x domxml.NIC, planned *NIC, hostdev bool) Inspection {
	in := s.begin(x, planned)
	in.Hostdev = hostdev
	f, ok := s.Host.function(x.Address)
	if !ok {
		in.step(Node{Kind: NodeVF, Name: x.Address, Note: "not among the host's network devices"})
		in.find(finding.NotKnown, "", "PCI device %s was not seen here, so what it carries is not known", Quoted(x.Address))
		return in.done()
	}
	vf, bound := s.Host.link(f.Link)
	n := Node{Kind: NodeVF, Name: x.Address, MTU: vf.MTU, Carries: vf.MTU}
	if bound {
		n.Note = "still has link " + f.Link + " on the host"
	}
	in.step(n)
	if f.PF == "" {
		in.find(finding.NotKnown, "", "%s is passed through whole: what the guest has, and what is behind it, cannot be seen from here", x.Address)
		return in.done()
	}
	parent, _ := s.Host.function(f.PF)
	pf, ok := s.Host.link(parent.Link)
	if !ok {
		in.find(finding.NotKnown, "", "the link of physical function %s was not seen here", f.PF)
		return in.done()
	}
	in.follow(s.Host.linkTail(pf.Name))
	has := vf.MTU
	if in.Guest != 0 {
		has = in.Guest
	}
	switch {
	case pf.MTU != 0 && has > pf.MTU:
		in.find(finding.VFAbovePF, s.Host.set(pf, has), "VF %s has %d, its physical function %s %d: what is larger vanishes there", x.Address, has, pf.Name, pf.MTU)
	case !in.reading && pf.MTU != 0 && pf.MTU != nicmodel.Standard && !in.Ignored:
		in.find(finding.GuestNotTold, inside(pf.MTU), "nobody tells the guest that %s carries %d, and what it has on its VF cannot be seen from here", pf.Name, pf.MTU)
	}
	return in.done()
}

// vhostuser looks at a NIC whose frames a switch in user space takes from memory. Of
// Open vSwitch's the port can be found by its socket.
func (s *Subject) vhostuser(x domxml.NIC, planned *NIC) Inspection {
	in := s.begin(x, planned)
	p, ok := s.Host.sockets[x.Socket]
	if !ok {
		in.find(finding.NotKnown, "", "the switch behind vhost-user socket %s decides what gets through, and Open vSwitch here has no such port", Quoted(x.Socket))
		return in.done()
	}
	in.step(Node{Kind: NodeTap, Name: p.Name, MTU: p.MTU, Carries: p.MTU, Note: clauses("vhost-user", portNote(p.OVSInterface))})
	seg := s.Host.bridge(p.bridge, true)
	in.Bridge = seg.Bridge
	if in.Running {
		in.Segment = fmt.Sprint(seg.Bridge, " ", p.tag)
	}
	in.follow(s.Host.bridgeTail(&seg))
	in.limits(entry{p.Name, seg.Bridge, seg.Wire})
	in.model()
	in.above(&seg)
	in.coldStart()
	return in.done()
}

// opaque is for the types of which nothing can be seen from the host.
func (s *Subject) opaque(x domxml.NIC) Inspection {
	in := s.begin(x, nil)
	if x.Type == "user" {
		in.Path[0].Note = clauses(in.Path[0].Note, "user-mode networking: no frames of the host's")
		return in.done()
	}
	in.find(finding.NotKnown, "", "interface type %s: %s; what gets through cannot be seen from here", Quoted(x.Type), nicmodel.LookupType(x.Type).Why)
	return in.done()
}
