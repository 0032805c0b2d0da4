package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"virt-mtu/internal/agent"
)

// pinging opens a guest whose ping speaks as iputils' does: mtu is its NIC's, and behind
// it lies a router with a link of behind, which it remembers as the kernel does.
func pinging(t *testing.T, ctx context.Context, mtu, behind int) *agent.Guest {
	t.Helper()
	var out, stderr string
	exit, learned := 0, false
	g, err := agent.Open(ctx, func(ctx context.Context, command string) (string, error) {
		var c struct {
			Execute   string
			Arguments struct{ Arg []string }
		}
		if err := json.Unmarshal([]byte(command), &c); err != nil {
			return "", err
		}
		switch c.Execute {
		case "guest-network-get-interfaces":
			return `{"return":[]}`, nil
		case "guest-exec":
			arg := c.Arguments.Arg
			payload, err := strconv.Atoi(arg[len(arg)-2])
			size := payload + 28
			out, stderr, exit = "", "", 1
			switch {
			case err != nil:
				return "", err
			case size > mtu:
				stderr = fmt.Sprintf("ping: local error: message too long, mtu=%d\n", mtu)
			case size > behind && learned:
				stderr = fmt.Sprintf("ping: local error: message too long, mtu=%d\n", behind)
			case size > behind:
				learned = true
				out = fmt.Sprintf("From 10.1.0.2 icmp_seq=1 Frag needed and DF set (mtu = %d)\n", behind)
			default:
				exit = 0
			}
			return `{"return":{"pid":1}}`, nil
		case "guest-exec-status":
			b, err := json.Marshal(map[string]any{"return": map[string]any{"exited": true, "exitcode": exit, "out-data": []byte(out), "err-data": []byte(stderr)}})
			return string(b), err
		}
		return "", errors.New("no")
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A router that the guest's kernel has heard is still the one that stops a packet.
func TestProbeBack(t *testing.T) {
	addr := netip.MustParseAddr("10.2.0.1")
	for _, tt := range []struct {
		mtu, behind int
		want        Limit
	}{
		{9000, 9000, Limit{LimitLocal, guestItself, 9000}},
		{9000, 1400, Limit{LimitICMP, "10.1.0.2", 1400}},
		{1437, 9000, Limit{LimitLocal, guestItself, 1437}},
	} {
		r, err := (&Prober{Wait: time.Second}).ProbeBack(context.Background(), pinging(t, context.Background(), tt.mtu, tt.behind), addr, "", NewSearch())
		if err != nil || r.By != ByGuest || r.Limit != tt.want || r.Largest != min(tt.mtu, tt.behind) || r.Sent > 12 {
			t.Errorf("%+v: %v %+v", tt, err, r)
		}
	}
}

// One that names no MTU: Windows, and the ping of old distributions.
func TestEventUnnamed(t *testing.T) {
	s := NewSearch()
	for sent := 0; ; sent++ {
		size, more := s.Next()
		if !more {
			break
		}
		e := event(size, agent.Echo{Answered: size <= 1500, TooBig: size > 1500}, map[int]string{})
		s.Tell(e)
		if sent > 20 {
			t.Fatal("no end")
		}
	}
	if s.Largest() != 1500 || s.Limit() != (Limit{LimitICMP, guestItself, 0}) {
		t.Errorf("%d %+v", s.Largest(), s.Limit())
	}
}

// When the guest's time is over, that is said, and what was found is kept.
func TestProbeBackOver(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	g := pinging(t, ctx, 9000, 9000)
	cancel()
	r, err := (&Prober{Wait: time.Second}).ProbeBack(ctx, g, netip.MustParseAddr("10.2.0.1"), "", NewSearch())
	if err != nil || !r.Below() || !strings.Contains(strings.Join(r.Messages(), "\n"), "time for a guest is over") {
		t.Errorf("%v %+v", err, r)
	}
}

func TestSource(t *testing.T) {
	for _, a := range []string{"127.0.0.1", "::1"} {
		if src, err := Source(netip.MustParseAddr(a)); err != nil || src.String() != a {
			t.Errorf("%s: %v %v", a, src, err)
		}
	}
}
