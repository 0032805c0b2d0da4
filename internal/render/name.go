package render

import (
	"strings"
	"unicode/utf8"

	"virt-mtu/internal/check"
	"virt-mtu/internal/oneline"
	"virt-mtu/internal/plan"
)

// Bounds in bytes of what is shown.
const (
	maxName = 200
	maxText = 4000
)

// name makes a name fit to be shown.
func name(s string) string {
	if s == "" {
		return "-"
	}
	return plan.Quoted(oneline.Text(s, maxName))
}

// word makes a code or a severity fit to be shown: they may be another virt-mtu's.
func word[T ~string](s T) string { return oneline.Text(string(s), maxName) }

// address tells a NIC in its domain: by its MAC, or where a PCI device has none by what
// it is.
func address(i *check.Interface) string {
	if i.MAC == "" && i.Type != "" {
		return name(i.Type)
	}
	return name(i.MAC)
}

// nic names a NIC in its domain.
func nic(i *check.Interface) string {
	if i.Model == "" {
		return address(i)
	}
	return address(i) + " " + name(i.Model)
}

// place says what a NIC is attached to.
func place(i *check.Interface) string {
	s := name(i.Source)
	var more []string
	if i.Bridge != "" && i.Bridge != i.Source {
		more = append(more, "bridge "+name(i.Bridge))
	}
	if i.Device != "" {
		more = append(more, name(i.Device))
	}
	if more != nil {
		s += " (" + strings.Join(more, ", ") + ")"
	}
	return s
}

// domain names a domain with its state.
func domain(d *check.Domain) string {
	if d.State == "" {
		return name(d.Name)
	}
	return name(d.Name) + " (" + oneline.Text(d.State, maxName) + ")"
}

// pad fills s with blanks up to a width in characters.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// widest is how wide a column gets: longer ones stick out, instead of moving all
// others.
const widest = 40

func widen(width *int, s string) {
	if n := utf8.RuneCountInString(s); n <= widest {
		*width = max(*width, n)
	}
}
