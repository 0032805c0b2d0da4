// Package jsonout writes JSON for programs that people may look at: indented, and with
// nothing in it that does anything to a terminal.
package jsonout
