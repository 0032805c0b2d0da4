package domxml

import "encoding/xml"

// MaxSize is the largest document that Parse accepts, in bytes. libvirt itself
// carries no string above 4 MiB (REMOTE_STRING_MAX).
const MaxSize = 4 << 20

// MTU bounds that are valid in <mtu size='N'/>, in bytes of IP packet. 68 is
// IPv4's minimum (RFC 791) and the kernel's for Ethernet devices; 65535 is the
// largest that libvirt's schema and virtio's host_mtu can hold.
const (
	MinMTU = 68
	MaxMTU = 65535
)

// Document is one parsed domain and the bytes that it was parsed from. What
// Splice and Interface write goes by the bytes alone: changing Domain changes
// nothing there.
type Document struct {
	Domain
	src   []byte
	sites []site // of the NICs, in their order
}

// Domain is what virt-mtu reads from a <domain> element.
type Domain struct {
	// Name as it stands in the XML: libvirt trims nothing.
	Name string
	// UUID in canonical lower-case form, empty where the XML has none.
	UUID string
	NICs []NIC
	// Hostdevs are the PCI devices that are passed through as what they are. Which
	// of them are NICs the host knows.
	Hostdevs []Hostdev
	// Metadata holds the children of <metadata> in a urn:virt-mtu: namespace,
	// by namespace URI. libvirt keeps at most one node for each URI, the first.
	Metadata map[string]Element
}

// NIC is one /domain/devices/interface. Strings are empty where the XML says nothing.
type NIC struct {
	Type    string // bridge, network, ethernet, direct, ...
	MAC     string // lower case, colons, two digits an octet
	Model   string // virtio, e1000, ...
	Bridge  string // <source bridge=''>; for a live type='network' the bridge that libvirt resolved it to
	Network string // <source network=''>
	Dev     string // <source dev=''> of type='direct': the lower device; of type='vdpa': /dev/vhost-vdpa-0
	Socket  string // <source type='unix' path=''> of type='vhostuser'
	Address string // <source><address type='pci'> of type='hostdev', as sysfs writes it: 0000:03:10.2
	Target  string // <target dev=''>: the tap, once there is one
	// Unmanaged: <target managed='no'/>, a tap that libvirt neither makes nor sets.
	Unmanaged   bool
	VirtualPort string // <virtualport type=''>: openvswitch, ...
	// MTU is <mtu size=''> in bytes of IP packet; 0 where there is none, which
	// is also what libvirt makes of size='0' and size=''.
	MTU int
}

// Hostdev is one /domain/devices/hostdev of a PCI device.
type Hostdev struct {
	Address string // as sysfs writes it: 0000:03:10.2
}

// Element is a piece of metadata without its text, names resolved to their
// namespaces.
type Element struct {
	Name     xml.Name
	Attrs    []xml.Attr // xmlns declarations left out
	Children []Element
}
