package encap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrTooSmall: the layers leave less than IP can do with.
var ErrTooSmall = errors.New("IPv4 needs an MTU of 68 at least (RFC 791)")

// Options are what the layers of a Stack have in common.
type Options struct {
	Family int // of every outer IP header: 4 or 6
	IPsec  IPsec
	// EncapLimit: the layers of Limited, over IPv6, are Linux's devices as they are
	// without `encaplimit none`: with an option behind the outer header.
	EncapLimit bool
}

// Stack puts the layers called names onto an underlay, in the order from the wire
// inwards, and returns them with the MTU that they leave. Errors are ErrTooSmall, or
// that what was asked for makes no sense.
func Stack(underlay int, names []string, o Options) ([]Layer, int, error) {
	if underlay < MinMTU || underlay > MaxMTU {
		return nil, 0, fmt.Errorf("underlay %d: it takes a number from %d to %d", underlay, MinMTU, MaxMTU)
	}
	rows, err := resolve(names, o)
	if err != nil {
		return nil, 0, err
	}
	layers, mtu := []Layer{}, underlay
	for i, p := range rows {
		l, err := p.place(rows[:i], mtu, o)
		if err != nil {
			return nil, 0, err
		}
		if mtu-l.Bytes < MinMTU {
			return nil, 0, fmt.Errorf("underlay %d: %s takes %d of the %d bytes that are left: %w", underlay, p.name, l.Bytes, mtu, ErrTooSmall)
		}
		mtu -= l.Bytes
		layers = append(layers, l)
	}
	return layers, mtu, nil
}

// resolve looks the layers up and says which cannot stand where they do.
func resolve(names []string, o Options) ([]proto, error) {
	var rows []proto
	for _, name := range names {
		p, ok := lookup(name)
		switch {
		case !ok || p.device:
			return nil, fmt.Errorf("no layer %q: they are %s", name, list(layerNames()))
		case p.outer != nil && !slices.Contains(p.outer, o.Family):
			return nil, fmt.Errorf("%s over IPv%d: its outer header is IPv%d", name, o.Family, p.outer[0])
		}
		if len(rows) > 0 {
			switch below := rows[len(rows)-1]; {
			case p.on == frames && below.gives == packets:
				return nil, fmt.Errorf("%s within %s: %s carries IP packets, and %s needs Ethernet frames", name, below.name, below.name, name)
			case !below.carries(o.Family): // also where ESP has the packet's own header
				return nil, fmt.Errorf("%s within %s: %s carries IPv%d only, and the IP header of %s is IPv%d", name, below.name, below.name, below.inner[0], name, o.Family)
			}
		}
		rows = append(rows, p)
	}
	return rows, nil
}

// place is the layer of p above what lies below it, where an MTU of room is left.
func (p proto) place(below []proto, room int, o Options) (Layer, error) {
	switch {
	case p.tags > 0:
		return p.tagged(below), nil
	case p.esp:
		return o.IPsec.layer(p.name, room, o.Family)
	}
	l := p.layer(o.Family, 0)
	if o.EncapLimit && p.limited && o.Family == 6 {
		l = newLayer(p.name, slices.Insert(l.Parts, 1, encapLimit))
	}
	return l, nil
}

func layerNames() []string {
	var names []string
	for _, i := range Table() {
		names = append(names, i.Name)
	}
	return names
}

func list(names []string) string { return strings.Join(names, ", ") }
