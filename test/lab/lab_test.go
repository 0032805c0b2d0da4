package lab

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

// A host whose creator is killed must not stay behind.
func TestIntegrationHostDiesWithItsOwner(t *testing.T) {
	New(t) // skips; and makes the image before time counts
	t.Setenv("TMPDIR", t.TempDir())
	owner := exec.Command("bash", "-c", `"$0" up orphan; "$0" pid orphan; sleep 60`, string(machine.Find(t, script)))
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
	proc := filepath.Join("/proc", strings.TrimSpace(pid))
	state := filepath.Join(os.Getenv("TMPDIR"), "virt-mtu-lab.orphan")
	for _, path := range []string{proc, state} {
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	owner.Wait()
	gone(t, proc)
	gone(t, state)
}

func TestIntegrationHostIsPrivate(t *testing.T) {
	a, b := New(t), New(t)
	a.WriteFile(t, "/etc/libvirt/mark", "a", 0o644)
	a.WriteFile(t, "/var/lib/mark", "a", 0o644)
	a.WriteFile(t, "/run/mark", "a", 0o644)
	a.WriteFile(t, "/dev/mark", "a", 0o644)
	a.Bridge(t, "lab-private", 9000)
	for _, path := range []string{"/etc/libvirt/mark", "/var/lib/mark", "/run/mark", "/dev/mark", "/sys/class/net/lab-private"} {
		if a.Try(t, "ls", path).Exit != 0 {
			t.Errorf("host a lacks %s", path)
		}
		if b.Try(t, "ls", path).Exit == 0 {
			t.Errorf("host b has %s of host a", path)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("the machine has %s of host a", path)
		}
	}
	a.Run(t, "busybox", "logger", "-p", "daemon.err", "-t", "tag", "said in a")
	if log := a.Syslog(t); !strings.Contains(log, "daemon.err tag: said in a\n") {
		t.Errorf("syslog of a:\n%s", log)
	}
	if log := b.Syslog(t); strings.Contains(log, "said in a") {
		t.Errorf("syslog of b:\n%s", log)
	}
	a.Wire(t, "x0", b, "y0")
	for _, cmd := range [][]string{{"ip", "addr", "add", "198.51.100.1/24", "dev", "x0"}, {"ip", "link", "set", "x0", "up"}} {
		a.Run(t, cmd...)
	}
	for _, cmd := range [][]string{{"ip", "addr", "add", "198.51.100.2/24", "dev", "y0"}, {"ip", "link", "set", "y0", "up"}} {
		b.Run(t, cmd...)
	}
	if !a.Ping(t, "198.51.100.2", 1500) || a.Ping(t, "198.51.100.2", 1501) {
		t.Error("the cable from a to b does not carry just 1500")
	}
}

// gone waits until there is no such file.
func gone(t *testing.T, path string) {
	t.Helper()
	for range 100 {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%s is still there", path)
}
