package facts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"virt-mtu/internal/agent"
	"virt-mtu/internal/domxml"
	"virt-mtu/internal/libvirt"
)

// guests asks the guests that run for the MTUs of their NICs. What one does not say is
// in its domain's Error. Those without an agent are named in one error, and nowhere
// else: nothing is wrong with them.
func (g *gatherer) guests(ctx context.Context) {
	all := g.facts.Domains
	errs := make([]error, len(all))
	g.Pool.EachGuest(len(all), func(i int, c *libvirt.Conn, err error) {
		meant := len(g.Names) == 0 || slices.Contains(g.Names, all[i].Name) || slices.Contains(g.Names, all[i].UUID)
		if err == nil && meant && all[i].State == "running" {
			all[i].Guests, err = g.askGuest(ctx, c, &all[i])
			errs[i] = err
		}
	}, nil)
	var without []string
	for i, err := range errs {
		d := &all[i]
		switch {
		case errors.Is(err, libvirt.ErrNoAgent):
			without = append(without, fmt.Sprintf("%q", d.Name))
		case err != nil:
			g.errs = append(g.errs, err)
			d.Error = strings.TrimPrefix(d.Error+"; "+strings.ReplaceAll(err.Error(), "\n", "; "), "; ")
		}
	}
	if len(without) > 0 {
		g.errs = append(g.errs, fmt.Errorf("%w for %s: not asked", libvirt.ErrNoAgent, strings.Join(without, ", ")))
	}
}

// askGuest asks one guest.
func (g *gatherer) askGuest(ctx context.Context, c *libvirt.Conn, d *Domain) ([]Guest, error) {
	doc, err := domxml.Parse([]byte(d.LiveXML))
	if err != nil || len(doc.NICs) == 0 {
		return nil, nil // its Error says why
	}
	ctx, cancel := context.WithTimeout(ctx, g.Guest)
	defer cancel()
	dom := libvirt.Domain{Name: d.Name, UUID: d.UUID}
	a, err := agent.Open(ctx, func(ctx context.Context, command string) (string, error) { return c.Agent(ctx, dom, command) })
	if err != nil {
		return nil, named(d.Name, err)
	}
	var out []Guest
	var errs []error
	for _, n := range doc.NICs {
		if n.MAC == "" {
			continue
		}
		mtu, err := a.Read(n.MAC)
		if err != nil {
			errs = append(errs, named(d.Name, fmt.Errorf("NIC %s: %w", n.MAC, err)))
		} else {
			out = append(out, Guest{MAC: n.MAC, MTU: mtu})
		}
		if ctx.Err() != nil || errors.Is(err, libvirt.ErrAgentSilent) {
			break
		}
	}
	return out, errors.Join(errs...)
}

// named says whose agent it is, where the error does not.
func named(domain string, err error) error {
	if strings.Contains(err.Error(), fmt.Sprintf("domain %q", domain)) {
		return err
	}
	return fmt.Errorf("guest agent of domain %q: %w", domain, err)
}
