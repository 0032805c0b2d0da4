package fix

import (
	"errors"
	"slices"
	"time"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/tap"
)

// Options say how far to go.
type Options struct {
	Mode   plan.Mode
	MTU    int  // --mtu; 0: not given
	All    bool // the domains were not named
	Force  bool
	Lower  bool
	Undo   bool
	Ignore bool // with Undo: leave the domain alone from now on
	DryRun bool
	Diff   bool
	// Undragged plans as if no bridge stood below its uplinks; with DryRun.
	Undragged bool
	// Guest, where above 0, is how long each running guest has to let its MTU be set by
	// its agent; 0: none is asked.
	Guest time.Duration
	// Networks, where not nil, are the only ones whose NICs are worked on.
	Networks []string
}

// Fixer works on the domains of one libvirt.
type Fixer struct {
	Pool   *libvirt.Pool
	Host   Host // that they are on
	Config policy.Config
	Options
	// Amend, where set, adds to what is read of this host what the caller knows of it.
	Amend func(host.Snapshot) host.Snapshot
	// Replug, where set and the host is this one, is how to plug the NICs of running guests
	// that wait for a cold start out and in again.
	Replug *Replug
	// Progress, where set, is called after each domain.
	Progress func(done, total int)
}

// Run works on all domains; what fails for one does not stop the rest, and is in
// its Result. Taps come first: raising one may let a bridge that it held down go
// up, and definitions follow bridges.
//
// A domain that was not named and is gone meanwhile is no failure: it is not in the
// report.
func (f *Fixer) Run(domains []libvirt.Domain) Report {
	report := f.run(domains)
	if f.All {
		report.dropGone()
	}
	return report
}

func (f *Fixer) run(domains []libvirt.Domain) Report {
	report := Report{Domains: make([]Result, len(domains))}
	networks, unread := f.networks()
	topology := f.topology(networks)
	jobs := make([]job, len(domains))
	for i, d := range domains {
		jobs[i].Domain, jobs[i].done = d, map[string]Interface{}
	}
	f.each(jobs, func(i int) {
		jobs[i].load()
		jobs[i].checkNetworks(networks, unread)
	}, nil)
	raised := false
	for i := range jobs {
		raised = f.raise(&jobs[i], topology) || raised
	}
	if raised && !f.DryRun {
		topology = f.topology(networks)
	}
	f.each(jobs, func(i int) {
		report.Domains[i] = f.finish(&jobs[i], topology)
	}, f.Progress)
	if f.Replug != nil {
		f.replugs(jobs, &report, networks)
		topology = f.topology(networks)
	}
	if f.Guest > 0 {
		f.guests(jobs, &report, topology)
	}
	return report
}

// networks reads libvirt's networks. What cannot be read is left out, and in the
// error.
func (f *Fixer) networks() ([]host.Network, error) {
	conn, err := f.Pool.Get()
	if err != nil {
		return nil, err
	}
	defer f.Pool.Put(conn)
	return facts.Networks(conn)
}

// topology is the host's network as it is now.
func (f *Fixer) topology(networks []host.Network) *plan.Topology {
	s := f.Host.read()
	s.Networks = networks
	if f.Amend != nil {
		s = f.Amend(s)
	}
	if f.Undragged {
		s = plan.Undragged(s)
	}
	return plan.NewTopology(&s)
}

// raise raises the taps of a running domain, and reports whether any was, or would
// be.
func (f *Fixer) raise(j *job, t *plan.Topology) (raised bool) {
	if j.err != nil || j.live == nil || f.Undo {
		return false
	}
	p, err := f.plan(j.live.Domain, t)
	if err != nil {
		j.err = err
		return false
	}
	for _, x := range p.Taps(t) {
		if x.Raise && f.Host.links == nil {
			j.taps = append(j.taps, plan.Tap{Device: x.Device, Reason: f.Host.elsewhere("fix " + plan.ShellWord(j.Name))})
			continue
		}
		if x.Raise && !f.DryRun {
			_, err := f.Host.links.raise(x.Device, x.Bridge, x.Want)
			if errors.Is(err, tap.ErrGone) {
				continue // stopped meanwhile
			}
			if err != nil {
				j.parts = errors.Join(j.parts, err)
				continue
			}
		}
		raised = raised || x.Raise
		j.taps = append(j.taps, x)
	}
	return raised
}

// finish plans the definition, changes it, and tells.
func (f *Fixer) finish(j *job, t *plan.Topology) Result {
	r := Result{Name: j.Name, UUID: j.UUID, State: j.status.State, Interfaces: []Interface{}}
	f.describeTaps(&r, j.taps)
	err := j.err
	if err == nil {
		err = f.define(&r, j, t)
	}
	r.notes = append(r.notes, j.notes...)
	r.gone = errors.Is(err, libvirt.ErrNotFound) && j.gone()
	if err = errors.Join(err, j.parts); err != nil {
		r.fail(err)
	}
	return r
}

// define works on the definition; where that is changed meanwhile, on what it has become.
func (f *Fixer) define(r *Result, j *job, t *plan.Topology) error {
	for try := 1; ; try++ {
		attempt := *r
		attempt.State, attempt.ignored = j.status.State, j.leftAlone()
		attempt.notes = slices.Clip(r.notes)
		work := f.persistent
		if j.definition == nil {
			work = f.transient
		}
		err := work(&attempt, j, t)
		if err == nil || try == tries || !j.reload(err) {
			*r = attempt
			return err
		}
		r.Changed = attempt.Changed
	}
}

// persistent is for a domain that has a definition.
func (f *Fixer) persistent(r *Result, j *job, t *plan.Topology) error {
	p, err := f.planDefinition(j, t)
	if err != nil {
		return err
	}
	j.plan = p
	for _, n := range p.NICs {
		r.Interfaces = append(r.Interfaces, newInterface(n))
	}
	describeDone(r, j)
	describeRunning(r, j)
	if f.Diff {
		if r.diff, err = j.diff(p.Edits()); err != nil {
			return err
		}
	}
	if f.DryRun {
		r.Changed = r.Changed || len(p.Edits()) > 0 || f.Ignore && !j.ignored
		return nil
	}
	changed, err := f.change(j, &p)
	r.Changed = r.Changed || changed
	return err
}

func (f *Fixer) planDefinition(j *job, t *plan.Topology) (plan.Plan, error) {
	if !f.Undo {
		return f.plan(j.definition.Domain, t)
	}
	p, err := plan.Undo(j.definition.Domain, f.Networks)
	if err != nil {
		return p, metadataError(j.definition.Name, err)
	}
	return p, nil
}

// transient is for a domain that has no definition: only its taps can be set.
func (f *Fixer) transient(r *Result, j *job, t *plan.Topology) error {
	if f.Undo {
		return errTransient
	}
	r.notes = append(r.notes, "transient: it has no definition to change; its taps only")
	if j.live == nil {
		return nil
	}
	p, err := f.plan(j.live.Domain, t)
	if err != nil {
		return err
	}
	j.plan = p
	for _, n := range p.NICs {
		i := newInterface(n)
		i.Current = 0
		if n.Changes() {
			i.Action, i.Reason = plan.Skip, "transient: no definition to change"
		}
		r.Interfaces = append(r.Interfaces, i)
	}
	return nil
}
