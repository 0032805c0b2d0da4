package nicmodel

// Type is one <interface type=”>.
type Type struct {
	Name string
	// Inject: virt-mtu puts an <mtu> there.
	Inject bool
	// Takes: libvirt takes an <mtu> there, and a virtio guest is told it. It does so
	// wherever virt-mtu puts one.
	Takes bool
	// Bridged: its taps are ports of a bridge that the NIC names.
	Bridged bool
	// Why a NIC of this type is left alone.
	Why string
}

// types is libvirt's virDomainNetType. On direct, hostdev, vdpa and others one
// <mtu> makes libvirt refuse the whole domain ("setting MTU on interface type %s
// is not supported yet", qemu_domain.c).
var types = []Type{
	{Name: "bridge", Inject: true, Takes: true, Bridged: true},
	{Name: "network", Inject: true, Takes: true, Bridged: true},
	{Name: "ethernet", Inject: true, Takes: true},
	{Name: "direct", Why: "macvtap takes its MTU from its lower device; libvirt refuses <mtu> there"},
	{Name: "hostdev", Why: "a passed-through device has its own MTU; libvirt refuses <mtu> there"},
	{Name: "vdpa", Why: "a vDPA device has its own MTU; libvirt refuses <mtu> there"},
	{Name: "vhostuser", Takes: true, Why: "the vhost-user switch decides its MTU"},
	{Name: "user", Why: "user-mode networking carries no frames of the host's"},
}

// LookupType returns what is known of an interface type. One that is not in the
// table takes no <mtu>.
func LookupType(name string) Type {
	for _, t := range types {
		if t.Name == name {
			return t
		}
	}
	return Type{Name: name, Why: "libvirt takes no <mtu> on this interface type"}
}
