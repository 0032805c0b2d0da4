package main

import (
	"bytes"
	"strings"
	"testing"
)

// Each question that makes no sense is refused with the reason, on stderr alone; 1 is
// for those that make sense, but have no answer.
func TestCalcStatus(t *testing.T) {
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"--underlay 1500", 0, ""},
		{"--underlay 68", 0, ""},
		{"--underlay 65535 vxlan", 0, ""},
		{"--underlay 1500 --encaplimit --ipv6 vxlan ipip", 0, ""},
		{"--network-type local", 0, ""},
		{"--network-type flat --physical-network-mtus a:4000,b:9000 --physical-network-mtus c:1500 --physnet c", 0, ""},
		{"--network-type vxlan --network-mtu 1450", 0, ""},

		{"--underlay 100 vxlan", 1, "IPv4 needs an MTU of 68 at least"},
		{"--network-type vxlan --network-mtu 1451", 1, "Requested MTU is too big, maximum is 1450"},
		{"--network-type vxlan --path-mtu 117", 1, "path_mtu 117 leaves 67"},

		{"", 2, "--underlay N is missing"},
		{"vxlan", 2, "--underlay N is missing"},
		{"--ipv6 vxlan", 2, "--underlay N is missing"},
		{"--underlay 67", 2, "from 68 to 65535"},
		{"--underlay 65536", 2, "from 68 to 65535"},
		{"--underlay 0 vxlan", 2, "from 68 to 65535"},
		{"--underlay 9k", 2, "9k"},
		{"--underlay 1500 stt", 2, "they are vlan, qinq, vxlan, gre, gre-nokey, geneve, geneve-ovn, ipip, sit, wireguard, pppoe, macsec, ipsec"},
		{"--underlay 1500 --ipv6 sit", 2, "its outer header is IPv4"},
		{"--underlay 1500 sit vxlan", 2, "sit carries IPv6 only"},
		{"--underlay 1500 --encaplimit ipip", 2, "--encaplimit is for gre, gre-nokey, ipip over IPv6 (--ipv6)"},
		{"--underlay 1500 --encaplimit --ipv6 vxlan", 2, "--encaplimit is for gre"},
		{"--underlay 1500 --encaplimit --ipv6", 2, "--encaplimit is for gre"},
		{"--underlay 1500 wireguard vlan", 2, "wireguard carries IP packets"},
		{"--underlay 1500 --cipher des ipsec", 2, "they are aes-gcm, aes-gcm-12, "},
		{"--underlay 1500 --mode beet ipsec", 2, "tunnel or transport"},
		{"--underlay 1500 --cipher aes-gcm vxlan", 2, "--cipher is for the layer ipsec"},
		{"--underlay 1500 --mode tunnel", 2, "--mode is for the layer ipsec"},
		{"--underlay 1500 --nat-t wireguard", 2, "--nat-t is for the layer ipsec"},

		{"--underlay 1500 --path-mtu 1500 vxlan", 2, "--path-mtu is neutron's"},
		{"--physnet physnet1", 2, "--physnet is neutron's"},
		{"--network-type vxlan --underlay 1500", 2, "--underlay goes with layers"},
		{"--network-type vxlan --ipv6", 2, "--ipv6 goes with layers"},
		{"--network-type vxlan --encaplimit", 2, "--encaplimit goes with layers"},
		{"--network-type vxlan vxlan", 2, "goes with --underlay"},
		{"--network-type ipip", 2, "they are flat, vlan, vxlan, gre, geneve, local"},
		{"--network-type geneve --max-header-size 29", 2, "max_header_size 29"},
		{"--network-type vxlan --overlay-ip-version 5", 2, "4 or 6"},
		{"--network-type flat --physical-network-mtus physnet1", 2, "PHYSNET:MTU"},
		{"--network-type flat --physical-network-mtus :1500", 2, "PHYSNET:MTU"},
		{"--network-type flat --physical-network-mtus a:x", 2, "PHYSNET:MTU"},
		{"--network-type flat --physical-network-mtus a:1500,a:9000", 2, "occurs twice"},
		{"--network-type flat --physical-network-mtus a:67", 2, "physical_network_mtus a 67"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(append([]string{"calc"}, strings.Fields(tt.args)...), nil, &stdout, &stderr)
		if status != tt.status || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("calc %s: exit %d, stderr %q; want %d, %q", tt.args, status, &stderr, tt.status, tt.want)
		}
		if (status == 0) != (stdout.Len() > 0) || (status == 0) != (stderr.Len() == 0) {
			t.Errorf("calc %s: exit %d, stdout %q, stderr %q", tt.args, status, &stdout, &stderr)
		}
	}
}

// What a terminal would obey is shown as question marks.
func TestCalcShowsNoControls(t *testing.T) {
	for _, args := range [][]string{
		{"--physnet", "a\x1b[31mb"},
		{"--physnet", "a\x1b[31mb", "--physical-network-mtus", "c:1500"}, // its name is in an effect
		{"--physnet", "a", "--physical-network-mtus", "c\x1b[31md:1500"},
		{"--physnet", "a", "--physical-network-mtus", "c\x1b[31md:67"}, // and in an error
	} {
		var stdout, stderr bytes.Buffer
		run(append([]string{"calc", "--network-type", "flat"}, args...), nil, &stdout, &stderr)
		if said := stdout.String() + stderr.String(); strings.Contains(said, "\x1b") || !strings.Contains(said, "?[31m") {
			t.Errorf("calc %q: %q", args, said)
		}
	}
}

// The options of neutron whose effect calc reports are the flags that it has.
func TestCalcNeutronFlags(t *testing.T) {
	c := newCalc(&globals{})
	for _, flag := range append(append([]string{networkType}, stackFlags...), neutronFlags...) {
		if c.Flags().Lookup(flag) == nil {
			t.Errorf("no flag --%s", flag)
		}
	}
}
