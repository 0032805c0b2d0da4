package check

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/host"
	"virt-mtu/internal/policy"
)

// A host of any shape is judged in the end: links that lead anywhere, back to
// themselves too, and more of them than any host has.
func TestAnyShape(t *testing.T) {
	kinds := []string{"bridge", "veth", "vxlan", "vlan", "bond", "tun", "openvswitch", "macvtap", "wireguard", "macsec", "gretap", "", "ixgbe"}
	types := []string{"", "internal", "patch", "vxlan", "geneve", "dpdk", "dpdkvhostuser", "tap"}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	name := func(n int) string { return fmt.Sprintf("l%d", rnd.IntN(n)) }
	tunnel := func(n int) *host.Tunnel {
		x := &host.Tunnel{Family: rnd.IntN(8), Key: rnd.IntN(2) == 0, External: rnd.IntN(4) == 0}
		for range rnd.IntN(3) {
			x.Remotes = append(x.Remotes, host.Remote{Address: name(n), Underlay: name(n), MTU: rnd.IntN(9000) - 100})
		}
		return x
	}
	for range 2000 {
		n := 1 + rnd.IntN(12)
		f := facts.Facts{Version: 1, Snapshot: host.Snapshot{Host: "h"}}
		for range n {
			f.Links = append(f.Links, host.Link{
				Name: name(n), Kind: kinds[rnd.IntN(len(kinds))], MTU: rnd.IntN(10000) - 100, Tap: rnd.IntN(4) == 0,
				Master: name(n), Lower: name(n), Peer: name(n), Away: rnd.IntN(4) == 0, Tunnel: tunnel(n),
			})
		}
		f.OVS = &host.OVS{}
		for range rnd.IntN(3) {
			b := host.OVSBridge{Name: name(n)}
			for range rnd.IntN(5) {
				b.Ports = append(b.Ports, host.OVSPort{Interfaces: []host.OVSInterface{{Name: name(n), Type: types[rnd.IntN(len(types))], Peer: name(n), MTU: rnd.IntN(9000), Tunnel: tunnel(n)}}})
			}
			f.OVS.Bridges = append(f.OVS.Bridges, b)
		}
		f.Networks = []host.Network{{Name: "lan", Bridge: name(n), OVS: rnd.IntN(2) == 0, MTU: rnd.IntN(2) * 9000}}
		f.PCI = []host.PCI{{Address: "0000:03:10.2", Link: name(n), PF: "0000:03:10.2"}}
		for _, typ := range []string{"bridge", "direct", "network", "ethernet", "vhostuser"} {
			port := []string{"", ovsNIC}[rnd.IntN(2)]
			f.Domains = append(f.Domains, running(nicXML(typ, fmt.Sprintf("bridge='%s' dev='%s' network='lan'", name(n), name(n)), "virtio", "<target dev='"+name(n)+"'/>"+port+mtuXML(9000))))
		}
		f.Domains = append(f.Domains, running(vf))
		Run([]facts.Facts{f, f}, Options{Config: policy.Default()})
	}
}

// Time grows with the host, not with its square: ten thousand links in one bridge, in
// one chain, in one ring.
func TestManyLinks(t *testing.T) {
	const many = 10000
	shapes := map[string]func(i int) string{
		"bridge": func(i int) string { return fmt.Sprintf("vnet%d tap 9000 master=br0\n", i) },
		"chain":  func(i int) string { return fmt.Sprintf("v%d vlan 9000 lower=v%d\n", i, i+1) },
		"ring":   func(i int) string { return fmt.Sprintf("v%d macvlan 9000 lower=v%d\n", i, (i+1)%many) },
		"bridges in a row": func(i int) string {
			return fmt.Sprintf("b%d bridge 9000\nx%d veth 9000 peer=y%d master=b%d\ny%d veth 9000 peer=x%d master=b%d\n", i, i, i+1, i, i, i-1, i)
		},
	}
	for name, line := range shapes {
		t.Run(name, func(t *testing.T) {
			var text strings.Builder
			text.WriteString("br0 bridge 9000\nv0x veth 9000 master=br0 away\n")
			for i := range many {
				text.WriteString(line(i))
			}
			f := facts.Facts{Version: 1, Snapshot: host.Snapshot{Host: "h", Links: links(t, text.String())}, Domains: []facts.Domain{
				running(nicXML("direct", "dev='v0' mode='bridge'", "virtio", "")), running(nicXML("bridge", "bridge='b0'", "virtio", "")), bridged("virtio", ""),
			}}
			done := make(chan Report, 1)
			go func() { done <- Run([]facts.Facts{f}, Options{Config: policy.Default()}) }()
			select {
			case r := <-done:
				if len(r.Hosts[0].Domains) != 3 {
					t.Errorf("%d domains", len(r.Hosts[0].Domains))
				}
			case <-time.After(time.Minute):
				t.Fatal("still at it after a minute")
			}
		})
	}
}
