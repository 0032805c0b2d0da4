package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"virt-mtu/internal/check"
	"virt-mtu/internal/collect"
	"virt-mtu/internal/domxml"
	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/hookdir"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/render"
)

// statuses are check's exit statuses, as monitoring plugins have them.
var statuses = map[finding.Severity]int{
	finding.OK: 0, finding.Warning: 1, finding.Critical: 2, finding.Unknown: exitUnknown,
}

// exitUnknown is check's status where nothing can be said, wrong usage too.
const exitUnknown = 3

// checkFlags are check's own.
type checkFlags struct {
	all     bool
	facts   []string
	xml     []string
	to      []string // of --migrate-to
	out     string
	full    bool
	moves   bool
	agent   bool
	running bool // --if-running
	timeout time.Duration

	there *libvirt.Remote // the other host that is meant; nil: this one
}

func newCheck(g *globals) *cobra.Command {
	var fl checkFlags
	c := &cobra.Command{
		Use:   "check [DOMAIN...]",
		Short: "show the path of each NIC from the guest to the wire, and what is wrong on it",
		Long: `check shows for each NIC of the domains, or of all where none is named, every step
from the guest to the wire with its MTU, marks the narrowest, and says what is wrong,
why, and what to do. Where no domain is named it also looks at the bridges and links
of the host that no domain uses.

With --migrate-to it says instead which domains, running or not, could migrate to
another host: where libvirt there has what their NICs name, and their large packets get
through. It changes nothing on either side. The destination is

  qemu+ssh://[USER@]HOST[:PORT]/system
      what virt-mtu facts says there; without a virt-mtu there, what
      libvirt tells. Parameters: keyfile=FILE, no_verify=1
  qemu+tcp://HOST[:PORT]/system, qemu+unix:///system?socket=PATH
      what libvirt tells
  HOST
      one of those in --facts

libvirt does not tell a tunnel from a tap: what would turn on that is "unknown". Where
large packets would vanish it is "no", even if that host's hook would let the guest in
(migration = "warn"). That host's rules count where --config names a file that has them.
Exit status then: 0 all can; 1 all can, with warnings; 2 one cannot; 3 of one it is not
known, and the rest can.

With --facts it judges what virt-mtu facts wrote, on this host or elsewhere, needs
neither root nor libvirt, and of several hosts also says what they disagree on and
which domain could not migrate where. With --xml it judges domain XML from files
against this host's links, taking <target dev> as the live tap.

With --connect of another host, as qemu+ssh://kvm2/system, it judges that host: by what
virt-mtu facts says there, else by what its libvirt tells, as for --migrate-to; by its own
config, where ssh leads there. With --xml it is that host's links.

Of a guest it knows what it was told. With --agent it asks each that runs, by its guest
agent (qemu-guest-agent), which MTU it has; that changes nothing in it.

Exit status, as monitoring plugins have it: 0 ok; 1 warning; 2 critical; 3 unknown, or
wrong usage.`,
		Example: `  virt-mtu check web1
  virt-mtu check -o svg > path.svg
  virt-mtu check --migrate-to qemu+ssh://kvm2/system web1
  virt-mtu check --migrate-to qemu+ssh://kvm2/system --migrate-to qemu+ssh://kvm3/system --all
  virt-mtu check --connect qemu+ssh://kvm2/system
  virt-mtu check --facts kvm1.json --facts kvm2.json
  virt-mtu check -o prometheus --output-file /var/lib/prometheus/node-exporter/virt-mtu.prom`,
		Annotations: map[string]string{formats: "text json prometheus dot svg", usageStatus: fmt.Sprint(exitUnknown)},
		RunE:        func(c *cobra.Command, args []string) error { return runCheck(c, g, &fl, args) },
	}
	f := c.Flags()
	f.BoolVar(&fl.all, "all", false, "every domain, and the links that none uses; so it is where no DOMAIN is named")
	f.StringArrayVar(&fl.facts, "facts", nil, "judge the facts in `FILE` instead of this host; repeatable, - is stdin")
	f.StringArrayVar(&fl.xml, "xml", nil, "judge the domain XML in `FILE` against this host's links; repeatable, - is stdin")
	f.StringArrayVar(&fl.to, "migrate-to", nil, "say which domains could migrate to the host of this libvirt `URI`; repeatable")
	f.StringVar(&fl.out, "output-file", "", "write to `FILE`, by a temporary file and rename, instead of stdout")
	f.BoolVar(&fl.moves, "moves", true, "with --facts of several hosts: say which domain could migrate where; =false for a fleet, where that is too much")
	f.BoolVar(&fl.agent, "agent", false, "ask each running guest, by its guest agent, which MTU it really has")
	f.BoolVar(&fl.running, "if-running", false, "where no libvirt daemon runs, judge the links alone: to ask for domains would start one")
	f.BoolVar(&fl.full, "full", false, "text: the whole path also of NICs with which nothing is wrong, however many")
	f.DurationVar(&fl.timeout, "timeout", 10*time.Second, "how long to wait for each answer of libvirt, and with --agent for each guest")
	return c
}

