package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"virt-mtu/test/netns"
)

// in runs ip(8) commands in another namespace.
func in(t *testing.T, ns, commands string) {
	t.Helper()
	cmd := exec.Command("ip", "-n", ns, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(commands, ";", "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -n %s -batch: %v\n%s%s", ns, err, out, commands)
	}
}

func sysctl(t *testing.T, ns, key, value string) {
	t.Helper()
	path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
	out, err := exec.Command("ip", "netns", "exec", ns, "sh", "-c", "echo "+value+" > "+path).CombinedOutput()
	if err != nil {
		t.Fatalf("sysctl %s=%s in %s: %v\n%s", key, value, ns, err, out)
	}
}

// routed lays a path through two routers to the target, which has 192.0.2.2 and
// 2001:db8:3::2. Its last link has that MTU where the second router sends into it.
func routed(t *testing.T, last int) {
	t.Helper()
	netns.IP(t, "netns add r1; netns add r2; netns add target; link set lo up;"+
		"link add e0 mtu 9000 type veth peer name v0 netns r1;"+
		"addr add 198.51.100.1/24 dev e0; addr add 2001:db8:1::1/64 dev e0 nodad; link set e0 up;"+
		"route add default via 198.51.100.2; route add default via 2001:db8:1::2")
	in(t, "r1", "link set lo up; link set v0 up mtu 9000; addr add 198.51.100.2/24 dev v0; addr add 2001:db8:1::2/64 dev v0 nodad;"+
		"link add v1 mtu 9000 type veth peer name v0 netns r2; link set v1 up;"+
		"addr add 203.0.113.1/24 dev v1; addr add 2001:db8:2::1/64 dev v1 nodad;"+
		"route add default via 203.0.113.2; route add default via 2001:db8:2::2")
	in(t, "r2", "link set lo up; link set v0 up mtu 9000; addr add 203.0.113.2/24 dev v0; addr add 2001:db8:2::2/64 dev v0 nodad;"+
		fmt.Sprintf("link add v1 mtu %d type veth peer name e0 netns target; link set v1 up;", last)+
		"addr add 192.0.2.1/24 dev v1; addr add 2001:db8:3::1/64 dev v1 nodad;"+
		"route add default via 203.0.113.1; route add default via 2001:db8:2::1")
	in(t, "target", "link set lo up; link set e0 up mtu 9000; addr add 192.0.2.2/24 dev e0; addr add 2001:db8:3::2/64 dev e0 nodad;"+
		"route add default via 192.0.2.1; route add default via 2001:db8:3::1")
	for _, r := range []string{"r1", "r2"} {
		sysctl(t, r, "net.ipv4.ip_forward", "1")
		sysctl(t, r, "net.ipv6.conf.all.forwarding", "1")
	}
}

var targets = []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8:3::2")}

// probed probes an address, and fails where the kernel's cache is not as clean after it
// as before.
func probed(t *testing.T, addr netip.Addr, s *Search) Result {
	t.Helper()
	wantClean(t, addr)
	p := Prober{Wait: 2 * time.Second}
	r, err := p.Probe(context.Background(), addr, s)
	if err != nil {
		t.Fatalf("%s: %v", addr, err)
	}
	t.Logf("%+v", r)
	wantClean(t, addr)
	return r
}

func wantClean(t *testing.T, addr netip.Addr) {
	t.Helper()
	for _, args := range []string{"route get " + addr.WithZone("").String(), "-4 route show cache", "-6 route show cache"} {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, out)
		}
		if strings.Contains(string(out), "mtu ") || strings.Contains(string(out), "expires") {
			t.Errorf("ip %s: the kernel has learned:\n%s", args, out)
		}
	}
}

func wantResult(t *testing.T, r Result, largest int, limit Limit) {
	t.Helper()
	if r.Largest != largest || r.Limit != limit {
		t.Errorf("%s: %d, %+v, want %d, %+v", r.Address, r.Largest, r.Limit, largest, limit)
	}
	if r.Sent > dozen {
		t.Errorf("%s: %d packets", r.Address, r.Sent)
	}
}

// transmitted is how many packets have left a link.
func transmitted(t *testing.T, link string) int {
	t.Helper()
	b, err := os.ReadFile("/sys/class/net/" + link + "/statistics/tx_packets")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestIntegrationProbeRouter(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.Need(t, "ping")
		routed(t, 1400)
		// Neighbours' own packets would be counted too.
		for _, a := range targets {
			exec.Command("ping", "-c", "1", "-W", "2", a.String()).Run()
		}
		froms := map[int]string{4: "203.0.113.2", 6: "2001:db8:2::2"}
		for _, a := range targets {
			before := transmitted(t, "e0")
			r := probed(t, a, NewSearch())
			wantResult(t, r, 1400, Limit{LimitICMP, froms[r.Family], 1400})
			if n := transmitted(t, "e0") - before; n < r.Sent || n > r.Sent+3 {
				t.Errorf("%s: %d packets left, it says %d", a, n, r.Sent)
			}
		}
		for _, a := range targets {
			for size, want := range map[int]int{1400: 1400, 1401: 0} {
				r := probed(t, a, NewSingle(size))
				if r.Largest != want || r.Sent != 1 {
					t.Errorf("--size %d: %+v", size, r)
				}
			}
		}
	})
}

