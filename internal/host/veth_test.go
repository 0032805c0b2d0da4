package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"virt-mtu/test/netns"
)

func TestIntegrationRtnl(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, `
			link add name a index 10 type veth peer name b index 11
			netns add away
			link add name far0 index 20 type veth peer name far1 index 20 netns away
			link add name mv0 link a index 30 type macvlan`)
		r := rtnl{fd: -1}
		for _, tt := range []struct {
			index, under int
			away         bool
		}{{10, 11, false}, {11, 10, false}, {20, 20, true}, {30, 10, false}, {1, 0, false}} {
			if under, away, err := r.under(tt.index); under != tt.under || away != tt.away || err != nil {
				t.Errorf("under %d: %d, away %v, %v; want %d, %v", tt.index, under, away, err, tt.under, tt.away)
			}
		}
		if _, _, err := r.under(77); err == nil {
			t.Error("there is a link 77")
		}

		// An answer that nobody took is not the next one's.
		fd := r.fd
		if err := r.ask(20); err != nil {
			t.Fatal(err)
		}
		if under, away, err := r.under(10); under != 11 || away || err != nil {
			t.Errorf("after another's answer: %d, away %v, %v", under, away, err)
		}
		if r.fd != fd {
			t.Error("another socket")
		}

		// One that is lost is waited for once, and nothing is asked any more.
		if err := r.ask(10); err != nil {
			t.Fatal(err)
		}
		if _, _, err := unix.Recvfrom(r.fd, r.buf[:], 0); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, _, err := r.answer(10)
		if took := time.Since(start); !errors.Is(err, unix.EAGAIN) || took < 400*time.Millisecond || took > 5*time.Second {
			t.Errorf("a lost answer: %v after %v", err, took)
		}
		asked := r.last
		if _, _, err := r.under(10); !errors.Is(err, unix.EAGAIN) || r.last != asked {
			t.Errorf("after a lost answer: %v", err)
		}
	})
}

func TestDecodeUnder(t *testing.T) {
	answer := func(kind uint16, index int32, size int) *syscall.NetlinkMessage {
		data := make([]byte, unix.SizeofIfInfomsg)
		binary.NativeEndian.PutUint32(data[4:], uint32(index))
		return &syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: data[:size]}
	}
	for _, tt := range []struct {
		name    string
		message *syscall.NetlinkMessage
		ok      bool
	}{
		{"a link that sits on none", answer(unix.RTM_NEWLINK, 10, unix.SizeofIfInfomsg), true},
		{"another link", answer(unix.RTM_NEWLINK, 11, unix.SizeofIfInfomsg), false},
		{"an error", answer(unix.NLMSG_ERROR, 10, unix.SizeofIfInfomsg), false},
		{"cut short", answer(unix.RTM_NEWLINK, 10, 8), false},
	} {
		if under, away, err := decodeUnder(tt.message, 10); (err == nil) != tt.ok || under != 0 || away {
			t.Errorf("%s: %d, away %v, %v", tt.name, under, away, err)
		}
	}
}

// What rtnetlink does not tell is not known: nothing is said to be elsewhere.
func TestIntegrationAwayOnlyIfTold(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, fmt.Sprintf(`
			netns add away
			link add far0 type veth peer name far1 netns away
			netns exec away ip link add mv0 link far1 type macvlan
			netns exec away ip link set mv0 netns %d`, os.Getpid()))
		for _, err := range []error{nil, errors.New("no netlink")} {
			r, failed := newReader()
			if failed != nil {
				t.Fatal(failed)
			}
			r.rtnl.err = err
			r.add("far0")
			r.add("mv0")
			r.close()
			for _, l := range r.links {
				if l.Away != (err == nil) || l.Peer != "" || l.Lower != "" {
					t.Errorf("rtnetlink fails with %v: %+v", err, l)
				}
			}
			if len(r.links) != 2 {
				t.Errorf("links %+v", r.links)
			}
		}
	})
}
