package domxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// byteOrderMark may stand before everything else; libxml2 passes it over too.
const byteOrderMark = "\ufeff"

// Parse reads one libvirt <domain>. It keeps src, which must not change after.
//
// The error is ErrNotDomain (errors.Is) for a document that is something else; an
// *Error (errors.As) wherever a place in src is to blame.
func Parse(src []byte) (*Document, error) {
	p := parser{src: src, doc: Document{src: src}, kind: domainKind}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return &p.doc, nil
}

// kind is what a document has to be.
type kind struct {
	root string // its element
	not  error  // what it is where it is something else
}

var (
	domainKind  = kind{"domain", ErrNotDomain}
	networkKind = kind{"network", ErrNotNetwork}
)

func (p *parser) parse() error {
	if len(p.src) > MaxSize {
		return fmt.Errorf("the document is larger than %d bytes, which is more than libvirt itself takes", MaxSize)
	}
	if err := checkBytes(p.src); err != nil {
		return err
	}
	p.open = make([]xml.Name, 0, usualDepth)
	if bytes.HasPrefix(p.src, []byte(byteOrderMark)) {
		p.base = len(byteOrderMark)
	}
	return p.run()
}

// parser walks over the tokens of one document. Beyond the names that are open its
// state is flat: nothing that matters lies deeper than the <address> in the <source>
// of a device.
type parser struct {
	src  []byte
	dec  *xml.Decoder
	base int // offset in src of the first byte that dec sees
	doc  Document
	kind kind

	token span       // the one at hand
	depth int        // open elements, the one at hand included
	open  []xml.Name // their names
	// scopes are the namespaces declared by what is open, innermost last.
	scopes []scope
	// references: there is a character reference somewhere in src.
	references bool

	// section is the libvirt child of <domain> that is open, empty in any other.
	section string
	// Of <name>, <uuid> and <metadata> libvirt reads the first.
	named, identified, described bool
	text                         []byte    // of the <name> or <uuid> that is open
	nic                          *nic      // the <interface> that is open
	hostdev                      *hostdev  // the <hostdev> that is open
	address                      *string   // where the next <address> of the open <source> goes
	meta                         []Element // the metadata elements that are open
	network                      *network  // where the document is one
}

func (p *parser) run() error {
	body := p.src[p.base:]
	p.references = bytes.Contains(body, []byte("&#"))
	// Before the decoder sees it, whose words for a foreign encoding help nobody.
	if decl, ok := bytes.CutPrefix(body, []byte("<?xml")); ok && len(decl) > 0 && isSpace(decl[0]) {
		if decl, _, ok := bytes.Cut(decl, []byte("?>")); ok {
			if err := checkDeclaration(string(decl)); err != nil {
				return errorAt(p.src, p.base, "%w", err)
			}
		}
	}
	p.dec = xml.NewDecoder(bytes.NewReader(body))
	rooted := false
	for {
		p.token.start = p.base + int(p.dec.InputOffset())
		// Not Token, which spends as much again on names that nobody looks at.
		tok, err := p.dec.RawToken()
		p.token.end = p.base + int(p.dec.InputOffset())
		switch {
		case err == io.EOF && p.depth > 0:
			return errorAt(p.src, p.token.end, "the document ends within <%s>", clip(p.open[p.depth-1].Local))
		case err == io.EOF && rooted:
			return nil
		case err == io.EOF:
			return fmt.Errorf("%w: there is no element in the document", p.kind.not)
		case err != nil:
			var syntax *xml.SyntaxError
			if errors.As(err, &syntax) {
				return errorAt(p.src, p.token.end, "%s", syntax.Msg)
			}
			return errorAt(p.src, p.token.end, "%s", strings.TrimPrefix(err.Error(), "xml: "))
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if p.depth == maxDepth {
				return p.errorf("more than %d elements within each other", maxDepth)
			}
			p.enter(&t)
			if p.depth == 1 {
				if err := p.root(t.Name, rooted); err != nil {
					return err
				}
				rooted = true
			}
			err = p.start(t)
		case xml.EndElement:
			if err := p.checkEnd(t.Name); err != nil {
				return err
			}
			err = p.end()
			p.leave()
		case xml.CharData:
			err = p.charData(t)
		case xml.ProcInst:
			if err := checkProcInst(t.Target, p.raw(), p.token.start == p.base); err != nil {
				return p.errorf("%w", err)
			}
		case xml.Directive:
			return p.errorf("a DOCTYPE is not accepted: take it out")
		}
		if err != nil {
			return err
		}
	}
}

