package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
	"virt-mtu/internal/policy"
)

// answer is what is said of a guest's move to a host: yes, no or unknown.
func answer(t *testing.T, n domxml.NIC, to host.Snapshot) (string, []finding.Finding) {
	t.Helper()
	found, err := Move(domxml.Domain{NICs: []domxml.NIC{n}}, NewTopology(&to), "kvm2", policy.Default())
	if err != nil {
		t.Fatal(err)
	}
	a := "yes"
	for _, f := range found {
		switch {
		case f.Severity == finding.Critical || f.Code == finding.BridgeMissing:
			return "no", found
		case f.Severity == finding.Unknown:
			a = "unknown"
		}
	}
	return a, found
}

// A host of which is known only what libvirt tells: what a virtual port is may matter.
func TestMoveVirtualPorts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		to    host.Snapshot
		guest int
		want  string
		code  finding.Code
		says  string
	}{
		{"no port", bridge(9000), 9000, "yes", "", ""},
		{"no port, too small", bridge(1500), 9000, "no", finding.GuestAboveBridge, "bridge br0 has 1500 on kvm2"},
		{"hardware", bridge(9000, "eth0 device 9000", "vnet0 tap 1500"), 9000, "yes", "", ""},
		{"hardware, too small", bridge(1500, "eth0 device 1500"), 9000, "no", finding.GuestAboveSegment, "uplink eth0"},
		{"all too small, whatever they are", bridge(1500, "up0 virtual 1500", "x virtual 1400"), 9000, "no", finding.GuestAboveBridge, "bridge br0 has 1500"},
		{"hardware too small beside it", bridge(9000, "eth0 device 1500", "x virtual 9000"), 9000, "no", finding.GuestAboveSegment, "uplink eth0 of bridge br0 has 1500 on kvm2"},
		{"and beside a tunnel", bridge(9000, "eth0 ixgbe 1500", "vx0 vxlan 9000"), 9000, "no", finding.GuestAboveSegment, "uplink eth0 of bridge br0 has 1500 on kvm2"},
		{"it may be a tunnel", bridge(9000, "eth0 device 9000", "x virtual 9000"), 9000, "unknown", finding.NotKnown, "whether port x of bridge br0 leads off the host is not known"},
		{"it may be somebody's tap", bridge(9000, "eth0 device 9000", "x virtual 1500"), 9000, "unknown", finding.NotKnown, "port x"},
		{"it may be the uplink", bridge(1500, "up0 virtual 9000"), 9000, "unknown", finding.NotKnown, "port up0 of bridge br0 has 9000 and bridge br0 1500"},
		{"it may not be", bridge(9000, "up0 virtual 1500"), 9000, "unknown", finding.NotKnown, "port up0"},
		{"of unknown size", bridge(1500, "up0 virtual 0"), 9000, "unknown", finding.NotKnown, "port up0"},
		{"what is no bridge to libvirt", host.Snapshot{Links: []host.Link{{Name: "br0", Kind: host.Virtual, MTU: 1500}}}, 9000, "unknown", finding.NotKnown, "what br0 is cannot be told"},
		{"told nothing", bridge(9000, "up0 virtual 1500"), 0, "yes", "", ""},
		{"told nothing, below 1500", bridge(1400, "up0 virtual 1400"), 0, "yes", finding.GuestNotTold, "bridge br0 has 1400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, found := answer(t, nic(mtu(tt.guest)), tt.to)
			var code finding.Code
			said := ""
			for _, f := range found {
				code, said = f.Code, said+f.Message
			}
			if got != tt.want || code != tt.code || !strings.Contains(said, tt.says) {
				t.Errorf("%s %s: %s", got, code, said)
			}
		})
	}
}

