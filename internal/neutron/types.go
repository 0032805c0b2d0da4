package neutron

// netType is one of neutron's network types.
type netType struct {
	name string
	// physical: its segment is on a physical network, and takes that one's MTU.
	physical bool
	// tunnel: path_mtu and overlay_ip_version are for it.
	tunnel bool
	// keyed: its tunnels carry a key.
	keyed bool
}

var types = []netType{
	{name: "flat", physical: true},
	{name: "vlan", physical: true},
	{name: "vxlan", tunnel: true},
	{name: "gre", tunnel: true, keyed: true},
	{name: "geneve", tunnel: true},
	{name: "local"}, // type_local.py: get_mtu returns None
}

// Types lists the network types.
func Types() []string {
	var names []string
	for _, t := range types {
		names = append(names, t.name)
	}
	return names
}

func lookup(name string) (netType, bool) {
	for _, t := range types {
		if t.name == name {
			return t, true
		}
	}
	return netType{}, false
}
