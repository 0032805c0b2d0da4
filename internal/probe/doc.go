// Package probe finds the largest datagram that gets to an address and back in one
// piece, and who stops the larger ones.
//
// Search decides which size to send next from what became of the others; it is pure, and
// does not know who sends. Prober carries it out from this host, by ICMP echo requests
// that nobody may fragment. It needs CAP_NET_RAW or the kernel's unprivileged ICMP
// sockets.
//
// It asks the kernel's cache of path MTUs nothing, and leaves nothing in it. All sizes
// are bytes of IP packet, header included.
package probe
