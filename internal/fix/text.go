package fix

import (
	"fmt"
	"io"
	"strings"

	"virt-mtu/internal/oneline"
	"virt-mtu/internal/plan"
)

// maxLine bounds a line, in bytes: names come from domain XML.
const maxLine = 4000

// Text writes a report for people: a line a domain, a line a NIC, and below it
// what else there is to know. Names are quoted where they could be mistaken for
// anything else.
func (r *Report) Text(w io.Writer, dryRun bool) error {
	var b strings.Builder
	for i := range r.Networks {
		n := &r.Networks[i]
		n.text(liner(&b), dryRun)
		writeDiff(liner(&b), n.diff)
	}
	if len(r.Domains) == 0 && len(r.Networks) == 0 {
		b.WriteString("no domains: nothing to do\n")
	}
	for i := range r.Domains {
		r.Domains[i].text(&b, dryRun)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// liner writes lines.
func liner(b *strings.Builder) func(format string, a ...any) {
	return func(format string, a ...any) {
		b.WriteString(oneline.Text(fmt.Sprintf(format, a...), maxLine))
		b.WriteByte('\n')
	}
}

func writeDiff(line func(format string, a ...any), diff []byte) {
	if diff == nil {
		return
	}
	for _, l := range strings.Split(strings.TrimSuffix(string(diff), "\n"), "\n") {
		line("%s", strings.ReplaceAll(l, "\t", "    "))
	}
}

func (r *Result) text(b *strings.Builder, dryRun bool) {
	line := liner(b)
	state := ""
	if r.State != "" {
		state = " (" + r.State + ")"
	}
	line("%s%s: %s", plan.Quoted(r.Name), state, r.verdict(dryRun))
	for _, n := range r.notes {
		line("  %s", n)
	}
	for _, i := range r.Interfaces {
		line("  %s %s on %s: %s", i.MAC, orNone(i.Model), where(i), i.did())
		for _, n := range i.notes {
			line("      %s", n)
		}
	}
	writeDiff(line, r.diff)
}

func (r *Result) verdict(dryRun bool) string {
	return verdict(r.Error != "", r.refused(), r.Changed, dryRun)
}

func verdict(failed, refused, changed, dryRun bool) string {
	switch {
	case failed:
		return "failed"
	case refused:
		return "refused"
	case changed && dryRun:
		return "would change"
	case changed:
		return "changed"
	}
	return "nothing to do"
}

func (i *Interface) did() string {
	switch i.Action {
	case plan.Inject, plan.Update, plan.Remove:
		return fmt.Sprintf("%s: mtu %s -> %s (%s)%s", i.Action, mtu(i.Current), mtu(i.set), i.Reason, i.tell())
	case plan.None:
		return fmt.Sprintf("mtu %s stays (%s)", mtu(i.Current), i.Reason)
	}
	return fmt.Sprintf("%s: %s", i.Action, i.Reason)
}

// tell says who tells the guest, where libvirt does not.
func (i *Interface) tell() string {
	if i.Told == "manual" && i.set != 0 {
		return fmt.Sprintf("; set %d inside the guest too: this model tells it nothing", i.set)
	}
	return ""
}

func where(i Interface) string {
	s := orNone(i.Source)
	if i.Device != "" {
		s += " (" + i.Device + ")"
	}
	return s
}

func mtu(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return plan.Quoted(s)
}
