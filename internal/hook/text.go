package hook

import (
	"fmt"

	"virt-mtu/internal/oneline"
)

// maxLine bounds a line, in bytes. Names come from domain XML, which may be
// megabytes, and what a syslog socket or daemon finds too long is lost or cut
// before the reason.
const maxLine = 2000

// maxName bounds the domain's name in a line, in bytes. libvirt has files called
// after it, so a real one is shorter.
const maxName = 255

// refusalError is the admin's policy saying no; text is for virsh to show.
type refusalError struct{ text string }

func (e *refusalError) Error() string { return e.text }

// add adds a line to the text.
func (e *refusalError) add(format string, a ...any) {
	e.text += oneline.Text(fmt.Sprintf(format, a...), maxLine) + "\n"
}
