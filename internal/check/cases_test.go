package check

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/policy"
)

// The files under testdata are hosts that people really had: neutron's agents of 2016
// on underlays of 1500 and 9000, and a host set up for jumbo frames by hand, with each
// step left out in turn.
func TestCases(t *testing.T) {
	type verdict struct {
		Status    finding.Severity
		Guest     int // what it works with
		Path      int // what gets through
		Narrowest string
		Codes     []finding.Code
	}
	ok := []finding.Code{}
	for _, tt := range []struct {
		file string
		want verdict
		why  string // part of a message
	}{
		{"ovs-agent-1500", verdict{"ok", 1450, 1450, "vxlan-0a00000b", ok}, ""},
		{"ovs-agent-9000", verdict{"critical", 8950, 1500, "qvo0a1b2c3d-01", []finding.Code{finding.OVSPortLimits, finding.GuestAboveSegment}}, "uplink qvb0a1b2c3d-01 of bridge qbr0a1b2c3d-01 has 1500"},
		{"linuxbridge-agent-1500", verdict{"ok", 1450, 1450, "vxlan-77", ok}, ""},
		{"linuxbridge-agent-9000", verdict{"critical", 8950, 1500, "tap0a1b2c3d-01", []finding.Code{finding.GuestAboveSegment, finding.BridgeBelowUplink}}, "its own tap tap0a1b2c3d-01 1500: larger packets to the guest vanish there"},
		{"ovs-agent-network-device-mtu", verdict{"ok", 8950, 8950, "vxlan-0a00000b", ok}, ""},
		{"linuxbridge-agent-network-device-mtu", verdict{"ok", 8950, 8950, "vxlan-77", ok}, ""},

		{"jumbo-host", verdict{"ok", 9000, 9000, "", ok}, ""},
		{"jumbo-host-without-eth0", verdict{"critical", 9000, 1500, "eth0", []finding.Code{finding.BridgeAboveUplink, finding.GuestAboveSegment}}, "uplink eth0 of bridge br0 has 1500"},
		{"jumbo-host-without-br0", verdict{"warning", 9000, 9000, "", []finding.Code{finding.BridgeBelowUplink}}, "below its uplink eth0"},
		{"jumbo-host-without-vnet0", verdict{"critical", 9000, 1500, "vnet0", []finding.Code{finding.GuestAboveSegment, finding.BridgeBelowUplink}}, "port vnet0 has 1500, or it is pinned there"},
		{"jumbo-host-without-vnet0-pinned", verdict{"critical", 9000, 1500, "vnet0", []finding.Code{finding.GuestAboveSegment, finding.TapBelowBridge}}, "its own tap vnet0 1500"},
		{"jumbo-host-without-guest", verdict{"warning", 1500, 9000, "kvm1", []finding.Code{finding.GuestNotTold}}, "has no <mtu>"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			r := Run([]facts.Facts{read(t, tt.file)}, Options{Config: policy.Default()})
			i := r.Hosts[0].Domains[0].Interfaces[0]
			got := verdict{r.Status, i.GuestMTU, i.PathMTU, "", []finding.Code{}}
			said := ""
			for _, n := range i.Path {
				if n.Bottleneck {
					got.Narrowest += n.Name
				}
			}
			for _, f := range slices.Concat(r.Hosts[0].Findings, i.Findings) {
				got.Codes = append(got.Codes, f.Code)
				said += f.Message + "\n"
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("want-, got+:\n%s%s", d, said)
			}
			if !strings.Contains(said, tt.why) {
				t.Errorf("it does not say %q but:\n%s", tt.why, said)
			}
		})
	}
}

func read(t *testing.T, name string) facts.Facts {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := facts.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
