package e2e

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"virt-mtu/test/lab"
)

const (
	procAttachDeviceFlags = 160
	procDetachDeviceFlags = 161
)

// generated is what libvirt chooses anew for each NIC that is plugged in.
var generated = regexp.MustCompile(`(?m)^\s*<(target dev='vnet\d+'|alias name='net\d+'|mtu size='\d+')/>\n`)

// liveNICs is the XML of a running domain's NICs but for what is generated.
func liveNICs(t testing.TB, h *lab.Host, domain string) string {
	t.Helper()
	xml := live(t, h, domain)
	first, last := strings.Index(xml, "    <interface"), strings.LastIndex(xml, "</interface>")
	if first < 0 {
		return ""
	}
	return generated.ReplaceAllString(xml[first:last], "")
}

func TestIntegrationReplug(t *testing.T) {
	t.Parallel()
	h := jumbo(t)
	const a = "192.0.2.11"
	// The second has another address in the guest, so that it is by the first that we talk.
	first := nicOn("virtio", 1, "<target dev='mytap'/><boot order='2'/><alias name='ua-storage'/><driver name='qemu' event_idx='off'/>")
	h.Define(t, h.Domain(t, "rp1", first+nicOn("virtio", 2, "")+nicOn("e1000", 3, ""), "agent", "gip="+a))
	start(t, h, "rp1")
	h.WaitBoot(t, "rp1")
	h.Run(t, "virsh", "-q", "domif-setlink", "rp1", "52:54:00:00:00:02", "down") // of the running domain alone
	answering(t, h, "rp1")
	before := liveNICs(t, h, "rp1")

	t.Run("a dry run touches nothing", func(t *testing.T) {
		out := must(t, h, "fix", "--replug", "--dry-run", "rp1")
		wantSays(t, "fix", out, "would be plugged out and in again", "not plugged in anew: model e1000 is told nothing")
		wantSame(t, "the NICs", before, liveNICs(t, h, "rp1"))
	})

	t.Run("the guest takes it", func(t *testing.T) {
		if !h.Ping(t, a, 1500) || pingOut(t, h, a, "8972") {
			t.Fatal("the guest is not at 1500 before")
		}
		r := virtMTU(t, h, "fix", "--replug", "--agent", "-o", "json", "rp1")
		if r.Exit != 0 {
			t.Fatalf("exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
		}
		wantSays(t, "stderr", r.Stderr, "NIC 52:54:00:00:00:01 is plugged out and in again: its link drops now")
		got, _ := fixJSON(t, h, "--agent", "rp1")
		for k, i := range got.Domains[0].Interfaces[:2] {
			if i.Pending != "none" || i.GuestMTU != 9000 {
				t.Errorf("NIC %d: %+v", k, i)
			}
		}
		if got.Domains[0].Interfaces[0].Device != "mytap" {
			t.Errorf("%+v", got.Domains[0].Interfaces[0])
		}
		wantSame(t, "all but the mtu and their order", sorted(before), sorted(liveNICs(t, h, "rp1")))
		if n := strings.Count(live(t, h, "rp1"), "<mtu size='9000'/>"); n != 2 {
			t.Errorf("%d NICs run with an <mtu>", n)
		}
		if !h.Ping(t, a, 9000) || !pingOut(t, h, a, "8972") {
			t.Error("9000 bytes do not get through")
		}
		if h.Exists("/run/virt-mtu/unplugged/" + uuidOf(t, h, "rp1")) {
			t.Error("a NIC is noted as being out")
		}
	})
	destroy(t, h, "rp1")
	must(t, h, "fix", "--undo", "rp1")

	// Those below need no guest but one that lets go of its NICs.
	start(t, h, "rp1")
	h.WaitBoot(t, "rp1")
	before = liveNICs(t, h, "rp1")

	t.Run("what cannot be plugged in is put back", func(t *testing.T) {
		attaches := 0
		uri := overhear(t, h, func(proc uint32) bool {
			if proc == procAttachDeviceFlags {
				// The bridge is gone at the first attempt, and there at the second.
				if attaches++; attaches == 1 {
					h.Run(t, "ip", "link", "set", "br0", "down", "name", "brx")
				} else {
					h.Run(t, "ip", "link", "set", "brx", "name", "br0", "up")
				}
			}
			return true
		})
		r := virtMTU(t, h, "fix", "--replug", "--connect", uri, "rp1")
		if r.Exit != 1 || attaches != 2 {
			t.Errorf("exit %d after %d attempts", r.Exit, attaches)
		}
		wantSays(t, "stderr", r.Stderr, "it was put back as it was")
		wantSame(t, "the NICs", sorted(before), sorted(liveNICs(t, h, "rp1")))
		if hasMTU(live(t, h, "rp1"), "9000") || !hasMTU(persistent(t, h, "rp1"), "9000") {
			t.Error("not the definition alone has the mtu")
		}
	})

	t.Run("an interrupt comes in the middle", func(t *testing.T) {
		uri := between(t, h, procAttachDeviceFlags, 1, func() bool {
			h.Run(t, "pkill", "-INT", "-x", "virt-mtu")
			return true
		})
		cmd := h.Command(bin(t, "virt-mtu"), "fix", "--replug", "--connect", uri, "rp1")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err == nil {
			t.Errorf("all done: %s", out.String())
		}
		wantSays(t, "fix", out.String(), "was not plugged in anew: interrupted")
		wantSame(t, "the NICs", sorted(before), sorted(liveNICs(t, h, "rp1")))
		if n := strings.Count(live(t, h, "rp1"), "<mtu size='9000'/>"); n != 1 {
			t.Errorf("%d NICs run with an <mtu>", n)
		}
	})

	t.Run("killed in the middle, the next run puts it in", func(t *testing.T) {
		uri := between(t, h, procAttachDeviceFlags, 1, func() bool {
			h.Run(t, "pkill", "-9", "-x", "virt-mtu")
			return false
		})
		virtMTU(t, h, "fix", "--replug", "--connect", uri, "rp1")
		if n := strings.Count(live(t, h, "rp1"), "<interface "); n != 2 {
			t.Fatalf("%d NICs are in", n)
		}
		out := must(t, h, "fix", "--replug", "rp1")
		wantSays(t, "fix", out, "plugged in again: an earlier run had left it out")
		wantSame(t, "the NICs", sorted(before), sorted(liveNICs(t, h, "rp1")))
		if n := strings.Count(live(t, h, "rp1"), "<mtu size='9000'/>"); n != 2 {
			t.Errorf("%d NICs run with an <mtu>", n)
		}
	})
	destroy(t, h, "rp1")
}

// sorted is text with its interfaces in one order: one that comes in again comes last.
func sorted(nics string) string {
	var out []string
	for _, n := range []string{":01'", ":02'", ":03'"} {
		for _, x := range strings.Split(nics, "<interface ") {
			if strings.Contains(x, n) {
				out = append(out, strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(x), "</interface>")))
			}
		}
	}
	return strings.Join(out, "\n")
}

