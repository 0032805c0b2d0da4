package domxml

import (
	"encoding/xml"
	"strconv"
)

// mtuReader reads the <mtu> of an <interface> or a <network>. libvirt reads the first;
// a second is refused.
type mtuReader struct {
	rawMTU    string
	mtuAt     int // offset of its element
	secondMTU int // 0: there is none
}

// openMTU takes the start tag of an <mtu>, raw being all of it, at an offset.
func (r *mtuReader) openMTU(s *site, t xml.StartElement, raw []byte, at int) {
	if r.mtuAt != 0 {
		r.secondMTU = at
		return
	}
	r.mtuAt = at
	size := attrIndex(t.Attr, "size")
	if size < 0 {
		return
	}
	r.rawMTU = t.Attr[size].Value
	value := nextValue(raw, 0)
	for range size {
		value = nextValue(raw, value.end+1)
	}
	s.sizeValue = span{at + value.start, at + value.end}
}

// size judges what was read, of what is called so: bytes of IP packet, 0 for none.
func (r *mtuReader) size(src []byte, of string) (int, error) {
	if r.secondMTU != 0 {
		return 0, errorAt(src, r.secondMTU, "%s: a second <mtu>: leave one of them", of)
	}
	mtu, ok := parseMTU(r.rawMTU)
	if !ok {
		return 0, errorAt(src, r.mtuAt, "%s: mtu size %s is not valid: give %d to %d bytes, or take the <mtu> out",
			of, quote(r.rawMTU), MinMTU, MaxMTU)
	}
	return mtu, nil
}

// parseMTU reads the size of an <mtu>, 0 for none.
func parseMTU(s string) (int, bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && (n == 0 || n >= MinMTU)
}
