package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/finding"
	"virt-mtu/test/lab"
)

const hookFile = "/etc/libvirt/hooks/qemu.d/50-virt-mtu"

// TestIntegrationHookCommand holds virt-mtu hook to its promises on a libvirtd that has
// seen no hook yet.
func TestIntegrationHookCommand(t *testing.T) {
	h := lab.New(t)
	h.Bridge(t, "br0", 9000)
	h.Libvirtd(t, "start")
	h.Define(t, h.Domain(t, "k1", nic("virtio", 0)))
	started := daemonPID(t, h)

	missing := hookStatus(t, h, 1)
	if diff := cmp.Diff(hookJSON{Path: hookFile, Codes: []finding.Code{finding.HookMissing}}, missing); diff != "" {
		t.Errorf("before install: %s", diff)
	}
	t.Run("refused domains stop it", func(t *testing.T) { installRefused(t, h) })
	t.Run("a bridge that is held down", func(t *testing.T) { installSeesThroughDrag(t, h) })
	t.Run("loaded without a restart", func(t *testing.T) { installLoads(t, h) })
	t.Run("a foreign file stays", func(t *testing.T) { foreignHook(t, h) })
	t.Run("beside other hooks", func(t *testing.T) { besideOthers(t, h) })
	t.Run("a second copy", func(t *testing.T) { secondCopy(t, h) })
	t.Run("put there by hand", func(t *testing.T) { byHand(t, h) })
	if now := daemonPID(t, h); now != started {
		t.Errorf("libvirtd was pid %s, and is %s", started, now)
	}
	t.Run("no daemon", func(t *testing.T) { noDaemon(t, h) })
}

func installRefused(t *testing.T, h *lab.Host) {
	old := strings.Replace(nic("rtl8139", 0), ":00:01", ":00:02", 1)
	h.Define(t, h.Domain(t, "old one", old))
	r := hookCommand(t, h, "install")
	if r.Exit != 1 || h.Exists(hookFile) {
		t.Fatalf("exit %d, hook there: %v\n%s", r.Exit, h.Exists(hookFile), r.Stderr)
	}
	for _, want := range []string{"'old one'", "52:54:00:00:00:02", "rtl8139 carries at most 1500", "hint: give the NIC <model type='virtio'/>", "--force"} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("no %q in:\n%s", want, r.Stderr)
		}
	}
	if strings.Contains(r.Stderr, "k1") {
		t.Errorf("a domain that is not refused is named:\n%s", r.Stderr)
	}
	if r := hookCommand(t, h, "install", "--force"); r.Exit != 0 || !h.Exists(hookFile) {
		t.Errorf("--force: exit %d\n%s", r.Exit, r.Stderr)
	}
	if r := hookCommand(t, h, "install"); r.Exit != 0 { // it refuses that one already
		t.Errorf("again: exit %d\n%s", r.Exit, r.Stderr)
	}
	h.Run(t, "virsh", "-q", "undefine", "old one")
	if r := hookCommand(t, h, "uninstall"); r.Exit != 0 || h.Exists(hookFile) {
		t.Errorf("uninstall: exit %d\n%s", r.Exit, r.Stderr)
	}
	if runsHook(t, h) {
		t.Error("uninstalled, and still run")
	}
}

// A bridge that is held down when the hook is installed may be up at the next start.
func installSeesThroughDrag(t *testing.T, h *lab.Host) {
	h.Bridge(t, "br7", 0)
	h.Uplink(t, "br7", "up7", 9000)
	h.Run(t, "ip", "tuntap", "add", "low7", "mode", "tap")
	h.Run(t, "ip", "link", "set", "low7", "master", "br7")
	define(t, h, "old7", strings.Replace(nic("rtl8139", 0), "br0", "br7", 1))
	r := hookCommand(t, h, "install")
	if r.Exit != 1 || !strings.Contains(r.Stderr, "old7") || h.Exists(hookFile) {
		t.Errorf("exit %d at a bridge of %d\n%s%s", r.Exit, h.MTU(t, "br7"), r.Stdout, r.Stderr)
	}
	h.Run(t, "virsh", "-q", "undefine", "old7")
}

