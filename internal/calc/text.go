package calc

import (
	"fmt"
	"io"
	"strings"

	"virt-mtu/internal/oneline"
)

// maxValue bounds what is shown of an option's value, in bytes: it may list a
// deployment's physical networks.
const maxValue = 1000

// Text writes the result for people: a line for each number, in the order in which
// they are taken off.
func (r Result) Text(w io.Writer) error {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }

	if n := r.Network; n != nil {
		for _, s := range n.Steps {
			value := oneline.Text(s.Value, maxValue)
			if s.Default {
				value += " (default)"
			}
			line("%s %s: %s", s.Option, value, oneline.Text(s.Effect, maxValue))
		}
	}
	if r.Network == nil || r.Underlay > 0 {
		line("%5d  underlay", r.Underlay)
	}
	for _, l := range r.Layers {
		line("%5d  %s", -l.Bytes, l.Name)
		for _, p := range l.Parts {
			line("       %5d  %s", p.Bytes, p.What)
		}
	}
	if n := r.Network; n != nil && n.Maximum != r.MTU && n.Maximum > 0 {
		line("%5d  the largest mtu that neutron takes", n.Maximum)
	}
	if r.MTU == 0 {
		line("%5d  mtu: neutron knows no limit, and tells guests nothing", r.MTU)
	} else {
		line("%5d  mtu", r.MTU)
		if r.Ping4 > 0 {
			line("%5d  largest ping over IPv4: ping -4 -M do -s %[1]d", r.Ping4)
		}
		below := ""
		if r.MTU < minIPv6 {
			below = fmt.Sprintf(" (but IPv6 needs an mtu of %d at least)", minIPv6)
		}
		line("%5d  largest ping over IPv6: ping -6 -M do -s %[1]d%s", r.Ping6, below)
	}
	for _, a := range r.Advertise {
		if a.Why != "" {
			line("%s: none: %s", a.For, a.Why)
		} else {
			line("%s: %s", a.For, a.Line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
