package container

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"virt-mtu/test/machine"
)

// Two at once: each has its systemd, its network and its files; a cable joins them.
func TestIntegrationContainers(t *testing.T) {
	a, b := New(t, "bookworm"), New(t, "trixie")
	for release, c := range map[string]*Container{"bookworm": a, "trixie": b} {
		if got := c.Run(t, "cat", "/etc/os-release"); !strings.Contains(got, "VERSION_CODENAME="+release+"\n") {
			t.Errorf("not %s:\n%s", release, got)
		}
		if got := strings.TrimSpace(c.Run(t, "systemctl", "is-active", "libvirtd.service")); got != "active" {
			t.Errorf("%s: libvirtd is %s", release, got)
		}
		if got := c.ReadFile(t, "/proc/1/comm"); got != "systemd\n" {
			t.Errorf("%s: process 1 is %q", release, got)
		}
	}
	a.WriteFile(t, "/etc/mark", "a", 0o644)
	if b.Exists("/etc/mark") {
		t.Error("they share their files")
	}
	a.Wire(t, "x0", b, "y0")
	a.Run(t, "ip", "addr", "add", "198.51.100.1/24", "dev", "x0")
	a.Run(t, "ip", "link", "set", "x0", "up")
	b.Run(t, "ip", "addr", "add", "198.51.100.2/24", "dev", "y0")
	b.Run(t, "ip", "link", "set", "y0", "up")
	a.Run(t, "ping", "-c", "1", "-W", "5", "198.51.100.2")
	if len(groups(t, a.Name)) == 0 {
		t.Error("no cgroup of its own")
	}
}

// A container whose creator is killed must not stay behind, nor anything of it.
func TestIntegrationContainerDiesWithItsOwner(t *testing.T) {
	New(t, "bookworm") // skips; and makes the root before time counts
	t.Setenv("TMPDIR", t.TempDir())
	const name = "orphan"
	owner := exec.Command("bash", "-c", `"$0" up `+name+` bookworm; "$0" pid `+name+`; sleep 600`, string(machine.Find(t, script)))
	stdout, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	pid, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	there := []string{filepath.Join("/proc", strings.TrimSpace(pid)), filepath.Join(os.Getenv("TMPDIR"), "virt-mtu-container."+name)}
	there = append(there, groups(t, name)...)
	if len(there) < 3 {
		t.Errorf("no cgroup of its own: %q", there)
	}
	for _, path := range there {
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	owner.Wait()
	for _, path := range there {
		gone(t, path)
	}
	if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounts), "virt-mtu-container") {
		t.Errorf("mounts are left (%v):\n%s", err, mounts)
	}
}

// groups are the cgroups of the container of that name.
func groups(t *testing.T, name string) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		found, err := filepath.Glob(pattern + "virt-mtu-container." + name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// gone waits until there is no such file.
func gone(t *testing.T, path string) {
	t.Helper()
	for range 600 {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%s is still there", path)
}
