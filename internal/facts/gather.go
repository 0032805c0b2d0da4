package facts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"virt-mtu/internal/collect"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
)

// Options say what to gather.
type Options struct {
	// Pool of connections; nil: libvirt is not asked, and there are no domains.
	Pool *libvirt.Pool
	// Names or UUIDs of the domains; none: all.
	Names []string
	// Hook, where set, says what is wrong with libvirt's hook on this host, so it is for
	// Gather alone; libvirt's version is 0 where it does not answer.
	Hook func(version uint64) ([]finding.Finding, error)
	// Guest, where above 0, is how long each running guest has to say by its agent which
	// MTU it has; 0: none is asked.
	Guest time.Duration
	// Progress, where set, is called after each domain.
	Progress func(done, total int)
}

// Gather gathers the Facts of this host. What cannot be read does not stop the rest:
// it is in Unread, or in its domain's Error, and once more among the errors that are
// joined in the error. There alone, as libvirt.ErrNotFound, is a name that no domain
// has. Once ctx has ended there are no Facts.
func Gather(ctx context.Context, o Options) (Facts, error) {
	g := &gatherer{Options: o, facts: Facts{Version: Version, Snapshot: collect.Read()}}
	for _, u := range g.facts.Unread {
		g.errs = append(g.errs, errors.New(u))
	}
	var version uint64
	if o.Pool != nil {
		var domains []libvirt.Domain
		version, domains = g.ask()
		g.domains(domains)
		if o.Guest > 0 {
			g.guests(ctx)
		}
	}
	if o.Hook != nil {
		var err error
		g.facts.Hook, err = o.Hook(version)
		g.unread(err)
	}
	if ctx.Err() != nil {
		return Facts{}, fmt.Errorf("gather facts: %w", context.Cause(ctx))
	}
	return g.facts, errors.Join(g.errs...)
}

type gatherer struct {
	Options
	facts Facts
	errs  []error

	most int64        // bytes of XML that are kept of all domains; 0: any
	kept atomic.Int64 // of them
}

// unread notes what could not be read, if anything.
func (g *gatherer) unread(err error) {
	if err == nil {
		return
	}
	g.errs = append(g.errs, err)
	g.facts.Unread = append(g.facts.Unread, strings.Split(err.Error(), "\n")...)
}

// failed keeps a domain of which not all could be read.
func (g *gatherer) failed(d Domain, err error) {
	g.errs = append(g.errs, err)
	d.Error = err.Error()
	g.facts.Domains = append(g.facts.Domains, d)
}

// ask asks libvirt which domains there are, and all but them.
func (g *gatherer) ask() (version uint64, domains []libvirt.Domain) {
	conn, err := g.Pool.Get()
	if err != nil {
		g.unread(err)
		return 0, nil
	}
	defer g.Pool.Put(conn)
	g.facts.Networks, err = Networks(conn)
	g.unread(err)
	for i := range g.facts.Networks {
		if n := &g.facts.Networks[i]; !n.Inactive {
			g.unread(host.ReadDnsmasq(n))
		}
	}
	return conn.Version(), g.choose(conn)
}

// choose finds the domains that are meant.
func (g *gatherer) choose(conn *libvirt.Conn) (domains []libvirt.Domain) {
	if len(g.Names) == 0 {
		var err error
		domains, err = conn.Domains()
		g.unread(err)
	}
	for _, name := range g.Names {
		d, err := conn.Lookup(name)
		switch {
		case errors.Is(err, libvirt.ErrNotFound):
			g.errs = append(g.errs, err)
		case err != nil:
			g.failed(Domain{Name: name}, err)
		case !slices.Contains(domains, d):
			domains = append(domains, d)
		}
	}
	return domains
}

func (g *gatherer) domains(domains []libvirt.Domain) {
	read := make([]Domain, len(domains))
	errs := make([]error, len(domains))
	g.Pool.Each(len(domains), func(i int, c *libvirt.Conn, err error) {
		read[i] = Domain{Name: domains[i].Name, UUID: domains[i].UUID}
		switch {
		case err == nil && g.most > 0 && g.kept.Load() > g.most:
			err = errTooMuch
		case err == nil:
			read[i], err = readDomain(c, domains[i])
			g.kept.Add(int64(len(read[i].PersistentXML) + len(read[i].LiveXML) + len(read[i].SavedXML)))
		}
		errs[i] = err
	}, g.Progress)
	for i, d := range read {
		switch err := errs[i]; {
		case err == nil:
			g.facts.Domains = append(g.facts.Domains, d)
		case !errors.Is(err, libvirt.ErrNotFound):
			g.failed(d, err)
		case len(g.Names) > 0:
			g.errs = append(g.errs, err) // it was asked for, and went meanwhile
		}
	}
}
