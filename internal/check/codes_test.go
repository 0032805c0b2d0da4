package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
	"virt-mtu/internal/policy"
)

// links reads "name kind mtu [word=value]...", a line each; kind tap is a tap, a word
// alone is a flag.
func links(t testing.TB, text string) []host.Link {
	t.Helper()
	var out []host.Link
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		l := host.Link{Name: words[0], Kind: words[1], Index: len(out) + 1}
		if _, err := fmt.Sscan(words[2], &l.MTU); err != nil {
			t.Fatal(err)
		}
		if l.Kind == "tap" {
			l.Kind, l.Tap = "tun", true
		}
		for _, w := range words[3:] {
			key, value, _ := strings.Cut(w, "=")
			switch key {
			case "master":
				l.Master = value
			case "lower":
				l.Lower = value
			case "peer":
				l.Peer = value
			case "away":
				l.Away = true
			case "over": // underlay, by IPv4; over6 by IPv6
				l.Tunnel = &host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "192.0.2.9", Underlay: value}}}
			case "over6":
				l.Tunnel = &host.Tunnel{Family: 6, Remotes: []host.Remote{{Address: "2001:db8::9", Underlay: value}}}
			case "manager":
				l.Manager = value
			default:
				t.Fatalf("unknown word %q", w)
			}
		}
		out = append(out, l)
	}
	return out
}

const mac = "52:54:00:00:00:01"

// nicXML is an <interface> of a type on a source.
func nicXML(typ, source, model, rest string) string {
	return "<interface type='" + typ + "'><mac address='" + mac + "'/><source " + source + "/><model type='" + model + "'/>" + rest + "</interface>"
}

func domainXML(devices string) string {
	return "<domain><name>web1</name><uuid>6f1d2c3a-8b4e-4d5f-9a60-000000000001</uuid><devices>" + devices + "</devices></domain>"
}

func mtuXML(mtu int) string { return fmt.Sprintf("<mtu size='%d'/>", mtu) }

// running is a domain whose definition lacks no more than the tap of what runs.
func running(live string) facts.Domain {
	defined := strings.ReplaceAll(live, "<target dev='vnet0'/>", "")
	return facts.Domain{Name: "web1", State: "running", PersistentXML: domainXML(defined), LiveXML: domainXML(live)}
}

const tap0 = "<target dev='vnet0'/>"

func bridged(model, rest string) facts.Domain {
	return running(nicXML("bridge", "bridge='br0'", model, tap0+rest))
}

// ovs is one bridge ovs0 with its ports "name type mtu [word=value]...".
func ovs(t *testing.T, text string) *host.OVS {
	t.Helper()
	b := host.OVSBridge{Name: "ovs0", Datapath: "netdev"}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		x := host.OVSInterface{Name: words[0], Type: words[1]}
		if _, err := fmt.Sscan(words[2], &x.MTU); err != nil {
			t.Fatal(err)
		}
		for _, w := range words[3:] {
			key, value, _ := strings.Cut(w, "=")
			switch key {
			case "over":
				x.Tunnel = &host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "192.0.2.9", Underlay: value}}}
			case "socket":
				x.Socket = value
			case "errors":
				fmt.Sscan(value, &x.TxErrors)
			default:
				t.Fatalf("unknown word %q", w)
			}
		}
		b.Ports = append(b.Ports, host.OVSPort{Name: x.Name, Interfaces: []host.OVSInterface{x}})
	}
	return &host.OVS{Bridges: []host.OVSBridge{b}}
}

const ovsNIC = "<virtualport type='openvswitch'/>"

