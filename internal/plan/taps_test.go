package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
)

func TestTaps(t *testing.T) {
	type tap struct {
		MTU, Want int
		Raise     bool
	}
	vnet0 := target("vnet0")
	tests := []struct {
		name string
		nic  domxml.NIC
		host host.Snapshot
		meta map[string]domxml.Element
		want []tap
		why  string
	}{
		{name: "follows its bridge", nic: nic(vnet0), host: bridge(9000, "vnet0 tap 1500"), want: []tap{{1500, 9000, true}}, why: "bridge br0 has 9000"},
		{name: "follows its guest", nic: nic(vnet0, mtu(9000)), host: bridge(1500, "vnet0 tap 1500"), want: []tap{{1500, 9000, true}}, why: "the guest has 9000"},
		{name: "lets a dragged bridge go up again", nic: nic(vnet0, mtu(1500)), host: bridge(1500, "vnet0 tap 1500", "eth0 ixgbe 9000"), want: []tap{{1500, 9000, true}}, why: "uplink eth0"},
		{name: "only as far as all uplinks go", nic: nic(vnet0), host: bridge(1500, "vnet0 tap 1500", "eth0 ixgbe 9000", "eth1 ixgbe 4000"), want: []tap{{1500, 4000, true}}},
		{name: "a tunnel that may carry less is no reason", nic: nic(vnet0), host: bridge(1450, "vnet0 tap 1450", "vx0 vxlan 1500"), want: []tap{{1450, 1450, false}}},
		{name: "is never lowered", nic: nic(vnet0), host: bridge(1500, "vnet0 tap 9000"), want: []tap{{9000, 1500, false}}},
		{name: "right", nic: nic(vnet0), host: bridge(9000, "vnet0 tap 9000"), want: []tap{{9000, 9000, false}}},
		{name: "no tap yet", nic: nic(), host: bridge(9000)},
		{name: "ignored", nic: nic(vnet0), host: bridge(9000, "vnet0 tap 1500"), meta: own("ignore")},
		{name: "names its bridge", nic: nic(target("br0")), host: bridge(9000), want: []tap{{}}, why: "not a tap"},
		{name: "names an uplink", nic: nic(target("eth0")), host: bridge(9000, "eth0 ixgbe 1500"), want: []tap{{}}, why: "not a tap"},
		{name: "names nothing", nic: nic(target("../../x")), host: bridge(9000), want: []tap{{}}, why: "no device"},
		{name: "names a tap elsewhere", nic: nic(vnet0), host: host.Snapshot{Links: []host.Link{{Name: "br0", Kind: "bridge", MTU: 9000}, {Name: "vnet0", Tap: true, Master: "br1", MTU: 1500}}}, want: []tap{{}}, why: "not a port of br0"},
		{name: "Open vSwitch", nic: nic(vnet0, func(n *domxml.NIC) { n.VirtualPort = "openvswitch" }), host: bridge(9000, "vnet0 tap 1500"), want: []tap{{}}, why: "Open vSwitch"},
		{name: "ethernet names no bridge", nic: nic(on("ethernet", ""), vnet0), host: bridge(9000, "vnet0 tap 1500")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Make(Input{Domain: domxml.Domain{NICs: []domxml.NIC{tt.nic}, Metadata: tt.meta}, Host: topology(tt.host)})
			if err != nil {
				t.Fatal(err)
			}
			var got []tap
			var why string
			for _, x := range p.Taps(topology(tt.host)) {
				got = append(got, tap{x.MTU, x.Want, x.Raise})
				why += x.Reason
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("want-, got+:\n%s", d)
			}
			if !strings.Contains(why, tt.why) {
				t.Errorf("it does not say %q but %q", tt.why, why)
			}
		})
	}
}

func TestArrivals(t *testing.T) {
	tests := []struct {
		name    string
		nic     domxml.NIC
		host    host.Snapshot
		blocked bool
		why     string // empty: nothing is said
	}{
		{"no mtu is no reason", nic(), bridge(1500, "eth0 ixgbe 1500"), false, ""},
		{"all carry it", nic(mtu(9000)), bridge(9000, "eth0 ixgbe 9000"), false, ""},
		{"the uplink does not", nic(mtu(9000)), bridge(9000, "eth0 ixgbe 1500"), true, "uplink eth0 of bridge br0 has 1500 on kvm2"},
		{"no uplink, the bridge does not", nic(mtu(9000)), bridge(1500), true, "bridge br0 has 1500"},
		{"the bridge alone does not", nic(mtu(9000)), bridge(1500, "eth0 ixgbe 9000"), false, "the wire carries it"},
		{"a tunnel device below it", nic(mtu(9000)), bridge(9000, "vx0 vxlan 1450"), true, "uplink vx0"},
		{"a tunnel device above it", nic(mtu(8950)), bridge(8950, "vx0 vxlan 8950"), false, "not known"},
		{"no such bridge", nic(mtu(9000)), host.Snapshot{}, false, "not known"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Make(Input{Domain: domxml.Domain{NICs: []domxml.NIC{tt.nic}}, Host: topology(tt.host), Mode: Upward})
			if err != nil {
				t.Fatal(err)
			}
			var blocked bool
			var why string
			for _, a := range p.Arrivals("kvm2") {
				blocked, why = blocked || a.Blocked, why+a.Reason
			}
			if blocked != tt.blocked || (tt.why == "") != (why == "") || !strings.Contains(why, tt.why) {
				t.Errorf("blocked %v, %q", blocked, why)
			}
		})
	}
}
