// Package fix carries a Plan out on a host: the <mtu> of domain definitions, by
// way of libvirt, and the taps of running domains.
//
// What to do is package plan's to say. A definition changes in three steps: the
// ownership record says what is about to be set, the interface is set, the record
// is settled. Killed anywhere in between, the next run still sees whose value it is.
package fix
