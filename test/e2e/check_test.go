package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/check"
	"virt-mtu/test/lab"
)

// checked runs check -o json and returns what it says of one domain's first NIC: the
// codes, and the path as "kind name mtu".
func checked(t testing.TB, h *lab.Host, domain string, args ...string) (codes, path string, r check.Report, res lab.Result) {
	t.Helper()
	res = virtMTU(t, h, slices.Concat([]string{"check", "-o", "json"}, args)...)
	if err := json.Unmarshal([]byte(res.Stdout), &r); err != nil {
		t.Fatalf("check: %v\n%s%s", err, res.Stdout, res.Stderr)
	}
	for _, d := range r.Hosts[0].Domains {
		if d.Name != domain {
			continue
		}
		var c, p []string
		for _, f := range d.Interfaces[0].Findings {
			c = append(c, string(f.Code))
		}
		for _, n := range d.Interfaces[0].Path {
			p = append(p, fmt.Sprintf("%s %s %d", n.Kind, n.Name, n.MTU))
		}
		codes, path = strings.Join(c, " "), strings.Join(p, ", ")
	}
	return codes, path, r, res
}

// A guest's way from nobody told it to all is well, as check sees it.
func TestIntegrationCheck(t *testing.T) {
	t.Parallel()
	h := jumbo(t)
	h.Uplink(t, "br0", "up0", 9000)
	h.WriteFile(t, "/run/lab/net.xml", "<network><name>lan</name><forward mode='bridge'/><bridge name='br0'/></network>", 0o644)
	h.Run(t, "virsh", "-q", "net-define", "/run/lab/net.xml")
	step := func(what, domain, wantCodes, wantPath string, exit int) {
		t.Helper()
		codes, path, _, res := checked(t, h, domain, domain)
		if codes != wantCodes || res.Exit != exit {
			t.Errorf("%s: exit %d, %q; want %d, %q\n%s", what, res.Exit, codes, exit, wantCodes, res.Stdout)
		}
		if d := cmp.Diff(wantPath, path); d != "" {
			t.Errorf("%s: path, want-, got+:\n%s", what, d)
		}
	}

	define(t, h, "web1", nic("virtio", 0))
	step("defined", "web1", "guest-not-told", "guest web1 1500, bridge br0 9000, uplink up0 9000", 1)
	start(t, h, "web1")
	step("started", "web1", "guest-not-told", "guest web1 1500, tap vnet0 9000, bridge br0 9000, uplink up0 9000", 1)
	must(t, h, "fix", "web1")
	step("fixed while it runs", "web1", "needs-cold-start", "guest web1 1500, tap vnet0 9000, bridge br0 9000, uplink up0 9000", 1)
	destroy(t, h, "web1")
	step("off", "web1", "", "guest web1 9000, bridge br0 9000, uplink up0 9000", 0)
	start(t, h, "web1")
	tap := domainTap(t, h, "web1")
	step("cold-started", "web1", "", "guest web1 9000, tap "+tap+" 9000, bridge br0 9000, uplink up0 9000", 0)
	h.Run(t, "ip", "link", "set", "dev", tap, "mtu", "1500")
	step("somebody lowers its tap", "web1", "guest-above-segment tap-below-bridge", "guest web1 9000, tap "+tap+" 1500, bridge br0 9000, uplink up0 9000", 2)
	h.Run(t, "ip", "link", "set", "dev", tap, "mtu", "9000")

	h.Run(t, "virsh", "-q", "managedsave", "web1")
	must(t, h, "fix", "--undo", "web1")
	step("saved, and undone", "web1", "guest-not-told needs-cold-start", "guest web1 1500, bridge br0 9000, uplink up0 9000", 1)
	h.Run(t, "virsh", "-q", "managedsave-remove", "web1")

	define(t, h, "net1", "<interface type='network'><mac address='52:54:00:00:00:09'/><source network='lan'/><model type='virtio'/><mtu size='9000'/></interface>")
	step("on a network that is off", "net1", "", "guest net1 9000, network lan 0, bridge br0 9000, uplink up0 9000", 0)

	t.Run("facts say the same", func(t *testing.T) {
		here := virtMTU(t, h, "check", "--all", "-o", "json")
		facts := virtMTU(t, h, "facts")
		h.WriteFile(t, "/run/lab/facts.json", facts.Stdout, 0o644)
		there := virtMTU(t, h, "check", "--facts", "/run/lab/facts.json", "-o", "json")
		wantSame(t, "check --facts", here.Stdout, there.Stdout)
		if here.Exit != there.Exit {
			t.Errorf("exit %d here, %d by facts", here.Exit, there.Exit)
		}
	})

	t.Run("a domain that is not there", func(t *testing.T) {
		_, _, _, res := checked(t, h, "web9", "web9")
		wantSays(t, "stderr", res.Stderr, "web9", "not found")
		if res.Exit != 3 {
			t.Errorf("exit %d", res.Exit)
		}
	})

	t.Run("a daemon that hangs", func(t *testing.T) {
		h.Libvirtd(t, "freeze")
		defer h.Libvirtd(t, "thaw")
		_, _, r, res := checked(t, h, "web1", "--timeout", "2s")
		if res.Exit != 3 || len(r.Hosts[0].Domains) != 0 {
			t.Errorf("exit %d\n%s", res.Exit, res.Stdout)
		}
		wantSays(t, "findings", res.Stdout, "libvirt did not answer within 2s")
	})

	t.Run("somebody who is not root", func(t *testing.T) {
		h.Run(t, "chmod", "700", "/run/libvirt/libvirt-sock")
		res := h.Try(t, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", bin(t, "virt-mtu"), "check")
		if res.Exit != 3 {
			t.Errorf("exit %d", res.Exit)
		}
		wantSays(t, "stdout", res.Stdout, "unknown not-known: connect to libvirt", "permission denied")
		wantSays(t, "stderr", res.Stderr, "hint: run this as root")
	})
}

// domainTap is the tap of a running domain's only NIC.
func domainTap(t testing.TB, h *lab.Host, domain string) string {
	t.Helper()
	out := h.Run(t, "virsh", "-q", "domiflist", domain)
	return strings.Fields(out)[0]
}
