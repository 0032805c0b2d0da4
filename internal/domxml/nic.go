package domxml

import (
	"encoding/xml"
	"fmt"
)

// nic is an <interface> that is being read.
type nic struct {
	NIC
	site
	// The first <mac>, <mtu> and so on are what libvirt reads.
	mac, model, source, target, virtualport bool

	mtuReader
	rawMAC  string
	macAt   int    // offset of its element
	child   string // the child that is open, empty if it is foreign
	childAt int
}

// openDevice takes a start tag within /domain/devices.
func (p *parser) openDevice(t xml.StartElement) {
	ours := t.Name.Space == ""
	switch {
	case p.depth == 3 && ours && t.Name.Local == "interface":
		p.nic = &nic{site: site{name: "interface"}}
		p.nic.Type = attr(t.Attr, "type")
		p.nic.whole.start, p.nic.openEnd = p.token.start, p.token.end
		p.nic.selfClosed = p.src[p.token.end-2] == '/'
	case p.depth == 3 && ours && t.Name.Local == "hostdev":
		p.openHostdev(t)
	case p.depth == 4 && p.nic != nil:
		n := p.nic
		if n.firstChild == 0 {
			n.firstChild = p.token.start
		}
		n.child, n.childAt = "", p.token.start
		if ours {
			n.child = t.Name.Local
			if n.child == "source" && !n.source && n.Type == "hostdev" {
				p.address = &n.Address
			}
			n.openChild(t, p.raw())
		}
	case p.depth == 4 && p.hostdev != nil && ours && t.Name.Local == "source":
		p.hostdev.openSource(p)
	case p.depth == 5 && p.address != nil && ours && t.Name.Local == "address":
		*p.address, p.address = pciAddress(t.Attr), nil
	}
}

// openChild takes the start tag of a libvirt child of the <interface>.
func (n *nic) openChild(t xml.StartElement, raw []byte) {
	first := func(seen *bool) bool {
		was := *seen
		*seen = true
		return !was
	}
	switch t.Name.Local {
	case "mac":
		if first(&n.mac) {
			n.rawMAC, n.macAt = attr(t.Attr, "address"), n.childAt
		}
	case "model":
		if first(&n.model) {
			n.Model = attr(t.Attr, "type")
		}
	case "source":
		if first(&n.source) {
			n.Bridge, n.Network = attr(t.Attr, "bridge"), attr(t.Attr, "network")
			switch n.Type {
			case "direct", "vdpa":
				n.Dev = attr(t.Attr, "dev")
			case "vhostuser":
				if attr(t.Attr, "type") == "unix" {
					n.Socket = attr(t.Attr, "path")
				}
			}
		}
	case "target":
		if first(&n.target) {
			n.Target = attr(t.Attr, "dev")
			n.Unmanaged = attr(t.Attr, "managed") == "no"
		}
	case "virtualport":
		if first(&n.virtualport) {
			n.VirtualPort = attr(t.Attr, "type")
		}
	case "mtu":
		n.openMTU(&n.site, t, raw, n.childAt)
	}
}

// closeDevice takes an end tag within /domain/devices.
func (p *parser) closeDevice() error {
	if p.depth == 4 {
		p.address = nil
	}
	switch {
	case p.depth == 3 && p.hostdev != nil:
		p.closeHostdev()
	case p.nic == nil:
	case p.depth == 4:
		p.nic.closeChild(p.token.end)
	case p.depth == 3:
		n := p.nic
		p.nic = nil
		n.whole.end = p.token.end
		if err := p.settle(n); err != nil {
			return err
		}
		p.doc.NICs = append(p.doc.NICs, n.NIC)
		p.doc.sites = append(p.doc.sites, n.site)
	}
	return nil
}

func (n *nic) closeChild(end int) {
	at := span{n.childAt, end}
	if n.child == "mtu" && n.secondMTU == 0 {
		n.element = at
	}
	if rank := anchorRank(n.child); rank > n.anchorRank {
		n.anchor, n.anchorRank = at, rank
	}
}

// anchorRank says which child an <mtu> goes after, the highest. libvirt takes it
// anywhere; there a reader looks for it.
func anchorRank(child string) int {
	switch child {
	case "model":
		return 4
	case "target":
		return 3
	case "source":
		return 2
	case "mac":
		return 1
	}
	return 0
}

// settle judges the values of an <interface> once all of it has been read, so that
// an error can name it.
func (p *parser) settle(n *nic) error {
	number := len(p.doc.NICs) + 1
	if n.rawMAC != "" {
		mac, ok := parseMAC(n.rawMAC)
		if !ok {
			return errorAt(p.src, n.macAt, "interface %d: mac address %s is malformed: it takes six octets as in 52:54:00:12:34:56",
				number, quote(n.rawMAC))
		}
		n.MAC = mac
	}
	name := n.MAC
	if name == "" {
		name = "no mac address"
	}
	mtu, err := n.size(p.src, fmt.Sprintf("interface %d (%s)", number, name))
	n.NIC.MTU, n.site.mtu = mtu, mtu
	return err
}
