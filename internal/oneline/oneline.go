// Package oneline makes text that a domain's owner may have written safe to show: it
// starts no line of its own in a log or a report, and does nothing to a terminal.
package oneline

import (
	"strconv"
	"strings"
)

// Text returns s with all that is not printable made '?', cut behind its first most
// bytes, which three dots then say.
func Text(s string, most int) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, clip(s, most))
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
