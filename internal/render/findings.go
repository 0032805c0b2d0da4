package render

import (
	"slices"
	"strings"

	"virt-mtu/internal/finding"
	"virt-mtu/internal/oneline"
)

// findings writes findings, the worst first, each with what to paste below it.
func (p *printer) findings(indent int, all []finding.Finding) {
	for _, f := range worstFirst(all) {
		p.line(indent, "%s %s: %s", p.paint(f.Severity, word(f.Severity)), word(f.Code), oneline.Text(f.Message, maxText))
		if f.Remedy == "" {
			continue
		}
		for l := range strings.Lines(f.Remedy) {
			l = strings.ReplaceAll(strings.TrimRight(l, "\r\n"), "\t", "    ")
			p.line(indent+4, "%s", oneline.Text(l, maxText))
		}
		p.links = p.links || strings.Contains(f.Remedy, "ip link set")
	}
}

func worstFirst(all []finding.Finding) []finding.Finding {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b finding.Finding) int { return finding.Compare(a.Severity, b.Severity) })
	return sorted
}
