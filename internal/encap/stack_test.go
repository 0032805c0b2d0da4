package encap

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStack(t *testing.T) {
	for _, tt := range []struct {
		layers string
		v4, v6 int // taken off in all; -1: not over this version
	}{
		{"", 0, 0},
		{"vlan", 0, 0},
		{"qinq", 4, 4},
		{"vxlan", 50, 70},
		{"gre", 42, 62},
		{"gre-nokey", 38, 58},
		{"geneve", 50, 70},
		{"geneve-ovn", 58, 78},
		{"ipip", 20, 40},
		{"sit", 20, -1},
		{"wireguard", 60, 80},
		{"pppoe", 8, 8},
		{"macsec", 32, 32},
		{"ipsec", 54, 74}, // aes-gcm in tunnel mode: 9000 is aligned to 4 either way

		{"vlan vlan", 4, 4},
		{"vlan vlan vlan", 8, 8},
		{"vlan qinq", 4, 4},
		{"qinq vlan", 8, 8},
		{"vxlan vlan", 54, 74},
		{"vxlan qinq", 58, 78},
		{"vxlan vlan qinq", 58, 78},
		{"vlan vxlan vlan", 54, 74},
		{"geneve vlan", 54, 74},
		{"gre vlan", 46, 66},
		{"macsec vlan", 36, 36},
		{"macsec qinq", 40, 40},
		{"vlan macsec", 32, 32},
		{"vlan pppoe", 8, 8},
		{"vxlan pppoe", 58, 78},
		{"wireguard vxlan", 110, 150},
		{"wireguard vxlan vlan", 114, 154},
		{"wireguard ipip sit", 100, -1},
		{"vxlan macsec vlan", 86, 106},
	} {
		for family, want := range map[int]int{4: tt.v4, 6: tt.v6} {
			layers, mtu, err := Stack(9000, strings.Fields(tt.layers), Options{Family: family})
			if want < 0 {
				if err == nil || errors.Is(err, ErrTooSmall) {
					t.Errorf("%q over IPv%d: error %v", tt.layers, family, err)
				}
				continue
			}
			if err != nil || 9000-mtu != want {
				t.Errorf("%q over IPv%d takes %d, %v; want %d: %v", tt.layers, family, 9000-mtu, err, want, layers)
			}
		}
	}
}

// The kernel's default MTUs on 1500 are 1452 (ip6tnl), 1448 (ip6gre) less Ethernet's 14
// for ip6gretap.
func TestStackEncapLimit(t *testing.T) {
	for _, tt := range []struct {
		layers       string
		family       int
		without, has int // what is left of 1500
	}{
		{"ipip", 6, 1460, 1452},
		{"gre-nokey", 6, 1442, 1434},
		{"gre", 6, 1438, 1430},
		{"gre ipip", 6, 1398, 1382},
		{"ipip", 4, 1480, 1480},
		{"vxlan", 6, 1430, 1430},
	} {
		o := Options{Family: tt.family}
		for limit, want := range map[bool]int{false: tt.without, true: tt.has} {
			o.EncapLimit = limit
			if layers, mtu, err := Stack(1500, strings.Fields(tt.layers), o); mtu != want || err != nil {
				t.Errorf("%s over IPv%d, limit %v: %d, %v; want %d: %v", tt.layers, tt.family, limit, mtu, err, want, layers)
			}
		}
	}
	if got := strings.Join(Limited(), " "); got != "gre gre-nokey ipip" {
		t.Errorf("limited: %s", got)
	}
}

func TestCarries(t *testing.T) {
	for _, tt := range []struct {
		layers string
		v4     bool
	}{{"", true}, {"vxlan", true}, {"sit", false}, {"wireguard sit", false}} {
		layers := must(t, tt.layers)
		if Carries(layers, 4) != tt.v4 || !Carries(layers, 6) {
			t.Errorf("%s: carries IPv4: %v", tt.layers, !tt.v4)
		}
	}
}

