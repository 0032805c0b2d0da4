package e2e

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/nicmodel"
	"virt-mtu/test/lab"
)

// What the project believes of libvirt. Each of these has made somebody's hook fail: a
// libvirt of which one is no longer true needs another design, not another test.
func TestIntegrationLibvirtFacts(t *testing.T) {
	h := lab.New(t)
	h.Bridge(t, "br0", 9000)
	h.Libvirtd(t, "start")
	h.Define(t, h.Domain(t, "k1", nic("virtio", 0)))

	// First, while libvirtd has not seen a hook.
	t.Run("a first hook is found on reload only", func(t *testing.T) { firstHook(t, h) })

	h.Hook(t, "qemu", recorder)
	h.Libvirtd(t, "reload")
	t.Run("order of operations", func(t *testing.T) { operations(t, h) })
	t.Run("every executable in qemu.d is run", func(t *testing.T) { manyHooks(t, h) })
	t.Run("a failing reconnect kills the guest", func(t *testing.T) { reconnect(t, h) })
	t.Run("update-device --config changes the mtu alone", func(t *testing.T) { updateDevice(t, h) })
	t.Run("one mtu on a direct interface fails the define", func(t *testing.T) { direct(t, h) })
	t.Run("a guest and what hooks print", func(t *testing.T) { guest(t, h) })
	t.Run("NIC models", func(t *testing.T) { models(t, h) })
}

// recorder is a hook that writes down its operation and then does what the file
// /run/lab/do.NAME says, NAME being the hook's own; $xml is its stdin.
const recorder = `#!/bin/bash
name=${0##*/} xml=$(cat)
echo "$name $2" >>/run/lab/ops
[ ! -e "/run/lab/do.$name" ] || . "/run/lab/do.$name"
`

// ops returns what the recorder wrote down since it was last asked, a call an element:
// its name and the operation.
func ops(t *testing.T, h *lab.Host) []string {
	t.Helper()
	if !h.Exists("/run/lab/ops") {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(h.ReadFile(t, "/run/lab/ops")), "\n")
	h.Run(t, "rm", "/run/lab/ops")
	return lines
}

// do makes the hook of that name do something more, until the test ends.
func do(t *testing.T, h *lab.Host, hook, script string) {
	t.Helper()
	path := "/run/lab/do." + hook
	h.WriteFile(t, path, script, 0o644)
	t.Cleanup(func() { h.Run(t, "rm", "-f", path) })
}

// injectAt is what a hook does that wants an <mtu> where there is none.
func injectAt(op string) string {
	return fmt.Sprintf(`[ "$2" != %s ] || sed "s,<model type='virtio'/>,&<mtu size='9000'/>," <<<"$xml"; `, op)
}

func firstHook(t *testing.T, h *lab.Host) {
	h.Hook(t, "qemu.d/50-first", recorder)
	cycle := func() []string {
		start(t, h, "k1")
		destroy(t, h, "k1")
		return ops(t, h)
	}
	if got := cycle(); got != nil {
		t.Errorf("without a reload the new hook ran: %v", got)
	}
	h.Libvirtd(t, "reload")
	if got := cycle(); got == nil {
		t.Error("after a reload the new hook did not run")
	}
	h.Run(t, "rm", "-r", "/etc/libvirt/hooks/qemu.d")
}

func operations(t *testing.T, h *lab.Host) {
	const image = "/run/lab/k1.save"
	for _, step := range []struct {
		virsh string
		want  []string
	}{
		{"start k1", []string{"prepare", "start", "started"}},
		{"reset k1", nil},
		{"suspend k1", nil},
		{"resume k1", nil},
		{"save k1 " + image, []string{"stopped", "release"}},
		{"restore " + image, []string{"restore", "prepare", "start", "started"}},
		{"managedsave k1", []string{"stopped", "release"}},
		{"start k1", []string{"restore", "prepare", "start", "started"}},
		{"attach-interface k1 bridge br0 --model virtio --mac 52:54:00:00:00:02", nil},
		{"destroy k1", []string{"stopped", "release"}},
	} {
		h.Run(t, append([]string{"virsh", "-q"}, strings.Fields(step.virsh)...)...)
		var want []string
		for _, op := range step.want {
			want = append(want, "qemu "+op)
		}
		if diff := cmp.Diff(want, ops(t, h)); diff != "" {
			t.Errorf("operations at %q (-want +got):\n%s", step.virsh, diff)
		}
	}
}

