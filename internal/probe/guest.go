package probe

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"virt-mtu/internal/agent"
)

// guestItself is where a guest's own packets are stopped that do not leave it: which of
// its NICs that was its ping does not say.
const guestItself = "the guest"

// Source is the address of this host's that packets to an address are sent from.
func Source(addr netip.Addr) (netip.Addr, error) {
	zone, err := zoneOf(addr)
	if err != nil {
		return netip.Addr{}, err
	}
	r, err := routeTo(addr.WithZone("").Unmap(), zone)
	if err == nil && !r.src.IsValid() {
		err = fmt.Errorf("the route has no source address")
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find this host's address towards %s: %w", addr, err)
	}
	return r.src, nil
}

// ProbeBack carries out a search from inside a guest, at an address of this host's, until
// ctx ends. mac is that of the guest's NIC on the way, which a link-local address needs.
// That the time is over is a note of the result. Errors: those of agent.Ping.
//
// The guest's kernel goes by its cache of path MTUs: what a router has told it, it
// refuses itself from then on.
func (p *Prober) ProbeBack(ctx context.Context, g *agent.Guest, addr netip.Addr, mac string, s *Search) (Result, error) {
	r := Result{Address: addr.String(), Family: family(addr.Unmap()), Limit: Limit{Kind: LimitNone}, By: ByGuest}
	zoned, err := g.Zoned(addr, mac)
	if err != nil {
		return r, err
	}
	r.Address = zoned.String()
	routers := map[int]string{} // by the MTU that they named
	wait := p.Wait
	over := false
	for {
		size, more := s.Next()
		if !more {
			break
		}
		echo, err := g.Ping(addr, mac, size, wait)
		if ctx.Err() != nil {
			over = true
			break
		}
		if err != nil {
			return r, err
		}
		e := event(size, echo, routers)
		if e.Outcome == Answered {
			wait = min(wait, time.Second)
		}
		s.Tell(e)
	}
	r.Largest, r.Sent = s.Largest(), s.Sent()
	r.Notes = s.Notes()
	if over {
		r.Notes = append(r.Notes, "the time for a guest is over: larger packets were not all tried")
		return r, nil
	}
	r.Limit = s.Limit()
	if r.Limit.Kind == LimitICMP && r.Limit.From == guestItself {
		r.Limit = Limit{LimitLocal, guestItself, max(r.Limit.MTU, r.Largest)}
	}
	return r, nil
}

// event is what an echo means for a search.
func event(size int, echo agent.Echo, routers map[int]string) Event {
	e := Event{Size: size, Outcome: Lost, From: echo.From, MTU: echo.MTU, Why: echo.Why}
	switch {
	case echo.Answered:
		e.Outcome = Answered
	case echo.TooBig && echo.From != "":
		e.Outcome = TooBig
		routers[echo.MTU] = echo.From
	case echo.TooBig && routers[echo.MTU] != "":
		e.Outcome, e.From = TooBig, routers[echo.MTU]
	case echo.TooBig && echo.MTU > 0:
		e.Outcome, e.From = Refused, guestItself
	case echo.TooBig:
		// A search takes one that is refused for the next size up. This one says no MTU.
		e.Outcome, e.From = TooBig, guestItself
	case echo.Why != "":
		e.Outcome = Unreachable
	}
	return e
}
