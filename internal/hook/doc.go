// Package hook speaks libvirt's qemu hook protocol: it is called with a guest, an
// operation and the domain's XML, and carries out the part of a Plan that applies
// at that operation.
//
// libvirt waits for it at every start, with all its other work on hold, and takes
// a wrong exit status for an order: at reconnect it kills the running guest. So
// whatever fails in here ends in one log line and exit 0, within two seconds.
// It calls no other program and never libvirt, which would not answer.
package hook
