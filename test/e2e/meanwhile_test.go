package e2e

import (
	"strings"
	"testing"

	"virt-mtu/test/lab"
)

// redefine puts another definition in the place of a domain's.
func redefine(t *testing.T, h *lab.Host, xml string) {
	t.Helper()
	h.WriteFile(t, "/run/lab/redefine.xml", xml, 0o644)
	h.Run(t, "virsh", "-q", "define", "/run/lab/redefine.xml")
}

// once returns what does something the first time it is called, and lets everything pass.
func once(do func()) func() bool {
	done := false
	return func() bool {
		if !done {
			done = true
			do()
		}
		return true
	}
}

// after is for overhear: then is called at the first procedure of that kind after one of
// the other.
func after(first, proc uint32, then func() bool) func(uint32) bool {
	came, done := false, false
	return func(called uint32) bool {
		if came && !done && called == proc {
			done = true
			return then()
		}
		came = came || called == first
		return true
	}
}

// ample is for what happens while fix waits, be the machine ever so busy.
const ample = "2m"

const ownedNode = "urn:virt-mtu:owned:1"

// second is nic's neighbour.
func second(mtu int) string { return strings.Replace(nic("virtio", mtu), "00:01", "00:02", 1) }

// Somebody works on the definition while fix does: nothing of theirs is lost, and nothing
// of fix's stands there without its record.
func TestIntegrationFixMeanwhile(t *testing.T) {
	t.Parallel()
	h := jumbo(t)

	// undone undoes, and wants the definition that was there before fix came.
	undone := func(t *testing.T, name, before string) {
		t.Helper()
		must(t, h, "fix", "--undo", name)
		wantSame(t, "after undo", before, without(persistent(t, h, name), "<metadata/>"))
	}

	// An XML from before fix came, such as an editor's, put back somewhere in its course.
	for _, tt := range []struct {
		name string
		hear func(then func() bool) func(uint32) bool
	}{
		{"before the record", func(then func() bool) func(uint32) bool {
			return after(procGetXMLDesc, procSetMetadata, then)
		}},
		{"between record and the look at it", func(then func() bool) func(uint32) bool {
			return after(procSetMetadata, procGetXMLDesc, then)
		}},
		{"between look and device", func(then func() bool) func(uint32) bool {
			return after(procSetMetadata, procUpdateDeviceFlags, then)
		}},
		{"between device and settled record", func(then func() bool) func(uint32) bool {
			return after(procUpdateDeviceFlags, procGetXMLDesc, then)
		}},
		{"between two devices", func(then func() bool) func(uint32) bool {
			return after(procUpdateDeviceFlags, procUpdateDeviceFlags, then)
		}},
	} {
		t.Run("redefined "+tt.name, func(t *testing.T) {
			define(t, h, "old1", nic("virtio", 0)+second(0))
			t.Cleanup(func() { h.Run(t, "virsh", "-q", "undefine", "old1") })
			before := persistent(t, h, "old1")
			came := false
			uri := overhear(t, h, tt.hear(func() bool {
				came = true
				redefine(t, h, before)
				return true
			}))
			r, res := fixJSON(t, h, "--timeout", ample, "--connect", uri, "old1")
			if !came || res.Exit != 0 {
				t.Fatalf("came: %v, exit %d: %s", came, res.Exit, res.Stderr)
			}
			for _, i := range r.Domains[0].Interfaces {
				if i.Action != "inject" || i.Current != 0 {
					t.Errorf("%+v", i)
				}
			}
			xml := persistent(t, h, "old1")
			if strings.Count(xml, "<mtu size='9000'/>") != 2 {
				t.Errorf("not both NICs:\n%s", xml)
			}
			wantSays(t, "the record", xml, `mac="52:54:00:00:00:01" before="0" set="9000"`, `mac="52:54:00:00:00:02" before="0" set="9000"`)
			undone(t, "old1", before)
		})
	}

	t.Run("an admin's value is not overwritten, nor its record made up", func(t *testing.T) {
		define(t, h, "his1", nic("virtio", 0))
		before := persistent(t, h, "his1")
		must(t, h, "fix", "--mtu", "4000", "his1")
		his := strings.Replace(before, "<model type='virtio'/>", "<model type='virtio'/><mtu size='2000'/>", 1)
		uri := between(t, h, procSetMetadata, 2, once(func() { redefine(t, h, his) })) // which settles it
		must(t, h, "fix", "--timeout", ample, "--connect", uri, "his1")
		xml := persistent(t, h, "his1")
		if !hasMTU(xml, "2000") || strings.Contains(xml, ownedNode) {
			t.Errorf("not the admin's alone:\n%s", xml)
		}
	})

	t.Run("an admin's own number is his, be it the same", func(t *testing.T) {
		define(t, h, "his2", nic("virtio", 0))
		his := strings.Replace(persistent(t, h, "his2"), "<model type='virtio'/>", "<model type='virtio'/><mtu size='9000'/><link state='down'/>", 1)
		uri := overhear(t, h, after(procUpdateDeviceFlags, procGetXMLDesc, once(func() { redefine(t, h, his) })))
		must(t, h, "fix", "--timeout", ample, "--connect", uri, "his2")
		if xml := persistent(t, h, "his2"); !hasMTU(xml, "9000") || strings.Contains(xml, ownedNode) {
			t.Errorf("not the admin's alone:\n%s", xml)
		}
	})

	t.Run("a record that came meanwhile is not overwritten", func(t *testing.T) {
		define(t, h, "rec1", nic("virtio", 0))
		before := persistent(t, h, "rec1")
		must(t, h, "fix", "--mtu", "4000", "rec1")
		theirs := persistent(t, h, "rec1")
		must(t, h, "fix", "--undo", "rec1")
		uri := between(t, h, procGetXMLDesc, 2, once(func() { redefine(t, h, theirs) }))
		must(t, h, "fix", "--timeout", ample, "--connect", uri, "rec1")
		wantSays(t, "the definition", persistent(t, h, "rec1"), "<mtu size='9000'/>", `before="0" set="9000"`)
		undone(t, "rec1", before)
	})

	t.Run("to be left alone is said meanwhile", func(t *testing.T) {
		define(t, h, "ign3", nic("virtio", 0))
		uri := between(t, h, procGetXMLDesc, 2, once(func() {
			h.Run(t, "virsh", "-q", "metadata", "ign3", "urn:virt-mtu:policy:1", "--config", "--key", "virt-mtu", "--set", "<domain mtu='ignore'/>")
		}))
		if got := fixed(t, h, "--timeout", ample, "--connect", uri, "ign3"); got.Action != "skip" {
			t.Errorf("%+v", got)
		}
		if xml := persistent(t, h, "ign3"); strings.Contains(xml, "<mtu ") || strings.Contains(xml, ownedNode) {
			t.Errorf("it was not left alone:\n%s", xml)
		}
	})

	t.Run("called otherwise meanwhile", func(t *testing.T) {
		configure(t, h, "[[rule]]\ndomain = 'legacy-*'\nmtu = 'ignore'\n")
		define(t, h, "name1", nic("virtio", 0))
		uri := between(t, h, procGetXMLDesc, 2, once(func() { h.Run(t, "virsh", "-q", "domrename", "name1", "legacy-1") }))
		if got := fixed(t, h, "--timeout", ample, "--connect", uri, "name1"); got.Action != "skip" {
			t.Errorf("%+v", got)
		}
	})

	t.Run("changed again and again", func(t *testing.T) {
		define(t, h, "busy1", nic("virtio", 0))
		before := persistent(t, h, "busy1")
		down := strings.Replace(before, "<model type='virtio'/>", "<model type='virtio'/><link state='down'/>", 1)
		states, n := []string{down, before}, 0
		uri := overhear(t, h, func(proc uint32) bool {
			if proc == procGetXMLDesc {
				redefine(t, h, states[n%2])
				n++
			}
			return true
		})
		r := virtMTU(t, h, "fix", "--timeout", ample, "--connect", uri, "busy1")
		if r.Exit != 1 || n > 30 {
			t.Errorf("exit %d after %d looks: %s", r.Exit, n, r.Stdout)
		}
		wantSays(t, "stderr", r.Stderr, "changed meanwhile: run it again")
		xml := persistent(t, h, "busy1")
		if strings.Contains(xml, "<mtu ") != strings.Contains(xml, ownedNode) {
			t.Errorf("mtu and record are not one:\n%s", xml)
		}
	})

	t.Run("the diff is of the definition that was planned", func(t *testing.T) {
		define(t, h, "diff1", nic("virtio", 2000)+second(0))
		one := strings.Split(persistent(t, h, "diff1"), "<interface ")
		swapped := one[0] + "<interface " + one[2][:strings.Index(one[2], "</interface>")] + "</interface>\n    <interface " + one[1] +
			one[2][strings.Index(one[2], "</interface>")+len("</interface>"):]
		uri := between(t, h, procGetXMLDesc, 2, once(func() { redefine(t, h, swapped) }))
		out := must(t, h, "fix", "--dry-run", "--diff", "--timeout", ample, "--connect", uri, "diff1")
		if strings.Contains(out, "-      <mtu size='2000'/>") || !strings.Contains(out, "+      <mtu size='9000'/>") {
			t.Errorf("not the NIC that it is about:\n%s", out)
		}
	})

	t.Run("undefined meanwhile while it runs", func(t *testing.T) {
		define(t, h, "gone2", nic("virtio", 0))
		start(t, h, "gone2")
		uri := between(t, h, procSetMetadata, 1, once(func() { h.Run(t, "virsh", "-q", "undefine", "gone2") }))
		out := must(t, h, "fix", "--timeout", ample, "--connect", uri, "gone2")
		wantSays(t, "fix", out, "transient: it has no definition to change")
		destroy(t, h, "gone2")
	})

	t.Run("stopped meanwhile, to be ignored", func(t *testing.T) {
		define(t, h, "stop1", nic("virtio", 0))
		must(t, h, "fix", "stop1")
		start(t, h, "stop1")
		uri := between(t, h, procSetMetadata, 1, once(func() { destroy(t, h, "stop1") }))
		must(t, h, "fix", "--undo", "--ignore", "--timeout", ample, "--connect", uri, "stop1")
		xml := persistent(t, h, "stop1")
		wantSays(t, "the definition", xml, `mtu="ignore"`)
		if strings.Contains(xml, "<mtu ") {
			t.Errorf("not undone:\n%s", xml)
		}
	})

	t.Run("its saved image is restored while it is read", func(t *testing.T) {
		define(t, h, "save2", nic("virtio", 0))
		start(t, h, "save2")
		h.Run(t, "virsh", "-q", "managedsave", "save2")
		uri := between(t, h, procManagedSaveGetXMLDesc, 1, once(func() { start(t, h, "save2") }))
		wantSays(t, "fix", must(t, h, "fix", "--timeout", ample, "--connect", uri, "save2"), "save2 (running): changed", "the running guest has no <mtu>")
		destroy(t, h, "save2")
	})

	t.Run("of all, one that is gone is no failure", func(t *testing.T) {
		define(t, h, "gone3", nic("virtio", 0))
		uri := between(t, h, procSetMetadata, 1, once(func() { h.Run(t, "virsh", "-q", "undefine", "gone3") }))
		h.Run(t, "bash", "-c", `for d in $(virsh -q list --all --name | grep -vx gone3); do virsh -q undefine "$d"; done`)
		r, res := fixJSON(t, h, "--timeout", ample, "--connect", uri, "--all")
		if res.Exit != 0 || len(r.Domains) != 0 {
			t.Errorf("exit %d: %s%s", res.Exit, res.Stdout, res.Stderr)
		}
	})

	t.Run("of the queue, neither one that is gone nor one that is called so", func(t *testing.T) {
		define(t, h, "gone4", nic("virtio", 0))
		uuid := strings.TrimSpace(h.Run(t, "virsh", "-q", "domuuid", "gone4"))
		define(t, h, uuid, nic("virtio", 0))
		ask := func() { h.WriteFile(t, "/run/virt-mtu/queue/"+uuid, "", 0o600) }

		ask()
		r, _ := fixJSON(t, h, "--queued")
		if len(r.Domains) != 1 || r.Domains[0].Name != "gone4" {
			t.Fatalf("%+v", r)
		}
		must(t, h, "fix", "--undo", "gone4")
		ask()
		uri := between(t, h, procSetMetadata, 1, once(func() { h.Run(t, "virsh", "-q", "undefine", "gone4") }))
		r, res := fixJSON(t, h, "--timeout", ample, "--connect", uri, "--queued")
		if res.Exit != 0 || len(r.Domains) != 0 {
			t.Errorf("exit %d: %s%s", res.Exit, res.Stdout, res.Stderr)
		}
		if left := h.Run(t, "ls", "/run/virt-mtu/queue"); left != "" {
			t.Errorf("still in the queue: %s", left)
		}
	})
}

// The number that an admin had is his again after undo, also where it was virt-mtu that
// has set it last.
func TestIntegrationUndoToWhatIsThere(t *testing.T) {
	t.Parallel()
	h := lab.New(t)
	h.Bridge(t, "br0", 9000)
	h.Bridge(t, "br2", 2000)
	h.Libvirtd(t, "start")
	define(t, h, "own3", strings.Replace(nic("virtio", 2000), "br0", "br2", 1))
	h.Run(t, "ip", "link", "set", "dev", "br2", "mtu", "9000")
	if got := fixed(t, h, "--force", "own3"); got.Target != 9000 {
		t.Fatalf("%+v", got)
	}
	h.Run(t, "ip", "link", "set", "dev", "br2", "mtu", "2000")
	if got := fixed(t, h, "own3"); got.Target != 2000 {
		t.Fatalf("%+v", got)
	}
	must(t, h, "fix", "--undo", "own3")
	xml := persistent(t, h, "own3")
	if !hasMTU(xml, "2000") || strings.Contains(xml, ownedNode) {
		t.Errorf("it is not the admin's:\n%s", xml)
	}
	if got := fixed(t, h, "--undo", "own3"); got.Action != "none" {
		t.Errorf("undone twice: %+v", got)
	}
}
