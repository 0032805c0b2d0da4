package neutron

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"virt-mtu/internal/encap"
)

// Defaults of neutron's options (conf/common.py, conf/plugins/ml2).
const (
	DefaultPhysnetMTU    = 1500
	DefaultOverlayIP     = 4
	DefaultMaxHeaderSize = 30
)

// ovnMinHeaderSize is what neutron's OVN driver asks for (OVN_MIN_GENEVE_MAX_HEADER_SIZE,
// ml2/drivers/ovn/mech_driver/mech_driver.py); with less it ends the server.
const ovnMinHeaderSize = 38

// Names of the options: those of neutron's config files, and of a network's own
// provider:physical_network and mtu.
const (
	GlobalPhysnetMTU    = "global_physnet_mtu"
	SegmentMTU          = "segment_mtu" // its name before Mitaka
	PathMTU             = "path_mtu"
	PhysicalNetworkMTUs = "physical_network_mtus"
	Physnet             = "physnet"
	OverlayIPVersion    = "overlay_ip_version"
	MaxHeaderSize       = "max_header_size"
	NetworkMTU          = "network_mtu"
)

// Options are a network and the options that its MTU comes from. An MTU of 0 is not
// set: neutron knows no limit there.
type Options struct {
	NetworkType         string
	GlobalPhysnetMTU    int
	SegmentMTU          int
	PathMTU             int
	PhysicalNetworkMTUs map[string]int
	Physnet             string
	OverlayIPVersion    int
	MaxHeaderSize       int
	NetworkMTU          int // what the network is created with
	// Given are the names of the options that somebody gave; the others hold their
	// defaults.
	Given map[string]bool
}

// Step is what one option did.
type Step struct {
	Option  string `json:"option"`
	Value   string `json:"value"`
	Default bool   `json:"default"` // nobody gave it
	Effect  string `json:"effect"`
}

// Answer is the MTU of a network and how it came about.
type Answer struct {
	// Underlay is the smallest limit, 0 where neutron knows none.
	Underlay int
	Layers   []encap.Layer
	// Max is the largest MTU that the network may have, MTU the one that it gets. 0:
	// no limit is known, and neutron gives the network 0.
	Max, MTU int
	Steps    []Step
}

// TooBigError is neutron's refusal of a network's MTU.
type TooBigError struct{ Max int }

func (e *TooBigError) Error() string {
	return fmt.Sprintf("Requested MTU is too big, maximum is %d", e.Max) // neutron's words
}

// MTU computes what neutron gives the network. Errors are *TooBigError,
// encap.ErrTooSmall, or that an option has a value that it cannot have.
func MTU(o Options) (Answer, error) {
	t, err := o.validate()
	if err != nil {
		return Answer{}, err
	}
	limits := o.limits(t)
	a := Answer{Layers: []encap.Layer{}}
	chosen := limit{}
	for _, l := range limits {
		if l.mtu > 0 && (chosen.mtu == 0 || l.mtu < chosen.mtu) {
			chosen = l
		}
	}
	a.Underlay, a.Max = chosen.mtu, chosen.mtu
	if chosen.mtu > 0 {
		if l, ok := t.layer(o); ok {
			a.Layers, a.Max = append(a.Layers, l), a.Max-l.Bytes
		}
		if a.Max < encap.MinMTU {
			return Answer{}, fmt.Errorf("%s %d leaves %d for a %s network: %w", chosen.option, chosen.mtu, a.Max, t.name, encap.ErrTooSmall)
		}
	}
	a.MTU = a.Max
	if o.NetworkMTU > 0 {
		if a.Max > 0 && o.NetworkMTU > a.Max {
			return Answer{}, fmt.Errorf("%s %d: %w", NetworkMTU, o.NetworkMTU, &TooBigError{a.Max})
		}
		a.MTU = o.NetworkMTU
	}
	a.Steps = o.steps(t, a, chosen)
	return a, nil
}

// limit is an option that limits a network, and to what.
type limit struct {
	option string
	mtu    int
}

// limits are those that neutron takes the smallest of.
func (o Options) limits(t netType) []limit {
	all := []limit{o.deployment()}
	if t.physical {
		all = append(all, limit{PhysicalNetworkMTUs, o.PhysicalNetworkMTUs[o.Physnet]})
	}
	if t.tunnel {
		all = append(all, limit{PathMTU, o.PathMTU})
	}
	return all
}

// deployment is the limit of every physical network: by its old name only where the
// new one is not given, as oslo.config reads a deprecated_name.
func (o Options) deployment() limit {
	if o.Given[SegmentMTU] && !o.Given[GlobalPhysnetMTU] {
		return limit{SegmentMTU, o.SegmentMTU}
	}
	return limit{GlobalPhysnetMTU, o.GlobalPhysnetMTU}
}

// layer is what networks of the type are carried in; false: in nothing.
func (t netType) layer(o Options) (encap.Layer, bool) {
	switch {
	case t.name == "vlan":
		return encap.NICTag(), true
	case !t.tunnel:
		return encap.Layer{}, false
	}
	options := 0
	if t.name == "geneve" {
		options = o.MaxHeaderSize - DefaultMaxHeaderSize
	}
	return encap.OVSTunnel(t.name, t.keyed, o.OverlayIPVersion, options)
}

func (o Options) validate() (netType, error) {
	t, ok := lookup(o.NetworkType)
	if !ok {
		return t, fmt.Errorf("no network type %q: they are %s", o.NetworkType, strings.Join(Types(), ", "))
	}
	mtus := []limit{
		{GlobalPhysnetMTU, o.GlobalPhysnetMTU},
		{SegmentMTU, o.SegmentMTU},
		{PathMTU, o.PathMTU},
		{NetworkMTU, o.NetworkMTU},
	}
	for _, name := range slices.Sorted(maps.Keys(o.PhysicalNetworkMTUs)) {
		mtus = append(mtus, limit{PhysicalNetworkMTUs + " " + name, o.PhysicalNetworkMTUs[name]})
	}
	for _, m := range mtus {
		if m.mtu != 0 && (m.mtu < encap.MinMTU || m.mtu > encap.MaxMTU) {
			return t, fmt.Errorf("%s %d: it takes a number from %d to %d, or 0 for no limit", m.option, m.mtu, encap.MinMTU, encap.MaxMTU)
		}
	}
	switch {
	case o.OverlayIPVersion != 4 && o.OverlayIPVersion != 6:
		return t, fmt.Errorf("%s %d: it takes 4 or 6", OverlayIPVersion, o.OverlayIPVersion)
	// Neutron itself takes less, and then gives guests more than fits.
	case o.MaxHeaderSize < DefaultMaxHeaderSize:
		return t, fmt.Errorf("%s %d: Geneve takes %d without any option (neutron's OVN driver refuses less than %d)",
			MaxHeaderSize, o.MaxHeaderSize, DefaultMaxHeaderSize, ovnMinHeaderSize)
	case o.MaxHeaderSize > encap.MaxMTU:
		return t, fmt.Errorf("%s %d: it takes a number from %d to %d", MaxHeaderSize, o.MaxHeaderSize, DefaultMaxHeaderSize, encap.MaxMTU)
	}
	return t, nil
}
