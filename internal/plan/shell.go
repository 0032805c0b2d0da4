package plan

import (
	"strconv"
	"strings"
)

// ShellWord quotes a name for a line that somebody may paste into a shell. Before
// one that looks like an option it puts the usual two dashes. What is not printable
// becomes '?': such a name is not to be pasted, and must not make lines of its own.
func ShellWord(s string) string {
	if strings.HasPrefix(s, "-") {
		return "-- " + quoted(s)
	}
	return quoted(s)
}

// quoted is ShellWord where the name is another option's value.
func quoted(s string) string {
	s = printable(s)
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("./_-+:=", r))
	}
	if s != "" && strings.IndexFunc(s, special) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
