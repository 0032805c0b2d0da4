package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"virt-mtu/internal/fix"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/state"
)

// fixFlags are fix's own.
type fixFlags struct {
	fix.Options
	mtu     string
	network []string
	queued  bool
	agent   bool
	replug  bool
	timeout time.Duration
}

func newFix(g *globals) *cobra.Command {
	var fl fixFlags
	c := &cobra.Command{
		Use:   "fix [DOMAIN...] [--network NAME]",
		Short: "put the right <mtu> into definitions, and raise the taps of running domains",
		Long: `fix gives each bridged NIC of the domains the MTU that its segment carries: in the
definition, which the guest sees at its next cold start, and on the tap now, if
the domain runs. It records what it puts in; --undo takes out exactly that. What
an admin wrote stays, unless --force.

With --agent it also sets the MTU inside the guests that run, now, by their guest agent
(qemu-guest-agent): never more than tap and segment carry, nor than a virtio guest was
told at its start. It reads back what came of it, and says what to write in the guest
for it to last.

With --replug it plugs each virtio NIC of a running guest that waits for a cold start out
and in again, one at a time, with its <mtu> and otherwise as it runs. Its link drops for
that time; the guest sees a new device, and has to configure it by itself. What fails is
put back as it was. A domain's only NIC is left alone, unless --force.

With --network it works on a libvirt network instead: the <mtu> of its definition, which
its DHCP server tells as option 26, then its bridge, now, if it runs, and then the guests
on it, their NICs elsewhere left alone. --mtu is the network's number; without it, or as
"inherit", that is what its bridge carries now. A bridge that is above it is lowered only
with --lower. DHCP waits for the network's next start, which is yours to do: it takes
running guests off the network. With --undo both the network and its guests are undone.

With --connect of another host, as qemu+ssh://kvm2/system, it changes definitions there, by
libvirt, to what that host's segments carry: see virt-mtu check. Taps and bridges are set on
the host that they are on: it says so of each that waits for that. --queued and --replug are
for the host itself.

Exit status: 0; 1 a domain or network failed or is refused; 2 wrong usage.`,
		Example: `  virt-mtu fix --dry-run --diff web1
  virt-mtu fix --all
  virt-mtu fix --agent web1
  virt-mtu fix --network storage --mtu 9000
  virt-mtu fix --connect qemu+ssh://kvm2/system --all
  virt-mtu fix --undo --ignore web1`,
		RunE: func(c *cobra.Command, args []string) error { return runFix(c, g, &fl, args) },
	}
	f := c.Flags()
	f.BoolVar(&fl.All, "all", false, "every domain of this host")
	f.BoolVar(&fl.queued, "queued", false, "the domains that the hook has asked for")
	f.StringArrayVar(&fl.network, "network", nil, "the libvirt network `NAME`, and the guests on it; repeatable")
	f.StringVar(&fl.mtu, "mtu", "", "MTU `N` instead of what the segment carries; with --network also \"inherit\"")
	f.BoolVar(&fl.DryRun, "dry-run", false, "say what would be done, change nothing")
	f.BoolVar(&fl.Diff, "diff", false, "show the change of each definition")
	f.BoolVar(&fl.Force, "force", false, "change an <mtu> that an admin wrote, too; with --replug also the only NIC of a domain")
	f.BoolVar(&fl.Lower, "lower", false, "lower a guest although its bridge stands below its uplinks")
	f.BoolVar(&fl.Undo, "undo", false, "take out what virt-mtu put in")
	f.BoolVar(&fl.Ignore, "ignore", false, "with --undo: leave the domain alone from now on")
	f.BoolVar(&fl.agent, "agent", false, "set the MTU inside running guests too, by their guest agent")
	f.BoolVar(&fl.replug, "replug", false, "plug NICs of running guests that wait for a cold start out and in again")
	f.DurationVar(&fl.timeout, "timeout", 10*time.Second, "how long to wait for each answer of libvirt, with --agent for each guest, and with --replug three times that for a guest to let go")
	return c
}

func (fl *fixFlags) validate(c *cobra.Command, args []string) (err error) {
	ways := 0
	for _, w := range [...]bool{len(args) > 0, fl.All, fl.queued, len(fl.network) > 0} {
		if w {
			ways++
		}
	}
	if len(fl.network) == 0 || fl.mtu != "inherit" {
		if fl.MTU, err = mtuFlag(c, fl.mtu); err != nil {
			return err
		}
	}
	switch {
	case ways == 0:
		return usage("fix: which domains? name them, or say --all, --queued or --network NAME")
	case ways > 1:
		return usage("fix: DOMAIN, --all, --queued and --network exclude each other")
	case fl.Ignore && !fl.Undo:
		return usage("fix: --ignore goes with --undo")
	case fl.Ignore && len(fl.network) > 0:
		return usage("fix: --ignore is a domain's own setting: it goes not with --network")
	case fl.queued && fl.DryRun:
		return usage("fix: --queued takes the requests out of the queue: it goes not with --dry-run")
	case fl.Undo && (fl.MTU != 0 || fl.Force || fl.Lower || fl.queued || fl.agent || fl.replug):
		return usage("fix: --undo takes out what is recorded: it goes with none of --mtu, --force, --lower, --queued, --agent, --replug")
	case fl.queued && (fl.agent || fl.replug):
		return usage("fix: --queued does what the hook has asked for, and touches no running guest: it goes with neither --agent nor --replug")
	case fl.timeout <= 0:
		return usage("fix: --timeout %v: it takes a time above 0, such as 10s", fl.timeout)
	}
	fl.Guest = guestTime(fl.agent, fl.timeout)
	if fl.queued {
		fl.Mode = plan.Upward // the hook asked, nobody did
	}
	return nil
}

