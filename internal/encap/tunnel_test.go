package encap

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"virt-mtu/test/netns"
)

func TestTunnel(t *testing.T) {
	type of func(string, bool, int, int) (Layer, bool)
	for _, tt := range []struct {
		who     string
		cost    of
		kind    string
		key     bool
		family  int
		options int
		want    int // -1: not known
	}{
		{"kernel", Tunnel, "vxlan", false, 4, 0, 50},
		{"kernel", Tunnel, "vxlan", true, 6, 0, 70}, // it has no key to count
		{"kernel", Tunnel, "vxlan", false, 0, 0, -1},
		{"kernel", Tunnel, "vxlan", false, 5, 0, -1},
		{"kernel", Tunnel, "geneve", false, 4, 0, 50},
		{"kernel", Tunnel, "geneve", false, 6, 0, 70},
		{"kernel", Tunnel, "geneve", false, 4, 8, 58},
		{"kernel", Tunnel, "geneve", false, 4, -8, -1},
		{"kernel", Tunnel, "gretap", false, 4, 0, 38},
		{"kernel", Tunnel, "gretap", true, 4, 0, 42},
		{"kernel", Tunnel, "gretap", true, 0, 0, 42},
		{"kernel", Tunnel, "ip6gretap", false, 6, 0, 58},
		{"kernel", Tunnel, "ip6gretap", true, 6, 8, 70},
		{"kernel", Tunnel, "erspan", false, 4, 0, 50},
		{"kernel", Tunnel, "ip6erspan", true, 6, 0, 70},
		{"kernel", Tunnel, "erspan", false, 4, -12, 38}, // type I
		{"kernel", Tunnel, "erspan", false, 4, -4, 46},  // the same in FOU
		{"kernel", Tunnel, "erspan", false, 4, -13, -1},
		{"kernel", Tunnel, "ipip", false, 4, -1, -1},
		{"kernel", Tunnel, "gre", false, 4, 0, 24},
		{"kernel", Tunnel, "gre", true, 4, 0, 28},
		{"kernel", Tunnel, "ip6gre", false, 6, 0, 44},
		{"kernel", Tunnel, "ip6gre", true, 6, 0, 48},
		{"kernel", Tunnel, "ipip", false, 4, 0, 20},
		{"kernel", Tunnel, "sit", false, 4, 0, 20},
		{"kernel", Tunnel, "ip6tnl", false, 6, 0, 40},
		{"kernel", Tunnel, "ip6tnl", false, 6, 8, 48}, // 1452, ip6_tunnel's default
		{"kernel", Tunnel, "wireguard", false, 4, 0, 60},
		{"kernel", Tunnel, "wireguard", false, 6, 0, 80},
		{"kernel", Tunnel, "wireguard", false, 0, 0, -1},
		{"kernel", Tunnel, "macsec", false, 0, 0, 32},
		{"kernel", Tunnel, "vti", false, 4, 0, -1},
		{"kernel", Tunnel, "xfrm", false, 4, 0, -1},
		{"kernel", Tunnel, "", false, 4, 0, -1},
		{"kernel", Tunnel, "vlan", false, 4, 0, -1},
		{"kernel", Tunnel, "gre-nokey", false, 4, 0, -1}, // a row's name, no kind

		{"OVS", OVSTunnel, "vxlan", false, 4, 0, 50},
		{"OVS", OVSTunnel, "vxlan", false, 6, 0, 70},
		{"OVS", OVSTunnel, "geneve", false, 6, 8, 78},
		{"OVS", OVSTunnel, "gre", false, 4, 0, 38},
		{"OVS", OVSTunnel, "gre", true, 4, 0, 42},
		{"OVS", OVSTunnel, "gre", true, 6, 0, 62},
		{"OVS", OVSTunnel, "ip6gre", true, 6, 0, 62},
		{"OVS", OVSTunnel, "gre", false, 4, -14, 24},
		{"OVS", OVSTunnel, "gre", true, 4, -10, 32}, // and a checksum
		{"OVS", OVSTunnel, "gre", false, 4, -15, -1},
		{"OVS", OVSTunnel, "vxlan", false, 6, -14, 56},
		{"OVS", OVSTunnel, "geneve", false, 4, -14, -1},
		{"OVS", OVSTunnel, "erspan", false, 4, 0, 50},
		{"OVS", OVSTunnel, "erspan", false, 6, 4, 74},
		{"OVS", OVSTunnel, "gretap", false, 4, 0, -1},
		{"OVS", OVSTunnel, "gtpu", false, 4, 0, -1},
		{"OVS", OVSTunnel, "internal", false, 4, 0, -1},
	} {
		l, ok := tt.cost(tt.kind, tt.key, tt.family, tt.options)
		if ok != (tt.want >= 0) || ok && l.Bytes != tt.want {
			t.Errorf("%s %s, key %v, IPv%d, %d of options: %v, %+v; want %d", tt.who, tt.kind, tt.key, tt.family, tt.options, ok, l, tt.want)
		}
		sum := 0
		for _, p := range l.Parts {
			sum += p.Bytes
		}
		if sum != l.Bytes || ok && l.Name != tt.kind {
			t.Errorf("%s %s: %d bytes in parts of %d, called %q", tt.who, tt.kind, l.Bytes, sum, l.Name)
		}
	}
}

// The kernel takes off what the table does.
func TestIntegrationVXLAN(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		for i, tt := range []struct{ underlay, family int }{{1500, 4}, {1500, 6}, {9000, 4}, {9000, 6}, {1400, 4}} {
			remote := map[int]string{4: "192.0.2.2", 6: "2001:db8::2"}[tt.family]
			netns.IP(t, strings.NewReplacer("#", fmt.Sprint(i), "MTU", fmt.Sprint(tt.underlay), "REMOTE", remote).Replace(`
				link add wire# mtu MTU type veth peer name far# mtu MTU
				link add vx# type vxlan id # dstport 478# dev wire# remote REMOTE`))
			text, err := os.ReadFile(fmt.Sprintf("/sys/class/net/vx%d/mtu", i))
			if err != nil {
				t.Fatal(err)
			}
			l, ok := Tunnel("vxlan", false, tt.family, 0)
			if want := fmt.Sprint(tt.underlay - l.Bytes); !ok || strings.TrimSpace(string(text)) != want {
				t.Errorf("vxlan over IPv%d on %d: the kernel gives it %s, encap %s", tt.family, tt.underlay, text, want)
			}
		}
	})
}
