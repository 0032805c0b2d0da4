package domxml

import (
	"bytes"
	"encoding/xml"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Excerpt returns a <domain> with what virt-mtu reads of this one and nothing else:
// no password, no command line, nobody else's metadata, no comment. Parse reads the
// same Domain out of it, whose Excerpt it is again.
//
// It is written anew from Domain, and not cut out of the source: what Parse does not
// know cannot get into it. Only where escapes make it larger than MaxSize, which a
// domain that libvirt has written is too small for, Parse refuses it.
func (d *Domain) Excerpt() []byte {
	var e excerpt
	e.line(0, "<domain>")
	if d.Name != "" {
		e.line(1, "<name>", escape(d.Name), "</name>")
	}
	if d.UUID != "" {
		e.line(1, "<uuid>", d.UUID, "</uuid>")
	}
	if len(d.Metadata) > 0 {
		e.line(1, "<metadata>")
		for _, uri := range slices.Sorted(maps.Keys(d.Metadata)) {
			e.node(d.Metadata[uri])
		}
		e.line(1, "</metadata>")
	}
	e.line(1, "<devices>")
	for i := range d.NICs {
		e.nic(&d.NICs[i])
	}
	for _, h := range d.Hostdevs {
		e.line(2, "<hostdev mode='subsystem' type='pci'>")
		e.source("", h.Address)
		e.line(2, "</hostdev>")
	}
	e.line(1, "</devices>")
	e.line(0, "</domain>")
	return e.Bytes()
}

type excerpt struct{ bytes.Buffer }

func (e *excerpt) line(depth int, parts ...string) {
	e.WriteString(strings.Repeat("  ", depth))
	for _, p := range parts {
		e.WriteString(p)
	}
	e.WriteByte('\n')
}

// nic writes an <interface>, its children in libvirt's order.
func (e *excerpt) nic(n *NIC) {
	e.line(2, "<interface", attribute("type", n.Type), ">")
	child := func(name, attrs string) {
		if attrs != "" {
			e.line(3, "<", name, attrs, "/>")
		}
	}
	child("mac", attribute("address", n.MAC))
	source := attribute("network", n.Network) + attribute("bridge", n.Bridge) + attribute("dev", n.Dev)
	if n.Socket != "" {
		source += attribute("type", "unix") + attribute("path", n.Socket)
	}
	if n.Address != "" {
		e.source(source, n.Address)
	} else {
		child("source", source)
	}
	child("virtualport", attribute("type", n.VirtualPort))
	target := attribute("dev", n.Target)
	if n.Unmanaged {
		target += attribute("managed", "no")
	}
	child("target", target)
	child("model", attribute("type", n.Model))
	if n.MTU != 0 {
		child("mtu", attribute("size", strconv.Itoa(n.MTU)))
	}
	e.line(2, "</interface>")
}

// source writes a <source> with a PCI address in it, as pciAddress makes it.
func (e *excerpt) source(attrs, address string) {
	domain, rest, _ := strings.Cut(address, ":")
	bus, rest, _ := strings.Cut(rest, ":")
	slot, function, _ := strings.Cut(rest, ".")
	e.line(3, "<source", attrs, ">")
	e.line(4, "<address", attribute("type", "pci"), attribute("domain", "0x"+domain), attribute("bus", "0x"+bus),
		attribute("slot", "0x"+slot), attribute("function", "0x"+function), "/>")
	e.line(3, "</source>")
}

// node writes a child of <metadata>. All its namespaces are declared at its top, each
// once, so that it takes no more room than in the source.
func (e *excerpt) node(top Element) {
	p := prefixes{of: map[string]string{}}
	p.collect(top)
	e.element(2, top, &p, p.declarations.String())
}

func (e *excerpt) element(depth int, x Element, p *prefixes, declarations string) {
	var attrs strings.Builder
	for _, a := range x.Attrs {
		attrs.WriteString(" " + p.name(a.Name) + "='" + escape(a.Value) + "'")
	}
	name := p.name(x.Name)
	if len(x.Children) == 0 {
		e.line(depth, "<", name, declarations, attrs.String(), "/>")
		return
	}
	e.line(depth, "<", name, declarations, attrs.String(), ">")
	for _, c := range x.Children {
		e.element(depth+1, c, p, "")
	}
	e.line(depth, "</", name, ">")
}

// prefixes are what stands for the namespaces in a node.
type prefixes struct {
	of           map[string]string
	declarations strings.Builder
}

func (p *prefixes) collect(x Element) {
	p.add(x.Name)
	for _, a := range x.Attrs {
		p.add(a.Name)
	}
	for _, c := range x.Children {
		p.collect(c)
	}
}

func (p *prefixes) add(n xml.Name) {
	if _, known := p.of[n.Space]; known || n.Space == "" || n.Space == xmlURL {
		return
	}
	prefix := "v" + strconv.Itoa(len(p.of))
	p.of[n.Space] = prefix
	p.declarations.WriteString(attribute("xmlns:"+prefix, n.Space))
}

func (p *prefixes) name(n xml.Name) string {
	switch n.Space {
	case "":
		return n.Local
	case xmlURL:
		return "xml:" + n.Local
	}
	return p.of[n.Space] + ":" + n.Local
}

// attribute writes an attribute with a blank before it; nothing where it is empty,
// which Parse takes for the same.
func attribute(name, value string) string {
	if value == "" {
		return ""
	}
	return " " + name + "='" + escape(value) + "'"
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
