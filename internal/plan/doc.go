// Package plan decides: from a domain's NICs, the state of its host and the
// admin's rules it makes a Plan that says for each NIC what its MTU should be,
// what is to be done about it, and why.
//
// It is pure: no I/O, no clock. Every face of virt-mtu carries out a Plan or shows
// it; none has rules of its own. All MTUs are in bytes of IP packet.
package plan
