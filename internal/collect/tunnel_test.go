package collect

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"virt-mtu/internal/host"
)

// peers is what the kernel answers of a wireguard link: a peer for each endpoint,
// empty for one that has none yet.
func peers(endpoints ...string) []byte {
	b := (&nl.Genlmsg{Command: unix.WG_CMD_GET_DEVICE, Version: 1}).Serialize()
	b = append(b, nl.NewRtAttr(unix.WGDEVICE_A_IFNAME, nl.ZeroTerminated("wg0")).Serialize()...)
	all := nl.NewRtAttr(unix.WGDEVICE_A_PEERS|unix.NLA_F_NESTED, nil)
	for _, e := range endpoints {
		peer := all.AddRtAttr(unix.NLA_F_NESTED, nil)
		peer.AddRtAttr(unix.WGPEER_A_PUBLIC_KEY, make([]byte, unix.WG_KEY_LEN))
		if e == "" {
			continue
		}
		to := netip.MustParseAddrPort(e)
		socket := binary.NativeEndian.AppendUint16(nil, unix.AF_INET)
		if to.Addr().Is6() {
			socket = binary.NativeEndian.AppendUint16(nil, unix.AF_INET6)
		}
		socket = binary.BigEndian.AppendUint16(socket, to.Port())
		if to.Addr().Is6() {
			socket = append(socket, 0, 0, 0, 0) // sin6_flowinfo
		}
		socket = append(append(socket, to.Addr().AsSlice()...), make([]byte, 8)...)
		peer.AddRtAttr(unix.WGPEER_A_ENDPOINT, socket)
	}
	return append(b, all.Serialize()...)
}

func TestWireGuard(t *testing.T) {
	remote := func(to string) host.Remote { return host.Remote{Address: to, Underlay: "eth0"} }
	for _, tt := range []struct {
		name     string
		messages [][]byte // a device with many peers comes in several
		want     host.Tunnel
	}{
		{"IPv4", [][]byte{peers("192.0.2.9:51820", "", "192.0.2.10:51820")}, host.Tunnel{Family: 4, Remotes: []host.Remote{remote("192.0.2.9"), remote("192.0.2.10")}}},
		{"the longer header counts", [][]byte{peers("[2001:db8::9]:51820"), peers("192.0.2.9:51820")}, host.Tunnel{Family: 6, Remotes: []host.Remote{remote("2001:db8::9"), remote("192.0.2.9")}}},
		{"peers at one address", [][]byte{peers("192.0.2.9:1", "192.0.2.9:2")}, host.Tunnel{Family: 4, Remotes: []host.Remote{remote("192.0.2.9")}}},
		{"none heard of", [][]byte{peers(""), nil}, host.Tunnel{Family: 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wg, _ := decodeLink(message(5, "wg0", 1420, info("wireguard")))
			for _, m := range tt.messages {
				for _, r := range decodePeers(m) {
					wg.tunnel.add(r)
				}
			}
			e, _ := decodeLink(eth0)
			links := []link{e, wg}
			routes := newRoutes(links)
			routes.ask = func(way) hop { return hop{link: 2} }
			resolve(links, routes)
			if diff := cmp.Diff(&tt.want, links[1].Tunnel); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// route is an RTM_NEWROUTE message.
func route(family uint8, flags uint32, oif, mtu, expires int) []byte {
	m := &nl.RtMsg{}
	m.Family, m.Flags = family, flags
	b := append(m.Serialize(), u32(unix.RTA_OIF, oif).Serialize()...)
	metrics := nl.NewRtAttr(unix.RTA_METRICS, nil)
	metrics.AddChild(u32(unix.RTAX_MTU, mtu))
	b = append(b, metrics.Serialize()...)
	cache := make([]byte, 32)
	binary.NativeEndian.PutUint32(cache[8:], uint32(expires))
	return append(b, nl.NewRtAttr(unix.RTA_CACHEINFO, cache).Serialize()...)
}

func TestDecodeRoute(t *testing.T) {
	for _, tt := range []struct {
		name    string
		message []byte
		want    hop
	}{
		{"IPv4", route(unix.AF_INET, unix.RTM_F_CLONED, 2, 1400, 0), hop{2, 1400}},
		{"IPv4, learned", route(unix.AF_INET, unix.RTM_F_CLONED, 2, 1400, 600), hop{2, 0}},
		{"IPv6", route(unix.AF_INET6, 0, 2, 1400, 0), hop{2, 1400}},
		{"IPv6, of a router advertisement", route(unix.AF_INET6, 0, 2, 1400, 600), hop{2, 1400}},
		{"IPv6, learned", route(unix.AF_INET6, unix.RTM_F_CLONED, 2, 1400, 600), hop{2, 0}},
		{"nothing", nil, hop{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, decodeRoute(tt.message), cmp.AllowUnexported(hop{}), cmpopts.EquateComparable()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