func uuidOf(t testing.TB, h *lab.Host, domain string) string {
	t.Helper()
	return strings.TrimSpace(h.Run(t, "virsh", "-q", "domuuid", domain))
}

// A guest that does not hear of being asked to let go.
func TestIntegrationReplugIgnored(t *testing.T) {
	t.Parallel()
	h := jumbo(t)
	h.Define(t, h.Domain(t, "deaf1", nicOn("virtio", 1, ""), "acpiphp.disable=1"))
	start(t, h, "deaf1")
	h.WaitBoot(t, "deaf1")

	t.Run("the only NIC", func(t *testing.T) {
		r := virtMTU(t, h, "fix", "--replug", "deaf1")
		if r.Exit != 1 {
			t.Errorf("exit %d", r.Exit)
		}
		wantSays(t, "stderr", r.Stderr, "it is the only one", "hint: add --force")
		if !h.Ping(t, lab.GuestAddr, 1500) {
			t.Error("the guest is out of reach")
		}
	})

	t.Run("ignored", func(t *testing.T) {
		r := virtMTU(t, h, "fix", "--replug", "--force", "--timeout", "3s", "deaf1")
		if r.Exit != 1 {
			t.Errorf("exit %d", r.Exit)
		}
		wantSays(t, "stderr", r.Stderr, "has not let go of it within 9s", "comes out when the guest next reboots", "hint: cold-start the domain")
		if !h.Ping(t, lab.GuestAddr, 1500) || hasMTU(live(t, h, "deaf1"), "9000") || !hasMTU(persistent(t, h, "deaf1"), "9000") {
			t.Error("it is not as it was")
		}
	})

	t.Run("it comes out at a reset, and a later run puts it in", func(t *testing.T) {
		h.Run(t, "virsh", "-q", "reset", "deaf1")
		for range 100 {
			if !strings.Contains(live(t, h, "deaf1"), "<interface ") {
				break
			}
		}
		if strings.Contains(live(t, h, "deaf1"), "<interface ") {
			t.Fatal("QEMU keeps it at a reset: then the error says something that is not so")
		}
		out := must(t, h, "fix", "--replug", "deaf1")
		wantSays(t, "fix", out, "plugged in again: an earlier run had left it out")
		if !hasMTU(live(t, h, "deaf1"), "9000") {
			t.Error("it runs without its <mtu>")
		}
	})
	destroy(t, h, "deaf1")
}
