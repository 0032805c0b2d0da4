// Package agent sets and reads the MTU of a running guest's NICs through its guest
// agent (qemu-guest-agent), by MAC address, and has the guest ping.
//
// The guest is not trusted: what it answers is bounded and checked, the name that it
// gives a NIC is used only where it can be nothing but a name, and nothing goes through
// a shell. It is not believed to have done what it was told either: what is reported is
// what was read afterwards. How each operating system is asked is a table, systems.
//
// Which MTU a NIC should have is not decided here.
package agent
