package render

import (
	"fmt"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/plan"
)

// guestSide are the kinds of node that are one NIC's own.
var guestSide = map[plan.NodeKind]bool{
	plan.NodeGuest:   true,
	plan.NodeTap:     true,
	plan.NodeMacvtap: true,
	plan.NodeVF:      true,
}

// likes counts NICs that are alike.
type likes struct {
	nics, domains int
	last          *check.Domain
	vertex        *vertex
}

func (l *likes) add(d *check.Domain) {
	l.nics++
	if l.last != d {
		l.domains++
		l.last = d
	}
}

// lines say what the NICs are, of which n is one.
func (l *likes) lines(n *check.Interface) []string {
	text := plural(l.domains, "guest")
	if l.nics != l.domains {
		text = plural(l.nics, "NIC") + " of " + text
	}
	if status(n) == finding.OK {
		text += ", ok"
	}
	if n.GuestMTU == 0 {
		return []string{text, "MTU unknown"}
	}
	return []string{text, fmt.Sprintf("MTU %d", n.GuestMTU)}
}

// likeness is the same for NICs that look alike in a picture: what they are attached
// to, their MTUs, and what is wrong with them.
func likeness(n *check.Interface) string {
	key := fmt.Sprintf("%s %d", n.Status, n.GuestMTU)
	for i := range n.Path {
		node := &n.Path[i]
		if !guestSide[node.Kind] {
			return key + fmt.Sprintf(" %s %q", node.Kind, node.Name) + codes(n)
		}
		key += fmt.Sprintf(" %s %d %t", node.Kind, node.MTU, node.Bottleneck)
	}
	return key + codes(n)
}

func codes(n *check.Interface) string {
	var all string
	for _, f := range n.Findings {
		all += " " + string(f.Code)
	}
	return all
}
