package domxml

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"slices"
)

// Network is what virt-mtu changes of a <network> element, or names it by.
type Network struct {
	Name string // as it stands in the XML
	UUID string // canonical; empty where the XML has none
	// MTU is <mtu size=''> in bytes of IP packet; 0 where there is none, which is also
	// what libvirt makes of size='0' and size=''.
	MTU int
	// Metadata as in Domain. libvirt keeps a network's as it is.
	Metadata map[string]Element
}

// NetworkDocument is one parsed network and the bytes that it was parsed from.
type NetworkDocument struct {
	Network
	src  []byte
	mtu  site
	meta metadataSite
}

// network is a <network> that is being read.
type network struct {
	mtuReader
	mtu      site
	meta     metadataSite
	child    span   // of <network>, the one that is open
	what     string // its name, empty if it is foreign
	node     span   // of <metadata>, the child that is open
	ours     bool   // that child is of the namespace that is looked for
	uri      string
	metaRank int
}

// metadataSite is where the <metadata> of a <network> is, or where it would go, and in
// it the node of one namespace.
type metadataSite struct {
	site         // of the <metadata> that there may be none of: its anchor
	element span // the <metadata>, zero without one
	open    int  // the end of its start tag
	close   int  // the start of its end tag
	closed  bool // <metadata/>
	plain   bool // it has no attributes
	first   int  // the start of its first child, 0 without one
	node    span // the one of the namespace, zero without one
	second  int  // another of it; 0: there is none
}

// ParseNetwork reads one libvirt <network>; uri is the namespace of the node of its
// <metadata> that Splice sets. It keeps src, which must not change after.
//
// Errors are as those of Parse, with ErrNotNetwork.
func ParseNetwork(src []byte, uri string) (*NetworkDocument, error) {
	n := &network{mtu: site{name: "network"}, uri: uri}
	p := parser{src: src, kind: networkKind, network: n}
	if err := p.parse(); err != nil {
		return nil, err
	}
	d := &NetworkDocument{
		Network: Network{Name: p.doc.Name, UUID: p.doc.UUID, Metadata: p.doc.Metadata},
		src:     src, mtu: n.mtu, meta: n.meta,
	}
	if d.Name == "" {
		return nil, errorAt(src, 0, "the network has no <name>")
	}
	if n.meta.second != 0 {
		return nil, errorAt(src, n.meta.second, "a second node of namespace %s in <metadata>: leave one of them", quote(uri))
	}
	var err error
	d.MTU, err = n.size(src, "network "+quote(d.Name))
	d.mtu.mtu = d.MTU
	return d, err
}

// openInNetwork takes a start tag of a network.
func (p *parser) openInNetwork(t xml.StartElement) {
	n, at := p.network, p.token.start
	switch {
	case p.depth == 1:
		n.mtu.whole.start, n.mtu.openEnd = at, p.token.end
		n.mtu.selfClosed = p.src[p.token.end-2] == '/'
	case p.depth == 2:
		if n.mtu.firstChild == 0 {
			n.mtu.firstChild = at
		}
		n.child, n.what = span{at, p.token.end}, p.section
		switch {
		case n.what == "mtu":
			n.openMTU(&n.mtu, t, p.raw(), at)
		case n.what == "metadata" && !p.described:
			n.meta.open, n.meta.closed = p.token.end, p.src[p.token.end-2] == '/'
			n.meta.plain = len(t.Attr) == 0
		}
	case p.depth == 3 && n.what == "metadata" && !p.described:
		if n.meta.first == 0 {
			n.meta.first = at
		}
		n.node.start, n.ours = at, t.Name.Space == n.uri
		if n.ours && n.meta.node != (span{}) {
			n.meta.second = at
		}
	}
}

// closeInNetwork takes an end tag of a network.
func (p *parser) closeInNetwork() error {
	n := p.network
	switch {
	case p.depth == 1:
		n.mtu.whole.end = p.token.end
		n.meta.site.openEnd, n.meta.site.firstChild = n.mtu.openEnd, n.mtu.firstChild
	case p.depth == 2:
		n.child.end = p.token.end
		switch {
		case n.what == "mtu" && n.secondMTU == 0:
			n.mtu.element = n.child
		case n.what == "metadata" && !p.described:
			n.meta.element, n.meta.close = n.child, p.token.start
		}
		if rank := networkRank(n.what); rank > n.mtu.anchorRank {
			n.mtu.anchor, n.mtu.anchorRank = n.child, rank
		}
		// Further up: libvirt writes it before all that is about the wire.
		if rank := networkRank(n.what); rank > n.metaRank && rank <= rankUUID {
			n.meta.anchor, n.metaRank = n.child, rank
		}
	case p.depth == 3 && n.ours && n.meta.second == 0 && n.what == "metadata" && !p.described:
		n.meta.node = span{n.node.start, p.token.end}
	}
	return nil
}

const rankUUID = 2

// networkRank says which child of a <network> an <mtu> goes after, the highest.
func networkRank(child string) int {
	switch child {
	case "bridge":
		return 4
	case "forward":
		return 3
	case "uuid":
		return rankUUID
	case "name":
		return 1
	}
	return 0
}

// Bytes returns the document as it was parsed, not to be changed.
func (d *NetworkDocument) Bytes() []byte { return d.src }

// Splice returns the document with another MTU, bytes of IP packet or 0 to take the
// <mtu> out, and with node in its <metadata>: a whole element of the namespace that it
// was parsed for, with its declaration; empty: none. Every other byte stays as it is, but
// for the line break and indentation that come and go with them, and a <metadata> that
// would be left empty. An MTU outside of MinMTU to MaxMTU changes nothing.
func (d *NetworkDocument) Splice(mtu int, node string) []byte {
	// Where both go in at one place, the <metadata> comes first.
	edits := []edit{d.meta.set(d.src, node), d.mtu.set(d.src, mtu)}
	slices.SortStableFunc(edits, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
	return apply(d.src, edits)
}

// set returns the edit that puts a node there.
func (s *metadataSite) set(src []byte, node string) edit {
	switch {
	case node == "" && s.node == (span{}):
		return edit{}
	case node == "":
		return edit{span: s.remove(src)}
	case s.node != (span{}):
		return edit{s.node, node}
	case s.element == (span{}):
		after, at, lineBreak, indent := s.line(src)
		if lineBreak == "" {
			return edit{span{after, after}, "<metadata>" + node + "</metadata>"}
		}
		inner := lineBreak + indent + step(indent)
		return edit{span{at, at}, lineBreak + indent + "<metadata>" + inner + node + lineBreak + indent + "</metadata>"}
	case s.closed:
		slash := s.open - len("/>")
		return edit{span{slash, s.open}, ">" + node + "</metadata>"}
	}
	if s.first != 0 {
		before, start := lineStart(src, s.first)
		if end := lineEnd(src, s.open); end >= 0 && before >= 0 {
			return edit{span{end, end}, lineBreakAt(src, end) + string(src[start:s.first]) + node}
		}
	}
	return edit{span{s.open, s.open}, node}
}

// remove returns what goes with the node: the whole <metadata>, where nothing else is in
// it.
func (s *metadataSite) remove(src []byte) span {
	blank := func(b []byte) bool { return len(bytes.Trim(b, " \t\r\n")) == 0 }
	if s.plain && blank(src[s.open:s.node.start]) && blank(src[s.node.end:s.close]) {
		return withLine(src, s.element)
	}
	return withLine(src, s.node)
}

// step is what one more level of indentation adds.
func step(indent string) string {
	if indent != "" && indent[0] == '\t' {
		return "\t"
	}
	return "  "
}
