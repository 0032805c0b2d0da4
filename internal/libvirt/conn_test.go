package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	uuid1 = "11111111-2222-3333-4444-555555555501"
	uuid2 = "11111111-2222-3333-4444-555555555502"
	uuid3 = "11111111-2222-3333-4444-555555555503"
	mac1  = "52:54:00:00:00:01"
	ours  = "urn:virt-mtu:owned:1"
)

// guest is a domain that needs no disk and no kernel: its firmware finds nothing to boot.
func guest(name, uuid string) string {
	var escaped strings.Builder
	if err := xml.EscapeText(&escaped, []byte(name)); err != nil {
		panic(err)
	}
	id := ""
	if uuid != "" {
		id = "<uuid>" + uuid + "</uuid>"
	}
	return `<domain type='qemu'><name>` + escaped.String() + `</name>` + id + `
<memory unit='MiB'>32</memory><os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<interface type='ethernet'><mac address='` + mac1 + `'/><model type='virtio'/></interface>
<graphics type='vnc' socket='/run/vnc-` + uuid + `' passwd='secret12'/>
</devices></domain>`
}

func TestIntegrationLookup(t *testing.T) {
	d := startDaemon(t)
	c := d.dial(10 * time.Second)
	if c.Version() < 1_000_000 || !strings.Contains(d.virsh("version"), fmt.Sprintf("libvirt %d.%d.%d",
		c.Version()/1_000_000, c.Version()/1_000%1_000, c.Version()%1_000)) {
		t.Errorf("version %d, virsh says:\n%s", c.Version(), d.virsh("version"))
	}

	names := []string{
		"web1",
		uuid1,                  // the name of one domain, the UUID of web1
		"with space", " ahead", // libvirt allows both
		`quo'te"d&<>`,
		"-rf", "--all",
		"ünïcode",
		strings.Repeat("x", 247), // with .xml.new the longest name that a file can have
		"tab\tin it",
	}
	uuids := map[string]string{"web1": uuid1, uuid1: uuid2}
	want := map[string]bool{}
	for _, name := range names {
		d.virsh("define", d.file(guest(name, uuids[name])))
		want[name] = true
	}
	for _, name := range names {
		got, err := c.Lookup(name)
		if err != nil || got.Name != name {
			t.Errorf("lookup %q: got %+v, %v", name, got, err)
			continue
		}
		if id := uuids[name]; id != "" && got.UUID != id {
			t.Errorf("lookup %q: got UUID %s, want %s", name, got.UUID, id)
		}
		if text, err := c.PersistentXML(got); err != nil || !strings.Contains(text, got.UUID) {
			t.Errorf("%q: %v, its XML does not have UUID %s:\n%s", name, err, got.UUID, text)
		}
	}
	for _, id := range []string{uuid2, strings.ReplaceAll(uuid2, "-", "")} {
		if got, err := c.Lookup(id); err != nil || got.Name != uuid1 {
			t.Errorf("lookup by UUID %s: got %+v, %v", id, got, err)
		}
	}
	if got, err := c.LookupUUID(uuid1); err != nil || got.Name != "web1" {
		t.Errorf("the domain with UUID %s, not the one called so: got %+v, %v", uuid1, got, err)
	}
	if got, err := c.LookupUUID("web1"); err == nil {
		t.Errorf("a name is no UUID: got %+v", got)
	}
	for _, name := range []string{"web", "WEB1", "", uuid3, "new\nline", "../web1", "web1 ", strings.Repeat("x", 255)} {
		got, err := c.Lookup(name)
		if !errors.Is(err, ErrNotFound) || !strings.HasPrefix(fmt.Sprint(err), fmt.Sprintf("look up domain %q: ", name)) {
			t.Errorf("lookup %q: got %+v, %v", name, got, err)
		}
	}
	domains, err := c.Domains()
	if err != nil {
		t.Fatal(err)
	}
	for i, dom := range domains {
		if !want[dom.Name] || (i > 0 && domains[i-1].Name >= dom.Name) {
			t.Errorf("list has %q after %q", dom.Name, domains[max(i-1, 0)].Name)
		}
	}
	if len(domains) != len(want) {
		t.Errorf("list has %d domains, want %d", len(domains), len(want))
	}

	web1, err := c.Lookup("web1")
	if err != nil {
		t.Fatal(err)
	}
	d.virsh("undefine", "web1")
	if _, err := c.LiveXML(web1); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), `of domain "web1"`) {
		t.Errorf("XML of a domain that is gone: %v", err)
	}
}

