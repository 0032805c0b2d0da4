package encap

var nicTag = Part{"802.1Q tag, which the NIC carries beyond its MTU", 0}

// NICTag is the layer of a VLAN on a NIC, which costs nothing.
func NICTag() Layer { return newLayer("vlan", []Part{nicTag}) }

// tagged is the layer of a proto that adds 802.1Q tags, above what lies below it.
//
// A NIC carries one tag beyond its MTU: Ethernet's largest frame grew by it (802.3ac).
// That holds for the first tag on the wire alone. Within a tunnel a tag is payload, and
// within MACsec the NIC does not see it (netif_reduces_vlan_mtu, linux/netdevice.h).
func (p proto) tagged(below []proto) Layer {
	tags := p.tags
	second := tags == 2 && len(below) > 0 && below[len(below)-1].name == "vlan"
	if second {
		tags-- // the vlan below it is the first
	}
	var parts []Part
	switch {
	case len(below) == 0:
		parts = append(parts, nicTag)
		tags--
	case !second:
		parts = append(parts, Part{"802.1Q tag", VLANTag})
		tags--
	}
	for range tags {
		parts = append(parts, Part{"second 802.1Q tag", VLANTag})
	}
	return newLayer(p.name, parts)
}
