package domxml

import "encoding/xml"

// What Decoder.Token does beyond RawToken: end tags have to match, and prefixes stand
// for namespaces.

// scope is one namespace declaration, at the depth of its element.
type scope struct {
	prefix, uri string
	depth       int
}

// xmlURL is the namespace of the prefix xml, which needs no declaration.
const xmlURL = "http://www.w3.org/XML/1998/namespace"

// enter opens the element of a raw start tag, whose names it resolves.
func (p *parser) enter(t *xml.StartElement) {
	p.open = append(p.open, t.Name)
	p.depth++
	for _, a := range t.Attr {
		switch {
		case a.Name.Space == "xmlns":
			p.scopes = append(p.scopes, scope{a.Name.Local, a.Value, p.depth})
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			p.scopes = append(p.scopes, scope{"", a.Value, p.depth})
		}
	}
	t.Name.Space = p.namespace(t.Name.Space)
	for i := range t.Attr {
		// An attribute without a prefix has no namespace, whatever the default is.
		if n := &t.Attr[i].Name; n.Space != "" && n.Space != "xmlns" {
			n.Space = p.namespace(n.Space)
		}
	}
}

// namespace is what a prefix stands for; one that is not declared, for itself.
func (p *parser) namespace(prefix string) string {
	for i := len(p.scopes) - 1; i >= 0; i-- {
		if p.scopes[i].prefix == prefix {
			return p.scopes[i].uri
		}
	}
	if prefix == "xml" {
		return xmlURL
	}
	return prefix
}

// checkEnd judges a raw end tag.
func (p *parser) checkEnd(name xml.Name) error {
	if p.depth == 0 {
		return p.errorf("unexpected end element </%s>", clip(name.Local))
	}
	if open := p.open[p.depth-1]; open != name {
		return p.errorf("element <%s> closed by </%s>", clip(qualified(open)), clip(qualified(name)))
	}
	return nil
}

// leave closes the innermost element.
func (p *parser) leave() {
	for n := len(p.scopes); n > 0 && p.scopes[n-1].depth == p.depth; n-- {
		p.scopes = p.scopes[:n-1]
	}
	p.depth--
	p.open = p.open[:p.depth]
}

func qualified(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}
