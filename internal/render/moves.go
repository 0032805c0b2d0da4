package render

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"virt-mtu/internal/check"
)

// here marks the host that a domain is on.
const here = "here"

// Moves writes whether domains could migrate for people: a table, the reasons, and what
// to paste.
func Moves(w io.Writer, m *check.Migration, o Options) error {
	p := printer{Options: o, w: bufio.NewWriter(w)}
	p.moves(m.Moves)
	p.gap()
	counts := map[string]int{}
	for i := range m.Moves {
		counts[m.Moves[i].Verdict]++
	}
	text := plural(len(m.Moves), "move")
	if len(m.Moves) > 0 {
		text += ": " + each(counts, []string{check.Yes, check.Undecided, check.No})
	}
	p.line(0, "%s", text)
	return p.w.Flush()
}

// moves writes a table of domains by hosts, and below it the reasons. Those for which the
// same is said are named together.
func (p *printer) moves(all []check.Move) {
	if len(all) == 0 {
		return
	}
	t := newMoveTable(all)
	p.gap()
	p.line(0, "could migrate to:")
	p.line(2, "%s", p.moveRow(t, "", t.hosts))
	for _, r := range t.rows {
		p.line(2, "%s", p.moveRow(t, r.domain, r.cells))
	}
	var said []*check.Move
	for i := range all {
		m := &all[i]
		alike := func(other *check.Move) bool {
			return other.To == m.To && other.Verdict == m.Verdict && slices.Equal(other.Findings, m.Findings)
		}
		if len(m.Findings) == 0 || slices.ContainsFunc(said, alike) {
			continue
		}
		said = append(said, m)
		names := ""
		for k := i; k < len(all); k++ {
			if alike(&all[k]) {
				names += ", " + name(all[k].Domain)
			}
		}
		p.line(2, "%s to %s: %s", names[2:], name(m.To), p.paint(verdicts[m.Verdict], word(m.Verdict)))
		p.findings(4, m.Findings)
	}
}

type moveTable struct {
	hosts  []string // the columns, as they are shown
	widths []int
	first  int // width of the domains' column
	rows   []moveRow
}

type moveRow struct {
	domain string   // with its state, where that is not that it runs
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
		if all[i].From != "" {
			column(all[i].From)
		}
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
			if m.From != "" {
				cells[column(m.From)] = here
			}
			t.rows = append(t.rows, moveRow{mover(m), cells})
			widen(&t.first, mover(m))
		}
		t.rows[r].cells[column(m.To)] = word(m.Verdict)
	}
	return t
}

// mover names a domain that moves. One that does not run moves as its definition.
func mover(m *check.Move) string {
	return domain(&check.Domain{Name: m.Domain, State: strings.TrimSuffix(m.State, running)})
}

// running is libvirt's word.
const running = "running"

func (p *printer) moveRow(t *moveTable, first string, cells []string) string {
	line := pad(first, t.first)
	for i, c := range cells {
		blanks := pad(c, t.widths[i])[len(c):]
		line += "  " + p.paint(verdicts[c], c) + blanks
	}
	return line
}
