package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
)

// Options of Text.
type Options struct {
	Color bool
	// Full draws the path of every NIC. Without it, a report of many NICs has one
	// line for each that is ok, or as another that has its path drawn.
	Full bool
}

// many NICs are more than fit on a screen.
const many = 20

// Text writes a report for people: the path of each NIC from the guest to the wire,
// what is wrong with it, and what to paste.
func Text(w io.Writer, r *check.Report, o Options) error {
	p := printer{Options: o, w: bufio.NewWriter(w)}
	p.Full = o.Full || count(r).nics <= many
	for i := range r.Hosts {
		p.host(&r.Hosts[i])
	}
	p.moves(r.Moves)
	if p.same {
		p.gap()
		p.line(0, "\"as\" another: the same path from the bridge on, and findings of the same codes; --full shows each, with its own remedies")
	}
	if p.links {
		p.gap()
		p.line(0, "order of repair: to raise, from the wire in (underlay, tunnel, uplink, bridge, tap, guest); to lower, from the guest out")
	}
	p.gap()
	p.line(0, "%s", count(r))
	return p.w.Flush()
}

// printer writes lines. An error of its writer comes out of Flush.
type printer struct {
	Options
	w     *bufio.Writer
	any   bool // something has been written
	block bool // the last lines belong together
	links bool // a remedy sets links
	same  bool // a NIC is said to be as another

	written map[string]string // NICs of the host whose paths are drawn, by sameness
}

func (p *printer) line(indent int, format string, a ...any) {
	p.any = true
	text := strings.Repeat(" ", indent) + fmt.Sprintf(format, a...)
	p.w.WriteString(strings.TrimRight(text, " "))
	p.w.WriteByte('\n')
}

// gap sets off what comes next from what came before.
func (p *printer) gap() {
	if p.any {
		p.w.WriteByte('\n')
	}
	p.block = false
}

func (p *printer) host(h *check.Host) {
	status := hostStatus(h)
	p.written = map[string]string{}
	p.gap()
	p.line(0, "%s: %s", name(h.Name), p.paint(status, string(status)))
	p.findings(2, h.Findings)
	p.block = true
	for i := range h.Domains {
		p.domain(&h.Domains[i])
	}
}

func (p *printer) domain(d *check.Domain) {
	if p.allShort(d) {
		if p.block {
			p.gap()
		}
		if len(d.Interfaces) == 0 {
			p.line(2, "%s: no NICs", domain(d))
		}
		for k := range d.Interfaces {
			p.shortNIC(2, name(d.Name)+" ", &d.Interfaces[k])
		}
		return
	}
	p.gap()
	p.line(2, "%s", domain(d))
	if len(d.Interfaces) == 0 {
		p.line(4, "no NICs")
	}
	for k := range d.Interfaces {
		i := &d.Interfaces[k]
		if p.short(i) {
			p.shortNIC(4, "", i)
			continue
		}
		status := status(i)
		p.line(4, "%s on %s: %s", nic(i), place(i), p.paint(status, string(status)))
		p.path(6, i.Path)
		p.findings(6, i.Findings)
		if !p.Full {
			p.written[sameness(i)] = name(d.Name) + " " + address(i)
		}
	}
	p.block = true
}

func (p *printer) shortNIC(indent int, domain string, i *check.Interface) {
	p.line(indent, "%s%s", domain, p.brief(i))
	if status(i) == finding.OK {
		p.findings(indent+2, i.Findings)
	}
}
