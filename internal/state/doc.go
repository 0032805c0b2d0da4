// Package state keeps what virt-mtu has to remember between two runs on one boot:
// which domains wait for fix, which came in by migrate or restore, which NIC is out of
// its domain to be plugged in again, and that one fix works at a time.
//
// It lies in folders that root alone may read and write, named by domain UUID. It
// holds nothing that a guest start depends on: whoever cannot read or write it says
// so and goes on.
package state
