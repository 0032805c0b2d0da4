package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"virt-mtu/internal/agent"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/probe"
)

// backTime bounds one search from inside a guest. Each packet that is lost takes more
// than a second there, and a search for a black hole loses a dozen and more.
const backTime = time.Minute

// back has the guest of a domain probe this host, on the ways on which this host has
// probed it. Where it cannot, that is complained of.
func (p *prober) back(ctx context.Context, name string, where []destination, there []probe.Result) []probe.Result {
	conn, err := p.pool.Get()
	if err != nil {
		p.complain(err, libvirt.Hint(err))
		return nil
	}
	defer p.pool.Put(conn)
	var results []probe.Result
	var asked []netip.Addr
	for _, i := range worthAsking(there) {
		w := where[slices.IndexFunc(where, func(w destination) bool { return w.addr.String() == there[i].Address })]
		addr, err := probe.Source(w.addr)
		if err == nil && slices.Contains(asked, addr) {
			continue
		}
		asked = append(asked, addr)
		var r probe.Result
		if err == nil {
			r, err = p.ask(ctx, conn, w, addr, there[i].Largest)
		}
		if ctx.Err() != nil {
			return results
		}
		if err != nil {
			p.complain(fmt.Errorf("from inside the guest of %s to %s: %w", plan.ShellWord(name), addr, err), libvirt.Hint(err))
			if errors.Is(err, agent.ErrCannotPing) {
				continue // perhaps over IPv4
			}
			return results
		}
		p.judge(&r, w)
		results = append(results, r)
	}
	return results
}

// worthAsking picks the results that stand for a way: the addresses that answered, and of
// an IP version of which none did the first. A guest's firewall may drop what comes in,
// and let out what it sends itself.
func worthAsking(all []probe.Result) []int {
	var picked []int
	for i := range all {
		same := func(alive bool) func(probe.Result) bool {
			return func(o probe.Result) bool { return o.Family == all[i].Family && (!alive || !o.Dead()) }
		}
		first := slices.IndexFunc(all, same(false)) == i && !slices.ContainsFunc(all, same(true))
		if !all[i].Dead() || first {
			picked = append(picked, i)
		}
	}
	return picked
}

// ask carries out one search from inside a guest. hint is what got to it.
func (p *prober) ask(ctx context.Context, conn *libvirt.Conn, w destination, addr netip.Addr, hint int) (probe.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, backTime)
	defer cancel()
	g, err := p.guest(ctx, conn, w.domain)
	if err != nil {
		return probe.Result{}, err
	}
	back := probe.Prober{Wait: p.wait}
	return back.ProbeBack(ctx, g, addr, w.mac, p.search(w, hint))
}

// guest opens the guest of a domain.
func (p *prober) guest(ctx context.Context, conn *libvirt.Conn, d libvirt.Domain) (*agent.Guest, error) {
	return agent.Open(ctx, func(ctx context.Context, command string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, p.timeout)
		defer cancel()
		return conn.Agent(ctx, d, command)
	})
}
