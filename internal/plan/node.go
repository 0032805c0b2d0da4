package plan

// Node is one step on the way of a NIC's packets from the guest to the wire.
type Node struct {
	Kind NodeKind `json:"kind"`
	Name string   `json:"name"`
	// MTU in bytes of IP packet; 0: not known, or it has none of its own.
	MTU int `json:"mtu"`
	// Parent is the index of the node before it, toward the guest, in the same
	// path; -1 for the first.
	Parent int `json:"parent"`
	// Carries is what gets through here and on to the wire, in bytes of IP packet
	// of the guest's; 0: not known.
	Carries int `json:"carries"`
	// Bottleneck: it is what limits the path, while others would carry more.
	Bottleneck bool `json:"bottleneck"`
	// Note says what there is to know beyond the number, one clause; may be empty.
	Note string `json:"note"`
}

// NodeKind is what a node is.
type NodeKind string

const (
	NodeGuest    NodeKind = "guest"    // the NIC as its guest has it
	NodeTap      NodeKind = "tap"      // the host's end of it
	NodeMacvtap  NodeKind = "macvtap"  // the same, on a lower device without a bridge
	NodeVF       NodeKind = "vf"       // an SR-IOV virtual function
	NodeNetwork  NodeKind = "network"  // libvirt's network
	NodeBridge   NodeKind = "bridge"   // a Linux bridge
	NodeOVS      NodeKind = "ovs"      // a bridge of Open vSwitch
	NodeUplink   NodeKind = "uplink"   // a bridge port that leads off the host
	NodeUnderlay NodeKind = "underlay" // what an uplink, or another underlay, sits on
	NodePeer     NodeKind = "peer"     // the other end of a veth or a patch port
)
