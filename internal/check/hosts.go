package check

import (
	"cmp"
	"fmt"
	"slices"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
)

// numbered tells hosts of one name apart, as machines of one image are all called
// localhost: the second becomes "localhost (2)", for all that comes after. The facts
// that it is given stay as they are.
func numbered(all []facts.Facts) []facts.Facts {
	all = slices.Clone(all)
	taken := map[string]bool{}
	for i := range all {
		f := &all[i]
		name := cmp.Or(f.Host, "host")
		for n := 2; taken[f.Host]; n++ {
			f.Host = fmt.Sprintf("%s (%d)", name, n)
		}
		taken[f.Host] = true
	}
	return all
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

// moves says for each domain of a host which of the other hosts it could migrate to.
func (s *subject) moves(hosts []*subject, config policy.Config) []Move {
	var out []Move
	for i := range s.domains {
		d := &s.domains[i]
		xml := d.live
		if xml == nil {
			xml = d.definition
		}
		if xml == nil {
			continue
		}
		for _, to := range hosts {
			if to == s {
				continue
			}
			m := Move{Domain: d.Name, From: s.Host, To: to.Host, Findings: []finding.Finding{}}
			found, err := plan.Move(*xml, to.topology, config)
			m.Findings = append(m.Findings, found...)
			m.Verdict = verdict(found)
			if err != nil {
				m.Verdict = Undecided
				m.Findings = append(m.Findings, finding.New(finding.ConfigInvalid, err.Error(), ""))
			}
			out = append(out, m)
		}
	}
	return out
}

// verdict: what vanishes there or has nothing to be plugged into cannot move.
func verdict(found []finding.Finding) string {
	v := Yes
	for _, f := range found {
		switch {
		case f.Severity == finding.Critical || f.Code == finding.BridgeMissing:
			return No
		case f.Severity == finding.Unknown:
			v = Undecided
		}
	}
	return v
}
