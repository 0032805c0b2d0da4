package host

// Snapshot is the state of a host's network at one moment. A link that is not in it
// was either not there or not asked for; what is empty or 0 in it is not known,
// unless its own comment says otherwise.
type Snapshot struct {
	Host     string    `json:"host"`
	Links    []Link    `json:"links"`
	Networks []Network `json:"networks"`
	// OVS is what Open vSwitch's database holds; nil: there is none, or it was not
	// read, which Unread says then.
	OVS *OVS `json:"ovs"`
	// PCI lists the host's PCI functions that are network devices.
	PCI []PCI `json:"pci"`
	// Unread says what could not be read and why, a line each.
	Unread []string `json:"unread"`
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
	// Lower is the link that this one sits on: of a VLAN, a macvlan or macvtap, a
	// MACsec device. Empty also where that is in another network namespace.
	Lower string `json:"lower"`
	// Peer is a veth's other end, where that is in this network namespace.
	Peer string `json:"peer"`
	// Away: a veth's other end, or what a link sits on, is in another network
	// namespace and cannot be seen.
	Away bool `json:"away"`
	// Tunnel is where a tunnel's packets go; nil: no tunnel, or not read.
	Tunnel *Tunnel `json:"tunnel"`
	// Manager is what configures the link at boot: netplan, networkmanager,
	// networkd, ifupdown, ifcfg.
	Manager string `json:"manager"`
	// Bereft: a bridge that has no uplink now and had one before, for who has watched it.
	// No reader knows that.
	Bereft bool `json:"-"`
}

// Virtual is the Kind of a link of which no more is known than that no hardware is under
// it: it may be a tap, a veth, a tunnel, anything. To libvirt they are all alike.
const Virtual = "virtual"

// Hardware is the Kind of a link with hardware under it whose driver is not known.
const Hardware = "device"

// Tunnel is where the packets of a tunnel go.
type Tunnel struct {
	// Family of the outer header, 4 or 6.
	Family int `json:"family"`
	// Key: a GRE tunnel whose packets carry a key.
	Key bool `json:"key"`
	// External: each packet says itself where it goes (collect_md, OVS's
	// remote_ip=flow), so the remotes are not all, or none, of them.
	External bool `json:"external"`
	// OptionBytes are carried in the header beyond its fixed part: OVN's 8 in Geneve.
	// Less than 0: so many of the fixed part are not there.
	OptionBytes int `json:"option_bytes"`
	// Unsure: the tunnel takes more than its fields say, and nobody here knows how
	// much: it is within IPsec, or has an extension that is not known.
	Unsure bool   `json:"unsure"`
	Local  string `json:"local"`
	// Remotes are the far ends that are configured, or for a multicast group the
	// group.
	Remotes []Remote `json:"remotes"`
}

// Remote is one far end of a tunnel.
type Remote struct {
	Address string `json:"address"`
	// Underlay is the link by which packets to it leave. Empty: there is no route,
	// or the route was not looked up.
	Underlay string `json:"underlay"`
	// MTU of the route itself in bytes of IP packet, where it has one below its
	// link's (ip route ... mtu N); 0: none.
	MTU int `json:"mtu"`
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
	// Inactive: libvirt says that it does not run.
	Inactive bool `json:"inactive"`
	// Redefined: its definition has another <mtu> than it runs with, DefinedMTU (0: none),
	// from its next start on.
	Redefined  bool `json:"redefined"`
	DefinedMTU int  `json:"defined_mtu"`
	// MAC address that libvirt gives its bridge; empty: not known.
	MAC string `json:"mac"`
	// IPv6: its bridge has an IPv6 address.
	IPv6 bool `json:"ipv6"`
	// DHCP: libvirt's dnsmasq gives its guests IPv4 addresses, and with them DHCPMTU as
	// their MTU (option 26; 0: none).
	DHCP    bool `json:"dhcp"`
	DHCPMTU int  `json:"dhcp_mtu"`
	// RouterMTU is what that dnsmasq's router advertisements name, where it is told a
	// number; 0: the bridge's own, or none.
	RouterMTU int `json:"router_mtu"`
}

// OVS is what Open vSwitch's database says of its bridges.
type OVS struct {
	Bridges []OVSBridge `json:"bridges"`
}

// OVSBridge is one bridge of Open vSwitch.
type OVSBridge struct {
	Name string `json:"name"`
	// Datapath is "system" (the kernel's) or "netdev" (userspace).
	Datapath string    `json:"datapath"`
	Ports    []OVSPort `json:"ports"`
}

// OVSPort is a port of a bridge. A bond has several interfaces, others one.
type OVSPort struct {
	Name       string         `json:"name"`
	Tag        int            `json:"tag"` // its VLAN; 0: none
	Interfaces []OVSInterface `json:"interfaces"`
}

// OVSInterface is one interface of a port.
type OVSInterface struct {
	Name string `json:"name"`
	// Type is "" or "system" for a link of the kernel's, "internal", "patch",
	// "vxlan", "gre", "geneve", "dpdk", "dpdkvhostuserclient", ...
	Type string `json:"type"`
	// MTU as Open vSwitch has it, in bytes of IP packet; 0 for patch and tunnel ports.
	MTU int `json:"mtu"`
	// MTURequest is its mtu_request; 0: none.
	MTURequest int `json:"mtu_request"`
	// Peer is the patch port at the other end of a patch port.
	Peer string `json:"peer"`
	// Tunnel is where a tunnel port's packets go; nil: no tunnel port.
	Tunnel *Tunnel `json:"tunnel"`
	// Socket of a vhost-user port.
	Socket string `json:"socket"`
	// TxErrors counts packets that it could not send, those too large among them.
	TxErrors int64 `json:"tx_errors"`
}

// PCI is one PCI function that is a network device.
type PCI struct {
	// Address as sysfs writes it: 0000:03:10.2.
	Address string `json:"address"`
	// Link is its network device; empty while the function belongs to a guest.
	Link string `json:"link"`
	// PF is the address of its physical function; empty: it is none's virtual one.
	PF string `json:"pf"`
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

// Network returns the libvirt network called name.
func (s *Snapshot) Network(name string) (Network, bool) {
	for _, n := range s.Networks {
		if n.Name == name {
			return n, true
		}
	}
	return Network{}, false
}
