package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/host"
	"virt-mtu/internal/policy"
)

// kvm is a host whose br0 and eth0 have an MTU.
func kvm(t *testing.T, name string, mtu int, domains ...facts.Domain) facts.Facts {
	t.Helper()
	return facts.Facts{Version: facts.Version, Domains: domains, Snapshot: host.Snapshot{
		Host: name, Links: links(t, fmt.Sprintf("br0 bridge %d\neth0 ixgbe %d master=br0", mtu, mtu)),
		Networks: []host.Network{{Name: "lan", Bridge: "br0", Forward: "bridge"}},
	}}
}

func defined(name, nic string) facts.Domain {
	return facts.Domain{Name: name, State: "shut off", PersistentXML: strings.Replace(domainXML(nic), "web1", name, 1)}
}

// Which domain could migrate to which host, and which names mean different things.
func TestHosts(t *testing.T) {
	jumbo := defined("jumbo1", nicXML("bridge", "bridge='br0'", "virtio", mtuXML(9000)))
	onNetwork := defined("net1", nicXML("network", "network='lan'", "virtio", mtuXML(9000)))
	plain := defined("plain1", nicXML("bridge", "bridge='br0'", "virtio", ""))
	bare := kvm(t, "kvm3", 9000)
	bare.Links, bare.Networks = nil, []host.Network{}
	vague := kvm(t, "kvm4", 9000)
	vague.Links = links(t, "br0 bridge 9000\nvx0 vxlan 9000 master=br0")
	unseen := facts.Facts{Version: facts.Version, Snapshot: host.Snapshot{Host: "kvm5", Unread: []string{"not audited: no route to host"}}}
	all := []facts.Facts{kvm(t, "kvm1", 9000, jumbo, onNetwork), kvm(t, "kvm2", 1500, plain), bare, vague, unseen}
	r := Run(all, Options{Config: policy.Default()})

	got := map[string]string{}
	for _, m := range r.Moves {
		codes := ""
		for _, f := range m.Findings {
			codes += " " + string(f.Code)
		}
		got[m.Domain+" "+m.From+" "+m.To] = m.Verdict + codes
	}
	want := map[string]string{
		"jumbo1 kvm1 kvm2": "no guest-above-segment", "jumbo1 kvm1 kvm3": "no bridge-missing", "jumbo1 kvm1 kvm4": "unknown not-known", "jumbo1 kvm1 kvm5": "unknown not-known",
		"net1 kvm1 kvm2": "no guest-above-segment", "net1 kvm1 kvm3": "no bridge-missing", "net1 kvm1 kvm4": "unknown not-known", "net1 kvm1 kvm5": "unknown not-known",
		"plain1 kvm2 kvm1": "yes", "plain1 kvm2 kvm3": "no bridge-missing", "plain1 kvm2 kvm4": "yes", "plain1 kvm2 kvm5": "unknown not-known",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("moves, want-, got+:\n%s", d)
	}
	without := Run(all, Options{Config: policy.Default(), NoMoves: true})
	if len(without.Moves) != 0 || without.Moves == nil || !cmp.Equal(r.Hosts, without.Hosts) {
		t.Errorf("without moves: %+v", without)
	}

	var said []string
	for _, h := range r.Hosts {
		for _, f := range h.Findings {
			if f.Code == "peer-mismatch" {
				said = append(said, h.Name+": "+f.Message)
			}
		}
	}
	if d := cmp.Diff([]string{
		"kvm2: network lan carries 1500 here and 9000 on kvm1 (bridge br0 has 1500): who migrates here with 9000 cannot use it",
		"kvm2: bridge br0 carries 1500 here and 9000 on kvm1 (bridge br0 has 1500): who migrates here with 9000 cannot use it",
	}, said); d != "" {
		t.Errorf("findings, want-, got+:\n%s", d)
	}
}

// Guests on one bridge that disagree: those that are few are told.
func TestPeers(t *testing.T) {
	runs := func(name string, n int, mtu string) facts.Domain {
		xml := nicXML("bridge", "bridge='br0'", "virtio", fmt.Sprintf("<target dev='vnet%d'/>", n)+mtu)
		d := running(strings.Replace(xml, "00:01", fmt.Sprintf("00:%02d", n), 1))
		d.Name, d.LiveXML, d.PersistentXML = name, strings.Replace(d.LiveXML, "web1", name, 1), strings.Replace(d.PersistentXML, "web1", name, 1)
		return d
	}
	// Who is off has no say, but is told.
	f := kvm(t, "kvm1", 9000, runs("a1", 1, mtuXML(9000)), runs("b1", 2, mtuXML(9000)), runs("c1", 3, mtuXML(4000)),
		defined("d1", nicXML("bridge", "bridge='br0'", "virtio", mtuXML(4000))), defined("e1", nicXML("bridge", "bridge='br0'", "virtio", mtuXML(4000))))
	for i := 1; i <= 3; i++ {
		f.Links = append(f.Links, links(t, fmt.Sprintf("vnet%d tap 9000 master=br0", i))...)
	}
	r := Run([]facts.Facts{f}, Options{Config: policy.Default()})
	var said []string
	for _, d := range r.Hosts[0].Domains {
		for _, f := range d.Interfaces[0].Findings {
			said = append(said, d.Name+": "+string(f.Code)+": "+f.Message)
		}
	}
	if d := cmp.Diff([]string{"c1: peer-mismatch: the guest has 4000 where others on br0 have 9000 (a1, b1): a segment has to have one MTU",
		"d1: peer-mismatch: the guest has 4000 where others on br0 have 9000 (a1, b1): a segment has to have one MTU",
		"e1: peer-mismatch: the guest has 4000 where others on br0 have 9000 (a1, b1): a segment has to have one MTU"}, said); d != "" {
		t.Errorf("want-, got+:\n%s", d)
	}
	if r.Status != "warning" {
		t.Errorf("status %s", r.Status)
	}
}

// Named domains: the rest, and links that no NIC of theirs goes by, are not judged.
func TestNames(t *testing.T) {
	f := kvm(t, "kvm1", 9000, defined("a1", nicXML("bridge", "bridge='br0'", "virtio", mtuXML(9000))), defined("b1", nicXML("bridge", "bridge='br0'", "rtl8139", "")))
	f.Links = append(f.Links, links(t, "eth9 ixgbe 1500\nvx9 vxlan 1500 over=eth9")...)
	r := Run([]facts.Facts{f}, Options{Config: policy.Default(), Names: []string{"a1"}})
	if r.Status != "ok" || len(r.Hosts[0].Domains) != 1 {
		t.Errorf("%+v", r)
	}
	if d := cmp.Diff([]string{"c1"}, Missing([]facts.Facts{f}, []string{"a1", "c1"})); d != "" {
		t.Error(d)
	}
}
