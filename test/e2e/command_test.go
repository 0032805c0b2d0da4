package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/test/lab"
)

// virtMTU runs virt-mtu in the host.
func virtMTU(t testing.TB, h *lab.Host, args ...string) lab.Result {
	t.Helper()
	return h.Try(t, slices.Concat([]string{bin(t, "virt-mtu")}, args)...)
}

// must runs virt-mtu, which has to succeed, and returns its stdout.
func must(t testing.TB, h *lab.Host, args ...string) string {
	t.Helper()
	r := virtMTU(t, h, args...)
	if r.Exit != 0 {
		t.Fatalf("virt-mtu %s: exit %d\n%s%s", strings.Join(args, " "), r.Exit, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// report is fix's JSON, as the contract has it.
type report struct {
	Domains []struct {
		Name       string  `json:"name"`
		UUID       string  `json:"uuid"`
		State      string  `json:"state"`
		Changed    bool    `json:"changed"`
		Error      string  `json:"error"`
		Interfaces []iface `json:"interfaces"`
	} `json:"domains"`
}

type iface struct {
	MAC      string `json:"mac"`
	Model    string `json:"model"`
	Type     string `json:"type"`
	Source   string `json:"source"`
	Device   string `json:"device"`
	Current  int    `json:"current"`
	Target   int    `json:"target"`
	Reason   string `json:"reason"`
	Action   string `json:"action"`
	Told     string `json:"told"`
	Pending  string `json:"pending"`
	GuestMTU int    `json:"guest_mtu"`
}

// fixJSON runs fix -o json; keys that the contract does not have fail the test.
func fixJSON(t testing.TB, h *lab.Host, args ...string) (report, lab.Result) {
	t.Helper()
	res := virtMTU(t, h, slices.Concat([]string{"fix", "-o", "json"}, args)...)
	var r report
	d := json.NewDecoder(strings.NewReader(res.Stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("fix %s: %v\n%s%s", strings.Join(args, " "), err, res.Stdout, res.Stderr)
	}
	return r, res
}

// fixed fixes one domain and returns its first NIC.
func fixed(t testing.TB, h *lab.Host, args ...string) iface {
	t.Helper()
	r, res := fixJSON(t, h, args...)
	if len(r.Domains) != 1 || len(r.Domains[0].Interfaces) == 0 {
		t.Fatalf("not one domain with a NIC: %s%s", res.Stdout, res.Stderr)
	}
	return r.Domains[0].Interfaces[0]
}

// wantSame fails where two texts differ.
func wantSame(t testing.TB, what, want, got string) {
	t.Helper()
	if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("%s: want-, got+:\n%s", what, d)
	}
}

func wantSays(t testing.TB, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, text)
		}
	}
}

// hasMTU reports whether domain XML has that <mtu>.
func hasMTU(xml, size string) bool { return strings.Contains(xml, "<mtu size='"+size+"'/>") }
