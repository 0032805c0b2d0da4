package neutron

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/encap"
)

// with returns options at their defaults, changed by set, which names what it gives.
func with(networkType string, given string, set func(*Options)) Options {
	o := Options{
		NetworkType:      networkType,
		GlobalPhysnetMTU: DefaultPhysnetMTU,
		OverlayIPVersion: DefaultOverlayIP,
		MaxHeaderSize:    DefaultMaxHeaderSize,
		Given:            map[string]bool{},
	}
	for _, name := range strings.Fields(given) {
		o.Given[name] = true
	}
	if set != nil {
		set(&o)
	}
	return o
}

func TestMTU(t *testing.T) {
	physnets := map[string]int{"physnet1": 4000, "physnet2": 9000, "physnet3": 0}
	for _, tt := range []struct {
		network string
		set     func(*Options)
		// underlay, largest and what the network gets
		underlay, max, mtu int
	}{
		{"flat", nil, 1500, 1500, 1500},
		{"vlan", nil, 1500, 1500, 1500},
		{"local", nil, 1500, 1500, 1500},
		{"vxlan", nil, 1500, 1450, 1450},
		{"gre", nil, 1500, 1458, 1458},
		{"geneve", nil, 1500, 1450, 1450},
		{"geneve", func(o *Options) { o.MaxHeaderSize = 38 }, 1500, 1442, 1442}, // OVN's well-known 1442
		{"vxlan", func(o *Options) { o.OverlayIPVersion = 6 }, 1500, 1430, 1430},
		{"gre", func(o *Options) { o.OverlayIPVersion = 6 }, 1500, 1438, 1438},
		{"geneve", func(o *Options) { o.OverlayIPVersion, o.MaxHeaderSize = 6, 38 }, 1500, 1422, 1422},
		{"flat", func(o *Options) { o.OverlayIPVersion, o.MaxHeaderSize = 6, 50 }, 1500, 1500, 1500},

		// path_mtu is for tunnels; the smaller counts.
		{"vxlan", func(o *Options) { o.PathMTU = 9000 }, 1500, 1450, 1450},
		{"vxlan", func(o *Options) { o.PathMTU, o.GlobalPhysnetMTU = 9000, 0 }, 9000, 8950, 8950},
		{"vxlan", func(o *Options) { o.PathMTU, o.GlobalPhysnetMTU = 1400, 9000 }, 1400, 1350, 1350},
		{"flat", func(o *Options) { o.PathMTU = 1400 }, 1500, 1500, 1500},
		{"vlan", func(o *Options) { o.PathMTU = 1400 }, 1500, 1500, 1500},
		{"local", func(o *Options) { o.PathMTU = 1400 }, 1500, 1500, 1500},

		// physical_network_mtus are for flat and vlan.
		{"vlan", func(o *Options) { o.PhysicalNetworkMTUs, o.Physnet = physnets, "physnet1" }, 1500, 1500, 1500},
		{"vlan", func(o *Options) { o.PhysicalNetworkMTUs, o.Physnet, o.GlobalPhysnetMTU = physnets, "physnet1", 9000 }, 4000, 4000, 4000},
		{"flat", func(o *Options) { o.PhysicalNetworkMTUs, o.Physnet, o.GlobalPhysnetMTU = physnets, "physnet1", 9000 }, 4000, 4000, 4000},
		{"flat", func(o *Options) { o.PhysicalNetworkMTUs, o.Physnet, o.GlobalPhysnetMTU = physnets, "physnet3", 9000 }, 9000, 9000, 9000},
		{"flat", func(o *Options) { o.PhysicalNetworkMTUs, o.Physnet, o.GlobalPhysnetMTU = physnets, "other", 9000 }, 9000, 9000, 9000},
		{"flat", func(o *Options) { o.PhysicalNetworkMTUs, o.GlobalPhysnetMTU = physnets, 9000 }, 9000, 9000, 9000},
		{"flat", func(o *Options) { o.PhysicalNetworkMTUs, o.Physnet, o.GlobalPhysnetMTU = physnets, "physnet2", 0 }, 9000, 9000, 9000},
		{"vxlan", func(o *Options) { o.PhysicalNetworkMTUs, o.Physnet, o.GlobalPhysnetMTU = physnets, "physnet1", 9000 }, 9000, 8950, 8950},
		{"local", func(o *Options) { o.PhysicalNetworkMTUs, o.Physnet, o.GlobalPhysnetMTU = physnets, "physnet1", 9000 }, 9000, 9000, 9000},

		// The old name does the same; the new one goes first.
		{"vxlan", func(o *Options) { o.SegmentMTU, o.Given[SegmentMTU] = 9000, true }, 9000, 8950, 8950},
		{"vxlan", func(o *Options) {
			o.SegmentMTU, o.Given[SegmentMTU] = 9000, true
			o.GlobalPhysnetMTU, o.Given[GlobalPhysnetMTU] = 4000, true
		}, 4000, 3950, 3950},

		// No limit known anywhere.
		{"flat", func(o *Options) { o.GlobalPhysnetMTU = 0 }, 0, 0, 0},
		{"vxlan", func(o *Options) { o.GlobalPhysnetMTU = 0 }, 0, 0, 0},
		{"local", func(o *Options) { o.GlobalPhysnetMTU = 0 }, 0, 0, 0},
		{"vxlan", func(o *Options) { o.GlobalPhysnetMTU, o.NetworkMTU = 0, 9000 }, 0, 0, 9000},

		// A network may ask for less.
		{"vxlan", func(o *Options) { o.NetworkMTU = 1400 }, 1500, 1450, 1400},
		{"vxlan", func(o *Options) { o.NetworkMTU = 1450 }, 1500, 1450, 1450},
		{"local", func(o *Options) { o.NetworkMTU = 68 }, 1500, 1500, 68},
	} {
		o := with(tt.network, "", tt.set)
		a, err := MTU(o)
		if err != nil || a.Underlay != tt.underlay || a.Max != tt.max || a.MTU != tt.mtu {
			t.Errorf("%+v: %d, %d, %d, %v; want %d, %d, %d", o, a.Underlay, a.Max, a.MTU, err, tt.underlay, tt.max, tt.mtu)
		}
		left := a.Underlay
		for _, l := range a.Layers {
			left -= l.Bytes
		}
		if left != a.Max || a.Layers == nil {
			t.Errorf("%+v: layers %v leave %d of %d", o, a.Layers, left, a.Underlay)
		}
	}
}

