package encap

import "slices"

// device is a kind of tunnel device and its row in the table.
type device struct {
	kind  string
	plain string
	keyed string // with a key; empty: a key changes nothing
	// family of its outer header where the kind has only one; 0: the caller knows.
	family int
}

// kernel are the kinds of rtnetlink (IFLA_INFO_KIND).
var kernel = []device{
	{kind: "vxlan", plain: "vxlan"},
	{kind: "geneve", plain: "geneve"},
	{kind: "gretap", plain: "gre-nokey", keyed: "gre", family: 4},
	{kind: "ip6gretap", plain: "gre-nokey", keyed: "gre", family: 6},
	{kind: "erspan", plain: "erspan", family: 4},
	{kind: "ip6erspan", plain: "erspan", family: 6},
	{kind: "gre", plain: "gre-ip", keyed: "gre-ip-key", family: 4},
	{kind: "ip6gre", plain: "gre-ip", keyed: "gre-ip-key", family: 6},
	{kind: "ipip", plain: "ipip", family: 4},
	{kind: "sit", plain: "sit", family: 4},
	{kind: "ip6tnl", plain: "ipip", family: 6},
	{kind: "wireguard", plain: "wireguard"},
	{kind: "macsec", plain: "macsec"},
}

// ovs are the types of Open vSwitch's interfaces. Its gre carries Ethernet, where the
// kernel's carries IP.
var ovs = []device{
	{kind: "vxlan", plain: "vxlan"},
	{kind: "geneve", plain: "geneve"},
	{kind: "gre", plain: "gre-nokey", keyed: "gre"},
	{kind: "ip6gre", plain: "gre-nokey", keyed: "gre", family: 6},
	{kind: "erspan", plain: "erspan"},
	{kind: "ip6erspan", plain: "erspan", family: 6},
}

// Tunnel is what a device of the kernel's takes off its underlay's MTU: kind as
// rtnetlink names it; key: it is a GRE tunnel whose packets carry one; family of the
// outer header, 4 or 6, which is not looked at where the kind has only one;
// optionBytes: what its packets carry beyond their fixed headers, as 8 in OVN's
// Geneve, 8 of the encapsulation limit that the kernel's ip6 tunnels have unless it is
// "none", 4 in ERSPAN version 2; less than 0 where they lack some of the fixed headers:
// -12 in ERSPAN type I, -14 where Open vSwitch's gre carries no Ethernet. False: it is
// not known.
func Tunnel(kind string, key bool, family, optionBytes int) (Layer, bool) {
	return tunnel(kernel, kind, key, family, optionBytes)
}

// OVSTunnel is the same for a type of Open vSwitch's interfaces.
func OVSTunnel(kind string, key bool, family, optionBytes int) (Layer, bool) {
	return tunnel(ovs, kind, key, family, optionBytes)
}

func tunnel(devices []device, kind string, key bool, family, optionBytes int) (Layer, bool) {
	i := slices.IndexFunc(devices, func(d device) bool { return d.kind == kind })
	if i < 0 {
		return Layer{}, false
	}
	d := devices[i]
	row := d.plain
	if key && d.keyed != "" {
		row = d.keyed
	}
	if d.family != 0 {
		family = d.family
	}
	p, ok := lookup(row)
	if !ok || p.outer != nil && !slices.Contains(p.outer, family) {
		return Layer{}, false
	}
	if optionBytes < 0 {
		bare, ok := lookup(p.bare)
		optionBytes += p.layer(family, 0).Bytes - bare.layer(family, 0).Bytes
		if !ok || optionBytes < 0 {
			return Layer{}, false
		}
		p = bare
	}
	l := p.layer(family, optionBytes)
	l.Name = kind
	return l, true
}
