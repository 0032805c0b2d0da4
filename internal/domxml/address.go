package domxml

import (
	"fmt"
	"strings"
)

// ParseUUID returns a UUID in its canonical form, lower case with four dashes. It
// takes 32 hexadecimal digits with dashes between any of the pairs, or none; a
// result is safe as a file name. libvirt takes white space in it too, which
// nothing but a hand-written <uuid> has; Parse trims that.
func ParseUUID(s string) (string, error) {
	const dashes = 1<<4 | 1<<6 | 1<<8 | 1<<10 // before these octets
	out := make([]byte, 0, 36)
	octets := 0
	for i := 0; i < len(s); {
		if s[i] == '-' && octets < 16 {
			i++
			continue
		}
		if octets == 16 || i+1 == len(s) || !isHex(s[i]) || !isHex(s[i+1]) {
			return "", malformedUUID(s)
		}
		if dashes>>octets&1 == 1 {
			out = append(out, '-')
		}
		out = append(out, lower(s[i]), lower(s[i+1]))
		octets++
		i += 2
	}
	if octets != 16 {
		return "", malformedUUID(s)
	}
	return string(out), nil
}

func malformedUUID(s string) error {
	return fmt.Errorf("uuid %s is malformed: it takes 32 hexadecimal digits", quote(s))
}

// parseMAC returns a MAC address in lower case with two digits an octet. It takes
// what libvirt takes (virMacAddrParse): six octets of one or two hexadecimal
// digits, colons between them.
func parseMAC(s string) (string, bool) {
	out := make([]byte, 0, 17)
	for octet := range 6 {
		digits, rest, more := strings.Cut(s, ":")
		if more != (octet < 5) {
			return "", false
		}
		if octet > 0 {
			out = append(out, ':')
		}
		switch {
		case len(digits) == 1 && isHex(digits[0]):
			out = append(out, '0', lower(digits[0]))
		case len(digits) == 2 && isHex(digits[0]) && isHex(digits[1]):
			out = append(out, lower(digits[0]), lower(digits[1]))
		default:
			return "", false
		}
		s = rest
	}
	return string(out), true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= lower(c) && lower(c) <= 'f'
}

// lower is for hexadecimal digits: it leaves 0-9 as they are.
func lower(c byte) byte { return c | 0x20 }
