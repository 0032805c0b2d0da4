package libvirt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every event that libvirt 11.3 has is in words, and what comes later is not lost.
func TestEventWords(t *testing.T) {
	for _, tt := range []struct {
		event, detail int32
		kind          EventKind
		want          string
	}{
		{0, 0, Defined, "added"},
		{0, 3, Defined, "from-snapshot"},
		{0, 4, Defined, "4"},
		{1, 1, Undefined, "renamed"},
		{2, 4, Started, "wakeup"},
		{3, 8, State, "suspended-postcopy-failed"},
		{4, 1, State, "resumed-migrated"},
		{5, 6, Stopped, "from-snapshot"},
		{6, 2, State, "shutdown-host"},
		{7, 1, State, "pmsuspended-disk"},
		{8, 1, State, "crashed-crashloaded"},
		{9, 2, State, "9-2"},
		{-1, -1, State, "-1--1"},
		{5, -1, Stopped, "-1"},
	} {
		if kind, got := words(tt.event, tt.detail); kind != tt.kind || got != tt.want {
			t.Errorf("%d, %d: got %s %q, want %s %q", tt.event, tt.detail, kind, got, tt.kind, tt.want)
		}
	}
}

func TestEventQueue(t *testing.T) {
	web := func(i int, kind EventKind) Event { return Event{Domain{Name: fmt.Sprint("web", i)}, kind, ""} }
	in, out, done := make(chan Event), make(chan Event), make(chan struct{})
	go queue(in, out, done)
	for range 1000 {
		for i := range 3 {
			in <- web(i, Defined)
		}
	}
	in <- web(0, Started)
	in <- web(0, Defined)
	want := []Event{web(1, Defined), web(2, Defined), web(0, Started), web(0, Defined)}
	for _, w := range want {
		if diff := cmp.Diff(w, <-out); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	in <- web(1, Defined) // again, now that it was read
	if got := <-out; got != web(1, Defined) {
		t.Errorf("got %+v", got)
	}
	in <- web(2, Stopped)
	close(done)
	for e := range out {
		if e != web(2, Stopped) {
			t.Errorf("got %+v", e)
		}
	}
	in <- web(2, Started) // whoever sends is not kept waiting now either
	close(in)
}

func (d *daemon) events(c *Conn) <-chan Event {
	d.t.Helper()
	events, err := c.Events()
	if err != nil {
		d.t.Fatal(err)
	}
	return events
}

// until returns the events up to one of that kind and detail.
func until(t *testing.T, events <-chan Event, kind EventKind, detail string) []Event {
	t.Helper()
	var got []Event
	late := time.After(20 * time.Second)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("%s %s: the channel is closed; before it %+v", kind, detail, got)
			}
			if got = append(got, e); e.Kind == kind && e.Detail == detail {
				return got
			}
		case <-late:
			t.Fatalf("%s %s: waited in vain; got %+v", kind, detail, got)
		}
	}
}

// closed waits for the end of a connection, and for all that says it.
func closed(t *testing.T, c *Conn, events <-chan Event, why error) {
	t.Helper()
	for late := time.After(20 * time.Second); ; {
		select {
		case _, ok := <-events:
			if ok {
				continue
			}
		case <-late:
			t.Fatal("the channel is still open")
		}
		break
	}
	select {
	case <-c.Done():
	default:
		t.Error("the channel is closed and the connection is not done")
	}
	if !errors.Is(c.Err(), why) {
		t.Errorf("ended by %v, want %v", c.Err(), why)
	}
}

