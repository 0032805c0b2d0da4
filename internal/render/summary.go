package render

import (
	"fmt"
	"strings"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
)

// severities in the order in which they are counted.
var severities = [...]finding.Severity{finding.OK, finding.Unknown, finding.Warning, finding.Critical}

// tally counts the NICs of a report, and the findings about hosts themselves.
type tally struct {
	hosts, domains, nics int
	byStatus             map[finding.Severity]int
	ofHosts              map[finding.Severity]int
}

func count(r *check.Report) *tally {
	t := &tally{byStatus: map[finding.Severity]int{}, ofHosts: map[finding.Severity]int{}}
	for i := range r.Hosts {
		h := &r.Hosts[i]
		t.hosts++
		for _, f := range h.Findings {
			t.ofHosts[finding.Worse(finding.OK, f.Severity)]++
		}
		for k := range h.Domains {
			t.domains++
			for n := range h.Domains[k].Interfaces {
				t.nics++
				t.byStatus[status(&h.Domains[k].Interfaces[n])]++
			}
		}
	}
	return t
}

// String is the summary: "12 NICs of 10 domains: 8 ok, 1 warning, 3 critical".
func (t *tally) String() string {
	text := plural(t.nics, "NIC") + " of " + plural(t.domains, "domain")
	if t.hosts > 1 {
		text += " on " + plural(t.hosts, "host")
	}
	if t.nics > 0 {
		text += ": " + each(t.byStatus, severities[:])
	}
	if of := each(t.ofHosts, severities[1:]); of != "" {
		text += fmt.Sprintf("; %s about %s", of, map[bool]string{false: "the host", true: "hosts"}[t.hosts > 1])
	}
	return text
}

func each[T comparable](counts map[T]int, which []T) string {
	var parts []string
	for _, s := range which {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %v", n, s))
		}
	}
	return strings.Join(parts, ", ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
