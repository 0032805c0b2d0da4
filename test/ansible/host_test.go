package ansible

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"virt-mtu/test/container"
	"virt-mtu/test/lab"
	"virt-mtu/test/programs"
)

func TestMain(m *testing.M) { os.Exit(programs.Main(m)) }

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

// definition is the domain's persistent XML. Of metadata that are gone libvirt keeps an empty
// element.
func definition(t testing.TB, c *container.Container, name string) string {
	t.Helper()
	return strings.Replace(c.Run(t, "virsh", "dumpxml", "--inactive", "--security-info", name), "  <metadata/>\n", "", 1)
}

var bootMTU = regexp.MustCompile(`(?m)^BOOT-MTU (\d+) `)

// boot starts a guest, and returns the MTU with which its driver came up.
func boot(t testing.TB, c *container.Container, name string) string {
	t.Helper()
	c.Run(t, "virsh", "-q", "start", name)
	for range 1200 {
		if console, err := os.ReadFile(c.Path("/run/lab/" + name + ".console")); err == nil {
			if m := bootMTU.FindSubmatch(console); m != nil {
				return string(m[1])
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("guest %s does not boot", name)
	return ""
}

// libvirtd is its process: the number and when it started.
func libvirtd(t testing.TB, c *container.Container) string {
	t.Helper()
	return strings.TrimSpace(c.Run(t, "systemctl", "show", "--property=MainPID,ExecMainStartTimestampMonotonic", "libvirtd.service"))
}

// tree is every file that a deployment could touch: mode and size, and below /etc what is
// in it. What dpkg, systemd and libvirt keep for themselves is not in it.
func tree(t testing.TB, c *container.Container) string {
	t.Helper()
	var all strings.Builder
	for _, top := range []string{"/etc", "/usr", "/opt", "/root", "/srv", "/home", "/tmp", "/var/tmp", "/var/lib/prometheus", "/run/virt-mtu"} {
		err := filepath.WalkDir(c.Path(top), func(path string, d fs.DirEntry, err error) error {
			name := strings.TrimPrefix(path, c.Path("/"))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case name == "/root/.ansible", name == "/etc/libvirt/qemu", strings.Contains(name, "/tmp/systemd-private-"):
				return fs.SkipDir
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			fmt.Fprint(&all, name, " ", info.Mode())
			if info.Mode().IsRegular() {
				fmt.Fprint(&all, " ", info.Size())
				if top == "/etc" {
					fmt.Fprintf(&all, " %x", sha256.Sum256([]byte(read(t, path))))
				}
			}
			fmt.Fprintln(&all)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// debs are virt-mtu's .deb in two versions, which are two builds.
var debs = sync.OnceValues(func() (map[string]string, error) {
	dir, err := programs.Build()
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		to := filepath.Join(dir, version)
		cmd := exec.Command("../../packaging/packages", to)
		cmd.Env = append(os.Environ(), "VERSION="+version, "ARCHES="+runtime.GOARCH)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("packaging/packages: %w\n%s", err, out)
		}
		found, err := filepath.Glob(filepath.Join(to, "*.deb"))
		if err != nil || len(found) != 1 {
			return nil, fmt.Errorf("packages in %s: %q %w", to, found, err)
		}
		all[version] = found[0]
	}
	return all, nil
})

func deb(t testing.TB, version string) string {
	t.Helper()
	all, err := debs()
	if err != nil {
		t.Fatal(err)
	}
	return all[version]
}
