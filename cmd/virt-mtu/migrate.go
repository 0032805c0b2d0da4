package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"virt-mtu/internal/check"
	"virt-mtu/internal/domxml"
	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/render"
)

// validateMoves checks the usage of --migrate-to.
func (fl *checkFlags) validateMoves(g *globals) error {
	switch {
	case len(fl.to) == 0:
		return nil
	case len(fl.xml) > 0:
		return usage("check: --migrate-to is about domains that libvirt or facts know: it goes not with --xml")
	case g.output != "text" && g.output != "json":
		return usage("check: --migrate-to with -o %s: it reports as text or json", g.output)
	}
	for _, to := range fl.to {
		if isURI(to) {
			if _, err := libvirt.ParseRemote(to); err != nil {
				return &statusError{exitUsage, fmt.Errorf("check: --migrate-to: %w", err), libvirt.Hint(err)}
			}
			continue
		}
		if len(fl.facts) == 0 {
			return &statusError{exitUsage, fmt.Errorf("check: --migrate-to %q: not a URI", to), "qemu+ssh://" + plan.Quoted(to) + "/system; a name alone is of one of the hosts in --facts"}
		}
	}
	return nil
}

func isURI(to string) bool { return strings.Contains(to, ":/") }

// judgeMoves writes whether domains could migrate, and returns what it comes to.
func (fl *checkFlags) judgeMoves(ctx context.Context, c *cobra.Command, g *globals, args []string, out io.Writer) (finding.Severity, error) {
	// It is the destination's config that counts there, and only who names one here
	// knows that it is the same.
	config := policy.Default()
	if c.Flags().Changed("config") {
		var err error
		if config, err = policy.Load(g.config); err != nil {
			return "", err
		}
	}
	from, to, err := fl.hosts(ctx, c, g, args)
	if err != nil {
		return "", err
	}
	report := check.Migrate(from, to, check.Options{Config: config, Names: args})
	status := report.Status()
	for _, f := range from {
		if len(report.Moves) == 0 && len(f.Unread) > 0 {
			status = finding.Unknown // it may have domains
		}
	}
	if g.json() {
		return status, writeJSON(out, &report)
	}
	return status, render.Moves(out, &report, render.Options{Color: colour(out)})
}

// hosts finds the facts of the hosts that domains are on, and of those that they are to
// go to.
func (fl *checkFlags) hosts(ctx context.Context, c *cobra.Command, g *globals, args []string) (from []facts.Facts, to []check.Destination, err error) {
	if len(fl.facts) == 0 {
		if from, err = fl.gatherKnown(ctx, c, g, args); err != nil {
			return nil, nil, err
		}
	} else {
		for _, path := range fl.facts {
			f, err := readFacts(c, path)
			if err != nil {
				return nil, nil, err
			}
			from = append(from, f)
		}
		from = check.Numbered(from)
	}
	to = make([]check.Destination, len(fl.to))
	for i, name := range fl.to {
		if isURI(name) {
			continue
		}
		at := slices.IndexFunc(from, func(f facts.Facts) bool { return f.Host == name })
		if at < 0 {
			return nil, nil, fmt.Errorf("--migrate-to %q: none of the facts is of a host that is called so", name)
		}
		to[i] = check.Destination{Name: name, Facts: from[at]}
		from = slices.Delete(slices.Clone(from), at, at+1)
	}
	nics := movingNICs(from, args)
	var wg sync.WaitGroup
	var mu sync.Mutex
	say := func(err error, hint string) {
		mu.Lock()
		defer mu.Unlock()
		sayer(c)(err, hint)
	}
	for i, uri := range fl.to {
		if isURI(uri) {
			wg.Add(1)
			go func() {
				defer wg.Done()
				to[i] = askHost(ctx, uri, fl.timeout, nics, say)
			}()
		}
	}
	wg.Wait()
	return from, to, nil
}

// movingNICs are the NICs that are to be judged: only what they name is asked for where
// each question costs a way to another host.
func movingNICs(from []facts.Facts, names []string) []domxml.NIC {
	var nics []domxml.NIC
	for _, f := range from {
		for _, d := range f.Domains {
			if len(names) > 0 && !slices.Contains(names, d.Name) && !slices.Contains(names, d.UUID) {
				continue
			}
			for _, xml := range []string{d.LiveXML, d.PersistentXML} {
				doc, err := domxml.Parse([]byte(xml))
				if err != nil {
					continue // check says so
				}
				for _, n := range doc.NICs {
					if n.Network != "" {
						n.Bridge = "" // of the network there, not of the one here
					}
					nics = append(nics, n)
				}
			}
		}
	}
	return nics
}

// knowMore is what to do where libvirt alone does not tell enough.
const knowMore = "# virt-mtu there knows more: qemu+ssh asks it. By hand: virt-mtu facts > there.json there, virt-mtu facts > here.json here, then\n" +
	"virt-mtu check --facts here.json --facts there.json"

// askHost asks a host what it has: by its own virt-mtu, which knows all, or by its
// libvirt alone.
func askHost(ctx context.Context, uri string, timeout time.Duration, nics []domxml.NIC, say func(error, string)) (d check.Destination) {
	r, err := libvirt.ParseRemote(uri)
	if err != nil { // validate has seen to it
		return check.Destination{Name: uri, Err: err}
	}
	d.Name = r.Host
	defer func() {
		if d.Name == "" && d.Err != nil {
			d.Name = uri // it did not get to say what it is called
		}
	}()
	d.Remedy = knowMore
	f, whole, err := factsOf(ctx, r, timeout, say, byLinks(r, timeout, nics))
	if err != nil {
		say(err, libvirt.Hint(err))
		d.Err = err
		return d
	}
	if whole {
		d.Remedy = ""
	}
	d.Facts = f
	return d
}
