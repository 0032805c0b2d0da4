package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"virt-mtu/test/lab"
)

// jumbo is a host with libvirtd and a bridge br0 pinned at 9000.
func jumbo(t *testing.T) *lab.Host {
	t.Helper()
	h := lab.New(t)
	h.Bridge(t, "br0", 9000)
	h.Libvirtd(t, "start")
	return h
}

// define defines a domain that is not meant to boot far.
func define(t testing.TB, h *lab.Host, name, interfaces string) {
	t.Helper()
	h.Define(t, h.Domain(t, name, interfaces))
}

func TestIntegrationFix(t *testing.T) {
	t.Parallel()
	h := jumbo(t)

	t.Run("injects and undoes, and tells in JSON", func(t *testing.T) {
		define(t, h, "web1", nic("virtio", 0))
		before := persistent(t, h, "web1")

		got := fixed(t, h, "--dry-run", "web1")
		want := iface{MAC: "52:54:00:00:00:01", Model: "virtio", Type: "bridge", Source: "br0",
			Target: 9000, Action: "inject", Told: "virtio", Pending: "none"}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(iface{}, "Reason")); d != "" {
			t.Errorf("want-, got+:\n%s", d)
		}
		wantSame(t, "after a dry run", before, persistent(t, h, "web1"))

		diff := must(t, h, "fix", "--dry-run", "--diff", "web1")
		wantSays(t, "the diff", diff, "\n+      <mtu size='9000'/>\n", "would change")

		fixed(t, h, "web1")
		after := persistent(t, h, "web1")
		wantSame(t, "but for the mtu and the record", before, without(after, "<mtu ", "virt-mtu-owned", "metadata>"))
		if !hasMTU(after, "9000") {
			t.Error("no <mtu>")
		}
		if got := fixed(t, h, "web1"); got.Action != "none" || got.Current != 9000 {
			t.Errorf("twice is not once: %+v", got)
		}

		must(t, h, "fix", "--undo", "web1")
		wantSame(t, "after undo", before, without(persistent(t, h, "web1"), "<metadata/>"))
		if got := fixed(t, h, "--undo", "web1"); got.Action != "none" {
			t.Errorf("undone twice: %+v", got)
		}
	})

	t.Run("what an admin wrote stays, unless forced, and comes back", func(t *testing.T) {
		define(t, h, "own1", nic("virtio", 2000))
		before := persistent(t, h, "own1")
		if got := fixed(t, h, "own1"); got.Action != "none" || got.Target != 2000 {
			t.Errorf("%+v", got)
		}
		wantSame(t, "own1", before, persistent(t, h, "own1"))
		if got := fixed(t, h, "--force", "own1"); got.Action != "update" || got.Target != 9000 {
			t.Errorf("%+v", got)
		}
		if !hasMTU(persistent(t, h, "own1"), "9000") {
			t.Error("--force did not")
		}
		must(t, h, "fix", "--undo", "own1")
		wantSame(t, "after undo", before, without(persistent(t, h, "own1"), "<metadata/>"))
	})

	t.Run("forced, then fixed again, it still comes back", func(t *testing.T) {
		h.Bridge(t, "br5", 1500)
		define(t, h, "own2", strings.Replace(nic("virtio", 8000), "br0", "br5", 1))
		before := persistent(t, h, "own2")
		fixed(t, h, "--force", "own2")
		if got := fixed(t, h, "own2"); got.Action != "none" || got.Current != 1500 {
			t.Errorf("%+v", got)
		}
		must(t, h, "fix", "--undo", "own2")
		wantSame(t, "after undo", before, without(persistent(t, h, "own2"), "<metadata/>"))
	})

	t.Run("ignore", func(t *testing.T) {
		define(t, h, "ign1", nic("virtio", 0))
		must(t, h, "fix", "ign1")
		must(t, h, "fix", "--undo", "--ignore", "ign1")
		if got := fixed(t, h, "ign1"); got.Action != "skip" || got.Target != 0 {
			t.Errorf("%+v", got)
		}
		if hasMTU(persistent(t, h, "ign1"), "9000") {
			t.Error("an ignored domain got its <mtu> back")
		}
		h.Run(t, "virsh", "-q", "metadata", "ign1", "urn:virt-mtu:policy:1", "--config", "--key", "virt-mtu", "--set", "<domain mtu='4000'/>")
		if got := fixed(t, h, "ign1"); got.Action != "inject" || got.Target != 4000 {
			t.Errorf("metadata with a number: %+v", got)
		}
	})

	t.Run("loses nothing of the user's", func(t *testing.T) {
		xml := h.Domain(t, "rich1", nic("virtio", 0))
		xml = strings.Replace(xml, "</devices>", "<graphics type='vnc' port='-1' passwd='geheim'/>"+
			"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/run/lab/rich1.qcow2'/><target dev='vda'/></disk></devices>", 1)
		xml = strings.Replace(xml, "<memory", "<title>a 'title' &amp; more</title><metadata><x:note xmlns:x='urn:example:1'>mine</x:note></metadata><memory", 1)
		h.Run(t, "qemu-img", "create", "-q", "-f", "qcow2", "/run/lab/rich1.qcow2", "10M")
		h.Define(t, xml)
		h.Run(t, "virsh", "-q", "autostart", "rich1")
		h.Run(t, "virsh", "-q", "snapshot-create-as", "rich1", "s1")
		secure := func() string { return h.Run(t, "virsh", "dumpxml", "--inactive", "--security-info", "rich1") }
		before, snapshots := secure(), h.Run(t, "virsh", "snapshot-dumpxml", "--security-info", "rich1", "s1")

		out := must(t, h, "fix", "--diff", "rich1")
		if strings.Contains(out, "geheim") {
			t.Error("the diff shows a password")
		}
		after := secure()
		wantSays(t, "after fix", after, "passwd='geheim'", "<x:note", "urn:virt-mtu:owned:1", "<mtu size='9000'/>")
		wantSame(t, "but for the mtu and the record", before, without(after, "<mtu ", "virt-mtu-owned"))
		wantSays(t, "dominfo", h.Run(t, "virsh", "dominfo", "rich1"), "Autostart:      enable")
		wantSame(t, "the snapshot", snapshots, h.Run(t, "virsh", "snapshot-dumpxml", "--security-info", "rich1", "s1"))

		must(t, h, "fix", "--undo", "rich1")
		wantSame(t, "after undo", before, secure())
	})

	t.Run("refuses what cannot work, and does the rest", func(t *testing.T) {
		define(t, h, "mix1", nic("rtl8139", 0)+strings.Replace(nic("virtio", 0), "00:01", "00:02", 1))
		r, res := fixJSON(t, h, "mix1")
		if res.Exit != 1 {
			t.Errorf("exit %d", res.Exit)
		}
		got := []string{r.Domains[0].Interfaces[0].Action, r.Domains[0].Interfaces[1].Action}
		if d := cmp.Diff([]string{"refuse", "inject"}, got); d != "" {
			t.Error(d)
		}
		text := virtMTU(t, h, "fix", "mix1").Stdout
		wantSays(t, "the text", text, "rtl8139 carries at most 1500, but bridge br0 has 9000", "<model type='virtio'/> (virsh edit mix1)")
	})

	t.Run("a number", func(t *testing.T) {
		define(t, h, "num1", nic("virtio", 0))
		for _, n := range []string{"4000", "2000", "8000"} {
			if got := fixed(t, h, "--mtu", n, "num1"); fmt.Sprint(got.Target) != n {
				t.Errorf("%+v", got)
			}
			if !hasMTU(persistent(t, h, "num1"), n) {
				t.Errorf("not at %s", n)
			}
		}
		r := virtMTU(t, h, "fix", "--mtu", "9500", "num1")
		wantSays(t, "more than is carried", r.Stdout, "larger packets will vanish")
		if got := fixed(t, h, "--mtu", "1500", "num1"); got.Action != "remove" {
			t.Errorf("%+v", got)
		}
	})

	t.Run("a number that is there already is asked for all the same", func(t *testing.T) {
		define(t, h, "num2", nic("virtio", 0))
		must(t, h, "fix", "num2")
		must(t, h, "fix", "--mtu", "9000", "num2")
		wantSays(t, "the record", persistent(t, h, "num2"), `asked="yes"`)
		must(t, h, "fix", "num2")
		if strings.Contains(persistent(t, h, "num2"), "asked") {
			t.Error("fixed without a number, it is still asked for")
		}
	})

	t.Run("every domain is tried", func(t *testing.T) {
		r, res := fixJSON(t, h, "nope", "web1", "web1", "11111111-2222-3333-4444-555555555555")
		if res.Exit != 1 || len(r.Domains) != 3 {
			t.Fatalf("exit %d: %s", res.Exit, res.Stdout)
		}
		wantSays(t, "stderr", res.Stderr, `virt-mtu: fix nope: look up domain "nope"`)
		if r.Domains[0].Name != "web1" || r.Domains[0].Error != "" || r.Domains[1].Error == "" {
			t.Error(res.Stdout)
		}
	})

	t.Run("names as they come", func(t *testing.T) {
		for _, name := range []string{"with space", `quote'"<&>`, "-dash", strings.Repeat("n", 200), "42"} {
			xml := h.Domain(t, "NAME", nic("virtio", 0))
			esc := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(name)
			h.Define(t, strings.Replace(xml, "<name>NAME</name>", "<name>"+esc+"</name>", 1))
			if got := fixed(t, h, "--", name); got.Action != "inject" {
				t.Errorf("%q: %+v", name, got)
			}
		}
	})

	t.Run("two NICs with one MAC", func(t *testing.T) {
		define(t, h, "twin1", nic("virtio", 0)+nic("virtio", 0))
		if got := fixed(t, h, "twin1"); got.Action != "skip" {
			t.Errorf("%+v", got)
		}
	})

	t.Run("metadata that does not parse, and the hint puts it right", func(t *testing.T) {
		define(t, h, "bad$1", nic("virtio", 0))
		for uri, node := range map[string]string{"urn:virt-mtu:policy:1": "<domain mtu='ignroe'/>", "urn:virt-mtu:owned:1": "<nics><nic/></nics>"} {
			h.Run(t, "virsh", "-q", "metadata", "bad$1", uri, "--config", "--key", "x", "--set", node)
			r := virtMTU(t, h, "fix", "bad$1")
			_, hint, _ := strings.Cut(r.Stderr, "\nhint: ")
			if r.Exit != 1 || !strings.HasPrefix(hint, "virsh metadata 'bad$1' "+uri) {
				t.Fatalf("exit %d: %s", r.Exit, r.Stderr)
			}
			h.Run(t, "bash", "-c", hint)
			must(t, h, "fix", "bad$1")
		}
	})

	t.Run("macvtap is left alone", func(t *testing.T) {
		define(t, h, "dir1", "<interface type='direct'><mac address='52:54:00:00:00:01'/><source dev='br0' mode='bridge'/><model type='virtio'/></interface>")
		if got := fixed(t, h, "--mtu", "9000", "dir1"); got.Action != "skip" || got.Told != "no" || got.Source != "br0" {
			t.Errorf("%+v", got)
		}
	})

	t.Run("networks", func(t *testing.T) {
		h.WriteFile(t, "/run/lab/net.xml", "<network><name>storage</name><forward mode='bridge'/><bridge name='br0'/></network>", 0o644)
		h.Run(t, "virsh", "-q", "net-define", "/run/lab/net.xml")
		define(t, h, "net1", "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='storage'/><model type='virtio'/></interface>")
		if got := fixed(t, h, "net1"); got.Action != "inject" || got.Source != "storage" || got.Target != 9000 {
			t.Errorf("%+v", got)
		}
	})

	t.Run("all", func(t *testing.T) {
		r, res := fixJSON(t, h, "--all")
		if names := h.Run(t, "virsh", "-q", "list", "--all", "--name"); len(r.Domains) != len(strings.Fields(strings.ReplaceAll(names, "with space", "x"))) {
			t.Errorf("%d domains of\n%s%s", len(r.Domains), names, res.Stderr)
		}
	})

	t.Run("a bridge held down lowers nobody", func(t *testing.T) {
		h.Bridge(t, "br1", 0)
		h.Uplink(t, "br1", "up1", 9000)
		define(t, h, "low1", strings.Replace(nic("virtio", 0), "br0", "br1", 1))
		must(t, h, "fix", "low1")
		if !hasMTU(persistent(t, h, "low1"), "9000") {
			t.Fatal("not at its uplink's 9000")
		}
		h.Run(t, "ip", "tuntap", "add", "drag", "mode", "tap")
		h.Run(t, "ip", "link", "set", "drag", "master", "br1")
		if got := h.MTU(t, "br1"); got != 1500 {
			t.Fatalf("br1 has %d: not dragged", got)
		}
		got := fixed(t, h, "low1")
		if got.Action != "skip" || !hasMTU(persistent(t, h, "low1"), "9000") {
			t.Errorf("%+v", got)
		}
		wantSays(t, "the reason", got.Reason, "port drag has 1500")
		if got := fixed(t, h, "--lower", "low1"); got.Action != "remove" {
			t.Errorf("%+v", got)
		}
	})
}

