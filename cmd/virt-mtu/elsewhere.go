package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/facts"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
)

// elsewhere returns the libvirt that --connect, or else the environment, names on another
// host; nil: it is one of this host's.
func (g *globals) elsewhere(c *cobra.Command) (*libvirt.Remote, error) {
	r, err := libvirt.Elsewhere(g.connect)
	if err == nil {
		return r, nil
	}
	by := "--connect"
	if g.connect == "" {
		by = libvirt.EnvURI
	}
	return nil, &statusError{exitUsage, fmt.Errorf("%s: %s: %w", c.Name(), by, err), libvirt.Hint(err)}
}

// ownHost is an annotation of commands that are about the host that they run on alone,
// and those below them: why.
const ownHost = "own-host"

// stays refuses a --connect that leads such a command to another host, or nowhere.
func (g *globals) stays(c *cobra.Command) error {
	why := ""
	for at := c; at != nil && why == ""; at = at.Parent() {
		why = at.Annotations[ownHost]
	}
	if why == "" || g.connect == "" {
		return nil
	}
	name := strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
	switch r, err := libvirt.Elsewhere(g.connect); {
	case err != nil:
		return &statusError{exitUsage, fmt.Errorf("%s: --connect: %w", name, err), libvirt.Hint(err)}
	case r != nil:
		return &statusError{exitUsage, fmt.Errorf("%s: --connect %s: %s", name, r, why), "on that host: " + c.CommandPath()}
	}
	return nil
}

// here returns the URI of this host's libvirt for such a command. The error is that the
// environment names another's.
func (g *globals) here() (uri string, err error) {
	switch r, err := libvirt.Elsewhere(g.connect); {
	case err != nil:
		return libvirt.DefaultURI, fmt.Errorf("%s: %w", libvirt.EnvURI, err)
	case r != nil:
		return libvirt.DefaultURI, fmt.Errorf("%s names the libvirt of another host", libvirt.EnvURI)
	}
	return g.connect, nil
}

// ownURI is here for the hook, which the environment does not keep from its own libvirt:
// whoever works with another host by it installs the hook on this one all the same.
func ownURI(c *cobra.Command, g *globals) string {
	uri, err := g.here()
	if err != nil {
		complain(c.ErrOrStderr(), fmt.Errorf("hook %s: %w: passed over, the hook is for %s here", c.Name(), err, libvirt.DefaultURI), "")
	}
	return uri
}

// sayer says what went wrong that does not stop a command.
func sayer(c *cobra.Command) func(err error, hint string) {
	return func(err error, hint string) { complain(c.ErrOrStderr(), fmt.Errorf("%s: %w", c.Name(), err), hint) }
}

// asking bounds how long a host is asked, in what one answer may take: one that takes that
// for each, or has links and guests without end to tell of, is not waited for.
const asking = 30

// factsOf asks a host what it has: by its own virt-mtu, which knows all, or by its libvirt
// alone. whole: it was the former.
func factsOf(ctx context.Context, r *libvirt.Remote, timeout time.Duration, say func(error, string), alone func(context.Context) (facts.Facts, error)) (f facts.Facts, whole bool, err error) {
	most := asking * min(timeout, 24*time.Hour)
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("it was not done with answering after %v", most))
	defer cancel()
	if r.SSH() {
		f, err = remoteFacts(ctx, r, timeout)
		if err == nil {
			sayUnread(r.Host, f.Unread, say)
			return f, true, nil
		}
		if errors.Is(err, libvirt.ErrUnreachable) || ctx.Err() != nil {
			return f, false, err
		}
		say(fmt.Errorf("%s is judged by what its libvirt tells, which is less than its virt-mtu would: %w", plan.Quoted(r.Host), err), "")
	}
	if f, err = alone(ctx); err == nil {
		sayUnread(cmp.Or(r.Host, f.Host), f.Unread, say)
	}
	return f, false, err
}

// byLinks finds by its libvirt alone what a host has that NICs name.
func byLinks(r *libvirt.Remote, timeout time.Duration, nics []domxml.NIC) func(context.Context) (facts.Facts, error) {
	return func(ctx context.Context) (facts.Facts, error) {
		conn, err := r.DialRemote(ctx, timeout)
		if err != nil {
			return facts.Facts{}, err
		}
		defer conn.Close()
		return facts.Distant(conn, nics), nil
	}
}

