package fix_test

import (
	"testing"
	"time"

	"virt-mtu/internal/fix"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
	"virt-mtu/test/lab"
)

// Who has no NIC yet may get one any time: that he wants to be left alone is known before.
func TestIntegrationIgnored(t *testing.T) {
	t.Parallel()
	h := lab.New(t)
	h.Libvirtd(t, "start")
	for _, name := range []string{"config1", "live1", "plain1"} {
		h.Define(t, h.Domain(t, name, ""))
	}
	h.WriteFile(t, "/run/lab/transient1.xml", h.Domain(t, "transient1", ""), 0o644)
	h.Run(t, "virsh", "-q", "start", "live1")
	h.Run(t, "virsh", "-q", "create", "/run/lab/transient1.xml")
	for name, where := range map[string]string{"config1": "--config", "live1": "--live", "transient1": "--live"} {
		h.Run(t, "virsh", "-q", "metadata", name, policy.MetadataURI, where, "--key", policy.MetadataKey, "--set", policy.IgnoreNode)
	}

	pool := libvirt.NewPool(t.Context(), "qemu:///system?socket="+h.Path("/run/libvirt/libvirt-sock"), time.Minute)
	defer pool.Close()
	conn, err := pool.Get()
	if err != nil {
		t.Fatal(err)
	}
	domains, err := conn.Domains()
	pool.Put(conn)
	if err != nil || len(domains) != 4 {
		t.Fatalf("%v, %v", domains, err)
	}
	f := fix.Fixer{Pool: pool, Host: fix.Here(), Config: policy.Default(), Options: fix.Options{Mode: plan.Upward, All: true}}
	report := f.Run(domains)
	for _, d := range report.Domains {
		if d.Error != "" || len(d.Interfaces) != 0 {
			t.Errorf("%+v", d)
		}
		if d.Ignored() != (d.Name != "plain1") {
			t.Errorf("%s: ignored %v", d.Name, d.Ignored())
		}
	}
}
