package probe

import (
	"fmt"
	"io"
	"strings"

	"virt-mtu/internal/oneline"
	"virt-mtu/internal/plan"
)

// maxLine bounds a line, in bytes: names come from domain XML and from other hosts.
const maxLine = 4000

// Text writes what was found at a target for people: a line an address, and below it
// what else there is to know. size is the one that was to be tried; 0: the largest was
// looked for.
func (t *Target) Text(w io.Writer, size int) error {
	var b strings.Builder
	line := func(format string, a ...any) {
		b.WriteString(oneline.Text(fmt.Sprintf(format, a...), maxLine))
		b.WriteByte('\n')
	}
	line("%s", plan.Quoted(t.Target))
	for i := range t.Results {
		r := &t.Results[i]
		about := ""
		if r.About != "" {
			about = " (" + r.About + ")"
		}
		line("  %s%s: %s; %s", r.Where(), about, r.verdict(size), packets(r.Sent))
		if r.Hop != "" {
			line("      most likely: %s", r.Hop)
		}
		for _, n := range r.Notes {
			line("      %s", n)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Where says which address was probed, and from where if not from here.
func (r *Result) Where() string {
	if r.By == ByGuest {
		return r.Address + " from inside the guest"
	}
	return r.Address
}

// Messages are the lines of Text that its JSON has no place for.
func (r *Result) Messages() []string {
	var all []string
	if r.Dead() {
		all = append(all, nothingAnswers)
	}
	if r.Hop != "" {
		all = append(all, fmt.Sprintf("%d gets through, less than the %d that should; most likely: %s", r.Largest, r.Expect, r.Hop))
	}
	return append(all, r.Notes...)
}

const nothingAnswers = "nothing answers, whatever its size: it is down, or ICMP echo is filtered"

// Dead reports whether nothing was answered: that is not a black hole.
func (r *Result) Dead() bool { return r.Largest == 0 && r.Limit.Kind == LimitNone }

func packets(n int) string {
	if n == 1 {
		return "1 packet"
	}
	return fmt.Sprintf("%d packets", n)
}

func (r *Result) verdict(size int) string {
	if r.Dead() {
		return nothingAnswers
	}
	if size > 0 && r.Largest == size {
		return fmt.Sprintf("%d gets through", size)
	}
	what, larger := fmt.Sprintf("%d gets through", r.Largest), "larger packets"
	if size > 0 {
		what, larger = fmt.Sprintf("%d does not get through", size), "such packets"
	}
	if r.Largest < r.Expect && r.Largest > 0 {
		what += fmt.Sprintf(", less than the %d that should", r.Expect)
	}
	if l := r.limit(larger); l != "" {
		what += ": " + l
	}
	return what
}

// limit says what stops those packets.
func (r *Result) limit(packets string) string {
	l := r.Limit
	switch l.Kind {
	case LimitLocal:
		if r.By == ByGuest {
			return fmt.Sprintf("%s are refused in %s itself, by an MTU of %d", packets, l.From, l.MTU)
		}
		return fmt.Sprintf("%s are refused here, %s has an MTU of %d", packets, plan.Quoted(l.From), l.MTU)
	case LimitICMP:
		named := "names no MTU"
		if l.MTU > 0 {
			named = fmt.Sprintf("names an MTU of %d", l.MTU)
		}
		return fmt.Sprintf("%s are too big for %s, which %s", packets, l.From, named)
	case LimitBlackhole:
		return fmt.Sprintf("%s vanish (a smaller layer-2 MTU on the way, or ICMP errors are filtered)", packets)
	case LimitFragmented:
		return fmt.Sprintf("%s arrive, and are answered in fragments of an MTU of %d", packets, l.MTU)
	}
	return ""
}