// Every code that one host can show, and what must not show one.
func TestCodes(t *testing.T) {
	jumbo := "br0 bridge 9000\neth0 ixgbe 9000 master=br0\nvnet0 tap 9000 master=br0\n"
	for _, tt := range []struct {
		name   string
		links  string
		domain facts.Domain
		change func(*facts.Facts)
		status finding.Severity
		codes  string // in the order of the report
		why    string
		remedy string
	}{
		{name: "right", links: jumbo, domain: bridged("virtio", mtuXML(9000)), status: "ok"},
		{name: "standard", links: strings.ReplaceAll(jumbo, "9000", "1500"), domain: bridged("virtio", ""), status: "ok"},

		{name: "guest above an uplink", links: "br0 bridge 1500\neth0 ixgbe 1500 master=br0\nvnet0 tap 9000 master=br0", domain: bridged("virtio", mtuXML(9000)),
			status: "critical", codes: "guest-above-segment", why: "the guest has 9000, but uplink eth0 of bridge br0 has 1500"},
		{name: "guest above a bridge without uplinks", links: "br0 bridge 1500\nvnet0 tap 9000 master=br0", domain: bridged("virtio", mtuXML(9000)),
			status: "critical", codes: "guest-above-bridge"},
		{name: "guest above a bridge whose uplinks are unknown", links: "br0 bridge 1500\nvx0 vxlan 0 master=br0\nvnet0 tap 9000 master=br0", domain: bridged("virtio", mtuXML(9000)),
			status: "critical", codes: "guest-above-bridge not-known"},
		{name: "guest at the wire, bridge alone below", links: "br0 bridge 1500\neth0 ixgbe 9000 master=br0\nvnet0 tap 9000 master=br0", domain: bridged("virtio", mtuXML(9000)),
			status: "warning", codes: "bridge-below-uplink"},
		{name: "guest said more than its segment", links: strings.ReplaceAll(jumbo, "9000", "1500"), domain: bridged("virtio", ""),
			change: func(f *facts.Facts) { f.Domains[0].Guests = []facts.Guest{{MAC: mac, MTU: 9000}} },
			status: "critical", codes: "guest-above-segment", remedy: "inside the guest"},

		{name: "overlay above its underlay", links: "eth0 ixgbe 1500 manager=netplan\nbr0 bridge 1500\nvx0 vxlan 1500 master=br0 over=eth0\nvnet0 tap 1500 master=br0", domain: bridged("virtio", mtuXML(1450)),
			status: "critical", codes: "overlay-above-underlay", why: "carries only 1450", remedy: "netplan set ethernets.eth0.mtu=1550"},
		{name: "overlay at its underlay", links: "eth0 ixgbe 1500\nbr0 bridge 1450\nvx0 vxlan 1450 master=br0 over=eth0\nvnet0 tap 1450 master=br0", domain: bridged("virtio", mtuXML(1450)), status: "ok"},
		{name: "overlay by IPv6", links: "eth0 ixgbe 1500\nbr0 bridge 1450\nvx0 vxlan 1450 master=br0 over6=eth0\nvnet0 tap 1450 master=br0", domain: bridged("virtio", mtuXML(1430)),
			status: "critical", codes: "overlay-above-underlay", why: "less 70 for vxlan over IPv6"},
		{name: "overlay in an overlay", links: "eth0 ixgbe 1500\nwg0 wireguard 1440 over=eth0\nbr0 bridge 1400\nvx0 vxlan 1400 master=br0 over=wg0\nvnet0 tap 1400 master=br0", domain: bridged("virtio", mtuXML(1390)),
			status: "critical", codes: "overlay-above-underlay", why: "carries only 1390"},
		{name: "QinQ", links: "eth0 ixgbe 1500\neth0.10 vlan 1500 lower=eth0\neth0.10.20 vlan 1500 lower=eth0.10 master=br0\nbr0 bridge 1500\nvnet0 tap 1500 master=br0", domain: bridged("virtio", mtuXML(1496)),
			status: "critical", codes: "overlay-above-underlay", why: "no room for another VLAN tag beyond 1496"},
		{name: "one VLAN tag is free", links: "eth0 ixgbe 1500\neth0.10 vlan 1500 lower=eth0 master=br0\nbr0 bridge 1500\nvnet0 tap 1500 master=br0", domain: bridged("virtio", ""), status: "ok"},
		{name: "a VLAN inside VXLAN is not", links: "eth0 ixgbe 1500\nvx0 vxlan 1450 over=eth0\nvx0.10 vlan 1450 lower=vx0 master=br0\nbr0 bridge 1450\nvnet0 tap 1450 master=br0", domain: bridged("virtio", mtuXML(1446)),
			status: "critical", codes: "overlay-above-underlay", why: "beyond 1446"},
		{name: "a bond's member lowered", links: "bond0 bond 9000 master=br0\neth0 ixgbe 9000 master=bond0\neth1 ixgbe 1500 master=bond0\nbr0 bridge 9000\nvnet0 tap 9000 master=br0", domain: bridged("virtio", mtuXML(9000)),
			status: "critical", codes: "guest-above-segment peer-mismatch", why: "eth1 of bond bond0 has 1500"},

		{name: "what lies under a VLAN is raised before it", links: "bond0 bond 1500\neth0 ixgbe 1500 master=bond0\nbond0.100 vlan 1500 lower=bond0\nbr0 bridge 1500\nvx0 vxlan 1500 master=br0 over=bond0.100\nvnet0 tap 1500 master=br0", domain: bridged("virtio", mtuXML(1450)),
			status: "critical", codes: "overlay-above-underlay", remedy: "# ip link set dev bond0 mtu 1550\n# # to last: mtu 1550 for bond0, where this host configures its links\n# ip link set dev bond0.100 mtu 1550"},
		{name: "a tunnel in a tunnel is raised from the wire", links: "eth0 ixgbe 1500\nwg0 wireguard 1420 over=eth0\nbr0 bridge 1400\nvx0 vxlan 1400 master=br0 over=wg0\nvnet0 tap 1400 master=br0", domain: bridged("virtio", mtuXML(1370)),
			status: "critical", codes: "overlay-above-underlay", remedy: "# ip link set dev eth0 mtu 1510"},
		{name: "a bound is no reason to say that a bridge is low", links: "eth0 ixgbe 1500\nbr0 bridge 1450\nvx0 vxlan 1500 master=br0\nvnet0 tap 1450 master=br0", domain: bridged("virtio", mtuXML(1450)), status: "unknown", codes: "not-known"},
		{name: "e1000 with more than gets through", links: strings.ReplaceAll(jumbo, "9000", "1500"), domain: bridged("e1000", mtuXML(9000)), status: "ok"},
		{name: "several NICs are not set to one number", links: "br0 bridge 1500\neth0 ixgbe 1500 master=br0\nvnet0 tap 9000 master=br0", status: "critical", codes: "guest-above-segment", remedy: "virsh edit web1 # <mtu size='1500'/> for the NIC with " + mac,
			domain: running(nicXML("bridge", "bridge='br0'", "virtio", tap0+mtuXML(9000)) + "<interface type='user'><mac address='52:54:00:00:00:99'/><model type='virtio'/></interface>")},
		{name: "fix would leave it alone", links: jumbo, domain: running("<interface type='bridge'><mac address='" + mac + "'/><source bridge='br0'/>" + tap0 + "</interface>"), status: "warning", codes: "guest-not-told", remedy: "# fix leaves it alone: it has no <model>"},
		{name: "an ignored macvtap", links: "eth0 ixgbe 9000\nvnet0 macvtap 9000 lower=eth0", status: "ok",
			domain: facts.Domain{Name: "web1", PersistentXML: "<domain><name>web1</name><metadata><m:domain xmlns:m='urn:virt-mtu:policy:1' mtu='ignore'/></metadata><devices>" + nicXML("direct", "dev='eth0' mode='bridge'", "virtio", "") + "</devices></domain>"}},
		{name: "containers of any size", links: jumbo + "cni0 bridge 9000\nc1 veth 1500 master=cni0 away\nc2 veth 9000 master=cni0 away\n", domain: bridged("virtio", mtuXML(9000)), status: "ok"},
		{name: "an OVS port limits where there is no uplink", links: "ovs0 tun 9000\nvnet0 tap 1500", status: "critical", codes: "ovs-port-limits",
			domain: running(nicXML("bridge", "bridge='ovs0'", "virtio", ovsNIC+tap0+mtuXML(9000))),
			change: func(f *facts.Facts) { f.OVS = ovs(t, "ovs0 internal 9000\nvnet0 system 1500") }},
		{name: "what OVS holds it has to set itself", links: "eth0 ixgbe 1500\novs0 tun 9000\nvnet0 tap 9000", status: "critical", codes: "bridge-above-uplink guest-above-segment", remedy: "ovs-vsctl set interface ovs0 mtu_request=1500",
			domain: running(nicXML("bridge", "bridge='ovs0'", "virtio", ovsNIC+tap0+mtuXML(9000))),
			change: func(f *facts.Facts) { f.OVS = ovs(t, "ovs0 internal 9000\neth0 system 1500\nvnet0 system 9000") }},
		{name: "bridge above its uplink", links: "br0 bridge 9000\neth0 ixgbe 1500 master=br0 manager=ifupdown\nvnet0 tap 9000 master=br0", domain: bridged("virtio", mtuXML(1500)),
			status: "critical", codes: "bridge-above-uplink", remedy: "ip link set dev eth0 mtu 9000\n# to last: below `iface eth0 inet ...` in /etc/network/interfaces: mtu 9000"},
		{name: "uplinks disagree", links: "br0 bridge 1500\neth0 ixgbe 9000 master=br0\neth1 ixgbe 1500 master=br0\nvnet0 tap 1500 master=br0", domain: bridged("virtio", ""),
			status: "warning", codes: "peer-mismatch", why: "eth1 carries 1500 and eth0 9000"},
		{name: "tap below its bridge", links: "br0 bridge 9000\neth0 ixgbe 9000 master=br0\nvnet0 tap 1500 master=br0", domain: bridged("virtio", mtuXML(1500)),
			status: "warning", codes: "tap-below-bridge", remedy: "ip link set dev vnet0 mtu 9000"},
		{name: "tap on another bridge", links: jumbo + "br1 bridge 9000\n", domain: running(nicXML("bridge", "bridge='br1'", "virtio", tap0+mtuXML(9000))),
			status: "warning", codes: "bridge-missing", why: "vnet0 is not a port of br1"},

		{name: "model cannot carry", links: jumbo, domain: bridged("rtl8139", ""),
			status: "critical", codes: "model-cannot-carry", why: "model rtl8139 carries at most 1500, but bridge br0 has 9000", remedy: "<model type='virtio'/>"},
		{name: "model cannot carry its <mtu>", links: jumbo, domain: bridged("e1000e", mtuXML(9500)), status: "critical", codes: "model-cannot-carry"},
		{name: "nobody tells", links: jumbo, domain: bridged("virtio", ""), status: "warning", codes: "guest-not-told", remedy: "virt-mtu fix web1"},
		{name: "e1000 is told nothing", links: jumbo, domain: bridged("e1000", mtuXML(9000)), status: "warning", codes: "guest-not-told", why: "its <mtu> of 9000 is for the tap alone"},
		{name: "e1000 that was set inside", links: jumbo, domain: bridged("e1000", mtuXML(9000)), status: "ok",
			change: func(f *facts.Facts) { f.Domains[0].Guests = []facts.Guest{{MAC: mac, MTU: 9000}} }},
		{name: "nobody tells, and who asked to be left alone", links: jumbo, status: "ok",
			domain: facts.Domain{Name: "web1", PersistentXML: "<domain><name>web1</name><metadata><m:domain xmlns:m='urn:virt-mtu:policy:1' mtu='ignore'/></metadata><devices>" + nicXML("bridge", "bridge='br0'", "virtio", "") + "</devices></domain>"}},
		{name: "waits for the guest", links: jumbo, domain: bridged("virtio", mtuXML(9000)), status: "ok", codes: "waits-for-guest", remedy: "mtu 9000",
			change: func(f *facts.Facts) { f.Domains[0].Guests = []facts.Guest{{MAC: mac, MTU: 1500}} }},

		{name: "needs a cold start", links: jumbo, domain: bridged("virtio", ""), status: "warning", codes: "needs-cold-start", why: "it runs with no <mtu>",
			change: func(f *facts.Facts) {
				f.Domains[0].PersistentXML = domainXML(nicXML("bridge", "bridge='br0'", "virtio", mtuXML(9000)))
			}},
		{name: "a saved image keeps the old", links: jumbo, status: "warning", codes: "needs-cold-start", remedy: "virsh managedsave-remove web1",
			domain: facts.Domain{Name: "web1", State: "shut off", PersistentXML: domainXML(nicXML("bridge", "bridge='br0'", "virtio", mtuXML(9000))), SavedXML: domainXML(nicXML("bridge", "bridge='br0'", "virtio", ""))}},
		{name: "unmanaged tap", links: "br0 bridge 9000\ntap7 tap 1500 master=br0\neth0 ixgbe 9000 master=br0", status: "critical",
			domain: running(nicXML("ethernet", "", "virtio", "<target dev='tap7' managed='no'/>"+mtuXML(9000))),
			codes:  "guest-above-segment unmanaged-tap tap-below-bridge", remedy: "ip link set dev tap7 mtu 9000"},

		{name: "no such bridge", domain: bridged("virtio", ""), links: "vnet0 tap 1500", status: "warning", codes: "bridge-missing"},
		{name: "no such network", links: jumbo, domain: running(nicXML("network", "network='lan'", "virtio", "")), status: "warning", codes: "bridge-missing",
			change: func(f *facts.Facts) { f.Networks = []host.Network{} }},
		{name: "network not active", links: jumbo, domain: running(nicXML("network", "network='lan'", "virtio", "")), status: "warning", codes: "bridge-missing", remedy: "virsh net-start lan",
			change: func(f *facts.Facts) { f.Networks = []host.Network{{Name: "lan", Bridge: "virbr1", Inactive: true}} }},
		{name: "networks not known", links: jumbo, domain: running(nicXML("network", "network='lan'", "virtio", "")), status: "unknown", codes: "not-known"},

		{name: "macvtap below its lower device", links: "eth0 ixgbe 9000\nvnet0 macvtap 1500 lower=eth0", domain: running(nicXML("direct", "dev='eth0' mode='bridge'", "virtio", tap0)),
			status: "warning", codes: "macvtap-below-lower guest-not-told", why: "does not come up again", remedy: "ip link set dev vnet0 mtu 9000"},
		{name: "macvtap", links: "eth0 ixgbe 1500\nvnet0 macvtap 1500 lower=eth0", domain: running(nicXML("direct", "dev='eth0' mode='bridge'", "virtio", tap0)), status: "ok"},

		{name: "veth ends differ", links: "br0 bridge 9000\nve0 veth 9000 master=br0 peer=ve1\nve1 veth 1500 peer=ve0\nvnet0 tap 9000 master=br0", domain: bridged("virtio", mtuXML(9000)),
			status: "warning", codes: "veth-ends-differ", remedy: "ip link set dev ve1 mtu 9000"},
		{name: "veth ends differ on the way to another bridge", links: "br0 bridge 9000\nve0 veth 9000 master=br0 peer=ve1\nve1 veth 1500 peer=ve0 master=br1\nbr1 bridge 1500\neth0 ixgbe 9000 master=br1\nvnet0 tap 9000 master=br0", domain: bridged("virtio", mtuXML(9000)),
			status: "critical", codes: "guest-above-segment veth-ends-differ", why: "uplink ve0 of bridge br0 carries 1500 (its other end ve1 has 1500)"},

		{name: "VF above its PF", status: "critical", codes: "vf-above-pf", links: "eth0 ixgbe 1500\neth0v0 ixgbevf 9000", domain: running(vf),
			change: sriov("eth0v0")},
		{name: "VF in its guest", status: "ok", links: "eth0 ixgbe 1500", domain: running(vf), change: sriov("")},
		{name: "VF in its guest, jumbo", status: "warning", codes: "guest-not-told", links: "eth0 ixgbe 9000", domain: running(vf), change: sriov("")},
		{name: "VF as a plain hostdev", status: "critical", codes: "vf-above-pf", links: "eth0 ixgbe 1500\neth0v0 ixgbevf 9000", change: sriov("eth0v0"),
			domain: running("<hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x03' slot='0x10' function='0x2'/></source></hostdev>")},

		{name: "an OVS port limits", links: "eth0 ixgbe 9000\novs0 tun 9000\nvnet0 tap 1500", status: "critical", codes: "ovs-port-limits",
			domain: running(nicXML("bridge", "bridge='ovs0'", "virtio", ovsNIC+tap0+mtuXML(9000))), why: "(tx_errors 7)", remedy: "ovs-vsctl set interface vnet0 mtu_request=9000",
			change: func(f *facts.Facts) {
				f.OVS = ovs(t, "ovs0 internal 9000\neth0 system 9000\nvnet0 system 1500 errors=7")
			}},
		{name: "OVS, right", links: "eth0 ixgbe 9000\novs0 tun 9000\nvnet0 tap 9000", status: "ok",
			domain: running(nicXML("bridge", "bridge='ovs0'", "virtio", ovsNIC+tap0+mtuXML(9000))),
			change: func(f *facts.Facts) { f.OVS = ovs(t, "ovs0 internal 9000\neth0 system 9000\nvnet0 system 9000") }},
		{name: "OVS internal port below its uplink", links: "eth0 ixgbe 9000\novs0 tun 1500\nvnet0 tap 9000", status: "warning", codes: "bridge-below-uplink",
			domain: running(nicXML("bridge", "bridge='ovs0'", "virtio", ovsNIC+tap0+mtuXML(9000))),
			change: func(f *facts.Facts) { f.OVS = ovs(t, "ovs0 internal 1500\neth0 system 9000\nvnet0 system 9000") }},
		{name: "OVS tunnel", links: "eth0 ixgbe 1500\novs0 tun 1500\nvnet0 tap 1500", status: "critical", codes: "guest-above-segment", why: "less 50 for vxlan over IPv4",
			domain: running(nicXML("bridge", "bridge='ovs0'", "virtio", ovsNIC+tap0+mtuXML(1500))),
			change: func(f *facts.Facts) {
				f.OVS = ovs(t, "ovs0 internal 1500\nvx0 vxlan 0 over=eth0\nvnet0 system 1500")
			}},
		{name: "OVS unread", links: "ovs0 openvswitch 1500\nvnet0 tap 1500", status: "unknown", codes: "not-known",
			domain: running(nicXML("bridge", "bridge='ovs0'", "virtio", ovsNIC+tap0))},
		{name: "vhost-user on OVS", links: "eth0 ixgbe 9000\novs0 tun 9000", status: "critical", codes: "ovs-port-limits",
			domain: running("<interface type='vhostuser'><mac address='" + mac + "'/><source type='unix' path='/run/vhu0' mode='server'/><model type='virtio'/><mtu size='9000'/></interface>"),
			change: func(f *facts.Facts) {
				f.OVS = ovs(t, "ovs0 internal 9000\neth0 system 9000\nvhu0 dpdkvhostuserclient 1500 socket=/run/vhu0")
			}},
		{name: "vhost-user elsewhere", links: jumbo, status: "unknown", codes: "not-known",
			domain: running("<interface type='vhostuser'><mac address='" + mac + "'/><source type='unix' path='/run/vhu0' mode='server'/><model type='virtio'/></interface>")},
		{name: "vDPA", links: jumbo, status: "unknown", codes: "not-known", domain: running(nicXML("vdpa", "dev='/dev/vhost-vdpa-0'", "virtio", ""))},
		{name: "user mode", links: jumbo, status: "ok", domain: running("<interface type='user'><mac address='" + mac + "'/><model type='virtio'/></interface>")},

		{name: "its own uplink", links: "br0 bridge 1500 master=br0\nvnet0 tap 1500 master=br0", domain: bridged("virtio", ""), status: "unknown", codes: "not-known", why: "leads back to itself"},
		{name: "metadata that does not parse", links: jumbo, status: "critical", codes: "config-invalid guest-not-told",
			domain: facts.Domain{Name: "web1", PersistentXML: "<domain><name>web1</name><metadata><m:domain xmlns:m='urn:virt-mtu:policy:1' mtu='lots'/></metadata><devices>" + nicXML("bridge", "bridge='br0'", "virtio", "") + "</devices></domain>"}},
		{name: "a record that does not parse", links: jumbo, status: "critical", codes: "config-invalid guest-not-told", remedy: "virsh metadata web1 urn:virt-mtu:owned:1 --config --remove",
			domain: facts.Domain{Name: "web1", PersistentXML: "<domain><name>web1</name><metadata><m:nics xmlns:m='urn:virt-mtu:owned:1'><m:nic/></m:nics></metadata><devices>" + nicXML("bridge", "bridge='br0'", "virtio", "") + "</devices></domain>"}},
		{name: "XML that does not parse", links: jumbo, status: "unknown", codes: "not-known", domain: facts.Domain{Name: "web1", LiveXML: "<domain>"}},
		{name: "a link that nobody uses", links: jumbo + "eth1 ixgbe 1500\nvx7 vxlan 1500 over=eth1\n", domain: bridged("virtio", mtuXML(9000)), status: "critical", codes: "overlay-above-underlay"},
		{name: "unread", links: jumbo, domain: bridged("virtio", mtuXML(9000)), status: "unknown", codes: "not-known", why: "Open vSwitch: permission denied",
			change: func(f *facts.Facts) { f.Unread = []string{"Open vSwitch: permission denied"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := facts.Facts{Version: facts.Version, Snapshot: host.Snapshot{Host: "kvm1", Links: links(t, tt.links)}, Domains: []facts.Domain{tt.domain}}
			if tt.change != nil {
				tt.change(&f)
			}
			r := Run([]facts.Facts{f}, Options{Config: policy.Default()})
			found := slices.Clone(r.Hosts[0].Findings)
			for _, i := range r.Hosts[0].Domains[0].Interfaces {
				found = append(found, i.Findings...)
			}
			var codes []string
			var said, remedies string
			for _, f := range found {
				codes = append(codes, string(f.Code))
				said += string(f.Code) + ": " + f.Message + "\n"
				remedies += f.Remedy + "\n"
			}
			if d := cmp.Diff(tt.codes, strings.Join(codes, " ")); d != "" || r.Status != tt.status {
				t.Errorf("status %s, want %s; want-, got+:\n%s%s", r.Status, tt.status, d, said)
			}
			if !strings.Contains(said, tt.why) || !strings.Contains(remedies, tt.remedy) {
				t.Errorf("it lacks %q or %q:\n%s%s", tt.why, tt.remedy, said, remedies)
			}
		})
	}
}

const vf = "<interface type='hostdev' managed='yes'><mac address='" + mac + "'/><source><address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x2'/></source></interface>"

// sriov makes 0000:03:10.2 a VF of eth0's.
func sriov(link string) func(*facts.Facts) {
	return func(f *facts.Facts) {
		f.PCI = []host.PCI{{Address: "0000:03:00.0", Link: "eth0"}, {Address: "0000:03:10.2", Link: link, PF: "0000:03:00.0"}}
	}
}

// A name that somebody chose to harm whoever pastes a remedy is one word of it, and
// makes no line of its own.
func TestRemediesAreSafe(t *testing.T) {
	for _, manager := range []string{"", "netplan", "networkmanager", "networkd", "ifupdown", "ifcfg"} {
		bad := "e;reboot\nrm -rf /x"
		f := facts.Facts{Version: 1, Snapshot: host.Snapshot{Host: "h", Links: []host.Link{
			{Name: bad, Kind: "ixgbe", MTU: 1500, Manager: manager},
			{Name: "br0", Kind: "bridge", MTU: 1500},
			{Name: "vx0", Kind: "vxlan", MTU: 1500, Master: "br0", Tunnel: &host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "192.0.2.9", Underlay: bad}}}},
		}}, Domains: []facts.Domain{bridged("virtio", mtuXML(1450))}}
		r := Run([]facts.Facts{f}, Options{Config: policy.Default()})
		for _, f := range r.Hosts[0].Domains[0].Interfaces[0].Findings {
			for line := range strings.Lines(f.Remedy) {
				switch {
				case strings.HasPrefix(line, "# "):
				case strings.HasPrefix(line, "rm"), strings.Contains(strings.ReplaceAll(line, "'e;reboot?rm -rf /x'", ""), "reboot") && !strings.Contains(line, "'ethernets.e;reboot?rm -rf /x.mtu=1550'"):
					t.Errorf("%s: %q", manager, line)
				}
			}
		}
	}
}
