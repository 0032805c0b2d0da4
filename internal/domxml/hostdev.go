package domxml

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// hostdev is a <hostdev> of a PCI device that is being read.
type hostdev struct {
	source  bool // its first <source> has been, which is what libvirt reads
	address string
}

// openHostdev takes the start tag of a <hostdev>. Without a mode it is a subsystem's
// to libvirt (virDomainHostdevDefParseXML).
func (p *parser) openHostdev(t xml.StartElement) {
	mode := attr(t.Attr, "mode")
	if attr(t.Attr, "type") == "pci" && (mode == "subsystem" || mode == "") {
		p.hostdev = &hostdev{}
	}
}

func (h *hostdev) openSource(p *parser) {
	if !h.source {
		h.source, p.address = true, &h.address
	}
}

// closeHostdev keeps a device whose address can be told.
func (p *parser) closeHostdev() {
	if p.hostdev.address != "" {
		p.doc.Hostdevs = append(p.doc.Hostdevs, Hostdev{p.hostdev.address})
	}
	p.hostdev = nil
}

// pciAddress reads an <address> as libvirt does (virPCIDeviceAddressParseXML): what is
// left out is 0, and 0000:00:00 is no address. Empty for what libvirt refuses.
func pciAddress(attrs []xml.Attr) string {
	if t := attr(attrs, "type"); t != "pci" && t != "" {
		return ""
	}
	var parts [4]uint64
	for i, field := range [...]struct {
		name string
		most uint64
	}{{"domain", 1<<32 - 1}, {"bus", 0xff}, {"slot", 0x1f}, {"function", 7}} {
		at := attrIndex(attrs, field.name)
		if at < 0 {
			continue
		}
		n, ok := parseC(attrs[at].Value)
		if !ok || n > field.most {
			return ""
		}
		parts[i] = n
	}
	if parts[0] == 0 && parts[1] == 0 && parts[2] == 0 {
		return ""
	}
	return fmt.Sprintf("%04x:%02x:%02x.%d", parts[0], parts[1], parts[2], parts[3])
}

// parseC reads a number as strtoul does by itself: 0x for hexadecimal, 0 for octal.
func parseC(s string) (uint64, bool) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"), strings.HasPrefix(s, "0X"):
		s, base = s[2:], 16
	case strings.HasPrefix(s, "0"):
		base = 8
	}
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil
}
