package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/plan"
)

func text(t testing.TB, r *check.Report, o Options) string {
	t.Helper()
	var b bytes.Buffer
	must(t, Text(&b, r, o))
	return b.String()
}

// Of many NICs those that are ok have a line each, the others their path.
func TestTextOfMany(t *testing.T) {
	nics := crowded(many)
	r := alone(append(nics, faulty(many, finding.New(finding.TapBelowBridge, "it is low", "ip link set dev vnet20 mtu 9000")))...)
	r.Hosts[0].Domains[3].Interfaces[0].PathMTU = 0
	r.Hosts[0].Domains = append(r.Hosts[0].Domains, check.Domain{Name: "blank"})
	want := "kvm1: warning\n\n"
	for n := range many {
		through := ", 9000 from guest to wire"
		if n == 3 {
			through = ""
		}
		want += fmt.Sprintf("  web%d 52:54:00:00:00:%02x virtio on br0 (vnet%d): ok%s\n", n, n, n, through)
	}
	want += `
  web20 (running)
    52:54:00:00:00:14 virtio on br0 (vnet20): warning
      guest            52:54:00:00:00:14  9000
      └─ tap           vnet20             9000
         └─ bridge     br0                9000
            └─ uplink  eth0               9000
      warning tap-below-bridge: it is low
          ip link set dev vnet20 mtu 9000

  blank: no NICs

order of repair: to raise, from the wire in (underlay, tunnel, uplink, bridge, tap, guest); to lower, from the guest out

21 NICs of 22 domains: 20 ok, 1 warning
`
	if diff := cmp.Diff(want, text(t, r, Options{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	full := text(t, r, Options{Full: true})
	if n := strings.Count(full, "─ uplink"); n != many+1 {
		t.Errorf("--full: %d of %d paths drawn", n, many+1)
	}
}

func TestTextOfNothing(t *testing.T) {
	for want, r := range map[string]*check.Report{
		"0 NICs of 0 domains\n":             {},
		"kvm1: ok\n\n0 NICs of 0 domains\n": {Hosts: []check.Host{{Name: "kvm1"}}},
	} {
		if diff := cmp.Diff(want, text(t, r, Options{})); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// What sets no link needs no order of repair.
func TestTextOrderOfRepair(t *testing.T) {
	for remedy, want := range map[string]bool{
		"":                                false,
		"virt-mtu fix web1":               false,
		"ip link set dev eth0 mtu 9000":   true,
		"# first\nip link set eth0 mtu 9": true,
	} {
		got := text(t, alone(faulty(0, finding.New(finding.TapBelowBridge, "", remedy))), Options{})
		if strings.Contains(got, "order of repair") != want {
			t.Errorf("remedy %q: want %v:\n%s", remedy, want, got)
		}
	}
}

func TestTextFindingsWorstFirst(t *testing.T) {
	i := bridged(0, 9000)
	for _, c := range []finding.Code{finding.WaitsForGuest, finding.NotKnown, finding.NeedsColdStart, finding.ModelCannotCarry, finding.TapBelowBridge} {
		i.Findings = append(i.Findings, finding.New(c, "so", ""))
	}
	got := text(t, alone(i), Options{})
	var order []int
	for _, c := range []string{"critical model-cannot-carry", "warning needs-cold-start", "warning tap-below-bridge", "unknown not-known", "info waits-for-guest"} {
		order = append(order, strings.Index(got, c+": so\n"))
	}
	if order[0] < 0 || !slices.IsSorted(order) {
		t.Errorf("at %v in:\n%s", order, got)
	}
}

// Numbers that cannot be read are told from those that do not exist.
func TestTree(t *testing.T) {
	path := []plan.Node{
		{Kind: plan.NodeGuest, Parent: -1, Carries: 1450},
		{Kind: plan.NodeNetwork, Name: "default", Parent: 0},
		{Kind: plan.NodeOVS, Name: "br-int", MTU: 1500, Parent: 1, Carries: 9000, Note: "internal port"},
		{Kind: plan.NodeUplink, Name: "patch-ext", Parent: 2, Carries: 9000},
		{Kind: plan.NodePeer, Name: "patch-int", Parent: 3},
		{Kind: plan.NodeUplink, Name: "vxlan0", MTU: 1500, Parent: 2, Carries: 1450, Bottleneck: true, Note: "so"},
		{Kind: plan.NodeUnderlay, Name: "eth0", Parent: 7, Bottleneck: true},
	}
	want := []row{
		{"guest", "-", "unknown", "1450 gets through"},
		{"└─ network", "default", "-", ""},
		{"   └─ ovs", "br-int", "1500", "9000 gets through; internal port"},
		{"      ├─ uplink", "patch-ext", "-", "9000 gets through"},
		{"      │  └─ peer", "patch-int", "unknown", ""},
		{"      └─ uplink", "vxlan0", "1500", "<-- bottleneck: 1450 gets through; so"},
		{"underlay", "eth0", "unknown", "<-- bottleneck"},
	}
	if diff := cmp.Diff(want, tree(path), cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// hostile are names that somebody else may have chosen.
var hostile = []string{
	"a\nb: critical", "\x1b[2J\x1b[31m", "it's", `say "hi"`, `back\slash\`, `\N\l\G`, "-rf", "a b", "<b>&amp;&#65;", "\xff\xfe",
	"\u202egnp", "\x00", "{a|b}", "}", "// no /* comment", "$(reboot)`", "%s%n", "größer 東", strings.Repeat("x", 4096), strings.Repeat("東", 4096),
}

func TestTextHostile(t *testing.T) {
	plain := strings.Count(text(t, named("x"), Options{}), "\n")
	for _, s := range hostile {
		got := text(t, named(s), Options{})
		for l := range strings.Lines(got) {
			if len(l) > 4*maxText {
				t.Errorf("%.20q: a line of %d bytes", s, len(l))
			}
			for _, r := range strings.TrimSuffix(l, "\n") {
				if r < ' ' || r == 0x7f || r == '\u202e' {
					t.Errorf("%.20q: %q in %.100q", s, r, l)
				}
			}
		}
		// Only a remedy may have several lines.
		want := plain + 6*strings.Count(s, "\n")
		if n := strings.Count(got, "\n"); n != want {
			t.Errorf("%.20q: %d lines, want %d:\n%.2000s", s, n, want, got)
		}
	}
}

type broken struct{ error }

func (b broken) Write([]byte) (int, error) { return 0, b.error }

func TestErrorOfWriter(t *testing.T) {
	full := errors.New("disk full")
	for suffix, render := range golden {
		if err := render(broken{full}, example(t)); !errors.Is(err, full) {
			t.Errorf("%s: %v", suffix, err)
		}
	}
}

func BenchmarkText(b *testing.B) {
	for _, n := range []int{1000, 4000} {
		nics := crowded(n)
		for k := range nics {
			if k%4 == 0 {
				nics[k] = faulty(k, finding.New(finding.TapBelowBridge, "it is low", "ip link set dev vnet0 mtu 9000"))
			}
		}
		r := alone(nics...)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				must(b, Text(io.Discard, r, Options{}))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/NIC")
		})
	}
}

// A fault that many NICs share is shown once, and then in a line for each.
func TestTextOfManyAlike(t *testing.T) {
	nics := crowded(many + 6)
	below := finding.New(finding.BridgeBelowUplink, "br0 has 1500, below its uplink eth0", "ip link set dev br0 mtu 9000")
	for n := range nics {
		i := &nics[n]
		switch n {
		case 3: // ok
			continue
		case 5: // of another fault besides
			i.Findings = append(i.Findings, finding.New(finding.NeedsColdStart, "it has to be started anew", ""))
		case 7: // on another path
			i.Path[3].Name = "eth1"
		case 9: // on another bridge
			i.Bridge, i.Source, i.Path[2].Name = "br1", "br1", "br1"
		}
		i.Findings = append(i.Findings, below)
		i.Status = finding.Worst(i.Findings)
	}
	r := alone(nics...)
	first, second := &r.Hosts[0].Domains[0], &r.Hosts[0].Domains[1]
	first.Interfaces = append(first.Interfaces, second.Interfaces...)
	r.Hosts[0].Domains = append(r.Hosts[0].Domains[:1], r.Hosts[0].Domains[2:]...)
	other := alone(nics[4])
	other.Hosts[0].Name = "kvm2"
	r.Hosts = append(r.Hosts, other.Hosts...)
	compare(t, "testdata/many.txt", text(t, r, Options{}))
	compare(t, "testdata/many.color.txt", text(t, r, Options{Color: true}))
	if full := text(t, r, Options{Full: true}); strings.Contains(full, ": as web") || strings.Contains(full, "--full") {
		t.Errorf("--full:\n%s", full)
	}
	if few := text(t, alone(nics[:many]...), Options{}); strings.Contains(few, ": as web") {
		t.Errorf("%d NICs are not many:\n%s", many, few)
	}
}