func TestIntegrationDefinition(t *testing.T) {
	d := startDaemon(t)
	c := d.dial(10 * time.Second)
	d.virsh("define", d.file(guest("web1", uuid1)))
	web1, err := c.Lookup("web1")
	if err != nil {
		t.Fatal(err)
	}
	d.virsh("start", "--paused", "web1")

	// Secrets are in the one XML and in no other; the tap only in the live one.
	for _, tt := range []struct {
		what        string
		dump        func(Domain) (string, error)
		secret, tap bool
	}{
		{"persistent", c.PersistentXML, true, false},
		{"persistent public", c.PersistentXMLPublic, false, false},
		{"live", c.LiveXML, false, true},
	} {
		text, err := tt.dump(web1)
		if err != nil || strings.Contains(text, "secret12") != tt.secret || strings.Contains(text, "<target dev=") != tt.tap {
			t.Errorf("%s: %v, want secret %v, tap %v:\n%s", tt.what, err, tt.secret, tt.tap, text)
		}
	}

	iface := "<interface type='ethernet'><mac address='" + mac1 + "'/><model type='virtio'/><mtu size='9000'/>" +
		"<address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/></interface>"
	if err := c.UpdateInterface(web1, iface); err != nil {
		t.Fatal(err)
	}
	persistent, _ := c.PersistentXML(web1)
	live, _ := c.LiveXML(web1)
	if !strings.Contains(persistent, "<mtu size='9000'/>") || !strings.Contains(persistent, "secret12") || strings.Contains(live, "<mtu") {
		t.Errorf("after the update the definition is\n%s\nand the live XML\n%s", persistent, live)
	}
	err = c.UpdateInterface(web1, "<interface type='ethernet'><mac address='52:54:00:00:00:99'/></interface>")
	if err == nil || !strings.HasPrefix(err.Error(), `update interface of domain "web1": `) || errors.Is(err, ErrLost) {
		t.Errorf("update of a NIC that is not there: %v", err)
	}

	metadata := func(want string) {
		t.Helper()
		got, err := c.Metadata(web1, ours)
		if err != nil || got != want {
			t.Errorf("metadata: got %q, %v, want %q", got, err, want)
		}
	}
	metadata("")
	for _, mac := range []string{"a", "b"} { // the second in place of the first
		if err := c.SetMetadata(web1, "virt-mtu-owned", ours, "<nics><nic mac='"+mac+"'/></nics>", false); err != nil {
			t.Fatal(err)
		}
		metadata("<nics>\n  <nic mac=\"" + mac + "\"/>\n</nics>")
	}
	if persistent, _ := c.PersistentXML(web1); !strings.Contains(persistent, "xmlns:virt-mtu-owned=\""+ours+"\"") {
		t.Errorf("definition without the node:\n%s", persistent)
	}
	if live, _ := c.LiveXML(web1); strings.Contains(live, ours) {
		t.Error("the running domain's metadata changed too")
	}
	if err := c.SetMetadata(web1, "virt-mtu-owned", ours, "<not-xml", false); err == nil {
		t.Error("broken XML was taken for metadata")
	}
	for range 2 { // to remove what is not there is no error
		if err := c.SetMetadata(web1, "virt-mtu-owned", ours, "", false); err != nil {
			t.Fatal(err)
		}
		metadata("")
	}
}

