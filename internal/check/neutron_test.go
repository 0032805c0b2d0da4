package check

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
	"virt-mtu/internal/policy"
)

// neutron is a network node of one NIC: eth0 in br-ex, whose internal port is the
// tunnels' own address; br-int in the middle. A tenant's guest is told 1450 by DHCP,
// one on the provider network has its 1500.
func neutron(t *testing.T) facts.Facts {
	t.Helper()
	port := func(tag int, x host.OVSInterface) host.OVSPort {
		return host.OVSPort{Name: x.Name, Tag: tag, Interfaces: []host.OVSInterface{x}}
	}
	guest := func(name string, n int, mtu string) facts.Domain {
		nic := strings.Replace(nicXML("bridge", "bridge='br-int'", "virtio", ovsNIC+fmt.Sprintf("<target dev='tap%d'/>", n)+mtu), "00:01", fmt.Sprintf("00:%02d", n), 1)
		return facts.Domain{Name: name, State: "running", LiveXML: strings.Replace(domainXML(nic), "web1", name, 1)}
	}
	tunnel := func(to string) *host.Tunnel {
		return &host.Tunnel{Family: 4, Remotes: []host.Remote{{Address: to, Underlay: "br-ex"}}}
	}
	return facts.Facts{Version: 1, Snapshot: host.Snapshot{
		Host:  "net1",
		Links: links(t, "eth0 ixgbe 1500 master=ovs-system\nbr-ex openvswitch 1500\nbr-int openvswitch 1450\nbr-tun openvswitch 1500\ntap1 tap 1450 master=ovs-system\ntap2 tap 1500 master=ovs-system\ntap3 tap 1450 master=ovs-system"),
		OVS: &host.OVS{Bridges: []host.OVSBridge{
			{Name: "br-ex", Ports: []host.OVSPort{port(0, host.OVSInterface{Name: "br-ex", Type: "internal", MTU: 1500}), port(0, host.OVSInterface{Name: "eth0", MTU: 1500}), port(0, host.OVSInterface{Name: "phy-br-ex", Type: "patch", Peer: "int-br-ex"})}},
			{Name: "br-int", Ports: []host.OVSPort{port(0, host.OVSInterface{Name: "br-int", Type: "internal", MTU: 1450}),
				port(0, host.OVSInterface{Name: "int-br-ex", Type: "patch", Peer: "phy-br-ex"}), port(0, host.OVSInterface{Name: "patch-tun", Type: "patch", Peer: "patch-int"}),
				port(1, host.OVSInterface{Name: "tap1", MTU: 1450}), port(2, host.OVSInterface{Name: "tap2", MTU: 1500}), port(1, host.OVSInterface{Name: "tap3", MTU: 1450})}},
			{Name: "br-tun", Ports: []host.OVSPort{port(0, host.OVSInterface{Name: "patch-int", Type: "patch", Peer: "patch-tun"}),
				port(0, host.OVSInterface{Name: "vxlan-1", Type: "vxlan", Tunnel: tunnel("192.0.2.21")}), port(0, host.OVSInterface{Name: "gre-1", Type: "gre", Tunnel: tunnel("192.0.2.22")})}},
		}},
	}, Domains: []facts.Domain{guest("tenant1", 1, ""), guest("provider1", 2, mtuXML(1500)), guest("tenant2", 3, mtuXML(1450))}}
}

// What is usual must not be a fault: ways that lead to different numbers, and guests
// that were told by DHCP, which nobody sees.
func TestNeutronIsWell(t *testing.T) {
	r := Run([]facts.Facts{neutron(t)}, Options{Config: policy.Default()})
	for _, f := range r.Hosts[0].Findings {
		t.Errorf("host: %s: %s", f.Code, f.Message)
	}
	paths := map[string]int{}
	for _, d := range r.Hosts[0].Domains {
		i := d.Interfaces[0]
		paths[d.Name] = i.PathMTU
		for _, f := range i.Findings {
			if f.Severity != finding.Unknown { // which way its packets take cannot be known
				t.Errorf("%s: %s: %s", d.Name, f.Code, f.Message)
			}
		}
	}
	if d := cmp.Diff(map[string]int{"tenant1": 1450, "provider1": 1500, "tenant2": 1450}, paths); d != "" {
		t.Errorf("what gets through, want-, got+:\n%s", d)
	}
}

// The same facts in any order give the same report.
func TestOrderIsNoMatter(t *testing.T) {
	f := neutron(t)
	f.Links = append(f.Links, links(t, "br0 bridge 1500\na0 veth 1500 master=br0 peer=a1\na1 veth 1400 master=br1 peer=a0\nbr1 bridge 1500\nb0 veth 1450 master=br1 peer=b1\nb1 veth 1500 master=br0 peer=b0\nvx0 vxlan 1500 master=br1 over=br0\nmv0 macvlan 1500 lower=br1")...)
	f.Domains = append(f.Domains, defined("loop1", nicXML("bridge", "bridge='br0'", "virtio", "")), defined("loop2", nicXML("direct", "dev='mv0' mode='bridge'", "virtio", "")))
	verdicts := func() string {
		r := Run([]facts.Facts{f}, Options{Config: policy.Default()})
		out := map[string]string{}
		for _, d := range r.Hosts[0].Domains {
			i := d.Interfaces[0]
			codes := ""
			for _, f := range i.Findings {
				codes += " " + string(f.Code)
			}
			out[d.Name] = fmt.Sprint(i.Status, i.GuestMTU, i.PathMTU, codes)
		}
		b, _ := json.Marshal(out)
		return string(b)
	}
	want := verdicts()
	for range 50 {
		rand.Shuffle(len(f.Links), func(i, j int) { f.Links[i], f.Links[j] = f.Links[j], f.Links[i] })
		rand.Shuffle(len(f.Domains), func(i, j int) { f.Domains[i], f.Domains[j] = f.Domains[j], f.Domains[i] })
		f.Links, f.Domains = slices.Clone(f.Links), slices.Clone(f.Domains)
		if got := verdicts(); got != want {
			t.Fatalf("want %s\ngot  %s", want, got)
		}
	}
}
