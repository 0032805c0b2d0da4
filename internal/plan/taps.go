package plan

import (
	"fmt"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/nicmodel"
)

// Tap is what to do about one live tap.
type Tap struct {
	MAC    string
	Device string
	Bridge string
	MTU    int // as it is; 0: the device is not there
	Want   int // what it should be at least; 0: nothing is known
	Raise  bool
	Above  bool // it should be above its bridge, which may go up with it
	Reason string
}

// Taps plans the taps of a domain that has them: a running one, or one whose
// start has come as far as libvirt's start hook. The plan must be that of its live
// XML.
//
// A tap should have the largest of its guest's MTU, its bridge's and the smallest
// uplink's. The bridge alone will not do: where the guest's MTU is small, libvirt
// has set the tap to it, and a bridge that follows its ports down with it. A live
// tap is never lowered.
func (p *Plan) Taps(t *Topology) []Tap {
	var taps []Tap
	for _, n := range p.NICs {
		if n.XML.Target == "" || !nicmodel.LookupType(n.XML.Type).Bridged || n.Ignored {
			continue
		}
		taps = append(taps, t.tap(n))
	}
	return taps
}

// TapMTU is what the taps on a Linux bridge should have at least, whosever they are: the
// larger of the bridge's MTU and the smallest uplink's; 0 where it is no Linux bridge.
func (t *Topology) TapMTU(bridge string) (mtu int, why string) {
	s := t.bridge(bridge, false)
	if s.BridgeMTU == 0 {
		return 0, s.Why
	}
	return s.tapMTU()
}

// Steady reports whether a Linux bridge has a tap, and nothing may be holding it down: it
// can be pinned where it is.
func (t *Topology) Steady(bridge string) bool {
	s := t.bridge(bridge, false)
	if s.BridgeMTU == 0 || s.Held() {
		return false
	}
	for _, p := range t.portsOf(bridge) {
		if p.Tap {
			return true
		}
	}
	return false
}

// Outlook is what the plan of any NIC on a bridge depends on of that bridge.
type Outlook struct {
	MTU       int // what the segment carries; 0: not known
	Certainty Certainty
	Tap       int  // what its taps should have at least; 0: nothing is known
	Held      bool // something may be keeping it down
	Wired     bool // it has uplinks
}

// Outlooks returns those of all bridges, by name: where they are what they were, what
// has changed on the host changes no plan.
func (t *Topology) Outlooks() map[string]Outlook {
	out := map[string]Outlook{}
	add := func(name string, ovs bool) {
		s := t.bridge(name, ovs)
		o := Outlook{MTU: s.MTU, Certainty: s.Certainty, Held: s.Held(), Wired: len(s.Uplinks) > 0}
		if s.BridgeMTU != 0 {
			o.Tap, _ = s.tapMTU()
		}
		out[name] = o
	}
	for _, l := range t.host.Links {
		if l.Kind == "bridge" {
			add(l.Name, false)
		}
	}
	for name := range t.bridges {
		add(name, true)
	}
	return out
}

func (s *Segment) tapMTU() (mtu int, why string) {
	mtu, why = s.BridgeMTU, fmt.Sprintf("bridge %s has %d", s.Bridge, s.BridgeMTU)
	if least, ok := s.minUplink(); ok && least.Carry.MTU > mtu {
		mtu, why = least.Carry.MTU, fmt.Sprintf("uplink %s %s", least.Name, least.says())
	}
	return min(mtu, maxTap), why
}

func (topology *Topology) tap(n NIC) Tap {
	seg := n.Segment
	t := Tap{MAC: n.XML.MAC, Device: n.XML.Target, Bridge: seg.Bridge}
	switch {
	case seg.OVS:
		t.Reason = fmt.Sprintf("%s is Open vSwitch's: left alone", seg.Bridge)
		return t
	case seg.BridgeMTU == 0:
		t.Reason = seg.Why
		return t
	}
	link, ok := topology.link(t.Device)
	switch {
	case !ok:
		t.Reason = fmt.Sprintf("there is no device %q", t.Device)
		return t
	case !link.Tap:
		t.Reason = fmt.Sprintf("%s is not a tap: left alone", t.Device)
		return t
	case link.Master != seg.Bridge:
		t.Reason = fmt.Sprintf("%s is not a port of %s: left alone", t.Device, seg.Bridge)
		return t
	}
	t.MTU = link.MTU
	t.Want, t.Reason = seg.tapMTU()
	if n.XML.MTU > t.Want {
		t.Want, t.Reason = n.XML.MTU, fmt.Sprintf("the guest has %d", n.XML.MTU)
	}
	t.Want = min(t.Want, maxTap)
	t.Raise, t.Above = t.Want > t.MTU, t.Want > seg.BridgeMTU
	return t
}

// bridgeAlone is what comes of a bridge below its guest that the uplinks carry: ports do
// not ask the bridge, only what leaves by it does.
const bridgeAlone = "the wire carries it, the host's own address and smaller taps do not"

// Arrival is what the destination of a migration says of one NIC.
type Arrival struct {
	NIC     domxml.NIC
	segment Segment
	Code    finding.Code
	Blocked bool   // its large packets would vanish here
	Reason  string // empty: nothing to say
}

// Arrivals judges a guest that is about to migrate to this host by its <mtu>: an
// uplink (with none: the bridge) below it blocks; the bridge alone below it is
// worth a warning, since the wire carries what the host's own address and smaller
// taps do not. A NIC without <mtu> is no reason for anything. The words are read at the
// source too, so they name this host.
func (p *Plan) Arrivals(host string) []Arrival {
	var out []Arrival
	for _, n := range p.NICs {
		if n.XML.MTU == 0 || n.Ignored || !nicmodel.LookupType(n.XML.Type).Bridged {
			continue
		}
		out = append(out, arrival(n, "on "+host))
	}
	return out
}

func arrival(n NIC, where string) Arrival {
	a := Arrival{NIC: n.XML, segment: n.Segment}
	seg := n.Segment
	limit, above := seg.limit()
	switch {
	case seg.Missing:
		a.Code = finding.BridgeMissing
		a.Reason = seg.Why + fmt.Sprintf(": not known whether it carries %d", n.XML.MTU)
	case limit.MTU == 0:
		a.Code = finding.NotKnown
		a.Reason = limit.Why + fmt.Sprintf(": not known whether it carries %d", n.XML.MTU)
	case limit.MTU < n.XML.MTU:
		a.Code, a.Blocked = above, true
		a.Reason = fmt.Sprintf("the guest has %d, but %s %s: its larger packets would vanish", n.XML.MTU, seg.narrowest(limit), where)
	case limit.Certainty != Known:
		a.Code = finding.NotKnown
		a.Reason = limit.Why + fmt.Sprintf(": not known whether it carries %d", n.XML.MTU)
	case seg.BridgeMTU != 0 && seg.BridgeMTU < n.XML.MTU:
		a.Code = finding.BridgeBelowUplink
		a.Reason = fmt.Sprintf("the guest has %d and bridge %s only %d %s: %s",
			n.XML.MTU, seg.Bridge, seg.BridgeMTU, where, bridgeAlone)
	}
	return a
}