// without takes out the lines that hold one of the words.
func without(text string, words ...string) string {
	var keep []string
	for _, line := range strings.Split(text, "\n") {
		drop := false
		for _, w := range words {
			drop = drop || strings.Contains(line, w)
		}
		if !drop {
			keep = append(keep, line)
		}
	}
	return strings.Join(keep, "\n")
}

func TestIntegrationFixRunning(t *testing.T) {
	t.Parallel()
	h := jumbo(t)

	t.Run("the tap now, the definition for the next cold start", func(t *testing.T) {
		define(t, h, "run1", nic("virtio", 0))
		start(t, h, "run1")
		h.Run(t, "ip", "link", "set", "vnet0", "mtu", "1500")
		got := fixed(t, h, "--dry-run", "run1")
		if got.Device != "vnet0" || got.Pending != "cold-start" || h.MTU(t, "vnet0") != 1500 {
			t.Errorf("dry run: %+v, tap at %d", got, h.MTU(t, "vnet0"))
		}
		out := must(t, h, "fix", "run1")
		wantSays(t, "fix", out, "tap vnet0: mtu 1500 -> 9000", "waits for a cold start")
		if h.MTU(t, "vnet0") != 9000 || !hasMTU(persistent(t, h, "run1"), "9000") || hasMTU(live(t, h, "run1"), "9000") {
			t.Error("not the tap and the definition alone")
		}
		if got := fixed(t, h, "run1"); got.Action != "none" || got.Pending != "cold-start" {
			t.Errorf("again: %+v", got)
		}
		destroy(t, h, "run1")
		start(t, h, "run1")
		if got := fixed(t, h, "run1"); got.Pending != "none" {
			t.Errorf("cold-started: %+v", got)
		}
		destroy(t, h, "run1")
	})

	t.Run("to be left alone is said to the running domain or to its definition", func(t *testing.T) {
		define(t, h, "ign2", nic("virtio", 0))
		start(t, h, "ign2")
		dev := strings.Fields(h.Run(t, "virsh", "-q", "domiflist", "ign2"))[0]
		h.Run(t, "ip", "link", "set", dev, "mtu", "1500")
		for _, where := range []string{"--live", "--config"} {
			set := []string{"virsh", "-q", "metadata", "ign2", "urn:virt-mtu:policy:1", where}
			h.Run(t, append(set, "--key", "virt-mtu", "--set", "<domain mtu='ignore'/>")...)
			if got := fixed(t, h, "ign2"); got.Action != "skip" || h.MTU(t, dev) != 1500 {
				t.Errorf("%s: %+v, tap at %d", where, got, h.MTU(t, dev))
			}
			h.Run(t, append(set, "--remove")...)
		}
		must(t, h, "fix", "--undo", "--ignore", "ign2")
		wantSays(t, "the running domain", live(t, h, "ign2"), `mtu="ignore"`)
		destroy(t, h, "ign2")
	})

	t.Run("a transient domain: its taps only", func(t *testing.T) {
		h.WriteFile(t, "/run/lab/tr1.xml", h.Domain(t, "tr1", nic("virtio", 0)), 0o644)
		h.Run(t, "virsh", "-q", "create", "/run/lab/tr1.xml")
		dev := strings.Fields(h.Run(t, "virsh", "-q", "domiflist", "tr1"))[0]
		h.Run(t, "ip", "link", "set", dev, "mtu", "1500")
		out := must(t, h, "fix", "tr1")
		wantSays(t, "fix", out, "transient", "1500 -> 9000")
		if h.MTU(t, dev) != 9000 {
			t.Error("tap not raised")
		}
		if r := h.Run(t, "virsh", "-q", "dominfo", "tr1"); !strings.Contains(r, "Persistent:     no") {
			t.Error("it has become persistent")
		}
		destroy(t, h, "tr1")
	})

	t.Run("managed save keeps the old mtu, and fix says so", func(t *testing.T) {
		define(t, h, "save1", nic("virtio", 0))
		start(t, h, "save1")
		h.Run(t, "virsh", "-q", "managedsave", "save1")
		r := virtMTU(t, h, "fix", "save1")
		wantSays(t, "fix", r.Stdout, "managed save image has no <mtu>", "virsh managedsave-remove save1")
		if got := fixed(t, h, "save1"); got.Pending != "cold-start" {
			t.Errorf("%+v", got)
		}
		start(t, h, "save1")
		if hasMTU(live(t, h, "save1"), "9000") {
			t.Error("the image's XML does not count? then pending is wrong")
		}
		destroy(t, h, "save1")
		start(t, h, "save1")
		if !hasMTU(live(t, h, "save1"), "9000") {
			t.Error("not at 9000 after a cold start")
		}
		destroy(t, h, "save1")
	})
}

