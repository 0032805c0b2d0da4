package host

import (
	"strings"

	"golang.org/x/sys/unix"
)

// put adds l with what it sits on, and that with what it sits on in turn. Only kinds
// that sit on something cost anything here; that a link is read once ends a loop.
func (r *reader) put(l Link) {
	var under []string
	switch l.Kind {
	case "vlan", "macvlan", "macvtap", "ipvlan", "macsec":
		if under = r.lowers(l.Name); len(under) > 0 {
			l.Lower = under[0] // they sit on one link
		}
		if l.Lower == "" { // sysfs shows only what is in the same network namespace
			_, l.Away, _ = r.rtnl.under(l.Index)
		}
	case "bond", "team":
		under = r.lowers(l.Name) // their members
	case "veth":
		if l.Peer, l.Away = r.peer(l); l.Peer != "" {
			under = []string{l.Peer, r.master(l.Peer)} // the way on is through its bridge
		}
	}
	r.links = append(r.links, l)
	for _, name := range under {
		r.add(name)
	}
}

// lowers lists the links that the one called name sits on.
func (r *reader) lowers(name string) []string {
	files, _ := r.list(name) // an error: it has just gone
	var lowers []string
	for _, file := range files {
		if lower, ok := strings.CutPrefix(file, "lower_"); ok {
			lowers = append(lowers, lower)
		}
	}
	return lowers
}

// peer is the other end of a veth; empty with away where that is in another network
// namespace, and without where it cannot be told.
func (r *reader) peer(l Link) (name string, away bool) {
	if name, ok := r.ends[l.Name]; ok {
		return name, false
	}
	index, away, err := r.rtnl.under(l.Index)
	if err != nil || away || index == 0 {
		return "", away
	}
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", false
	}
	ifr.SetUint32(uint32(index))
	if unix.IoctlIfreq(r.sock, unix.SIOCGIFNAME, ifr) != nil {
		return "", false
	}
	r.ends[ifr.Name()] = l.Name
	return ifr.Name(), false
}
