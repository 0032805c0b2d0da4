package plan

import "strings"

// ShellWord quotes a name for a line that somebody may paste into a shell. Before
// one that looks like an option it puts the usual two dashes.
func ShellWord(s string) string {
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("./_-+:", r))
	}
	dashes := ""
	if strings.HasPrefix(s, "-") {
		dashes = "-- "
	}
	if s != "" && strings.IndexFunc(s, special) < 0 {
		return dashes + s
	}
	return dashes + "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