// A daemon that hangs, a domain that is busy, a daemon that is gone.
func TestIntegrationFixWithoutAnswer(t *testing.T) {
	t.Parallel()
	h := jumbo(t)
	define(t, h, "web1", nic("virtio", 0))
	define(t, h, "web2", nic("virtio", 0))

	h.Libvirtd(t, "freeze")
	began := time.Now()
	r := virtMTU(t, h, "fix", "--timeout", "1s", "web1")
	if took := time.Since(began); r.Exit != 1 || took > 8*time.Second {
		t.Errorf("exit %d after %v", r.Exit, took)
	}
	wantSays(t, "stderr", r.Stderr, "libvirt did not answer within 1s", "hint: ")
	h.Libvirtd(t, "thaw")

	// A QEMU that does not answer holds its domain's job: a change of the definition
	// waits, and must not keep the next domain from being fixed.
	start(t, h, "web1")
	pid := strings.TrimSpace(h.ReadFile(t, "/run/libvirt/qemu/web1.pid"))
	h.Run(t, "kill", "-STOP", pid)
	stuck := h.Command("virsh", "-q", "qemu-monitor-command", "web1", "--hmp", "info version")
	if err := stuck.Start(); err != nil {
		t.Fatal(err)
	}
	for h.Try(t, "virsh", "-q", "domcontrol", "web1").Stdout == "ok\n" {
		time.Sleep(50 * time.Millisecond) // until the job is taken
	}
	rep, res := fixJSON(t, h, "--timeout", "2s", "--all")
	for _, d := range rep.Domains {
		if (d.Name == "web1") != (d.Error != "") {
			t.Errorf("%s: %q", d.Name, d.Error)
		}
	}
	if !hasMTU(persistent(t, h, "web2"), "9000") {
		t.Errorf("web2 had to wait for web1\n%s%s", res.Stdout, res.Stderr)
	}
	h.Run(t, "kill", "-CONT", pid)
	stuck.Wait()
	destroy(t, h, "web1")

	h.Libvirtd(t, "stop")
	r = virtMTU(t, h, "fix", "web1")
	if r.Exit != 1 {
		t.Errorf("exit %d", r.Exit)
	}
	wantSays(t, "stderr", r.Stderr, "connect to libvirt", "hint: ")
}
