// Package owned reads and writes the record of what virt-mtu put into a domain's
// definition: which NIC, what stood there before, what was set. It is kept in the
// domain's own metadata, so it goes with the definition wherever that goes.
//
// It does not decide what to do about a NIC; it only says whose value stands there.
package owned

import (
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"virt-mtu/internal/domxml"
)

// The node of a domain's metadata that holds the record.
const (
	URI = "urn:virt-mtu:owned:1"
	Key = "virt-mtu-owned"
)

// Entry is one NIC's <mtu>. All MTUs in bytes of IP packet, 0: no <mtu>.
type Entry struct {
	MAC    string
	Before int // what undo brings back
	Set    int // what virt-mtu set
	// Next is the value about to replace Set; 0 once settled, or where nothing
	// is under way. A run that was killed in between leaves both, and either is
	// then ours.
	Next int
	// Asked: somebody named the number (--mtu). It follows no bridge by itself.
	Asked bool
}

// Record is a domain's entries, at most one a MAC.
type Record []Entry

// Of returns the entry of a NIC.
func (r Record) Of(mac string) (Entry, bool) {
	for _, e := range r {
		if e.MAC == mac {
			return e, true
		}
	}
	return Entry{}, false
}

// Owns reports whether virt-mtu set this value on this NIC. No <mtu> is nobody's.
func (r Record) Owns(mac string, mtu int) bool {
	e, ok := r.Of(mac)
	return ok && mtu != 0 && (mtu == e.Set || mtu == e.Next)
}

// Intend returns the record to write before a NIC's <mtu> goes from one value to
// another, which somebody asked for or not.
func (r Record) Intend(mac string, from, to int, asked bool) Record {
	e := Entry{MAC: mac, Before: from, Set: to, Asked: asked}
	if old, ok := r.Of(mac); ok && r.Owns(mac, from) {
		e = Entry{MAC: mac, Before: old.Before, Set: from, Next: to, Asked: asked}
	}
	return append(r.without(mac), e)
}

// Mark returns the record with what is said of a NIC's value, that somebody asked for
// it or not.
func (r Record) Mark(mac string, asked bool) Record {
	r = slices.Clone(r)
	for i := range r {
		if r[i].MAC == mac {
			r[i].Asked = asked
		}
	}
	return r
}

// Settle returns the record for NICs as they now are: entries whose value is no
// longer on its NIC are dropped, and what was under way is done.
func (r Record) Settle(nics []domxml.NIC) Record {
	var out Record
	for _, n := range nics {
		if e, ok := r.Of(n.MAC); ok && r.Owns(n.MAC, n.MTU) {
			out = append(out.without(n.MAC), Entry{MAC: n.MAC, Before: e.Before, Set: n.MTU, Asked: e.Asked})
		}
	}
	return out
}

// Take returns the record with a NIC's entry as another has it: without one, where
// that has none.
func (r Record) Take(mac string, from Record) Record {
	r = r.without(mac)
	if e, ok := from.Of(mac); ok {
		r = append(r, e)
	}
	return r
}

func (r Record) without(mac string) Record {
	var out Record
	for _, e := range r {
		if e.MAC != mac {
			out = append(out, e)
		}
	}
	return out
}

// XML returns the metadata node without its namespace, which libvirt adds; empty
// for an empty record: the node is to be removed.
func (r Record) XML() string {
	if len(r) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("<nics>")
	for _, e := range r {
		fmt.Fprintf(&b, "<nic mac='%s' before='%d' set='%d'", e.MAC, e.Before, e.Set)
		if e.Next != 0 {
			fmt.Fprintf(&b, " next='%d'", e.Next)
		}
		if e.Asked {
			b.WriteString(" asked='yes'")
		}
		b.WriteString("/>")
	}
	b.WriteString("</nics>")
	return b.String()
}

// ErrDamaged: a record does not parse.
var ErrDamaged = errors.New("the record of what virt-mtu has set does not parse")

// FromMetadata reads the record out of a domain's metadata. A domain without one
// has an empty record; one that does not parse is ErrDamaged, since to guess would
// be to change, or to forget, what an admin wrote.
func FromMetadata(meta map[string]domxml.Element) (Record, error) {
	r, err := parse(meta[URI])
	if err != nil {
		return nil, fmt.Errorf("%w: metadata %s: %w", ErrDamaged, URI, err)
	}
	return r, nil
}

func parse(node domxml.Element) (Record, error) {
	var r Record
	for _, c := range node.Children {
		if c.Name.Local != "nic" {
			return nil, fmt.Errorf("unknown element %.40q", c.Name.Local)
		}
		e, err := entry(c.Attrs)
		if err != nil {
			return nil, err
		}
		if _, twice := r.Of(e.MAC); twice {
			return nil, fmt.Errorf("two entries for %s", e.MAC)
		}
		r = append(r, e)
	}
	return r, nil
}

func entry(attrs []xml.Attr) (Entry, error) {
	var e Entry
	for _, a := range attrs {
		switch a.Name.Local {
		case "mac":
			if len(a.Value) != len("52:54:00:00:00:01") || strings.Trim(a.Value, "0123456789abcdef:") != "" {
				return Entry{}, fmt.Errorf("mac=%.40q is not as virt-mtu writes it", a.Value)
			}
			e.MAC = a.Value
		case "asked":
			e.Asked = a.Value == "yes"
		default:
			if err := e.number(a); err != nil {
				return Entry{}, err
			}
		}
	}
	if e.MAC == "" {
		return Entry{}, fmt.Errorf("no mac")
	}
	return e, nil
}

// number reads an attribute that is an MTU.
func (e *Entry) number(a xml.Attr) error {
	numbers := map[string]*int{"before": &e.Before, "set": &e.Set, "next": &e.Next}
	dst, ok := numbers[a.Name.Local]
	if !ok {
		return fmt.Errorf("unknown attribute %.40q", a.Name.Local)
	}
	n, err := strconv.Atoi(a.Value)
	if err != nil || n < 0 || n > domxml.MaxMTU {
		return fmt.Errorf("%s=%.40q is no MTU", a.Name.Local, a.Value)
	}
	*dst = n
	return nil
}
