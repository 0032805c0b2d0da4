package render

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
)

// samples returns the lines that are no comments.
func samples(t *testing.T, r *check.Report) []string {
	t.Helper()
	var b bytes.Buffer
	must(t, Prometheus(&b, r))
	var all []string
	for l := range strings.Lines(b.String()) {
		if !strings.HasPrefix(l, "#") {
			all = append(all, strings.TrimSuffix(l, "\n"))
		}
	}
	return all
}

func TestPrometheusOneHost(t *testing.T) {
	i := bridged(0, 9000)
	i.GuestMTU = 0
	want := []string{
		`virt_mtu_check_status 0`,
		`virt_mtu_interface_status{domain="web0",mac="52:54:00:00:00:00",source_bridge="br0",target_device="vnet0"} 0`,
		`virt_mtu_path_mtu_bytes{domain="web0",mac="52:54:00:00:00:00",source_bridge="br0",target_device="vnet0"} 9000`,
	}
	if diff := cmp.Diff(want, samples(t, alone(i))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPrometheusStatus(t *testing.T) {
	for status, want := range map[finding.Severity]string{
		finding.OK: "0", finding.Info: "0", finding.Warning: "1", finding.Critical: "2", finding.Unknown: "3",
	} {
		i := bridged(0, 9000)
		i.Status = status
		r := alone(i)
		r.Status = status
		got := samples(t, r)
		if got[0] != "virt_mtu_check_status "+want || !strings.HasSuffix(got[2], "} "+want) {
			t.Errorf("%s: %q", status, got)
		}
	}
}

// NICs that no label tells apart neither fail nor hide what is wrong.
func TestPrometheusSameLabels(t *testing.T) {
	hostdev := func(address string, status finding.Severity, guest int) check.Interface {
		return check.Interface{Type: "hostdev", Source: address, Status: status, GuestMTU: guest}
	}
	r := &check.Report{Status: finding.Critical, Hosts: []check.Host{{Domains: []check.Domain{{Name: "db1", Interfaces: []check.Interface{
		hostdev("0000:03:10.2", finding.OK, 0),
		hostdev("0000:03:10.4", finding.Critical, 1500),
		hostdev("0000:03:10.4", finding.Unknown, 9000),
		hostdev("0000:03:10.4", finding.OK, 0),
	}}}}}}
	want := []string{
		`virt_mtu_check_status 2`,
		`virt_mtu_guest_interface_mtu_bytes{domain="db1",mac="0000:03:10.4",source_bridge="",target_device=""} 1500`,
		`virt_mtu_interface_status{domain="db1",mac="0000:03:10.2",source_bridge="",target_device=""} 0`,
		`virt_mtu_interface_status{domain="db1",mac="0000:03:10.4",source_bridge="",target_device=""} 2`,
	}
	if diff := cmp.Diff(want, samples(t, r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPrometheusHostile(t *testing.T) {
	for _, s := range hostile {
		if got := samples(t, named(s)); len(got) != 4 {
			t.Errorf("%.20q: %d samples, want 4: %.1000q", s, len(got), got)
		}
	}
}

// Prometheus' own linter has nothing to say.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		skip(t, "promtool")
	}
	reports := []*check.Report{example(t), alone(bridged(0, 9000))}
	for _, s := range hostile {
		reports = append(reports, named(s))
	}
	for _, r := range reports {
		var b bytes.Buffer
		must(t, Prometheus(&b, r))
		text := b.String()
		cmd := exec.Command(promtool, "check", "metrics")
		cmd.Stdin = &b
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v: %s\n%.2000s", err, out, text)
		}
	}
}
