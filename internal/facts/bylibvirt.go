package facts

import (
	"context"
	"errors"
	"fmt"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/nicmodel"
)

// maxXML bounds what is kept of the XML of another host's domains, in bytes: more than
// 20,000 of them have.
const maxXML = 64 << 20

var errTooMuch = errors.New("not read: that libvirt has more to tell than is kept")

// ByLibvirt gathers the Facts of another host by its libvirt alone: what Distant reads of
// it, and its domains. Of this host nothing is in them. What cannot be read is said as by
// Gather; where libvirt cannot be reached there are no Facts.
func ByLibvirt(ctx context.Context, o Options) (Facts, error) {
	g := &gatherer{Options: o, facts: Facts{Version: Version}, most: maxXML}
	conn, err := o.Pool.Get()
	if err != nil {
		return Facts{}, err
	}
	domains := g.choose(conn)
	o.Pool.Put(conn)
	if most := bounds["domains"]; len(domains) > most {
		g.unread(fmt.Errorf("read domains: there are %d, and %d are looked at", len(domains), most))
		domains = domains[:most]
	}
	g.domains(domains)
	if conn, err = o.Pool.Get(); err == nil {
		d := Distant(conn, g.plugged(conn))
		o.Pool.Put(conn)
		for _, u := range d.Unread {
			g.errs = append(g.errs, errors.New(u))
		}
		d.Unread = append(g.facts.Unread, d.Unread...)
		g.facts.Snapshot = d.Snapshot
		g.taps()
	} else {
		g.unread(err)
	}
	if o.Guest > 0 {
		g.guests(ctx)
	}
	if ctx.Err() != nil {
		return Facts{}, fmt.Errorf("gather facts: %w", context.Cause(ctx))
	}
	return g.facts, errors.Join(g.errs...)
}

// taps adds the taps of the domains that run. libvirt leaves its own out of what it tells
// of a bridge (udevBridgeScanDirFilter), and their MTU it does not tell.
func (g *gatherer) taps() {
	known, bridges := map[string]bool{}, map[string]bool{}
	for _, l := range g.facts.Links {
		known[l.Name], bridges[l.Name] = true, l.Kind == "bridge"
	}
	for _, d := range g.facts.Domains {
		doc, err := domxml.Parse([]byte(d.LiveXML))
		if err != nil {
			continue
		}
		for _, n := range doc.NICs {
			if !nicmodel.LookupType(n.Type).Bridged || n.Type == "ethernet" || !host.ValidName(n.Target) || known[n.Target] {
				continue
			}
			known[n.Target] = true
			l := host.Link{Name: n.Target, Kind: "tun", Tap: true}
			if bridges[n.Bridge] {
				l.Master = n.Bridge
			}
			g.facts.Links = append(g.facts.Links, l)
		}
	}
}

// plugged are the NICs of the domains, and one on each network.
func (g *gatherer) plugged(conn *libvirt.Conn) []domxml.NIC {
	var nics []domxml.NIC
	for _, d := range g.facts.Domains {
		for _, xml := range []string{d.LiveXML, d.PersistentXML, d.SavedXML} {
			if doc, err := domxml.Parse([]byte(xml)); err == nil { // else its Error says so
				nics = append(nics, doc.NICs...)
			}
		}
	}
	networks, _ := conn.Networks() // Distant says why
	for _, n := range networks {
		nics = append(nics, domxml.NIC{Type: "network", Network: n.Name})
	}
	return nics
}

// AskGuests asks the guests of a host that run, by their agents, as Gather does where
// Options say so, and puts what they say into its Facts. Only Pool, Names and Guest of the
// Options count.
func AskGuests(ctx context.Context, f *Facts, o Options) error {
	conn, err := o.Pool.Get()
	if err != nil {
		return err
	}
	o.Pool.Put(conn)
	g := &gatherer{Options: o, facts: *f}
	g.guests(ctx)
	*f = g.facts
	return errors.Join(g.errs...)
}
