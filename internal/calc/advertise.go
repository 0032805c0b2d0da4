package calc

import "fmt"

// Line is what goes into the config of something that tells guests their MTU. Where
// nothing can, Line is empty and Why says why.
type Line struct {
	For  string `json:"for"`
	Line string `json:"line"`
	Why  string `json:"why"`
}

// minIPv6 is the smallest MTU of a link that carries IPv6 (RFC 8200, 5). Hosts pass
// over a router's MTU option below it (RFC 4861, 6.3.4).
const minIPv6 = 1280

// advertisers are those that have a line for it.
var advertisers = []struct {
	name   string
	format string
	least  int // the smallest MTU that may be told so
}{
	{"dnsmasq", "dhcp-option=option:mtu,%d", 0}, // DHCP option 26 (RFC 2132)
	{"radvd", "AdvLinkMTU %d;", minIPv6},
	{"libvirt network", "<mtu size='%d'/>", 0},
}

// Advertised returns the lines that tell guests an MTU.
func Advertised(mtu int) []Line {
	lines := []Line{}
	for _, a := range advertisers {
		l := Line{For: a.name}
		switch {
		case mtu == 0:
			l.Why = "no MTU is known"
		case mtu < a.least:
			l.Why = fmt.Sprintf("IPv6 needs %d at least (RFC 8200), and this is %d", a.least, mtu)
		default:
			l.Line = fmt.Sprintf(a.format, mtu)
		}
		lines = append(lines, l)
	}
	return lines
}
