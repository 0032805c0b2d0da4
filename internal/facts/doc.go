// Package facts is the file format in which a host's network and domains travel:
// what virt-mtu facts writes and check reads, on this host or any other.
//
// It gathers and decodes; what the facts mean is package plan's to say.
package facts
