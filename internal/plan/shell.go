package plan

import (
	"strings"

	"virt-mtu/internal/oneline"
)

// ShellWord quotes a name for a line that somebody may paste into a shell. Before
// one that looks like an option it puts the usual two dashes. What is not printable
// becomes '?': such a name is not to be pasted, and must not make lines of its own.
func ShellWord(s string) string {
	if strings.HasPrefix(s, "-") {
		return "-- " + Quoted(s)
	}
	return Quoted(s)
}

// Quoted is ShellWord for prose, and where the name is an option's own value.
func Quoted(s string) string {
	s = printable(s)
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("./_-+:=", r))
	}
	if s != "" && strings.IndexFunc(s, special) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func printable(s string) string { return oneline.Text(s, len(s)) }
