package collect

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"virt-mtu/internal/host"
	"virt-mtu/test/netns"
)

// watching runs a watch until the test ends. Its first change, a Resync, has come.
func watching(t *testing.T, buffer int) <-chan Change {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	changes, ended := make(chan Change, 1<<16), make(chan error)
	go func() { ended <- watch(ctx, buffer, func(c Change) { changes <- c }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if c := next(t, changes); c != (Change{Resync: true}) {
		t.Fatalf("first change: %+v", c)
	}
	return changes
}

func next(t *testing.T, changes <-chan Change) Change {
	t.Helper()
	select {
	case c := <-changes:
		return c
	case <-time.After(10 * time.Second):
		t.Fatal("waited in vain for a change")
		panic("")
	}
}

// known is what is known of each link, by index.
type known map[int]host.Link

// learn follows the changes up to one of lo's MTU, which is the last thing done.
func (k known) learn(t *testing.T, changes <-chan Change, fence int) {
	t.Helper()
	netns.IP(t, fmt.Sprintf("link set lo mtu %d", fence))
	for {
		switch c := next(t, changes); {
		case c.Resync:
			t.Fatal("messages were lost")
		case c.Gone:
			if _, ok := k[c.Link.Index]; !ok {
				t.Errorf("gone without having been there: %+v", c.Link)
			}
			delete(k, c.Link.Index)
		default:
			k[c.Link.Index] = c.Link
			if c.Link.Name == "lo" && c.Link.MTU == fence {
				return
			}
		}
	}
}

// dumped is what a dump says of the links, as far as a Change can say it.
func dumped(t *testing.T) known {
	t.Helper()
	links, err := dumpLinks()
	if err != nil {
		t.Fatal(err)
	}
	names(links)
	k := known{}
	for _, l := range links {
		k[l.Index] = host.Link{Name: l.Name, Index: l.Index, MTU: l.MTU, Kind: l.Kind, Tap: l.Tap, Master: l.Master, Away: l.Away}
	}
	return k
}

// After every step, what was learned is what a dump says, and so is it of the link
// that the step is about.
func TestIntegrationWatch(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.Need(t, "bridge")
		changes := watching(t, receiveBuffer)
		got := dumped(t)
		netns.IP(t, "netns add away")
		for i, step := range []struct {
			name, commands string
			link           string // whose Name is, or is no more
			want           host.Link
		}{
			{"a bridge", "link add br0 type bridge", "br0", host.Link{MTU: 1500, Kind: "bridge"}},
			{"a tap", "tuntap add vnet0 mode tap", "vnet0", host.Link{MTU: 1500, Kind: "tun", Tap: true}},
			{"it joins the bridge", "link set vnet0 master br0", "vnet0", host.Link{MTU: 1500, Kind: "tun", Tap: true, Master: "br0"}},
			{"it comes up", "link set vnet0 up; link set br0 up", "vnet0", host.Link{MTU: 1500, Kind: "tun", Tap: true, Master: "br0"}},
			{"its MTU", "link set vnet0 mtu 9000", "vnet0", host.Link{MTU: 9000, Kind: "tun", Tap: true, Master: "br0"}},
			{"which is the bridge's", "", "br0", host.Link{MTU: 9000, Kind: "bridge"}},
			{"the bridge's MTU", "link set br0 mtu 1400", "br0", host.Link{MTU: 1400, Kind: "bridge"}},
			{"the tap is renamed", "link set vnet0 name vnet9", "vnet9", host.Link{MTU: 9000, Kind: "tun", Tap: true, Master: "br0"}},
			{"the bridge is renamed", "link set br0 name br9; link set vnet9 mtu 1300", "vnet9", host.Link{MTU: 1300, Kind: "tun", Tap: true, Master: "br9"}},
			{"the bridge tells of its port", "!bridge link set dev vnet9 learning off", "vnet9", host.Link{MTU: 1300, Kind: "tun", Tap: true, Master: "br9"}},
			{"the port leaves", "link set vnet9 nomaster", "vnet9", host.Link{MTU: 1300, Kind: "tun", Tap: true}},
			{"and comes back", "link set vnet9 master br9", "vnet9", host.Link{MTU: 1300, Kind: "tun", Tap: true, Master: "br9"}},
			{"of another namespace nothing is told", "netns exec away ip link add far0 type veth peer name far1; netns exec away ip link set far0 mtu 1400", "far0", host.Link{}},
			{"a link comes from there", fmt.Sprintf("netns exec away ip link set far0 netns %d", os.Getpid()), "far0", host.Link{MTU: 1400, Kind: "veth", Away: true}},
			{"and goes back", "link set far0 netns away", "far0", host.Link{}},
			{"a pair", "link add p0 type veth peer name p1; link set p0 mtu 4000", "p0", host.Link{MTU: 4000, Kind: "veth"}},
			{"both go", "link del p0", "p1", host.Link{}},
			{"the bridge goes, its port stays", "link del br9", "vnet9", host.Link{MTU: 1300, Kind: "tun", Tap: true}},
			{"the tap goes", "link del vnet9", "vnet9", host.Link{}},
		} {
			if command, ok := strings.CutPrefix(step.commands, "!"); ok {
				args := strings.Fields(command)
				if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", command, err, out)
				}
			} else {
				netns.IP(t, step.commands)
			}
			got.learn(t, changes, 2000+i)
			if diff := cmp.Diff(dumped(t), got); diff != "" {
				t.Errorf("%s (-dump +watch):\n%s", step.name, diff)
			}
			if step.want.MTU != 0 {
				step.want.Name = step.link
			}
			var link host.Link
			for _, l := range got {
				if l.Name == step.link {
					link = l
				}
			}
			link.Index = 0
			if diff := cmp.Diff(step.want, link); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.name, diff)
			}
		}
	})
}

