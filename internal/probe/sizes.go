package probe

// size is an MTU that is met in the field.
type size struct {
	mtu    int
	weight int // how often, in no unit
}

// Sizes below the floor are no MTU of IPv4 (RFC 791), and too small for an answer that
// can be told from another's: see cookieLen. IPv6 has no MTU below 1280 (RFC 8200), but
// what is below it can be found, and then says what is wrong.
const (
	floor   = 68
	ceiling = 65535
)

// common are the MTUs that are met, in order. Search tries them before it halves what
// is left between two of them.
var common = []size{
	{floor, 2},
	{576, 3},  // X.25 (RFC 1191); what every IPv4 host takes (RFC 1122)
	{1280, 6}, // the least of IPv6 (RFC 8200)
	{1350, 2},
	{1380, 2},
	{1390, 3},  // VXLAN in WireGuard over IPv4
	{1400, 6},  // IPsec, rounded
	{1412, 2},  // WireGuard in PPPoE
	{1420, 6},  // WireGuard
	{1422, 4},  // Geneve of OVN over IPv6
	{1430, 4},  // VXLAN over IPv6
	{1438, 2},  // GRE with Ethernet and key over IPv6
	{1440, 4},  // WireGuard over IPv4
	{1442, 6},  // Geneve of OVN
	{1450, 10}, // VXLAN, Geneve
	{1454, 2},  // PPPoE of NTT
	{1458, 4},  // GRE with Ethernet and key
	{1460, 4},  // Google Cloud
	{1462, 3},  // GRE with Ethernet
	{1468, 3},  // MACsec
	{1476, 4},  // GRE
	{1480, 4},  // IPIP, 6in4
	{1492, 6},  // PPPoE
	{1496, 5},  // 802.1Q on a link that does not count the tag
	{1500, 12},
	{1504, 5}, // a tap of 1500: a Linux bridge leaves room for a tag (__is_skb_forwardable)
	{2002, 2},
	{2044, 3}, // IPoIB, datagram mode
	{4096, 2}, // 8139cp
	{8500, 2}, // transit gateways of AWS
	{8896, 3}, // Google Cloud
	{8920, 3}, // WireGuard, all of these on 9000
	{8930, 2}, // VXLAN over IPv6
	{8942, 5}, // Geneve of OVN
	{8950, 8}, // VXLAN, Geneve
	{8958, 2}, // GRE with Ethernet and key
	{8996, 3}, // 802.1Q on a link that does not count the tag
	{9000, 12},
	{9001, 4}, // AWS
	{9004, 4}, // a tap of 9000, as above
	{9212, 2}, // e1000e
	{9216, 6}, // switches
	{9600, 2},
	{65520, 3}, // IPoIB, connected mode
	{ceiling, 2},
}

// known reports whether an MTU is one of common.
func known(mtu int) bool {
	for _, s := range common {
		if s.mtu == mtu {
			return true
		}
	}
	return false
}

// likeliest returns the most common MTU from lo to below hi; 0: there is none.
func likeliest(lo, hi int) int {
	var best size
	for _, s := range common {
		if s.mtu >= lo && s.mtu < hi && s.weight > best.weight {
			best = s
		}
	}
	return best.mtu
}

// split returns the one of common between lo and hi, both excluded, of which it is most
// open whether the limit lies below it: a size gets through where the limit is not
// below. 0: there is none.
func split(lo, hi int) int {
	total := 0
	for _, s := range common {
		if s.mtu >= lo && s.mtu < hi {
			total += s.weight
		}
	}
	best, least, below := 0, 0, 0
	for _, s := range common {
		if s.mtu < lo || s.mtu >= hi {
			continue
		}
		if d := abs(total - 2*below); s.mtu > lo && (best == 0 || d < least) {
			best, least = s.mtu, d
		}
		below += s.weight
	}
	return best
}

func abs(n int) int { return max(n, -n) }
