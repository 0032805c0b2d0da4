package domxml

import (
	"bytes"
	"strconv"
)

// span is a half-open range of byte offsets into Document.src.
type span struct{ start, end int }

// site is where the <mtu> of an <interface> or a <network> is, or where it would go.
type site struct {
	name       string // of the element that it is in
	mtu        int    // bytes of IP packet, 0 for none
	whole      span   // that element
	openEnd    int    // the end of its start tag
	selfClosed bool   // an empty element in one tag
	firstChild int    // the start of its first child element, 0 without one
	anchor     span   // the child after which an <mtu> goes, zero without one
	anchorRank int    // of that child, see there
	element    span   // the <mtu>, zero without one
	sizeValue  span   // what stands between the quotes of its size, zero without one
}

// edit replaces a piece of the document.
type edit struct {
	span
	text string
}

// Bytes returns the document as it was parsed, not to be changed.
func (d *Document) Bytes() []byte { return d.src }

// Splice returns the document with other MTUs: bytes of IP packet by index into
// the NICs that Parse found, 0 to take the <mtu> out. A NIC that has the MTU
// already stays as it is to the byte, and so does everything that is no <mtu>,
// but for the line break and indentation that come and go with it. What cannot be
// done, an index without a NIC or an MTU outside of MinMTU to MaxMTU, is passed
// over.
//
// Taking out what Splice put in gives the document that was there before.
func (d *Document) Splice(mtus map[int]int) []byte {
	edits := make([]edit, 0, len(mtus))
	for i := range d.sites {
		if mtu, ok := mtus[i]; ok {
			edits = append(edits, d.sites[i].set(d.src, mtu))
		}
	}
	return apply(d.src, edits)
}

// apply returns src with its edits, which are in order and apart.
func apply(src []byte, edits []edit) []byte {
	size := len(src)
	for _, e := range edits {
		size += len(e.text)
	}
	out := make([]byte, 0, size)
	done := 0
	for _, e := range edits {
		out = append(out, src[done:e.start]...)
		out = append(out, e.text...)
		done = e.end
	}
	return append(out, src[done:]...)
}

// Interface returns the <interface> of a NIC alone, with its MTU set as Splice
// does; nil for an index without a NIC.
func (d *Document) Interface(i, mtu int) []byte {
	if i < 0 || i >= len(d.sites) {
		return nil
	}
	s := &d.sites[i]
	e := s.set(d.src, mtu)
	out := bytes.Clone(d.src[s.whole.start:e.start])
	out = append(out, e.text...)
	return append(out, d.src[e.end:s.whole.end]...)
}

// set returns the edit that gives the <interface> this MTU.
func (s *site) set(src []byte, mtu int) edit {
	switch {
	case mtu == s.mtu, mtu != 0 && mtu < MinMTU, mtu > MaxMTU:
		return edit{span: span{s.whole.start, s.whole.start}}
	case mtu == 0:
		return s.remove(src)
	case s.sizeValue != span{}:
		return edit{s.sizeValue, strconv.Itoa(mtu)}
	case s.element != span{}:
		at := s.element.start + len("<mtu")
		return edit{span{at, at}, " size='" + strconv.Itoa(mtu) + "'"}
	}
	return s.insert(src, "<mtu size='"+strconv.Itoa(mtu)+"'")
}

// insert returns the edit that adds an <mtu>, tag being all of it but its end.
func (s *site) insert(src []byte, tag string) edit {
	after, at, lineBreak, indent := s.line(src)
	if lineBreak != "" {
		return edit{span{at, at}, lineBreak + indent + tag + "/>"}
	}
	switch {
	case s.selfClosed:
		slash := s.openEnd - len("/>")
		return edit{span{slash, s.openEnd}, ">" + tag + "/></" + s.name + ">"}
	case bytes.HasPrefix(src[s.openEnd:], []byte("</")):
		// An empty pair gets a pair, so that remove can tell it from the above.
		return edit{span{s.openEnd, s.openEnd}, tag + "></mtu>"}
	}
	return edit{span{after, after}, tag + "/>"}
}

// line returns where a line of its own goes in, and the line break and indentation that
// it gets; no line break where there can be none. Then a child goes in right at after.
func (s *site) line(src []byte) (after, at int, lineBreak, indent string) {
	after, sibling := s.anchor.end, s.anchor.start
	if s.anchor == (span{}) {
		after, sibling = s.openEnd, s.firstChild
	}
	if sibling != 0 {
		before, start := lineStart(src, sibling)
		if end := lineEnd(src, skipComments(src, after)); end >= 0 && before >= 0 {
			return after, end, lineBreakAt(src, end), string(src[start:sibling])
		}
	}
	return after, after, "", ""
}

// remove returns the edit that takes the <mtu> out.
func (s *site) remove(src []byte) edit {
	alone := s.element.start == s.openEnd && bytes.HasPrefix(src[s.element.end:], []byte("</"))
	if alone && src[s.element.end-len("/>")] == '/' {
		return edit{span{s.openEnd - len(">"), s.whole.end}, "/>"}
	}
	return edit{span: withLine(src, s.element)}
}

// withLine is an element with its line, where it is alone on it.
func withLine(src []byte, element span) span {
	lineBreak, _ := lineStart(src, element.start)
	if end := lineEnd(src, element.end); end >= 0 && lineBreak >= 0 {
		return span{lineBreak, end}
	}
	return element
}

// lineStart returns where the line of at starts and where the break before it
// does; a break of -1 says that something else than blanks precedes at on its line.
func lineStart(src []byte, at int) (lineBreak, start int) {
	for start = at; start > 0 && isBlank(src[start-1]); start-- {
	}
	switch {
	case bytes.HasSuffix(src[:start], []byte("\r\n")):
		return start - 2, start
	case start > 0 && isSpace(src[start-1]):
		return start - 1, start
	}
	return -1, start
}

// lineEnd returns where the break after at is, or -1 if something else than blanks
// follows at on its line.
func lineEnd(src []byte, at int) int {
	for at < len(src) && isBlank(src[at]) {
		at++
	}
	if at < len(src) && isSpace(src[at]) {
		return at
	}
	return -1
}

// skipComments returns where the comments end that follow at on its line: they are
// about what stands before them.
func skipComments(src []byte, at int) int {
	for {
		next := at
		for isBlank(src[next]) {
			next++
		}
		if !bytes.HasPrefix(src[next:], []byte("<!--")) {
			return at
		}
		at = next + bytes.Index(src[next:], []byte("-->")) + len("-->")
	}
}

// lineBreakAt returns the line break that starts at a line's end.
func lineBreakAt(src []byte, at int) string {
	if bytes.HasPrefix(src[at:], []byte("\r\n")) {
		return "\r\n"
	}
	return string(src[at : at+1])
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