func (fl *checkFlags) validate(c *cobra.Command, args []string) error {
	ways := 0
	for _, w := range [...]bool{len(args) > 0, fl.all, len(fl.xml) > 0} {
		if w {
			ways++
		}
	}
	switch {
	case ways > 1:
		return usage("check: DOMAIN, --all and --xml exclude each other")
	case len(fl.xml) > 0 && len(fl.facts) > 0:
		return usage("check: --xml is judged against this host's links: it goes not with --facts")
	case fl.agent && (len(fl.xml) > 0 || len(fl.facts) > 0):
		return usage("check: --agent asks guests that run here: it goes with neither --xml nor --facts (but facts --agent writes what they say)")
	case fl.running && (len(args) > 0 || len(fl.xml) > 0 || len(fl.facts) > 0 || len(fl.to) > 0):
		return usage("check: --if-running is about this host as a whole: it goes with none of DOMAIN, --xml, --facts, --migrate-to")
	case fl.out == "" && c.Flags().Changed("output-file"):
		return usage("check: --output-file %q: it takes the name of a file", fl.out)
	case !fl.moves && len(fl.to) > 0:
		return usage("check: --moves=false and --migrate-to exclude each other")
	case fl.timeout <= 0:
		return usage("check: --timeout %v: it takes a time above 0, such as 10s", fl.timeout)
	}
	return nil
}

func runCheck(c *cobra.Command, g *globals, fl *checkFlags, args []string) error {
	if err := fl.validate(c, args); err != nil {
		return err
	}
	if len(fl.facts) == 0 {
		var err error
		if fl.there, err = g.elsewhere(c); err != nil {
			return err
		}
	}
	if fl.running && fl.there != nil {
		return usage("check: --if-running is about this host's libvirt: it goes not with that of another host")
	}
	if err := fl.validateMoves(g); err != nil {
		return err
	}
	ctx, stop := interruptible(c)
	defer stop()
	out, commit := c.OutOrStdout(), func() error { return nil }
	if fl.out != "" {
		// Now: whoever waits for a report has not waited in vain.
		file, err := render.Create(fl.out)
		if err != nil {
			return &statusError{exitUnknown, fmt.Errorf("check: %w", err), ""}
		}
		defer file.Abort()
		out, commit = file, file.Commit
	}
	var status finding.Severity
	judge := fl.judge
	if len(fl.to) > 0 {
		judge = fl.judgeMoves
	}
	err := until(ctx, func() (err error) {
		status, err = judge(ctx, c, g, args, out)
		return err
	})
	if err == nil {
		err = commit()
	}
	if err != nil {
		return &statusError{exitUnknown, fmt.Errorf("check: %w", err), cmp.Or(libvirt.Hint(err), render.Hint(err))}
	}
	if code := statuses[status]; code != 0 {
		return &statusError{code: code}
	}
	return nil
}

