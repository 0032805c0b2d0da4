package domxml

import (
	"encoding/xml"
	"strings"
)

// metadataPrefix is what the namespaces of virt-mtu's own metadata start with.
const metadataPrefix = "urn:virt-mtu:"

// maxMetadataDepth is how deep such an element may nest, itself included. Ours
// nest two deep.
const maxMetadataDepth = 16

// openMetadata takes a start tag within /domain/metadata.
func (p *parser) openMetadata(t xml.StartElement) error {
	if p.depth == 3 {
		_, known := p.doc.Metadata[t.Name.Space]
		if known || p.described || !strings.HasPrefix(t.Name.Space, metadataPrefix) {
			return nil
		}
	} else if len(p.meta) == 0 {
		return nil
	}
	// No name in Namespaces in XML 1.0, and one that no prefix can stand before.
	if strings.Contains(t.Name.Local, ":") {
		return p.errorf("element name %s in %s metadata starts or ends with a colon", quote(t.Name.Local), metadataPrefix)
	}
	if len(p.meta) == maxMetadataDepth {
		return p.errorf("more than %d elements of %s metadata within each other", maxMetadataDepth, metadataPrefix)
	}
	e := Element{Name: t.Name}
	for _, a := range t.Attr {
		if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
			e.Attrs = append(e.Attrs, a)
		}
	}
	p.meta = append(p.meta, e)
	return nil
}

func (p *parser) closeMetadata() {
	last := len(p.meta) - 1
	if last < 0 {
		return
	}
	e := p.meta[last]
	p.meta = p.meta[:last]
	if last > 0 {
		p.meta[last-1].Children = append(p.meta[last-1].Children, e)
		return
	}
	if p.doc.Metadata == nil {
		p.doc.Metadata = make(map[string]Element)
	}
	p.doc.Metadata[e.Name.Space] = e
}
