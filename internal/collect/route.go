package collect

import (
	"encoding/binary"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"virt-mtu/internal/host"
)

// routes asks the kernel by which link packets leave, once for each way: a hundred
// tunnels may share their far ends.
type routes struct {
	links []link
	known map[way]host.Remote
	ask   func(way) hop // the kernel
}

func newRoutes(links []link) *routes {
	return &routes{links: links, known: map[way]host.Remote{}, ask: lookUp}
}

// way is what the kernel's answer depends on, as far as a tunnel's packets go. Marks
// and VRFs are not asked for.
type way struct {
	to, from netip.Addr
	bound    int
}

type hop struct {
	link int // 0: there is no route
	mtu  int // of the route itself; 0: it has none
}

// find finds the link by which packets leave, and the route's own MTU where that is
// below the link's. Without a route, the link is the one that they are bound to.
func (r *routes) find(w way) host.Remote {
	if found, ok := r.known[w]; ok {
		return found
	}
	h := r.ask(w)
	if h.link == 0 {
		h = hop{link: w.bound}
	}
	found := host.Remote{Address: w.to.String()}
	if i := r.at(h.link); i >= 0 {
		found.Underlay = r.links[i].Name
		if h.mtu < r.links[i].MTU {
			found.MTU = h.mtu
		}
	}
	r.known[w] = found
	return found
}

// at is where in links the one with an index is, -1 where there is none.
func (r *routes) at(index int) int {
	for i := range r.links {
		if r.links[i].Index == index {
			return i
		}
	}
	return -1
}

// lookUp asks for a route as `ip route get` does. What fails is a route that is not
// there, or not for packets from that address.
func lookUp(w way) hop {
	msg := &nl.RtMsg{}
	msg.Family, msg.Dst_len = unix.AF_INET, 32
	if w.to.Is6() {
		msg.Family, msg.Dst_len = unix.AF_INET6, 128
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.RTA_DST, w.to.AsSlice()))
	if w.from.IsValid() && w.from.Is4() == w.to.Is4() {
		msg.Src_len = msg.Dst_len
		req.AddData(nl.NewRtAttr(unix.RTA_SRC, w.from.AsSlice()))
	}
	if w.bound != 0 {
		req.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(w.bound))))
	}
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	if err != nil || len(answers) == 0 {
		return hop{}
	}
	return decodeRoute(answers[0])
}

// decodeRoute reads an RTM_NEWROUTE message. An MTU that the kernel learned from an
// ICMP message is left out: it passes, and the route's own is behind it.
func decodeRoute(message []byte) hop {
	if len(message) < unix.SizeofRtMsg {
		return hop{}
	}
	var h hop
	// A route that was made for one address only, in IPv6 (rt6_fill_node). In IPv4
	// all are, and those with a learned MTU expire (rt_fill_info).
	learned := message[0] == unix.AF_INET6 && binary.NativeEndian.Uint32(message[8:])&unix.RTM_F_CLONED != 0
	for attr, value := range attrs(message[unix.SizeofRtMsg:]) {
		switch attr {
		case unix.RTA_OIF:
			h.link = number(value)
		case unix.RTA_METRICS:
			for metric, value := range attrs(value) {
				if metric == unix.RTAX_MTU {
					h.mtu = number(value)
				}
			}
		case unix.RTA_CACHEINFO: // struct rta_cacheinfo: rta_expires is the third
			if message[0] == unix.AF_INET && len(value) >= 12 && number(value[8:]) != 0 {
				learned = true
			}
		}
	}
	if learned {
		h.mtu = 0
	}
	return h
}
