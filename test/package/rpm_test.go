package pkg

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"virt-mtu/test/container"
)

// rpm itself installs the files; there is no RPM distribution to be had where this is
// tested, so that its scripts run on Debian, below.
func TestIntegrationRPM(t *testing.T) {
	dir := built(t)
	at := t.TempDir()
	args := []string{"--root", at, "--nodeps", "--noscripts"}
	must(t, command(".", nil, "rpm", append(args, "-i", filepath.Join(dir, rpm(versions[0])))...))
	file := filepath.Join(at, config)
	edited := []byte("mtu = 9000 # mine\n")
	must(t, os.WriteFile(file, edited, 0o644))
	must(t, command(".", nil, "rpm", append(args, "-U", filepath.Join(dir, rpm(versions[1])))...))
	if now, err := os.ReadFile(file); err != nil || string(now) != string(edited) {
		t.Errorf("the config that somebody edited is now %q, %v", now, err)
	}
	for _, path := range []string{"/usr/bin/virt-mtu", program, "/usr/lib/systemd/system/" + watch, "/usr/share/man/man1/virt-mtu.1.gz"} {
		if _, err := os.Stat(filepath.Join(at, path)); err != nil {
			t.Error(err)
		}
	}
	out, err := exec.Command(at+"/usr/bin/virt-mtu", "--version").Output()
	if err != nil || !strings.Contains(string(out), versions[1]) {
		t.Errorf("%q, %v", out, err)
	}
	must(t, command(".", nil, "rpm", append(args, "-e", "virt-mtu")...))
	if _, err := os.Stat(filepath.Join(at, "usr/bin/virt-mtu")); err == nil {
		t.Error("it is not removed")
	}
}

// rpmScripts runs the scripts as rpm does in an upgrade, the new ones first, and at the
// end of the package's life: 2, 1 and 0 are how many of it there are then.
func rpmScripts(t *testing.T, c *container.Container) {
	t.Helper()
	script := func(name string, count string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(root, "packaging/scripts", name))
		must(t, err)
		c.WriteFile(t, "/run/lab/"+name, string(text), 0o755)
		return c.Run(t, "/run/lab/"+name, count)
	}
	c.Run(t, "bash", "-c", "echo old >>"+hook) // another build than the package's
	script("postinstall", "2")
	if !same(t, c, hook, program) {
		t.Error("rpm: the hook is not refreshed in an upgrade")
	}
	script("preremove", "1")
	script("postremove", "1")
	if !same(t, c, hook, program) || !c.Exists("/run/virt-mtu") {
		t.Error("rpm: an upgrade takes the hook out, or its queue")
	}
	script("preremove", "0")
	if c.Exists(hook) {
		t.Error("rpm: removal leaves the hook")
	}
	script("postremove", "0")
	if said := script("postinstall", "1"); c.Exists(hook) || !strings.Contains(said, "virt-mtu hook install") {
		t.Errorf("rpm: an installation puts the hook in, or does not say how to: %s", said)
	}
}
