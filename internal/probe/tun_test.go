package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"virt-mtu/test/netns"
)

// responder is all that is behind a tun device: it answers echo requests over IPv4, or
// whatever else reply makes of them.
type responder struct {
	tun  *os.File
	got  atomic.Int64 // echo requests
	most atomic.Int64 // the largest
}

// respond makes the tun device tun0 at 192.0.2.1/24, with everything else of that
// network behind it. reply returns the packets to send for a request.
func respond(t *testing.T, mtu string, reply func(request []byte) [][]byte) *responder {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no tun: %v", err)
	}
	ifr, err := unix.NewIfreq("tun0")
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	r := &responder{tun: os.NewFile(uintptr(fd), "tun0")}
	netns.IP(t, "link set lo up; link set tun0 mtu "+mtu+" up; addr add 192.0.2.1/24 dev tun0")
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, err := r.tun.Read(b)
			if err != nil {
				return
			}
			if n < ipv4Header+icmpHeader || b[0] != 0x45 || b[9] != 1 || b[ipv4Header] != echoRequest[4] {
				continue
			}
			r.got.Add(1)
			r.most.Store(max(r.most.Load(), int64(n)))
			for _, p := range reply(bytes.Clone(b[:n])) {
				r.tun.Write(p)
			}
		}
	}()
	t.Cleanup(func() { r.tun.Close() })
	return r
}

// answerTo is the answer to an echo request.
func answerTo(request []byte) []byte {
	b := bytes.Clone(request)
	copy(b[12:16], request[16:20])
	copy(b[16:20], request[12:16])
	b[ipv4Header] = echoReply[4]
	seal(b)
	return b
}

// tooBigFor is a router's error about a request.
func tooBigFor(request []byte, from string, mtu int) []byte {
	quote := request[:min(len(request), ipv4Header+icmpHeader)]
	b := make([]byte, ipv4Header+icmpHeader, 128)
	b[0], b[8], b[9] = 0x45, 64, 1
	router := netip.MustParseAddr(from).As4()
	copy(b[12:16], router[:])
	copy(b[16:20], request[12:16])
	b[ipv4Header], b[ipv4Header+1] = 3, 4
	binary.BigEndian.PutUint16(b[ipv4Header+6:], uint16(mtu))
	b = append(b, quote...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	seal(b)
	return b
}

// seal computes the checksums of an IPv4 packet and the ICMP message in it.
func seal(b []byte) {
	b[10], b[11], b[ipv4Header+2], b[ipv4Header+3] = 0, 0, 0, 0
	binary.BigEndian.PutUint16(b[10:], checksum(b[:ipv4Header]))
	binary.BigEndian.PutUint16(b[ipv4Header+2:], checksum(b[ipv4Header:]))
}

// foreign makes an error or an answer that is not ours: of another identifier.
func foreign(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at+4] ^= 0xff
	seal(b)
	return b
}

func TestIntegrationProbeResponder(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		const forger, router = "203.0.113.66", "203.0.113.1"
		var reply atomic.Pointer[func([]byte) [][]byte]
		r := respond(t, "9000", func(q []byte) [][]byte { return (*reply.Load())(q) })
		whole := func(q []byte) [][]byte { return [][]byte{answerTo(q)} }
		upTo := func(limit int) func([]byte) [][]byte {
			return func(q []byte) [][]byte {
				if len(q) > limit {
					return nil
				}
				return whole(q)
			}
		}
		for _, tt := range []struct {
			name    string
			reply   func([]byte) [][]byte
			largest int
			want    Limit
			most    int
			noted   bool
		}{
			{"all answered", whole, 9000, Limit{LimitLocal, "tun0", 9000}, 2, false},
			{"a black hole", upTo(1450), 1450, Limit{Kind: LimitBlackhole}, dozen, false},
			{"each third is lost", func(q []byte) [][]byte {
				if r.got.Load()%3 == 0 {
					return nil
				}
				return upTo(1500)(q)
			}, 1500, Limit{Kind: LimitBlackhole}, most, false},
			{"a forged error before each answer", func(q []byte) [][]byte {
				if len(q) > 1300 {
					return [][]byte{tooBigFor(q, forger, 1300), answerTo(q)}
				}
				return whole(q)
			}, 9000, Limit{LimitLocal, "tun0", 9000}, 2, false},
			{"a forged error, and the answer after it is lost", func(q []byte) [][]byte {
				if r.got.Load() == 2 {
					return [][]byte{tooBigFor(q, forger, 1300)}
				}
				return whole(q)
			}, 9000, Limit{LimitLocal, "tun0", 9000}, 6, true},
			{"a stale error, that names what is larger", func(q []byte) [][]byte {
				if len(q) > 1500 {
					return [][]byte{tooBigFor(q, router, 65000)}
				}
				return whole(q)
			}, 1500, Limit{LimitICMP, router, 0}, dozen, false},
			{"errors and answers of others", func(q []byte) [][]byte {
				return [][]byte{foreign(tooBigFor(q, forger, 1300), 2*ipv4Header+icmpHeader), foreign(answerTo(q), ipv4Header), answerTo(q)}
			}, 9000, Limit{LimitLocal, "tun0", 9000}, 2, false},
			{"answers that do not carry what was sent", func(q []byte) [][]byte {
				a := answerTo(q)
				clear(a[ipv4Header+icmpHeader:])
				seal(a)
				return [][]byte{a}
			}, 0, Limit{Kind: LimitNone}, fewTries, false},
			{"each answer twice, and of the one before again", func(q []byte) [][]byte {
				return [][]byte{answerTo(q), answerTo(q)}
			}, 9000, Limit{LimitLocal, "tun0", 9000}, 2, false},
		} {
			r.got.Store(0)
			reply.Store(&tt.reply)
			addr := netip.MustParseAddr("192.0.2.9")
			p := Prober{Wait: time.Second}
			s := NewSearch()
			res, err := p.Probe(context.Background(), addr, s)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %+v", tt.name, res)
			if res.Largest != tt.largest || res.Limit != tt.want || res.Sent > tt.most || tt.noted && len(res.Notes) == 0 {
				t.Errorf("%s: %+v, want %d, %+v, %d packets", tt.name, res, tt.largest, tt.want, tt.most)
			}
			if got := int(r.got.Load()); got != res.Sent {
				t.Errorf("%s: %d requests came, it says %d", tt.name, got, res.Sent)
			}
			wantClean(t, addr)
		}
		if r.most.Load() > 9000 {
			t.Errorf("a packet of %d left a link of 9000", r.most.Load())
		}
	})
}
