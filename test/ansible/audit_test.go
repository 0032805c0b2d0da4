package ansible

import (
	"encoding/json"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"virt-mtu/internal/check"
	"virt-mtu/test/container"
	"virt-mtu/test/programs"
)

const audit = "virt_mtu.virt_mtu.audit"

// wire gives br0 of a host an uplink.
func wire(t testing.TB, c *container.Container) {
	t.Helper()
	c.Run(t, "ip", "netns", "add", "switch")
	c.Run(t, "ip", "link", "add", "eno1", "mtu", "9000", "type", "veth", "peer", "name", "eno1-sw", "mtu", "9000", "netns", "switch")
	c.Run(t, "ip", "link", "set", "eno1", "master", "br0", "up")
}

func put(t testing.TB, c *container.Container, path, program string) {
	t.Helper()
	c.WriteFile(t, path, read(t, filepath.Join(programs.Dir(t), program)), 0o755)
}

// Three hosts for both playbooks: they are what takes long.
func TestIntegrationFleet(t *testing.T) {
	var hosts []*container.Container
	for range 3 {
		c := kvm(t, "bookworm")
		put(t, c, "/usr/local/bin/virt-mtu", "virt-mtu")
		wire(t, c)
		hosts = append(hosts, c)
	}
	ctl := New(t, hosts...)
	carries(t, hosts[1], "1500")
	t.Run("evacuate", func(t *testing.T) { evacuates(t, ctl, hosts[0], hosts[1]) })
	for _, h := range hosts {
		jumbo(t, h, "web1")
	}
	carries(t, hosts[1], "1500")
	t.Run("audit", func(t *testing.T) { audits(t, ctl, hosts) })
}

// carries sets what gets out of br0 of a host.
func carries(t testing.TB, c *container.Container, mtu string) {
	t.Helper()
	for _, dev := range []string{"eno1", "br0"} {
		c.Run(t, "ip", "link", "set", dev, "mtu", mtu)
	}
}

// One of three hosts has less than the others; then two are gone.
func audits(t *testing.T, ctl *Controller, hosts []*container.Container) {
	dir := t.TempDir()
	vars := map[string]any{
		"virt_mtu_audit_dir":     dir,
		"virt_mtu_audit_program": filepath.Join(programs.Dir(t), "virt-mtu"),
	}
	report := func() check.Report {
		t.Helper()
		var r check.Report
		if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "report.json"))), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	findings := func(r check.Report, host string) (said string) {
		for _, h := range r.Hosts {
			if h.Name == host {
				for _, f := range h.Findings {
					said += string(f.Code) + ": " + f.Message + "\n"
				}
			}
		}
		return said
	}

	// What is critical fails it, when all is written.
	r := ctl.Play(t, audit, vars)
	if r.Exit != 2 || !strings.Contains(r.Output, "critical, and virt_mtu_audit_accept is warning") {
		t.Fatalf("exit %d\n%s", r.Exit, r.Output)
	}
	for _, h := range hosts {
		if got := r.Hosts[h.Name]; got.OK == 0 || got.Changed != 0 {
			t.Errorf("%s: %+v", h.Name, got)
		}
	}
	got := report()
	if said := findings(got, hosts[1].Name); !strings.Contains(said, "peer-mismatch: bridge br0 carries 1500 here and 9000 on "+hosts[0].Name) {
		t.Errorf("of %s: %s", hosts[1].Name, said)
	}
	if said := findings(got, hosts[2].Name); strings.Contains(said, "peer-mismatch") {
		t.Errorf("of %s: %s", hosts[2].Name, said)
	}
	if text := read(t, filepath.Join(dir, "report.txt")); !strings.Contains(text, "peer-mismatch: bridge br0 carries 1500 here") || !strings.Contains(text, "could migrate to:") {
		t.Error(text)
	}
	if picture := html.UnescapeString(read(t, filepath.Join(dir, "report.svg"))); !strings.Contains(picture, "<svg") || !strings.Contains(picture, hosts[1].Name) {
		t.Error(picture)
	}

	// Unless that is accepted; in check mode all is written as well.
	if err := os.Remove(filepath.Join(dir, "report.json")); err != nil {
		t.Fatal(err)
	}
	vars["virt_mtu_audit_accept"] = "critical"
	if r := ctl.Play(t, audit, vars, "--check"); r.Exit != 0 {
		t.Errorf("exit %d\n%s", r.Exit, r.Output)
	}
	report()

	// One is gone, another has no virt-mtu: both are named, and the third is judged.
	hosts[1].Run(t, "rm", "/usr/local/bin/virt-mtu")
	hosts[2].Run(t, "bash", "-c", "systemctl stop ssh.service ssh.socket; kill $(pidof sshd)") // connections too
	r = ctl.Play(t, audit, vars)
	if r.Exit != 2 || !strings.Contains(r.Output, "not audited: "+hosts[1].Name+", "+hosts[2].Name) {
		t.Errorf("exit %d\n%s", r.Exit, r.Output)
	}
	got = report()
	for host, want := range map[string]string{
		hosts[1].Name: "not-known: not audited: Failed to find required executable",
		hosts[2].Name: "not-known: not audited: ",
	} {
		if said := findings(got, host); !strings.Contains(said, want) {
			t.Errorf("of %s: %s", host, said)
		}
	}
	if d := got.Hosts[0].Domains; len(d) != 1 || len(d[0].Interfaces) != 1 {
		t.Errorf("of %s: %+v", hosts[0].Name, d)
	}
}
