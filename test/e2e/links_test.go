package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"virt-mtu/internal/encap"
	"virt-mtu/internal/facts"
	"virt-mtu/internal/host"
	"virt-mtu/test/lab"
)

// What the project believes of the kernel's links, on the kernel that the lab's guests
// run: it has every kind of them, which this machine's need not.
func TestIntegrationLinks(t *testing.T) {
	g := newLinks(t)
	t.Run("what tunnels add", func(t *testing.T) { tunnelsAdd(t, g) })
	t.Run("WireGuard", func(t *testing.T) { wireGuardAdds(t, g) })
	t.Run("a tag on the wire is beside the MTU", func(t *testing.T) { tagOnWire(t, g) })
	t.Run("a tag in a tunnel is not", func(t *testing.T) { tagInTunnel(t, g) })
	t.Run("a bond's member", func(t *testing.T) { bondMember(t, g) })
	t.Run("a macvtap's lower", func(t *testing.T) { macvtapLower(t, g) })
	t.Run("the ends of a veth", func(t *testing.T) { vethEnds(t, g) })
	t.Run("virt-mtu facts", func(t *testing.T) { linkFacts(t, g) })
}

// links is a guest with the kernel's kinds of link.
type links struct{ h *lab.Host }

func newLinks(t *testing.T) links {
	t.Helper()
	h := lab.New(t)
	h.Bridge(t, "br0", 0)
	h.Libvirtd(t, "start")
	h.Define(t, h.Domain(t, "links", nic("virtio", 0), "links"))
	h.Boot(t, "links")
	g := links{h}
	h.PutGuest(t, lab.GuestAddr, static(t, "virt-mtu"), "/bin/virt-mtu")
	// Nothing of IPv6's own on the wire but where a test asks for IPv6.
	g.run(t, `
		echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
		/bin/ip link add wire type dummy
		echo 0 >/proc/sys/net/ipv6/conf/wire/disable_ipv6`)
	var ip strings.Builder
	for i, c := range tunnels {
		ip.WriteString(c.commands(i))
	}
	g.ip(t, `
		link set wire addrgenmode none up
		addr add 198.51.100.1/24 dev wire
		addr add 2001:db8::1/64 dev wire nodad
		netns add far
		`+ip.String()+`
		macsec add macsec0 tx sa 0 pn 1 on key 01 000102030405060708090a0b0c0d0e0f`)
	return g
}

