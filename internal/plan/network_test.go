package plan

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
	"virt-mtu/internal/owned"
)

// ownNetwork is a network of libvirt's own bridge, virbr7.
func ownNetwork(mtu int) host.Network {
	return host.Network{Name: "lan", Bridge: "virbr7", Forward: "nat", MTU: mtu}
}

func virbr7(mtu int) host.Link { return host.Link{Name: "virbr7", Kind: "bridge", MTU: mtu} }

func TestMakeNetwork(t *testing.T) {
	record := func(before, set int) string { return owned.Network{Before: before, Set: set}.XML() }
	off := func(n host.Network) host.Network { n.Inactive = true; return n }
	six := func(n host.Network) host.Network { n.IPv6 = true; return n }
	type got struct {
		Action      Action
		Target, Set int
		Bridge      int
		Waits       bool
	}
	rec := func(before, set int) *owned.Network { return &owned.Network{Before: before, Set: set} }
	for _, tt := range []struct {
		name    string
		in      NetworkInput
		mtu     int    // the definition's
		meta    string // of the definition
		bridge  int    // 0: there is none
		ports   []host.Link
		want    got
		record  *owned.Network
		changes bool
		why     string // in reason, hint or a warning
	}{
		{name: "a number", in: NetworkInput{Network: ownNetwork(0), MTU: 9000}, bridge: 1500,
			want: got{Inject, 9000, 9000, 9000, true}, record: rec(0, 9000), changes: true},
		{name: "a number where it does not run", in: NetworkInput{Network: off(ownNetwork(0)), MTU: 9000},
			want: got{Inject, 9000, 9000, 0, false}, record: rec(0, 9000), changes: true},
		{name: "there already, by virt-mtu", in: NetworkInput{Network: ownNetwork(9000), MTU: 9000}, mtu: 9000, meta: record(0, 9000), bridge: 9000,
			want: got{None, 9000, 9000, 0, false}, record: rec(0, 9000)},
		{name: "another number", in: NetworkInput{Network: ownNetwork(4000), MTU: 9000}, mtu: 4000, meta: record(1400, 4000), bridge: 4000,
			want: got{Update, 9000, 9000, 9000, true}, record: rec(1400, 9000), changes: true},
		{name: "1500 counts, asked for", in: NetworkInput{Network: ownNetwork(0), MTU: 1500}, bridge: 1500,
			want: got{Inject, 1500, 1500, 0, true}, record: rec(0, 1500), changes: true},
		{name: "an admin's stays", in: NetworkInput{Network: ownNetwork(4000), MTU: 9000}, mtu: 4000, bridge: 4000,
			want: got{None, 4000, 4000, 0, false}, why: "--force"},
		{name: "an admin's raises its bridge", in: NetworkInput{Network: ownNetwork(0)}, mtu: 4000, bridge: 1500,
			want: got{None, 4000, 4000, 4000, true}},
		{name: "an admin's, by force", in: NetworkInput{Network: ownNetwork(4000), MTU: 9000, Force: true}, mtu: 4000, bridge: 4000,
			want: got{Update, 9000, 9000, 9000, true}, record: rec(4000, 9000), changes: true},
		{name: "and back: it is the admin's again", in: NetworkInput{Network: ownNetwork(9000), MTU: 4000}, mtu: 9000, meta: record(4000, 9000), bridge: 9000,
			want: got{Update, 4000, 4000, 0, true}, changes: true, why: "stays at 9000 until"},
		{name: "changed since: forgotten", in: NetworkInput{Network: ownNetwork(4000)}, mtu: 4000, meta: record(0, 9000), bridge: 4000,
			want: got{None, 4000, 4000, 0, false}, changes: true},
		{name: "down, the bridge not", in: NetworkInput{Network: ownNetwork(9000), MTU: 4000}, mtu: 9000, meta: record(0, 9000), bridge: 9000,
			want: got{Update, 4000, 4000, 0, true}, record: rec(0, 4000), changes: true, why: "--lower lowers it now"},
		{name: "down, the bridge too", in: NetworkInput{Network: ownNetwork(9000), MTU: 4000, Lower: true}, mtu: 9000, meta: record(0, 9000), bridge: 9000,
			want: got{Update, 4000, 4000, 4000, true}, record: rec(0, 4000), changes: true},

		{name: "inherit what the bridge has", in: NetworkInput{Network: ownNetwork(0)}, bridge: 9000,
			want: got{Inject, 9000, 9000, 0, true}, record: rec(0, 9000), changes: true, why: "bridge virbr7 has 9000"},
		{name: "inherit what a port of it carries", in: NetworkInput{Network: ownNetwork(0)}, bridge: 9000,
			ports: []host.Link{{Name: "eth1", Kind: host.Hardware, MTU: 4000, Master: "virbr7"}},
			want:  got{Inject, 4000, 4000, 0, true}, record: rec(0, 4000), changes: true, why: "stays at 9000"},
		{name: "1500 inherited is nothing", in: NetworkInput{Network: ownNetwork(0)}, bridge: 1500, want: got{None, 1500, 0, 0, false}},
		{name: "nothing to inherit", in: NetworkInput{Network: off(ownNetwork(0))}, want: got{Skip, 0, 0, 0, false}, why: "virsh net-start lan"},
		{name: "off, it keeps what it has", in: NetworkInput{Network: off(ownNetwork(9000))}, mtu: 9000, meta: record(0, 9000),
			want: got{None, 9000, 9000, 0, false}, record: rec(0, 9000)},
		{name: "a bridge that is not there", in: NetworkInput{Network: ownNetwork(0)}, want: got{Skip, 0, 0, 0, false}, why: `no bridge "virbr7"`},

		{name: "IPv6 needs 1280", in: NetworkInput{Network: six(ownNetwork(0)), MTU: 1279}, bridge: 1500, want: got{Refuse, 1279, 0, 0, false}, why: "1280"},
		{name: "and has it", in: NetworkInput{Network: six(ownNetwork(0)), MTU: 1280}, bridge: 1500,
			want: got{Inject, 1280, 1280, 0, true}, record: rec(0, 1280), changes: true},
		{name: "IPv4 does not", in: NetworkInput{Network: ownNetwork(0), MTU: 68}, bridge: 1500,
			want: got{Inject, 68, 68, 0, true}, record: rec(0, 68), changes: true},

		{name: "undo", in: NetworkInput{Network: ownNetwork(9000), Undo: true}, mtu: 9000, meta: record(0, 9000), bridge: 9000,
			want: got{Remove, 0, 0, 0, true}, changes: true, why: "bridge virbr7 stays at 9000"},
		{name: "undo brings back", in: NetworkInput{Network: ownNetwork(9000), Undo: true}, mtu: 9000, meta: record(1400, 9000), bridge: 9000,
			want: got{Update, 1400, 1400, 0, true}, changes: true, why: "1400 stood there"},
		{name: "undo leaves an admin's", in: NetworkInput{Network: ownNetwork(9000), Undo: true}, mtu: 9000, bridge: 9000, want: got{None, 0, 9000, 0, false}},
		{name: "undo leaves what was changed since", in: NetworkInput{Network: ownNetwork(4000), Undo: true}, mtu: 4000, meta: record(0, 9000), bridge: 9000,
			want: got{None, 0, 4000, 0, false}, changes: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := tt.in
			h := host.Snapshot{Links: tt.ports, Networks: []host.Network{in.Network}}
			if tt.bridge != 0 {
				h.Links = append(h.Links, virbr7(tt.bridge))
			}
			in.Host = NewTopology(&h)
			in.Definition = &domxml.Network{Name: "lan", MTU: tt.mtu}
			if tt.meta != "" {
				doc, err := domxml.ParseNetwork([]byte("<network><name>lan</name><metadata>"+tt.meta+"</metadata></network>"), owned.URI)
				if err != nil {
					t.Fatal(err)
				}
				in.Definition.Metadata = doc.Metadata
			}
			n, err := MakeNetwork(in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got{n.Action, n.Target, n.Set, n.BridgeSet, n.Waits}); d != "" {
				t.Errorf("want-, got+:\n%s(%s)", d, n.Reason)
			}
			if d := cmp.Diff(tt.record, n.Record); d != "" {
				t.Errorf("record, want-, got+:\n%s", d)
			}
			if n.Changes() != tt.changes {
				t.Errorf("changes: %v", n.Changes())
			}
			if text := strings.Join(append(n.Warnings, n.Reason, n.Hint), "\n"); !strings.Contains(text, tt.why) {
				t.Errorf("does not say %q:\n%s", tt.why, text)
			}
		})
	}
}