// judge writes the report, and returns what it comes to.
func (fl *checkFlags) judge(ctx context.Context, c *cobra.Command, g *globals, args []string, out io.Writer) (finding.Severity, error) {
	config, invalid := fl.config(c, g)
	all, err := fl.gather(ctx, c, g, args)
	if err != nil {
		return "", err
	}
	if fl.there != nil {
		config, invalid = g.configOf(ctx, c, fl.there, fl.timeout)
	}
	if invalid != nil {
		all[0].Hook = append(all[0].Hook, finding.New(finding.ConfigInvalid, invalid.Error()+": judged as if there were no config", ""))
	}
	report := check.Run(all, check.Options{Config: config, Names: args, NoMoves: !fl.moves})
	return report.Status, fl.write(ctx, out, g.output, &report)
}

// config is this host's; for the facts of others it takes only one that was named, and for
// another host see configOf. One that is broken counts as none, and is a finding.
func (fl *checkFlags) config(c *cobra.Command, g *globals) (policy.Config, error) {
	if fl.there != nil || len(fl.facts) > 0 && !c.Flags().Changed("config") {
		return policy.Default(), nil
	}
	config, err := policy.Load(g.config)
	if err != nil {
		return policy.Default(), err
	}
	return config, nil
}

// gather finds the facts to judge, at least those of one host. A domain that was named
// and is not there is said, and among what could not be read.
func (fl *checkFlags) gather(ctx context.Context, c *cobra.Command, g *globals, args []string) (all []facts.Facts, err error) {
	if len(fl.facts) > 0 {
		for _, path := range fl.facts {
			f, err := readFacts(c, path)
			if err != nil {
				return nil, err
			}
			all = append(all, f)
		}
		noteMissing(c, all, args, "in these facts")
		return all, nil
	}
	if fl.there != nil {
		f, err := fl.gatherThere(ctx, c, args)
		return []facts.Facts{f}, err
	}
	pool := libvirt.NewPool(ctx, g.connect, fl.timeout)
	defer pool.Close()
	if len(fl.xml) > 0 {
		f, err := fl.fromXML(c, pool)
		return []facts.Facts{f}, err
	}
	if fl.running && !awake(c) {
		pool = nil
	}
	if all, err = fl.gatherFrom(ctx, c, pool, args, hookFindings); err == nil {
		sawHook(c)
	}
	return all, err
}

// awake reports whether a libvirt daemon runs, and says so where none does: to ask would
// start one by its socket, and one that sleeps has no guest that runs.
func awake(c *cobra.Command) bool {
	daemons, err := hookdir.Daemons()
	if err == nil && len(daemons) == 0 {
		complain(c.ErrOrStderr(), errors.New("check: no libvirt daemon runs: its domains are not judged"), "")
		return false
	}
	return true
}

// noteMissing says which of the domains that were named are not there, and that it is not
// known what is with them.
func noteMissing(c *cobra.Command, all []facts.Facts, names []string, where string) {
	for _, name := range check.Missing(all, names) {
		all[0].Unread = append(all[0].Unread, "no domain "+plan.Quoted(name)+" "+where)
		complain(c.ErrOrStderr(), fmt.Errorf("check: no domain %s %s", plan.ShellWord(name), where), "")
	}
}

// gatherThere gathers the facts of the other host; with --xml, of its links and of domains
// from files.
func (fl *checkFlags) gatherThere(ctx context.Context, c *cobra.Command, args []string) (facts.Facts, error) {
	if len(fl.xml) > 0 {
		domains, nics, err := fl.readXML(c)
		if err != nil {
			return facts.Facts{}, err
		}
		f, _, err := factsOf(ctx, fl.there, fl.timeout, sayer(c), byLinks(fl.there, fl.timeout, nics))
		f.Domains, f.Hook = domains, nil
		return f, err
	}
	f, err := askDomains(ctx, fl.there, fl.timeout, facts.Options{Names: args, Guest: guestTime(fl.agent, fl.timeout), Progress: progress(c)}, sayer(c))
	if err != nil {
		return f, err
	}
	all := []facts.Facts{f}
	noteMissing(c, all, args, "on "+plan.Quoted(f.Host))
	return all[0], nil
}