// static builds one of the project's programs as it is installed, without libraries that
// the guest may not have.
func static(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "virt-mtu/cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// run runs a script in the guest that has to succeed, and returns what it said.
func (g links) run(t *testing.T, script string) string {
	t.Helper()
	r := g.h.Guest(t, lab.GuestAddr, "sh", "-ec", script)
	if r.Exit != 0 {
		t.Fatalf("in the guest: exit %d\n%s\n%s%s", r.Exit, script, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// ip runs ip(8) commands, a line each without the word ip.
func (g links) ip(t *testing.T, commands string) {
	t.Helper()
	g.run(t, "/bin/ip -batch - <<'END'\n"+commands+"\nEND\n")
}

func (g links) mtu(t *testing.T, dev string) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(g.run(t, "cat /sys/class/net/"+dev+"/mtu"), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// sent is what one packet became on the wire.
type sent struct {
	MTU     int // of the device that it was given to
	Packets int
	Bytes   int // of IP packet, with what stands between it and the Ethernet header
}

// send pings once at each line "WIRE DEV ADDR BYTES": a packet of so many bytes, not to
// be fragmented, by DEV to ADDR. It returns what left by WIRE, by DEV.
func (g links) send(t *testing.T, lines string) map[string]sent {
	t.Helper()
	const script = `
		cd /sys/class/net
		counts() { read -r packets <$1/statistics/tx_packets; read -r bytes <$1/statistics/tx_bytes; }
		while read -r wire dev addr size; do
			# A packet of the kernel's own may get in between: one, or the same twice, it is.
			last=
			for try in 1 2 3 4 5; do
				counts $wire
				p=$packets b=$bytes
				/bin/ping -c 1 -W 0.1 -M do -s $((size - 28)) -I $dev $addr </dev/null >/dev/null 2>&1 || true
				counts $wire
				p=$((packets - p)) b=$((bytes - b))
				[ $p != 1 ] && [ "$p" != "$last" ] || break
				last=$p
			done
			echo $dev $(cat $dev/mtu) $p $((b - p * 14))
		done <<'END'
` + "%s\nEND\n"
	all := make(map[string]sent)
	for line := range strings.Lines(g.run(t, fmt.Sprintf(script, strings.TrimSpace(lines)))) {
		var dev string
		var s sent
		if _, err := fmt.Sscan(line, &dev, &s.MTU, &s.Packets, &s.Bytes); err != nil {
			t.Fatalf("guest says %q: %v", line, err)
		}
		all[dev] = s
	}
	return all
}

// tunnel is one on "wire", which has 1500.
type tunnel struct {
	dev  string
	make string // ENDS: remote and local
	// what encap.Tunnel takes
	kind    string
	key     bool
	family  int
	options int
	mtu     int // that the kernel gives it, where that is not 1500 less what it adds
}

// Options: 8 is the encapsulation limit that the kernel's tunnels over IPv6 have unless
// told not to (net/ipv6/ip6_tunnel.c, a destination option), 4 each a GRE checksum and a
// sequence number.
var tunnels = []tunnel{
	{dev: "vx4", make: "type vxlan id 1 ENDS dev wire dstport 4789", kind: "vxlan", family: 4},
	{dev: "vx6", make: "type vxlan id 2 ENDS dev wire dstport 4789", kind: "vxlan", family: 6},
	// Without "dev" it does not ask what it will go over (drivers/net/vxlan).
	{dev: "vxroute", make: "type vxlan id 3 ENDS dstport 4789", kind: "vxlan", family: 4, mtu: 1500},
	{dev: "gnv4", make: "type geneve id 4 ENDS", kind: "geneve", family: 4},
	{dev: "gnv6", make: "type geneve id 5 ENDS", kind: "geneve", family: 6},
	{dev: "gt4", make: "type gretap ENDS", kind: "gretap", family: 4},
	{dev: "gt4key", make: "type gretap ENDS key 7", kind: "gretap", key: true, family: 4},
	{dev: "gt4sums", make: "type gretap ENDS key 7 csum seq", kind: "gretap", key: true, family: 4, options: 8},
	{dev: "gt6", make: "type ip6gretap ENDS", kind: "ip6gretap", family: 6, options: 8},
	{dev: "gt6key", make: "type ip6gretap ENDS key 7", kind: "ip6gretap", key: true, family: 6, options: 8},
	{dev: "gt6none", make: "type ip6gretap ENDS encaplimit none", kind: "ip6gretap", family: 6},
	{dev: "gre4", make: "type gre ENDS", kind: "gre", family: 4},
	{dev: "gre6", make: "type ip6gre ENDS", kind: "ip6gre", family: 6, options: 8},
	{dev: "ipip4", make: "type ipip ENDS", kind: "ipip", family: 4},
	{dev: "sit4", make: "type sit mode any ENDS", kind: "sit", family: 4},
	{dev: "tnl6", make: "type ip6tnl ENDS mode any", kind: "ip6tnl", family: 6, options: 8},
	{dev: "tnl6none", make: "type ip6tnl ENDS mode any encaplimit none", kind: "ip6tnl", family: 6},
	{dev: "macsec0", make: "link wire type macsec encrypt on", kind: "macsec"},
}

// packet is what goes into tunnels here, in bytes of IP packet: a multiple of 16, so that
// WireGuard does not pad it.
const packet = 1296

// add is what it puts around a packet, as the project has it.
func (c tunnel) add(t *testing.T) int {
	t.Helper()
	layer, ok := encap.Tunnel(c.kind, c.key, c.family, c.options)
	if !ok {
		t.Fatalf("encap does not know %s", c.kind)
	}
	return layer.Bytes
}

// want is the MTU that the kernel gives it.
func (c tunnel) want(t *testing.T) int {
	t.Helper()
	if c.mtu != 0 {
		return c.mtu
	}
	return 1500 - c.add(t)
}

// remote is the far end of the nth of them.
func (c tunnel) remote(n int) string {
	if c.family == 6 {
		return fmt.Sprintf("2001:db8::%d", 10+n)
	}
	return fmt.Sprintf("198.51.100.%d", 10+n)
}

// local is the near end; geneve knows none.
func (c tunnel) local() string {
	switch {
	case c.kind == "geneve":
		return ""
	case c.family == 6:
		return "2001:db8::1"
	}
	return "198.51.100.1"
}

// commands make the nth of them, up and with an address.
func (c tunnel) commands(n int) string {
	ends := "remote " + c.remote(n)
	if local := c.local(); local != "" {
		ends += " local " + local
	}
	args := strings.Replace(c.make, "ENDS", ends, 1)
	// Nobody is there to answer.
	return fmt.Sprintf("link add %[1]s %[2]s\nlink set %[1]s arp off up\naddr add 10.0.%[3]d.1/24 dev %[1]s\n", c.dev, args, n)
}

// What encap says that they take off the MTU is what they put around a packet, and what
// the kernel's own choice of an MTU leaves for it.
func tunnelsAdd(t *testing.T, g links) {
	var pings strings.Builder
	want := make(map[string]sent)
	for i, c := range tunnels {
		fmt.Fprintf(&pings, "wire %s 10.0.%d.2 %d\n", c.dev, i, packet)
		want[c.dev] = sent{MTU: c.want(t), Packets: 1, Bytes: packet + c.add(t)}
	}
	if diff := cmp.Diff(want, g.send(t, pings.String())); diff != "" {
		t.Errorf("on the wire (-want +got):\n%s", diff)
	}
}

// WireGuard's MTU is 1420 whatever it goes over: what IPv6 leaves of 1500. It sends
// nothing without a peer that answers.
func wireGuardAdds(t *testing.T, g links) {
	g.ip(t, `
		link add uplink type veth peer name wire netns far
		link set uplink addrgenmode none up
		addr add 203.0.113.1/24 dev uplink`)
	g.run(t, `
		echo 0 >/proc/sys/net/ipv6/conf/uplink/disable_ipv6
		for k in k4 k6 far; do wg genkey >/run/$k; wg pubkey </run/$k >/run/$k.pub; done
		/bin/ip -batch - <<'END'
			addr add 2001:db8:1::1/64 dev uplink nodad
			link add wg4 type wireguard
			link add wg6 type wireguard
			addr add 10.1.4.1/24 dev wg4
			addr add 10.1.6.1/24 dev wg6
END
		wg set wg4 private-key /run/k4 peer $(cat /run/far.pub) endpoint 203.0.113.2:5000 allowed-ips 10.1.4.0/24
		wg set wg6 private-key /run/k6 peer $(cat /run/far.pub) endpoint [2001:db8:1::2]:5000 allowed-ips 10.1.6.0/24
		/bin/ip -n far -batch - <<'END'
			link set wire addrgenmode none up
			addr add 203.0.113.2/24 dev wire
			addr add 2001:db8:1::2/64 dev wire nodad
			link add wg0 type wireguard
			addr add 10.1.4.2/24 dev wg0
			addr add 10.1.6.2/24 dev wg0
END
		/bin/ip netns exec far wg set wg0 private-key /run/far listen-port 5000 \
			peer $(cat /run/k4.pub) allowed-ips 10.1.4.1/32 peer $(cat /run/k6.pub) allowed-ips 10.1.6.1/32
		/bin/ip -n far link set wg0 up
		/bin/ip link set wg4 up
		/bin/ip link set wg6 up
		ping -c 1 -W 5 10.1.4.2
		ping -c 1 -W 5 10.1.6.2`)
	want := make(map[string]sent)
	for _, family := range []int{4, 6} {
		layer, ok := encap.Tunnel("wireguard", false, family, 0)
		if !ok {
			t.Fatal("encap does not know wireguard")
		}
		want[fmt.Sprintf("wg%d", family)] = sent{MTU: 1420, Packets: 1, Bytes: packet + layer.Bytes}
	}
	got := g.send(t, fmt.Sprintf("uplink wg4 10.1.4.2 %[1]d\nuplink wg6 10.1.6.2 %[1]d", packet))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("on the wire (-want +got):\n%s", diff)
	}
}

// A NIC's MTU is without its tag, and the kernel lets a second one stand beside it as
// well: the frame is then longer than every port on the way need take.
func tagOnWire(t *testing.T, g links) {
	g.ip(t, `
		link add link wire name tag type vlan id 100
		link add link wire name service type vlan protocol 802.1ad id 200
		link add link service name customer type vlan id 300
		link set tag arp off up
		link set service arp off up
		link set customer arp off up
		addr add 10.2.1.1/24 dev tag
		addr add 10.2.2.1/24 dev service
		addr add 10.2.3.1/24 dev customer`)
	want := map[string]sent{
		"tag":      {MTU: 1500, Packets: 1, Bytes: 1500 + encap.VLANTag},
		"service":  {MTU: 1500, Packets: 1, Bytes: 1500 + encap.VLANTag},
		"customer": {MTU: 1500, Packets: 1, Bytes: 1500 + 2*encap.VLANTag},
	}
	got := g.send(t, "wire tag 10.2.1.2 1500\nwire service 10.2.2.2 1500\nwire customer 10.2.3.2 1500")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("on the wire (-want +got):\n%s", diff)
	}
}

// A VLAN device on a tunnel has the tunnel's MTU, and its tag is inside: the outer packet
// is 4 bytes longer than the underlay takes, which are fragments, or with "df set"
// nothing at all.
func tagInTunnel(t *testing.T, g links) {
	g.ip(t, `
		link add frags type vxlan id 101 local 198.51.100.1 remote 198.51.100.2 dev wire dstport 4790
		link add df type vxlan id 102 local 198.51.100.1 remote 198.51.100.2 dev wire dstport 4790 df set
		link set frags up
		link set df up
		link add link frags name frags7 type vlan id 7
		link add link df name df7 type vlan id 7
		link set frags7 arp off up
		link set df7 arp off up
		addr add 10.3.1.1/24 dev frags7
		addr add 10.3.2.1/24 dev df7`)
	const add = 50 + encap.VLANTag
	for _, c := range []struct {
		packet int
		want   map[string]sent
	}{
		{1446, map[string]sent{
			"frags7": {MTU: 1450, Packets: 1, Bytes: 1446 + add},
			"df7":    {MTU: 1450, Packets: 1, Bytes: 1446 + add},
		}},
		{1450, map[string]sent{
			"frags7": {MTU: 1450, Packets: 2, Bytes: 1450 + add + 20}, // a second IP header
			"df7":    {MTU: 1450},
		}},
	} {
		got := g.send(t, fmt.Sprintf("wire frags7 10.3.1.2 %[1]d\nwire df7 10.3.2.2 %[1]d", c.packet))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%d bytes, on the wire (-want +got):\n%s", c.packet, diff)
		}
	}
}

// One member lowered leaves the bond as it is.
func bondMember(t *testing.T, g links) {
	g.ip(t, `
		link add team0 type bond mode balance-rr
		link add member1 type dummy
		link add member2 type dummy
		link set member1 master team0
		link set member2 master team0
		link set team0 mtu 9000 up`)
	if a, b := g.mtu(t, "member1"), g.mtu(t, "member2"); a != 9000 || b != 9000 {
		t.Errorf("a bond set to 9000 has members at %d and %d", a, b)
	}
	g.ip(t, "link set member2 mtu 1500")
	if got := g.mtu(t, "team0"); got != 9000 {
		t.Errorf("with a member at 1500 the bond is at %d", got)
	}
	if got := g.mtu(t, "member1"); got != 9000 {
		t.Errorf("with a member at 1500 the other is at %d", got)
	}
}

// A macvtap goes down with its lower and does not come up with it.
func macvtapLower(t *testing.T, g links) {
	g.ip(t, `
		link add lower mtu 9000 type dummy
		link set lower up
		link add link lower name macvtap0 type macvtap mode bridge
		link set macvtap0 up`)
	for _, c := range []struct {
		lower, want int
	}{{9000, 9000}, {1500, 1500}, {9000, 1500}} {
		g.ip(t, fmt.Sprintf("link set lower mtu %d", c.lower))
		if got := g.mtu(t, "macvtap0"); got != c.want {
			t.Errorf("lower at %d: macvtap at %d, want %d", c.lower, got, c.want)
		}
	}
}

// Nothing keeps the ends of a veth alike. What is too large for the receiving end is
// dropped, and nobody told. It lets 4 bytes more pass, meant for a tag
// (is_skb_forwardable in net/core/dev.c), whose tag itself a veth carries beside the frame.
func vethEnds(t *testing.T, g links) {
	g.ip(t, `
		link add near mtu 9000 type veth peer name end mtu 1500 netns far
		link add link near name near7 type vlan id 7
		link set near up
		link set near7 up
		addr add 10.4.0.1/24 dev near
		addr add 10.4.7.1/24 dev near7`)
	g.run(t, `/bin/ip -n far -batch - <<'END'
		link add link end name end7 type vlan id 7
		link set end up
		link set end7 up
		addr add 10.4.0.2/24 dev end
		addr add 10.4.7.2/24 dev end7
END
		ping -c 1 -W 5 10.4.0.2
		ping -c 1 -W 5 10.4.7.2`)
	for _, c := range []struct {
		addr   string
		packet int
		want   bool
	}{
		{"10.4.0.2", 1500, true},
		{"10.4.0.2", 1504, true},
		{"10.4.0.2", 1505, false},
		{"10.4.0.2", 9000, false},
		{"10.4.7.2", 1504, true},
		{"10.4.7.2", 1505, false},
	} {
		r := g.h.Guest(t, lab.GuestAddr, "/bin/ping", "-c", "1", "-W", "0.5", "-M", "do", "-s", fmt.Sprint(c.packet-28), c.addr)
		if (r.Exit == 0) != c.want || strings.Contains(r.Stdout, "From ") {
			t.Errorf("%d bytes to %s, want an answer: %v; exit %d\n%s", c.packet, c.addr, c.want, r.Exit, r.Stdout)
		}
	}
}

// What virt-mtu reads of all that, and of more. Without libvirt, which is not in the
// guest, facts says so and writes the rest.
func linkFacts(t *testing.T, g links) {
	want := make(map[string]host.Link)
	for i, c := range tunnels {
		l := host.Link{Name: c.dev, MTU: c.want(t), Kind: c.kind, Tunnel: &host.Tunnel{
			Family: c.family, Key: c.key, OptionBytes: c.options, Local: c.local(),
			Remotes: []host.Remote{{Address: c.remote(i), Underlay: "wire"}},
		}}
		if c.kind == "macsec" {
			l.Lower, l.Tunnel = "wire", nil
		}
		want[c.dev] = l
	}
	port := want["vx4"]
	port.Master = "fbr"
	want["vx4"] = port
	g.ip(t, `
		link add fbr type bridge
		link set vx4 master fbr
		route add 198.18.0.0/24 via 198.51.100.99 dev wire mtu 1400
		link add fvxmtu type vxlan id 201 remote 198.18.0.1 dstport 4789
		link add fvxgroup type vxlan id 202 group 239.1.1.1 dev wire dstport 4789
		link add fvxext type vxlan external dstport 4791
		link add fvxfdb type vxlan id 203 dstport 4789
		link add fwg4 type wireguard
		link add fwg6 type wireguard
		link add link wire name fservice type vlan protocol 802.1ad id 400
		link add link fservice name fcustomer type vlan id 500
		link add link vx6 name vx6.7 type vlan id 7
		link add fbond type bond
		link add fmember type dummy
		link set fmember master fbond
		link set fbond mtu 9000
		link set fmember mtu 1500
		link add flower mtu 9000 type dummy
		link add link flower name fmacvtap type macvtap
		link set flower mtu 1500
		link set flower mtu 9000
		link add fleft mtu 9000 type veth peer name fright
		link add fhere type veth peer name fthere netns far
		tuntap add ftap mode tap`)
	g.run(t, `
		/bin/bridge fdb append 00:00:00:00:00:00 dst 198.51.100.60 dev fvxfdb
		/bin/bridge fdb append 00:00:00:00:00:00 dst 198.51.100.61 dev fvxfdb
		wg set fwg4 peer $(wg genkey | wg pubkey) endpoint 198.51.100.70:5000
		wg set fwg6 peer $(wg genkey | wg pubkey) endpoint [2001:db8::70]:5000`)
	remotes := func(family int, address ...string) *host.Tunnel {
		tunnel := &host.Tunnel{Family: family}
		for _, a := range address {
			tunnel.Remotes = append(tunnel.Remotes, host.Remote{Address: a, Underlay: "wire"})
		}
		return tunnel
	}
	for _, l := range []host.Link{
		{Name: "wire", MTU: 1500, Kind: "dummy"},
		{Name: "fvxmtu", MTU: 1500, Kind: "vxlan", Tunnel: &host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: "198.18.0.1", Underlay: "wire", MTU: 1400}}}},
		{Name: "fvxgroup", MTU: 1450, Kind: "vxlan", Tunnel: remotes(4, "239.1.1.1")},
		{Name: "fvxext", MTU: 1500, Kind: "vxlan", Tunnel: &host.Tunnel{Family: 4, External: true}},
		{Name: "fvxfdb", MTU: 1500, Kind: "vxlan", Tunnel: remotes(4, "198.51.100.60", "198.51.100.61")},
		{Name: "fwg4", MTU: 1420, Kind: "wireguard", Tunnel: remotes(4, "198.51.100.70")},
		{Name: "fwg6", MTU: 1420, Kind: "wireguard", Tunnel: remotes(6, "2001:db8::70")},
		{Name: "fbr", MTU: 1450, Kind: "bridge"},
		{Name: "fservice", MTU: 1500, Kind: "vlan", Lower: "wire"},
		{Name: "fcustomer", MTU: 1500, Kind: "vlan", Lower: "fservice"},
		{Name: "vx6.7", MTU: 1430, Kind: "vlan", Lower: "vx6"},
		{Name: "fbond", MTU: 9000, Kind: "bond"},
		{Name: "fmember", MTU: 1500, Kind: "dummy", Master: "fbond"},
		{Name: "flower", MTU: 9000, Kind: "dummy"},
		{Name: "fmacvtap", MTU: 1500, Kind: "macvtap", Lower: "flower"},
		{Name: "fleft", MTU: 9000, Kind: "veth", Peer: "fright"},
		{Name: "fright", MTU: 1500, Kind: "veth", Peer: "fleft"},
		{Name: "fhere", MTU: 1500, Kind: "veth", Away: true},
		{Name: "ftap", MTU: 1500, Kind: "tun", Tap: true},
	} {
		want[l.Name] = l
	}

	r := g.h.Guest(t, lab.GuestAddr, "sh", "-c", "/bin/virt-mtu facts 2>/run/messages")
	got, err := facts.Decode(strings.NewReader(r.Stdout))
	if err != nil {
		t.Fatalf("exit %d: %v\n%s", r.Exit, err, r.Stdout)
	}
	if r.Exit != 1 || len(got.Unread) != 1 || !strings.Contains(got.Unread[0], "connect to libvirt") {
		t.Errorf("exit %d, unread: %q", r.Exit, got.Unread)
	}
	all := make(map[string]host.Link)
	for _, l := range got.Links {
		if _, wanted := want[l.Name]; wanted {
			l.Index = 0
			all[l.Name] = l
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if diff := cmp.Diff(want[name], all[name], cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
