package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"virt-mtu/internal/agent"
	"virt-mtu/internal/check"
	"virt-mtu/internal/domxml"
	"virt-mtu/internal/facts"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/probe"
)

// destination is one address to probe.
type destination struct {
	addr  netip.Addr
	about string // what is known of it, for people
	// Of a domain: itself, and the MAC address of the NIC that has the address.
	domain libvirt.Domain
	mac    string
	// Of a domain's NIC, where something is expected: the path as check computes it.
	pathMTU int
	path    []plan.Node
}

// maxDestinations bounds how many addresses of one target are probed.
const maxDestinations = 16

// Prefixes say which kind of name a TARGET is.
const (
	domainPrefix = "domain:"
	hostPrefix   = "host:"
)

var (
	errNoAddress  = errors.New("no address of it is known here: neither a DHCP lease nor the neighbour table has one")
	errNotRunning = errors.New("it does not run")
	errNoDomain   = errors.New("--expect path: not a domain, and check computes the paths of domains")
)

// targetHint is what to do about a target that has no address.
func targetHint(err error) string {
	switch {
	case errors.Is(err, errNoAddress):
		return "name its address, or ping it once from here"
	case errors.Is(err, errNotRunning):
		return "virsh start it, and try again"
	}
	return libvirt.Hint(err)
}

// resolve finds the addresses of a target: itself, those of a domain, or where libvirt
// knows none by that name those of a host.
func (p *prober) resolve(ctx context.Context, target string) ([]destination, error) {
	if addr, err := netip.ParseAddr(target); err == nil {
		return []destination{{addr: addr}}, nil
	}
	if name, ok := strings.CutPrefix(target, hostPrefix); ok {
		return p.ofHost(ctx, name)
	}
	name, only := strings.CutPrefix(target, domainPrefix)
	where, err := p.ofDomain(ctx, name)
	var none noDomainError
	if only || p.agent || !errors.As(err, &none) {
		return where, err
	}
	where, herr := p.ofHost(ctx, target)
	if herr != nil {
		return nil, errors.Join(herr, err)
	}
	return where, nil
}

// noDomainError: libvirt does not know such a domain, or does not answer.
type noDomainError struct{ error }

func (e noDomainError) Unwrap() error { return e.error }

func (p *prober) ofHost(ctx context.Context, name string) ([]destination, error) {
	if p.path {
		return nil, fmt.Errorf("%s: %w", plan.Quoted(name), errNoDomain)
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, fmt.Errorf("look up host %q: %w", name, err)
	}
	var where []destination
	for _, a := range all {
		a = a.Unmap()
		if !slices.ContainsFunc(where, func(d destination) bool { return d.addr == a }) {
			where = append(where, destination{addr: a})
		}
	}
	return p.few(name, where), nil
}

// ofDomain finds the addresses of a running domain.
func (p *prober) ofDomain(ctx context.Context, name string) ([]destination, error) {
	conn, err := p.pool.Get()
	if err != nil {
		return nil, noDomainError{err}
	}
	defer p.pool.Put(conn)
	d, err := conn.Lookup(name)
	if err != nil {
		return nil, noDomainError{err}
	}
	status, err := conn.Status(d)
	if err != nil {
		return nil, err
	}
	if !status.Active {
		return nil, fmt.Errorf("domain %s: %w", plan.ShellWord(d.Name), errNotRunning)
	}
	all, err := p.addresses(ctx, conn, d)
	if err != nil {
		return nil, err
	}
	var nics []check.Interface
	if p.path || p.expected != 0 {
		if nics, err = p.interfaces(ctx, d.Name); err != nil {
			return nil, err
		}
	}
	var where []destination
	for _, a := range all {
		if !a.addr.Is6() || !a.addr.IsLinkLocalUnicast() || !slices.ContainsFunc(all, a.better) {
			where = append(where, p.ofNIC(d, a, nics))
		}
	}
	if len(where) == 0 {
		return nil, fmt.Errorf("domain %s: %w", plan.ShellWord(d.Name), errNoAddress)
	}
	slices.SortStableFunc(where, func(a, b destination) int { return a.addr.BitLen() - b.addr.BitLen() })
	return p.few(d.Name, where), nil
}

