package render

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/oneline"
)

// DOT writes a report as a graph for Graphviz: a cluster a host, guests on top, the
// wire at the bottom. What is wrong is told by colour, by line and by words.
func DOT(w io.Writer, r *check.Report) error {
	d := dotWriter{bufio.NewWriter(w)}
	d.report(r)
	return d.w.Flush()
}

// dotWriter writes statements. An error of its writer comes out of Flush.
type dotWriter struct{ w *bufio.Writer }

func (d *dotWriter) line(indent int, format string, a ...any) {
	fmt.Fprintf(d.w, strings.Repeat("\t", indent)+format+"\n", a...)
}

func (d *dotWriter) report(r *check.Report) {
	d.line(0, "digraph {")
	d.line(1, `graph [rankdir=TB, compound=true, fontname="sans-serif", fontsize=14, nodesep=0.3, ranksep="0.45", style=rounded, color=gray50, labeljust=l]`)
	d.line(1, `node [shape=box, fontname="sans-serif", fontsize=11, margin="0.12,0.06", style=filled, fillcolor=white, color=gray30]`)
	d.line(1, `edge [fontname="sans-serif", fontsize=10, arrowhead=none, color=gray30]`)
	moves := refused(r.Hosts, r.Moves)
	for i, h := range newGraph(r).hosts {
		lines := hostLines(h.host)
		for _, b := range moves {
			if b.from == i {
				lines = append(lines, b.line(r.Hosts))
			}
		}
		d.host(i, h, lines)
	}
	for _, b := range moves {
		d.line(1, `anchor%d -> anchor%d [ltail=cluster_%[1]d, lhead=cluster_%[2]d, constraint=false, style=dashed, arrowhead=normal, color="#c00000"]`, b.from, b.to)
	}
	d.line(0, "}")
}

func (d *dotWriter) host(i int, h *hostGraph, title []string) {
	d.line(1, "subgraph cluster_%d {", i)
	d.line(2, "label=%s", label(`\l`, title...))
	d.line(2, "anchor%d [style=invis, shape=point, width=0, height=0, label=\"\"]", i)
	for k, domain := range h.domains {
		d.line(2, "subgraph cluster_%d_%d {", i, k)
		d.line(3, "label=%s; fontsize=12; style=\"rounded,filled\"; fillcolor=gray95; color=gray80", label("", domain.title))
		for _, v := range domain.guests {
			d.vertex(3, v)
		}
		d.line(2, "}")
	}
	for _, v := range h.shared {
		d.vertex(2, v)
	}
	for _, e := range h.edges {
		mtu := "?"
		if e.mtu != 0 {
			mtu = fmt.Sprint(e.mtu)
		}
		d.line(2, "n%d -> n%d [label=%s]", e.from.id, e.to.id, label("", " "+mtu))
	}
	d.line(1, "}")
}

// most findings that a host's title has.
const mostTitled = 5

func hostLines(h *check.Host) []string {
	lines := []string{name(h.Name)}
	for i, f := range worstFirst(h.Findings) {
		if i == mostTitled {
			return append(lines, fmt.Sprintf("and %d more", len(h.Findings)-i))
		}
		lines = append(lines, sign[f.Severity]+word(f.Code)+": "+oneline.Text(f.Message, maxLabel))
	}
	return lines
}

// sign and look of a severity: it can be told without colours.
var sign = map[finding.Severity]string{
	finding.Critical: "✗ ",
	finding.Warning:  "! ",
	finding.Unknown:  "? ",
}

var look = map[finding.Severity]string{
	finding.Critical: `, color="#c00000", fillcolor="#fde8e8", penwidth=3`,
	finding.Warning:  `, color="#d07000", fillcolor="#fff3e0", penwidth=2`,
	finding.Unknown:  `, color="#a000a0", style="filled,dashed"`,
}

func (d *dotWriter) vertex(indent int, v *vertex) {
	lines := slices.Clone(v.lines)
	if v.bottleneck {
		text := "bottleneck"
		if v.carries != 0 {
			text += fmt.Sprintf(": %d gets through", v.carries)
		}
		lines = append(lines, text)
	}
	codes := worstFirst(v.codes)
	if len(codes) == 0 || codes[0].Severity != v.status { // what is wrong is elsewhere on its path
		if s := sign[v.status]; s != "" {
			lines = append(lines, s+word(v.status))
		}
	}
	for _, f := range codes {
		lines = append(lines, sign[f.Severity]+word(f.Code))
	}
	d.line(indent, "n%d [label=%s%s]", v.id, label(`\n`, lines...), look[v.status])
}

// maxLabel bounds a line of a label, in bytes.
const maxLabel = 160

// label quotes lines for DOT, each ended by end: \n centres it, \l moves it to the
// left. In a label a backslash begins an escape and an ampersand an entity of HTML.
func label(end string, lines ...string) string {
	text := ""
	for _, l := range lines {
		if l != "" {
			text += escape.Replace(oneline.Text(l, maxLabel)) + end
		}
	}
	return `"` + strings.TrimSuffix(text, `\n`) + `"`
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `&`, `&amp;`)
