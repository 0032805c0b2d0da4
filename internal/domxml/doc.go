// Package domxml reads the NICs out of libvirt domain XML and splices <mtu>
// elements into it, leaving every other byte as it was.
//
// It never re-marshals what libvirt is to get: a round trip through Go types loses
// comments, attributes newer than the types, and whatever libvirt adds next. Only an
// Excerpt, which is to lose all that, is written anew. It decides nothing either:
// which NIC gets which MTU is package plan's business.
//
// What Parse accepts is well-formed to libxml2, and so to libvirt, as well. It is
// not valid for that: names, types and values that are not about an MTU are
// libvirt's to judge.
package domxml