// gatherKnown gathers the facts of the host whose libvirt is meant, but for its hook.
func (fl *checkFlags) gatherKnown(ctx context.Context, c *cobra.Command, g *globals, args []string) ([]facts.Facts, error) {
	if fl.there != nil {
		f, err := fl.gatherThere(ctx, c, args)
		return []facts.Facts{f}, err
	}
	pool := libvirt.NewPool(ctx, g.connect, fl.timeout)
	defer pool.Close()
	return fl.gatherFrom(ctx, c, pool, args, nil)
}

func (fl *checkFlags) gatherFrom(ctx context.Context, c *cobra.Command, pool *libvirt.Pool, args []string, hook func(uint64) ([]finding.Finding, error)) ([]facts.Facts, error) {
	f, err := facts.Gather(ctx, facts.Options{Pool: pool, Names: args, Hook: hook, Guest: guestTime(fl.agent, fl.timeout), Progress: progress(c)})
	if ctx.Err() != nil {
		return nil, err
	}
	for _, e := range unjoin(err) {
		hint := libvirt.Hint(e)
		gone := errors.Is(e, libvirt.ErrNotFound)
		if gone {
			f.Unread, hint = append(f.Unread, e.Error()), "virsh list --all"
		}
		if gone || hint != "" { // the rest are findings
			complain(c.ErrOrStderr(), fmt.Errorf("check: %w", e), hint)
		}
	}
	return []facts.Facts{f}, nil
}

// readXML reads domains from files, taken as running, and their NICs.
func (fl *checkFlags) readXML(c *cobra.Command) (domains []facts.Domain, nics []domxml.NIC, err error) {
	for _, path := range fl.xml {
		src, what, err := input(c, []string{path})
		if err != nil {
			return nil, nil, err
		}
		doc, err := domxml.Parse(src)
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", what, err)
		}
		domains = append(domains, facts.Domain{Name: doc.Name, UUID: doc.UUID, LiveXML: string(src)})
		nics = append(nics, doc.NICs...)
	}
	return domains, nics, nil
}

// fromXML makes facts of this host's links and of domains from files.
func (fl *checkFlags) fromXML(c *cobra.Command, pool *libvirt.Pool) (facts.Facts, error) {
	domains, nics, err := fl.readXML(c)
	if err != nil {
		return facts.Facts{}, err
	}
	f := facts.Facts{Version: facts.Version, Snapshot: collect.Read(), Domains: domains}
	var names []string
	for _, n := range nics {
		if n.Network != "" {
			names = append(names, n.Network)
		}
	}
	if f.Networks, err = networks(pool, names); err != nil {
		f.Unread = append(f.Unread, err.Error())
	}
	return f, nil
}

// networks are this host's libvirt networks: from libvirt, or where it does not answer
// from its files.
func networks(pool *libvirt.Pool, names []string) ([]host.Network, error) {
	if len(names) == 0 {
		return nil, nil
	}
	conn, err := pool.Get()
	if err != nil {
		return host.ReadNetworks(names)
	}
	defer pool.Put(conn)
	return facts.Networks(conn)
}

func readFacts(c *cobra.Command, path string) (facts.Facts, error) {
	in := c.InOrStdin()
	what := "facts from stdin"
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return facts.Facts{}, err
		}
		defer f.Close()
		in, what = f, fmt.Sprintf("facts in %q", path)
	}
	f, err := facts.Decode(in)
	if err != nil {
		return f, fmt.Errorf("read %s: %w", what, err)
	}
	return f, nil
}

// write shows the report in the format that was asked for.
func (fl *checkFlags) write(ctx context.Context, w io.Writer, format string, r *check.Report) error {
	switch format {
	case "json":
		return writeJSON(w, r)
	case "prometheus":
		return render.Prometheus(w, r)
	case "dot":
		return render.DOT(w, r)
	case "svg":
		return render.SVG(ctx, w, r)
	}
	return render.Text(w, r, render.Options{Color: colour(w), Full: fl.full})
}

// colour reports whether to write in colour: to a terminal whose user has not said no
// (no-color.org).
func colour(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && terminal(w) != nil }
