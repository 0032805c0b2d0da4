package agent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What iputils' ping 20221126 and busybox' 1.35.0 have written, and with which status
// they ended.
const (
	busyboxUsage = "ping: invalid option -- 'M'\nBusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1) multi-call binary.\n\nUsage: ping [OPTIONS] HOST\n\nSend ICMP ECHO_REQUESTs to HOST\n"
	unreachable  = "ping: connect: Network is unreachable\n"
)

func linuxSaid(header, line, statistics string) string {
	return header + "\n" + line + "\n--- 10.2.0.1 ping statistics ---\n1 packets transmitted, " + statistics + "\n\n"
}

func TestLinuxEcho(t *testing.T) {
	const four, six = "PING 10.2.0.1 (10.2.0.1) 8972(9000) bytes of data.", "PING fd02::1(fd02::1) 8952 data bytes"
	const none = "0 received, +1 errors, 100% packet loss, time 0ms"
	for _, tt := range []struct {
		what, out, stderr string
		exit              int
		want              Echo
	}{
		{"answered", linuxSaid(four, "8980 bytes from 10.2.0.1: icmp_seq=1 ttl=63 time=0.093 ms\n", "1 received, 0% packet loss, time 0ms\nrtt min/avg/max/mdev = 0.093/0.093/0.093/0.000 ms"), "", 0, Echo{Answered: true}},
		{"lost", linuxSaid(four, "", "0 received, 100% packet loss, time 0ms"), "", 1, Echo{}},
		{"refused", linuxSaid(four, "", none), "ping: local error: message too long, mtu=9000\n", 1, Echo{TooBig: true, MTU: 9000}},
		{"refused, IPv6", linuxSaid(six, "", none), "ping: local error: message too long, mtu: 9000\n", 1, Echo{TooBig: true, MTU: 9000}},
		{"refused, an older one", linuxSaid(four, "", none), "ping: sendmsg: Message too long\n", 1, Echo{TooBig: true}},
		{"a router", linuxSaid(four, "From 10.1.0.2 icmp_seq=1 Frag needed and DF set (mtu = 1400)\n", none), "", 1, Echo{TooBig: true, From: "10.1.0.2", MTU: 1400}},
		{"a router, IPv6", linuxSaid(six, "From fd01::2 icmp_seq=1 Packet too big: mtu=1400\n", none), "", 1, Echo{TooBig: true, From: "fd01::2", MTU: 1400}},
		{"filtered", linuxSaid(four, "From 10.1.0.2 icmp_seq=1 Packet filtered\n", none), "", 1, Echo{From: "10.1.0.2", Why: "Packet filtered"}},
		{"not a router's name", linuxSaid(four, "From evil\x1b[2J icmp_seq=1 Packet filtered\n", none), "", 1, Echo{}},
		{"a large number", linuxSaid(four, "From 10.1.0.2 icmp_seq=1 Frag needed and DF set (mtu = 99999999999999999999)\n", none), "", 1, Echo{From: "10.1.0.2", Why: "Frag needed and DF set (mtu = 99999999999999999999)"}},
	} {
		var err error
		if tt.exit != 0 {
			err = exitError{"ping", tt.exit, tt.stderr}
		}
		got, err := linuxEcho(tt.out, err)
		if d := cmp.Diff(tt.want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", tt.what, err, d)
		}
	}
	if _, err := linuxEcho("", exitError{"ping", 1, busyboxUsage}); !errors.Is(err, ErrCannotPing) {
		t.Errorf("busybox: %v", err)
	}
	if _, err := linuxEcho("", fmt.Errorf("ping: %w", errNoProgram)); !errors.Is(err, ErrCannotPing) {
		t.Errorf("no ping: %v", err)
	}
	if _, err := linuxEcho("", exitError{"ping", 2, unreachable}); err == nil || errors.Is(err, ErrCannotPing) {
		t.Errorf("no way: %v", err)
	}
}