// What the kernel has learned is not trusted, and stays.
func TestIntegrationProbeLearned(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.Need(t, "ping")
		routed(t, 1400)
		for _, a := range targets {
			exec.Command("ping", "-c", "2", "-i", "0.3", "-W", "1", "-M", "do", "-s", "3000", a.String()).Run()
			learned := func() string {
				out, _ := exec.Command("ip", "route", "get", a.String()).CombinedOutput()
				return string(out)
			}
			if !strings.Contains(learned(), "mtu 1400") {
				t.Fatalf("the kernel has learned nothing:\n%s", learned())
			}
			in(t, "r2", "link set v1 mtu 9000")
			p := Prober{Wait: 2 * time.Second}
			r, err := p.Probe(context.Background(), a, NewSearch())
			if err != nil {
				t.Fatal(err)
			}
			wantResult(t, r, 9000, Limit{LimitLocal, "e0", 9000})
			if !strings.Contains(learned(), "mtu 1400") {
				t.Errorf("what was learned before is gone:\n%s", learned())
			}
			in(t, "r2", "link set v1 mtu 1400")
		}
	})
}

// An interrupted probe leaves nothing in the cache either.
func TestIntegrationProbeInterrupted(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		routed(t, 1400)
		ctx, cancel := context.WithCancel(context.Background())
		s := NewSearch()
		go func() {
			for transmitted(t, "e0") < 8 { // it, and what goes before it
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		p := Prober{Wait: 2 * time.Second}
		for ctx.Err() == nil {
			if _, err := p.Probe(ctx, targets[1], s); err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			s = NewSearch()
		}
		wantClean(t, targets[1])
	})
}

func TestIntegrationProbeFiltered(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		routed(t, 1400)
		// The errors of the second router get lost in the first.
		in(t, "r1", "rule add from 203.0.113.2 blackhole")
		if out, err := exec.Command("ip", "-n", "r1", "-6", "rule", "add", "from", "2001:db8:2::2", "blackhole").CombinedOutput(); err != nil {
			t.Fatalf("ip -6 rule: %v\n%s", err, out)
		}
		for _, a := range targets {
			wantResult(t, probed(t, a, NewSearch()), 1400, Limit{Kind: LimitBlackhole})
		}
	})
}

// switched lays a path over a bridge whose port to the target has that MTU.
func switched(t *testing.T, port int) {
	t.Helper()
	netns.IP(t, "netns add switch; netns add target; link set lo up; link add e0 mtu 9000 type veth peer name p0 netns switch;"+
		"addr add 192.0.2.1/24 dev e0; addr add 2001:db8:3::1/64 dev e0 nodad; link set e0 up")
	in(t, "switch", "link add br0 type bridge; link set p0 mtu 9000 master br0; link set p0 up; link set br0 up;"+
		"link add p1 type veth peer name e0 netns target; "+fmt.Sprintf("link set p1 mtu %d master br0; link set p1 up", port))
	in(t, "target", "link set lo up; link set e0 up mtu 9000; addr add 192.0.2.2/24 dev e0; addr add 2001:db8:3::2/64 dev e0 nodad")
}

func TestIntegrationProbeBridge(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		switched(t, 1450)
		for _, a := range targets {
			wantResult(t, probed(t, a, NewSearch()), 1450, Limit{Kind: LimitBlackhole})
		}
		in(t, "switch", "link set p1 mtu 9000")
		for _, a := range targets {
			wantResult(t, probed(t, a, NewSearch()), 9000, Limit{LimitLocal, "e0", 9000})
		}
		in(t, "target", "route add 192.0.2.1/32 dev e0 mtu lock 1500; route add 2001:db8:3::1/128 dev e0 mtu 1500")
		for _, a := range targets {
			wantResult(t, probed(t, a, NewSearch()), 1500, Limit{LimitFragmented, a.String(), 1500})
		}
		netns.IP(t, "route add prohibit 192.0.2.77/32; route add unreachable 2001:db8:9::/64")
		for _, a := range []string{"192.0.2.77", "2001:db8:9::1", "203.0.113.77"} {
			p := Prober{Wait: time.Second}
			r, err := p.Probe(context.Background(), netip.MustParseAddr(a), NewSearch())
			if err != nil {
				t.Fatal(err)
			}
			wantResult(t, r, 0, Limit{Kind: LimitNone})
			if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "nothing leaves this host") {
				t.Errorf("%s: %q", a, r.Notes)
			}
		}
		in(t, "target", "link set e0 down")
		for _, a := range targets {
			r := probed(t, a, NewSearch())
			wantResult(t, r, 0, Limit{Kind: LimitNone})
		}
	})
}

// A user without any capability, where the kernel's ICMP sockets are open to his group.
func TestIntegrationProbeUnprivileged(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		routed(t, 1400)
		if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 2147483647"), 0); err != nil {
			t.Fatal(err)
		}
		drop(t)
		for _, a := range targets {
			froms := map[int]string{4: "203.0.113.2", 6: "2001:db8:2::2"}
			p := Prober{Wait: 2 * time.Second}
			r, err := p.Probe(context.Background(), a, NewSearch())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", r)
			wantResult(t, r, 1400, Limit{LimitICMP, froms[r.Family], 1400})
			if a.Is4() {
				wantClean(t, a)
			}
		}
		if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("1 0"), 0); err == nil {
			p := Prober{Wait: time.Second}
			if _, err := p.Probe(context.Background(), targets[0], NewSearch()); !errors.Is(err, ErrPrivilege) {
				t.Errorf("without a permitted group: %v", err)
			}
		}
	})
}

// drop takes all capabilities from this thread.
func drop(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&h, &none[0]); err != nil {
		t.Fatal(err)
	}
}
