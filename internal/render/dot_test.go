package render

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/oneline"
	"virt-mtu/internal/plan"
)

func dot(t testing.TB, r *check.Report) string {
	t.Helper()
	var b bytes.Buffer
	must(t, DOT(&b, r))
	return b.String()
}

// needDot skips where Graphviz is missing, but not in CI.
func needDot(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("dot"); err != nil {
		skip(t, "dot of graphviz")
	}
}

// drawn returns the texts of the picture of a report.
func drawn(t testing.TB, r *check.Report) []string {
	t.Helper()
	var svg bytes.Buffer
	must(t, SVG(t.Context(), &svg, r))
	var texts []string
	d := xml.NewDecoder(&svg)
	in := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		must(t, err)
		switch x := token.(type) {
		case xml.StartElement:
			in = x.Name.Local == "text"
		case xml.EndElement:
			in = false
		case xml.CharData:
			if in {
				texts = append(texts, strings.ReplaceAll(string(x), "\u00a0", " "))
			}
		}
	}
}

// A name is drawn as it is, whatever it means to Graphviz.
func TestDOTHostile(t *testing.T) {
	needDot(t)
	for _, s := range hostile {
		want := oneline.Text("bridge "+name(s), maxLabel)
		if texts := drawn(t, labelled(s)); !slices.Contains(texts, want) {
			t.Errorf("%.20q: no %.100q in %.1000q", s, want, texts)
		}
		drawn(t, named(s))
	}
}

// labelled makes a report with a bridge called s.
func labelled(s string) *check.Report {
	i := bridged(0, 9000)
	i.Path[2].Name = s
	return alone(i)
}

// quoted is a string of DOT.
var quoted = regexp.MustCompile(`"(?:[^"\\\n]|\\.)*"`)

// No name gets out of its label.
func FuzzDOT(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	_, err := exec.LookPath("dot")
	want := quoted.ReplaceAllString(dot(f, named("x")), "TEXT")
	f.Fuzz(func(t *testing.T, s string) {
		graph := dot(t, named(s))
		if got := quoted.ReplaceAllString(graph, "TEXT"); s != "" && got != want {
			t.Errorf("%q: got %s\nwant %s", s, got, want)
		}
		if err != nil {
			return
		}
		cmd := exec.Command("dot", "-Tcanon")
		cmd.Stdin = strings.NewReader(graph)
		var messages bytes.Buffer
		cmd.Stderr = &messages
		if err := cmd.Run(); err != nil || messages.Len() > 0 {
			t.Errorf("%q: dot: %v: %s", s, err, &messages)
		}
	})
}