// What one hook does to the others. At prepare nothing; at restore and migrate, where
// libvirt listens, the stdout of one is the stdin of the next, and what the last one
// printed that printed anything is taken. A failure makes the operation fail but keeps
// no other hook from being run.
func manyHooks(t *testing.T, h *lab.Host) {
	names := []string{"qemu", "10-a", "20-b", "30-c.dpkg-old"}
	for _, name := range names[1:] {
		h.Hook(t, "qemu.d/"+name, recorder)
	}
	h.Hook(t, "qemu.d/15-not-executable", recorder)
	h.Run(t, "chmod", "-x", "/etc/libvirt/hooks/qemu.d/15-not-executable")
	h.Run(t, "ln", "-s", "/nowhere", "/etc/libvirt/hooks/qemu.d/16-dangling")
	defer h.Run(t, "rm", "-r", "/etc/libvirt/hooks/qemu.d")

	// Each says which marks it has found in its stdin.
	const seen = `echo "$name $2 $(grep -o 'mark-[a-z]*' <<<"$xml" | tr '\n' ' ')" >>/run/lab/seen; `
	mark := func(s string) string { return `sed "s,</name>,&<title>mark-` + s + `</title>,;t" <<<"$xml"` }
	const at = `[ "$2" != prepare ] && [ "$2" != restore ] || `
	start(t, h, "k1")
	h.Run(t, "virsh", "-q", "save", "k1", "/run/lab/k1.image")
	ops(t, h)

	const startCmd, restoreCmd = "start k1", "restore /run/lab/k1.save"
	for _, c := range []struct {
		what    string
		do      map[string]string
		virsh   string
		stdin   []string // the marks that each hook saw
		fails   bool
		outcome string // a mark in the live XML
	}{
		{"one prints at prepare", map[string]string{"qemu": mark("a")}, startCmd, []string{"", "", "", ""}, false, ""},
		{"one prints at restore", map[string]string{"qemu": mark("a")}, restoreCmd, []string{"", "mark-a", "mark-a", "mark-a"}, false, "mark-a"},
		{"one prints white space at restore", map[string]string{"10-a": "echo"}, restoreCmd, []string{"", "", "", ""}, false, ""},
		{"the first fails at prepare", map[string]string{"qemu": "exit 3"}, startCmd, []string{"", "", "", ""}, true, ""},
		{"one in the middle fails at restore", map[string]string{"qemu": mark("a"), "10-a": "exit 3"}, restoreCmd, []string{"", "mark-a", "", ""}, true, ""},
		{"one prints rubbish at restore", map[string]string{"30-c.dpkg-old": "echo rubbish"}, restoreCmd, []string{"", "", "", ""}, true, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			op := map[string]string{startCmd: "prepare", restoreCmd: "restore"}[c.virsh]
			var want []string
			for i, name := range names {
				do(t, h, name, at+"{ "+seen+c.do[name]+"\n}")
				want = append(want, strings.TrimSpace(name+" "+op+" "+c.stdin[i]))
			}
			h.Run(t, "cp", "/run/lab/k1.image", "/run/lab/k1.save")
			h.WriteFile(t, "/run/lab/seen", "", 0o644)
			r := h.Try(t, append([]string{"virsh", "-q"}, strings.Fields(c.virsh)...)...)
			if r.Exit != 0 != c.fails {
				t.Errorf("virsh %s: exit %d %s", c.virsh, r.Exit, r.Stderr)
			}
			var got []string
			for line := range strings.Lines(h.ReadFile(t, "/run/lab/seen")) {
				if strings.Contains(line, " "+op+" ") {
					got = append(got, strings.TrimSpace(line))
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("hook, operation, marks in its stdin (-want +got):\n%s", diff)
			}
			if r.Exit == 0 {
				if c.outcome != "" != strings.Contains(live(t, h, "k1"), "<title>mark-") {
					t.Errorf("live XML:\n%s", live(t, h, "k1"))
				}
				destroy(t, h, "k1")
			}
			ops(t, h)
		})
	}
}

