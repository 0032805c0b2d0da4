package facts

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"

	"virt-mtu/internal/host"
	"virt-mtu/internal/jsonout"
)

// Encode writes the Facts as JSON. The same Facts are the same bytes: it sorts the
// lists in them first, and makes those that are nil empty.
func (f *Facts) Encode(w io.Writer) error {
	f.sort()
	fill(reflect.ValueOf(f).Elem())
	if err := jsonout.Write(w, f); err != nil {
		return fmt.Errorf("write facts: %w", err)
	}
	return nil
}

func (f *Facts) sort() {
	slices.SortStableFunc(f.Links, func(a, b host.Link) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Name, b.Name))
	})
	for _, l := range f.Links {
		sortRemotes(l.Tunnel)
	}
	by(f.Networks, func(n host.Network) string { return n.Name })
	by(f.PCI, func(p host.PCI) string { return p.Address })
	if f.OVS != nil {
		sortOVS(f.OVS)
	}
	slices.SortStableFunc(f.Domains, func(a, b Domain) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UUID, b.UUID))
	})
	for _, d := range f.Domains {
		by(d.Guests, func(g Guest) string { return g.MAC })
	}
}

func sortOVS(o *host.OVS) {
	by(o.Bridges, func(b host.OVSBridge) string { return b.Name })
	for _, b := range o.Bridges {
		by(b.Ports, func(p host.OVSPort) string { return p.Name })
		for _, p := range b.Ports {
			by(p.Interfaces, func(i host.OVSInterface) string { return i.Name })
			for _, i := range p.Interfaces {
				sortRemotes(i.Tunnel)
			}
		}
	}
}

func sortRemotes(t *host.Tunnel) {
	if t != nil {
		by(t.Remotes, func(r host.Remote) string { return r.Address })
	}
}

func by[T any](list []T, key func(T) string) {
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}

// fill makes every nil slice in v an empty one: to JSON the one is null, the other a
// list.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fill(v.Index(i))
		}
	}
}
