package host

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"virt-mtu/test/netns"
)

var anyIndex = cmpopts.IgnoreFields(Link{}, "Index")

func portsOf(s Snapshot, bridge string) []Link {
	var ports []Link
	for _, l := range s.Links {
		if l.Master == bridge {
			ports = append(ports, l)
		}
	}
	return ports
}

var byName = cmpopts.SortSlices(func(a, b Link) bool { return a.Name < b.Name })

func TestIntegrationRead(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		libvirtFiles(t)
		netns.IP(t, `
			link add br0 type bridge
			link add up0 mtu 9000 type veth peer name up1
			link set up0 master br0
			link add vx0 mtu 1450 type vxlan id 7 dstport 4789 local 127.0.0.1
			link set vx0 master br0
			tuntap add vnet0 mode tap
			link set vnet0 mtu 1400 master br0
			tuntap add vnet1 mode tap
			tuntap add tun0 mode tun
			link add mv0 link up1 type macvlan
			link add mt0 link up1 type macvtap
			link add br1 mtu 4000 type bridge
			tuntap add vnet2 mode tap
			link set vnet2 mtu 4000 master br1
			link add virbr7 mtu 9000 type bridge
			link property add dev br0 altname other`)

		br0 := []Link{
			{Name: "br0", MTU: 1400, Kind: "bridge"},
			{Name: "up0", MTU: 9000, Kind: "veth", Master: "br0"}, // vx0 is the uplink
			{Name: "vnet0", MTU: 1400, Kind: "tun", Tap: true, Master: "br0"},
			{Name: "vx0", MTU: 1450, Kind: "vxlan", Master: "br0"},
		}
		br1 := Link{Name: "br1", MTU: 4000, Kind: "bridge"}
		virbr7 := Link{Name: "virbr7", MTU: 9000, Kind: "bridge"}
		vnet1 := Link{Name: "vnet1", MTU: 1500, Kind: "tun", Tap: true}
		vnet2 := Link{Name: "vnet2", MTU: 4000, Kind: "tun", Tap: true, Master: "br1"}
		rest := []Link{
			{Name: "lo", MTU: 65536},
			{Name: "mt0", MTU: 1500, Kind: "macvtap", Lower: "up1"},
			{Name: "mv0", MTU: 1500, Kind: "macvlan", Lower: "up1"},
			{Name: "tun0", MTU: 1500, Kind: "tun"},
			{Name: "up1", MTU: 1500, Kind: "veth", Peer: "up0"},
		}
		// What a veth leads to comes with it.
		behind := slices.Clone(br0)
		behind[1].Peer = "up1"
		for _, tt := range []struct {
			name            string
			links, networks []string
			want            []Link
		}{
			{"a bridge comes with its ports", []string{"br0"}, nil, br0},
			{"each once", []string{"vnet0", "br0", "br0", "vx0"}, nil, br0},
			{"a tap of no bridge", []string{"vnet1"}, nil, []Link{vnet1}},
			{"a port comes without its bridge", []string{"vnet2"}, nil, []Link{vnet2}},
			{"no taps", []string{"lo", "mt0", "mv0", "tun0", "up1"}, nil, slices.Concat(rest, behind)},
			{"a network comes with its bridge", []string{"vnet1"}, []string{"isolated"}, []Link{virbr7, vnet1}},
			{"what is no link", []string{
				"", ".", "..", "br0/", "/", "../net/br0", "br0/brif/up0", "br0/lower_up0", "lo:1", "br 0", "br0\x00", "br0\n",
				"nosuch", "sixteen-letters-", strings.Repeat("br0", 1000),
			}, nil, nil},
			{"an alternative name", []string{"other"}, nil, nil},
			{"nothing", nil, nil, nil},
		} {
			t.Run(tt.name, func(t *testing.T) {
				got, err := Read(tt.links, tt.networks)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got.Links, anyIndex, byName, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}

		all, err := Read([]string{"br0", "br1", "virbr7", "vnet1", "lo", "mt0", "mv0", "tun0"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := append(append(br0, rest...), br1, virbr7, vnet1, vnet2)
		if diff := cmp.Diff(want, all.Links, anyIndex, byName); diff != "" {
			t.Errorf("all of them (-want +got):\n%s", diff)
		}
		for _, l := range all.Links {
			index, err := os.ReadFile("/sys/class/net/" + l.Name + "/ifindex")
			if err != nil || strings.TrimSpace(string(index)) != fmt.Sprint(l.Index) {
				t.Errorf("%s: index %d, sysfs has %s (%v)", l.Name, l.Index, index, err)
			}
		}
		if host, _ := os.Hostname(); all.Host != host {
			t.Errorf("host %q, want %q", all.Host, host)
		}
	})
}

// What lies under a port comes with it, and no further than this network namespace.
func TestIntegrationReadBelow(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, fmt.Sprintf(`
			link add br0 type bridge
			link add br1 mtu 9000 type bridge
			link add up0 mtu 9000 type veth peer name up1
			link set up0 master br1
			link add mv0 link br1 mtu 8000 type macvlan
			link set mv0 master br0
			netns add away
			link add far0 type veth peer name far1
			link set far1 netns away
			link add br2 type bridge
			link set far0 master br2
			netns exec away ip link add mv1 link far1 type macvlan
			netns exec away ip link set mv1 netns %d
			link set mv1 master br0
			tuntap add vnet0 mode tap
			link set vnet0 master br0`, os.Getpid()))

		got, err := Read([]string{"br0", "br2"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []Link{
			{Name: "br0", MTU: 1500, Kind: "bridge"},
			{Name: "br2", MTU: 1500, Kind: "bridge"},
			{Name: "mv0", MTU: 8000, Kind: "macvlan", Master: "br0", Lower: "br1"},
			{Name: "br1", MTU: 9000, Kind: "bridge"},
			{Name: "up0", MTU: 9000, Kind: "veth", Master: "br1", Peer: "up1"},
			{Name: "up1", MTU: 1500, Kind: "veth", Peer: "up0"},
			{Name: "far0", MTU: 1500, Kind: "veth", Master: "br2", Away: true},
			{Name: "mv1", MTU: 1500, Kind: "macvlan", Master: "br0", Away: true},
			{Name: "vnet0", MTU: 1500, Kind: "tun", Tap: true, Master: "br0"},
		}
		if diff := cmp.Diff(want, got.Links, anyIndex, byName); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A full bridge is what a busy host has; it is logged how long that takes.
func TestIntegrationReadFullBridge(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 1,000 taps")
	}
	netns.Run(t, func(t *testing.T) {
		netns.FullBridge(t, 1000)
		for range 3 {
			start := time.Now()
			got, err := Read([]string{"br0", "vnet7"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("1,000 ports in %v", time.Since(start))
			taps := 0
			for _, p := range portsOf(got, "br0") {
				if p.Tap && p.MTU == 1500 {
					taps++
				}
			}
			if taps != 1000 {
				t.Errorf("%d taps", taps)
			}
		}
	})
}

// A bridge of containers alone: each port's other end is read, and rtnetlink is asked
// once for each pair. The hook has two seconds for all that it does.
func TestIntegrationReadFullOfVeths(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 1,000 veths")
	}
	netns.Run(t, func(t *testing.T) {
		var batch strings.Builder
		batch.WriteString("link add br0 type bridge\n")
		for i := range 1000 {
			fmt.Fprintf(&batch, "link add v%d type veth peer name w%d\nlink set v%d master br0\n", i, i, i)
		}
		netns.IP(t, batch.String())
		least := time.Hour
		for range 3 {
			start := time.Now()
			r, err := newReader()
			if err != nil {
				t.Fatal(err)
			}
			r.add("br0")
			r.close()
			least = min(least, time.Since(start))
			if r.rtnl.last != 1000 {
				t.Errorf("%d questions", r.rtnl.last)
			}
			paired := 0
			for _, l := range r.links {
				if l.Kind == "veth" && l.Peer != "" && l.Peer[1:] == l.Name[1:] {
					paired++
				}
			}
			if paired != 2000 {
				t.Errorf("%d ends of veths with their peers", paired)
			}
		}
		t.Logf("1,000 veths in %v", least)
	})
}

// Links that come and go while they are read are there or not there, whole.
func TestIntegrationReadWhileLinksGo(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, "link add br0 type bridge")
		var batch strings.Builder
		for range 6 {
			for i := range 10 {
				fmt.Fprintf(&batch, "link add v%d type veth peer name w%d\nlink set v%d master br0\n", i, i, i)
			}
			for i := range 10 {
				fmt.Fprintf(&batch, "link del v%d\n", i)
			}
		}
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(batch.String())
		done := make(chan error, 1)
		go func() { _, err := cmd.CombinedOutput(); done <- err }()
		seen := 0
		for {
			got, err := Read([]string{"br0"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			seen += len(got.Links) - 1
			for _, p := range portsOf(got, "br0") {
				if p.Index == 0 || p.MTU != 1500 || p.Kind != "veth" {
					t.Fatalf("half a link: %+v", p)
				}
			}
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				if seen == 0 {
					t.Error("no port was ever read")
				}
				return
			default:
			}
		}
	})
}
