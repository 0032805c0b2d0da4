package neutron

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// steps says of each option what it did: of those that were given, and of those whose
// default had an effect.
func (o Options) steps(t netType, a Answer, chosen limit) []Step {
	var steps []Step
	add := func(option, value, effect string) {
		steps = append(steps, Step{option, value, !o.Given[option], effect})
	}
	// limited is what an option did that is one of the limits.
	limited := func(option string, mtu int) string {
		switch {
		case option == chosen.option:
			return fmt.Sprintf("%d is the smallest limit", mtu)
		case mtu == 0:
			return "no effect: 0 is no limit"
		}
		return fmt.Sprintf("no effect: %s is %d", chosen.option, chosen.mtu)
	}

	deployment := o.deployment()
	if o.Given[SegmentMTU] {
		effect := "no effect: " + GlobalPhysnetMTU + " is its new name, and goes first"
		if deployment.option == SegmentMTU {
			effect = limited(SegmentMTU, o.SegmentMTU) + "; this is the old name of " + GlobalPhysnetMTU
		}
		add(SegmentMTU, fmt.Sprint(o.SegmentMTU), effect)
	}
	if deployment.option == GlobalPhysnetMTU {
		add(GlobalPhysnetMTU, fmt.Sprint(o.GlobalPhysnetMTU), limited(GlobalPhysnetMTU, o.GlobalPhysnetMTU))
	}
	if o.Given[PathMTU] {
		effect := fmt.Sprintf("no effect: it is for tunnels, and this is a %s network", t.name)
		if t.tunnel {
			effect = limited(PathMTU, o.PathMTU)
		}
		add(PathMTU, fmt.Sprint(o.PathMTU), effect)
	}
	if o.Given[PhysicalNetworkMTUs] {
		add(PhysicalNetworkMTUs, o.mappings(), o.mapped(t, limited))
	}
	if o.Given[Physnet] {
		add(Physnet, o.Physnet, o.onPhysnet(t))
	}
	if t.tunnel && a.Underlay > 0 {
		l := a.Layers[0]
		add(OverlayIPVersion, fmt.Sprint(o.OverlayIPVersion), fmt.Sprintf("%d off for the %s", l.Parts[0].Bytes, l.Parts[0].What))
	} else if o.Given[OverlayIPVersion] {
		add(OverlayIPVersion, fmt.Sprint(o.OverlayIPVersion), o.noTunnel(t))
	}
	if t.name == "geneve" && a.Underlay > 0 {
		effect := fmt.Sprintf("%d off for Ethernet, UDP, Geneve and its options", o.MaxHeaderSize)
		if o.MaxHeaderSize < ovnMinHeaderSize {
			effect += fmt.Sprintf("; with OVN it must be %d at least", ovnMinHeaderSize)
		}
		add(MaxHeaderSize, fmt.Sprint(o.MaxHeaderSize), effect)
	} else if o.Given[MaxHeaderSize] {
		effect := fmt.Sprintf("no effect: it is for Geneve, and this is a %s network", t.name)
		if t.name == "geneve" {
			effect = o.noTunnel(t)
		}
		add(MaxHeaderSize, fmt.Sprint(o.MaxHeaderSize), effect)
	}
	if o.Given[NetworkMTU] {
		add(NetworkMTU, fmt.Sprint(o.NetworkMTU), o.requested(a))
	}
	return steps
}

// noTunnel is why an option of tunnels did nothing.
func (o Options) noTunnel(t netType) string {
	if t.tunnel {
		return "no effect: nothing is taken off where no limit is known"
	}
	return fmt.Sprintf("no effect: it is for tunnels, and this is a %s network", t.name)
}

func (o Options) mappings() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(o.PhysicalNetworkMTUs)) {
		all = append(all, fmt.Sprintf("%s:%d", name, o.PhysicalNetworkMTUs[name]))
	}
	return strings.Join(all, ",")
}

// mapped is what physical_network_mtus did.
func (o Options) mapped(t netType, limited func(string, int) string) string {
	mtu, ok := o.PhysicalNetworkMTUs[o.Physnet]
	switch {
	case !t.physical:
		return fmt.Sprintf("no effect: a %s network is on no physical network", t.name)
	case o.Physnet == "":
		return "no effect: the network's physical network is not given"
	case !ok:
		return fmt.Sprintf("no effect: %s is not among them", o.Physnet)
	}
	return limited(PhysicalNetworkMTUs, mtu)
}

// onPhysnet is what the name of the physical network did.
func (o Options) onPhysnet(t netType) string {
	_, ok := o.PhysicalNetworkMTUs[o.Physnet]
	switch {
	case !t.physical:
		return fmt.Sprintf("no effect: a %s network is on no physical network, and neutron refuses one", t.name)
	case !ok:
		return "no effect: " + PhysicalNetworkMTUs + " does not have it"
	}
	return "its MTU is looked up in " + PhysicalNetworkMTUs
}

// requested is what the network's own MTU did.
func (o Options) requested(a Answer) string {
	switch {
	case o.NetworkMTU == 0:
		return "no effect: 0 asks for the largest"
	case a.Max == 0:
		return "taken as it is: no limit is known"
	case o.NetworkMTU == a.Max:
		return fmt.Sprintf("no effect: %d is the largest anyway", a.Max)
	}
	return fmt.Sprintf("lower than the largest, %d: the network gets it", a.Max)
}
