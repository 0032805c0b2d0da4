package probe

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// hop is a step of a simulated path.
type hop struct {
	mtu    int
	silent bool // drops without an error, as bridges do
	names  int  // what its errors name; 0: its MTU
}

// path is a simulated path to a target and back.
type path struct {
	device  int // MTU of this host's link
	hops    []hop
	target  int // MTU of the target, which takes more and answers in fragments; 0: takes all
	family  int // of its fragments; 0: 4
	loss    float64
	forged  int // MTU of an ICMP error that comes with each larger packet, though it gets through
	dead    bool
	dies    int // packet at which it stops answering; 0: none
	nameles bool

	rand *rand.Rand
	sent int
}

// limit is the largest size that gets through.
func (p *path) limit() int {
	l := ceiling
	if p.device > 0 {
		l = min(l, p.device)
	}
	for _, h := range p.hops {
		l = min(l, h.mtu)
	}
	if p.target > 0 {
		l = min(l, p.target)
	}
	return l
}

// send tells the search what becomes of one packet.
func (p *path) send(s *Search, size int) {
	if p.device > 0 && size > p.device {
		s.Tell(Event{Size: size, Outcome: Refused, From: "eth0", MTU: p.device})
		return
	}
	p.sent++
	lost := func() bool { return p.loss > 0 && p.rand.Float64() < p.loss }
	late := false
	if p.forged > 0 && size > p.forged {
		s.Tell(Event{Size: size, Outcome: TooBig, From: "203.0.113.66", MTU: p.forged})
		late = true
	}
	for i, h := range p.hops {
		if size <= h.mtu {
			continue
		}
		if h.silent || lost() {
			if !late {
				s.Tell(Event{Size: size, Outcome: Lost})
			}
			return
		}
		e := Event{Size: size, Outcome: TooBig, From: fmt.Sprintf("198.51.100.%d", i), MTU: h.mtu, Late: late}
		if h.names != 0 {
			e.MTU = h.names
		}
		if p.nameles {
			e.MTU = 0
		}
		s.Tell(e)
		return
	}
	if p.dead || p.dies > 0 && p.sent >= p.dies || lost() {
		if !late {
			s.Tell(Event{Size: size, Outcome: Lost})
		}
		return
	}
	if p.target > 0 && size > p.target {
		header := 20
		if p.family == 6 {
			header = 48
		}
		s.Tell(Event{Size: size, Outcome: Fragmented, MTU: (p.target-header)/8*8 + header, Late: late})
		return
	}
	s.Tell(Event{Size: size, Outcome: Answered, Late: late})
}

func (p *path) run(t *testing.T, s *Search) []int {
	t.Helper()
	var sizes []int
	for {
		size, more := s.Next()
		if !more {
			if s.Sent() != p.sent {
				t.Fatalf("%d were sent, and it says %d", p.sent, s.Sent())
			}
			return sizes
		}
		if size < floor || size > ceiling || len(sizes) > most {
			t.Fatalf("after %v it sends %d", sizes, size)
		}
		sizes = append(sizes, size)
		p.send(s, size)
	}
}

// dozen is how many packets a limit may take that somebody names, or that is common.
const dozen = 12