func TestIntegrationStatus(t *testing.T) {
	d := startDaemon(t)
	c := d.dial(10 * time.Second)
	d.virsh("define", d.file(guest("web1", uuid1)))
	d.virsh("create", "--paused", d.file(guest("transient", uuid2)))

	status := func(name string, want Status) Domain {
		t.Helper()
		dom, err := c.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Status(dom)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if virsh := d.virsh("domstate", name); virsh != got.State {
			t.Errorf("%s: virsh says %q, Status %q", name, virsh, got.State)
		}
		return dom
	}
	web1 := status("web1", Status{State: "shut off", Persistent: true})
	if _, err := c.ManagedSaveXML(web1); err == nil {
		t.Error("XML of a managed save image that is not there")
	}
	d.virsh("start", "--paused", "web1")
	status("web1", Status{State: "paused", Active: true, Persistent: true})
	d.virsh("resume", "web1")
	status("web1", Status{State: "running", Active: true, Persistent: true})
	d.virsh("managedsave", "web1")
	status("web1", Status{State: "shut off", Persistent: true, ManagedSave: true})
	if text, err := c.ManagedSaveXML(web1); err != nil || !strings.Contains(text, uuid1) || strings.Contains(text, "secret12") {
		t.Errorf("managed save image's XML: %v\n%s", err, text)
	}

	transient := status("transient", Status{State: "paused", Active: true})
	if err := c.SetMetadata(transient, "virt-mtu-owned", ours, "<nics/>", false); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("metadata of the definition that a transient domain has not: %v", err)
	}
	d.virsh("destroy", "transient")
	if _, err := c.Status(transient); !errors.Is(err, ErrNotFound) {
		t.Errorf("status of a domain that is gone: %v", err)
	}
}

