package collect

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/encap"
	"virt-mtu/internal/host"
	"virt-mtu/test/netns"
	"virt-mtu/test/ovs"
)

func TestIntegrationOVS(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		ovs.Start(t)
		netns.IP(t, `
			link add up0 mtu 9000 type veth peer name up1
			link add up2 mtu 9000 type veth peer name up3
			link add un0 mtu 2000 type veth peer name un1
			addr add 192.0.2.1/24 dev un0
			addr add 2001:db8::1/64 dev un0 nodad
			link set un0 up
			link set un1 up
			route add 198.51.100.0/24 via 192.0.2.2 mtu 1400
			tuntap add vnet0 mode tap`)
		for _, line := range []string{
			"add-br ovs0 -- set bridge ovs0 datapath_type=netdev -- set interface ovs0 mtu_request=1600",
			"add-br ovs1 -- set bridge ovs1 datapath_type=netdev",
			"add-bond ovs0 bond0 up0 up2",
			"add-port ovs0 vnet0 tag=7",
			"add-port ovs0 p01 -- set interface p01 type=patch options:peer=p10",
			"add-port ovs1 p10 -- set interface p10 type=patch options:peer=p01",
			"add-port ovs1 vx -- set interface vx type=vxlan options:remote_ip=192.0.2.9 options:local_ip=192.0.2.1 options:key=5",
			"add-port ovs1 vxf -- set interface vxf type=vxlan options:remote_ip=flow options:key=flow options:dst_port=4790",
			"add-port ovs1 gre -- set interface gre type=gre options:remote_ip=198.51.100.9 options:key=flow",
			"add-port ovs1 grenokey -- set interface grenokey type=gre options:remote_ip=203.0.113.9",
			"add-port ovs1 gre3 -- set interface gre3 type=gre options:remote_ip=192.0.2.11 options:packet_type=legacy_l3",
			"add-port ovs1 ovn-h2 -- set interface ovn-h2 type=geneve options:remote_ip=2001:db8::9 options:key=flow -- set port ovn-h2 external_ids:ovn-chassis-id=h2",
			"add-port ovs1 gnv -- set interface gnv type=geneve options:remote_ip=192.0.2.10",
			// Without DPDK the port is there and does not work.
			"--no-wait add-port ovs1 vhu -- set interface vhu type=dpdkvhostuserclient options:vhost-server-path=/run/vm/vhu.sock",
			"--no-wait add-port ovs1 vhs -- set interface vhs type=dpdkvhostuser",
		} {
			ovs.Vsctl(t, line)
		}
		got := Read()
		if len(got.Unread) > 0 {
			t.Errorf("unread: %q", got.Unread)
		}
		one := func(i host.OVSInterface) host.OVSPort {
			return host.OVSPort{Name: i.Name, Interfaces: []host.OVSInterface{i}}
		}
		vnet0 := one(host.OVSInterface{Name: "vnet0", MTU: 1500})
		vnet0.Tag = 7
		want := &host.OVS{Bridges: []host.OVSBridge{
			{Name: "ovs0", Datapath: "netdev", Ports: []host.OVSPort{
				{Name: "bond0", Interfaces: []host.OVSInterface{{Name: "up0", MTU: 9000}, {Name: "up2", MTU: 9000}}},
				one(host.OVSInterface{Name: "ovs0", Type: "internal", MTU: 1600, MTURequest: 1600}),
				one(host.OVSInterface{Name: "p01", Type: "patch", Peer: "p10"}),
				vnet0,
			}},
			{Name: "ovs1", Datapath: "netdev", Ports: []host.OVSPort{
				one(host.OVSInterface{Name: "gnv", Type: "geneve", Tunnel: &host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "192.0.2.10", Underlay: "un0"}}}}),
				one(host.OVSInterface{Name: "gre", Type: "gre", Tunnel: &host.Tunnel{Family: 4, Key: true, Remotes: []host.Remote{{Address: "198.51.100.9", Underlay: "un0", MTU: 1400}}}}),
				one(host.OVSInterface{Name: "gre3", Type: "gre", Tunnel: &host.Tunnel{Family: 4, OptionBytes: -14, Remotes: []host.Remote{{Address: "192.0.2.11", Underlay: "un0"}}}}),
				one(host.OVSInterface{Name: "grenokey", Type: "gre", Tunnel: &host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "203.0.113.9"}}}}),
				one(host.OVSInterface{Name: "ovn-h2", Type: "geneve", Tunnel: &host.Tunnel{Family: 6, OptionBytes: 8, Remotes: []host.Remote{{Address: "2001:db8::9", Underlay: "un0"}}}}),
				one(host.OVSInterface{Name: "ovs1", Type: "internal", MTU: 1500}),
				one(host.OVSInterface{Name: "p10", Type: "patch", Peer: "p01"}),
				one(host.OVSInterface{Name: "vhs", Type: "dpdkvhostuser", Socket: filepath.Join(ovs.RunDir, "vhs")}),
				one(host.OVSInterface{Name: "vhu", Type: "dpdkvhostuserclient", Socket: "/run/vm/vhu.sock"}),
				one(host.OVSInterface{Name: "vx", Type: "vxlan", Tunnel: &host.Tunnel{Family: 4, Local: "192.0.2.1", Remotes: []host.Remote{{Address: "192.0.2.9", Underlay: "un0"}}}}),
				one(host.OVSInterface{Name: "vxf", Type: "vxlan", Tunnel: &host.Tunnel{Family: 4, External: true}}),
			}},
		}}
		if diff := cmp.Diff(want, got.OVS); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}

		// An old release, which knows no mtu_request.
		t.Run("a missing column", func(t *testing.T) {
			real, err := exec.LookPath("ovs-vsctl")
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", vsctlThat(t, `case $* in *mtu_request*)
				echo >&2 'ovs-vsctl: Interface does not contain a column whose name matches "mtu_request"'; exit 1;;
			esac
			exec `+real+` "$@"`)+":/nowhere")
			s := Read()
			if diff := cmp.Diff(want, s.OVS); diff != "" || len(s.Unread) > 0 {
				t.Errorf("unread %q (-want +got):\n%s", s.Unread, diff)
			}
		})

		// What is wrong is said, and the links are still there.
		for _, tt := range []struct {
			name, path, want string
		}{
			{"no ovs-vsctl", "/nowhere", "Open vSwitch: ovs-vsctl: "},
			{"one that fails", vsctlThat(t, "echo >&2 'database connection failed'; echo >&2 '(Permission denied)'; exit 1"), "Open vSwitch: ovs-vsctl: exit status 1: database connection failed (Permission denied)"},
			{"one that raves", vsctlThat(t, "exec dd if=/dev/zero bs=1M count=100 2>/dev/null"), "Open vSwitch: ovs-vsctl: "}, // more than 64 MiB, or on a busy machine for too long
			{"one that says nothing", vsctlThat(t, "exit 0"), "Open vSwitch: read what ovs-vsctl says: EOF"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Setenv("PATH", tt.path+":/nowhere")
				s := Read()
				if s.OVS != nil || len(s.Unread) != 1 || !strings.HasPrefix(s.Unread[0], tt.want) || strings.Contains(s.Unread[0], "\n") {
					t.Errorf("Open vSwitch %+v, unread %q, want %q", s.OVS, s.Unread, tt.want)
				}
				if _, ok := s.Link("ovs0"); !ok {
					t.Error("ovs0 is not among the links")
				}
			})
		}
	})
}

// vsctlThat makes a folder with an ovs-vsctl that does what a shell script says.
func vsctlThat(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ovs-vsctl"), []byte("#!/bin/sh\nPATH=/usr/bin:/bin\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What an ovs-vsctl that hangs has started ends with it.
func TestVsctlHangs(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	t.Setenv("PATH", vsctlThat(t, "sleep 60 & echo $! >"+pid+".new; mv "+pid+".new "+pid+"; wait"))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // as soon as there is a child
		for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(pid); err == nil {
				cancel()
			}
		}
	}()
	start := time.Now()
	if _, err := vsctl(ctx, "/nowhere", nil); err == nil || time.Since(start) > 20*time.Second {
		t.Errorf("error %v after %v", err, time.Since(start))
	}
	child, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(child)) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") { // who reaps it is not our business
			break
		}
		if time.Now().After(end) {
			t.Fatalf("its child runs on: %s", stat)
		}
	}
}

// What a tunnel's options come to, on an underlay of 1500.
func TestOVSTunnel(t *testing.T) {
	const gre, l3 = "gre", "packet_type=legacy_l3"
	for _, tt := range []struct {
		kind, options string
		want          int // 0: not known
		unsure        bool
	}{
		{gre, "", 1462, false},
		{gre, "key=5", 1458, false},
		{gre, "in_key=5", 1462, false},
		{gre, "csum=true", 1458, false},
		{gre, "csum=false", 1462, false},
		{gre, "seq=true", 1458, false},
		{gre, "key=flow csum=true seq=true", 1450, false},
		{"ip6gre", "csum=true", 1438, false},
		{gre, l3, 1476, false},
		{gre, "key=5 csum=true " + l3, 1468, false},
		{gre, "packet_type=legacy_l2", 1462, false},
		{gre, "packet_type=ptap", 1462, false},
		{"erspan", "", 1450, false},
		{"erspan", "erspan_ver=1 key=5", 1450, false},
		{"erspan", "erspan_ver=2", 1446, false},
		{"erspan", "erspan_ver=flow", 1450, true},
		{"ip6erspan", "erspan_ver=2", 1426, false},
		{"vxlan", "csum=true", 1450, false}, // UDP's, which is there in any case
		{"vxlan", "exts=gbp", 1450, false},
		{"vxlan", "exts=gpe,gbp", 1450, false},
		{"vxlan", "exts=gpe " + l3, 1464, false},
		{"vxlan", "exts=gbp,new", 1450, true},
		{"vxlan", "psk=secret", 1450, true},
		{"geneve", "remote_name=far", 1450, true},
		{"geneve", "remote_cert=/etc/far.pem", 1450, true},
		{gre, "certificate=/etc/near.pem", 1462, true},
		{"geneve", l3, 0, false}, // Open vSwitch refuses it
	} {
		options := map[string]string{}
		for _, o := range strings.Fields(tt.options) {
			key, value, _ := strings.Cut(o, "=")
			options[key] = value
		}
		got := ovsTunnel(tt.kind, ovsTunnels[tt.kind], options)
		cost, ok := encap.OVSTunnel(tt.kind, got.Key, got.Family, got.OptionBytes)
		if left := 1500 - cost.Bytes; ok != (tt.want > 0) || ok && left != tt.want || got.Unsure != tt.unsure {
			t.Errorf("%s %s: %d is left (%v), unsure %v; want %d, %v", tt.kind, tt.options, left, ok, got.Unsure, tt.want, tt.unsure)
		}
	}
}

func TestIntegrationOVSWithoutSocket(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		for _, tt := range []struct {
			name string
			link host.Link
			err  bool
		}{
			{"a bridge of the kernel's datapath", host.Link{Name: "br-int", Kind: "openvswitch"}, true},
			{"a port of it", host.Link{Name: "eth0", Kind: "ixgbe", Master: "ovs-system"}, true},
			{"neither", host.Link{Name: "eth0", Kind: "ixgbe"}, false},
		} {
			got, err := readOVS([]link{{Link: tt.link}}, newRoutes(nil))
			if got != nil || (err != nil) != tt.err {
				t.Errorf("%s: %+v, %v", tt.name, got, err)
			}
		}
	})
}

func TestDecodeOVSRefuses(t *testing.T) {
	for name, out := range map[string]string{
		"nothing":      "",
		"no JSON":      "ovs-vsctl: what?",
		"one table":    `{"headings":["name"],"data":[]}`,
		"a short row":  `{"headings":["name","ports"],"data":[["br0"]]}`,
		"another type": strings.Repeat(`{"headings":"name","data":[]}`, 3),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := decodeOVS([]byte(out), "", newRoutes(nil)); err == nil {
				t.Errorf("read as %+v", got)
			}
		})
	}
}
