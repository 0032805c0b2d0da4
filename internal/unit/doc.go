// Package unit puts virt-mtu's systemd units where an admin's own go, for a virt-mtu
// that came without a package, and takes out exactly those.
//
// What a unit says is packaging/systemd's. None is enabled, started or stopped here.
package unit
