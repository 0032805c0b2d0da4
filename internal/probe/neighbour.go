package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
)

// Neighbour is an address that this host has seen on a link.
type Neighbour struct {
	Addr netip.Addr // a link-local one with its link
	MAC  string
}

// Neighbours returns which addresses this host's neighbour table has for some MACs.
// libvirt's own reading of it fails on some kernels ("wrong nlmsg len", libvirt 9.0 on
// 6.18), and says no link.
func Neighbours(macs []string) ([]Neighbour, error) {
	all, err := netlink.NeighList(0, netlink.FAMILY_ALL)
	// One that changed meanwhile may lack an entry, as it may a moment later.
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("read neighbour table: %w", err)
	}
	known := map[string]string{}
	for _, m := range macs {
		known[strings.ToLower(m)] = m
	}
	var found []Neighbour
	for _, n := range all {
		addr, ok := netip.AddrFromSlice(n.IP)
		mac, ours := known[n.HardwareAddr.String()]
		if !ok || !ours || mac == "" || addr.IsMulticast() {
			continue
		}
		if addr.Is6() && addr.IsLinkLocalUnicast() {
			link, err := net.InterfaceByIndex(n.LinkIndex)
			if err != nil {
				continue // it has gone
			}
			addr = addr.WithZone(link.Name)
		}
		found = append(found, Neighbour{addr, mac})
	}
	return found, nil
}
