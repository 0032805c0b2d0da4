package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/fix"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/policy"
)

// fixThere fixes definitions of another host's domains, by its libvirt. What that host has
// is as it has been asked at the beginning; nothing of this one counts, and what fix and
// watch there are at meanwhile libvirt alone keeps apart, as it does for virsh.
func fixThere(c *cobra.Command, g *globals, fl *fixFlags, r *libvirt.Remote, args []string) error {
	switch {
	case fl.queued:
		return &statusError{exitUsage, errors.New("fix: --queued is what the hook of this host has asked for: it goes not with the libvirt of another"), "on that host: virt-mtu fix --queued"}
	case fl.replug:
		return &statusError{exitUsage, errors.New("fix: --replug notes on the host itself what is plugged out: it goes not with the libvirt of another"), "on that host: virt-mtu fix --replug DOMAIN"}
	}
	ctx, stop := interruptible(c)
	defer stop()
	var seen host.Snapshot
	config := policy.Default()
	if !fl.Undo { // which goes by what is recorded alone
		f, err := askDomains(ctx, r, fl.timeout, facts.Options{Names: args, Progress: progress(c)}, sayer(c))
		if err != nil {
			return failed(fmt.Errorf("fix: %w", err), libvirt.Hint(err))
		}
		seen = f.Snapshot
		if config, err = g.configOf(ctx, c, r, fl.timeout); err != nil {
			return failed(fmt.Errorf("fix: %w", err), libvirt.Hint(err))
		}
	}
	pool := r.NewPool(ctx, fl.timeout)
	defer pool.Close()
	report, err := fixThem(&fix.Fixer{Pool: pool, Host: fix.There(r.Host, seen), Config: config, Options: fl.Options, Progress: progress(c)}, fl, args)
	return fl.end(c, g, report, err)
}