// A thousand NICs that are alike are one vertex; one that is not stands apart.
func TestDOTCrowd(t *testing.T) {
	nics := crowded(1000)
	nics[7] = faulty(7, finding.New(finding.TapBelowBridge, "it is low", ""))
	nics[8] = bridged(8, 1500)
	r := alone(nics...)
	r.Hosts[0].Domains[9].Interfaces = append(r.Hosts[0].Domains[9].Interfaces, bridged(1000, 9000))
	got := dot(t, r)
	for _, want := range []string{
		`[label="999 NICs of 998 guests, ok\nMTU 9000"]`,
		`[label="tap vnet7\nMTU 9000\n! tap-below-bridge"`,
		`[label="52:54:00:00:00:08 virtio\nMTU 1500"]`,
		`label=" 9000"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	if n := strings.Count(got, `[label="bridge br0`); n != 1 {
		t.Errorf("bridge drawn %d times", n)
	}
	if len(got) > 5000 {
		t.Errorf("%d bytes:\n%.5000s", len(got), got)
	}
	if got := dot(t, alone(crowded(crowd)...)); strings.Count(got, "tap vnet") != crowd {
		t.Errorf("%d NICs are no crowd:\n%s", crowd, got)
	}
	needDot(t)
	drawn(t, r)
}

// A link that plays two parts is one vertex; the same name on two hosts is two.
func TestDOTMerges(t *testing.T) {
	one, two := bridged(0, 9000), bridged(1, 1500)
	two.Path[3].Name = "vxlan0"
	two.Path = append(two.Path, plan.Node{Kind: plan.NodeUnderlay, Name: "eth0", MTU: 9000, Parent: 3, Carries: 8950})
	one.Path[2].Bottleneck, one.Path[2].Carries, one.Path[1].MTU = true, 1400, 1400
	two.Path[2].Bottleneck, two.Path[1].Name = true, one.Path[1].Name
	r := alone(one, two)
	r.Hosts = append(r.Hosts, r.Hosts[0])
	got := dot(t, r)
	for text, want := range map[string]int{
		`"uplink eth0\nMTU 9000"`: 2, `"underlay eth0`: 0, `"bridge br0`: 2, `"uplink vxlan0`: 2, `"web0 (running)"`: 2,
		`bottleneck: 1400 gets through`: 2, `n1 -> n2 [label=" 1400"]`: 1,
	} {
		if n := strings.Count(got, text); n != want {
			t.Errorf("%s: %d times, want %d:\n%s", text, n, want, got)
		}
	}
}

// Many with one fault, and many with another, are two crowds.
func TestDOTCrowdsByFault(t *testing.T) {
	var nics []check.Interface
	for n := range 100 {
		code := finding.TapBelowBridge
		if n%2 == 0 {
			code = finding.NeedsColdStart
		}
		nics = append(nics, faulty(n, finding.New(code, "", "")))
	}
	got := dot(t, alone(nics...))
	for _, code := range []string{"tap-below-bridge", "needs-cold-start"} {
		if want := `[label="50 guests\nMTU 9000\n! ` + code + `"`; !strings.Contains(got, want) {
			t.Errorf("no %s in:\n%s", want, got)
		}
	}
}

func TestShownAt(t *testing.T) {
	path := []plan.Node{
		{Kind: plan.NodeGuest, Bottleneck: true}, {Kind: plan.NodeTap}, {Kind: plan.NodeBridge},
		{Kind: plan.NodeUplink}, {Kind: plan.NodeUplink, Bottleneck: true}, {Kind: plan.NodeUnderlay},
	}
	for code, want := range map[finding.Code]int{
		finding.GuestAboveSegment:    0,
		finding.TapBelowBridge:       1,
		finding.BridgeAboveUplink:    2,
		finding.OverlayAboveUnderlay: 4,
		finding.VethEndsDiffer:       0, // no peer on this path
	} {
		if got := shownAt(code, path); got != want {
			t.Errorf("%s: node %d, want %d", code, got, want)
		}
	}
}

// What hangs together in no sane way is drawn somehow.
func TestDOTOddPaths(t *testing.T) {
	none, odd, loop := bridged(0, 9000), bridged(1, 9000), bridged(2, 9000)
	none.Path = nil
	none.Findings = []finding.Finding{finding.New(finding.BridgeMissing, "", "")}
	for i := range odd.Path {
		odd.Path[i].Parent = 99 - i
		odd.Path[i].Name = ""
	}
	loop.Path = append(loop.Path, plan.Node{Kind: plan.NodeBridge, Name: "br0", Parent: 3, Note: "leads back to itself"})
	r := alone(none, odd, loop)
	text(t, r, Options{})
	if got := dot(t, r); !strings.Contains(got, "! bridge-missing") {
		t.Errorf("a NIC without a path is left out:\n%s", got)
	}
	needDot(t)
	drawn(t, r)
}

func TestBetween(t *testing.T) {
	node := func(k plan.NodeKind, mtu, carries int) *plan.Node {
		return &plan.Node{Kind: k, MTU: mtu, Carries: carries}
	}
	for _, c := range []struct {
		what     string
		up, down *plan.Node
		want     int
	}{
		{"the smaller", node(plan.NodeTap, 1500, 0), node(plan.NodeBridge, 9000, 0), 1500},
		{"guest not known", node(plan.NodeGuest, 0, 1500), node(plan.NodeTap, 9000, 0), 0},
		{"OVS bridge's own MTU does not count", node(plan.NodeTap, 9000, 0), node(plan.NodeOVS, 1500, 9000), 9000},
		{"tunnel port of OVS", node(plan.NodeOVS, 1500, 9000), node(plan.NodeUplink, 0, 1450), 1450},
		{"below a tunnel port of OVS", node(plan.NodeUplink, 0, 1450), node(plan.NodeUnderlay, 1500, 1450), 1500},
		{"network without its own", node(plan.NodeTap, 1500, 0), node(plan.NodeNetwork, 0, 0), 1500},
		{"port not known", node(plan.NodeOVS, 0, 0), node(plan.NodeUplink, 0, 0), 0},
	} {
		if got := between(c.up, c.down); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

// More refused moves than can be read are counted.
func TestDOTMoves(t *testing.T) {
	r := alone(crowded(2)...)
	r.Hosts = append(r.Hosts, check.Host{Name: "kvm2"})
	for n := range 6 {
		r.Moves = append(r.Moves, check.Move{Domain: fmt.Sprintf("web%d", n), From: "kvm1", To: "kvm2", Verdict: check.No})
	}
	r.Moves = append(r.Moves, check.Move{Domain: "web9", From: "kvm1", To: "kvm3", Verdict: check.No}, check.Move{Domain: "web8", From: "kvm2", To: "kvm1", Verdict: check.Yes})
	got := dot(t, r)
	if want := `✗ to kvm2 cannot migrate: web0, web1, web2, web3 and 2 more\l`; !strings.Contains(got, want) {
		t.Errorf("no %q in:\n%s", want, got)
	}
	if n := strings.Count(got, "style=dashed"); n != 1 {
		t.Errorf("%d arrows, want 1:\n%s", n, got)
	}
}

func BenchmarkDOT(b *testing.B) {
	for _, n := range []int{1000, 4000} {
		r := alone(crowded(n)...)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				must(b, DOT(io.Discard, r))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/NIC")
		})
	}
}