func reconnect(t *testing.T, h *lab.Host) {
	for _, c := range []struct{ do, want string }{
		{`true`, "running"},
		{`[ "$2" != reconnect ] || exit 1`, "shut off"},
		{`[ "$2" != reconnect ] || kill -KILL $$`, "shut off"},
	} {
		t.Run(c.do, func(t *testing.T) {
			start(t, h, "k1")
			do(t, h, "qemu", c.do)
			pid := strings.TrimSpace(h.ReadFile(t, "/run/libvirt/qemu/k1.pid"))
			h.Libvirtd(t, "stop")
			if !h.Exists("/proc/" + pid) {
				t.Fatal("the guest did not outlive libvirtd")
			}
			ops(t, h)
			h.Libvirtd(t, "start")
			got := ""
			for range 100 { // the reconnect runs in a thread of its own
				if got = state(t, h, "k1"); got == c.want && h.Exists("/run/lab/ops") {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if got != c.want {
				t.Errorf("state %q, want %q", got, c.want)
			}
			if alive := h.Exists("/proc/" + pid); alive != (c.want == "running") {
				t.Errorf("QEMU alive: %v", alive)
			}
			if got := ops(t, h); len(got) == 0 || got[0] != "qemu reconnect" {
				t.Errorf("operations: %v", got)
			}
			if got == "running" {
				destroy(t, h, "k1")
			}
		})
	}
}

func updateDevice(t *testing.T, h *lab.Host) {
	start(t, h, "k1")
	defer destroy(t, h, "k1")
	before, running := persistent(t, h, "k1"), live(t, h, "k1")
	defer func() {
		h.WriteFile(t, "/run/lab/before.xml", before, 0o644)
		h.Run(t, "virsh", "-q", "define", "/run/lab/before.xml")
	}()
	element := before[strings.Index(before, "<interface "):]
	element = element[:strings.Index(element, "</interface>")] + "<mtu size='9000'/></interface>"
	h.WriteFile(t, "/run/lab/nic.xml", element, 0o644)

	events := h.Command("stdbuf", "-oL", "virsh", "event", "--all", "--loop", "--timeout", "60")
	stdout, err := events.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := events.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { events.Process.Kill(); events.Wait() })
	lines := make(chan string, 1000)
	go func() {
		for scan := bufio.NewScanner(stdout); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	// eventOf changes one kind of text until that is heard of. Heard before, it says that
	// somebody listens; after, that nothing else is on its way any more.
	eventOf := func(kind string, flag ...string) {
		t.Helper()
		for i := range 50 {
			h.Run(t, slices.Concat([]string{"virsh", "-q", "desc", "--config"}, flag, []string{"k1", fmt.Sprint(kind, i)})...)
			for wait := time.After(200 * time.Millisecond); ; {
				select {
				case line := <-lines:
					if !strings.Contains(line, "'metadata-change'") {
						t.Errorf("an event: %s", line)
					}
					if strings.Contains(line, "type "+kind) {
						return
					}
					continue
				case <-wait:
				}
				break
			}
		}
		t.Fatalf("no event of a new %s", kind)
	}
	eventOf("title", "--title")
	h.Run(t, "virsh", "-q", "update-device", "--config", "k1", "/run/lab/nic.xml")
	eventOf("description")

	if diff := cmp.Diff(running, live(t, h, "k1")); diff != "" {
		t.Errorf("live XML (-before +after):\n%s", diff)
	}
	after := persistent(t, h, "k1")
	if strings.Count(after, "<mtu size='9000'/>") != 1 {
		t.Errorf("no mtu in:\n%s", after)
	}
	without := func(xml string) []string {
		var lines []string
		for line := range strings.Lines(xml) {
			if s := strings.TrimSpace(line); !strings.HasPrefix(s, "<mtu ") && !strings.HasPrefix(s, "<title>") && !strings.HasPrefix(s, "<description>") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if diff := cmp.Diff(without(before), without(after)); diff != "" {
		t.Errorf("definition but for mtu (-before +after):\n%s", diff)
	}
	r := h.Try(t, "virsh", "-q", "update-device", "--live", "k1", "/run/lab/nic.xml")
	if r.Exit == 0 || !strings.Contains(r.Stderr, "cannot modify MTU") {
		t.Errorf("update-device --live: exit %d %s", r.Exit, r.Stderr)
	}
}

func direct(t *testing.T, h *lab.Host) {
	for _, mtu := range []string{"", "<mtu size='9000'/>"} {
		xml := h.Domain(t, "d1", "<interface type='direct'><source dev='br0' mode='bridge'/><model type='virtio'/>"+mtu+"</interface>")
		h.WriteFile(t, "/run/lab/d1.xml", xml, 0o644)
		r := h.Try(t, "virsh", "-q", "define", "/run/lab/d1.xml")
		if r.Exit != 0 != (mtu != "") {
			t.Errorf("define with %q: exit %d %s", mtu, r.Exit, r.Stderr)
		}
	}
	h.Run(t, "virsh", "-q", "undefine", "d1")
}

// What a hook prints, to the guest.
func guest(t *testing.T, h *lab.Host) {
	// What a hook prints at prepare and start is thrown away.
	do(t, h, "qemu", injectAt("prepare")+injectAt("start")+injectAt("restore"))
	if got := h.Boot(t, "k1"); got != 1500 {
		t.Errorf("a guest without <mtu> whose hook printed one boots at %d", got)
	}
	if xml := live(t, h, "k1"); strings.Contains(xml, "<mtu ") {
		t.Errorf("an <mtu> came from a hook's stdout:\n%s", xml)
	}
	if !h.Ping(t, lab.GuestAddr, 1500) || h.Ping(t, lab.GuestAddr, 9000) {
		t.Error("the guest does not answer to just 1500")
	}

	// At restore it is not, and the saved guest cannot be resumed with it.
	h.Run(t, "virsh", "-q", "save", "k1", "/run/lab/k1.save")
	r := h.Try(t, "virsh", "-q", "restore", "/run/lab/k1.save")
	if r.Exit == 0 || !strings.Contains(r.Stderr, "does not match source") {
		t.Errorf("restore with <mtu> injected: exit %d %s", r.Exit, r.Stderr)
	}
	do(t, h, "qemu", "true")
	h.Run(t, "virsh", "-q", "restore", "/run/lab/k1.save")
	if !h.Ping(t, lab.GuestAddr, 1500) {
		t.Error("the guest does not answer after a restore that nobody meddled with")
	}
	destroy(t, h, "k1")

}

// What does work is an <mtu> that stood in the definition, and a virtio NIC. The other
// models are accepted with it, and their guests told nothing.
func models(t *testing.T, h *lab.Host) {
	type nic struct {
		Driver string
		MTU    int // as the driver came up
		Max    int // the most that it takes
	}
	wants := []struct {
		model string
		nic
	}{
		{"virtio", nic{"virtio_net", 9000, 9000}}, // never above what it was told
		{"e1000", nic{"e1000", 1500, 16110}},
		{"e1000e", nic{"e1000e", 1500, 9212}},
		{"vmxnet3", nic{"vmxnet3", 1500, 9000}},
		{"rtl8139", nic{"8139cp", 1500, 4096}},
		{"pcnet", nic{"pcnet32", 1500, 1500}},
	}
	var interfaces strings.Builder
	want := make(map[string]nic)
	for i, w := range wants {
		mac := fmt.Sprintf("52:54:00:00:01:%02d", i)
		want[mac] = w.nic
		fmt.Fprintf(&interfaces, "<interface type='bridge'><mac address='%s'/><source bridge='br0'/><model type='%s'/><mtu size='9000'/></interface>", mac, w.model)
	}
	h.Define(t, h.Domain(t, "models", interfaces.String()))
	if got := h.Boot(t, "models"); got != 9000 {
		t.Errorf("a guest with <mtu size='9000'/> boots at %d", got)
	}
	if !h.Ping(t, lab.GuestAddr, 9000) {
		t.Error("the guest does not answer to 9000")
	}

	const most = `
		cd /sys/class/net
		for d in eth*; do
			mtu=$(cat $d/mtu) lo=68 hi=65536
			while [ $((hi - lo)) -gt 1 ]; do
				mid=$(((lo + hi) / 2))
				if ip link set $d mtu $mid 2>/dev/null; then lo=$mid; else hi=$mid; fi
			done
			ip link set $d mtu $mtu
			echo $(cat $d/address) $(basename $(readlink $d/device/driver)) $mtu $lo
		done`
	r := h.Guest(t, lab.GuestAddr, "sh", "-c", most)
	got := make(map[string]nic)
	for line := range strings.Lines(r.Stdout) {
		var mac string
		var n nic
		if _, err := fmt.Sscan(line, &mac, &n.Driver, &n.MTU, &n.Max); err != nil {
			t.Fatalf("guest says %q: %v", line, err)
		}
		got[mac] = n
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("NICs in the guest, exit %d %s (-want +got):\n%s", r.Exit, r.Stderr, diff)
	}
	for _, w := range wants {
		model, known := nicmodel.Lookup(w.model)
		if !known {
			t.Errorf("nicmodel does not know %s", w.model)
		}
		if told := w.MTU != nicmodel.Standard; told != (model.Told == nicmodel.ToldVirtio) {
			t.Errorf("nicmodel says that a guest with %s is told: %q", w.model, model.Told)
		}
		// virtio's is what it was told.
		if model.Max > w.Max && model.Told != nicmodel.ToldVirtio {
			t.Errorf("nicmodel says that %s carries %d, its driver takes %d", w.model, model.Max, w.Max)
		}
	}
	destroy(t, h, "models")
}