func TestSearch(t *testing.T) {
	for _, tt := range []struct {
		name    string
		path    path
		hints   []int
		want    Limit
		largest int
		most    int // packets
	}{
		{"all is well", path{device: 9000}, nil, Limit{LimitLocal, "eth0", 9000}, 9000, 2},
		{"nothing stops it", path{}, nil, Limit{Kind: LimitNone}, ceiling, 2},
		{"a router says", path{device: 9000, hops: []hop{{mtu: 1400}}}, nil, Limit{LimitICMP, "198.51.100.0", 1400}, 1400, 4},
		{"two routers say", path{device: 9000, hops: []hop{{mtu: 4000}, {mtu: 1337}}}, nil, Limit{LimitICMP, "198.51.100.1", 1337}, 1337, 5},
		{"behind the router it is silent", path{device: 9000, hops: []hop{{mtu: 1500}, {mtu: 1450, silent: true}}}, nil, Limit{Kind: LimitBlackhole}, 1450, dozen},
		{"behind the silence a router says", path{device: 9000, hops: []hop{{mtu: 8000, silent: true}, {mtu: 1450}}}, nil, Limit{LimitICMP, "198.51.100.1", 1450}, 1450, dozen},
		{"a bridge drops", path{device: 9000, hops: []hop{{mtu: 1500, silent: true}}}, nil, Limit{Kind: LimitBlackhole}, 1500, dozen},
		{"a hint", path{device: 9000, hops: []hop{{mtu: 3333, silent: true}}}, []int{3333}, Limit{Kind: LimitBlackhole}, 3333, 7},
		{"a wrong hint", path{device: 9000, hops: []hop{{mtu: 1500, silent: true}}}, []int{3333}, Limit{Kind: LimitBlackhole}, 1500, dozen},
		{"the target answers in fragments", path{device: 9000, target: 1500}, nil, Limit{LimitFragmented, "", 1500}, 1500, 5},
		{"the same, over IPv6", path{device: 9000, target: 1500, family: 6}, nil, Limit{LimitFragmented, "", 1500}, 1500, 5},
		{"of an odd MTU", path{device: 9000, target: 1337}, nil, Limit{LimitFragmented, "", 1337}, 1337, 8},
		{"a forged error", path{device: 9000, forged: 1300}, nil, Limit{LimitLocal, "eth0", 9000}, 9000, 5},
		{"a forged error before a router's", path{device: 9000, forged: 1300, hops: []hop{{mtu: 1500}}}, nil, Limit{LimitICMP, "198.51.100.0", 1500}, 1500, dozen},
		{"a router that names too little", path{device: 9000, hops: []hop{{mtu: 1500, names: 1400}}}, nil, Limit{LimitICMP, "198.51.100.0", 1400}, 1500, 2 * dozen},
		{"a router that names more than the packet", path{device: 9000, hops: []hop{{mtu: 1500, names: 60000}}}, nil, Limit{LimitICMP, "198.51.100.0", 0}, 1500, dozen},
		{"a router that names none", path{device: 9000, hops: []hop{{mtu: 1450}}, nameles: true}, nil, Limit{LimitICMP, "198.51.100.0", 0}, 1450, dozen},
		{"nothing answers", path{device: 9000, dead: true}, nil, Limit{Kind: LimitNone}, 0, fewTries},
		{"it stops answering", path{device: 9000, dies: 3, hops: []hop{{mtu: 1500, silent: true}}}, nil, Limit{Kind: LimitNone}, floor, 3 * dozen},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSearch(tt.hints...)
			sizes := tt.path.run(t, s)
			if s.Largest() != tt.largest || s.Limit() != tt.want || s.Sent() > tt.most {
				t.Errorf("%d, %+v in %d packets, want %d, %+v in %d: %v", s.Largest(), s.Limit(), s.Sent(), tt.largest, tt.want, tt.most, sizes)
			}
		})
	}
}

// A limit that is common is found in a dozen packets, whoever stops what is larger.
func TestSearchDozen(t *testing.T) {
	worst := 0
	for _, device := range []int{1500, 9000, 9216, 0} {
		for _, c := range common {
			if device > 0 && c.mtu > device {
				continue
			}
			for _, p := range []path{
				{hops: []hop{{mtu: c.mtu, silent: true}}},
				{hops: []hop{{mtu: c.mtu}}},
				{hops: []hop{{mtu: c.mtu}}, nameles: true},
				{target: c.mtu},
				{target: c.mtu, family: 6},
			} {
				p.device = device
				s := NewSearch()
				sizes := p.run(t, s)
				if s.Largest() != c.mtu {
					t.Errorf("%+v: %d: %v", p, s.Largest(), sizes)
				}
				bound := dozen
				if device == 0 { // no link but lo is so large
					bound++
				}
				if s.Sent() > bound {
					t.Errorf("%+v: %d packets: %v", p, s.Sent(), sizes)
				}
				worst = max(worst, s.Sent())
			}
		}
	}
	t.Logf("at most %d packets", worst)
}

