package collect

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"virt-mtu/internal/host"
)

// form is how the kernel tells of one kind of tunnel: the numbers of its attributes
// in IFLA_INFO_DATA, 0 for what it has not.
type form struct {
	family        int // where no address says another
	bound         uint16
	local, remote [2]uint16 // IPv4, IPv6
	external      uint16
	oflags        uint16    // GRE's flags of what is sent
	flags         uint16    // IPv6 tunnels' flags
	wrap          [2]uint16 // what is put around it, and its flags
	erspan        uint16    // version of ERSPAN
	numbered      bool      // a sequence number is part of its fixed header
}

// What tunnels carry beyond the fixed part of their headers, or can do without, in bytes.
const (
	encapLimit = 8 // the option of ip6_tunnel and ip6_gre, with its padding (RFC 2473)
	greField   = 4 // checksum and sequence number each
	erspanV2   = 4 // its header is 12 bytes, that of version 1 is 8 (include/net/erspan.h)
	// noERSPAN: version 0, type I, has neither that header nor a sequence number
	// (erspan_tunnel_init, net/ipv4/ip_gre.c).
	noERSPAN = 8 + greField
	ethernet = 14
	fou      = 8       // a UDP header
	gue      = fou + 4 // and struct guehdr (include/net/gue.h)
	gueCsum  = 4 + 4   // GUE_LEN_PRIV, GUE_PLEN_REMCSUM
)

// forms by kind (include/uapi/linux/if_link.h, if_tunnel.h).
var forms = map[string]form{
	"vxlan": {
		family: 4, bound: unix.IFLA_VXLAN_LINK, external: unix.IFLA_VXLAN_COLLECT_METADATA,
		local:  [2]uint16{unix.IFLA_VXLAN_LOCAL, unix.IFLA_VXLAN_LOCAL6},
		remote: [2]uint16{unix.IFLA_VXLAN_GROUP, unix.IFLA_VXLAN_GROUP6},
	},
	"geneve": {
		family: 4, external: unix.IFLA_GENEVE_COLLECT_METADATA,
		remote: [2]uint16{unix.IFLA_GENEVE_REMOTE, unix.IFLA_GENEVE_REMOTE6},
	},
	"gre": gre(4), "gretap": gre(4), "erspan": erspan(4),
	"ip6gre": gre(6), "ip6gretap": gre(6), "ip6erspan": erspan(6),
	"ipip": ipTunnel(4), "sit": ipTunnel(4), "ip6tnl": ipTunnel(6),
	"wireguard": {family: 4}, // its peers say where it goes
}

func gre(family int) form {
	f := form{
		family: family, bound: nl.IFLA_GRE_LINK, external: nl.IFLA_GRE_COLLECT_METADATA, oflags: nl.IFLA_GRE_OFLAGS,
		local: [2]uint16{nl.IFLA_GRE_LOCAL}, remote: [2]uint16{nl.IFLA_GRE_REMOTE},
		wrap: [2]uint16{nl.IFLA_GRE_ENCAP_TYPE, nl.IFLA_GRE_ENCAP_FLAGS},
	}
	if family == 6 {
		f.flags = nl.IFLA_GRE_FLAGS
	}
	return f
}

func erspan(family int) form {
	const version = 22 // IFLA_GRE_ERSPAN_VER
	f := gre(family)
	f.numbered, f.erspan = true, version
	return f
}

func ipTunnel(family int) form {
	f := form{
		family: family, bound: nl.IFLA_IPTUN_LINK, external: nl.IFLA_IPTUN_COLLECT_METADATA,
		local: [2]uint16{nl.IFLA_IPTUN_LOCAL}, remote: [2]uint16{nl.IFLA_IPTUN_REMOTE},
		wrap: [2]uint16{nl.IFLA_IPTUN_ENCAP_TYPE, nl.IFLA_IPTUN_ENCAP_FLAGS},
	}
	if family == 6 {
		f.flags = nl.IFLA_IPTUN_FLAGS
	}
	return f
}

// tunnel is where a tunnel's packets go, before anybody asked by which link.
type tunnel struct {
	host.Tunnel
	local   netip.Addr
	bound   int // the link that its packets have to leave by, 0: any
	remotes []remote
}

