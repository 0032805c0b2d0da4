package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"virt-mtu/test/lab"
	"virt-mtu/test/programs"
)

func TestMain(m *testing.M) { os.Exit(programs.Main(m)) }

// bin is the path of one of the project's programs, which every host sees.
func bin(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(programs.Dir(t), name)
}

// installHook puts our hook where libvirt looks, without any help of virt-mtu's. Before
// libvirtd is started; else it needs a reload.
func installHook(t testing.TB, h *lab.Host) {
	t.Helper()
	const dir = "/etc/libvirt/hooks/qemu.d"
	h.Run(t, "mkdir", "-p", dir)
	h.Run(t, "install", bin(t, "qemu-hook"), dir+"/50-virt-mtu")
}

// nic is the XML of a NIC on bridge br0; mtu 0: without <mtu>.
func nic(model string, mtu int) string {
	size := ""
	if mtu != 0 {
		size = fmt.Sprintf("<mtu size='%d'/>", mtu)
	}
	return fmt.Sprintf("<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='%s'/>%s</interface>", model, size)
}

// start starts a domain and does not wait for its guest.
func start(t testing.TB, h *lab.Host, domain string) {
	t.Helper()
	h.Run(t, "virsh", "-q", "start", domain)
}

func destroy(t testing.TB, h *lab.Host, domain string) {
	t.Helper()
	h.Run(t, "virsh", "-q", "destroy", domain)
}

// state of a domain, in libvirt's words.
func state(t testing.TB, h *lab.Host, domain string) string {
	t.Helper()
	return strings.TrimSpace(h.Run(t, "virsh", "-q", "domstate", domain))
}

// persistent is the domain's definition, which its next cold start goes by.
func persistent(t testing.TB, h *lab.Host, domain string) string {
	t.Helper()
	return h.Run(t, "virsh", "dumpxml", "--inactive", domain)
}

// live is the XML of the running domain.
func live(t testing.TB, h *lab.Host, domain string) string {
	t.Helper()
	return h.Run(t, "virsh", "dumpxml", domain)
}