// Any limit is found, whoever stops what is larger: in a dozen packets where somebody
// says what it is, else in as many as halving takes.
func TestSearchAny(t *testing.T) {
	const halving = 26
	r := rand.New(rand.NewPCG(1, 2))
	worst := map[string]int{}
	for range 20000 {
		limit := floor + r.IntN(9000-floor)
		p := path{device: limit + r.IntN(9001-limit), rand: r}
		if r.IntN(10) == 0 {
			p.device = 0
		}
		bound, kind := dozen, ""
		switch r.IntN(4) {
		case 0:
			kind, bound, p.hops = "silent", halving, []hop{{mtu: limit, silent: true}}
		case 1:
			kind, p.hops = "router", []hop{{mtu: min(limit+r.IntN(900), ceiling)}, {mtu: limit}}
		case 2:
			kind, p.target, p.family = "fragments", limit, 4+2*r.IntN(2)
		case 3:
			kind, bound, p.hops, p.forged = "forged", halving+5, []hop{{mtu: limit, silent: true}}, floor+r.IntN(9000)
		}
		s := NewSearch()
		sizes := p.run(t, s)
		if s.Largest() != p.limit() {
			t.Fatalf("%+v: %d, want %d: %v, %+v", p, s.Largest(), p.limit(), sizes, s.Limit())
		}
		if s.Sent() > bound {
			t.Fatalf("%+v: %d packets: %v", p, s.Sent(), sizes)
		}
		worst[kind] = max(worst[kind], s.Sent())
	}
	t.Log(worst)
}

// Loss is told from a black hole.
func TestSearchLoss(t *testing.T) {
	for _, tt := range []struct {
		loss float64
		most int // wrong ones in a thousand
	}{{0.01, 1}, {0.1, 5}, {0.3, 100}} {
		r := rand.New(rand.NewPCG(3, 4))
		wrong, total, worst := 0, 0, 0
		for range 1000 {
			limit := []int{1500, 9000, 1450, 1280, floor + r.IntN(9000-floor)}[r.IntN(5)]
			p := path{device: 9000, loss: tt.loss, rand: r, hops: []hop{{mtu: limit, silent: r.IntN(2) == 0}}}
			s := NewSearch()
			p.run(t, s)
			if s.Largest() != p.limit() {
				wrong++
			}
			total += s.Sent()
			worst = max(worst, s.Sent())
		}
		t.Logf("loss %v: %d of 1000 wrong, %d packets in the mean, %d at most", tt.loss, wrong, total/1000, worst)
		if wrong > tt.most {
			t.Errorf("loss %v: %d of 1000 wrong, want %d", tt.loss, wrong, tt.most)
		}
	}
}

func TestSearchSingle(t *testing.T) {
	for _, tt := range []struct {
		name    string
		path    path
		want    Limit
		largest int
		sizes   []int
	}{
		{"gets through", path{device: 9000}, Limit{Kind: LimitNone}, 9000, []int{9000}},
		{"refused here", path{device: 1500}, Limit{LimitLocal, "eth0", 1500}, 0, []int{9000}},
		{"a router says", path{device: 9000, hops: []hop{{mtu: 1400}}}, Limit{LimitICMP, "198.51.100.0", 1400}, 0, []int{9000}},
		{"in fragments", path{device: 9000, target: 1500}, Limit{LimitFragmented, "", 1500}, 0, []int{9000}},
		{"dropped", path{device: 9000, hops: []hop{{mtu: 1500, silent: true}}}, Limit{Kind: LimitBlackhole}, 0, []int{9000, 9000, 9000, floor}},
		{"nothing answers", path{device: 9000, dead: true}, Limit{Kind: LimitNone}, 0, []int{9000, 9000, 9000, floor, floor, floor}},
	} {
		s := NewSingle(9000)
		sizes := tt.path.run(t, s)
		if s.Largest() != tt.largest || s.Limit() != tt.want || !slices.Equal(sizes, tt.sizes) {
			t.Errorf("%s: %d, %+v, %v; want %d, %+v, %v", tt.name, s.Largest(), s.Limit(), sizes, tt.largest, tt.want, tt.sizes)
		}
	}
}
