package encap

import "fmt"

// IPsec is how ESP is used.
type IPsec struct {
	Cipher    string // one of Ciphers; empty: DefaultCipher
	Transport bool   // no second IP header; false: tunnel mode
	NATT      bool   // within UDP (RFC 3948)
}

// DefaultCipher is what today's IKE daemons prefer.
const DefaultCipher = "aes-gcm"

// cipher is what an ESP algorithm adds, in bytes. Source: the RFCs that define its use
// in ESP, the cipher's before the integrity algorithm's.
type cipher struct {
	name string
	iv   int
	// align: payload, padding and their two bytes at the end fill blocks of so many
	// bytes; four at least (RFC 4303, 2.4).
	align int
	icv   int
}

var ciphers = []cipher{
	{"aes-gcm", 8, 4, 16},           // RFC 4106
	{"aes-gcm-12", 8, 4, 12},        // RFC 4106
	{"aes-gcm-8", 8, 4, 8},          // RFC 4106
	{"aes-ccm", 8, 4, 16},           // RFC 4309
	{"chacha20-poly1305", 8, 4, 16}, // RFC 7634
	{"aes-cbc-sha1", 16, 16, 12},    // RFC 3602, RFC 2404
	{"aes-cbc-sha256", 16, 16, 16},  // RFC 3602, RFC 4868
	{"aes-cbc-sha384", 16, 16, 24},  // RFC 3602, RFC 4868
	{"aes-cbc-sha512", 16, 16, 32},  // RFC 3602, RFC 4868
	{"aes-ctr-sha256", 8, 4, 16},    // RFC 3686, RFC 4868
	{"3des-cbc-sha1", 8, 8, 12},     // RFC 2451, RFC 2404
	{"null-sha1", 0, 4, 12},         // RFC 2410, RFC 2404
	{"null-sha256", 0, 4, 16},       // RFC 2410, RFC 4868
}

// Ciphers lists the names that IPsec takes.
func Ciphers() []string {
	var names []string
	for _, c := range ciphers {
		names = append(names, c.name)
	}
	return names
}

const (
	espHeader  = 8 // SPI and sequence number (RFC 4303)
	espTrailer = 2 // pad length and next header
)

// layer is the ESP layer on an MTU of room. What it leaves is the largest packet whose
// padded ESP still fits there. In transport mode that packet's own IP header stays
// outside and is the one on the wire.
func (s IPsec) layer(name string, room, family int) (Layer, error) {
	c, err := s.cipher()
	if err != nil {
		return Layer{}, err
	}
	var parts []Part
	if !s.Transport {
		parts = append(parts, outerHeader(family))
	}
	if s.NATT {
		parts = append(parts, Part{"UDP header", udp})
	}
	parts = append(parts, Part{"ESP SPI and sequence number", espHeader})
	if c.iv > 0 {
		parts = append(parts, Part{"IV", c.iv})
	}
	tail := []Part{{"pad length and next header", espTrailer}, {"ICV of " + c.name, c.icv}}

	// Room for payload, padding and trailer.
	blocks := room - newLayer("", parts).Bytes - c.icv
	if s.Transport {
		blocks -= ipHeader[family]
	}
	if unusable := blocks % c.align; unusable > 0 {
		parts = append(parts, Part{fmt.Sprintf("alignment to %d: bytes that cannot be used", c.align), unusable})
	}
	return newLayer(name, append(parts, tail...)), nil
}

func (s IPsec) cipher() (cipher, error) {
	if s.Cipher == "" {
		s.Cipher = DefaultCipher
	}
	for _, c := range ciphers {
		if c.name == s.Cipher {
			return c, nil
		}
	}
	return cipher{}, fmt.Errorf("no cipher %q: they are %s", s.Cipher, list(Ciphers()))
}
