package collect

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func TestDump(t *testing.T) {
	full, part := [][]byte{{1}, {2}}, [][]byte{{1}}
	type answer struct {
		answers [][]byte
		err     error
	}
	for _, tt := range []struct {
		name    string
		answers []answer // the last is what comes from then on
		want    [][]byte
		err     error
		asked   int
		paused  time.Duration
	}{
		{"at once", []answer{{full, nil}}, full, nil, 1, 0},
		{"interrupted, then not", []answer{{part, nl.ErrDumpInterrupted}, {nil, unix.ENOBUFS}, {full, nil}}, full, nil, 3, 30 * time.Millisecond},
		{"always interrupted", []answer{{part, nl.ErrDumpInterrupted}}, part, nl.ErrDumpInterrupted, 7, 630 * time.Millisecond},
		{"out of room at last", []answer{{part, nl.ErrDumpInterrupted}, {nil, unix.ENOBUFS}}, part, unix.ENOBUFS, 7, 630 * time.Millisecond},
		{"refused", []answer{{nil, unix.EPERM}}, nil, unix.EPERM, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			var paused time.Duration
			got, err := dumpPausing(func() ([][]byte, error) {
				a := tt.answers[min(asked, len(tt.answers)-1)]
				asked++
				return a.answers, a.err
			}, func(d time.Duration) { paused += d })
			if paused != tt.paused {
				t.Errorf("paused %v, want %v", paused, tt.paused)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || asked != tt.asked || !errors.Is(err, tt.err) {
				t.Errorf("asked %d times, want %d; error %v, want %v; (-want +got):\n%s", asked, tt.asked, err, tt.err, diff)
			}
		})
	}
}

// Bytes of any kind are read without a panic. (The kernel's are always whole.)
func FuzzDecode(f *testing.F) {
	f.Add(eth0)
	f.Add(message(5, "vx0", 1450, info("vxlan", ip(unix.IFLA_VXLAN_GROUP, "192.0.2.9"))))
	f.Add(message(5, "vnet0", 1500, info("tun", nl.NewRtAttr(unix.IFLA_TUN_TYPE, []byte{2}))))
	f.Add(peers("192.0.2.9:51820"))
	f.Add(route(unix.AF_INET6, unix.RTM_F_CLONED, 2, 1400, 10))
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeLink(b)
		decodeFDB(b)
		decodeRoute(b)
		decodePeers(b)
	})
}
