package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/owned"
	"virt-mtu/test/lab"
	"virt-mtu/test/programs"
)

const (
	// patience is far less than the time between two looks at everything: what is right
	// by then was told of. How soon it was, each test logs.
	patience = 30 * time.Second
	// rest is longer than the daemon lets anything settle.
	rest = 600 * time.Millisecond
)

// raced is virt-mtu with the race detector, where there is a C compiler.
var raced = sync.OnceValues(func() (string, error) {
	dir, err := programs.Build()
	if err != nil {
		return "", err
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		return filepath.Join(dir, "virt-mtu"), nil
	}
	path := filepath.Join(dir, "race", "virt-mtu")
	out, err := exec.Command("go", "build", "-race", "-o", path, "virt-mtu/cmd/virt-mtu").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build -race: %w\n%s", err, out)
	}
	return path, nil
})

// daemon is a virt-mtu watch that runs in a host.
type daemon struct {
	cmd   *exec.Cmd
	log   *output
	ended chan struct{}

	mu    sync.Mutex
	told  []string // what it told systemd
	since time.Time
}

// output is what a program writes, while it writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// watch starts the daemon, which ends with the test: well, and without a race.
func watch(t *testing.T, h *lab.Host, args ...string) *daemon {
	t.Helper()
	path, err := raced()
	if err != nil {
		t.Fatal(err)
	}
	d := launch(t, h, path, args...)
	t.Cleanup(func() {
		if d.signal(syscall.SIGTERM) == nil {
			t.Logf("it ended after %v", d.end(t))
		}
		if code := d.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("watch: exit %d", code)
		}
		if hasRace(d.log.String()) {
			t.Error("a data race")
		}
		if t.Failed() {
			t.Logf("watch has written:\n%s", d.log)
		}
	})
	d.await(t, "READY=1", 1)
	return d
}

// hasRace reports whether the race detector has found one, but for go-libvirt's: a
// connection that breaks while it is made closes a channel that ConnectToURI replaces.
// That tells nobody anything here (libvirt.Conn goes by its socket).
func hasRace(log string) bool {
	for _, report := range strings.Split(log, "WARNING: DATA RACE")[1:] {
		report, _, _ = strings.Cut(report, "==================")
		if !strings.Contains(report, "go-libvirt.(*Libvirt).waitAndDisconnect()") || !strings.Contains(report, "go-libvirt.(*Libvirt).ConnectToURI()") {
			return true
		}
	}
	return false
}

// launch starts the daemon, whatever becomes of it.
func launch(t *testing.T, h *lab.Host, path string, args ...string) *daemon {
	t.Helper()
	const notify = "/run/lab/notify"
	h.Run(t, "rm", "-f", notify)
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: h.Path(notify), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{cmd: h.Command(slices.Concat([]string{path, "watch", "-v"}, args)...), log: &output{}, ended: make(chan struct{}), since: time.Now()}
	// The race detector would sleep for a second at the end. What it finds, hasRace judges.
	d.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify, "GORACE=atexit_sleep_ms=0 exitcode=0")
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go d.listen(l)
	go func() {
		d.cmd.Wait()
		l.Close()
		close(d.ended)
	}()
	return d
}

func (d *daemon) listen(l *net.UnixConn) {
	b := make([]byte, 4096)
	for {
		n, err := l.Read(b)
		if err != nil {
			return
		}
		d.mu.Lock()
		d.told, d.since = append(d.told, string(b[:n])), time.Now()
		d.mu.Unlock()
	}
}

// reconciles is how many times it has told that it has looked at something: once a
// reconcile, and once when libvirt comes or goes.
func (d *daemon) reconciles() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.told {
		if strings.HasPrefix(m, "STATUS=") {
			n++
		}
	}
	return n
}

// await waits until it has told that so many times.
func (d *daemon) await(t *testing.T, what string, times int) {
	t.Helper()
	soon(t, what, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		n := 0
		for _, m := range d.told {
			if strings.HasPrefix(m, what) {
				n++
			}
		}
		return n >= times
	})
}

// quiet waits until it has rested for a while.
func (d *daemon) quiet(t *testing.T) {
	t.Helper()
	began := time.Now()
	end := began.Add(20 * time.Second)
	for {
		d.mu.Lock()
		last := d.since
		d.mu.Unlock()
		if last.Before(began) {
			last = began
		}
		left := rest - time.Since(last)
		switch {
		case left <= 0:
			return
		case time.Now().After(end):
			t.Fatalf("it never rests:\n%s", d.log)
		}
		time.Sleep(left)
	}
}

// child is the process's only one, if that is the program.
func child(pid int, program string) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	child, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child)); string(comm) != program+"\n" {
		return 0, fmt.Errorf("%s has ended, or not begun", program)
	}
	return child, nil
}

// signal sends a signal to the daemon itself, a child of nsenter's.
func (d *daemon) signal(s syscall.Signal) error {
	pid, err := child(d.cmd.Process.Pid, "virt-mtu")
	if err != nil {
		return err
	}
	if s == syscall.SIGCONT { // nsenter has stopped with it
		_ = d.cmd.Process.Signal(s)
	}
	return syscall.Kill(pid, s)
}

// end waits for its end, and returns how long that took.
func (d *daemon) end(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	select {
	case <-d.ended:
	case <-time.After(20 * time.Second):
		_ = d.signal(syscall.SIGQUIT) // Go says where it is
		time.Sleep(time.Second)
		t.Fatalf("watch does not end:\n%s", d.log)
	}
	return time.Since(began)
}

