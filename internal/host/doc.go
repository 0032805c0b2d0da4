// Package host describes the network of one KVM host as plain data: links,
// bridges and their ports, libvirt networks. Its reader fills in what sysfs, a few
// ioctls and libvirt's network files show, which is all that the libvirt hook has
// time for.
//
// What needs a dump by netlink or Open vSwitch's database is package collect's. What any of
// it means for a guest is package plan's.
package host
