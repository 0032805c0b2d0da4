package ansible

import (
	"strings"
	"testing"

	"virt-mtu/test/container"
)

// site is the collection's playbook, all hosts at once.
const site = "virt_mtu.virt_mtu.site"

func binaryVars(t testing.TB) map[string]any {
	return map[string]any{
		"virt_mtu_serial":         100,
		"virt_mtu_install_method": "binary",
		"virt_mtu_binary_dir":     binaries(t),
		"virt_mtu_service":        "none",
	}
}

// On both releases at once.
func TestIntegrationBinary(t *testing.T) {
	hosts := []*container.Container{kvm(t, "bookworm"), kvm(t, "trixie")}
	for _, h := range hosts {
		define(t, h, "web1", "virtio")
	}
	ctl := New(t, hosts...)
	r := ctl.Play(t, site, binaryVars(t))
	if r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, r.Output)
	}
	r = ctl.Play(t, site, binaryVars(t))
	for _, h := range hosts {
		if got := r.Hosts[h.Name]; got.Changed != 0 || got.Failed != 0 || got.OK == 0 {
			t.Errorf("%+v", got)
		}
		if got := h.Run(t, "/usr/local/bin/virt-mtu", "hook", "status"); !strings.Contains(got, "installed and loaded") {
			t.Error(got)
		}
	}
}