func TestIntegrationEvents(t *testing.T) {
	d := startDaemon(t)
	c := d.dial(10 * time.Second)
	events := d.events(c)
	if _, err := c.Events(); err == nil || c.Err() != nil {
		t.Errorf("subscribed twice: %v, connection %v", err, c.Err())
	}
	d.run("qemu-img", "create", "-q", "-f", "qcow2", "/run/web1.qcow2", "1M")        // snapshots need a disk
	web1 := d.file(strings.NewReplacer("</os>", "</os><features><acpi/></features>", // hotplug needs ACPI
		"<graphics", `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
<source file='/run/web1.qcow2'/><target dev='vda' bus='virtio'/></disk><graphics`).Replace(guest("web1", uuid1)))
	nic := d.file("<interface type='ethernet'><mac address='52:54:00:00:00:02'/><model type='virtio'/><alias name='ua-second'/></interface>")
	type step struct {
		do     func()
		kind   EventKind
		detail string
	}
	virsh := func(args ...string) func() { return func() { d.virsh(args...) } }
	for _, s := range []step{
		{virsh("define", web1), Defined, "added"},
		{virsh("define", web1), Defined, "updated"}, // the same XML
		{virsh("metadata", "web1", ours, "--key", "k", "--set", "<nics/>", "--config"), Metadata, ours},
		{virsh("metadata", "web1", ours, "--key", "k", "--set", "<nics/>", "--config"), Metadata, ours}, // the same
		{virsh("metadata", "web1", ours, "--remove", "--config"), Metadata, ours},
		{virsh("desc", "web1", "--config", "--new-desc", "x"), Metadata, "description"},
		{virsh("desc", "web1", "--config", "--title", "--new-desc", "x"), Metadata, "title"},
		{virsh("snapshot-create-as", "web1", "s1"), "", ""},
		{virsh("snapshot-revert", "web1", "s1"), Defined, "from-snapshot"},
		{virsh("start", "--paused", "web1"), Started, "booted"},
		{virsh("resume", "web1"), State, "resumed"},
		{virsh("attach-device", "web1", nic, "--live"), DeviceAdded, "ua-second"},
		{func() {
			// No system runs in the guest that would let go of it, and a reset does.
			d.virsh("detach-device", "web1", nic, "--live")
			d.virsh("reset", "web1")
		}, DeviceRemoved, "ua-second"},
		{virsh("suspend", "web1"), State, "suspended"},
		{virsh("managedsave", "web1"), Stopped, "saved"},
		{virsh("start", "--paused", "web1"), Started, "restored"},
		{virsh("destroy", "web1"), Stopped, "destroyed"},
		{virsh("snapshot-delete", "web1", "s1"), "", ""},
		{virsh("domrename", "web1", "web2"), Defined, "renamed"},
		{virsh("undefine", "web2"), Undefined, "removed"},
	} {
		s.do()
		if s.kind == "" {
			continue
		}
		for _, e := range until(t, events, s.kind, s.detail) {
			if e.Domain.UUID != uuid1 || !strings.HasPrefix(e.Domain.Name, "web") {
				t.Errorf("%s %s: of domain %+v", e.Kind, e.Detail, e.Domain)
			}
		}
	}

	// A change by this connection is told of too, and of the name that it has now.
	d.virsh("define", d.file(guest("ünï ' <x>", uuid2)))
	until(t, events, Defined, "added")
	dom, err := c.Lookup(uuid2)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetMetadata(dom, "virt-mtu-owned", ours, "<nics/>", false); err != nil {
		t.Fatal(err)
	}
	got := until(t, events, Metadata, ours)
	if diff := cmp.Diff([]Event{{dom, Metadata, ours}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.Close()
	closed(t, c, events, ErrClosed)
}

// A storm while nobody reads: calls go on, every domain that changed is told of, and
// what waits does not grow with the storm.
func TestIntegrationEventStorm(t *testing.T) {
	const domains, defines = 20, 1000
	d := startDaemon(t)
	before := runtime.NumGoroutine()
	c := d.dial(10 * time.Second)
	events := d.events(c)
	var batch strings.Builder
	var files []string
	for i := range domains {
		files = append(files, d.file(guest(fmt.Sprintf("web%02d", i), fmt.Sprintf("11111111-2222-3333-4444-%012d", i))))
	}
	for i := range defines {
		fmt.Fprintln(&batch, "define", files[i%domains])
	}
	began := time.Now()
	d.run("sh", "-c", "virsh -q < "+d.file(batch.String()))
	took := time.Since(began)
	began = time.Now()
	if err := c.Ping(); err != nil {
		t.Error(err)
	}
	t.Logf("%d defines in %v, a ping after them %v", defines, took, time.Since(began))
	d.virsh("undefine", "web00") // the last that happens

	all := until(t, events, Undefined, "removed")
	if len(all) > 2*domains+1 {
		t.Errorf("%d events, want at most two for each of %d domains, and one", len(all), domains)
	}
	dirty := map[string]bool{}
	for _, e := range all {
		dirty[e.Domain.Name] = dirty[e.Domain.Name] || e.Detail == "updated"
	}
	for i := range domains {
		if name := fmt.Sprintf("web%02d", i); !dirty[name] {
			t.Errorf("nothing of %s", name)
		}
	}

	// Nobody reads at the end either.
	d.run("sh", "-c", "virsh -q < "+d.file(batch.String()))
	c.Close()
	eventually(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	closed(t, c, events, ErrClosed)
}

// However the daemon ends, the channel is closed and Err says why.
func TestIntegrationEventsEnd(t *testing.T) {
	d := startDaemon(t)
	before := runtime.NumGoroutine()
	for _, sig := range []string{"TERM", "KILL"} {
		c := d.dial(10 * time.Second)
		events := d.events(c)
		d.signal(sig)
		closed(t, c, events, ErrLost)
		if err := c.Ping(); !errors.Is(err, ErrLost) {
			t.Errorf("SIG%s, a ping after it: %v", sig, err)
		}
		if _, err := c.Events(); err == nil {
			t.Errorf("SIG%s: subscribed to a connection that is lost", sig)
		}

		// The daemon comes back: a new connection sees what a new daemon tells.
		d.restart()
		c = d.dial(10 * time.Second)
		events = d.events(c)
		d.virsh("define", d.file(guest("web1", uuid1)))
		d.virsh("undefine", "web1")
		until(t, events, Undefined, "removed")
		c.Close()
		closed(t, c, events, ErrClosed)
	}

	ctx, cancel := context.WithCancel(context.Background())
	c, err := Dial(ctx, d.uri(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	events := d.events(c)
	cancel()
	closed(t, c, events, context.Canceled)
	eventually(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// A connection that ends at any moment of a subscription, with events on their way,
// leaves nothing behind. (go-libvirt alone does: a subscription that it enters after it
// has ended all others never ends.)
func TestIntegrationEventsInterrupted(t *testing.T) {
	d := startDaemon(t)
	file := d.file(guest("web1", uuid1))
	batch := d.file(strings.Repeat("define "+file+"\n", 5000))
	d.run("sh", "-c", "virsh -q < "+batch+" >/dev/null 2>&1 &")
	before := runtime.NumGoroutine()
	subscribed := 0
	for i := range 600 {
		ctx, cancel := context.WithCancel(context.Background())
		c, err := Dial(ctx, d.uri(), 10*time.Second)
		if err != nil {
			cancel() // the daemon takes no more before it has seen the others go
			time.Sleep(5 * time.Millisecond)
			continue
		}
		time.AfterFunc(time.Duration(i%60)*50*time.Microsecond, cancel)
		if events, err := c.Events(); err == nil {
			subscribed++
			closed(t, c, events, context.Canceled)
		}
		<-c.Done()
	}
	t.Logf("%d of 600 had subscribed before they ended", subscribed)
	eventually(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// A daemon that hangs says nothing, so only a ping finds it. So it is for one that
// hangs while it is asked for events.
func TestIntegrationEventsHang(t *testing.T) {
	const timeout = 300 * time.Millisecond
	d := startDaemon(t)
	before := runtime.NumGoroutine()
	c, other := d.dial(timeout), d.dial(timeout)
	events := d.events(c)
	d.signal("STOP")
	select {
	case e, ok := <-events:
		t.Errorf("got %+v, %v", e, ok)
	case <-c.Done():
		t.Errorf("done: %v", c.Err())
	case <-time.After(3 * timeout):
	}
	if err := c.Ping(); !errors.Is(err, ErrTimeout) || !strings.HasPrefix(err.Error(), "ping libvirt: ") {
		t.Errorf("ping: %v", err)
	}
	closed(t, c, events, ErrTimeout)
	if _, err := other.Events(); !errors.Is(err, ErrTimeout) || !errors.Is(other.Err(), ErrTimeout) {
		t.Errorf("subscribe: %v, connection %v", err, other.Err())
	}
	d.signal("CONT")
	eventually(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// A guest that hangs, or a hook, keeps the daemon's ordinary workers; a ping has others.
func TestIntegrationPingBusy(t *testing.T) {
	d := startDaemon(t)
	c := d.dial(2 * time.Second)
	d.virsh("define", d.file(guest("web1", uuid1)))
	web1, err := c.Lookup("web1")
	if err != nil {
		t.Fatal(err)
	}
	d.virsh("start", "--paused", "web1")
	d.run("kill", "-STOP", d.run("cat", "/run/libvirt/qemu/web1.pid"))
	d.run("bash", "-c", "virsh qemu-monitor-command web1 --hmp 'info status' </dev/null >/dev/null 2>&1 &")
	eventually(t, "the domain to be busy", func() bool {
		c := d.dial(500 * time.Millisecond)
		return errors.Is(c.SetMetadata(web1, "k", ours, "<a/>", false), ErrTimeout)
	})
	// More than the daemon has workers (max_workers is 20); a client has five of them.
	for range 8 {
		busy := d.dial(30 * time.Second)
		for range 5 {
			go busy.SetMetadata(web1, "k", ours, "<a/>", false)
		}
	}
	eventually(t, "the workers to be busy", func() bool {
		probe, err := Dial(context.Background(), d.uri(), 500*time.Millisecond)
		if err != nil {
			return false
		}
		defer probe.Close()
		_, err = probe.Metadata(web1, ours)
		return errors.Is(err, ErrTimeout)
	})
	began := time.Now()
	if err := c.Ping(); err != nil {
		t.Error(err)
	}
	t.Logf("a ping took %v", time.Since(began))
	d.run("kill", "-CONT", d.run("cat", "/run/libvirt/qemu/web1.pid"))
}

// restart starts the daemon anew, after its end.
func (d *daemon) restart() {
	d.t.Helper()
	eventually(d.t, "libvirtd to end", func() bool {
		return d.run("sh", "-c", "kill -0 $(cat /run/virt-mtu-test.pid) 2>/dev/null && echo alive; true") == ""
	})
	d.run("sh", "-c", "libvirtd -f /etc/libvirt/libvirtd.conf </dev/null >/dev/null 2>&1 & echo $! > /run/virt-mtu-test.pid")
	eventually(d.t, "libvirtd's socket", func() bool {
		c, err := Dial(context.Background(), d.uri(), time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}