// address is one of a domain's.
type address struct {
	addr   netip.Addr
	mac    string
	source string
}

// better reports whether another address of the NIC is IPv6 and more than link-local.
func (a address) better(o address) bool {
	return o.mac == a.mac && o.addr.Is6() && !o.addr.IsLinkLocalUnicast()
}

// addresses are those of a running domain that are known without asking its guest, and
// with --agent those that it says it has.
func (p *prober) addresses(ctx context.Context, conn *libvirt.Conn, d libvirt.Domain) ([]address, error) {
	xml, err := conn.LiveXML(d)
	if err != nil {
		return nil, err
	}
	doc, err := domxml.Parse([]byte(xml))
	if err != nil {
		return nil, fmt.Errorf("read XML of domain %s: %w", plan.ShellWord(d.Name), err)
	}
	var macs []string
	for _, n := range doc.NICs {
		macs = append(macs, strings.ToLower(n.MAC))
	}
	var all []address
	add := func(a address) {
		if !slices.ContainsFunc(all, func(o address) bool { return o.addr == a.addr }) {
			all = append(all, a)
		}
	}
	// One that cannot be read does not hide the other.
	leases, lerr := conn.Leases(d)
	for _, l := range leases {
		add(address{l.Addr.Unmap(), strings.ToLower(l.MAC), "DHCP lease"})
	}
	seen, nerr := probe.Neighbours(macs)
	for _, n := range seen {
		add(address{n.Addr, n.MAC, "neighbour table"})
	}
	var gerr error
	if p.agent {
		var g *agent.Guest
		if g, gerr = p.guest(ctx, conn, d); gerr == nil {
			for _, mac := range macs {
				for _, a := range g.Addresses(mac) {
					add(address{a, mac, "guest agent"})
				}
			}
		}
	}
	if err := errors.Join(lerr, nerr, gerr); len(all) == 0 && err != nil {
		return nil, err
	}
	return all, nil
}

// ofNIC is a domain's address with what is known of its NIC.
func (p *prober) ofNIC(d libvirt.Domain, a address, nics []check.Interface) destination {
	w := destination{addr: a.addr, about: a.mac + ", " + a.source, domain: d, mac: a.mac}
	i := slices.IndexFunc(nics, func(n check.Interface) bool { return strings.EqualFold(n.MAC, a.mac) })
	if i >= 0 {
		w.pathMTU, w.path = nics[i].PathMTU, nics[i].Path
	}
	if p.path && w.pathMTU == 0 {
		p.complain(fmt.Errorf("%s: check does not know what the path of its NIC %s carries: there is nothing to compare with", w.addr, a.mac), "virt-mtu check says why")
	}
	return w
}

// few leaves out what is too many.
func (p *prober) few(name string, where []destination) []destination {
	if len(where) <= maxDestinations {
		return where
	}
	p.complain(fmt.Errorf("%s has %d addresses: only the first %d are probed", plan.Quoted(name), len(where), maxDestinations), "")
	return where[:maxDestinations]
}

// interfaces are a domain's NICs as check sees them.
func (p *prober) interfaces(ctx context.Context, name string) ([]check.Interface, error) {
	config, err := policy.Load(p.g.config)
	if err != nil {
		return nil, err
	}
	f, err := facts.Gather(ctx, facts.Options{Pool: p.pool, Names: []string{name}})
	if ctx.Err() != nil {
		return nil, err
	}
	for _, e := range unjoin(err) {
		complain(p.c.ErrOrStderr(), fmt.Errorf("probe: %w", e), libvirt.Hint(e))
	}
	report := check.Run([]facts.Facts{f}, check.Options{Config: config, Names: []string{name}})
	for _, h := range report.Hosts {
		for _, d := range h.Domains {
			return d.Interfaces, nil
		}
	}
	return nil, nil
}