// says waits for words in its log.
func (d *daemon) says(t *testing.T, words ...string) {
	t.Helper()
	for _, w := range words {
		soon(t, "it says "+w, func() bool { return strings.Contains(d.log.String(), w) })
	}
}

// soon waits until something holds.
func soon(t testing.TB, what string, holds func() bool) {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > patience {
			t.Fatalf("%s: not after %v", what, patience)
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Logf("%s: after %v", what, time.Since(began).Round(time.Millisecond))
}

var mtuSize = regexp.MustCompile(`<mtu size='(\d+)'/>`)

// definition is the domain's file: libvirtd need not answer.
func definition(h *lab.Host, name string) string {
	b, _ := os.ReadFile(h.Path("/etc/libvirt/qemu/" + name + ".xml"))
	return string(b)
}

// mtus are the <mtu>s of a definition, in order: "" for none.
func mtus(h *lab.Host, name string) string {
	var all []string
	for _, m := range mtuSize.FindAllStringSubmatch(definition(h, name), -1) {
		all = append(all, m[1])
	}
	return strings.Join(all, " ")
}

// soonMTU waits until a definition has these <mtu>s.
func soonMTU(t testing.TB, h *lab.Host, name, want string) {
	t.Helper()
	soon(t, name+" is defined with "+cmp.Or(want, "no <mtu>"), func() bool { return mtus(h, name) == want })
}

// linkMTU of a link, 0 where there is none; quicker than to ask in the host.
func linkMTU(h *lab.Host, dev string) int {
	b, _ := os.ReadFile(h.Path("/sys/class/net/" + dev + "/mtu"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

func soonTap(t testing.TB, h *lab.Host, dev string, want int) {
	t.Helper()
	soon(t, fmt.Sprintf("%s has %d", dev, want), func() bool { return linkMTU(h, dev) == want })
}

// addTap makes a tap that joins a bridge at 1500. It is made outside of it, as libvirt's
// are.
func addTap(t testing.TB, h *lab.Host, dev, bridge string) {
	t.Helper()
	h.Run(t, "ip", "tuntap", "add", dev, "mode", "tap")
	h.Run(t, "ip", "link", "set", dev, "master", bridge)
}

// ignored is XML of a domain that wants to be left alone.
func ignored(xml string) string {
	return strings.Replace(xml, "<memory", "<metadata><v:domain xmlns:v='urn:virt-mtu:policy:1' mtu='ignore'/></metadata><memory", 1)
}

func unignore(t testing.TB, h *lab.Host, name string, where ...string) {
	t.Helper()
	h.Run(t, slices.Concat([]string{"virsh", "-q", "metadata", name, "urn:virt-mtu:policy:1", "--remove"}, where)...)
}

// on puts the NIC on another bridge.
func on(bridge, nic string) string { return strings.Replace(nic, "br0", bridge, 1) }

// rewritten calls back with the name of each domain whose definition libvirtd writes.
func rewritten(t *testing.T, h *lab.Host, domain func(name string)) {
	t.Helper()
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	if err := w.Add(h.Path("/etc/libvirt/qemu")); err != nil {
		t.Fatal(err)
	}
	go func() {
		for e := range w.Events {
			if name, ok := strings.CutSuffix(filepath.Base(e.Name), ".xml"); ok && e.Has(fsnotify.Create) { // renamed to
				domain(name)
			}
		}
	}()
}

// quick is a host like jumbo whose libvirtd writes no log, which takes half of its time.
func quick(t *testing.T) *lab.Host {
	t.Helper()
	h := lab.New(t)
	h.Bridge(t, "br0", 9000)
	h.Run(t, "sed", "-i", "/^log_/d", "/etc/libvirt/libvirtd.conf")
	h.Libvirtd(t, "start")
	return h
}

func TestIntegrationWatchDefinitions(t *testing.T) {
	t.Parallel()
	h := quick(t)
	h.Bridge(t, "br1", 0)
	h.Uplink(t, "br1", "up1", 9000)
	h.Bridge(t, "br2", 4000)
	define(t, h, "web1", nic("virtio", 0))
	define(t, h, "two1", nic("virtio", 0)+strings.Replace(nic("e1000", 0), "00:01", "00:02", 1))
	define(t, h, "own1", nic("virtio", 2000))
	define(t, h, "dip1", on("br1", nic("virtio", 0)))
	define(t, h, "rise1", on("br2", nic("virtio", 0)))
	define(t, h, "run1", nic("virtio", 0))
	start(t, h, "run1")
	h.Run(t, "qemu-img", "create", "-q", "-f", "qcow2", "/run/lab/snap1.qcow2", "10M")
	h.Define(t, strings.Replace(h.Domain(t, "snap1", nic("virtio", 0)), "</devices>",
		"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/run/lab/snap1.qcow2'/><target dev='vda'/></disk></devices>", 1))
	h.Run(t, "virsh", "-q", "snapshot-create-as", "snap1", "s1")
	own := persistent(t, h, "own1")
	d := watch(t, h)

	t.Run("all of them at its start", func(t *testing.T) {
		for name, want := range map[string]string{"web1": "9000", "two1": "9000 9000", "dip1": "9000", "rise1": "4000", "run1": "9000", "snap1": "9000"} {
			soonMTU(t, h, name, want)
		}
	})
	t.Run("defined", func(t *testing.T) {
		define(t, h, "web2", nic("virtio", 0))
		soonMTU(t, h, "web2", "9000")
	})
	t.Run("redefined, one write a change", func(t *testing.T) {
		d.quiet(t)
		var writes atomic.Int64
		rewritten(t, h, func(name string) {
			if name == "web2" {
				writes.Add(1)
			}
		})
		before := d.reconciles()
		h.Run(t, "bash", "-c", `virsh dumpxml --inactive web2 | sed "/<mtu /d; /<metadata>/,/<.metadata>/d" >/run/lab/web2.xml && virsh -q define /run/lab/web2.xml`)
		soonMTU(t, h, "web2", "9000")
		d.quiet(t)
		// The other's, the record, the device; and the events of all three.
		if got := writes.Load(); got != 3 {
			t.Errorf("%d writes of the definition", got)
		}
		if got := d.reconciles() - before; got > 3 {
			t.Errorf("%d reconciles", got)
		}
	})
	t.Run("a domain that was left alone, until it is not", func(t *testing.T) {
		h.Define(t, ignored(h.Domain(t, "ign1", nic("virtio", 0))))
		d.quiet(t)
		if got := mtus(h, "ign1"); got != "" {
			t.Errorf("ignored, it has <mtu> %s", got)
		}
		unignore(t, h, "ign1", "--config")
		soonMTU(t, h, "ign1", "9000")
	})
	t.Run("a snapshot brings back a definition without", func(t *testing.T) {
		for _, running := range []bool{false, true} {
			if running {
				start(t, h, "snap1")
			}
			if err := d.signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			h.Run(t, "virsh", "-q", "snapshot-revert", "snap1", "s1")
			if got := mtus(h, "snap1"); got != "" {
				t.Errorf("reverted, it still has <mtu> %s", got)
			}
			if err := d.signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			soonMTU(t, h, "snap1", "9000")
		}
	})
	t.Run("one that is called as another's UUID", func(t *testing.T) {
		uuid := strings.TrimSpace(h.Run(t, "virsh", "-q", "domuuid", "web2"))
		define(t, h, uuid, nic("rtl8139", 0))
		d.quiet(t)
		h.Run(t, "virsh", "-q", "define", "/run/lab/web2.xml")
		soonMTU(t, h, "web2", "9000")
		h.WriteFile(t, "/run/virt-mtu/queue/"+uuid, "", 0o600)
		soon(t, "the queue is empty", func() bool {
			entries, err := os.ReadDir(h.Path("/run/virt-mtu/queue"))
			return err == nil && len(entries) == 0
		})
	})
	t.Run("what an admin wrote stays", func(t *testing.T) {
		define(t, h, "own2", nic("virtio", 1400))
		d.quiet(t)
		wantSame(t, "own1", own, persistent(t, h, "own1"))
		if got := mtus(h, "own2"); got != "1400" {
			t.Errorf("own2 has %s", got)
		}
	})
	t.Run("a bridge that dips lowers nothing", func(t *testing.T) {
		addTap(t, h, "drag", "br1")
		soonTap(t, h, "br1", 1500)
		d.quiet(t)
		define(t, h, "dip2", on("br1", nic("virtio", 0)))
		d.quiet(t)
		if got := mtus(h, "dip1"); got != "9000" || linkMTU(h, "drag") != 1500 {
			t.Errorf("dip1 has <mtu> %s, drag %d", got, linkMTU(h, "drag"))
		}
		if got := mtus(h, "dip2"); got != "" {
			t.Errorf("dip2, defined in the dip, has %s", got)
		}
		h.Run(t, "ip", "link", "del", "drag")
		soonMTU(t, h, "dip2", "9000")
	})
	t.Run("uplinks that are away raise nothing", func(t *testing.T) {
		h.Bridge(t, "br3", 9000)
		h.Uplink(t, "br3", "up3", 4000)
		define(t, h, "away1", on("br3", nic("virtio", 0)))
		soonMTU(t, h, "away1", "4000")
		d.quiet(t)
		h.Run(t, "ip", "link", "set", "up3", "nomaster")
		d.says(t, `"bridge has lost its uplinks; nothing on it is raised until it has one again, or by virt-mtu fix" bridge=br3`)
		define(t, h, "away2", on("br3", nic("virtio", 0)))
		d.quiet(t)
		if a, b := mtus(h, "away1"), mtus(h, "away2"); a != "4000" || b != "" {
			t.Errorf("without an uplink they have %q and %q", a, b)
		}
		h.Run(t, "ip", "link", "set", "up3", "master", "br3")
		soonMTU(t, h, "away2", "4000")
	})
	t.Run("a bridge that is raised raises what follows it", func(t *testing.T) {
		start(t, h, "rise1")
		dev := domainTap(t, h, "rise1")
		h.Run(t, "ip", "link", "set", "br2", "mtu", "8000")
		soonTap(t, h, dev, 8000)
		soonMTU(t, h, "rise1", "8000")
		if got := mtus(h, "web1"); got != "9000" {
			t.Errorf("web1, on another bridge, has %s", got)
		}

		configure(t, h, "follow_bridge = false")
		d.says(t, "config taken")
		h.Run(t, "ip", "link", "set", "br2", "mtu", "9000")
		soonTap(t, h, dev, 9000) // a tap is no definition
		d.quiet(t)
		if got := mtus(h, "rise1"); got != "8000" {
			t.Errorf("with follow_bridge = false it has gone to %s", got)
		}
	})
	d.quiet(t)
	before := d.reconciles()
	time.Sleep(rest)
	if got := d.reconciles(); got != before {
		t.Errorf("it goes on by itself: %d reconciles", got-before)
	}
}

func TestIntegrationWatchTaps(t *testing.T) {
	t.Parallel()
	h := quick(t)
	h.Uplink(t, "br0", "up0", 9000)
	define(t, h, "web1", nic("virtio", 9000))
	start(t, h, "web1")
	addTap(t, h, "vnet8", "br0")
	d := watch(t, h)

	t.Run("there before the daemon", func(t *testing.T) { soonTap(t, h, "vnet8", 9000) })
	d.quiet(t)
	t.Run("one that joins a bridge", func(t *testing.T) {
		addTap(t, h, "vnet9", "br0")
		soonTap(t, h, "vnet9", 9000)
	})
	t.Run("one that joins a bridge which has the name of another", func(t *testing.T) {
		h.Bridge(t, "again", 9000)
		addTap(t, h, "vnet7", "again")
		soonTap(t, h, "vnet7", 9000)
		d.quiet(t)
		h.Run(t, "bash", "-c", "ip link del vnet7; ip tuntap add vnet7 mode tap; ip link del again; ip link add again type bridge; ip link set vnet7 master again")
		d.quiet(t)
		if br, tap := linkMTU(h, "again"), linkMTU(h, "vnet7"); br != 1500 || tap != 1500 {
			t.Errorf("bridge %d, tap %d", br, tap)
		}
		h.Run(t, "ip", "link", "del", "vnet7")
		h.Run(t, "ip", "link", "del", "again")
	})
	t.Run("one that is lowered by hand", func(t *testing.T) {
		h.Run(t, "ip", "link", "set", "vnet9", "mtu", "1400")
		soonTap(t, h, "vnet9", 9000)
		h.Run(t, "ip", "link", "set", "vnet9", "mtu", "9100")
		d.quiet(t)
		if got := linkMTU(h, "vnet9"); got != 9100 {
			t.Errorf("above its bridge, it was lowered to %d", got)
		}
	})
	t.Run("one that is plugged in", func(t *testing.T) {
		h.Run(t, "virsh", "-q", "attach-interface", "web1", "bridge", "br0", "--model", "virtio", "--mac", "52:54:00:00:00:07", "--target", "plug0", "--live")
		// libvirt gives it what the bridge has.
		h.Run(t, "ip", "link", "set", "plug0", "mtu", "1500")
		soonTap(t, h, "plug0", 9000) // no name that libvirt makes up: it has to say whose
	})
	t.Run("a bridge dragged down by one comes back", func(t *testing.T) {
		h.Bridge(t, "br1", 0)
		h.Uplink(t, "br1", "up1", 9000)
		addTap(t, h, "vnet10", "br1")
		soonTap(t, h, "vnet10", 9000)
		soonTap(t, h, "br1", 9000)
	})
	t.Run("nobody's, uplinks and bridges are left alone", func(t *testing.T) {
		h.Uplink(t, "br0", "up2", 1500)
		addTap(t, h, "tap77", "br0")
		d.quiet(t)
		for dev, want := range map[string]int{"tap77": 1500, "up2": 1500, "up0": 9000, "br0": 9000} {
			if got := linkMTU(h, dev); got != want {
				t.Errorf("%s has %d, had %d", dev, got, want)
			}
		}
		h.Run(t, "ip", "link", "del", "up2")
	})
	t.Run("a domain's that is left alone", func(t *testing.T) {
		h.Define(t, ignored(h.Domain(t, "ign1", nic("virtio", 0))))
		d.quiet(t)
		start(t, h, "ign1")
		dev := domainTap(t, h, "ign1")
		h.Run(t, "ip", "link", "set", dev, "mtu", "1500")
		other := domainTap(t, h, "web1")
		h.Run(t, "ip", "link", "set", other, "mtu", "1500")
		soonTap(t, h, other, 9000)
		d.quiet(t)
		if got := linkMTU(h, dev); got != 1500 {
			t.Errorf("ignored, it has %d", got)
		}
		unignore(t, h, "ign1", "--config", "--live")
		soonTap(t, h, dev, 9000)
		destroy(t, h, "ign1")
	})
	t.Run("Open vSwitch's", func(t *testing.T) {
		h.OVS(t)
		h.Run(t, "ip", "link", "add", "up3", "mtu", "9000", "type", "veth", "peer", "name", "up3-sw", "mtu", "9000", "netns", "switch")
		h.Run(t, "ovs-vsctl", "--timeout=10", "add-br", "ovs0", "--", "set", "bridge", "ovs0", "datapath_type=netdev", "--", "add-port", "ovs0", "up3")
		define(t, h, "ovs1", "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='ovs0'/><virtualport type='openvswitch'/><model type='virtio'/></interface>")
		soonMTU(t, h, "ovs1", "9000")
		start(t, h, "ovs1")
		dev := domainTap(t, h, "ovs1")
		h.Run(t, "ip", "link", "set", dev, "mtu", "1500")
		d.quiet(t)
		if got := linkMTU(h, dev); got != 1500 {
			t.Errorf("it has %d", got)
		}
	})
}

// Libvirt comes, goes, and hangs; the hook leaves requests.
func TestIntegrationWatchWithoutLibvirt(t *testing.T) {
	t.Parallel()
	h := quick(t)
	installHook(t, h)
	h.Libvirtd(t, "restart")
	define(t, h, "web1", nic("virtio", 0))
	start(t, h, "web1") // the hook queues it
	define(t, h, "web2", nic("virtio", 0))
	uuid := strings.TrimSpace(h.Run(t, "virsh", "-q", "domuuid", "web1"))
	queued := func() bool {
		entries, _ := os.ReadDir(h.Path("/run/virt-mtu/queue"))
		return len(entries) != 0
	}
	if !h.Exists("/run/virt-mtu/queue/" + uuid) {
		t.Fatal("not queued")
	}
	h.Libvirtd(t, "stop")
	addTap(t, h, "vnet8", "br0")
	d := watch(t, h, "--timeout", "2s", "--listen", "127.0.0.1:9786")

	t.Run("it was not there at the start", func(t *testing.T) {
		time.Sleep(rest)
		h.Libvirtd(t, "start")
		soonMTU(t, h, "web1", "9000")
		soonMTU(t, h, "web2", "9000")
		soon(t, "the queue is empty", func() bool { return !queued() })
		soonTap(t, h, "vnet8", 9000) // it had to wait for whether somebody wants to be left alone
	})
	t.Run("a request of the hook's", func(t *testing.T) {
		// libvirt tells nothing of this change; the start is what tells.
		h.WriteFile(t, "/run/lab/nic.xml", nic("virtio", 0), 0o644)
		define(t, h, "q1", nic("virtio", 0))
		soonMTU(t, h, "q1", "9000")
		d.quiet(t)
		h.Run(t, "bash", "-c", `virsh dumpxml --inactive q1 | sed -n "/<interface/,/<.interface>/p" | sed "/<mtu /d" >/run/lab/nic.xml`)
		h.Run(t, "virsh", "-q", "update-device", "q1", "/run/lab/nic.xml", "--config")
		if got := mtus(h, "q1"); got != "" {
			t.Fatalf("it still has %s", got)
		}
		start(t, h, "q1")
		soonMTU(t, h, "q1", "9000")
		soon(t, "the queue is empty", func() bool { return !queued() })
		destroy(t, h, "q1")
	})
	t.Run("restarted", func(t *testing.T) {
		h.Libvirtd(t, "stop")
		// What somebody defines before the daemon is back with it.
		h.WriteFile(t, "/etc/libvirt/qemu/web3.xml", h.Domain(t, "web3", nic("virtio", 0)), 0o600)
		h.Libvirtd(t, "start")
		soonMTU(t, h, "web3", "9000")
	})
	t.Run("away for a while", func(t *testing.T) {
		d.quiet(t)
		h.Libvirtd(t, "stop")
		dev := "vnet0" // web1's
		h.Run(t, "ip", "link", "set", dev, "mtu", "1500")
		soonTap(t, h, dev, 9000)
		addTap(t, h, "vnet9", "br0")
		soonTap(t, h, "vnet9", 9000)
		time.Sleep(4 * time.Second)
		addTap(t, h, "vnet10", "br0")
		soonTap(t, h, "vnet10", 9000)
		h.WriteFile(t, "/etc/libvirt/qemu/web4.xml", h.Domain(t, "web4", nic("virtio", 0)), 0o600)
		h.Libvirtd(t, "start")
		soonMTU(t, h, "web4", "9000")
		if n := strings.Count(d.log.String(), "source lost"); n > 4 {
			t.Errorf("it has said %d times that libvirt is away", n)
		}
	})
	t.Run("frozen", func(t *testing.T) {
		d.quiet(t)
		h.Libvirtd(t, "freeze")
		addTap(t, h, "vnet11", "br0")
		soonTap(t, h, "vnet11", 9000)
		h.WriteFile(t, "/run/lab/web5.xml", h.Domain(t, "web5", nic("virtio", 0)), 0o644)
		define := h.Command("virsh", "-q", "define", "/run/lab/web5.xml")
		if err := define.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		h.Libvirtd(t, "thaw")
		soonMTU(t, h, "web5", "9000")
		if err := define.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("frozen for longer than it is waited for", func(t *testing.T) {
		define(t, h, "web6", nic("virtio", 0))
		soonMTU(t, h, "web6", "9000")
		d.quiet(t)
		h.Libvirtd(t, "freeze")
		h.Run(t, "ip", "link", "set", "br0", "mtu", "9200")
		soonTap(t, h, "vnet0", 9200)
		time.Sleep(rest) // it waits for libvirt now
		h.Run(t, "ip", "link", "set", "br0", "mtu", "9300")
		soonTap(t, h, "vnet0", 9300)
		time.Sleep(2 * time.Second)
		d.says(t, "did not answer within 2s")
		// It is found out, and a scrape does not wait for it.
		soon(t, "the metrics say that libvirt is away", func() bool {
			r := h.Try(t, "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:9786/metrics")
			return strings.Contains(r.Stdout, "virt_mtu_watch_libvirt_connected 0\n") && strings.Contains(r.Stdout, "virt_mtu_check_status ")
		})
		h.Libvirtd(t, "thaw")
		soon(t, "web6 follows br0", func() bool { return mtus(h, "web6") == "9300" })
		define(t, h, "web7", nic("virtio", 0))
		soonMTU(t, h, "web7", "9300")
	})
}

func TestIntegrationWatchDaemon(t *testing.T) {
	t.Parallel()
	h := quick(t)
	define(t, h, "web1", nic("virtio", 0))

	t.Run("--once", func(t *testing.T) {
		must(t, h, "watch", "--once")
		if got := mtus(h, "web1"); got != "9000" {
			t.Errorf("web1 has %q", got)
		}
		define(t, h, "old1", nic("rtl8139", 0))
		if r := virtMTU(t, h, "watch", "--once"); r.Exit != 1 {
			t.Errorf("a NIC that cannot work: exit %d\n%s", r.Exit, r.Stderr)
		}
		h.Run(t, "virsh", "-q", "undefine", "old1")
	})
	t.Run("one on a host", func(t *testing.T) {
		watch(t, h)
		r := virtMTU(t, h, "watch")
		if r.Exit != 1 {
			t.Errorf("exit %d", r.Exit)
		}
		wantSays(t, "stderr", r.Stderr, "another virt-mtu watch runs on this host", "hint: ")
	})
	t.Run("SIGTERM", func(t *testing.T) {
		for _, frozen := range []bool{false, true} {
			d := watch(t, h)
			d.quiet(t)
			if frozen {
				h.Libvirtd(t, "freeze")
				before := linkMTU(h, "br0")
				h.Run(t, "ip", "link", "set", "br0", "mtu", strconv.Itoa(before+1))
				time.Sleep(rest) // it waits for libvirt now
			}
			if err := d.signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			t.Logf("frozen %t: it ended after %v", frozen, d.end(t))
			if frozen {
				h.Libvirtd(t, "thaw")
			}
		}
		d := watch(t, h)
		d.await(t, "STATUS=watching", 2)
		h.Run(t, "ip", "link", "set", "br0", "mtu", "9000")
	})
	t.Run("a config that changes, breaks, and is well again", func(t *testing.T) {
		d := watch(t, h)
		h.WriteFile(t, config, "mtu = 4000\n", 0o644)
		d.says(t, "config taken")
		define(t, h, "num1", nic("virtio", 0))
		soonMTU(t, h, "num1", "4000")

		h.WriteFile(t, config, "mtu = [\n", 0o644)
		d.says(t, "config not taken, the old one holds", "line 1")
		define(t, h, "num2", nic("virtio", 0))
		soonMTU(t, h, "num2", "4000")

		h.WriteFile(t, config+".new", "mtu = 5000\n", 0o644) // as editors do
		h.Run(t, "mv", config+".new", config)
		define(t, h, "num3", nic("virtio", 0))
		soonMTU(t, h, "num2", "5000")
		soonMTU(t, h, "num3", "5000")
		h.Run(t, "rm", config)
	})
	t.Run("a config that is there for a moment only in part", func(t *testing.T) {
		h.WriteFile(t, config, "[[rule]]\ndomain = 'part*'\nmtu = 'ignore'\n", 0o644)
		d := watch(t, h)
		define(t, h, "part1", nic("virtio", 0))
		d.quiet(t)
		slow := false
		for range 8 { // an empty file is a good config
			began := time.Now()
			h.WriteFile(t, config, "", 0o644)
			time.Sleep(10 * time.Millisecond)
			h.WriteFile(t, config, "[[rule]]\ndomain = 'part*'\nmtu = 'ignore'\n", 0o644)
			slow = slow || time.Since(began) > 100*time.Millisecond
		}
		if slow {
			t.Skip("this machine is too busy: it was empty for long enough to be one")
		}
		d.quiet(t)
		if got := mtus(h, "part1"); got != "" {
			t.Errorf("ignored, it has %s", got)
		}
		h.Run(t, "rm", config)
		soonMTU(t, h, "part1", "9000")
	})
	t.Run("a full disk", func(t *testing.T) {
		// libvirtd writes definitions beside the old ones, and keeps them where it cannot.
		h.Libvirtd(t, "stop")
		h.Run(t, "bash", "-c", `cp -a /etc/libvirt/qemu /run/lab/qemu && mount -t tmpfs -o size=256k tmpfs /etc/libvirt/qemu && cp -a /run/lab/qemu/. /etc/libvirt/qemu`)
		h.Libvirtd(t, "start")
		define(t, h, "full1", nic("virtio", 0))
		before, file := persistent(t, h, "full1"), definition(h, "full1")
		h.Try(t, "dd", "if=/dev/zero", "of=/etc/libvirt/qemu/filler", "bs=1k")
		d := watch(t, h)
		d.says(t, `"domain is wrong" domain=full1`, "No space left on device")
		d.quiet(t)
		// Of the record, and where it is tried again, of the device: libvirt's memory has the
		// record by then.
		if n := strings.Count(d.log.String(), `"domain is wrong" domain=full1`); n > 2 {
			t.Errorf("said %d times", n)
		}
		if got := mtus(h, "full1"); got != "" {
			t.Errorf("it has <mtu> %s", got)
		}
		// In memory libvirt keeps the record that it could not write: of what is not there.
		wantSame(t, "full1's file", file, definition(h, "full1"))
		h.Run(t, "rm", "/etc/libvirt/qemu/filler")
		h.Run(t, "ip", "link", "set", "br0", "mtu", "9001") // or after half a minute
		soonMTU(t, h, "full1", "9001")
		d.says(t, `"domain is well again" domain=full1`)
		if err := d.signal(syscall.SIGTERM); err != nil { // it would put in again what is taken out
			t.Fatal(err)
		}
		d.end(t)
		h.Run(t, "ip", "link", "set", "br0", "mtu", "9000")
		must(t, h, "fix", "--lower", "full1")
		must(t, h, "fix", "--undo", "full1")
		wantSame(t, "full1, undone", before, without(persistent(t, h, "full1"), "<metadata/>"))
		h.Run(t, "virsh", "-q", "undefine", "full1")
	})
	t.Run("SIGHUP", func(t *testing.T) {
		h.Run(t, "umount", "/etc/virt-mtu")
		h.Run(t, "rm", "-rf", "/etc/virt-mtu")
		d := watch(t, h) // with no folder to watch
		d.quiet(t)
		h.WriteFile(t, config, "mtu = 3000\n", 0o644)
		if err := d.signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		d.says(t, "config taken")
		define(t, h, "hup1", nic("virtio", 0))
		soonMTU(t, h, "hup1", "3000")
		h.WriteFile(t, config, "mtu = 3500\n", 0o644) // it is watched by now
		soonMTU(t, h, "hup1", "3500")
		// Purged and installed again.
		h.Run(t, "rm", "-rf", "/etc/virt-mtu")
		soonMTU(t, h, "hup1", "9000")
		h.WriteFile(t, config, "mtu = 9100\n", 0o644)
		if err := d.signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		soonMTU(t, h, "hup1", "9100")
		h.WriteFile(t, config, "mtu = 9200\n", 0o644)
		soonMTU(t, h, "hup1", "9200")
		h.Run(t, "rm", "-rf", "/etc/virt-mtu")
		d.quiet(t)
		h.WriteFile(t, config, "mtu = 9300\n", 0o644) // nobody says so
		soon(t, "hup1 has 9300", func() bool { return mtus(h, "hup1") == "9300" })
		h.Run(t, "rm", config)
	})
	t.Run("pin_bridges", func(t *testing.T) {
		configure(t, h, "pin_bridges = true")
		h.Bridge(t, "br2", 0)
		h.Uplink(t, "br2", "up2", 9000)
		d := watch(t, h)
		define(t, h, "pin1", on("br2", nic("virtio", 0)))
		soonMTU(t, h, "pin1", "9000")
		start(t, h, "pin1")
		d.says(t, `"bridge pinned" bridge=br2`)
		h.Run(t, "ip", "tuntap", "add", "drag", "mode", "tap")
		h.Run(t, "ip", "link", "set", "drag", "master", "br2")
		d.quiet(t)
		if br, tap := linkMTU(h, "br2"), linkMTU(h, domainTap(t, h, "pin1")); br != 9000 || tap != 9000 {
			t.Errorf("bridge %d, tap %d", br, tap)
		}
		if n := strings.Count(d.log.String(), "bridge pinned"); n != 1 {
			t.Errorf("pinned %d times", n)
		}
		destroy(t, h, "pin1")
	})
}

// Killed at any moment, nothing is left that is neither as it was nor right, and nothing
// that undo does not know.
func TestIntegrationWatchKilled(t *testing.T) {
	t.Parallel()
	h := quick(t)
	// What is right. Somebody defines and undoes the busy ones all the time, the others
	// while nothing runs: what is ours can be told for sure.
	want := map[string]string{"web1": "9000", "two1": "9000 9000", "own1": "2000", "mix1": "2000 9000", "old1": "", "busy1": "9000", "busy2": "9000"}
	admin, other, runner := newShell(t, h, "virsh", "-q"), newShell(t, h, "virsh", "-q"), newShell(t, h, "bash")
	redefine := func(sh *shell, names ...string) {
		for _, name := range names {
			sh.do("define /run/lab/" + name + ".xml")
		}
	}
	before := map[string]string{}
	for i, d := range [][]string{
		{"web1", nic("virtio", 0)},
		{"two1", nic("virtio", 0), strings.Replace(nic("e1000", 0), "00:01", "00:02", 1)},
		{"own1", nic("virtio", 2000)},
		{"mix1", nic("virtio", 2000), strings.Replace(nic("virtio", 0), "00:01", "00:02", 1)},
		{"old1", nic("rtl8139", 0)},
		{"busy1", nic("virtio", 0)},
		{"busy2", nic("virtio", 0)},
	} {
		uuid := fmt.Sprintf("<uuid>11111111-2222-3333-4444-%012d</uuid>", i)
		h.WriteFile(t, "/run/lab/"+d[0]+".xml", strings.Replace(h.Domain(t, d[0], strings.Join(d[1:], "")), "<memory", uuid+"<memory", 1), 0o644)
		redefine(admin, d[0])
		before[d[0]] = persistent(t, h, d[0])
	}

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.IntN(40)) * time.Millisecond):
			}
			name := []string{"busy1", "busy2"}[rand.IntN(2)]
			if rand.IntN(4) == 0 {
				other.do("undefine " + name)
			} else {
				redefine(other, name)
			}
		}
	}()
	writes := make(chan struct{}, 1)
	rewritten(t, h, func(name string) {
		if strings.HasPrefix(name, "busy") {
			return
		}
		select {
		case writes <- struct{}{}:
		default:
		}
	})
	h.Run(t, "install", bin(t, "virt-mtu"), "/run/lab/virt-mtu")
	kills, half := 0, 0
	for i := 0; kills < 100; i++ {
		const virtMTU = "/run/lab/virt-mtu"
		switch i % 8 { // else what the last one left
		case 0, 1:
			runner.do(virtMTU + " fix --undo web1 two1 mix1 busy1")
		case 2, 3, 4, 5:
			redefine(admin, "web1", "two1", "mix1")
		}
		time.Sleep(5 * time.Millisecond) // for the last of those writes to be told of
		select {
		case <-writes:
		default:
		}
		victim := []string{" watch", " fix --all"}[i%2]
		ended := runner.start(virtMTU + victim + " >/run/lab/victim.log 2>&1")
		wait := time.After(time.Duration(rand.IntN(120)) * time.Millisecond)
		if i%8 < 6 && rand.IntN(3) > 0 { // in the thick of it
			select {
			case <-writes:
			case <-wait:
			}
			wait = time.After(time.Duration(rand.IntN(2000)) * time.Microsecond)
		}
		<-wait
		for killed := false; ; time.Sleep(time.Millisecond) {
			if pid, err := child(runner.pid, "virt-mtu"); err == nil && !killed {
				if killed = syscall.Kill(pid, syscall.SIGKILL) == nil; killed {
					kills++
				}
			}
			select {
			case <-ended:
			default:
				continue
			}
			break
		}
		if log := h.ReadFile(t, "/run/lab/victim.log"); strings.Contains(log, "another virt-mtu watch runs") {
			t.Fatal("the lock outlives its daemon")
		}
		for name := range want {
			now := definition(h, name)
			if why := unknown(now, before[name]); why != "" && !strings.HasPrefix(name, "busy") {
				t.Errorf("kill %d: %s: %s\n%s", kills, name, why, now)
			}
			if strings.Count(now, "<virt-mtu-owned:nic ") > strings.Count(now, "<mtu size='9000'/>") {
				half++
			}
		}
		if i > 400 {
			t.Fatalf("only %d of %d could be killed", kills, i)
		}
	}
	close(stop)
	<-stopped
	t.Logf("%d kills; a domain was found between record and device %d times", kills, half)

	redefine(admin, "busy1", "busy2")
	d := watch(t, h)
	for name, mtus := range want {
		soonMTU(t, h, name, mtus)
	}
	d.quiet(t)
	if err := d.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.end(t)
	must(t, h, "fix", "--undo", "--all")
	for name := range want {
		wantSame(t, name+" after undo", before[name], without(persistent(t, h, name), "<metadata/>"))
	}
}

// shell is a program in a host that takes commands, a line each: to start a new one for
// each takes longer than what they do.
type shell struct {
	pid   int
	in    io.Writer
	lines chan string
}

func newShell(t *testing.T, h *lab.Host, program string, args ...string) *shell {
	t.Helper()
	cmd := h.Command(slices.Concat([]string{program}, args)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	s := &shell{in: in, lines: make(chan string)}
	go func() {
		defer close(s.lines)
		for r := bufio.NewScanner(out); r.Scan(); {
			s.lines <- r.Text()
		}
	}()
	s.do("echo")
	if s.pid, err = child(cmd.Process.Pid, program); err != nil {
		t.Fatal(err)
	}
	return s
}

// start has a command done; the channel is closed when it is, however it went.
func (s *shell) start(command string) <-chan struct{} {
	// virsh echoes what it reads, ends no line after echo, and does so before the next.
	fmt.Fprintf(s.in, "%s\necho d''one\n\n", command)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for line := range s.lines {
			if strings.Contains(line, "done") {
				return
			}
		}
	}()
	return ended
}

func (s *shell) do(command string) { <-s.start(command) }

// unknown says what of a definition is neither as it was nor known to be ours.
func unknown(now, before string) string {
	if now == "" {
		return "" // libvirtd is writing it
	}
	is, err := domxml.Parse([]byte(now))
	if err != nil {
		return err.Error()
	}
	was, err := domxml.Parse([]byte(before))
	if err != nil {
		return err.Error()
	}
	record, err := owned.FromMetadata(is.Metadata)
	if err != nil {
		return err.Error()
	}
	for i, n := range is.NICs {
		switch {
		case n.MTU == was.NICs[i].MTU:
		case n.MTU != 9000 || !record.Owns(n.MAC, n.MTU):
			return fmt.Sprintf("NIC %s has <mtu> %d, and the record is %s", n.MAC, n.MTU, record.XML())
		}
	}
	return ""
}

// A thousand definitions in a row.
func TestIntegrationWatchStorm(t *testing.T) {
	t.Parallel()
	h := quick(t)
	const count = 1000
	var all []string
	for i := range count {
		name := fmt.Sprintf("s%03d", i)
		h.WriteFile(t, "/run/lab/storm/"+name, fmt.Sprintf("<domain type='qemu'><name>%s</name><uuid>11111111-2222-3333-4444-%012d</uuid><memory>1024</memory><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>%s</devices></domain>",
			name, i, nic("virtio", 0)), 0o644)
		all = append(all, "define /run/lab/storm/"+name)
	}
	storm := func() time.Duration {
		t.Helper()
		began := time.Now()
		h.Run(t, "virsh", "-q", strings.Join(all, ";"))
		return time.Since(began)
	}
	right := func() bool {
		for i := range count {
			if mtus(h, fmt.Sprintf("s%03d", i)) != "9000" {
				return false
			}
		}
		return true
	}
	alone := storm()
	began := time.Now()
	must(t, h, "fix", "--all")
	fix := time.Since(began)
	if !right() {
		t.Fatal("not even fix does it")
	}

	d := launch(t, h, bin(t, "virt-mtu"))
	d.await(t, "READY=1", 1)
	d.quiet(t)
	began = time.Now()
	busy := storm()
	soon(t, "all are right", right)
	took := time.Since(began)
	d.quiet(t)
	if !right() {
		t.Error("right, and not any more")
	}
	t.Logf("1000 defines: %v alone, %v with the daemon; fix --all: %v; defines and daemon: %v, %.1f times of defines and fix", alone, busy, fix, took, float64(took)/float64(alone+fix))
	if err := d.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if d.end(t); d.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("watch: exit %d\n%s", d.cmd.ProcessState.ExitCode(), d.log)
	}
}
