package host

// Snapshot is the state of a host's links at one moment. A link that is not in it
// was either not there or not asked for.
type Snapshot struct {
	Host     string    `json:"host"`
	Links    []Link    `json:"links"`
	Networks []Network `json:"networks"`
}

// Link is one network device.
type Link struct {
	Name  string `json:"name"`
	Index int    `json:"index"`
	// MTU in bytes of IP packet.
	MTU int `json:"mtu"`
	// Kind is the kernel's name for what the link is ("bridge", "tun", "veth",
	// "vxlan", "openvswitch", ...), or a hardware driver's name; empty: not known.
	Kind string `json:"kind"`
	// Tap: a TUN/TAP device in TAP mode.
	Tap bool `json:"tap"`
	// Master is the link whose port this is: a Linux bridge, a bond, ovs-system.
	Master string `json:"master"`
}

// Network is a libvirt network as far as it concerns an MTU.
type Network struct {
	Name string `json:"name"`
	// Bridge that its guests are put on; empty for macvtap and SR-IOV pools.
	Bridge string `json:"bridge"`
	// MTU of its own <mtu>, in bytes of IP packet; 0: none.
	MTU int `json:"mtu"`
	// Forward is the mode of <forward>: "", nat, route, open, bridge, private,
	// vepa, passthrough, hostdev. Empty is an isolated network.
	Forward string `json:"forward"`
	// OVS: <virtualport type='openvswitch'/>, the bridge is Open vSwitch's.
	OVS bool `json:"ovs"`
}

// Link returns the link called name.
func (s *Snapshot) Link(name string) (Link, bool) {
	for _, l := range s.Links {
		if l.Name == name {
			return l, true
		}
	}
	return Link{}, false
}

// Ports returns the links whose master is the bridge (or bond) called name.
func (s *Snapshot) Ports(name string) []Link {
	var ports []Link
	for _, l := range s.Links {
		if l.Master == name && name != "" {
			ports = append(ports, l)
		}
	}
	return ports
}

// Network returns the libvirt network called name.
func (s *Snapshot) Network(name string) (Network, bool) {
	for _, n := range s.Networks {
		if n.Name == name {
			return n, true
		}
	}
	return Network{}, false
}