// Whoever looks at everything on Resync and at each Link then, knows the end of it all,
// however much was lost, and misses nothing that comes after.
func TestIntegrationWatchLost(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, "tuntap add vnet0 mode tap; tuntap add vnet1 mode tap")
		l, err := netlink.LinkByName("vnet0")
		if err != nil {
			t.Fatal(err)
		}
		setMTU := func(mtu int) {
			if err := netlink.LinkSetMTU(l, mtu); err != nil {
				t.Error(err)
			}
		}
		const rounds, storm, small, mark = 3, 3000, 32 << 10, 6000
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var busy sync.Mutex
		told, ended := make(chan Change, 1<<16), make(chan error)
		go func() {
			resyncs := 0
			ended <- watch(ctx, small, func(c Change) {
				if c.Resync { // from this moment on nothing may be missed
					resyncs++
					setMTU(mark + resyncs)
				} else {
					busy.Lock()
					busy.Unlock() //lint:ignore SA2001 this is the wait
				}
				told <- c
			})
		}()
		last := mark
		for range rounds {
			changes := 0
			c := next(t, told)
			for ; c.Link.MTU <= last; c = next(t, told) {
				changes++
			}
			last = c.Link.MTU
			if changes >= storm {
				t.Errorf("nothing was lost of %d changes", storm)
			}
			busy.Lock()
			for n := range storm {
				setMTU(1000 + n)
			}
			busy.Unlock()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestIntegrationWatchEnds(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		files := func() int {
			entries, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Fatal(err)
			}
			return len(entries)
		}
		run := func(ctx context.Context, then func()) {
			t.Helper()
			ended := make(chan error)
			go func() { ended <- Watch(ctx, func(Change) { then() }) }()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("still there after its context")
			}
		}
		// The first makes the runtime's poller, which stays.
		ctx, cancel := context.WithCancel(context.Background())
		run(ctx, cancel)
		run(ctx, func() {}) // it has ended already
		goroutines, open := runtime.NumGoroutine(), files()
		for range 20 {
			ctx, cancel := context.WithCancel(context.Background())
			var asked time.Time
			run(ctx, func() {
				time.AfterFunc(time.Millisecond, func() { asked = time.Now(); cancel() }) // it waits by then
			})
			t.Logf("ended after %v", time.Since(asked))
		}
		for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if now := runtime.NumGoroutine(); now > goroutines {
			t.Errorf("%d goroutines, %d before", now, goroutines)
		}
		if now := files(); now > open {
			t.Errorf("%d files open, %d before", now, open)
		}
	})
}

