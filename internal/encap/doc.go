// Package encap is what encapsulations take off an MTU, byte by byte: a table of
// layers, a table of IPsec's ciphers, and the arithmetic that walks them.
//
// It reads no host and knows no guest. All MTUs are in bytes of IP packet. Standard
// library only: the libvirt hook imports it.
package encap
