package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/test/container"
	"virt-mtu/test/lab"
)

const units = "/etc/systemd/system"

// The units of hook install --systemd, under the systemd and the libvirt of each Debian:
// written, run, kept where they are somebody's, taken out without a trace.
func TestIntegrationUnits(t *testing.T) {
	t.Parallel()
	for _, release := range []string{"bookworm", "trixie"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			c := container.New(t, release)
			for _, dir := range []string{"/usr/local/bin/", "/root/"} {
				for _, program := range []string{"virt-mtu", "qemu-hook"} {
					b, err := os.ReadFile(bin(t, program))
					if err != nil {
						t.Fatal(err)
					}
					c.WriteFile(t, dir+program, string(b), 0o755)
				}
			}
			before := unitFiles(t, c)
			unitsRefused(t, c, before)
			unitsRun(t, c)
			unitsKept(t, c)
			unitsGone(t, c, before)
			unitsPackaged(t, c)
		})
	}
}

// unitFiles are systemd's files of an admin and of packages.
func unitFiles(t *testing.T, c *container.Container) string {
	t.Helper()
	return c.Run(t, "find", "/etc/systemd", "/usr/lib/systemd/system", "/etc/libvirt/hooks")
}

// unitsCommand runs virt-mtu hook.
func unitsCommand(t *testing.T, c *container.Container, exit int, args ...string) lab.Result {
	t.Helper()
	r := c.Try(t, append([]string{"virt-mtu", "hook"}, args...)...)
	if r.Exit != exit {
		t.Fatalf("hook %s: exit %d, want %d\n%s%s", strings.Join(args, " "), r.Exit, exit, r.Stdout, r.Stderr)
	}
	return r
}

// What the units could not start, or somebody else could exchange, is refused before
// anything is done.
func unitsRefused(t *testing.T, c *container.Container, before string) {
	t.Helper()
	r := c.Try(t, "/root/virt-mtu", "hook", "install", "--systemd")
	wantSays(t, "from /root", r.Stderr, "ProtectHome=yes", "hint: install -m 0755 /root/virt-mtu /root/qemu-hook /usr/local/bin/")
	c.Run(t, "chmod", "g+w", "/usr/local/bin")
	wantSays(t, "from an open folder", unitsCommand(t, c, 1, "install", "--systemd").Stderr, `"/usr/local/bin" can be written to`, "chmod go-w /usr/local/bin")
	c.Run(t, "chmod", "g-w", "/usr/local/bin")
	wantSays(t, "a dry run", unitsCommand(t, c, 0, "install", "--systemd", "--dry-run").Stdout, "would install "+hookFile, "would write "+units+"/virt-mtu-watch.service")
	wantSame(t, "files after that", before, unitFiles(t, c))
}

// The daemon comes up in its sandbox, and does what it is for.
func unitsRun(t *testing.T, c *container.Container) {
	t.Helper()
	// Pressing Tab asks libvirt where it runs, and starts it by no socket.
	c.Run(t, "systemctl", "stop", "libvirtd.service")
	c.Run(t, "virt-mtu", "__complete", "fix", "")
	if state := c.Try(t, "systemctl", "is-active", "libvirtd.service", "libvirtd.socket").Stdout; state != "inactive\nactive\n" {
		t.Errorf("libvirtd and its socket after completion: %q", state)
	}
	c.Run(t, "virsh", "-q", "list")
	r := unitsCommand(t, c, 0, "install", "--systemd")
	wantSays(t, "install", r.Stdout, "wrote "+units+"/virt-mtu-watch.service", "systemd has read its units again", "none is enabled", "systemctl enable --now virt-mtu-watch.service")
	if on := c.Try(t, "systemctl", "is-enabled", "virt-mtu-watch.service", "virt-mtu-fix.path").Stdout; on != "disabled\ndisabled\n" {
		t.Errorf("after install: %q", on)
	}
	c.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	c.Run(t, "ip", "link", "set", "br0", "mtu", "9000", "up")
	c.Run(t, "systemctl", "enable", "--now", "virt-mtu-watch.service", "virt-mtu-fix.path", "virt-mtu-fix.timer", "virt-mtu-check.timer")
	pid := strings.TrimSpace(c.Run(t, "systemctl", "show", "--value", "--property=MainPID", "virt-mtu-watch.service"))
	if exe := c.Run(t, "readlink", "/proc/"+pid+"/exe"); exe != "/usr/local/bin/virt-mtu\n" {
		t.Errorf("the daemon is %q", exe)
	}
	c.WriteFile(t, "/run/define.xml", lab.Domain(t, "u1", nic("virtio", 0)), 0o644)
	c.Run(t, "virsh", "-q", "define", "/run/define.xml")
	eventually(t, "the daemon has put the <mtu> in", func() bool {
		return strings.Contains(c.Run(t, "virsh", "dumpxml", "--inactive", "u1"), "<mtu size='9000'/>")
	})
	c.Run(t, "systemctl", "start", "virt-mtu-fix.service") // the daemon runs: nothing to do

	files := c.Run(t, "bash", "-c", "stat -c '%n %i %y' "+units+"/virt-mtu-*")
	r = unitsCommand(t, c, 0, "install", "--systemd")
	wantSays(t, "install again", r.Stdout, "are in "+units+" already", "enabled: ")
	wantSame(t, "units after it", files, c.Run(t, "bash", "-c", "stat -c '%n %i %y' "+units+"/virt-mtu-*"))

	r = unitsCommand(t, c, 1, "uninstall", "--systemd")
	wantSays(t, "uninstall while they run", r.Stderr, "nothing removed", "hint: systemctl disable --now virt-mtu-check.timer virt-mtu-fix.path virt-mtu-fix.timer virt-mtu-watch.service")
	wantSame(t, "units after that", files, c.Run(t, "bash", "-c", "stat -c '%n %i %y' "+units+"/virt-mtu-*"))
	if !c.Exists(hookFile) {
		t.Error("the hook was removed")
	}
}

