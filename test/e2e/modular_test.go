package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"virt-mtu/test/lab"
)

// Fedora's and RHEL's way: a daemon for QEMU, and one for networks, which the first asks.
// Debian has none of them. VIRT_MTU_MODULAR is a folder of libvirt's own build (meson
// compile), of this machine's libvirt version at least.
func TestIntegrationModularDaemons(t *testing.T) {
	t.Parallel()
	build := os.Getenv("VIRT_MTU_MODULAR")
	if build == "" {
		if _, err := exec.LookPath("virtqemud"); err != nil {
			t.Skip("no virtqemud here, and VIRT_MTU_MODULAR names no build of libvirt")
		}
	}
	h := lab.New(t)
	h.Bridge(t, "br0", 9000)
	installHook(t, h)

	program := func(name string) []string {
		if build == "" {
			return []string{name}
		}
		src := filepath.Join(build, "src")
		return []string{"env", "LD_LIBRARY_PATH=" + src, "LIBVIRT_DRIVER_DIR=" + src, filepath.Join(src, name)}
	}
	start := func(name string) {
		t.Helper()
		h.WriteFile(t, "/etc/libvirt/"+name+".conf", "unix_sock_group = \"root\"\nauth_unix_rw = \"none\"\nlog_outputs = \"2:file:/run/lab/"+name+".log\"\n", 0o644)
		h.Run(t, append(program(name), "--daemon", "--config", "/etc/libvirt/"+name+".conf")...)
	}
	stop := func(name string) {
		t.Helper()
		h.Run(t, "bash", "-c", `p=$(cat /run/`+name+`.pid); kill $p; while kill -0 $p 2>/dev/null; do sleep 0.05; done`)
	}
	// A client of Debian's looks for the monolithic daemon.
	virsh := func(args ...string) string {
		t.Helper()
		return h.Run(t, append([]string{"virsh", "-q", "-c", "qemu+unix:///system?socket=/run/libvirt/virtqemud-sock"}, args...)...)
	}
	define := func(name, network string) {
		t.Helper()
		nic := "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='" + network + "'/><model type='virtio'/></interface>"
		h.WriteFile(t, "/run/lab/"+name+".xml", h.Domain(t, name, nic), 0o644)
		virsh("define", "/run/lab/"+name+".xml")
	}

	d := watch(t, h)
	time.Sleep(rest) // it waits for a daemon, and starts none
	if h.Exists("/run/virtqemud.pid") {
		t.Fatal("there is a daemon already")
	}
	start("virtnetworkd")
	start("virtqemud")
	h.WriteFile(t, "/run/lab/net.xml", "<network><name>lan</name><forward mode='bridge'/><bridge name='br0'/></network>", 0o644)
	virsh("net-define", "/run/lab/net.xml")
	virsh("net-start", "lan")
	define("web1", "lan")
	soonMTU(t, h, "web1", "9000")

	t.Run("the hook", func(t *testing.T) {
		r := virtMTU(t, h, "hook", "status")
		wantSays(t, "hook status", r.Stdout+r.Stderr, "loaded")
		virsh("start", "web1")
		if got := h.WaitBoot(t, "web1"); got != 9000 {
			t.Errorf("it boots at %d", got)
		}
		virsh("destroy", "web1")
	})
	t.Run("commands", func(t *testing.T) {
		must(t, h, "fix", "--undo", "web1")
		if got := mtus(h, "web1"); got != "" {
			t.Errorf("undone, it has %s", got)
		}
		must(t, h, "fix", "web1")
		if got := mtus(h, "web1"); got != "9000" {
			t.Errorf("fixed, it has %s", got)
		}
		wantSays(t, "check", virtMTU(t, h, "check", "web1").Stdout, "on lan (bridge br0): ok")
	})
	t.Run("restarted", func(t *testing.T) {
		d.quiet(t)
		stop("virtqemud")
		start("virtqemud")
		define("web2", "lan")
		soonMTU(t, h, "web2", "9000")
		// The other one goes: bridges are known without it, networks are not.
		stop("virtnetworkd")
		start("virtnetworkd")
		define("web3", "lan")
		soonMTU(t, h, "web3", "9000")
	})
	if strings.Contains(d.log.String(), "level=ERROR") {
		t.Errorf("watch complains:\n%s", d.log)
	}
}
