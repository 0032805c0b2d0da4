package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// route is the way of this host to an address.
type route struct {
	link  int
	table int
	src   netip.Addr // of this host's, which packets are sent from
	// mtu of the route, which is no more than a hint: an admin's, or for an IPv4 address
	// what the kernel has learned; 0: it has none.
	mtu int
	// learned is the path MTU in the kernel's cache, IPv6 only; 0: none.
	learned int
}

func routeTo(addr netip.Addr, zone int) (route, error) {
	var o *netlink.RouteGetOptions
	if zone != 0 {
		o = &netlink.RouteGetOptions{OifIndex: zone}
	}
	all, err := netlink.RouteGetWithOptions(net.IP(addr.AsSlice()), o)
	if err != nil {
		return route{}, err
	}
	if len(all) == 0 {
		return route{}, unix.ENETUNREACH
	}
	r := route{link: all[0].LinkIndex, table: all[0].Table, mtu: all[0].MTU}
	if src, ok := netip.AddrFromSlice(all[0].Src); ok {
		r.src = src.Unmap()
	}
	// Of IPv6 only an entry of the cache has the flag (rt6_fill_node).
	if addr.Is6() && all[0].Flags&unix.RTM_F_CLONED != 0 {
		r.learned = r.mtu
	}
	return r, nil
}

// linkName is the name of the link of a route; empty: it is gone.
func (r route) linkName() string {
	i, err := net.InterfaceByIndex(r.link)
	if err != nil {
		return ""
	}
	return i.Name
}

// pathCache puts the kernel's cache of path MTUs for an IPv6 address back to what it
// was, as far as what came into it is ours: see socket.
type pathCache struct {
	addr   netip.Addr
	zone   int
	before int
}

func newPathCache(addr netip.Addr, zone int) pathCache {
	c := pathCache{addr: addr, zone: zone}
	if addr.Is6() {
		if r, err := routeTo(addr, zone); err == nil {
			c.before = r.learned
		}
	}
	return c
}

// restore takes out what was learned meanwhile. What the kernel had learned before it
// has at most lowered; that stays.
func (c pathCache) restore() error {
	if !c.addr.Is6() || c.before != 0 {
		return nil
	}
	r, err := routeTo(c.addr, c.zone)
	if err != nil || r.learned == 0 {
		return nil
	}
	err = netlink.RouteDel(&netlink.Route{
		Dst:       &net.IPNet{IP: net.IP(c.addr.AsSlice()), Mask: net.CIDRMask(128, 128)},
		LinkIndex: r.link, Table: r.table,
		Flags: unix.RTM_F_CLONED, // the entry of the cache, not the route
	})
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("take path MTU %d of %s out of the kernel's cache again: %w", r.learned, c.addr, err)
	}
	return nil
}