// How long it takes from a change to the call.
func TestIntegrationWatchFast(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, "link add br0 type bridge; tuntap add vnet0 mode tap; link set vnet0 master br0")
		l, err := netlink.LinkByName("vnet0")
		if err != nil {
			t.Fatal(err)
		}
		changes := watching(t, receiveBuffer)
		var took []time.Duration
		for i := range 500 {
			began := time.Now()
			if err := netlink.LinkSetMTU(l, 2000+i); err != nil {
				t.Fatal(err)
			}
			for c := next(t, changes); c.Link.Name != "vnet0" || c.Link.MTU != 2000+i; {
				c = next(t, changes)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		t.Logf("from the change's system call to the call: median %v, 99 %% %v, worst %v",
			took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	})
}

// datagram is messages as the kernel sends them.
func datagram(messages ...[]byte) []byte {
	var b []byte
	for _, m := range messages {
		size := unix.SizeofNlMsghdr + len(m) - 2 // the first two bytes are the type
		b = binary.NativeEndian.AppendUint32(b, uint32(size))
		b = append(b, m[:2]...)
		b = append(b, make([]byte, 10)...)
		b = append(b, m[2:]...)
		b = append(b, make([]byte, -len(b)&(unix.NLMSG_ALIGNTO-1))...)
	}
	return b
}

func typed(kind uint16, message []byte) []byte {
	return append(binary.NativeEndian.AppendUint16(nil, kind), message...)
}

func ofBridge(message []byte) []byte {
	message = slices.Clone(message)
	message[0] = unix.AF_BRIDGE
	return message
}

func TestWatchDecode(t *testing.T) {
	tap := message(5, "vnet0", 9000, info("tun", nl.NewRtAttr(unix.IFLA_TUN_TYPE, []byte{2})))
	vnet0 := host.Link{Name: "vnet0", Index: 5, MTU: 9000, Kind: "tun", Tap: true}
	upright, gone := typed(unix.RTM_NEWLINK, tap), typed(unix.RTM_DELLINK, tap)
	for _, tt := range []struct {
		name string
		in   []byte
		want []Change
		err  error
	}{
		{"nothing", nil, nil, nil},
		{"a link", datagram(upright), []Change{{Link: vnet0}}, nil},
		{"it goes", datagram(gone), []Change{{Link: vnet0, Gone: true}}, nil},
		{"both at once", datagram(upright, gone), []Change{{Link: vnet0}, {Link: vnet0, Gone: true}}, nil},
		{"a bridge's own", datagram(typed(unix.RTM_DELLINK, ofBridge(tap)), upright), []Change{{Link: vnet0}}, nil},
		{"an address", datagram(typed(unix.RTM_NEWADDR, tap)), nil, nil},
		{"an empty one", datagram(typed(unix.RTM_NEWLINK, nil), upright), []Change{{Link: vnet0}}, nil},
		{"cut short", datagram(gone, upright)[:len(datagram(gone))+40], []Change{{Link: vnet0, Gone: true}}, unix.ENOBUFS},
		{"cut in its header", datagram(gone, upright)[:len(datagram(gone))+10], []Change{{Link: vnet0, Gone: true}}, unix.ENOBUFS},
		{"of no size", make([]byte, 32), nil, unix.ENOBUFS},
	} {
		var got []Change
		w := watcher{changed: func(c Change) { got = append(got, c) }}
		if err := w.decode(tt.in); !errors.Is(err, tt.err) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestWatchIgnoresCheaply(t *testing.T) {
	w := watcher{changed: func(c Change) { t.Errorf("called with %+v", c) }}
	in := datagram(typed(unix.RTM_NEWLINK, ofBridge(eth0)), typed(unix.RTM_DELLINK, ofBridge(eth0)), typed(unix.RTM_NEWNEIGH, eth0))
	if n := testing.AllocsPerRun(100, func() {
		if err := w.decode(in); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzWatch(f *testing.F) {
	socket, err := subscribe(1)
	if err != nil {
		f.Fatal(err)
	}
	defer socket.Close()
	conn, err := socket.SyscallConn()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(datagram(typed(unix.RTM_NEWLINK, eth0), typed(unix.RTM_DELLINK, ofBridge(eth0))))
	f.Add(datagram(typed(unix.RTM_NEWLINK, message(5, "vnet0", 1500, u32(unix.IFLA_MASTER, 1)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := watcher{conn: conn, changed: func(c Change) {
			if c.Link.Name == "" || c.Resync {
				t.Errorf("%+v", c)
			}
		}}
		w.decode(b)
	})
}