// root judges an element that has none around it.
func (p *parser) root(name xml.Name, another bool) error {
	switch {
	case another:
		return p.errorf("a second root element, <%s>: one <%s> is wanted", clip(name.Local), p.kind.root)
	case name.Local != p.kind.root:
		return fmt.Errorf("%w: this is a <%s>, not a <%s>", p.kind.not, clip(name.Local), p.kind.root)
	case name.Space != "":
		return fmt.Errorf("%w: this is a <%s> of namespace %s, libvirt's has none", p.kind.not, name.Local, quote(name.Space))
	}
	return nil
}

// start takes a start tag.
func (p *parser) start(t xml.StartElement) error {
	if err := checkAttrs(t.Attr, p.raw()); err != nil {
		return p.errorf("%w", err)
	}
	if err := p.checkReferences(); err != nil {
		return err
	}
	if p.depth == 2 {
		p.section = ""
		if t.Name.Space == "" {
			p.section = t.Name.Local
		}
	}
	if p.network != nil {
		p.openInNetwork(t)
	}
	switch {
	case p.depth <= 2:
		return nil
	case p.section == "devices" && p.network == nil:
		p.openDevice(t)
	case p.section == "metadata":
		return p.openMetadata(t)
	}
	return nil
}

// end takes an end tag, or the second half of an empty element.
func (p *parser) end() error {
	if p.network != nil {
		if err := p.closeInNetwork(); err != nil {
			return err
		}
	}
	switch {
	case p.depth == 2:
		return p.closeSection()
	case p.section == "devices" && p.network == nil:
		return p.closeDevice()
	case p.section == "metadata":
		p.closeMetadata()
	}
	return nil
}

func (p *parser) closeSection() error {
	section, text := p.section, string(p.text)
	p.section, p.text = "", p.text[:0]
	switch {
	case section == "name" && !p.named:
		p.named = true
		p.doc.Name = text
	case section == "uuid" && !p.identified:
		p.identified = true
		text = strings.Trim(text, " \t\r\n")
		if text == "" {
			return nil // libvirt makes one up
		}
		uuid, err := ParseUUID(text)
		if err != nil {
			return p.errorf("%w", err)
		}
		p.doc.UUID = uuid
	case section == "metadata":
		p.described = true
	}
	return nil
}

// charData takes text or a CDATA section.
func (p *parser) charData(t xml.CharData) error {
	if p.depth == 0 {
		if text := bytes.TrimLeft(p.raw(), " \t\r\n"); len(text) > 0 {
			p.token.start = p.token.end - len(text)
			return p.errorf("text outside of the root element: %s", quote(string(text)))
		}
		return nil
	}
	// The value of <name> is all text in it, that of its children too, as XPath's
	// string() has it.
	if p.section == "name" || p.section == "uuid" {
		p.text = append(p.text, t...)
	}
	if bytes.HasPrefix(p.raw(), []byte("<![CDATA[")) {
		return nil
	}
	return p.checkReferences()
}

// checkReferences judges the character references in the token at hand.
func (p *parser) checkReferences() error {
	if !p.references {
		return nil
	}
	if at := surrogateAt(p.raw()); at >= 0 {
		p.token.start += at
		return p.errorf("a character reference to a surrogate is not allowed in XML")
	}
	return nil
}

// raw is the token at hand as it stands in the document.
func (p *parser) raw() []byte { return p.src[p.token.start:p.token.end] }

// errorf blames the token at hand.
func (p *parser) errorf(format string, args ...any) error {
	return errorAt(p.src, p.token.start, format, args...)
}

// attr returns the value of an attribute without a namespace, empty if there is
// none.
func attr(attrs []xml.Attr, name string) string {
	if i := attrIndex(attrs, name); i >= 0 {
		return attrs[i].Value
	}
	return ""
}

func attrIndex(attrs []xml.Attr, name string) int {
	for i, a := range attrs {
		if a.Name.Local == name && a.Name.Space == "" {
			return i
		}
	}
	return -1
}