func TestStackParts(t *testing.T) {
	got, _, err := Stack(1500, []string{"qinq", "geneve-ovn", "qinq"}, Options{Family: 4})
	if err != nil {
		t.Fatal(err)
	}
	want := []Layer{
		{"qinq", 4, []Part{{"802.1Q tag, which the NIC carries beyond its MTU", 0}, {"second 802.1Q tag", 4}}},
		{"geneve-ovn", 58, []Part{
			{"outer IPv4 header", 20}, {"UDP header", 8}, {"Geneve header", 8}, {"Geneve option of OVN", 8}, {"inner Ethernet header", 14},
		}},
		{"qinq", 8, []Part{{"802.1Q tag", 4}, {"second 802.1Q tag", 4}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if nic := []Layer{NICTag()}; !cmp.Equal(nic, must(t, "vlan")) {
		t.Errorf("NICTag is %v", nic)
	}
}

func must(t *testing.T, layers string) []Layer {
	t.Helper()
	got, _, err := Stack(1500, strings.Fields(layers), Options{Family: 4})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestStackErrors(t *testing.T) {
	for _, tt := range []struct {
		underlay int
		layers   string
		o        Options
		tooSmall bool
		want     string
	}{
		{67, "", Options{}, false, "from 68 to 65535"},
		{65536, "", Options{}, false, "from 68 to 65535"},
		{-1, "vxlan", Options{}, false, "from 68 to 65535"},
		{1500, "vxlan foo", Options{}, false, `no layer "foo": they are vlan, qinq, vxlan, gre, `},
		{1500, "", Options{}, false, ""},
		{1500, "gre-ip", Options{}, false, "no layer"}, // a row, but no name of calc's
		{1500, "erspan", Options{}, false, "no layer"},
		{1500, "sit", Options{Family: 6}, false, "its outer header is IPv4"},
		{1500, "sit vxlan", Options{Family: 4}, false, "vxlan within sit: sit carries IPv6 only, and the IP header of vxlan is IPv4"},
		{1500, "vxlan sit sit", Options{Family: 4}, false, "sit within sit: sit carries IPv6 only"},
		{1500, "sit ipsec", Options{Family: 4, IPsec: IPsec{Transport: true}}, false, "ipsec within sit: "},
		{1500, "sit vlan", Options{Family: 4}, false, "sit carries IP packets, and vlan needs Ethernet frames"},
		{1500, "ipsec", Options{IPsec: IPsec{Cipher: "rot13"}}, false, `no cipher "rot13": they are aes-gcm, `},
		{1500, "wireguard vlan", Options{}, false, "vlan within wireguard: wireguard carries IP packets, and vlan needs Ethernet frames"},
		{1500, "ipip qinq", Options{}, false, "qinq within ipip"},
		{1500, "sit macsec", Options{}, false, "macsec within sit"},
		{1500, "ipsec pppoe", Options{}, false, "pppoe within ipsec"},
		{1500, "pppoe vlan", Options{}, false, "vlan within pppoe"},
		{118, "vxlan", Options{}, false, ""},
		{117, "vxlan", Options{}, true, "vxlan takes 50 of the 117 bytes that are left"},
		{68, "vlan", Options{}, false, ""},
		{68, "wireguard", Options{}, true, ""},
		{68, "ipsec", Options{IPsec: IPsec{Cipher: "aes-cbc-sha512", Transport: true}}, true, ""},
		{100, "vxlan vxlan vxlan", Options{}, true, "underlay 100: vxlan takes 50 of the 100 bytes that are left"},
	} {
		if tt.o.Family == 0 {
			tt.o.Family = 4
		}
		_, mtu, err := Stack(tt.underlay, strings.Fields(tt.layers), tt.o)
		if tt.want == "" && !tt.tooSmall {
			if err != nil || mtu < MinMTU {
				t.Errorf("%d %q: mtu %d, %v", tt.underlay, tt.layers, mtu, err)
			}
			continue
		}
		if err == nil || errors.Is(err, ErrTooSmall) != tt.tooSmall || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d %q: error %v, want %q", tt.underlay, tt.layers, err, tt.want)
		}
	}
}

func TestPing(t *testing.T) {
	for _, tt := range []struct{ mtu, family, want int }{{1500, 4, 1472}, {1500, 6, 1452}, {9000, 4, 8972}, {68, 6, 20}} {
		if got := Ping(tt.mtu, tt.family); got != tt.want {
			t.Errorf("mtu %d over IPv%d: %d, want %d", tt.mtu, tt.family, got, tt.want)
		}
	}
}

// The costs that people are shown are those that are taken off: the first number or the
// second, by what lies below.
func TestTable(t *testing.T) {
	want := "vlan 0 or 4, qinq 4 or 8, vxlan 50/70, gre 42/62, gre-nokey 38/58, geneve 50/70, geneve-ovn 58/78, " +
		"ipip 20/40, sit 20, wireguard 60/80, pppoe 8, macsec 32, ipsec by cipher"
	var got []string
	for _, i := range Table() {
		got = append(got, i.Name+" "+i.Cost)
		if i.About == "" {
			t.Errorf("%s: nothing about it", i.Name)
		}
	}
	if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whatever is stacked: the parts add up to their layer, and the layers to what is
// missing from the underlay.
func FuzzStack(f *testing.F) {
	f.Add(uint16(1500), []byte{2}, false, byte(0), byte(0))
	f.Add(uint16(9000), []byte{9, 2, 0, 1}, true, byte(5), byte(3))
	f.Add(uint16(400), []byte{12, 12, 3, 11, 0, 10}, false, byte(8), byte(2))
	names, all := layerNames(), Ciphers()
	f.Fuzz(func(t *testing.T, underlay uint16, picks []byte, ipv6 bool, cipher, how byte) {
		var layers []string
		for _, p := range picks {
			layers = append(layers, names[int(p)%len(names)])
		}
		o := Options{Family: 4, IPsec: IPsec{Cipher: all[int(cipher)%len(all)], Transport: how&1 != 0, NATT: how&2 != 0}}
		if ipv6 {
			o.Family = 6
		}
		got, mtu, err := Stack(int(underlay), layers, o)
		if err != nil {
			if mtu != 0 || got != nil {
				t.Fatalf("%v: %v, yet mtu %d", layers, err, mtu)
			}
			return
		}
		if len(got) != len(layers) || got == nil {
			t.Fatalf("%d layers of %v", len(got), layers)
		}
		left := int(underlay)
		for i, l := range got {
			sum := 0
			for _, p := range l.Parts {
				if p.Bytes < 0 || p.What == "" {
					t.Errorf("%s has the part %+v", l.Name, p)
				}
				sum += p.Bytes
			}
			if sum != l.Bytes || l.Name != layers[i] || len(l.Parts) == 0 {
				t.Errorf("%s: parts of %d bytes: %+v", layers[i], sum, l)
			}
			left -= l.Bytes
		}
		if left != mtu || mtu < MinMTU {
			t.Errorf("%v on %d: mtu %d, but %d are left", layers, underlay, mtu, left)
		}
	})
}