// remote is a far end, and the link it has to be reached by where that is said of
// it alone.
type remote struct {
	address netip.Addr
	bound   int
}

func (f form) decode(data []byte) *tunnel {
	t := &tunnel{Tunnel: host.Tunnel{Family: f.family}}
	var wrap, wrapFlags uint16
	for attr, value := range attrs(data) {
		switch attr {
		case 0:
		case f.bound:
			t.bound = number(value)
		case f.local[0], f.local[1]:
			t.local = address(value)
		case f.remote[0], f.remote[1]:
			t.add(remote{address: address(value)})
		case f.external: // a flag, or for vxlan a byte
			t.External = len(value) == 0 || value[0] != 0
		case f.oflags:
			if len(value) == 2 {
				t.gre(binary.BigEndian.Uint16(value), f.numbered)
			}
		case f.flags:
			const ignore = 1 // IP6_TNL_F_IGN_ENCAP_LIMIT
			if len(value) == 4 && number(value)&ignore == 0 {
				t.OptionBytes += encapLimit
			}
		case f.wrap[0]:
			wrap = short(value)
		case f.wrap[1]:
			wrapFlags = short(value)
		case f.erspan:
			t.erspan(value)
		}
	}
	t.wrapped(wrap, wrapFlags)
	return t
}

// wrapped takes what is put around a tunnel's header (enum tunnel_encap_types,
// if_tunnel.h; fou_encap_hlen and gue_encap_hlen, net/ipv4/fou_core.c).
func (t *tunnel) wrapped(in, flags uint16) {
	const inNone, inFOU, inGUE, remoteChecksum = 0, 1, 2, 1 << 2
	switch in {
	case inNone:
	case inFOU:
		t.OptionBytes += fou
	case inGUE:
		t.OptionBytes += gue
		if flags&remoteChecksum != 0 {
			t.OptionBytes += gueCsum
		}
	default:
		t.Unsure = true
	}
}

// erspan takes the version of an ERSPAN tunnel. Without one it is 1.
func (t *tunnel) erspan(version []byte) {
	if len(version) != 1 {
		return
	}
	switch version[0] {
	case 0:
		t.OptionBytes -= noERSPAN
	case 1:
	case 2:
		t.OptionBytes += erspanV2
	default:
		t.Unsure = true
	}
}

// gre takes the flags of the header that a GRE tunnel sends (if_tunnel.h).
func (t *tunnel) gre(flags uint16, numbered bool) {
	const checksum, key, sequence = 0x8000, 0x2000, 0x1000
	t.Key = flags&key != 0
	if flags&checksum != 0 {
		t.OptionBytes += greField
	}
	if flags&sequence != 0 && !numbered {
		t.OptionBytes += greField
	}
}

// add adds a far end once; the zero address is none.
func (t *tunnel) add(r remote) {
	if r.address.IsValid() && !slices.Contains(t.remotes, r) {
		t.remotes = append(t.remotes, r)
	}
}

// resolve finds the links under each tunnel.
func resolve(links []link, routes *routes) {
	for i := range links {
		if l := &links[i]; l.tunnel != nil {
			l.Tunnel = l.tunnel.resolve(l.Away, routes)
		}
	}
}

// resolve is t with the links by which its packets leave. Of a tunnel whose underlay
// is in another network namespace nothing can be looked up here.
func (t *tunnel) resolve(away bool, routes *routes) *host.Tunnel {
	out := t.Tunnel
	if t.local.IsValid() {
		out.Local = t.local.String()
		out.Family = familyOf(t.local)
	}
	for _, r := range t.remotes {
		// Of peers with both families those with the longer header count.
		out.Family = max(out.Family, familyOf(r.address))
		if r.bound == 0 {
			r.bound = t.bound
		}
		if away {
			out.Remotes = append(out.Remotes, host.Remote{Address: r.address.String()})
			continue
		}
		out.Remotes = append(out.Remotes, routes.find(way{r.address, t.local, r.bound}))
	}
	if i := routes.at(t.bound); i >= 0 && len(t.remotes) == 0 && !away {
		out.Remotes = []host.Remote{{Underlay: routes.links[i].Name}}
	}
	return &out
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}
