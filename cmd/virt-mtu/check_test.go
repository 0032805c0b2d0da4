package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/check"
	"virt-mtu/test/netns"
)

// checkXML runs check --xml on one NIC, in the network that the test has made.
func checkXML(t *testing.T, nic string) (check.Report, int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "web1.xml")
	xml := "<domain><name>web1</name><devices>" + strings.Replace(nic, ">", "><mac address='52:54:00:00:00:01'/>", 1) + "</devices></domain>"
	if err := os.WriteFile(file, []byte(xml), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	status := run([]string{"check", "--xml", file, "-o", "json"}, nil, &stdout, &stderr)
	var r check.Report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	return r, status
}

// What the kernel here can make, judged on the real thing.
func TestIntegrationCheckKernel(t *testing.T) {
	const vnet0 = "<target dev='vnet0'/><model type='virtio'/>"
	bridged := func(mtu int) string {
		return fmt.Sprintf("<interface type='bridge'><source bridge='br0'/>%s<mtu size='%d'/></interface>", vnet0, mtu)
	}
	const tap = "tuntap add vnet0 mode tap; link set vnet0 mtu %d; link set vnet0 master br0"
	const underlay = "link add up0 type veth peer name sw0; link set up0 up; link set sw0 up; addr add 192.0.2.1/24 dev up0; addr add 2001:db8::1/64 dev up0 nodad; "
	for _, tt := range []struct {
		name, links, nic string
		status           int
		codes            string
		why              string
		path             string // kind name mtu, ...
	}{
		{"VXLAN over IPv4, made too large", underlay + "link add br0 type bridge; link add vx0 mtu 1500 type vxlan id 1 remote 192.0.2.9 dstport 4789; link set vx0 master br0; " + fmt.Sprintf(tap, 1500),
			bridged(1450), 2, "overlay-above-underlay", "less 50", "guest web1 1450, tap vnet0 1500, bridge br0 1500, uplink vx0 1500, underlay up0 1500, peer sw0 1500"},
		{"VXLAN over IPv6, made too large", underlay + "link add br0 type bridge; link add vx0 mtu 1450 type vxlan id 1 remote 2001:db8::9 dstport 4789; link set vx0 master br0; " + fmt.Sprintf(tap, 1450),
			bridged(1430), 2, "overlay-above-underlay", "less 70", "guest web1 1430, tap vnet0 1450, bridge br0 1450, uplink vx0 1450, underlay up0 1500, peer sw0 1500"},
		{"VXLAN as the kernel makes it", underlay + "link add br0 type bridge; link add vx0 type vxlan id 1 dev up0 remote 192.0.2.9 dstport 4789; link set vx0 master br0; " + fmt.Sprintf(tap, 1450),
			bridged(1450), 0, "", "", "guest web1 1450, tap vnet0 1450, bridge br0 1450, uplink vx0 1450, underlay up0 1500, peer sw0 1500"},
		{"a pinned bridge above its uplink", "link add br0 type bridge; link add up0 type veth peer name sw0; link set up0 master br0; link set br0 mtu 9000; " + fmt.Sprintf(tap, 9000),
			bridged(9000), 2, "bridge-above-uplink guest-above-segment", "uplink up0", "guest web1 9000, tap vnet0 9000, bridge br0 9000, uplink up0 1500, peer sw0 1500"},
		{"a bridge that its tap drags down", "link add br0 type bridge; link add up0 mtu 9000 type veth peer name sw0; link set sw0 mtu 9000; link set up0 master br0; " + fmt.Sprintf(tap, 1500),
			bridged(1500), 1, "bridge-below-uplink", "port vnet0 has 1500", "guest web1 1500, tap vnet0 1500, bridge br0 1500, uplink up0 9000, peer sw0 9000"},
		{"veth ends that differ", "link add br0 type bridge; link add up0 mtu 9000 type veth peer name sw0; link set up0 master br0; " + fmt.Sprintf(tap, 9000),
			bridged(9000), 1, "veth-ends-differ", "9000 and 1500", "guest web1 9000, tap vnet0 9000, bridge br0 9000, uplink up0 9000, peer sw0 1500"},
		{"by a veth to another bridge", "link add br0 type bridge; link add br1 type bridge; link add a0 mtu 9000 type veth peer name a1; link set a1 mtu 9000; link set a0 master br0; link set a1 master br1; link add up0 type veth peer name sw0; link set up0 master br1; " + fmt.Sprintf(tap, 9000),
			bridged(9000), 2, "guest-above-segment", "uplink a0 of bridge br0 carries 1500 (uplink up0 of bridge br1 has 1500)", "guest web1 9000, tap vnet0 9000, bridge br0 9000, uplink a0 9000, peer a1 9000, bridge br1 1500, uplink up0 1500, peer sw0 1500"},
		{"a macvtap that was pulled down", "link add up0 mtu 9000 type veth peer name sw0; link set sw0 mtu 9000; link add vnet0 link up0 mtu 9000 type macvtap; link set up0 mtu 1500; link set up0 mtu 9000",
			"<interface type='direct'><source dev='up0' mode='bridge'/>" + vnet0 + "</interface>", 1, "macvtap-below-lower guest-not-told", "", "guest web1 1500, macvtap vnet0 1500, uplink up0 9000, peer sw0 9000"},
		{"no such bridge", "link set lo up", bridged(1500), 1, "bridge-missing not-known", `no bridge "br0"`, "guest web1 1500, tap vnet0 0, bridge br0 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			netns.Run(t, func(t *testing.T) {
				netns.IP(t, tt.links)
				r, status := checkXML(t, tt.nic)
				i := r.Hosts[0].Domains[0].Interfaces[0]
				var codes, path []string
				said := ""
				for _, f := range i.Findings {
					codes, said = append(codes, string(f.Code)), said+f.Message+"\n"
				}
				for _, n := range i.Path {
					path = append(path, fmt.Sprintf("%s %s %d", n.Kind, n.Name, n.MTU))
				}
				if got := strings.Join(codes, " "); got != tt.codes || status != tt.status || !strings.Contains(said, tt.why) {
					t.Errorf("exit %d, %q; want %d, %q with %q:\n%s", status, got, tt.status, tt.codes, tt.why, said)
				}
				if d := cmp.Diff(tt.path, strings.Join(path, ", ")); tt.path != "" && d != "" {
					t.Errorf("path, want-, got+:\n%s", d)
				}
			})
		})
	}
}
