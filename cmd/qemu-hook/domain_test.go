package main

import (
	"fmt"
	"strings"
)

const uuid = "6f1d2c3a-8b4e-4d5f-9a60-000000000001"

// nic is a NIC of a domain. Its fields go into the XML as they are, so a test may
// put into them whatever it likes.
type nic struct {
	kind   string // bridge unless set
	mac    string
	source string // the attributes; bridge='br0' unless set
	port   string // <virtualport type=''>
	target string // <target dev=''>
	model  string // virtio unless set
	mtu    string // all of the element
}

func (n nic) String() string {
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	var b strings.Builder
	fmt.Fprintf(&b, "    <interface type='%s'>\n", or(n.kind, "bridge"))
	fmt.Fprintf(&b, "      <mac address='%s'/>\n", or(n.mac, "52:54:00:00:00:01"))
	fmt.Fprintf(&b, "      <source %s/>\n", or(n.source, "bridge='br0'"))
	if n.port != "" {
		fmt.Fprintf(&b, "      <virtualport type='%s'/>\n", n.port)
	}
	if n.target != "" {
		fmt.Fprintf(&b, "      <target dev='%s'/>\n", n.target)
	}
	fmt.Fprintf(&b, "      <model type='%s'/>\n", or(n.model, "virtio"))
	if n.mtu != "" {
		fmt.Fprintf(&b, "      %s\n", n.mtu)
	}
	b.WriteString("    </interface>\n")
	return b.String()
}

const (
	mtu9000 = "<mtu size='9000'/>"
	mtu1500 = "<mtu size='1500'/>"
)

// domain is the XML of the domain web1 with these NICs.
func domain(nics ...nic) string { return described("", nics...) }

// described is domain with something in its <metadata>.
func described(metadata string, nics ...nic) string {
	return named("web1", metadata, nics...)
}

func named(name, metadata string, nics ...nic) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<domain type='kvm'>\n  <name>%s</name>\n  <uuid>%s</uuid>\n", name, uuid)
	if metadata != "" {
		fmt.Fprintf(&b, "  <metadata>%s</metadata>\n", metadata)
	}
	b.WriteString("  <devices>\n")
	for _, n := range nics {
		b.WriteString(n.String())
	}
	b.WriteString("  </devices>\n</domain>\n")
	return b.String()
}

const ignored = "<m:domain xmlns:m='urn:virt-mtu:policy:1' mtu='ignore'/>"

// A bridge that carries 9000 as its wire does, with a tap that does not yet: what
// a guest without <mtu> finds whose bridge was raised after libvirt made the tap.
// The bridge is set, not left to follow its ports.
const jumbo = `
	link add br0 type bridge
	link add up0 mtu 9000 type veth peer name wire0
	link set up0 master br0
	tuntap add vnet0 mode tap
	link set vnet0 master br0
	link set br0 mtu 9001
	link set br0 mtu 9000`

// A bridge that follows its ports, and then its guest's tap.
const (
	auto = `
	link add br0 type bridge
	link add up0 mtu 9000 type veth peer name wire0
	link set up0 master br0`
	dragging = `
	tuntap add vnet0 mode tap
	link set vnet0 master br0`
)
