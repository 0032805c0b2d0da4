package collect

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"virt-mtu/internal/host"
	"virt-mtu/test/netns"
)

// fabric is a host's network as far as this kernel can build it: what is stacked,
// what is bridged, what tunnels, what leads to another namespace.
const fabric = `
	link set lo up
	link add up0 mtu 9000 type veth peer name up1 mtu 9000
	addr add 192.0.2.1/24 dev up0
	addr add 2001:db8::1/64 dev up0 nodad
	link set up0 up
	link set up1 up
	route add 198.51.100.0/24 via 192.0.2.2 mtu 1400
	route add 203.0.113.0/24 via 192.0.2.2 mtu 9500
	link add br0 type bridge
	link add vx0 mtu 1450 type vxlan id 1 dstport 4789 remote 192.0.2.9 local 192.0.2.1
	link add vx1 mtu 1450 type vxlan id 2 dstport 4789 dev up0
	link add vx2 mtu 1450 type vxlan id 3 dstport 4789 group 239.1.1.1 dev up0
	link add vx3 mtu 1450 type vxlan id 4 dstport 4789 local 192.0.2.1 nolearning
	link add vx4 mtu 1430 type vxlan id 5 dstport 4789 remote 2001:db8::9
	link add vx5 mtu 1450 type vxlan id 6 dstport 4789 remote 192.0.2.1
	link add vx6 mtu 1450 type vxlan id 7 dstport 4789 remote 8.8.8.8
	link add vx7 mtu 1450 type vxlan id 8 dstport 4789 remote 192.0.2.9 local 192.0.2.77
	link add vx8 mtu 1450 type vxlan dstport 4790 external
	link set vx0 master br0
	tuntap add vnet0 mode tap
	link set vnet0 master br0
	tuntap add tun0 mode tun
	link add mv0 link up1 mtu 8000 type macvlan
	link set mv0 master br0
	link add mt0 link up1 type macvtap
	link add br1 mtu 9000 type bridge
	link add mv1 link br1 type macvlan
	link set mv1 master br0
	netns add away
	link add far0 type veth peer name far1
	link set far1 netns away
	link set far0 master br0
	netns exec away ip link add mv2 link far1 type macvlan
	netns exec away ip link add vx9 mtu 1450 type vxlan id 9 dstport 4789 remote 192.0.2.9 dev far1
	netns exec away ip link set mv2 netns %[1]d
	netns exec away ip link set vx9 netns %[1]d
	link set mv2 master br0
	link set vx9 master br0`

func build(t *testing.T) {
	t.Helper()
	netns.IP(t, fmt.Sprintf(fabric, os.Getpid()))
	for _, to := range []string{"192.0.2.9", "198.51.100.9", "203.0.113.9"} {
		if out, err := exec.Command("bridge", "fdb", "append", "00:00:00:00:00:00", "dev", "vx3", "dst", to).CombinedOutput(); err != nil {
			t.Fatalf("bridge fdb: %v\n%s", err, out)
		}
	}
}