func TestMakeNetworkRefuses(t *testing.T) {
	for forward, hint := range map[string]string{
		"bridge": "ip link set dev br0 mtu N", "private": "macvtap", "vepa": "macvtap", "passthrough": "macvtap", "hostdev": "physical function",
	} {
		x := host.Network{Name: "lan", Forward: forward}
		if forward == "bridge" {
			x.Bridge = "br0"
		}
		n, err := MakeNetwork(NetworkInput{Network: x, Definition: &domxml.Network{Name: "lan"}, Host: NewTopology(&host.Snapshot{}), MTU: 9000})
		if err != nil || n.Action != Refuse || n.Changes() || !strings.Contains(n.Reason, forward) || !strings.Contains(n.Hint, hint) {
			t.Errorf("%s: %+v, %v", forward, n, err)
		}
	}
	n, err := MakeNetwork(NetworkInput{Network: ownNetwork(0), Host: NewTopology(&host.Snapshot{}), MTU: 9000})
	if err != nil || n.Action != Refuse || !strings.Contains(n.Reason, "transient") {
		t.Errorf("transient: %+v, %v", n, err)
	}
	broken := map[string]domxml.Element{owned.URI: {}}
	_, err = MakeNetwork(NetworkInput{Network: ownNetwork(0), Definition: &domxml.Network{Name: "lan", Metadata: broken}, Host: NewTopology(&host.Snapshot{})})
	if !errors.Is(err, owned.ErrDamaged) {
		t.Errorf("a record that does not parse: %v", err)
	}
}

