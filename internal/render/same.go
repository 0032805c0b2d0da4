package render

import (
	"fmt"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
)

// sameness is the same for NICs of a host of which there is the same to be said: at
// their bridge, beyond their taps, and what is wrong.
func sameness(n *check.Interface) string {
	key := fmt.Sprintf("%q%s", n.Bridge, codes(n))
	for i := range n.Path {
		if node := &n.Path[i]; !guestSide[node.Kind] {
			key += fmt.Sprintf(" %s %q %d %d %t %q", node.Kind, node.Name, node.MTU, node.Carries, node.Bottleneck, node.Note)
		}
	}
	return key
}

// short reports whether a NIC has one line: one that is ok, or the same as one that has
// been written.
func (p *printer) short(n *check.Interface) bool {
	return !p.Full && (status(n) == finding.OK || p.written[sameness(n)] != "")
}

func (p *printer) allShort(d *check.Domain) bool {
	for i := range d.Interfaces {
		if !p.short(&d.Interfaces[i]) {
			return false
		}
	}
	return !p.Full
}

// brief is a NIC in one line.
func (p *printer) brief(n *check.Interface) string {
	status := status(n)
	text := fmt.Sprintf("%s on %s: ", nic(n), place(n))
	shown := p.paint(status, string(status))
	switch {
	case status != finding.OK:
		p.same = true
		return text + "as " + p.written[sameness(n)] + ": " + shown + listed(n.Findings)
	case n.PathMTU != 0:
		return text + shown + fmt.Sprintf(", %d from guest to wire", n.PathMTU)
	}
	return text + shown
}

// listed are the codes of findings, the worst first.
func listed(all []finding.Finding) string {
	var text string
	for _, f := range worstFirst(all) {
		text += " " + word(f.Code)
	}
	return text
}
