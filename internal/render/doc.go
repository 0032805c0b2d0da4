// Package render shows a report of check: as text, as a picture, as metrics. It
// decides nothing: what is wrong, how badly, and what to do stands in the report.
//
// Names come from domain XML and from other hosts' files. Each is made one line of
// printable text, and quoted where it could be mistaken for anything else.
package render