func runFix(c *cobra.Command, g *globals, fl *fixFlags, args []string) error {
	if err := fl.validate(c, args); err != nil {
		return err
	}
	there, err := g.elsewhere(c)
	if err != nil {
		return err
	}
	if there != nil {
		return fixThere(c, g, fl, there, args)
	}
	config, err := g.loadConfig()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(c)
	defer stop()
	pool := libvirt.NewPool(ctx, g.connect, fl.timeout)
	defer pool.Close()
	f := &fix.Fixer{Pool: pool, Host: fix.Here(), Config: config, Options: fl.Options, Progress: progress(c)}
	if fl.replug {
		f.Replug = &fix.Replug{
			Dial:     func() (*libvirt.Conn, error) { return libvirt.Dial(context.WithoutCancel(ctx), g.connect, fl.timeout) },
			Patience: 3 * fl.timeout,
			Stop:     ctx.Done(),
			Warn:     func(s string) { complain(c.ErrOrStderr(), errors.New(s), "") },
		}
	}
	report, err := fixHere(ctx, f, fl, args)
	return fl.end(c, g, report, err)
}

// end tells what has come of it.
func (fl *fixFlags) end(c *cobra.Command, g *globals, report fix.Report, err error) error {
	for _, p := range unjoin(err) {
		complain(c.ErrOrStderr(), p, libvirt.Hint(p))
	}
	if werr := show(c, &report, g.json(), fl.DryRun); werr != nil {
		return failed(fmt.Errorf("write report: %w", werr), "")
	}
	if err != nil || report.Failed() {
		return failed(nil, "")
	}
	return nil
}

// fixHere fixes domains of this host, alone at it: see fixThem.
func fixHere(ctx context.Context, f *fix.Fixer, fl *fixFlags, args []string) (fix.Report, error) {
	none := fix.Report{Domains: []fix.Result{}}
	conn, err := f.Pool.Get() // first of all: without libvirt nothing else matters
	if err != nil {
		return none, err
	}
	f.Pool.Put(conn)
	if os.Geteuid() != 0 && fl.queued {
		return none, errors.New("fix --queued needs root: what the hook has left is root's")
	}
	if os.Geteuid() != 0 && fl.replug && !fl.DryRun {
		return none, errors.New("fix --replug needs root: taps are the kernel's, and what is out is noted where root alone may write")
	}
	if os.Geteuid() == 0 && !fl.DryRun {
		dir, err := state.Open(state.DefaultBase)
		if err != nil {
			return none, err
		}
		defer dir.Close()
		if f.Replug != nil {
			f.Replug.Record = dir
		}
		ctx, cancel := context.WithTimeout(ctx, fl.timeout)
		defer cancel()
		unlock, err := dir.Lock(ctx)
		if err != nil {
			return none, err
		}
		defer unlock()
		if fl.queued {
			return f.Queued(dir)
		}
	}
	return fixThem(f, fl, args)
}

// fixThem finds the domains and fixes them. Errors are about domains that did not
// come into the report.
func fixThem(f *fix.Fixer, fl *fixFlags, args []string) (fix.Report, error) {
	none := fix.Report{Domains: []fix.Result{}}
	conn, err := f.Pool.Get()
	if err != nil {
		return none, err
	}
	domains, missing, err := choose(conn, fl.All, args)
	f.Pool.Put(conn)
	if err != nil {
		return none, err
	}
	if len(fl.network) > 0 {
		return f.RunNetworks(fl.network)
	}
	report := f.Run(domains)
	report.Domains = append(report.Domains, missing...)
	return report, nil
}

// choose finds the domains that are meant, each once. What is not found is a
// result too.
func choose(conn *libvirt.Conn, all bool, names []string) (domains []libvirt.Domain, missing []fix.Result, err error) {
	if all {
		domains, err = conn.Domains()
		return domains, nil, err
	}
	for _, name := range names {
		d, err := conn.Lookup(name)
		if err != nil {
			missing = append(missing, fix.Failure(name, err))
		} else if !slices.Contains(domains, d) {
			domains = append(domains, d)
		}
	}
	return domains, missing, nil
}

// show writes the report; errors of domains are messages, and the diffs too where
// stdout is for JSON.
func show(c *cobra.Command, r *fix.Report, asJSON, dryRun bool) error {
	for _, d := range r.Domains {
		if d.Error != "" {
			complain(c.ErrOrStderr(), fmt.Errorf("fix %s: %s", plan.ShellWord(d.Name), d.Error), d.Hint())
		}
	}
	for _, n := range r.Networks {
		if n.Error != "" {
			complain(c.ErrOrStderr(), fmt.Errorf("fix network %s: %s", plan.ShellWord(n.Name), n.Error), n.Hint())
		}
	}
	if !asJSON {
		return r.Text(c.OutOrStdout(), dryRun)
	}
	var diffs []byte
	for _, n := range r.Networks {
		diffs = append(diffs, n.Diff()...)
	}
	for _, d := range r.Domains {
		diffs = append(diffs, d.Diff()...)
	}
	if _, err := c.ErrOrStderr().Write(diffs); err != nil {
		return err
	}
	return writeJSON(c.OutOrStdout(), r)
}

// progress shows on a terminal how far the work has come.
func progress(c *cobra.Command) func(done, total int) {
	f := terminal(c.ErrOrStderr())
	if f == nil {
		return nil
	}
	return func(done, total int) {
		switch {
		case total < 20:
		case done == total:
			fmt.Fprintf(f, "\r\033[K")
		default:
			fmt.Fprintf(f, "\rvirt-mtu: %d of %d domains", done, total)
		}
	}
}

// unjoin returns the errors that were joined, and joined again.
func unjoin(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, unjoin(e)...)
	}
	return all
}