func installLoads(t *testing.T, h *lab.Host) {
	if r := hookCommand(t, h, "install"); r.Exit != 0 || !strings.Contains(r.Stdout, "reloaded libvirtd") {
		t.Fatalf("install: exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
	}
	if !runsHook(t, h) {
		t.Error("installed, and not run")
	}
	if diff := cmp.Diff(hookJSON{Installed: true, Loaded: true, Path: hookFile}, hookStatus(t, h, 0)); diff != "" {
		t.Error(diff)
	}
	if l := h.Run(t, "stat", "-c", "%F %a %u", hookFile); l != "regular file 755 0\n" {
		t.Errorf("the hook is a %s", l)
	}
	if r := hookCommand(t, h, "install"); r.Exit != 0 || strings.Contains(r.Stdout, "reloaded") {
		t.Errorf("again: exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
	}
}

func foreignHook(t *testing.T, h *lab.Host) {
	hookCommand(t, h, "uninstall")
	const text = "#!/bin/sh\necho mine\n"
	h.WriteFile(t, hookFile, text, 0o755)
	defer h.Run(t, "rm", hookFile)
	for _, verb := range []string{"install", "uninstall"} {
		r := hookCommand(t, h, verb)
		if r.Exit != 1 || !strings.Contains(r.Stderr, "not virt-mtu's") || !strings.Contains(r.Stderr, "hint: ") {
			t.Errorf("%s: exit %d\n%s", verb, r.Exit, r.Stderr)
		}
	}
	if got := h.ReadFile(t, hookFile); got != text {
		t.Errorf("it is now %q", got)
	}
	if s := hookStatus(t, h, 1); s.Installed || s.Loaded {
		t.Errorf("%+v", s)
	}
}

// Each hook is called, ours among them; theirs are the same afterwards.
func besideOthers(t *testing.T, h *lab.Host) {
	h.Hook(t, "qemu", recorder)
	h.Hook(t, "qemu.d/10-other", recorder)
	look := []string{"stat", "-c", "%n %i %a %y %z", "/etc/libvirt/hooks/qemu", "/etc/libvirt/hooks/qemu.d/10-other"}
	before := h.Run(t, look...)
	if r := hookCommand(t, h, "install"); r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
	}
	ops(t, h)
	if !runsHook(t, h) {
		t.Error("ours is not run")
	}
	calls := strings.Join(ops(t, h), "\n")
	for _, want := range []string{"qemu start", "10-other start"} {
		if !strings.Contains(calls, want) {
			t.Errorf("no %q in:\n%s", want, calls)
		}
	}
	hookCommand(t, h, "uninstall")
	if diff := cmp.Diff(before, h.Run(t, look...)); diff != "" {
		t.Error(diff)
	}
	for _, other := range []string{"qemu", "qemu.d/10-other"} {
		if got := h.ReadFile(t, "/etc/libvirt/hooks/"+other); got != recorder {
			t.Errorf("%s is now %q", other, got)
		}
	}
	h.Run(t, "rm", "/etc/libvirt/hooks/qemu", "/etc/libvirt/hooks/qemu.d/10-other")
}

func secondCopy(t *testing.T, h *lab.Host) {
	h.Run(t, "install", bin(t, "qemu-hook"), "/etc/libvirt/hooks/qemu")
	defer h.Run(t, "rm", "/etc/libvirt/hooks/qemu")
	r := hookCommand(t, h, "install")
	if r.Exit != 0 || !strings.Contains(r.Stderr, "/etc/libvirt/hooks/qemu") {
		t.Errorf("install says nothing of it: exit %d\n%s", r.Exit, r.Stderr)
	}
	want := hookJSON{Installed: true, Loaded: true, Path: hookFile, Codes: []finding.Code{finding.HookShadowed}}
	if diff := cmp.Diff(want, hookStatus(t, h, 1)); diff != "" {
		t.Error(diff)
	}
}

// A copy that nobody told libvirtd of is not run, and status says so.
func byHand(t *testing.T, h *lab.Host) {
	hookCommand(t, h, "uninstall")
	h.Libvirtd(t, "reload")
	installHook(t, h)
	if runsHook(t, h) {
		t.Fatal("libvirtd runs it: what is expected of it is not so")
	}
	want := hookJSON{Installed: true, Path: hookFile, Codes: []finding.Code{finding.HookNotLoaded}}
	if diff := cmp.Diff(want, hookStatus(t, h, 1)); diff != "" {
		t.Error(diff)
	}
	if r := hookCommand(t, h, "install"); r.Exit != 0 || !runsHook(t, h) {
		t.Errorf("install: exit %d\n%s", r.Exit, r.Stderr)
	}
}

// Without libvirtd nothing can be checked, and --force goes on; libvirtd finds the hook
// when it starts.
func noDaemon(t *testing.T, h *lab.Host) {
	hookCommand(t, h, "uninstall")
	h.Libvirtd(t, "stop")
	if r := hookCommand(t, h, "install"); r.Exit != 1 || h.Exists(hookFile) {
		t.Errorf("install: exit %d\n%s", r.Exit, r.Stderr)
	}
	if r := hookCommand(t, h, "install", "--force"); r.Exit != 0 {
		t.Errorf("install --force: exit %d\n%s", r.Exit, r.Stderr)
	}
	want := hookJSON{Installed: true, Loaded: true, Path: hookFile}
	if diff := cmp.Diff(want, hookStatus(t, h, 0)); diff != "" {
		t.Error(diff)
	}
	h.Libvirtd(t, "start")
	if diff := cmp.Diff(want, hookStatus(t, h, 0)); diff != "" {
		t.Error(diff)
	}
	if !runsHook(t, h) {
		t.Error("not run")
	}
}

func hookCommand(t *testing.T, h *lab.Host, args ...string) lab.Result {
	t.Helper()
	return h.Try(t, append([]string{bin(t, "virt-mtu"), "hook"}, args...)...)
}

// hookJSON is what hook status -o json says, with the codes of its problems.
type hookJSON struct {
	Installed bool
	Loaded    bool
	Path      string
	Codes     []finding.Code     `json:"-"`
	Problems  *[]finding.Finding `json:"problems"`
}

func hookStatus(t *testing.T, h *lab.Host, exit int) hookJSON {
	t.Helper()
	r := hookCommand(t, h, "status", "-o", "json")
	if r.Exit != exit {
		t.Errorf("status: exit %d, want %d\n%s%s", r.Exit, exit, r.Stdout, r.Stderr)
	}
	var s hookJSON
	if err := json.Unmarshal([]byte(r.Stdout), &s); err != nil {
		t.Fatalf("%v\n%s", err, r.Stdout)
	}
	if s.Problems == nil {
		t.Fatalf("problems are null or not there:\n%s", r.Stdout)
	}
	for _, p := range *s.Problems {
		s.Codes = append(s.Codes, p.Code)
	}
	s.Problems = nil
	return s
}

// runsHook starts and destroys k1, which has no <mtu> on a bridge of 9000: our hook, if
// it runs, says so in syslog.
func runsHook(t *testing.T, h *lab.Host) bool {
	t.Helper()
	before := strings.Count(h.Syslog(t), `virt-mtu-hook`)
	start(t, h, "k1")
	destroy(t, h, "k1")
	return strings.Count(h.Syslog(t), `virt-mtu-hook`) > before
}

func daemonPID(t *testing.T, h *lab.Host) string {
	t.Helper()
	b, err := os.ReadFile(h.Path("/run/libvirtd.pid"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
