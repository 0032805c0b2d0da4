package plan

import (
	"strings"
	"testing"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
)

func TestInside(t *testing.T) {
	vnet0 := target("vnet0")
	tests := []struct {
		name       string
		definition domxml.NIC
		live       domxml.NIC
		host       host.Snapshot
		meta       map[string]domxml.Element
		mtu        int // --mtu
		raised     int
		want       int
		why, waits string
	}{
		{name: "its target", live: nic(vnet0), host: bridge(9000, "vnet0 tap 9000"), want: 9000, why: "bridge br0 has 9000"},
		{name: "an e1000 too", definition: nic(model("e1000")), live: nic(model("e1000"), vnet0), host: bridge(9000, "vnet0 tap 9000"), want: 9000},
		{name: "no more than its tap", live: nic(vnet0), host: bridge(9000, "vnet0 tap 4000"), want: 4000, why: "tap vnet0 has 4000"},
		{name: "a tap that goes up", live: nic(vnet0), host: bridge(9000, "vnet0 tap 4000"), raised: 9000, want: 9000},
		{name: "no more than its segment", live: nic(vnet0), host: bridge(1500, "vnet0 tap 9000", "eth0 ixgbe 1500"), mtu: 9000, want: 1500, why: "uplink eth0"},
		{name: "no more than a bridge without uplinks", live: nic(vnet0), host: bridge(1500, "vnet0 tap 9000"), mtu: 9000, want: 1500, why: "bridge br0 has 1500"},
		{name: "no more than it was told", live: nic(vnet0, mtu(1500)), host: bridge(9000, "vnet0 tap 9000"), want: 1500, waits: "9000 waits for a cold start"},
		{name: "less than it was told", live: nic(vnet0, mtu(9000)), host: bridge(1450, "vnet0 tap 9000"), mtu: 1450, want: 1450},
		{name: "an e1000 was told nothing", definition: nic(model("e1000")), live: nic(model("e1000"), vnet0, mtu(1500)), host: bridge(9000, "vnet0 tap 9000"), want: 9000},
		{name: "an admin's own", definition: nic(mtu(4000)), live: nic(vnet0), host: bridge(9000, "vnet0 tap 9000"), want: 4000},
		{name: "back to 1500", live: nic(vnet0), host: bridge(1500, "vnet0 tap 1500"), want: 1500},
		{name: "not held down", definition: nic(mtu(9000)), live: nic(vnet0), host: bridge(9000, "vnet0 tap 9000"), meta: own("ignore"), why: "ignored"},
		{name: "refused", definition: nic(model("rtl8139")), live: nic(model("rtl8139"), vnet0), host: bridge(9000, "vnet0 tap 9000"), why: "rtl8139 carries at most"},
		{name: "macvtap", definition: nic(on("direct", "eth0")), live: nic(on("direct", "eth0"), target("macvtap0")), host: bridge(9000), why: "macvtap"},
		{name: "not known", definition: nic(on("bridge", "br1")), live: nic(on("bridge", "br1"), vnet0), host: bridge(9000, "vnet0 tap 9000"), why: "no bridge"},
		{name: "no tap", live: nic(target("br0")), host: bridge(9000), why: "what its tap carries is not known"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.definition.MAC == "" {
				tt.definition = nic()
			}
			top := topology(tt.host)
			p, err := Make(Input{Domain: domxml.Domain{NICs: []domxml.NIC{tt.definition}, Metadata: tt.meta}, Host: top, MTU: tt.mtu, All: true, Config: config(t, "")})
			if err != nil {
				t.Fatal(err)
			}
			got := top.Inside(&p.NICs[0], tt.live, tt.raised)
			if got.MTU != tt.want || !strings.Contains(got.Reason, tt.why) || got.Reason == "" {
				t.Errorf("%+v", got)
			}
			if !strings.Contains(got.Waits, tt.waits) || (tt.waits == "") != (got.Waits == "") {
				t.Errorf("waits: %q", got.Waits)
			}
		})
	}
}
