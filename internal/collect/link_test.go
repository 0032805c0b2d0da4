package collect

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"virt-mtu/internal/host"
	"virt-mtu/internal/tap"
	"virt-mtu/test/netns"
)

// message is an RTM_NEWLINK message: an Ethernet link with the usual attributes and
// those given.
func message(index int, name string, mtu int, more ...*nl.RtAttr) []byte {
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index, m.Type = int32(index), unix.ARPHRD_ETHER
	b := m.Serialize()
	for _, a := range append([]*nl.RtAttr{
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)),
		u32(unix.IFLA_MTU, mtu),
	}, more...) {
		b = append(b, a.Serialize()...)
	}
	return b
}

func info(kind string, data ...*nl.RtAttr) *nl.RtAttr {
	a := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	a.AddRtAttr(unix.IFLA_INFO_KIND, nl.ZeroTerminated(kind))
	d := a.AddRtAttr(unix.IFLA_INFO_DATA|unix.NLA_F_NESTED, nil)
	for _, x := range data {
		d.AddChild(x)
	}
	return a
}

func u32(attr, value int) *nl.RtAttr { return nl.NewRtAttr(attr, nl.Uint32Attr(uint32(value))) }
func flag(attr int) *nl.RtAttr       { return nl.NewRtAttr(attr, nil) }
func ip(attr int, address string) *nl.RtAttr {
	return nl.NewRtAttr(attr, netip.MustParseAddr(address).AsSlice())
}
func u16(attr, value int) *nl.RtAttr { return nl.NewRtAttr(attr, nl.Uint16Attr(uint16(value))) }
func u8(attr, value int) *nl.RtAttr  { return nl.NewRtAttr(attr, []byte{byte(value)}) }
func oflags(flags uint16) *nl.RtAttr {
	return nl.NewRtAttr(nl.IFLA_GRE_OFLAGS, binary.BigEndian.AppendUint16(nil, flags))
}

var eth0 = message(2, "eth0", 9000)

