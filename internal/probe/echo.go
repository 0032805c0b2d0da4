package probe

import (
	"bytes"
	"encoding/binary"
)

// The types of an echo, by IP version (RFC 792, RFC 4443).
var (
	echoRequest = map[int]byte{4: 8, 6: 128}
	echoReply   = map[int]byte{4: 0, 6: 129}
)

// Headers without options, in bytes.
const (
	ipv4Header = 20
	ipv6Header = 40
	icmpHeader = 8
)

var ipHeader = map[int]int{4: ipv4Header, 6: ipv6Header}

// cookieLen is how many bytes an echo carries that nobody else knows.
const cookieLen = 16

// echo is what tells our packets from others'.
type echo struct {
	family int
	id     uint16
	cookie [cookieLen]byte
}

// request returns the ICMP message of an IP packet of size bytes. Over IPv6 its checksum
// is left to the kernel.
func (e *echo) request(size int, seq uint16) []byte {
	b := make([]byte, size-ipHeader[e.family])
	b[0] = echoRequest[e.family]
	binary.BigEndian.PutUint16(b[4:], e.id)
	binary.BigEndian.PutUint16(b[6:], seq)
	copy(b[icmpHeader:], e.cookie[:])
	if e.family == 4 {
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

// reply reads an ICMP message. It returns which request it answers, with all that the
// request carried.
func (e *echo) reply(b []byte) (seq uint16, size int, ok bool) {
	if len(b) < icmpHeader || b[0] != echoReply[e.family] || b[1] != 0 {
		return 0, 0, false
	}
	seq, ok = e.ours(b)
	payload := b[icmpHeader:]
	if !ok || len(payload) < cookieLen || !bytes.Equal(payload[:cookieLen], e.cookie[:]) {
		return 0, 0, false
	}
	return seq, len(b) + ipHeader[e.family], true
}

// quoted reads what an ICMP error quotes of our request, from its ICMP header on. A
// router need not quote more than that (RFC 792).
func (e *echo) quoted(b []byte) (seq uint16, ok bool) {
	if len(b) < icmpHeader || b[0] != echoRequest[e.family] {
		return 0, false
	}
	if more := b[icmpHeader:]; !bytes.HasPrefix(e.cookie[:], more[:min(len(more), cookieLen)]) {
		return 0, false
	}
	return e.ours(b)
}

func (e *echo) ours(b []byte) (seq uint16, ok bool) {
	return binary.BigEndian.Uint16(b[6:]), binary.BigEndian.Uint16(b[4:]) == e.id
}

// packet4 puts an IPv4 header before an ICMP message to addr, with "don't fragment". The
// kernel fills in the source, the length and the checksum (raw(7)).
func packet4(addr [4]byte, message []byte) []byte {
	const df, ttl, icmp = 0x40, 64, 1
	b := make([]byte, ipv4Header, ipv4Header+len(message))
	b[0], b[6], b[8], b[9] = 0x45, df, ttl, icmp
	copy(b[16:], addr[:])
	return append(b, message...)
}

// unwrap4 takes the IPv4 header off; nil: there is no whole one.
func unwrap4(b []byte) []byte {
	if len(b) < ipv4Header || b[0]>>4 != 4 {
		return nil
	}
	n := int(b[0]&15) * 4
	if n < ipv4Header || len(b) < n {
		return nil
	}
	return b[n:]
}

func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
