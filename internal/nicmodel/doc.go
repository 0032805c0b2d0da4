// Package nicmodel is what each emulated NIC can carry, whether its guest is told
// an MTU, and which libvirt interface types take an <mtu>. It is tables only.
package nicmodel
