package check

import (
	"cmp"
	"fmt"
	"slices"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/plan"
)

// Numbered tells hosts of one name apart, as machines of one image are all called
// localhost: the second becomes "localhost (2)", for all that comes after. The facts
// that it is given stay as they are.
func Numbered(all []facts.Facts) []facts.Facts {
	all = slices.Clone(all)
	taken := map[string]bool{}
	for i := range all {
		all[i].Host = distinct(all[i].Host, taken)
	}
	return all
}

// distinct is name, with a number if it is taken, and takes it.
func distinct(name string, taken map[string]bool) string {
	out := name
	for n := 2; taken[out]; n++ {
		out = fmt.Sprintf("%s (%d)", cmp.Or(name, "host"), n)
	}
	taken[out] = true
	return out
}

// compare finds networks and bridges that carry less on one host than those of the
// same name on another.
func compare(hosts []*subject) {
	type place struct {
		host string
		plan.Carried
	}
	most := map[string]place{}
	carried := make([][]plan.Carried, len(hosts))
	if len(hosts) < 2 {
		return
	}
	used := map[string]bool{} // by a guest on any of them
	for _, h := range hosts {
		for _, d := range h.domains {
			for _, n := range d.nics {
				used[n.Bridge] = true
			}
		}
	}
	for i, h := range hosts {
		carried[i] = h.topology.Carried(used)
		for _, c := range carried[i] {
			if c.MTU > most[c.Name].MTU {
				most[c.Name] = place{h.Host, c}
			}
		}
	}
	for i, h := range hosts {
		for _, c := range carried[i] {
			if m := most[c.Name]; c.MTU < m.MTU {
				h.findings = append(h.findings, c.Disagreement(m.host, m.Carried))
			}
		}
	}
}
