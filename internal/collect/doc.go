// Package collect reads the network of this host whole: every link of this network
// namespace by netlink, with what tunnels and stacked links lie on; Open vSwitch's
// database; the network devices on the PCI bus; and what configures each link at
// boot. It writes nothing.
//
// It is too much for the libvirt hook, which has package host's reader. What any of
// it means for a guest is package plan's; libvirt's networks are package libvirt's.
package collect