// What is to be done, on the host that lacks it.
func TestMoveRemedies(t *testing.T) {
	networks := func(n ...host.Network) host.Snapshot {
		s := bridge(9000)
		s.Networks = append([]host.Network{}, n...)
		return s
	}
	unread := networks()
	unread.Unread = []string{"libvirt did not answer"}
	for _, tt := range []struct {
		name   string
		nic    domxml.NIC
		to     host.Snapshot
		want   string
		remedy string
	}{
		{"uplink", nic(mtu(9000)), bridge(9000, "eth0 ixgbe 1500"), "no", "ip link set dev eth0 mtu 9000"},
		{"two uplinks", nic(mtu(9000)), bridge(1500, "eth0 ixgbe 1500", "eth1 ixgbe 1500"), "no", "ip link set dev eth1 mtu 9000"},
		{"bridge", nic(mtu(9000)), bridge(1500), "no", "ip link set dev br0 mtu 9000"},
		{"bridge below", nic(mtu(9000)), bridge(1500, "eth0 ixgbe 9000"), "yes", "ip link set dev br0 mtu 9000"},
		{"no bridge", nic(on("bridge", "br9")), bridge(1500), "no", "ip link add name br9 type bridge"},
		{"network off", nic(on("network", "lan")), networks(host.Network{Name: "lan", Bridge: "br0", Inactive: true}), "no", "virsh net-start lan"},
		{"no network", nic(on("network", "lan")), networks(), "no", ""},
		{"no network that could be read", nic(on("network", "lan"), mtu(9000)), unread, "unknown", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, found := answer(t, tt.nic, tt.to)
			if len(found) != 1 || got != tt.want || !strings.Contains(found[0].Remedy, tt.remedy) || tt.remedy == "" && found[0].Remedy != "" {
				t.Errorf("%s %+v", got, found)
			}
		})
	}
}

// Who knows less may say that it does not know; never the contrary. A host's ports are
// made up, and seen with all that can be known, by the hook (no tunnel's underlay), and by
// libvirt (taps of its guests, hardware, VLANs and bonds, the rest virtual).
func TestViewsNeverContradict(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sizes := []int{1400, 1500, 4000, 9000}
	size := func() int { return sizes[r.IntN(len(sizes))] }
	answers := map[string]int{}
	for range 20_000 {
		var full, hook, distant host.Snapshot
		// add adds a link, as libvirt shows it and in full.
		add := func(l host.Link, shown string) {
			full.Links = append(full.Links, l)
			l.Tunnel = nil
			hook.Links = append(hook.Links, l)
			if shown != l.Kind {
				l = host.Link{Name: l.Name, MTU: l.MTU, Master: l.Master, Kind: shown}
			}
			distant.Links = append(distant.Links, l)
		}
		add(host.Link{Name: "br0", Kind: "bridge", MTU: size()}, "bridge")
		add(host.Link{Name: "phys", Kind: "ixgbe", MTU: size()}, host.Hardware)
		add(host.Link{Name: "br1", Kind: "bridge", MTU: size()}, "bridge")
		add(host.Link{Name: "far0", Kind: "veth", MTU: size(), Master: "br1", Peer: "near0"}, host.Virtual)
		add(host.Link{Name: "out1", Kind: "ixgbe", MTU: size(), Master: "br1"}, host.Hardware)
		for i := range r.IntN(4) {
			l := host.Link{Name: fmt.Sprintf("p%d", i), MTU: size(), Master: "br0"}
			shown := host.Virtual
			switch r.IntN(8) {
			case 0, 1:
				l.Kind, l.Tap = "tun", true
				if r.IntN(2) == 0 {
					shown = "tun" // of a guest that libvirt knows
				}
			case 2:
				l.Kind, l.Away = "veth", true
			case 3:
				if i > 0 { // there is one pair
					continue
				}
				l.Name, l.Kind, l.Peer = "near0", "veth", "far0"
			case 4:
				l.Kind, shown = "ixgbe", host.Hardware
			case 5:
				l.Kind, l.Lower, shown = "vlan", "phys", "vlan"
			case 6:
				l.Kind, l.Tunnel = "vxlan", &host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "192.0.2.9", Underlay: "phys"}}}
			case 7:
				l.Kind, shown = "bond", "bond"
				member := host.Link{Name: fmt.Sprintf("m%d", i), Kind: "ixgbe", MTU: size(), Master: l.Name}
				add(member, host.Hardware)
			}
			add(l, shown)
		}
		n := nic(mtu(append(sizes, 0)[r.IntN(5)]))
		var got [3]string
		for i, s := range []host.Snapshot{full, hook, distant} {
			got[i], _ = answer(t, n, s)
		}
		answers[strings.Join(got[:], " ")]++
		if slices.Contains(got[:], "yes") && slices.Contains(got[:], "no") {
			t.Fatalf("a guest with %d, in full, the hook, libvirt: %q\n%+v", n.MTU, got, full.Links)
		}
		if got[0] == "unknown" || got[0] != "no" && got[1] == "no" {
			t.Fatalf("a guest with %d, in full, the hook, libvirt: %q\n%+v", n.MTU, got, full.Links)
		}
	}
	for _, a := range []string{"yes yes yes", "no no no", "yes yes unknown", "no no unknown", "no unknown unknown", "yes unknown unknown"} {
		if answers[a] == 0 {
			t.Errorf("%q did not come up: %v", a, answers)
		}
	}
}
