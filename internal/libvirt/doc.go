// Package libvirt talks to the libvirt daemon of this host: domains, their
// definitions and metadata, networks. It is the only user of go-libvirt, and adds
// what that lacks: a deadline for every call, errors that say what failed, and
// sentinels for what a caller decides on.
//
// It reads and changes persistent definitions, asks guest agents, and plugs devices
// into running domains. It never starts or stops a domain, and understands no domain
// XML.
package libvirt
