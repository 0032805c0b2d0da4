package hook

import (
	"fmt"
	"strconv"
	"strings"
)

// maxLine bounds a line, in bytes. Names come from domain XML, which may be
// megabytes, and what a syslog socket or daemon finds too long is lost or cut
// before the reason.
const maxLine = 2000

// maxName bounds the domain's name in a line, in bytes. libvirt has files called
// after it, so a real one is shorter.
const maxName = 255

// plain makes one printable line of what a domain's owner may have written: it
// starts no line of its own in the log or in virsh, and does nothing to a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, clip(s, maxLine))
}

// clip cuts s behind its first most bytes.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// refusalError is the admin's policy saying no; text is for virsh to show.
type refusalError struct{ text string }

func (e *refusalError) Error() string { return e.text }

// add adds a line to the text.
func (e *refusalError) add(format string, a ...any) {
	e.text += plain(fmt.Sprintf(format, a...)) + "\n"
}