func TestIntegrationRead(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		build(t)
		got := Read()
		if len(got.Unread) > 0 || got.OVS != nil || got.Networks != nil {
			t.Errorf("unread %q, Open vSwitch %v, networks %v", got.Unread, got.OVS, got.Networks)
		}
		tunnel := func(name string, mtu int, t host.Tunnel) host.Link {
			return host.Link{Name: name, MTU: mtu, Kind: "vxlan", Tunnel: &t}
		}
		vx0 := tunnel("vx0", 1450, host.Tunnel{Family: 4, Local: "192.0.2.1", Remotes: []host.Remote{{Address: "192.0.2.9", Underlay: "up0"}}})
		vx0.Master = "br0"
		vx9 := tunnel("vx9", 1450, host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "192.0.2.9"}}})
		vx9.Master, vx9.Away = "br0", true
		want := []host.Link{
			{Name: "br0", MTU: 1450, Kind: "bridge"},
			{Name: "br1", MTU: 9000, Kind: "bridge"},
			{Name: "far0", MTU: 1500, Kind: "veth", Master: "br0", Away: true},
			{Name: "lo", MTU: 65536, Kind: "loopback"},
			{Name: "mt0", MTU: 9000, Kind: "macvtap", Lower: "up1"},
			{Name: "mv0", MTU: 8000, Kind: "macvlan", Master: "br0", Lower: "up1"},
			{Name: "mv1", MTU: 9000, Kind: "macvlan", Master: "br0", Lower: "br1"},
			{Name: "mv2", MTU: 1500, Kind: "macvlan", Master: "br0", Away: true},
			{Name: "tun0", MTU: 1500, Kind: "tun"},
			{Name: "up0", MTU: 9000, Kind: "veth", Peer: "up1"},
			{Name: "up1", MTU: 9000, Kind: "veth", Peer: "up0"},
			{Name: "vnet0", MTU: 1500, Kind: "tun", Tap: true, Master: "br0"},
			vx0,
			tunnel("vx1", 1450, host.Tunnel{Family: 4, Remotes: []host.Remote{{Underlay: "up0"}}}),
			tunnel("vx2", 1450, host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "239.1.1.1", Underlay: "up0"}}}),
			tunnel("vx3", 1450, host.Tunnel{Family: 4, Local: "192.0.2.1", Remotes: []host.Remote{
				{Address: "192.0.2.9", Underlay: "up0"},
				{Address: "198.51.100.9", Underlay: "up0", MTU: 1400},
				{Address: "203.0.113.9", Underlay: "up0"}, // its route has more than the link
			}}),
			tunnel("vx4", 1430, host.Tunnel{Family: 6, Remotes: []host.Remote{{Address: "2001:db8::9", Underlay: "up0"}}}),
			tunnel("vx5", 1450, host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "192.0.2.1", Underlay: "lo"}}}),
			tunnel("vx6", 1450, host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "8.8.8.8"}}}),
			tunnel("vx7", 1450, host.Tunnel{Family: 4, Local: "192.0.2.77", Remotes: []host.Remote{{Address: "192.0.2.9"}}}),
			tunnel("vx8", 1450, host.Tunnel{Family: 4, External: true}),
			vx9,
		}
		sorted := cmpopts.SortSlices(func(a, b host.Link) bool { return a.Name < b.Name })
		if diff := cmp.Diff(want, got.Links, sorted, cmpopts.IgnoreFields(host.Link{}, "Index")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// The libvirt hook's reader knows less, and nothing else.
func TestIntegrationAgrees(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		build(t)
		hook, err := host.Read([]string{"br0", "br1", "mt0", "tun0"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		all := Read()
		for _, l := range hook.Links {
			full, ok := all.Link(l.Name)
			if !ok {
				t.Errorf("only the hook knows %+v", l)
				continue
			}
			// The hook never knows a tunnel's ways, nor that they are elsewhere.
			if full.Tunnel != nil {
				full.Tunnel, full.Away = nil, false
			}
			// Nor, where a bridge has other uplinks, where its veths lead.
			if l.Kind == "veth" && l.Peer == "" && !l.Away {
				full.Peer, full.Away = "", false
			}
			if diff := cmp.Diff(full, l); diff != "" {
				t.Errorf("%s (-all +hook):\n%s", l.Name, diff)
			}
		}
		var read []string
		for _, l := range hook.Links {
			read = append(read, l.Name)
		}
		slices.Sort(read)
		want := []string{"br0", "br1", "far0", "mt0", "mv0", "mv1", "mv2", "tun0", "up0", "up1", "vnet0", "vx0", "vx9"}
		if diff := cmp.Diff(want, read); diff != "" {
			t.Errorf("links that the hook reads (-want +got):\n%s", diff)
		}
	})
}

func TestIntegrationReadFast(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 1,000 taps")
	}
	netns.Run(t, func(t *testing.T) {
		netns.FullBridge(t, 1000)
		best := func(run func()) time.Duration {
			least := time.Hour
			for range 5 {
				start := time.Now()
				run()
				least = min(least, time.Since(start))
			}
			return least
		}
		ours := best(func() {
			if s := Read(); len(s.Links) != 1002 || len(s.Unread) > 0 {
				t.Errorf("%d links, unread %q", len(s.Links), s.Unread)
			}
		})
		ip := best(func() {
			if out, err := exec.Command("ip", "-d", "-j", "link").Output(); err != nil || len(out) < 100_000 {
				t.Errorf("ip: %d bytes, %v", len(out), err)
			}
		})
		t.Logf("1,000 taps: Read %v, ip -d -j link %v", ours, ip)
		if ours > ip/2 {
			t.Errorf("Read takes %v, ip %v", ours, ip)
		}
	})
}
