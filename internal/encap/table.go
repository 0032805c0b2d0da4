package encap

import (
	"fmt"
	"slices"
)

// shape is what a layer needs below it, and what it carries.
type shape int

const (
	packets shape = iota // of IP; Ethernet carries them too
	frames               // of Ethernet
)

// proto is a row of the table of encapsulations.
type proto struct {
	name  string
	about string
	// on is what it needs below, gives what it carries.
	on, gives shape
	// outer are the IP versions that its packets may go over; none: they have no IP
	// header of their own.
	outer []int
	// inner are the IP versions that it carries; none: both.
	inner []int
	// limited: over IPv6, Linux's device for it carries an encapsulation limit.
	limited bool
	// headers are its own, between the outer IP header and what it carries.
	headers []Part
	// tags is how many 802.1Q tags it adds. They depend on what lies below: tags.go.
	tags int
	// esp: by cipher and mode: esp.go.
	esp bool
	// device: only devices are made so, calc has no name for it.
	device bool
	// bare is the row of the same without its last headers, which some devices leave
	// out.
	bare string
}

var (
	either = []int{4, 6}

	vxlan     = []Part{{"UDP header", udp}, {"VXLAN header", 8}}
	greHeader = Part{"GRE header", 4} // RFC 2784
	greKey    = Part{"GRE key", 4}    // RFC 2890
	// net/ipv6/ip6_tunnel.c, ip6_gre.c: the option (RFC 2473, 4.1.1) in a destination
	// options header, padded to 8.
	encapLimit = Part{"encapsulation limit option", 8}
)

var protos = []proto{
	{name: "vlan", about: "802.1Q; the NIC carries a first tag beyond its MTU", on: frames, gives: frames, tags: 1},
	{name: "qinq", about: "a second tag, and the first where no vlan is below", on: frames, gives: frames, tags: 2},
	{name: "vxlan", about: "Ethernet in UDP (RFC 7348)", gives: frames, outer: either,
		headers: vxlan, bare: "vxlan-ip"},
	{name: "gre", about: "Ethernet in GRE with a key: gretap, OVS, neutron", gives: frames, outer: either,
		limited: true, headers: []Part{greHeader, greKey}, bare: "gre-ip-key"},
	{name: "gre-nokey", about: "the same without a key", gives: frames, outer: either,
		limited: true, headers: []Part{greHeader}, bare: "gre-ip"},
	{name: "geneve", about: "Ethernet in UDP (RFC 8926), without options", gives: frames, outer: either,
		headers: []Part{{"UDP header", udp}, {"Geneve header", 8}}},
	{name: "geneve-ovn", about: "the same with the option that OVN puts in", gives: frames, outer: either,
		headers: []Part{{"UDP header", udp}, {"Geneve header", 8}, {"Geneve option of OVN", 8}}},
	{name: "ipip", about: "IP in IP (RFC 2003, RFC 2473)", outer: either, limited: true},
	{name: "sit", about: "IPv6 in IPv4 (RFC 4213)", outer: []int{4}, inner: []int{6}},
	// drivers/net/wireguard/messages.h: data messages are padded to 16 bytes, but
	// never beyond the device's MTU.
	{name: "wireguard", about: "IP in WireGuard", outer: either,
		headers: []Part{{"UDP header", udp}, {"WireGuard header", 16}, {"WireGuard authentication tag", 16}}},
	{name: "pppoe", about: "PPP over Ethernet (RFC 2516)", on: frames,
		headers: []Part{{"PPPoE header", 6}, {"PPP protocol", 2}}},
	{name: "macsec", about: "802.1AE; the tag with its SCI", on: frames, gives: frames,
		headers: []Part{{"MACsec tag with SCI", 16}, {"MACsec ICV", 16}}},
	{name: "ipsec", about: "ESP (RFC 4303): --cipher, --mode, --nat-t", esp: true, outer: either},

	// With exts=gpe and packet_type=legacy_l3 (draft-ietf-nvo3-vxlan-gpe).
	{name: "vxlan-ip", device: true, outer: either, headers: vxlan},
	{name: "gre-ip", device: true, outer: either, headers: []Part{greHeader}},
	{name: "gre-ip-key", device: true, outer: either, headers: []Part{greHeader, greKey}},
	// include/net/erspan.h: version 1, the default. Version 2 has four bytes more, and
	// type I ("version 0") has only GRE's header.
	{name: "erspan", device: true, gives: frames, outer: either,
		headers: []Part{greHeader, {"GRE sequence number", 4}, {"ERSPAN header", 8}}, bare: "gre-nokey"},
}

// Limited lists the layers that Options.EncapLimit is for.
func Limited() []string {
	var names []string
	for _, p := range protos {
		if p.limited {
			names = append(names, p.name)
		}
	}
	return names
}

// Carries tells whether what is put onto layers may be of an IP version.
func Carries(layers []Layer, family int) bool {
	if len(layers) == 0 {
		return true
	}
	p, _ := lookup(layers[len(layers)-1].Name)
	return p.carries(family)
}

func (p proto) carries(family int) bool {
	return p.inner == nil || slices.Contains(p.inner, family)
}

func lookup(name string) (proto, bool) {
	for _, p := range protos {
		if p.name == name {
			return p, true
		}
	}
	return proto{}, false
}

// layer is a tunnel's or another layer's whose cost does not depend on its place.
// options are carried beyond its fixed headers.
func (p proto) layer(family, options int) Layer {
	var parts []Part
	if p.outer != nil {
		parts = append(parts, outerHeader(family))
	}
	parts = append(parts, p.headers...)
	if options > 0 {
		parts = append(parts, Part{"options", options})
	}
	if p.outer != nil && p.gives == frames {
		parts = append(parts, Part{"inner Ethernet header", ethernet})
	}
	return newLayer(p.name, parts)
}

// Info describes a layer for people.
type Info struct {
	Name  string
	Cost  string // bytes; two numbers: over IPv4 and over IPv6
	About string
}

// Table lists the layers that Stack takes.
func Table() []Info {
	var all []Info
	for _, p := range protos {
		if !p.device {
			all = append(all, Info{p.name, p.cost(), p.about})
		}
	}
	return all
}

func (p proto) cost() string {
	switch {
	case p.tags > 0:
		return fmt.Sprintf("%d or %d", (p.tags-1)*VLANTag, p.tags*VLANTag)
	case p.esp:
		return "by cipher"
	case len(p.outer) == 2:
		return fmt.Sprintf("%d/%d", p.layer(4, 0).Bytes, p.layer(6, 0).Bytes)
	}
	return fmt.Sprint(p.layer(4, 0).Bytes)
}