// Every address is behind eth0, but for one to which there is no route.
func TestLinks(t *testing.T) {
	const (
		under = unix.IFLA_LINK
		away  = unix.IFLA_LINK_NETNSID
	)
	far := host.Remote{Address: "192.0.2.9", Underlay: "eth0"}
	far6 := host.Remote{Address: "2001:db8::9", Underlay: "eth0"}
	for _, tt := range []struct {
		name     string
		messages [][]byte
		want     []host.Link // without eth0
	}{
		{"a tap", [][]byte{message(5, "vnet0", 1500, u32(unix.IFLA_MASTER, 6), info("tun", nl.NewRtAttr(unix.IFLA_TUN_TYPE, []byte{2}))), message(6, "br0", 1500, info("bridge"))}, []host.Link{
			{Name: "vnet0", Index: 5, MTU: 1500, Kind: "tun", Tap: true, Master: "br0"},
			{Name: "br0", Index: 6, MTU: 1500, Kind: "bridge"},
		}},
		{"a tun", [][]byte{message(5, "tun0", 1500, info("tun", nl.NewRtAttr(unix.IFLA_TUN_TYPE, []byte{1})))}, []host.Link{
			{Name: "tun0", Index: 5, MTU: 1500, Kind: "tun"},
		}},
		{"a VLAN", [][]byte{message(5, "eth0.7", 1500, u32(under, 2), info("vlan"))}, []host.Link{
			{Name: "eth0.7", Index: 5, MTU: 1500, Kind: "vlan", Lower: "eth0"},
		}},
		{"its index is another namespace's", [][]byte{message(5, "eth0.7", 1500, u32(under, 2), u32(away, 0), info("vlan"))}, []host.Link{
			{Name: "eth0.7", Index: 5, MTU: 1500, Kind: "vlan", Away: true},
		}},
		{"that namespace has no number", [][]byte{message(5, "mv0", 1500, u32(under, 2), u32(away, -1), info("macvlan"))}, []host.Link{
			{Name: "mv0", Index: 5, MTU: 1500, Kind: "macvlan", Away: true},
		}},
		{"MACsec", [][]byte{message(5, "ms0", 1468, u32(under, 2), info("macsec"))}, []host.Link{
			{Name: "ms0", Index: 5, MTU: 1468, Kind: "macsec", Lower: "eth0"},
		}},
		{"a bond's member", [][]byte{message(5, "bond0", 1500, info("bond")), message(6, "eth1", 1500, u32(unix.IFLA_MASTER, 5), info("dummy"))}, []host.Link{
			{Name: "bond0", Index: 5, MTU: 1500, Kind: "bond"},
			{Name: "eth1", Index: 6, MTU: 1500, Kind: "dummy", Master: "bond0"},
		}},
		{"both ends of a veth", [][]byte{message(5, "a", 1500, u32(under, 6), info("veth")), message(6, "b", 1500, u32(under, 5), info("veth"))}, []host.Link{
			{Name: "a", Index: 5, MTU: 1500, Kind: "veth", Peer: "b"},
			{Name: "b", Index: 6, MTU: 1500, Kind: "veth", Peer: "a"},
		}},
		{"two ends that only seem to belong together", [][]byte{message(5, "a", 1500, u32(under, 6), u32(away, 0), info("veth")), message(6, "b", 1500, u32(under, 5), u32(away, 1), info("veth"))}, []host.Link{
			{Name: "a", Index: 5, MTU: 1500, Kind: "veth", Away: true},
			{Name: "b", Index: 6, MTU: 1500, Kind: "veth", Away: true},
		}},
		{"one end that does", [][]byte{message(5, "a", 1500, u32(under, 6), info("veth")), message(6, "b", 1500, u32(under, 5), u32(away, 1), info("veth"))}, []host.Link{
			{Name: "a", Index: 5, MTU: 1500, Kind: "veth"},
			{Name: "b", Index: 6, MTU: 1500, Kind: "veth", Away: true},
		}},
		{"a veth whose other end is not among the links", [][]byte{message(5, "a", 1500, u32(under, 77), info("veth"))}, []host.Link{
			{Name: "a", Index: 5, MTU: 1500, Kind: "veth"},
		}},
		{"vxlan", [][]byte{message(5, "vx0", 1450, info("vxlan", ip(unix.IFLA_VXLAN_GROUP, "192.0.2.9"), ip(unix.IFLA_VXLAN_LOCAL, "192.0.2.1"), nl.NewRtAttr(unix.IFLA_VXLAN_COLLECT_METADATA, []byte{0})))}, []host.Link{
			{Name: "vx0", Index: 5, MTU: 1450, Kind: "vxlan", Tunnel: &host.Tunnel{Family: 4, Local: "192.0.2.1", Remotes: []host.Remote{far}}},
		}},
		{"vxlan over IPv6", [][]byte{message(5, "vx0", 1430, info("vxlan", ip(unix.IFLA_VXLAN_GROUP6, "2001:db8::9")))}, []host.Link{
			{Name: "vx0", Index: 5, MTU: 1430, Kind: "vxlan", Tunnel: &host.Tunnel{Family: 6, Remotes: []host.Remote{far6}}},
		}},
		{"vxlan with only a local IPv6 address", [][]byte{message(5, "vx0", 1430, info("vxlan", ip(unix.IFLA_VXLAN_LOCAL6, "2001:db8::1")))}, []host.Link{
			{Name: "vx0", Index: 5, MTU: 1430, Kind: "vxlan", Tunnel: &host.Tunnel{Family: 6, Local: "2001:db8::1"}},
		}},
		{"vxlan that the packets steer", [][]byte{message(5, "vx0", 65470, info("vxlan", nl.NewRtAttr(unix.IFLA_VXLAN_COLLECT_METADATA, []byte{1})))}, []host.Link{
			{Name: "vx0", Index: 5, MTU: 65470, Kind: "vxlan", Tunnel: &host.Tunnel{Family: 4, External: true}},
		}},
		{"vxlan bound to a link, without remotes", [][]byte{message(5, "vx0", 8950, info("vxlan", u32(unix.IFLA_VXLAN_LINK, 2)))}, []host.Link{
			{Name: "vx0", Index: 5, MTU: 8950, Kind: "vxlan", Tunnel: &host.Tunnel{Family: 4, Remotes: []host.Remote{{Underlay: "eth0"}}}},
		}},
		{"vxlan without a route is left with what it is bound to", [][]byte{message(5, "vx0", 8950, info("vxlan", u32(unix.IFLA_VXLAN_LINK, 2), ip(unix.IFLA_VXLAN_GROUP, "203.0.113.1")))}, []host.Link{
			{Name: "vx0", Index: 5, MTU: 8950, Kind: "vxlan", Tunnel: &host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "203.0.113.1", Underlay: "eth0"}}}},
		}},
		{"vxlan of another namespace's underlay", [][]byte{message(5, "vx0", 1450, u32(under, 2), u32(away, 3), info("vxlan", u32(unix.IFLA_VXLAN_LINK, 2), ip(unix.IFLA_VXLAN_GROUP, "192.0.2.9")))}, []host.Link{
			{Name: "vx0", Index: 5, MTU: 1450, Kind: "vxlan", Away: true, Tunnel: &host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "192.0.2.9"}}}},
		}},
		{"geneve", [][]byte{message(5, "gnv0", 1450, info("geneve", ip(unix.IFLA_GENEVE_REMOTE, "192.0.2.9")))}, []host.Link{
			{Name: "gnv0", Index: 5, MTU: 1450, Kind: "geneve", Tunnel: &host.Tunnel{Family: 4, Remotes: []host.Remote{far}}},
		}},
		{"geneve that the packets steer", [][]byte{message(5, "gnv0", 1450, info("geneve", ip(unix.IFLA_GENEVE_REMOTE, "0.0.0.0"), flag(unix.IFLA_GENEVE_COLLECT_METADATA)))}, []host.Link{
			{Name: "gnv0", Index: 5, MTU: 1450, Kind: "geneve", Tunnel: &host.Tunnel{Family: 4, External: true}},
		}},
		{"gretap with a key", [][]byte{message(5, "gt0", 1458, u32(under, 2), info("gretap", u32(nl.IFLA_GRE_LINK, 2), oflags(0x2000), ip(nl.IFLA_GRE_LOCAL, "0.0.0.0"), ip(nl.IFLA_GRE_REMOTE, "192.0.2.9")))}, []host.Link{
			{Name: "gt0", Index: 5, MTU: 1458, Kind: "gretap", Tunnel: &host.Tunnel{Family: 4, Key: true, Remotes: []host.Remote{far}}},
		}},
		{"gre with a checksum", [][]byte{message(5, "gre1", 1476, info("gre", oflags(0x8000), ip(nl.IFLA_GRE_REMOTE, "192.0.2.9")))}, []host.Link{
			{Name: "gre1", Index: 5, MTU: 1476, Kind: "gre", Tunnel: &host.Tunnel{Family: 4, OptionBytes: 4, Remotes: []host.Remote{far}}},
		}},
		{"ip6gretap without addresses", [][]byte{message(5, "gt0", 1434, info("ip6gretap", flag(nl.IFLA_GRE_COLLECT_METADATA), ip(nl.IFLA_GRE_REMOTE, "::")))}, []host.Link{
			{Name: "gt0", Index: 5, MTU: 1434, Kind: "ip6gretap", Tunnel: &host.Tunnel{Family: 6, External: true}},
		}},
		{"erspan", [][]byte{message(5, "es0", 1450, info("erspan", ip(nl.IFLA_GRE_REMOTE, "192.0.2.9")))}, []host.Link{
			{Name: "es0", Index: 5, MTU: 1450, Kind: "erspan", Tunnel: &host.Tunnel{Family: 4, Remotes: []host.Remote{far}}},
		}},
		{"erspan type I", [][]byte{message(5, "es0", 1450, info("erspan", ip(nl.IFLA_GRE_REMOTE, "192.0.2.9"), u8(22, 0)))}, []host.Link{
			{Name: "es0", Index: 5, MTU: 1450, Kind: "erspan", Tunnel: &host.Tunnel{Family: 4, OptionBytes: -12, Remotes: []host.Remote{far}}},
		}},
		{"erspan version 1", [][]byte{message(5, "es0", 1450, info("erspan", ip(nl.IFLA_GRE_REMOTE, "192.0.2.9"), u8(22, 1)))}, []host.Link{
			{Name: "es0", Index: 5, MTU: 1450, Kind: "erspan", Tunnel: &host.Tunnel{Family: 4, Remotes: []host.Remote{far}}},
		}},
		{"erspan version 2 over IPv6, without an encapsulation limit", [][]byte{message(5, "es0", 1450, info("ip6erspan", ip(nl.IFLA_GRE_REMOTE, "2001:db8::9"), u32(nl.IFLA_GRE_FLAGS, 1), u8(22, 2)))}, []host.Link{
			{Name: "es0", Index: 5, MTU: 1450, Kind: "ip6erspan", Tunnel: &host.Tunnel{Family: 6, OptionBytes: 4, Remotes: []host.Remote{far6}}},
		}},
		{"erspan of a version to come", [][]byte{message(5, "es0", 1450, info("erspan", ip(nl.IFLA_GRE_REMOTE, "192.0.2.9"), u8(22, 3)))}, []host.Link{
			{Name: "es0", Index: 5, MTU: 1450, Kind: "erspan", Tunnel: &host.Tunnel{Family: 4, Unsure: true, Remotes: []host.Remote{far}}},
		}},
		{"gretap in nothing", [][]byte{message(5, "gt0", 1462, info("gretap", ip(nl.IFLA_GRE_REMOTE, "192.0.2.9"), u16(nl.IFLA_GRE_ENCAP_TYPE, 0), u16(nl.IFLA_GRE_ENCAP_FLAGS, 4)))}, []host.Link{
			{Name: "gt0", Index: 5, MTU: 1462, Kind: "gretap", Tunnel: &host.Tunnel{Family: 4, Remotes: []host.Remote{far}}},
		}},
		{"gretap in FOU, with a checksum", [][]byte{message(5, "gt0", 1450, info("gretap", oflags(0x8000), ip(nl.IFLA_GRE_REMOTE, "192.0.2.9"), u16(nl.IFLA_GRE_ENCAP_TYPE, 1), u16(nl.IFLA_GRE_ENCAP_FLAGS, 1)))}, []host.Link{
			{Name: "gt0", Index: 5, MTU: 1450, Kind: "gretap", Tunnel: &host.Tunnel{Family: 4, OptionBytes: 12, Remotes: []host.Remote{far}}},
		}},
		{"ipip in FOU", [][]byte{message(5, "it0", 1472, info("ipip", ip(nl.IFLA_IPTUN_REMOTE, "192.0.2.9"), u16(nl.IFLA_IPTUN_ENCAP_TYPE, 1)))}, []host.Link{
			{Name: "it0", Index: 5, MTU: 1472, Kind: "ipip", Tunnel: &host.Tunnel{Family: 4, OptionBytes: 8, Remotes: []host.Remote{far}}},
		}},
		{"ip6tnl in GUE", [][]byte{message(5, "it0", 1440, info("ip6tnl", ip(nl.IFLA_IPTUN_REMOTE, "2001:db8::9"), u32(nl.IFLA_IPTUN_FLAGS, 0), u16(nl.IFLA_IPTUN_ENCAP_TYPE, 2)))}, []host.Link{
			{Name: "it0", Index: 5, MTU: 1440, Kind: "ip6tnl", Tunnel: &host.Tunnel{Family: 6, OptionBytes: 20, Remotes: []host.Remote{far6}}},
		}},
		{"sit in GUE with remote checksums", [][]byte{message(5, "it0", 1460, info("sit", ip(nl.IFLA_IPTUN_REMOTE, "192.0.2.9"), u16(nl.IFLA_IPTUN_ENCAP_TYPE, 2), u16(nl.IFLA_IPTUN_ENCAP_FLAGS, 4)))}, []host.Link{
			{Name: "it0", Index: 5, MTU: 1460, Kind: "sit", Tunnel: &host.Tunnel{Family: 4, OptionBytes: 20, Remotes: []host.Remote{far}}},
		}},
		{"ipip in MPLS", [][]byte{message(5, "it0", 1476, info("ipip", ip(nl.IFLA_IPTUN_REMOTE, "192.0.2.9"), u16(nl.IFLA_IPTUN_ENCAP_TYPE, 3)))}, []host.Link{
			{Name: "it0", Index: 5, MTU: 1476, Kind: "ipip", Tunnel: &host.Tunnel{Family: 4, Unsure: true, Remotes: []host.Remote{far}}},
		}},
		{"sit", [][]byte{message(5, "sit1", 1480, info("sit", ip(nl.IFLA_IPTUN_LOCAL, "192.0.2.1"), ip(nl.IFLA_IPTUN_REMOTE, "192.0.2.9")))}, []host.Link{
			{Name: "sit1", Index: 5, MTU: 1480, Kind: "sit", Tunnel: &host.Tunnel{Family: 4, Local: "192.0.2.1", Remotes: []host.Remote{far}}},
		}},
		{"ip6tnl", [][]byte{message(5, "ip6tnl1", 1452, info("ip6tnl", ip(nl.IFLA_IPTUN_REMOTE, "2001:db8::9")))}, []host.Link{
			{Name: "ip6tnl1", Index: 5, MTU: 1452, Kind: "ip6tnl", Tunnel: &host.Tunnel{Family: 6, Remotes: []host.Remote{far6}}},
		}},
		{"no such link below", [][]byte{message(5, "x", 1500, u32(under, 77), u32(unix.IFLA_MASTER, 78), info("vlan"))}, []host.Link{
			{Name: "x", Index: 5, MTU: 1500, Kind: "vlan"},
		}},
		{"a message cut short", [][]byte{message(5, "x", 1500)[:12], message(6, "y", 1500)[:18]}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var links []link
			for _, m := range append([][]byte{eth0}, tt.messages...) {
				if l, ok := decodeLink(m); ok {
					links = append(links, l)
				}
			}
			names(links)
			routes := newRoutes(links)
			routes.ask = func(w way) hop {
				if w.to == netip.MustParseAddr("203.0.113.1") {
					return hop{}
				}
				return hop{link: 2}
			}
			resolve(links, routes)
			var got []host.Link
			for _, l := range links[1:] {
				got = append(got, l.Link)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// However often a bridge is being pinned, its number is what it has else.
func TestIntegrationReadWhilePinned(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, "link add br0 mtu 9000 type bridge")
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := tap.Pin("br0", 9000, &sync.Mutex{}); err != nil {
					t.Error(err)
				}
			}
		}()
		odd := 0
		for range 500 {
			links, err := dumpLinks()
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range links {
				if l.Name == "br0" && l.MTU != 9000 {
					odd++
				}
			}
			for _, l := range Read().Links {
				if l.Name == "br0" && l.MTU != 9000 {
					t.Fatalf("br0 has %d", l.MTU)
				}
			}
		}
		close(stop)
		<-ended
		t.Logf("the kernel told of the odd value %d times in 500", odd)
	})
}
