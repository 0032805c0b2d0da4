package pkg

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"virt-mtu/test/container"
	"virt-mtu/test/lab"
	"virt-mtu/test/machine"
)

const root = "../.."

// What a package puts where, and what the hook is then.
const (
	config  = "/etc/virt-mtu/config.toml"
	program = "/usr/sbin/virt-mtu-qemu-hook"
	hook    = "/etc/libvirt/hooks/qemu.d/50-virt-mtu"
	watch   = "virt-mtu-watch.service"
)

// The versions that tests install, the older one first.
var versions = []string{"1.0.0", "1.0.1"}

func TestMain(m *testing.M) {
	status := m.Run()
	if builds.dir != "" {
		os.RemoveAll(builds.dir)
	}
	os.Exit(status)
}

var builds struct {
	once sync.Once
	dir  string
	err  error
}

// built returns the folder of packages of both versions, for the architecture that they are
// installed on here.
func built(t *testing.T) string {
	t.Helper()
	machine.Need(t, machine.Missing("building packages", "go", "dpkg-deb", "rpm", "lintian"))
	builds.once.Do(func() {
		if builds.dir, builds.err = os.MkdirTemp("", "virt-mtu-release."); builds.err != nil {
			return
		}
		for _, v := range versions {
			if builds.err == nil {
				builds.err = command(root, []string{"VERSION=" + v, "ARCHES=amd64"}, "packaging/packages", builds.dir)
			}
		}
	})
	if builds.err != nil {
		t.Fatal(builds.err)
	}
	return builds.dir
}

func command(dir string, env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
	}
	return nil
}

func deb(version string) string { return "virt-mtu_" + version + "-1_amd64.deb" }
func rpm(version string) string { return "virt-mtu-" + version + "-1.x86_64.rpm" }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLintian(t *testing.T) {
	dir := built(t)
	out, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", filepath.Join(dir, deb(versions[0]))).CombinedOutput()
	if err != nil || strings.Contains(string(out), "W: ") || strings.Contains(string(out), "E: ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The version is the same wherever one asks.
func TestVersions(t *testing.T) {
	dir := built(t)
	unpacked := t.TempDir()
	must(t, command(".", nil, "dpkg-deb", "-x", filepath.Join(dir, deb(versions[0])), unpacked))
	out, err := exec.Command(unpacked+"/usr/bin/virt-mtu", "--version").Output()
	must(t, err)
	if got := strings.TrimSpace(string(out)); got != "virt-mtu version "+versions[0] {
		t.Errorf("--version: %q", got)
	}
	// dpkg and rpm order these as they are meant.
	for _, pair := range [][2]string{{"0.0.0~git20261125000000.gabc", "1.0.0~rc1"}, {"1.0.0~rc1", "1.0.0"}, {"1.0.0", "1.0.0+4.gabc"}, {"1.0.0+4.gabc", "1.0.1"}} {
		if err := command(".", nil, "dpkg", "--compare-versions", pair[0], "lt", pair[1]); err != nil {
			t.Error(err)
		}
		out, err := exec.Command("rpm", "--eval", fmt.Sprintf("%%{lua:print(rpm.vercmp('%s','%s'))}", pair[0], pair[1])).Output()
		must(t, err)
		if strings.TrimSpace(string(out)) != "-1" {
			t.Errorf("rpm: %s is not before %s", pair[0], pair[1])
		}
	}
}

// host is a Debian machine with libvirt, a jumbo bridge, and the packages at /root.
func host(t *testing.T, release string) *container.Container {
	t.Helper()
	dir := built(t)
	c := container.New(t, release)
	c.Run(t, "mkdir", "-p", "/run/lab", "/etc/libvirt/hooks/qemu.d")
	c.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	c.Run(t, "ip", "link", "set", "br0", "mtu", "9000", "up")
	c.Run(t, "systemctl", "start", "libvirtd.service")
	c.Run(t, "virsh", "-q", "list")
	for _, v := range versions {
		b, err := os.ReadFile(filepath.Join(dir, deb(v)))
		must(t, err)
		c.WriteFile(t, "/root/"+deb(v), string(b), 0o644)
	}
	return c
}

func nic(model string) string {
	return "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='" + model + "'/></interface>"
}

func define(t *testing.T, c *container.Container, name, model string) {
	t.Helper()
	c.WriteFile(t, "/run/lab/define.xml", lab.Domain(t, name, nic(model)), 0o644)
	c.Run(t, "virsh", "-q", "define", "/run/lab/define.xml")
}

func pids(t *testing.T, c *container.Container) string {
	t.Helper()
	return c.Run(t, "pidof", "libvirtd") + c.Run(t, "pidof", "qemu-system-x86_64")
}

// active waits for a unit to be active or not; a moment passes where it is started anew.
func active(t *testing.T, c *container.Container, unit string, want bool) {
	t.Helper()
	for range 100 {
		if (c.Try(t, "systemctl", "--quiet", "is-active", unit).Exit == 0) == want {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("%s is not as it should be:\n%s", unit, c.Try(t, "systemctl", "status", "--no-pager", unit).Stdout)
}

func same(t *testing.T, c *container.Container, a, b string) bool {
	t.Helper()
	return c.Try(t, "cmp", "-s", a, b).Exit == 0
}

// executables are what libvirt would run.
func executables(t *testing.T, c *container.Container) string {
	t.Helper()
	return c.Run(t, "find", "/etc/libvirt/hooks", "-type", "f", "-perm", "/111")
}
