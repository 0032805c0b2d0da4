package domxml

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrNotDomain says that a document is something else than a libvirt <domain>,
// a network or a snapshot for instance, or that there is no element in it.
var ErrNotDomain = errors.New("not a libvirt <domain>")

// ErrNotNetwork says that a document is something else than a libvirt <network>.
var ErrNotNetwork = errors.New("not a libvirt <network>")

// Error is what is wrong at one place of a document.
type Error struct {
	Line, Column int // both from 1; the column in bytes
	Err          error
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %v", e.Line, e.Column, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// errorAt places an error at a byte offset of src.
func errorAt(src []byte, offset int, format string, args ...any) error {
	before := src[:min(offset, len(src))]
	return &Error{
		Line:   1 + bytes.Count(before, []byte{'\n'}),
		Column: len(before) - bytes.LastIndexByte(before, '\n'),
		Err:    fmt.Errorf(format, args...),
	}
}

// clip keeps a name out of the input short enough for an error message.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// quote is clip for a value, which may hold anything.
func quote(s string) string { return strconv.Quote(clip(s)) }
