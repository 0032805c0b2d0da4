package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"virt-mtu/internal/fix"
	"virt-mtu/internal/hookdir"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/unit"
)

func newHookInstall(g *globals) *cobra.Command {
	var force, dryRun, systemd bool
	c := &cobra.Command{
		Use:   "install",
		Short: "copy the hook into libvirt's hook directory, and reload the daemon",
		Long: `install copies virt-mtu-qemu-hook, which it finds beside virt-mtu, in the sbin
beside that, or in PATH, to ` + hookdir.Default.Hook() + ` and tells
the running libvirt daemon to look for it, by SIGHUP; no daemon is restarted. Other
hooks stay as they are. A newer build takes the place of an older one that libvirt runs,
and nobody has to be told; where all is done it does nothing.

Before that it lists the domains of this host that the hook would refuse to start,
and stops if there are any, or if libvirt cannot be asked, unless --force or the
hook is in force already.

With --dry-run it does no more than that, also where the hook is in force already, and
says what it would do. A --config that is to become the hook's can be tried so.

--systemd is for a virt-mtu that came without a package: it also writes systemd's
units for watch, fix and check to ` + string(unit.Default) + `, which start this virt-mtu. It
enables none. Those that somebody else wrote, or has edited, stay as they are.

Exit status: 0; 1 not installed, with --dry-run: it would not be; 2 wrong usage.`,
		Example: `  virt-mtu hook install
  virt-mtu hook install --force
  virt-mtu hook install --dry-run --config new.toml
  virt-mtu hook install --systemd`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&force, "force", false, "install although domains would be refused, or libvirt does not answer")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "list the domains that would be refused, say what would be done, change nothing")
	c.Flags().BoolVar(&systemd, "systemd", false, "write systemd's units too, to start this virt-mtu")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := needRoot("hook install"); err != nil {
			return err
		}
		program := ""
		if systemd {
			var err error
			if program, err = unitProgram(); err != nil {
				return err
			}
		}
		hook, units := hookInstall, installUnits
		if dryRun {
			hook, units = hookInstallDry, installUnitsDry
		}
		if err := hook(c, g, force); err != nil || !systemd {
			return err
		}
		return units(c, program)
	}
	return c
}

func hookInstall(c *cobra.Command, g *globals, force bool) error {
	if g.config != defaultConfig {
		return usage("hook install: --config %q: the hook itself reads %s alone (but --dry-run tries another)", g.config, defaultConfig)
	}
	dir := hookdir.Default
	binary, err := hookToInstall()
	if err != nil {
		return err
	}
	runs, by, err := runsAlready(dir)
	if err != nil {
		return hookFailed("install", err)
	}
	var version uint64
	if !runs { // else there is nothing to ask, which may start a daemon that sleeps
		if version, err = mayInstall(c, g, force); err != nil {
			return err
		}
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
	if err := load(out, dir, change.Copied, by); err != nil {
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

// hookInstallDry says what hookInstall would do.
func hookInstallDry(c *cobra.Command, g *globals, force bool) error {
	dir := hookdir.Default
	binary, err := hookToInstall()
	if err != nil {
		return err
	}
	pending, err := dir.Pending(binary)
	if err != nil {
		return hookFailed("install", err)
	}
	version, err := mayInstall(c, g, force)
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	if pending.Copied {
		fmt.Fprintf(out, "would install %s, a copy of %s, and reload libvirt's daemon\n", dir.Hook(), binary)
		return nil
	}
	status, err := dir.Status(version, binary)
	if err != nil {
		return hookFailed("install", err)
	}
	return status.Text(out)
}

// hookToInstall is the hook of this build.
func hookToInstall() (string, error) {
	binary, err := hookBinary()
	if err != nil {
		return "", failed(fmt.Errorf("hook install: %w", err), "install the package or run make install; a build of your own has it in build/bin")
	}
	return binary, nil
}

// runsAlready reports whether libvirt runs a hook of ours, which refuses what it refuses:
// to install it again comes as no surprise. by are the daemons that do; where none runs
// the next one will.
func runsAlready(dir hookdir.Dir) (runs bool, by []hookdir.Daemon, err error) {
	there, err := dir.Installed()
	if !there || err != nil {
		return false, nil, err
	}
	status, err := dir.Status(0, "")
	if !status.Loaded || err != nil {
		return false, nil, err
	}
	by, err = hookdir.Daemons()
	return err == nil, by, err
}

// mayInstall looks for what the hook would stop, and whether libvirt would run it.
// The version is libvirt's, 0 where it does not answer.
func mayInstall(c *cobra.Command, g *globals, force bool) (version uint64, err error) {
	config, err := g.loadConfig()
	if err != nil {
		return 0, err
	}
	ctx, stop := interruptible(c)
	defer stop()
	pool := libvirt.NewPool(ctx, ownURI(c, g), hookTimeout)
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
	f := &fix.Fixer{Pool: pool, Host: fix.Here(), Config: config, Options: fix.Options{Mode: plan.Explicit, All: true, DryRun: true, Undragged: true}, Progress: progress(c)}
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

// load sees to it that the running daemons run the hook. Those of by ran one of ours before:
// they run whatever lies in its place, and a reload would be felt elsewhere, as networks of
// libvirt's are started again by it.
func load(out io.Writer, dir hookdir.Dir, changed bool, by []hookdir.Daemon) error {
	daemons, err := hookdir.Daemons()
	if err != nil {
		return failed(fmt.Errorf("hook install: find libvirt's daemon: %w", err), "")
	}
	if len(daemons) == 0 {
		fmt.Fprintln(out, "no libvirt daemon runs; it finds the hook when it starts")
	}
	for _, d := range daemons {
		loaded := slices.Contains(by, d)
		if !changed && !loaded {
			if loaded, err = dir.Loaded(d); err != nil {
				return hookFailed("install", err)
			}
		}
		if loaded {
			fmt.Fprintln(out, d, "has loaded it already")
			continue
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