// One that somebody has edited is neither written over nor removed; another build's is
// exchanged, and what runs goes on.
func unitsKept(t *testing.T, c *container.Container) {
	t.Helper()
	const check = units + "/virt-mtu-check.service"
	was := c.ReadFile(t, check)
	c.WriteFile(t, check, was+"Nice=5\n", 0o644)
	r := unitsCommand(t, c, 1, "install", "--systemd")
	wantSays(t, "install over an edited one", r.Stderr, "has been edited", "systemctl edit virt-mtu-check.service")
	wantSame(t, "the edited one", was+"Nice=5\n", c.ReadFile(t, check))
	c.WriteFile(t, check, was, 0o644)

	c.Run(t, "cp", "-a", "/usr/local/bin/virt-mtu", "/usr/local/bin/qemu-hook", "/opt/")
	pid := c.Run(t, "systemctl", "show", "--property=MainPID", "virt-mtu-watch.service")
	moved := c.Try(t, "/opt/virt-mtu", "hook", "install", "--systemd")
	wantSays(t, "install from elsewhere", moved.Stdout, "updated "+units+"/virt-mtu-watch.service", "systemctl restart virt-mtu-watch.service")
	wantSays(t, "systemd", c.Run(t, "systemctl", "show", "--property=ExecStart", "virt-mtu-watch.service"), "/opt/virt-mtu")
	wantSame(t, "the daemon", pid, c.Run(t, "systemctl", "show", "--property=MainPID", "virt-mtu-watch.service"))
}

func unitsGone(t *testing.T, c *container.Container, before string) {
	t.Helper()
	c.Run(t, "systemctl", "disable", "--now", "virt-mtu-watch.service", "virt-mtu-fix.path", "virt-mtu-fix.timer", "virt-mtu-check.timer")
	unitsCommand(t, c, 0, "uninstall", "--systemd")
	c.Run(t, "rmdir", "/etc/libvirt/hooks/qemu.d") // which uninstall says it leaves
	wantSame(t, "files after uninstall", before, unitFiles(t, c))
	if left := c.Try(t, "systemctl", "list-unit-files", "--no-legend", "virt-mtu-*").Stdout; left != "" {
		t.Errorf("systemd has still:\n%s", left)
	}
	wantSays(t, "uninstall again", unitsCommand(t, c, 0, "uninstall", "--systemd").Stdout, "no units")
}

func unitsPackaged(t *testing.T, c *container.Container) {
	t.Helper()
	c.WriteFile(t, "/usr/lib/systemd/system/virt-mtu-watch.service", "[Service]\nExecStart=/usr/bin/virt-mtu watch\n", 0o644)
	r := unitsCommand(t, c, 0, "install", "--systemd")
	wantSays(t, "install where a package has them", r.Stdout, "/usr/lib/systemd/system already, by a package")
	if diff := cmp.Diff("", c.Run(t, "find", units, "-name", "*virt-mtu*")); diff != "" {
		t.Error(diff)
	}
}
