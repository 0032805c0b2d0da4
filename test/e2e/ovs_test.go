package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
	"virt-mtu/test/lab"
)

// A guest on Open vSwitch: what check says gets through is what does.
func TestIntegrationCheckOpenVSwitch(t *testing.T) {
	h := lab.New(t)
	h.OVS(t)
	vsctl := func(args ...string) string {
		t.Helper()
		return h.Run(t, slices.Concat([]string{"ovs-vsctl", "--timeout=10"}, args)...)
	}
	h.Run(t, "ip", "netns", "add", "switch")
	h.Run(t, "ip", "link", "add", "up0", "mtu", "9000", "type", "veth", "peer", "name", "up0-sw", "mtu", "9000", "netns", "switch")
	h.Run(t, "ip", "-n", "switch", "addr", "add", lab.Addr+"/24", "dev", "up0-sw")
	h.Run(t, "ip", "-n", "switch", "link", "set", "up0-sw", "up")
	h.Run(t, "ip", "link", "set", "up0", "up")
	vsctl("add-br", "ovs0", "--", "set", "bridge", "ovs0", "datapath_type=netdev", "--", "add-port", "ovs0", "up0")
	h.Libvirtd(t, "start")
	h.Define(t, h.Domain(t, "k1", `<interface type='bridge'><source bridge='ovs0'/><virtualport type='openvswitch'/>
		<target dev='tap0'/><model type='virtio'/><mtu size='9000'/></interface>`))
	if got := h.Boot(t, "k1"); got != 9000 {
		t.Errorf("the guest boots at %d", got)
	}
	if got := strings.TrimSpace(vsctl("get", "interface", "tap0", "mtu_request")); got != "[]" {
		t.Errorf("libvirt has made an mtu_request of %s", got)
	}

	for _, c := range []struct {
		what  string
		do    func()
		ports map[string]int // what the links come to
		path  int
		codes []finding.Code
	}{
		{"all at 9000", func() {}, map[string]int{"tap0": 9000, "ovs0": 9000}, 9000, nil},
		// The internal port goes with the smallest of the others.
		{"the tap is held at 1500", func() { vsctl("set", "interface", "tap0", "mtu_request=1500") },
			map[string]int{"tap0": 1500, "ovs0": 1500}, 1500,
			[]finding.Code{finding.OVSPortLimits, finding.BridgeBelowUplink}},
		{"and raised behind Open vSwitch's back", func() { h.Run(t, "ip", "link", "set", "tap0", "mtu", "9000") },
			map[string]int{"tap0": 1500, "ovs0": 1500}, 1500,
			[]finding.Code{finding.OVSPortLimits, finding.BridgeBelowUplink}},
		{"and let go", func() {
			vsctl("clear", "interface", "tap0", "mtu_request")
			h.Run(t, "ip", "link", "set", "tap0", "mtu", "9000")
		}, map[string]int{"tap0": 9000, "ovs0": 9000}, 9000, nil},
		{"the uplink is lowered", func() { h.Run(t, "ip", "link", "set", "up0", "mtu", "1500") },
			map[string]int{"tap0": 9000, "ovs0": 1500}, 1500,
			[]finding.Code{finding.GuestAboveSegment}},
	} {
		t.Run(c.what, func(t *testing.T) {
			c.do()
			settled(t, h, c.ports)
			got, codes := checkedNIC(t, h, "k1")
			if diff := cmp.Diff(c.codes, codes); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if got.PathMTU != c.path || got.GuestMTU != 9000 || got.Bridge != "ovs0" || got.Device != "tap0" {
				t.Errorf("check says %+v, want a path of %d", got, c.path)
			}
			for _, packet := range []int{1500, 9000} {
				r := h.Try(t, "ip", "netns", "exec", "switch", "ping", "-c", "1", "-w", "2", "-M", "do", "-s", fmt.Sprint(packet-28), lab.GuestAddr)
				if r.Exit == 0 != (packet <= c.path) {
					t.Errorf("ping of %d: exit %d\n%s%s", packet, r.Exit, r.Stdout, r.Stderr)
				}
			}
		})
	}
}

// settled waits until the links have these MTUs: Open vSwitch takes its time.
func settled(t *testing.T, h *lab.Host, want map[string]int) {
	t.Helper()
	var diff string
	for range 100 {
		got := make(map[string]int)
		for dev := range want {
			got[dev] = h.MTU(t, dev)
		}
		if diff = cmp.Diff(want, got); diff == "" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("MTUs (-want +got):\n%s", diff)
}

// checkedNIC is what check --all says of the domain's only NIC, and the codes of what it
// finds there.
func checkedNIC(t *testing.T, h *lab.Host, domain string) (check.Interface, []finding.Code) {
	t.Helper()
	res := virtMTU(t, h, "check", "--all", "-o", "json")
	var r check.Report
	if err := json.Unmarshal([]byte(res.Stdout), &r); err != nil {
		t.Fatalf("check: %v\n%s%s", err, res.Stdout, res.Stderr)
	}
	status := map[finding.Severity]int{finding.OK: 0, finding.Warning: 1, finding.Critical: 2, finding.Unknown: 3}
	if res.Exit != status[r.Status] {
		t.Errorf("check says %s with exit %d", r.Status, res.Exit)
	}
	for _, host := range r.Hosts {
		for _, d := range host.Domains {
			if d.Name == domain && len(d.Interfaces) == 1 {
				var codes []finding.Code
				for _, f := range d.Interfaces[0].Findings {
					codes = append(codes, f.Code)
				}
				return d.Interfaces[0], codes
			}
		}
	}
	t.Fatalf("check says nothing of %s:\n%s", domain, res.Stdout)
	return check.Interface{}, nil
}
