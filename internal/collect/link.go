package collect

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"virt-mtu/internal/host"
	"virt-mtu/internal/tap"
)

// link is a link as the kernel tells of it: by index where host.Link has names.
type link struct {
	host.Link
	master int
	// under is what it sits on, or a veth's other end (IFLA_LINK). The index is one
	// of another network namespace's if Away, and means nothing here.
	under    int
	loopback bool
	tunnel   *tunnel
}

// dumpLinks reads every link of this network namespace, without the statistics,
// which are most of what the kernel would say.
func dumpLinks() ([]link, error) {
	const skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS
	answers, err := dump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats)))
		return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	})
	links := make([]link, 0, len(answers))
	for _, answer := range answers {
		if l, ok := decodeLink(answer); ok {
			links = append(links, l)
		}
	}
	// An interrupted dump may tell of a link twice.
	slices.SortStableFunc(links, func(a, b link) int { return cmp.Compare(a.Index, b.Index) })
	return slices.CompactFunc(links, func(a, b link) bool { return a.Index == b.Index }), err
}

// decodeLink reads an RTM_NEWLINK message. It reads what it needs of it and no more:
// a host may have thousands of taps.
func decodeLink(message []byte) (link, bool) {
	if len(message) < unix.SizeofIfInfomsg {
		return link{}, false
	}
	l := link{
		Link:     host.Link{Index: number(message[4:])},
		loopback: binary.NativeEndian.Uint16(message[2:]) == unix.ARPHRD_LOOPBACK,
	}
	var data []byte
	for attr, value := range attrs(message[unix.SizeofIfInfomsg:]) {
		switch attr {
		case unix.IFLA_IFNAME:
			l.Name = text(value)
		case unix.IFLA_MTU:
			l.MTU = number(value)
		case unix.IFLA_MASTER:
			l.master = number(value)
		case unix.IFLA_LINK:
			l.under = number(value)
		case unix.IFLA_LINK_NETNSID: // there only if the namespace is another
			l.Away = true
		case unix.IFLA_LINKINFO:
			for attr, value := range attrs(value) {
				switch attr {
				case unix.IFLA_INFO_KIND:
					l.Kind = text(value)
				case unix.IFLA_INFO_DATA:
					data = value
				}
			}
		}
	}
	switch form, ok := forms[l.Kind]; {
	case ok:
		l.tunnel = form.decode(data)
	case l.Kind == "tun":
		for attr, value := range attrs(data) {
			if attr == unix.IFLA_TUN_TYPE && len(value) == 1 {
				l.Tap = value[0] == unix.IFF_TAP
			}
		}
	}
	return l, l.Name != ""
}

// unpinned gives bridges the MTU that they have when nobody is pinning them: taken for
// theirs, the odd value of that moment would go into definitions. Where that cannot be
// known, as by others than root, it stays as the kernel told.
func unpinned(links []link) {
	for i := range links {
		if l := &links[i]; l.Kind == "bridge" {
			if mtu, err := tap.BridgeMTU(l.Name); err == nil {
				l.MTU = mtu
			}
		}
	}
}

// paired are the kinds that come in pairs: IFLA_LINK is the other end.
var paired = map[string]bool{"veth": true, "netkit": true, "vxcan": true}

// names puts names to the indices of each link.
func names(links []link) {
	at := make(map[int]*link, len(links))
	for i := range links {
		at[links[i].Index] = &links[i]
	}
	for i := range links {
		l := &links[i]
		if m := at[l.master]; m != nil {
			l.Master = m.Name
		}
		under := at[l.under]
		switch {
		case paired[l.Kind]:
			if !l.Away && under != nil && under.Kind == l.Kind && !under.Away && under.under == l.Index {
				l.Peer = under.Name
			}
		case l.Away, l.tunnel != nil, under == nil, under == l:
		default:
			l.Lower = under.Name
		}
	}
}

// unnamed gives links without a kind of the kernel's the one that package host finds
// for them: a driver's name. Hardware must not pass for a tunnel of unknown kind.
func unnamed(links []link) error {
	var ask []string
	for i := range links {
		switch l := &links[i]; {
		case l.Kind != "":
		case l.loopback:
			l.Kind = "loopback"
		default:
			ask = append(ask, l.Name)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	s, err := host.Read(ask, nil)
	for _, found := range s.Links {
		for i := range links {
			if l := &links[i]; l.Kind == "" && l.Index == found.Index {
				l.Kind = found.Kind
			}
		}
	}
	return err
}
