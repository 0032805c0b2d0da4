package host

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// maxInterface bounds the XML of an interface or a node device, in bytes: libvirt carries
// no string above 4 MiB (REMOTE_STRING_MAX).
const maxInterface = 4 << 20

// interfaceXML is what is wanted of libvirt's <interface>, as its udev backend writes it
// (src/interface/interface_backend_udev.c): of what is neither bridge, bond nor VLAN it
// says "ethernet". What is in another has no MTU there.
type interfaceXML struct {
	Type string `xml:"type,attr"`
	Name string `xml:"name,attr"`
	MTU  struct {
		Size string `xml:"size,attr"`
	} `xml:"mtu"`
	Bridge *struct {
		Ports []interfaceXML `xml:"interface"`
	} `xml:"bridge"`
	Bond *struct {
		Members []interfaceXML `xml:"interface"`
	} `xml:"bond"`
	VLAN *struct {
		Lower interfaceXML `xml:"interface"`
	} `xml:"vlan"`
}

// ParseInterface reads a link of libvirt's interface driver, and which links are its
// ports or members, by kind and name alone. What it takes for Virtual may be hardware.
func ParseInterface(src []byte) (l Link, ports []Link, err error) {
	x, err := decodeRoot[interfaceXML](src, "interface")
	if err != nil {
		return Link{}, nil, fmt.Errorf("parse interface: %w", err)
	}
	if l, err = x.link(); err != nil {
		return Link{}, nil, fmt.Errorf("parse interface: %w", err)
	}
	if size := x.MTU.Size; size != "" {
		mtu, err := strconv.ParseUint(size, 10, 31)
		if err != nil {
			return Link{}, nil, fmt.Errorf("parse interface %q: <mtu size=%.20q>: not a number that an MTU can be", l.Name, size)
		}
		l.MTU = int(mtu)
	}
	var all []interfaceXML
	switch {
	case x.Bridge != nil:
		all = x.Bridge.Ports
	case x.Bond != nil:
		all = x.Bond.Members
	}
	for i := range all {
		p, err := all[i].link()
		if err != nil {
			return Link{}, nil, fmt.Errorf("parse interface %q: %w", l.Name, err)
		}
		p.Master = l.Name
		ports = append(ports, p)
	}
	return l, ports, nil
}

func (x *interfaceXML) link() (Link, error) {
	l := Link{Name: x.Name, Kind: Virtual}
	if !ValidName(l.Name) {
		return Link{}, fmt.Errorf("no link can be called %.100q", l.Name)
	}
	switch x.Type {
	case "bridge", "bond":
		l.Kind = x.Type
	case "vlan":
		l.Kind = x.Type
		if x.VLAN != nil && ValidName(x.VLAN.Lower.Name) {
			l.Lower = x.VLAN.Lower.Name
		}
	}
	return l, nil
}

// ParseNetDevice reads the XML of a node device that is a link, and reports whether
// hardware is under it.
func ParseNetDevice(src []byte) (link string, hardware bool, err error) {
	type device struct {
		Path       string `xml:"path"`
		Capability []struct {
			Type      string `xml:"type,attr"`
			Interface string `xml:"interface"`
		} `xml:"capability"`
	}
	x, err := decodeRoot[device](src, "device")
	if err != nil {
		return "", false, fmt.Errorf("parse node device: %w", err)
	}
	for _, c := range x.Capability {
		if c.Type == "net" {
			link = c.Interface
		}
	}
	if !ValidName(link) {
		return "", false, fmt.Errorf("parse node device: no link can be called %.100q", link)
	}
	return link, strings.HasPrefix(x.Path, "/sys/devices/") && !strings.HasPrefix(x.Path, "/sys/devices/virtual/"), nil
}

// decodeRoot decodes a document that has a root of that name.
func decodeRoot[T any](src []byte, root string) (x T, err error) {
	if len(src) > maxInterface {
		return x, fmt.Errorf("larger than %d bytes", maxInterface)
	}
	d := xml.NewDecoder(bytes.NewReader(src))
	for {
		token, err := d.Token()
		if err != nil {
			return x, fmt.Errorf("there is no <%s>: %w", root, err)
		}
		if start, ok := token.(xml.StartElement); ok {
			if start.Name != (xml.Name{Local: root}) {
				return x, fmt.Errorf("its root is <%.100s>, not <%s>", start.Name.Local, root)
			}
			err = d.DecodeElement(&x, &start)
			return x, err
		}
	}
}
