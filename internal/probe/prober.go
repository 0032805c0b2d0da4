package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Prober probes addresses from this host.
type Prober struct {
	// Wait is how long the first answer of an address may take. Once one has come,
	// several times as long as that took is enough.
	Wait time.Duration
}

// Times of a probe.
const (
	// pause lies between two packets.
	pause = 50 * time.Millisecond
	// patience is the least that is waited for an answer: a busy guest is slow at times.
	patience = 300 * time.Millisecond
	// grace is the least that is waited for an answer after an error: it refutes that.
	grace = 20 * time.Millisecond
	// slice is how soon an interruption is noticed.
	slice = 100 * time.Millisecond
)

// Probe carries out a search at an address, which may have a zone. Errors: ErrPrivilege;
// the context's. That there is no way to the address is a note of its result.
func (p *Prober) Probe(ctx context.Context, addr netip.Addr, s *Search) (Result, error) {
	addr = addr.Unmap()
	r := Result{Address: addr.String(), Family: family(addr), Limit: Limit{Kind: LimitNone}, By: ByHost}
	zone, err := zoneOf(addr)
	if err != nil {
		return r, err
	}
	cache := newPathCache(addr.WithZone(""), zone)
	sock, err := openSocket(addr, zone)
	if err == nil {
		defer sock.close()
		run := run{Prober: p, socket: sock, search: s, zone: zone, requests: map[uint16]*request{}}
		err = run.all(ctx)
	}
	// Also where it was interrupted.
	if err := cache.restore(); err != nil {
		r.Notes = append(r.Notes, err.Error()+" (it goes by itself, by default after 10 minutes)")
	}
	var none routeError
	if errors.As(err, &none) {
		r.Notes = append(r.Notes, fmt.Sprintf("nothing leaves this host for it: %v", none.error))
		err = nil
	}
	if err != nil {
		return r, err
	}
	r.Largest, r.Sent, r.Limit = s.Largest(), s.Sent(), s.Limit()
	if r.Limit.Kind == LimitFragmented {
		r.Limit.From = r.Address
	}
	r.Notes = append(r.Notes, s.Notes()...)
	return r, nil
}

// zoneOf is the index of the link that an address is on, where it says so.
func zoneOf(addr netip.Addr) (int, error) {
	if addr.Zone() == "" {
		if addr.IsLinkLocalUnicast() && addr.Is6() {
			return 0, fmt.Errorf("%s is link-local: name its link too, as in %[1]s%%br0", addr)
		}
		return 0, nil
	}
	i, err := net.InterfaceByName(addr.Zone())
	if err != nil {
		return 0, fmt.Errorf("link %q: %w", addr.Zone(), err)
	}
	return i.Index, nil
}

// RouteMTU is the MTU that the route to an address has, or that this host has learned
// for it: a size that is worth a try, and no more. 0: there is none.
func RouteMTU(addr netip.Addr) int {
	zone, err := zoneOf(addr)
	if err != nil {
		return 0
	}
	r, err := routeTo(addr.WithZone("").Unmap(), zone)
	if err != nil {
		return 0
	}
	return r.mtu
}

// run is one search at one address.
type run struct {
	*Prober
	*socket
	search   *Search
	zone     int
	next     uint16
	answers  int
	slowest  time.Duration // answer so far; 0: none has come
	requests map[uint16]*request
}

// request is one packet that was sent.
type request struct {
	size     int
	at       time.Time
	told     bool // of what became of it
	answered bool
	failed   bool // an error came
}

func (r *run) all(ctx context.Context) error {
	for {
		size, more := r.search.Next()
		if !more {
			return nil
		}
		if err := r.one(ctx, size); err != nil {
			return err
		}
	}
}

// one sends one packet, and waits for what becomes of it.
func (r *run) one(ctx context.Context, size int) error {
	r.next++
	seq := r.next
	q := &request{size: size, at: time.Now()}
	r.requests[seq] = q
	all, err := r.send(size, seq)
	if err != nil {
		return err
	}
	r.hear(all)
	for until := q.at.Add(r.room()); !q.answered; {
		if q.failed {
			until = earlier(until, q.at.Add(max(2*r.slowest, grace)))
		}
		if q.told && !q.failed { // refused: nothing was sent
			return ctx.Err()
		}
		left := time.Until(until)
		if left <= 0 {
			break
		}
		if err := r.wait(int(min(left, slice)/time.Millisecond) + 1); err != nil {
			return err
		}
		r.hear(r.read())
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if !q.told {
		q.told = true
		r.search.Tell(Event{Size: size, Outcome: Lost})
	}
	time.Sleep(time.Until(q.at.Add(pause)))
	return nil
}

// took notes how long an answer took. The first may have waited for who has the address,
// and counts only until there is another.
func (r *run) took(d time.Duration) {
	if r.answers++; r.answers == 2 {
		r.slowest = 0
	}
	r.slowest = max(r.slowest, d)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// room is how long to wait for one answer.
func (r *run) room() time.Duration {
	if r.slowest == 0 {
		return r.Wait
	}
	return min(max(8*r.slowest, patience), r.Wait)
}

// hear tells the search what came back: of each packet one answer at most, and before it
// one error.
func (r *run) hear(all []heard) {
	for _, h := range all {
		q := r.requests[h.seq]
		if q == nil || q.answered {
			continue
		}
		switch h.Outcome {
		case Answered, Fragmented:
			if h.Size != q.size {
				continue // cut short on its way
			}
			q.answered = true
			r.took(time.Since(q.at))
		case Refused:
			if way, err := routeTo(r.addr, r.zone); err == nil {
				h.From = way.linkName()
			}
		default:
			if q.failed {
				continue
			}
			q.failed = true
		}
		h.Size, h.Late, q.told = q.size, q.told, true
		r.search.Tell(h.Event)
	}
}