// How Windows' ping speaks is by its documentation: there is none to try it on.
func TestWindowsEcho(t *testing.T) {
	const head = "\r\nPinging 192.0.2.1 with 8972 bytes of data:\r\n"
	failed := exitError{"ping.exe", 1, ""}
	for _, tt := range []struct {
		out  string
		err  error
		want Echo
	}{
		{"Reply from 192.0.2.1: bytes=8972 time<1ms TTL=64\r\n", nil, Echo{Answered: true}},
		{"Antwort von 192.0.2.1: Bytes=8972 Zeit<1ms TTL=64\r\n", nil, Echo{Answered: true}},
		{"Request timed out.\r\n", failed, Echo{}},
		{"Packet needs to be fragmented but DF set.\r\n", failed, Echo{TooBig: true}},
		{"Reply from 192.0.2.254: Packet needs to be fragmented but DF set.\r\n", failed, Echo{TooBig: true, From: "192.0.2.254"}},
		{"Reply from 192.0.2.2: Destination host unreachable.\r\n", nil, Echo{From: "192.0.2.2", Why: "Destination host unreachable."}},
	} {
		got, err := windowsEcho(head+tt.out, tt.err)
		if d := cmp.Diff(tt.want, got); d != "" || err != nil {
			t.Errorf("%q: %v %s", tt.out, err, d)
		}
	}
}

// What a guest is told to run, and that it is not told by a name of its own making.
func TestPingArguments(t *testing.T) {
	for _, tt := range []struct{ id, addr, want string }{
		{"debian", "192.0.2.1", "env LC_ALL=C ping -M do -n -c 1 -W 3 -s 8972 192.0.2.1"},
		{"debian", "2001:db8::1", "env LC_ALL=C ping -6 -M do -n -c 1 -W 3 -s 8952 2001:db8::1"},
		{"debian", "fe80::1%br0", "env LC_ALL=C ping -6 -M do -n -c 1 -W 3 -s 8952 fe80::1%eth0"},
		{"mswindows", "192.0.2.1", "ping.exe -f -n 1 -w 3000 -l 8972 192.0.2.1"},
		{"mswindows", "2001:db8::1", ""},
		{"freebsd", "192.0.2.1", ""},
	} {
		p := &player{id: tt.id, links: oneNIC, run: func([]string) (string, int) { return "TTL=64", 0 }}
		e, err := open(t, p).Ping(netip.MustParseAddr(tt.addr), mac, 9000, 3*time.Second)
		switch {
		case tt.want == "":
			if !errors.Is(err, ErrCannotPing) || len(p.ran) > 0 {
				t.Errorf("%s %s: %v, and ran %q", tt.id, tt.addr, err, p.ran)
			}
		case err != nil || !e.Answered || len(p.ran) != 1 || strings.Join(p.ran[0], " ") != tt.want:
			t.Errorf("%s %s: %+v %v: ran %q", tt.id, tt.addr, e, err, p.ran)
		}
	}
	p := &player{id: "debian", links: strings.Replace(oneNIC, "eth0", "-I", 1)}
	if _, err := open(t, p).Ping(netip.MustParseAddr("fe80::1"), mac, 9000, time.Second); err == nil || len(p.ran) > 0 {
		t.Errorf("a NIC -I: %v, and ran %q", err, p.ran)
	}
}

// Where env runs busybox' ping, the other is tried without.
func TestPingOfBusybox(t *testing.T) {
	p := &player{id: "alpine", links: oneNIC}
	p.run = func(argv []string) (string, int) {
		if argv[0] == "env" {
			return busyboxUsage, 1
		}
		return "", 0
	}
	if e, err := open(t, p).Ping(netip.MustParseAddr("192.0.2.1"), mac, 9000, time.Second); err != nil || !e.Answered {
		t.Errorf("%+v, %v: ran %q", e, err, p.ran)
	}
}

func FuzzEcho(f *testing.F) {
	f.Add("From 10.1.0.2 icmp_seq=1 Frag needed and DF set (mtu = 1400)", "ping: local error: message too long, mtu=9000", "debian")
	f.Fuzz(func(t *testing.T, out, stderr, id string) {
		b64 := base64.StdEncoding.EncodeToString
		p := &player{id: id, links: oneNIC}
		g, err := Open(context.Background(), func(ctx context.Context, command string) (string, error) {
			switch {
			case strings.Contains(command, "status"):
				return `{"return":{"exited":true,"exitcode":1,"out-data":"` + b64([]byte(out)) + `","err-data":"` + b64([]byte(stderr)) + `"}}`, nil
			case strings.Contains(command, "guest-exec"):
				return `{"return":{"pid":1}}`, nil
			}
			return p.ask(ctx, command)
		})
		if err != nil {
			t.Fatal(err)
		}
		e, err := g.Ping(netip.MustParseAddr("192.0.2.1"), mac, 9000, time.Second)
		if err == nil && (e.Answered || e.MTU < 0 || len(e.Why) > 2*longest || strings.ContainsAny(e.From+e.Why, "\x1b\n")) {
			t.Errorf("%+v", e)
		}
	})
}