func TestMTURefused(t *testing.T) {
	for _, tt := range []struct {
		network string
		set     func(*Options)
		max     int // of a TooBigError; 0: it is too small
	}{
		{"vxlan", func(o *Options) { o.NetworkMTU = 1451 }, 1450},
		{"flat", func(o *Options) { o.NetworkMTU = 9000 }, 1500},
		{"local", func(o *Options) { o.NetworkMTU = 1501 }, 1500},
		{"geneve", func(o *Options) { o.NetworkMTU, o.MaxHeaderSize = 1450, 38 }, 1442},
		{"vxlan", func(o *Options) { o.PathMTU = 100 }, 0},
		{"geneve", func(o *Options) { o.MaxHeaderSize = 1500 }, 0},
	} {
		o := with(tt.network, "", tt.set)
		_, err := MTU(o)
		var big *TooBigError
		switch {
		case tt.max == 0 && !errors.Is(err, encap.ErrTooSmall):
			t.Errorf("%+v: error %v", o, err)
		case tt.max > 0 && (!errors.As(err, &big) || big.Max != tt.max):
			t.Errorf("%+v: error %v, want a maximum of %d", o, err, tt.max)
		}
	}
}

func TestMTUUsage(t *testing.T) {
	for _, tt := range []struct {
		network string
		set     func(*Options)
		want    string
	}{
		{"", nil, `no network type "": they are flat, vlan, vxlan, gre, geneve, local`},
		{"ipsec", nil, "no network type"},
		{"vxlan", func(o *Options) { o.PathMTU = 67 }, "path_mtu 67: it takes a number from 68 to 65535, or 0 for no limit"},
		{"vxlan", func(o *Options) { o.GlobalPhysnetMTU = -1 }, "global_physnet_mtu -1"},
		{"vxlan", func(o *Options) { o.SegmentMTU = 70000 }, "segment_mtu 70000"},
		{"vxlan", func(o *Options) { o.NetworkMTU = 1 }, "network_mtu 1"},
		{"vxlan", func(o *Options) { o.PhysicalNetworkMTUs = map[string]int{"a": 9000, "b": 3} }, "physical_network_mtus b 3"},
		{"vxlan", func(o *Options) { o.OverlayIPVersion = 5 }, "overlay_ip_version 5: it takes 4 or 6"},
		{"geneve", func(o *Options) { o.MaxHeaderSize = 29 }, "max_header_size 29: Geneve takes 30 without any option"},
		{"geneve", func(o *Options) { o.MaxHeaderSize = 1 << 20 }, "max_header_size 1048576"},
	} {
		_, err := MTU(with(tt.network, "", tt.set))
		var big *TooBigError
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.As(err, &big) || errors.Is(err, encap.ErrTooSmall) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

// Every option that was given has its line, and every default that had an effect.
func TestSteps(t *testing.T) {
	const all = "segment_mtu path_mtu physical_network_mtus physnet overlay_ip_version max_header_size network_mtu"
	set := func(o *Options) {
		o.SegmentMTU, o.PathMTU = 9000, 8000
		o.PhysicalNetworkMTUs, o.Physnet = map[string]int{"p": 4000, "a": 3000}, "p"
		o.MaxHeaderSize, o.NetworkMTU = 38, 1400
	}
	zero := func(o *Options) { o.GlobalPhysnetMTU = 0 }
	for _, tt := range []struct {
		network, given string
		set            func(*Options)
		want           string
	}{
		{"vxlan", "", nil, `
global_physnet_mtu* 1500: 1500 is the smallest limit
overlay_ip_version* 4: 20 off for the outer IPv4 header`},
		{"geneve", "", nil, `
global_physnet_mtu* 1500: 1500 is the smallest limit
overlay_ip_version* 4: 20 off for the outer IPv4 header
max_header_size* 30: 30 off for Ethernet, UDP, Geneve and its options; with OVN it must be 38 at least`},
		{"local", "", nil, `
global_physnet_mtu* 1500: 1500 is the smallest limit`},
		{"geneve", all, set, `
segment_mtu 9000: no effect: path_mtu is 8000; this is the old name of global_physnet_mtu
path_mtu 8000: 8000 is the smallest limit
physical_network_mtus a:3000,p:4000: no effect: a geneve network is on no physical network
physnet p: no effect: a geneve network is on no physical network, and neutron refuses one
overlay_ip_version 4: 20 off for the outer IPv4 header
max_header_size 38: 38 off for Ethernet, UDP, Geneve and its options
network_mtu 1400: lower than the largest, 7942: the network gets it`},
		{"vlan", all, set, `
segment_mtu 9000: no effect: physical_network_mtus is 4000; this is the old name of global_physnet_mtu
path_mtu 8000: no effect: it is for tunnels, and this is a vlan network
physical_network_mtus a:3000,p:4000: 4000 is the smallest limit
physnet p: its MTU is looked up in physical_network_mtus
overlay_ip_version 4: no effect: it is for tunnels, and this is a vlan network
max_header_size 38: no effect: it is for Geneve, and this is a vlan network
network_mtu 1400: lower than the largest, 4000: the network gets it`},
		{"flat", "segment_mtu global_physnet_mtu physical_network_mtus physnet", func(o *Options) {
			o.SegmentMTU, o.PhysicalNetworkMTUs, o.Physnet = 9000, map[string]int{"p": 4000}, "q"
		}, `
segment_mtu 9000: no effect: global_physnet_mtu is its new name, and goes first
global_physnet_mtu 1500: 1500 is the smallest limit
physical_network_mtus p:4000: no effect: q is not among them
physnet q: no effect: physical_network_mtus does not have it`},
		{"flat", "physical_network_mtus network_mtu", func(o *Options) {
			o.PhysicalNetworkMTUs, o.NetworkMTU = map[string]int{"p": 4000}, 1500
		}, `
global_physnet_mtu* 1500: 1500 is the smallest limit
physical_network_mtus p:4000: no effect: the network's physical network is not given
network_mtu 1500: no effect: 1500 is the largest anyway`},
		{"geneve", "global_physnet_mtu path_mtu overlay_ip_version max_header_size network_mtu", zero, `
global_physnet_mtu 0: no effect: 0 is no limit
path_mtu 0: no effect: 0 is no limit
overlay_ip_version 4: no effect: nothing is taken off where no limit is known
max_header_size 30: no effect: nothing is taken off where no limit is known
network_mtu 0: no effect: 0 asks for the largest`},
	} {
		a, err := MTU(with(tt.network, tt.given, tt.set))
		if err != nil {
			t.Errorf("%s: %v", tt.network, err)
			continue
		}
		var got strings.Builder
		for _, s := range a.Steps {
			if s.Default {
				s.Option += "*"
			}
			got.WriteString("\n" + s.Option + " " + s.Value + ": " + s.Effect)
		}
		if diff := cmp.Diff(tt.want, got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.network, diff)
		}
	}
}
