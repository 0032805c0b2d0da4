package render

import (
	"slices"
	"unicode/utf8"

	"virt-mtu/internal/check"
)

// here marks the host that a domain is on.
const here = "here"

// moves writes a table of domains by hosts, and below it the reasons.
func (p *printer) moves(all []check.Move) {
	if len(all) == 0 {
		return
	}
	t := newMoveTable(all)
	p.gap()
	p.line(0, "could migrate to:")
	p.line(2, "%s", p.moveRow(t, "", t.hosts))
	for _, r := range t.rows {
		p.line(2, "%s", p.moveRow(t, name(r.domain), r.cells))
	}
	for i := range all {
		m := &all[i]
		if len(m.Findings) > 0 {
			p.line(2, "%s to %s: %s", name(m.Domain), name(m.To), p.paint(verdicts[m.Verdict], word(m.Verdict)))
			p.findings(4, m.Findings)
		}
	}
}

type moveTable struct {
	hosts  []string // the columns, as they are shown
	widths []int
	first  int // width of the domains' column
	rows   []moveRow
}

type moveRow struct {
	domain string
	cells  []string // a verdict for each host
}

func newMoveTable(all []check.Move) *moveTable {
	t := &moveTable{}
	columns := map[string]int{}
	column := func(host string) int {
		c, ok := columns[host]
		if !ok {
			c = len(t.hosts)
			columns[host] = c
			t.hosts = append(t.hosts, name(host))
			t.widths = append(t.widths, utf8.RuneCountInString(check.Undecided))
			widen(&t.widths[c], t.hosts[c])
		}
		return c
	}
	for i := range all {
		column(all[i].From)
		column(all[i].To)
	}
	rows := map[[2]string]int{}
	for i := range all {
		m := &all[i]
		key := [2]string{m.From, m.Domain}
		r, ok := rows[key]
		if !ok {
			r = len(t.rows)
			rows[key] = r
			cells := slices.Repeat([]string{"-"}, len(t.hosts))
			cells[column(m.From)] = here
			t.rows = append(t.rows, moveRow{m.Domain, cells})
			widen(&t.first, name(m.Domain))
		}
		t.rows[r].cells[column(m.To)] = word(m.Verdict)
	}
	return t
}

func (p *printer) moveRow(t *moveTable, first string, cells []string) string {
	line := pad(first, t.first)
	for i, c := range cells {
		blanks := pad(c, t.widths[i])[len(c):]
		line += "  " + p.paint(verdicts[c], c) + blanks
	}
	return line
}
