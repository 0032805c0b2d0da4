package e2e

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
	"virt-mtu/test/lab"
)

// TestIntegrationFactsFile: what virt-mtu facts writes of a real host.
func TestIntegrationFactsFile(t *testing.T) {
	t.Parallel()
	h := jumbo(t)
	h.Uplink(t, "br0", "up0", 9000)
	h.WriteFile(t, "/run/lab/net.xml", "<network><name>off</name><forward mode='bridge'/><bridge name='br0'/></network>", 0o644)
	h.Run(t, "virsh", "-q", "net-define", "/run/lab/net.xml")

	xml := h.Domain(t, "rich1", nic("virtio", 9000), "token=geheim")
	xml = strings.Replace(xml, "<memory", "<title>geheim</title><description>geheim</description>"+
		"<metadata><x:note xmlns:x='urn:example:1' token='geheim'>geheim</x:note>"+
		"<virt-mtu:domain xmlns:virt-mtu='urn:virt-mtu:policy:1' mtu='9000'/></metadata>"+
		"<sysinfo type='smbios'><system><entry name='serial'>geheim</entry></system></sysinfo><memory", 1)
	xml = strings.Replace(xml, "</devices>", "<graphics type='vnc' port='-1' passwd='geheim'/></devices>", 1)
	xml = strings.Replace(xml, "<domain ", "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ", 1)
	xml = strings.Replace(xml, "</domain>", "<qemu:commandline><qemu:env name='TOKEN' value='geheim'/></qemu:commandline></domain>", 1)
	h.Define(t, xml)
	start(t, h, "rich1")
	define(t, h, "save1", nic("virtio", 0))
	start(t, h, "save1")
	h.Run(t, "virsh", "-q", "managedsave", "save1")
	define(t, h, "off1", nic("e1000e", 0))

	t.Run("what there is, without secrets", func(t *testing.T) {
		secure := h.Run(t, "virsh", "dumpxml", "--security-info", "rich1")
		if n := strings.Count(secure, "geheim"); n < 8 {
			t.Fatalf("libvirt keeps %d secrets only:\n%s", n, secure)
		}
		r := virtMTU(t, h, "facts")
		if r.Exit != 0 || r.Stderr != "" {
			t.Errorf("exit %d\n%s", r.Exit, r.Stderr)
		}
		if strings.Contains(r.Stdout, "geheim") {
			t.Errorf("a secret is in it:\n%s", r.Stdout)
		}
		f := factsOf(t, r)
		wantDomains(t, f, "off1 shut off", "rich1 running", "save1 shut off")
		off, rich, saved := f.Domains[0], f.Domains[1], f.Domains[2]
		wantExcerpt(t, "definition", persistent(t, h, "rich1"), rich.PersistentXML)
		wantExcerpt(t, "live", live(t, h, "rich1"), rich.LiveXML)
		wantExcerpt(t, "definition", persistent(t, h, "off1"), off.PersistentXML)
		wantExcerpt(t, "image", h.Run(t, "virsh", "managedsave-dumpxml", "save1"), saved.SavedXML)
		if rich.SavedXML != "" || off.LiveXML != "" || off.SavedXML != "" || saved.LiveXML != "" {
			t.Errorf("XML that there is not:\n%s", r.Stdout)
		}
		doc, err := domxml.Parse([]byte(rich.LiveXML))
		if err != nil {
			t.Fatal(err)
		}
		tap, ok := f.Link(doc.NICs[0].Target)
		if !ok || tap.Master != "br0" || tap.MTU != 9000 || !tap.Tap {
			t.Errorf("tap %q: %+v", doc.NICs[0].Target, tap)
		}
		network, _ := f.Network("off")
		if diff := cmp.Diff(host.Network{Name: "off", Bridge: "br0", Forward: "bridge", Inactive: true}, network); diff != "" {
			t.Errorf("network (-want +got):\n%s", diff)
		}
		if len(f.Hook) != 1 || f.Hook[0].Code != finding.HookMissing {
			t.Errorf("hook: %+v", f.Hook)
		}
	})

	t.Run("twice the same", func(t *testing.T) {
		wantSame(t, "the second time", must(t, h, "facts"), must(t, h, "facts", "-o", "json"))
	})

	t.Run("by name", func(t *testing.T) { factsByName(t, h) })

	t.Run("one domain fails", func(t *testing.T) {
		// libvirt stores it, and fails at the start.
		define(t, h, "bad1", nic("virtio", 70000))
		defer h.Run(t, "virsh", "-q", "undefine", "bad1")
		r := virtMTU(t, h, "facts")
		if r.Exit != 1 {
			t.Errorf("exit %d", r.Exit)
		}
		wantSays(t, "stderr", r.Stderr, `virt-mtu: facts: read XML of domain "bad1": `, "mtu size \"70000\" is not valid")
		f := factsOf(t, r)
		wantDomains(t, f, "bad1 shut off", "off1 shut off", "rich1 running", "save1 shut off")
		for _, d := range f.Domains {
			if failed := d.Error != ""; failed != (d.Name == "bad1") || failed != (d.PersistentXML == "") {
				t.Errorf("%s: error %q, definition %q", d.Name, d.Error, d.PersistentXML)
			}
		}
	})

	t.Run("not root", func(t *testing.T) {
		asNobody := func() (facts.Facts, lab.Result) {
			r := h.Try(t, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", bin(t, "virt-mtu"), "facts")
			return factsOf(t, r), r
		}
		const hook = "the hook was not looked at"
		f, r := asNobody()
		if r.Exit != 1 || len(f.Domains) != 3 {
			t.Errorf("libvirt lets everybody in: exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
		}
		wantSays(t, "stderr", r.Stderr, hook)
		if len(f.Unread) > 0 {
			t.Errorf("unread %q", f.Unread)
		}

		h.Run(t, "chmod", "600", "/run/libvirt/libvirt-sock")
		f, r = asNobody()
		if _, ok := f.Link("br0"); r.Exit != 1 || !ok || len(f.Domains) != 0 {
			t.Errorf("libvirt lets root in: exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
		}
		wantSays(t, "stderr", r.Stderr, hook, "permission denied", "hint: run this as root")
		wantSays(t, "unread", strings.Join(f.Unread, "\n"), "permission denied")
	})

	t.Run("a daemon that hangs", func(t *testing.T) {
		h.Libvirtd(t, "freeze")
		defer h.Libvirtd(t, "thaw")
		began := time.Now()
		r := virtMTU(t, h, "facts", "--timeout", "1s")
		if took := time.Since(began); r.Exit != 1 || took > 8*time.Second {
			t.Errorf("exit %d after %v", r.Exit, took)
		}
		wantSays(t, "stderr", r.Stderr, "libvirt did not answer within 1s", "hint: ")
		f := factsOf(t, r)
		if _, ok := f.Link("br0"); !ok {
			t.Errorf("no links:\n%s", r.Stdout)
		}
	})
}

// factsByName asks for some domains, as check does. It runs outside of the host, so the
// links are not the host's.
func factsByName(t *testing.T, h *lab.Host) {
	pool := libvirt.NewPool(t.Context(), "qemu+unix:///system?socket="+h.Path("/run/libvirt/libvirt-sock"), 10*time.Second)
	defer pool.Close()
	uuid := strings.TrimSpace(h.Run(t, "virsh", "domuuid", "off1"))
	var progress []int
	f, err := facts.Gather(t.Context(), facts.Options{
		Pool: pool, Names: []string{"nope1", "rich1", uuid, "off1", "nope2"},
		Progress: func(done, total int) { progress = append(progress, done, total) },
	})
	wantDomains(t, f, "rich1 running", "off1 shut off")
	if diff := cmp.Diff([]int{1, 2, 2, 2}, progress); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	var missing []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		if errors.Is(e, libvirt.ErrNotFound) {
			missing = append(missing, e.Error())
		}
	}
	if len(missing) != 2 || !strings.Contains(missing[0], `"nope1"`) || !strings.Contains(missing[1], `"nope2"`) {
		t.Errorf("not found: %q of %v", missing, err)
	}
	if slices.ContainsFunc(f.Unread, func(line string) bool { return strings.Contains(line, "nope") }) {
		t.Errorf("unread: %q", f.Unread)
	}
}

// factsOf decodes what facts wrote; keys that the format does not have fail the test.
func factsOf(t testing.TB, r lab.Result) facts.Facts {
	t.Helper()
	f, err := facts.Decode(strings.NewReader(r.Stdout))
	if err != nil {
		t.Fatalf("%v\n%s%s", err, r.Stdout, r.Stderr)
	}
	d := json.NewDecoder(strings.NewReader(r.Stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&facts.Facts{}); err != nil {
		t.Fatal(err)
	}
	return f
}

func wantDomains(t testing.TB, f facts.Facts, want ...string) {
	t.Helper()
	var got []string
	for _, d := range f.Domains {
		got = append(got, d.Name+" "+d.State)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("domains (-want +got):\n%s", diff)
	}
}

// wantExcerpt: the excerpt is the same domain to virt-mtu as the XML.
func wantExcerpt(t testing.TB, what, xml, excerpt string) {
	t.Helper()
	want, err := domxml.Parse([]byte(xml))
	if err != nil {
		t.Fatal(err)
	}
	got, err := domxml.Parse([]byte(excerpt))
	if err != nil {
		t.Fatalf("%s: %v\n%s", what, err, excerpt)
	}
	if diff := cmp.Diff(want.Domain, got.Domain); diff != "" || len(got.NICs) == 0 {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
