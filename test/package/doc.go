// Package pkg tests what a user installs: packages, as dpkg and rpm take them, on
// real Debian machines with libvirt and guests.
package pkg