// What a guest inherits of a network whose definition is not what it runs with.
func TestSegmentOfARedefinedNetwork(t *testing.T) {
	for _, tt := range []struct {
		name                      string
		runs, defined, bridge, to int
	}{
		{"raised, its bridge too", 1500, 9000, 9000, 9000},
		{"raised, its bridge not yet", 1500, 9000, 1500, 1500},
		{"given one, its bridge too", 0, 9000, 9000, 9000},
		{"given one, its bridge not yet", 0, 9000, 1500, 1500},
		{"lowered", 9000, 4000, 9000, 4000},
		{"taken out", 9000, 0, 9000, 9000},
	} {
		n := ownNetwork(tt.runs)
		n.Redefined, n.DefinedMTU = true, tt.defined
		h := host.Snapshot{Links: []host.Link{virbr7(tt.bridge)}, Networks: []host.Network{n}}
		if s := NewTopology(&h).Segment(networkNIC("lan")); s.MTU != tt.to || s.Certainty != Known {
			t.Errorf("%s: %d (%s), want %d", tt.name, s.MTU, s.Why, tt.to)
		}
	}
}

func TestJudgeNetwork(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*host.Network)
		bridge int
		codes  string
		says   string
	}{
		{"all at 9000", func(*host.Network) {}, 9000, "", ""},
		{"nothing at all", func(n *host.Network) { n.MTU, n.DHCPMTU = 0, 0 }, 1500, "", ""},
		{"redefined, the bridge raised", func(n *host.Network) { n.MTU, n.DHCPMTU, n.Redefined, n.DefinedMTU = 0, 0, true, 9000 }, 9000,
			"needs-cold-start", "DHCP server tells no MTU, which is 1500"},
		{"redefined, the bridge not raised", func(n *host.Network) { n.MTU, n.DHCPMTU, n.Redefined, n.DefinedMTU = 0, 0, true, 9000 }, 1500,
			"needs-cold-start bridge-below-uplink", "virt-mtu fix --network lan --mtu 9000"},
		{"a bridge that somebody lowered", func(*host.Network) {}, 1500, "bridge-below-uplink", "only 1500"},
		{"a bridge that somebody raised", func(n *host.Network) { n.MTU, n.DHCPMTU = 4000, 4000 }, 9000, "peer-mismatch", "--mtu 4000 --lower"},
		{"a bridge alone", func(n *host.Network) { n.MTU, n.DHCPMTU = 0, 0 }, 9000, "peer-mismatch", "virt-mtu fix --network lan # then, for DHCP"},
		{"DHCP of its own mind", func(n *host.Network) { n.DHCPMTU = 1400 }, 9000, "peer-mismatch", "tells 1400 (option 26)"},
		{"no DHCP", func(n *host.Network) { n.DHCP, n.DHCPMTU = false, 0 }, 9000, "", ""},
		{"a router of its own mind", func(n *host.Network) { n.RouterMTU = 1400 }, 9000, "peer-mismatch", "ra-param"},
		{"a router of one mind with the rest", func(n *host.Network) { n.RouterMTU = 9000 }, 9000, "", ""},
		{"off", func(n *host.Network) { n.Inactive, n.DHCPMTU = true, 1400 }, 1500, "", ""},
		{"the host's own bridge", func(n *host.Network) { n.Forward = "bridge" }, 1500, "", ""},
	} {
		n := ownNetwork(9000)
		n.DHCP, n.DHCPMTU = true, 9000
		tt.change(&n)
		h := host.Snapshot{Links: []host.Link{virbr7(tt.bridge)}, Networks: []host.Network{n}}
		var codes []string
		text := ""
		for _, f := range NewTopology(&h).Survey() {
			codes = append(codes, string(f.Code))
			text += f.Message + "\n" + f.Remedy + "\n"
			if !finding.Known(f.Code) {
				t.Errorf("%s: no such code: %s", tt.name, f.Code)
			}
		}
		if got := strings.Join(codes, " "); got != tt.codes || !strings.Contains(text, tt.says) {
			t.Errorf("%s: %q, want %q with %q\n%s", tt.name, got, tt.codes, tt.says, text)
		}
	}
}
