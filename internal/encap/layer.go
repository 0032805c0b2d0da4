package encap

import "fmt"

// Part is some bytes of a layer, and what they are.
type Part struct {
	What  string `json:"what"`
	Bytes int    `json:"bytes"`
}

// Layer is one encapsulation: what it takes off the MTU below it. Bytes is the sum
// of its parts.
type Layer struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
	Parts []Part `json:"parts"`
}

func newLayer(name string, parts []Part) Layer {
	l := Layer{Name: name, Parts: parts}
	for _, p := range parts {
		l.Bytes += p.Bytes
	}
	return l
}

// MinMTU and MaxMTU are the smallest and the largest MTU that IPv4 knows (RFC 791).
const (
	MinMTU = 68
	MaxMTU = 65535
)

// VLANTag is an 802.1Q tag.
const VLANTag = 4

const (
	icmp     = 8 // an echo request's header, of both versions
	udp      = 8
	ethernet = 14
)

// ipHeader is the IP header by its version, without options or extension headers.
var ipHeader = map[int]int{4: 20, 6: 40}

// Ping is the largest ping payload (ping -s) that leaves unfragmented at an MTU, by
// IP version.
func Ping(mtu, family int) int { return mtu - ipHeader[family] - icmp }

func outerHeader(family int) Part {
	return Part{fmt.Sprintf("outer IPv%d header", family), ipHeader[family]}
}
