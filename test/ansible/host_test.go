package ansible

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"virt-mtu/test/container"
	"virt-mtu/test/lab"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := built(); builtOnce && err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

var builtOnce bool

// built is the folder with the project's programs.
var built = sync.OnceValues(func() (string, error) {
	builtOnce = true
	dir, err := os.MkdirTemp("", "virt-mtu-ansible.")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", dir, "virt-mtu/cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // static: hosts have other libraries
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

func binaries(t testing.TB) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// kvm boots a container as a KVM host: libvirtd that stays, and br0 at 9000.
func kvm(t testing.TB, release string) *container.Container {
	t.Helper()
	c := container.New(t, release)
	// Else it ends where it has nothing to do, and its socket starts another.
	c.WriteFile(t, "/etc/default/libvirtd", "LIBVIRTD_ARGS=\"\"\n", 0o644)
	c.Run(t, "systemctl", "restart", "libvirtd.service")
	c.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	c.Run(t, "ip", "link", "set", "br0", "mtu", "9000", "up")
	c.Run(t, "virsh", "-q", "list")
	return c
}

// define defines a guest with one NIC on br0.
func define(t testing.TB, c *container.Container, name, model string) {
	t.Helper()
	nic := fmt.Sprintf("<interface type='bridge'><source bridge='br0'/><model type='%s'/></interface>", model)
	c.WriteFile(t, "/run/lab/define.xml", lab.Domain(t, name, nic), 0o644)
	c.Run(t, "virsh", "-q", "define", "/run/lab/define.xml")
}
