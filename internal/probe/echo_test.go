package probe

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func testEcho(family int) *echo {
	return &echo{family: family, id: 0x1234, cookie: [cookieLen]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}
}

// A size is that of the IP packet: --size 9000 is what ping -s 8972 sends over IPv4, and
// ping -s 8952 over IPv6.
func TestRequestSize(t *testing.T) {
	for family, payload := range map[int]int{4: 8972, 6: 8952} {
		if n := len(testEcho(family).request(9000, 1)) - icmpHeader; n != payload {
			t.Errorf("IPv%d: a payload of %d, want %d", family, n, payload)
		}
		if n := len(testEcho(family).request(floor, 1)) - icmpHeader; n < cookieLen {
			t.Errorf("IPv%d: %d carries no cookie: %d", family, floor, n)
		}
	}
	p := packet4([4]byte{192, 0, 2, 2}, testEcho(4).request(1500, 1))
	if len(p) != 1500 || p[6] != 0x40 || checksum(p[ipv4Header:]) != 0 {
		t.Errorf("%d bytes, flags %#x, checksum over all %#x", len(p), p[6], checksum(p[ipv4Header:]))
	}
}

// What is not ours is passed over.
func TestReply(t *testing.T) {
	for _, family := range []int{4, 6} {
		e := testEcho(family)
		ours := e.request(1500, 7)
		ours[0] = echoReply[family]
		if seq, size, ok := e.reply(ours); !ok || seq != 7 || size != 1500 {
			t.Errorf("IPv%d: ours: %d, %d, %v", family, seq, size, ok)
		}
		for what, spoil := range map[string]func([]byte) []byte{
			"a request":            func(b []byte) []byte { b[0] = echoRequest[family]; return b },
			"a code":               func(b []byte) []byte { b[1] = 1; return b },
			"another's identifier": func(b []byte) []byte { b[4]++; return b },
			"another's cookie":     func(b []byte) []byte { b[icmpHeader+cookieLen-1]++; return b },
			"half a cookie":        func(b []byte) []byte { return b[:icmpHeader+cookieLen/2] },
			"half a header":        func(b []byte) []byte { return b[:5] },
			"nothing":              func([]byte) []byte { return nil },
		} {
			b := spoil(append([]byte{}, ours...))
			if _, _, ok := e.reply(b); ok {
				t.Errorf("IPv%d: %s is taken for ours", family, what)
			}
		}
		// An error need not quote more than the header.
		request := e.request(1500, 9)
		for _, n := range []int{icmpHeader, icmpHeader + 3, len(request)} {
			if seq, ok := e.quoted(request[:n]); !ok || seq != 9 {
				t.Errorf("IPv%d: quoted by %d bytes: %d, %v", family, n, seq, ok)
			}
		}
		request[icmpHeader]++
		if _, ok := e.quoted(request[:icmpHeader+1]); ok {
			t.Errorf("IPv%d: another's request, as quoted, is taken for ours", family)
		}
	}
}

// Whatever comes back, of an answer or in the error queue, is passed over or ours.
func FuzzHeard(f *testing.F) {
	e := testEcho(4)
	whole := e.request(100, 1)
	f.Add(whole, []byte{}, true)
	f.Add(packet4([4]byte{192, 0, 2, 2}, whole), make([]byte, 64), true)
	oob := make([]byte, 48)
	binary.NativeEndian.PutUint64(oob, 48)
	binary.NativeEndian.PutUint32(oob[8:], unix.SOL_IP)
	binary.NativeEndian.PutUint32(oob[12:], unix.IP_RECVERR)
	oob[20] = unix.SO_EE_ORIGIN_ICMP
	oob[21], oob[22] = 3, 4
	f.Add(packet4([4]byte{192, 0, 2, 2}, whole), oob, true)
	f.Fuzz(func(t *testing.T, b, oob []byte, raw bool) {
		for _, family := range []int{4, 6} {
			s := &socket{echo: *testEcho(family), addr: netip.MustParseAddr("192.0.2.2"), raw: raw}
			if h, ok := s.answer(b, oob); ok && h.Size > 1<<17 {
				t.Errorf("an answer of %d", h.Size)
			}
			if h, ok := s.errorOf(b, oob, sockaddr(s.addr, 0, 0)); ok && h.Outcome != TooBig && h.Outcome != Unreachable && h.Outcome != Refused {
				t.Errorf("an error that is %v", h.Outcome)
			}
		}
	})
}