// askDomains asks a host what it has, and which domains; by its libvirt alone it is those
// that the Options name. Guests are asked by its libvirt.
func askDomains(ctx context.Context, r *libvirt.Remote, timeout time.Duration, o facts.Options, say func(error, string)) (facts.Facts, error) {
	guest := o.Guest
	o.Guest = 0
	f, _, err := factsOf(ctx, r, timeout, say, func(ctx context.Context) (facts.Facts, error) {
		o := o
		o.Pool = r.NewPool(ctx, timeout)
		defer o.Pool.Close()
		f, err := facts.ByLibvirt(ctx, o)
		if f.Version == 0 {
			return f, err
		}
		return f, nil // what could not be read is in them
	})
	if err != nil {
		return f, err
	}
	f.Host = cmp.Or(f.Host, r.Host)
	if guest > 0 {
		o.Guest, o.Pool = guest, r.NewPool(ctx, timeout)
		defer o.Pool.Close()
		for _, e := range unjoin(facts.AskGuests(ctx, &f, o)) {
			say(e, libvirt.Hint(e))
		}
	}
	if ctx.Err() != nil {
		return f, context.Cause(ctx)
	}
	return f, nil
}

// maxRemoteFacts bounds the facts that come from another host, in bytes: more than
// 20,000 domains.
const maxRemoteFacts = 64 << 20

// configOf returns the config that counts for another host: one that --config names, else
// by ssh that host's own. What libvirt alone leads to has none.
func (g *globals) configOf(ctx context.Context, c *cobra.Command, r *libvirt.Remote, timeout time.Duration) (policy.Config, error) {
	switch {
	case c.Flags().Changed("config"):
		return policy.Load(g.config)
	case !r.SSH():
		sayer(c)(fmt.Errorf("the config of %s is not read by its libvirt, so its rules do not count; qemu+ssh reads it, and --config names another", plan.Quoted(r.Host)), "")
		return policy.Default(), nil
	}
	src, err := r.Run(ctx, timeout, policy.MaxSize, "cat "+defaultConfig)
	if err != nil && !errors.Is(err, libvirt.ErrUnreachable) {
		if _, none := r.Run(ctx, timeout, policy.MaxSize, "test ! -e "+defaultConfig); none == nil {
			return policy.Default(), nil
		}
	}
	if err != nil {
		return policy.Default(), err
	}
	config, err := policy.Parse(src)
	if err != nil {
		return policy.Default(), fmt.Errorf("read config %q: %w", defaultConfig, err)
	}
	return config, nil
}

// sayUnread says what could not be read of another host, which need not be honest about
// how much that is.
func sayUnread(host string, unread []string, say func(error, string)) {
	const most = 10
	for _, u := range unread[:min(len(unread), most)] {
		say(fmt.Errorf("%s: %s", plan.Quoted(host), u), "")
	}
	if more := len(unread) - most; more > 0 {
		say(fmt.Errorf("%s: %d more things could not be read", plan.Quoted(host), more), "")
	}
}

// remoteFacts runs virt-mtu facts on another host. What that could not read is in the
// facts; its libvirt has half as long for an answer as it has itself.
func remoteFacts(ctx context.Context, r *libvirt.Remote, timeout time.Duration) (facts.Facts, error) {
	command := fmt.Sprintf("virt-mtu facts --timeout %dms", max(1, timeout.Milliseconds()/2))
	out, err := r.Run(ctx, timeout, maxRemoteFacts, command)
	if len(out) == 0 {
		if err == nil {
			err = fmt.Errorf("ssh %s %s: it says nothing", r.Host, command)
		}
		return facts.Facts{}, err
	}
	f, derr := facts.Decode(bytes.NewReader(out))
	switch {
	case derr == nil:
		return f, nil
	case err == nil:
		err = fmt.Errorf("ssh %s %s: %w", r.Host, command, derr)
	}
	return facts.Facts{}, err
}
