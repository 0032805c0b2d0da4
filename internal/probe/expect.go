package probe

import (
	"fmt"

	"virt-mtu/internal/plan"
)

// Judge notes what should get through, and where less does names the step that most
// likely stops it. path is the NIC's as check computes it, from the guest to the wire;
// nil: the address is of no NIC here.
func (r *Result) Judge(expect int, path []plan.Node) {
	r.Expect = expect
	if r.Largest == 0 || r.Largest >= expect {
		return
	}
	r.Hop = r.hop(path)
}

func (r *Result) hop(path []plan.Node) string {
	switch r.Limit.Kind {
	case LimitLocal:
		if r.By == ByGuest {
			return fmt.Sprintf("the guest itself: it works with an MTU of %d", r.Limit.MTU)
		}
		return fmt.Sprintf("link %s of this host, with its MTU of %d", plan.Quoted(r.Limit.From), r.Limit.MTU)
	case LimitICMP:
		return "router " + r.Limit.From + ", or the link behind it"
	case LimitFragmented:
		if r.Family == 4 && len(path) == 0 {
			return "the target's own NIC, or a router on the way back"
		}
		return fmt.Sprintf("the guest itself: it works with an MTU of %d", r.Limit.MTU)
	case LimitBlackhole:
	default:
		return ""
	}
	if len(path) == 0 {
		return "a switch or bridge on the way whose MTU is smaller, or a filter that drops ICMP errors"
	}
	// From the guest out: the host's packets to it pass that end of the path first.
	for _, n := range path {
		if n.MTU > 0 && n.MTU <= r.Largest && n.Kind != plan.NodeNetwork {
			return fmt.Sprintf("%s %s, with its MTU of %d", n.Kind, plan.Quoted(n.Name), n.MTU)
		}
	}
	if r.By == ByGuest {
		return "a filter of what comes out of the guest: every link here carries more"
	}
	return "inside the guest, or what its model takes: every link here carries more"
}