func TestIntegrationNetworks(t *testing.T) {
	d := startDaemon(t)
	c := d.dial(10 * time.Second)
	if got, err := c.Networks(); err != nil || len(got) != 0 {
		t.Errorf("no network: got %+v, %v", got, err)
	}
	d.run("ip", "link", "add", "br0", "type", "bridge")
	network := func(name string) string {
		return d.file("<network><name>" + name + "</name><forward mode='bridge'/><bridge name='br0'/></network>")
	}
	d.virsh("net-define", network("trunk"))
	d.virsh("net-create", network("live one"))
	got, err := c.Networks()
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if !strings.Contains(got[i].XML, "<name>"+got[i].Name+"</name>") || !strings.Contains(got[i].XML, "br0") {
			t.Errorf("XML of %q:\n%s", got[i].Name, got[i].XML)
		}
		if one, err := c.Network(got[i].UUID); err != nil || !cmp.Equal(one, got[i]) {
			t.Errorf("by its UUID: %+v, %v", one, err)
		}
		if one, err := c.NetworkByUUID(got[i].UUID); err != nil || !cmp.Equal(one, got[i]) {
			t.Errorf("by its UUID alone: %+v, %v", one, err)
		}
		if defined := got[i].Definition != ""; defined == got[i].Active {
			t.Errorf("%q has the definition %q", got[i].Name, got[i].Definition)
		}
		got[i].XML, got[i].Definition, got[i].UUID = "", "", ""
	}
	if diff := cmp.Diff([]Network{{Name: "live one", Active: true}, {Name: "trunk"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := c.Network("nope"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a network that is not there: %v", err)
	}
	if err := c.DefineNetwork("<network/>"); err == nil || !strings.HasPrefix(err.Error(), "define network: ") {
		t.Errorf("a network without a name: %v", err)
	}
}

// calls are all that a Conn can do, on one domain.
func calls(c *Conn, d Domain) map[string]func() error {
	return map[string]func() error{
		"Domains":        func() error { _, err := c.Domains(); return err },
		"Lookup":         func() error { _, err := c.Lookup(d.UUID); return err },
		"Status":         func() error { _, err := c.Status(d); return err },
		"PersistentXML":  func() error { _, err := c.PersistentXML(d); return err },
		"ManagedSaveXML": func() error { _, err := c.ManagedSaveXML(d); return err },
		"UpdateInterface": func() error {
			return c.UpdateInterface(d, "<interface type='ethernet'><mac address='"+mac1+"'/><mtu size='9000'/></interface>")
		},
		"Metadata":    func() error { _, err := c.Metadata(d, ours); return err },
		"SetMetadata": func() error { return c.SetMetadata(d, "virt-mtu-owned", ours, "<nics/>", false) },
		"Networks":    func() error { _, err := c.Networks(); return err },
		"Network":     func() error { _, err := c.Network("trunk"); return err },
		"DefineNetwork": func() error {
			return c.DefineNetwork("<network><name>late</name><forward mode='bridge'/><bridge name='br0'/></network>")
		},
	}
}

// A daemon that hangs: every call returns in time and leaves nothing behind.
func TestIntegrationTimeout(t *testing.T) {
	const timeout, slack = 300 * time.Millisecond, 10 * time.Second // machines are busy; a hang is longer
	d := startDaemon(t)
	first := d.dial(10 * time.Second)
	d.virsh("define", d.file(guest("web1", uuid1)))
	web1, err := first.Lookup("web1")
	if err != nil {
		t.Fatal(err)
	}
	first.Close()

	before := runtime.NumGoroutine()
	for name := range calls(nil, Domain{}) {
		c := d.dial(timeout)
		d.signal("STOP")
		began := time.Now()
		err := calls(c, web1)[name]()
		took := time.Since(began)
		if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "libvirt did not answer within 300ms") || took > timeout+slack || took < timeout {
			t.Errorf("%s: %v after %v", name, err, took)
		}
		began = time.Now()
		if _, err := c.Lookup("web1"); !errors.Is(err, ErrTimeout) || time.Since(began) > slack {
			t.Errorf("%s, the call after it: %v after %v", name, err, time.Since(began))
		}
		c.Close()
		if took := time.Since(began); took > slack {
			t.Errorf("%s: Close took %v", name, took)
		}
		d.signal("CONT")
	}

	// To dial a daemon that hangs is a call too; and Close does not wait for one.
	c := d.dial(10 * time.Second)
	d.signal("STOP")
	began := time.Now()
	if _, err := Dial(context.Background(), d.uri(), timeout); !errors.Is(err, ErrTimeout) || time.Since(began) > timeout+slack {
		t.Errorf("Dial: %v after %v", err, time.Since(began))
	} else if !strings.Contains(Hint(err), "virsh domjobinfo") {
		t.Errorf("hint %q", Hint(err))
	}
	began = time.Now()
	c.Close()
	if took := time.Since(began); took > time.Second+slack {
		t.Errorf("Close took %v", took)
	}

	// One goroutine's timeout is everybody's.
	d.signal("CONT")
	c = d.dial(timeout)
	d.signal("STOP")
	began = time.Now()
	var wg sync.WaitGroup
	for range 8 {
		spawn(&wg, func() {
			// The socket's buffer fills up: those that still send are released too.
			if err := c.SetMetadata(web1, "k", ours, "<a>"+strings.Repeat("x", 1<<20)+"</a>", false); !errors.Is(err, ErrTimeout) {
				t.Errorf("one of eight: %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > timeout+slack {
		t.Errorf("eight calls took %v", took)
	}
	d.signal("CONT")
	eventually(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// A domain that is busy, here because its QEMU hangs in a command: reads go on,
// a write waits (libvirt gives up after 30 s), and what a call did that timed out
// is not known.
func TestIntegrationBusyDomain(t *testing.T) {
	d := startDaemon(t)
	c := d.dial(10 * time.Second)
	d.virsh("define", d.file(guest("web1", uuid1)))
	web1, err := c.Lookup("web1")
	if err != nil {
		t.Fatal(err)
	}
	d.virsh("start", "--paused", "web1")
	qemu := d.run("cat", "/run/libvirt/qemu/web1.pid")
	d.run("kill", "-STOP", qemu)
	d.run("bash", "-c", "virsh qemu-monitor-command web1 --hmp 'info status' </dev/null >/dev/null 2>&1 &")
	eventually(t, "the domain to be busy", func() bool {
		c := d.dial(500 * time.Millisecond)
		return errors.Is(c.SetMetadata(web1, "k", ours, "<first/>", false), ErrTimeout)
	})
	if st, err := c.Status(web1); err != nil || !st.Active {
		t.Errorf("status: %+v, %v", st, err)
	}
	if _, err := c.PersistentXML(web1); err != nil {
		t.Error(err)
	}
	d.run("kill", "-CONT", qemu)
	if err := c.SetMetadata(web1, "k", "urn:other", "<x/>", false); err != nil {
		t.Errorf("no longer busy: %v", err)
	}
	eventually(t, "the call that timed out to be done all the same", func() bool {
		got, err := c.Metadata(web1, ours)
		return err == nil && got == "<first/>"
	})
}

func TestIntegrationContext(t *testing.T) {
	d := startDaemon(t)
	ctx, cancel := context.WithCancel(context.Background())
	c, err := Dial(ctx, d.uri(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d.signal("STOP")
	defer d.signal("CONT")
	time.AfterFunc(200*time.Millisecond, cancel)
	began := time.Now()
	if _, err := c.Domains(); !errors.Is(err, context.Canceled) || time.Since(began) > 10*time.Second {
		t.Errorf("call under way: %v after %v", err, time.Since(began))
	}
	if _, err := Dial(ctx, d.uri(), 10*time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial: %v", err)
	}
}

func TestIntegrationLost(t *testing.T) {
	d := startDaemon(t)
	c, waiting := d.dial(10*time.Second), d.dial(10*time.Second)
	d.signal("STOP")
	result := make(chan error)
	go func() { _, err := waiting.Domains(); result <- err }()
	time.Sleep(100 * time.Millisecond)
	d.signal("KILL")
	err := <-result
	if !errors.Is(err, ErrLost) || err.Error() != "list domains: connection to libvirt lost" || !strings.Contains(Hint(err), "run this again") {
		t.Errorf("call under way: %v, hint %q", err, Hint(err))
	}
	for range 2 {
		if _, err := c.Lookup("web1"); !errors.Is(err, ErrLost) {
			t.Errorf("call after it: %v", err)
		}
	}
	c.Close()
	if _, err := c.Lookup("web1"); !errors.Is(err, ErrLost) {
		t.Errorf("call after Close: %v", err)
	}
}

// A daemon logs an error for each client that goes without a goodbye.
func TestIntegrationClose(t *testing.T) {
	d := startDaemon(t)
	c := d.dial(10 * time.Second)
	before := runtime.NumGoroutine()
	for range 3 {
		c := d.dial(10 * time.Second)
		c.Close()
		if _, err := c.Domains(); !errors.Is(err, ErrClosed) {
			t.Errorf("call after Close: %v", err)
		}
		c.Close()
	}
	eventually(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	if _, err := c.Domains(); err != nil { // the daemon has dealt with the others by now
		t.Fatal(err)
	}
	log, err := os.ReadFile(d.path("/run/libvirtd.log"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "End of file") {
		t.Errorf("libvirtd's log:\n%s", log)
	}
}

func spawn(wg *sync.WaitGroup, f func()) {
	wg.Add(1)
	go func() {
		defer wg.Done()
		f()
	}()
}

// Several goroutines on one Conn each get their own answers.
func TestIntegrationConcurrent(t *testing.T) {
	const workers, domains = 4, 40
	d := startDaemon(t)
	c := d.dial(10 * time.Second)
	for i := range domains {
		d.virsh("define", d.file(guest(fmt.Sprintf("web%02d", i), fmt.Sprintf("11111111-2222-3333-4444-%012d", i))))
	}
	all, err := c.Domains()
	if err != nil {
		t.Fatal(err)
	}
	work := make(chan Domain)
	var wg sync.WaitGroup
	for range workers {
		spawn(&wg, func() {
			for dom := range work {
				text, err := c.PersistentXML(dom)
				if err != nil || !strings.Contains(text, dom.UUID) {
					t.Errorf("%s: %v, XML of another domain?\n%s", dom.Name, err, text)
				}
				if err := c.SetMetadata(dom, "k", ours, "<of>"+dom.Name+"</of>", false); err != nil {
					t.Error(err)
				}
				if got, err := c.Metadata(dom, ours); err != nil || !strings.Contains(got, dom.Name) {
					t.Errorf("%s: metadata %q, %v", dom.Name, got, err)
				}
				if st, err := c.Status(dom); err != nil || st.State != "shut off" {
					t.Errorf("%s: %+v, %v", dom.Name, st, err)
				}
			}
		})
	}
	for range 5 {
		for _, dom := range all {
			work <- dom
		}
	}
	close(work)
	wg.Wait()
	if len(all) != domains {
		t.Errorf("%d domains, want %d", len(all), domains)
	}
}
