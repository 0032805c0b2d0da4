// Package fix carries a Plan out on a host: the <mtu> of domain definitions, by
// way of libvirt, and the taps of running domains.
//
// What to do is package plan's to say. A definition changes in three steps: the
// ownership record says what is about to be set, the interface is set, the record
// is settled. Killed anywhere in between, the next run still sees whose value it is.
//
// libvirt compares nothing when it sets, so the definition is looked at again before
// each write, and planned again where somebody has changed it. What is left is the time
// between such a look and the call right after it, for a definition that comes in there:
//   - before the record: one that it brings is overwritten;
//   - before a device: what it says otherwise of that one NIC is overwritten. A record
//     that went with it is written again, by settle;
//   - between a device and the look after it, the very same interface with the same
//     <mtu> and no record is taken for ours.
//
// A libvirt network has one call for its number and its record, so nothing is ever under
// way there; what somebody defines between the look and that call is overwritten, and a
// network that is undefined just then comes back.
package fix
