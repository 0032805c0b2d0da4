package plan

import (
	"fmt"

	"virt-mtu/internal/domxml"
)

// Inside is the MTU that a running guest should have set for one of its NICs.
type Inside struct {
	MTU int // bytes of IP packet; 0: it is to be left as it is
	// Reason for the number, or for none, one clause.
	Reason string
	// Waits says what keeps the guest below its target until a cold start; empty:
	// nothing does.
	Waits string
}

// Inside plans that, for a NIC of the domain's plan and the same NIC as it runs. Raised
// is what its tap is going to have, 0: what it has.
//
// It is the NIC's target, but no more than gets through to the guest now: what its tap
// and its segment carry. Nor can a virtio guest that was started with an <mtu> go above
// that, whatever the definition has by now (virtio_net: max_mtu is host_mtu).
func (t *Topology) Inside(n *NIC, live domxml.NIC, raised int) Inside {
	if n.Target == 0 || n.Ignored || n.Action == Skip || n.Action == Refuse {
		return Inside{Reason: n.Reason}
	}
	tap, ok := t.link(live.Target)
	if !ok || !tap.Tap || tap.MTU == 0 || live.Target == "" {
		return Inside{Reason: "what its tap carries is not known"}
	}
	in := Inside{MTU: n.Target, Reason: n.Reason}
	atMost := func(most int, why string) bool {
		if most == 0 || in.MTU <= most {
			return false
		}
		in.MTU, in.Reason = most, why
		return true
	}
	seg := t.Segment(live)
	if live.Type == "ethernet" {
		seg = t.wherePlugged(live)
	}
	has := max(tap.MTU, raised)
	atMost(has, fmt.Sprintf("its tap %s has %d", tap.Name, has))
	if limit, _ := seg.limit(); limit.MTU != 0 {
		atMost(limit.MTU, limit.Why)
	}
	if told := fmt.Sprintf("the running guest was told %d, and its driver takes no more", live.MTU); tellable(live) && atMost(live.MTU, told) {
		in.Waits = fmt.Sprintf("%s: %d waits for a cold start", told, n.Target)
	}
	return in
}
