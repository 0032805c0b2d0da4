package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"virt-mtu/internal/fix"
	"virt-mtu/internal/hookdir"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
)

// hookTimeout is for each answer of libvirt.
const hookTimeout = 10 * time.Second

func newHook(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "hook",
		Short: "put virt-mtu into libvirt's hook directory, take it out, see that libvirt runs it",
		Example: `  virt-mtu hook install
  virt-mtu hook status -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("hook: it takes install, uninstall or status")
		},
	}
	c.AddCommand(newHookInstall(g), newHookUninstall(), newHookStatus(g))
	return c
}

func newHookInstall(g *globals) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "install",
		Short: "copy the hook into libvirt's hook directory, and reload the daemon",
		Long: `install copies virt-mtu-qemu-hook, which it finds beside virt-mtu or in PATH, to
` + hookdir.Default.Hook() + ` and tells the running libvirt daemon to
look for it, by SIGHUP; no daemon is restarted. Other hooks stay as they are. It
does so again for a newer build, and nothing where all is done.

Before that it lists the domains of this host that the hook would refuse to start,
and stops if there are any, or if libvirt cannot be asked, unless --force or the
hook is in force already.

Exit status: 0; 1 not installed; 2 wrong usage.`,
		Example: `  virt-mtu hook install
  virt-mtu hook install --force`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&force, "force", false, "install although domains would be refused, or libvirt does not answer")
	c.RunE = func(c *cobra.Command, _ []string) error { return hookInstall(c, g, force) }
	return c
}

func hookInstall(c *cobra.Command, g *globals, force bool) error {
	if err := needRoot("hook install"); err != nil {
		return err
	}
	dir := hookdir.Default
	binary, err := hookBinary()
	if err != nil {
		return failed(fmt.Errorf("hook install: %w", err), "install the package or run make install; a build of your own has it in build/bin")
	}
	runs, err := runsAlready(dir)
	if err != nil {
		return hookFailed("install", err)
	}
	version, err := mayInstall(c, g, force || runs)
	if err != nil {
		return err
	}
	change, err := dir.Install(binary)
	out := c.OutOrStdout()
	for _, made := range change.Made {
		fmt.Fprintln(out, "made", made)
	}
	switch {
	case err != nil:
		return hookFailed("install", err)
	case change.Updated:
		fmt.Fprintf(out, "updated %s from %s\n", dir.Hook(), binary)
	case change.Copied:
		fmt.Fprintf(out, "installed %s, a copy of %s\n", dir.Hook(), binary)
	default:
		fmt.Fprintf(out, "%s is installed already, the same as %s\n", dir.Hook(), binary)
	}
	if err := load(out, dir, change.Copied, version != 0); err != nil {
		return err
	}
	status, err := dir.Status(version, binary)
	if err != nil {
		return hookFailed("install", err)
	}
	for _, p := range status.Problems {
		complain(c.ErrOrStderr(), fmt.Errorf("hook install: %s", p.Message), p.Remedy)
	}
	if !status.Loaded {
		return failed(nil, "")
	}
	return nil
}

// runsAlready reports whether libvirt runs a hook of ours, which refuses what it
// refuses: to install it again comes as no surprise.
func runsAlready(dir hookdir.Dir) (bool, error) {
	there, err := dir.Installed()
	if !there || err != nil {
		return false, err
	}
	status, err := dir.Status(0, "")
	return status.Loaded, err
}

// mayInstall looks for what the hook would stop, and whether libvirt would run it.
// The version is libvirt's, 0 where it does not answer.
func mayInstall(c *cobra.Command, g *globals, force bool) (version uint64, err error) {
	if g.config != defaultConfig {
		return 0, usage("hook install: --config %q: the hook itself reads %s alone", g.config, defaultConfig)
	}
	config, err := g.loadConfig()
	if err != nil {
		return 0, err
	}
	ctx, stop := interruptible(c)
	defer stop()
	pool := libvirt.NewPool(ctx, g.connect, hookTimeout)
	defer pool.Close()
	version, domains, err := ask(pool)
	if err == nil && version < hookdir.FirstVersion {
		return 0, failed(fmt.Errorf("hook install: libvirt %s has no qemu.d: that came with %s", hookdir.Version(version), hookdir.Version(hookdir.FirstVersion)), "upgrade libvirt")
	}
	stderr := c.ErrOrStderr()
	if err != nil {
		err = fmt.Errorf("hook install: not checked which domains it would refuse: %w", err)
		if !force {
			return 0, failed(err, libvirt.Hint(err)+"; to install unchecked: virt-mtu hook install --force")
		}
		complain(stderr, err, libvirt.Hint(err))
		return 0, nil
	}
	f := &fix.Fixer{Pool: pool, Config: config, Options: fix.Options{Mode: plan.Explicit, All: true, DryRun: true, Undragged: true}, Progress: progress(c)}
	report := f.Run(domains)
	unchecked := 0
	for _, d := range report.Domains {
		if d.Error != "" {
			unchecked++
			complain(stderr, fmt.Errorf("hook install: domain %s not checked: %s", plan.ShellWord(d.Name), d.Error), d.Hint())
		}
	}
	refusals := refusedOnly(report)
	switch {
	case len(refusals.Domains) == 0 && (unchecked == 0 || force):
		return version, nil
	case len(refusals.Domains) == 0:
		return 0, failed(fmt.Errorf("hook not installed: %d of %d domains could not be checked", unchecked, len(report.Domains)), "to install it all the same: virt-mtu hook install --force")
	}
	err = fmt.Errorf("hook install: the hook refuses the start of %d of %d domains here, until they are changed", len(refusals.Domains), len(report.Domains))
	complain(stderr, err, "")
	if err := refusals.Text(stderr, true); err != nil {
		return 0, failed(err, "")
	}
	if force {
		return version, nil
	}
	return 0, failed(errors.New("hook not installed"), `change them, or set incapable = "clamp" in `+g.config+", or install it all the same: virt-mtu hook install --force")
}

// ask asks libvirt what an installation has to know.
func ask(pool *libvirt.Pool) (version uint64, domains []libvirt.Domain, err error) {
	conn, err := pool.Get()
	if err != nil {
		return 0, nil, err
	}
	defer pool.Put(conn)
	domains, err = conn.Domains()
	return conn.Version(), domains, err
}

// refusedOnly keeps what a report says about NICs that are refused.
func refusedOnly(r fix.Report) fix.Report {
	var out fix.Report
	for _, d := range r.Domains {
		d.Interfaces = slices.DeleteFunc(d.Interfaces, func(i fix.Interface) bool { return i.Action != plan.Refuse })
		if len(d.Interfaces) > 0 {
			out.Domains = append(out.Domains, d)
		}
	}
	return out
}

// load sees to it that the running daemons run the hook.
func load(out io.Writer, dir hookdir.Dir, changed, answers bool) error {
	daemons, err := hookdir.Daemons()
	if err != nil {
		return failed(fmt.Errorf("hook install: find libvirt's daemon: %w", err), "")
	}
	if len(daemons) == 0 && !answers {
		fmt.Fprintln(out, "no libvirt daemon runs; it finds the hook when it starts")
	}
	for _, d := range daemons {
		if !changed {
			loaded, err := dir.Loaded(d)
			if err != nil {
				return hookFailed("install", err)
			}
			if loaded {
				fmt.Fprintln(out, d, "has loaded it already")
				continue
			}
		}
		if err := reload(out, d); err != nil {
			return err
		}
	}
	if err := hookdir.Note(daemons); err != nil {
		return failed(fmt.Errorf("hook install: installed and loaded, but hook status will not know: %w", err), "")
	}
	return nil
}

func reload(out io.Writer, d hookdir.Daemon) error {
	if err := d.Reload(); err != nil {
		return failed(err, "a moment later: virt-mtu hook install; or: systemctl reload "+d.Name)
	}
	fmt.Fprintln(out, "reloaded", d)
	return nil
}

func newHookUninstall() *cobra.Command {
	return &cobra.Command{
		Use:   "uninstall",
		Short: "take the hook out of libvirt's hook directory, and reload the daemon",
		Long: `uninstall removes ` + hookdir.Default.Hook() + ` if it is
virt-mtu's, and nothing else. Domains keep their <mtu>: see virt-mtu fix --undo.

Exit status: 0, also where it is not there; 1 not removed; 2 wrong usage.`,
		Example: `  virt-mtu fix --all --undo      # where the <mtu> elements are to go too
  virt-mtu hook uninstall`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return hookUninstall(c) },
	}
}

func hookUninstall(c *cobra.Command) error {
	if err := needRoot("hook uninstall"); err != nil {
		return err
	}
	dir := hookdir.Default
	removed, err := dir.Uninstall()
	if err != nil {
		return hookFailed("uninstall", err)
	}
	out := c.OutOrStdout()
	if !removed {
		fmt.Fprintln(out, "not installed: there is no", dir.Hook())
		return nil
	}
	fmt.Fprintln(out, "removed", dir.Hook())
	if left, err := os.ReadDir(dir.Folder()); err == nil && len(left) == 0 {
		fmt.Fprintln(out, "left", dir.Folder()+", which is empty now")
	}
	copies, err := dir.Copies()
	if err != nil {
		return hookFailed("uninstall", err)
	}
	for _, p := range copies {
		complain(c.ErrOrStderr(), fmt.Errorf("hook uninstall: libvirt still runs a copy of the hook at %s", p), "rm "+plan.ShellWord(p))
	}
	if err := hookdir.Forget(); err != nil {
		return hookFailed("uninstall", err)
	}
	daemons, err := hookdir.Daemons()
	if err != nil {
		return hookFailed("uninstall", err)
	}
	for _, d := range daemons {
		if err := reload(out, d); err != nil {
			return err
		}
	}
	return nil
}

func newHookStatus(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "say whether libvirt runs the hook, and what is in its way",
		Long: `status says whether the hook is installed, and loaded: whether libvirt runs it at
the next start of a domain. Where no libvirt daemon runs it counts as loaded, for a
daemon looks at its start.

Exit status: 0 all is well; 1 there are problems, or it is not installed; 2 wrong usage.`,
		Example: `  virt-mtu hook status`,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return hookStatus(c, g) },
	}
}

func hookStatus(c *cobra.Command, g *globals) error {
	if os.Geteuid() != 0 {
		return failed(errors.New("hook status needs root: what libvirt has loaded only root can see"), "sudo virt-mtu hook status")
	}
	dir := hookdir.Default
	binary, err := hookBinary()
	if err != nil && !errors.Is(err, hookdir.ErrNoBinary) {
		return hookFailed("status", err)
	}
	var version uint64
	if there, _ := dir.Installed(); there {
		version = libvirtVersion(c, g)
	}
	status, err := dir.Status(version, binary)
	if err != nil {
		return hookFailed("status", err)
	}
	if g.json() {
		err = writeJSON(c.OutOrStdout(), status)
	} else {
		err = status.Text(c.OutOrStdout())
	}
	if err != nil {
		return failed(fmt.Errorf("write status: %w", err), "")
	}
	if len(status.Problems) > 0 {
		return failed(nil, "")
	}
	return nil
}

// libvirtVersion is 0 where libvirt does not answer; where it should, a message says
// so.
func libvirtVersion(c *cobra.Command, g *globals) uint64 {
	ctx, cancel := context.WithTimeout(c.Context(), hookTimeout)
	defer cancel()
	conn, err := libvirt.Dial(ctx, g.connect, hookTimeout)
	if errors.Is(err, fs.ErrNotExist) {
		return 0 // none runs, none to be started
	}
	if err != nil {
		complain(c.ErrOrStderr(), fmt.Errorf("hook status: libvirt's version is not known: %w", err), libvirt.Hint(err))
		return 0
	}
	defer conn.Close()
	return conn.Version()
}

func hookBinary() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return hookdir.Binary(self, os.Getenv("PATH"))
}

func needRoot(what string) error {
	if os.Geteuid() != 0 {
		return failed(fmt.Errorf("%s needs root: it writes to %s", what, hookdir.Default), "sudo virt-mtu "+what)
	}
	return nil
}

func hookFailed(verb string, err error) error {
	hint := ""
	var foreign *hookdir.ForeignError
	switch {
	case errors.As(err, &foreign):
		hint = foreign.Remedy()
	case errors.Is(err, hookdir.ErrNoLibvirt):
		hint = "install libvirt first"
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		hint = "sudo virt-mtu hook " + verb
	}
	return failed(fmt.Errorf("hook %s: %w", verb, err), hint)
}
