package fix

import (
	"errors"
	"fmt"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/tap"
)

// Options say how far to go.
type Options struct {
	Mode   plan.Mode
	MTU    int // --mtu; 0: not given
	Force  bool
	Lower  bool
	Undo   bool
	Ignore bool // with Undo: leave the domain alone from now on
	DryRun bool
	Diff   bool
}

// Fixer works on the domains of one libvirt, on the host that it runs on.
type Fixer struct {
	Pool   *libvirt.Pool
	Config policy.Config
	Options
	// Progress, where set, is called after each domain.
	Progress func(done, total int)
}

// job is one domain on its way through Run.
type job struct {
	libvirt.Domain
	conn   *libvirt.Conn // lent for the time of a step
	status libvirt.Status
	// definition is nil for a transient domain, live for one that does not run.
	// saved is the managed save image's domain, where there is one.
	definition, live, saved *domxml.Document
	err                     error
	taps                    []plan.Tap
}

// Run works on all domains; what fails for one does not stop the rest, and is in
// its Result. Taps come first: raising one may let a bridge that it held down go
// up, and definitions follow bridges.
func (f *Fixer) Run(domains []libvirt.Domain) Report {
	report := Report{Domains: make([]Result, len(domains))}
	var networks []host.Network
	networks, report.problem = f.networks()
	snapshot, err := f.snapshot(networks)
	jobs := make([]job, len(domains))
	for i, d := range domains {
		jobs[i].Domain, jobs[i].err = d, err
	}
	f.each(jobs, func(i int) { jobs[i].load() })
	raised := false
	for i := range jobs {
		raised = f.raise(&jobs[i], &snapshot) || raised
	}
	if raised && !f.DryRun {
		if snapshot, err = f.snapshot(networks); err != nil {
			for i := range jobs {
				jobs[i].err = errors.Join(jobs[i].err, err)
			}
		}
	}
	done := progress{report: f.Progress, total: len(jobs)}
	f.each(jobs, func(i int) {
		report.Domains[i] = f.finish(&jobs[i], snapshot)
		done.one()
	})
	return report
}

// networks reads libvirt's networks. What cannot be read is left out: its NICs are
// then on a network that is not known, and stay as they are.
func (f *Fixer) networks() ([]host.Network, error) {
	conn, err := f.Pool.Get()
	if err != nil {
		return nil, err
	}
	defer f.Pool.Put(conn)
	all, err := conn.Networks()
	if err != nil {
		return nil, err
	}
	var out []host.Network
	for _, n := range all {
		parsed, perr := host.ParseNetwork([]byte(n.XML))
		if perr != nil {
			err = errors.Join(err, fmt.Errorf("read network %q: %w", n.Name, perr))
			continue
		}
		out = append(out, parsed)
	}
	return out, err
}

func (f *Fixer) snapshot(networks []host.Network) (host.Snapshot, error) {
	s, err := host.ReadAll()
	s.Networks = networks
	return s, err
}

// load reads what libvirt knows of the domain.
func (j *job) load() {
	if j.err != nil {
		return
	}
	if j.status, j.err = j.conn.Status(j.Domain); j.err != nil {
		return
	}
	if j.status.Persistent {
		if j.definition, j.err = document(j.conn.PersistentXML(j.Domain)); j.err != nil {
			return
		}
	}
	switch {
	case j.status.Active:
		j.live, j.err = document(j.conn.LiveXML(j.Domain))
	case j.status.ManagedSave:
		j.saved, j.err = document(j.conn.ManagedSaveXML(j.Domain))
	}
}

func document(xml string, err error) (*domxml.Document, error) {
	if err != nil {
		return nil, err
	}
	return domxml.Parse([]byte(xml))
}

// input is what the planner is given for one domain.
func (f *Fixer) input(d domxml.Domain, s host.Snapshot) plan.Input {
	return plan.Input{
		Domain: d, Host: s, Config: f.Config, Mode: f.Mode,
		MTU: f.MTU, Force: f.Force, Lower: f.Lower,
	}
}

// raise raises the taps of a running domain, and reports whether any was, or would
// be.
func (f *Fixer) raise(j *job, s *host.Snapshot) (raised bool) {
	if j.err != nil || j.live == nil || f.Undo {
		return false
	}
	p, err := plan.Make(f.input(j.live.Domain, *s))
	if err != nil {
		j.err = err
		return false
	}
	for _, t := range p.Taps(s) {
		if t.Raise && !f.DryRun {
			if _, err := tap.Raise(t.Device, t.Bridge, t.Want); err != nil {
				j.err = errors.Join(j.err, err)
				continue
			}
		}
		raised = raised || t.Raise
		j.taps = append(j.taps, t)
	}
	return raised
}

// finish plans the definition, changes it, and tells.
func (f *Fixer) finish(j *job, s host.Snapshot) Result {
	r := Result{Name: j.Name, UUID: j.UUID, State: j.status.State, Interfaces: []Interface{}}
	for _, t := range j.taps {
		switch {
		case t.Raise:
			r.Changed = true
			r.notes = append(r.notes, fmt.Sprintf("tap %s: mtu %d -> %d (%s)", t.Device, t.MTU, t.Want, t.Reason))
		case t.Want == 0:
			r.notes = append(r.notes, fmt.Sprintf("tap %s left as it is: %s", t.Device, t.Reason))
		}
	}
	err := j.err
	switch {
	case err != nil:
	case j.definition == nil:
		err = f.transient(&r, j, s)
	default:
		err = f.persistent(&r, j, s)
	}
	if err != nil {
		r.fail(err)
	}
	return r
}

// persistent is for a domain that has a definition.
func (f *Fixer) persistent(r *Result, j *job, s host.Snapshot) error {
	p, err := f.plan(j, s)
	if err != nil {
		return err
	}
	for _, n := range p.NICs {
		r.Interfaces = append(r.Interfaces, newInterface(n))
	}
	describeRunning(r, j)
	if f.Diff {
		if r.diff, err = j.diff(p.Edits()); err != nil {
			return err
		}
	}
	if f.DryRun {
		r.Changed = r.Changed || len(p.Edits()) > 0
		return nil
	}
	changed, err := f.change(j, &p)
	r.Changed = r.Changed || changed
	return err
}

func (f *Fixer) plan(j *job, s host.Snapshot) (plan.Plan, error) {
	if f.Undo {
		return plan.Undo(j.definition.Domain)
	}
	return plan.Make(f.input(j.definition.Domain, s))
}

// transient is for a domain that has no definition: only its taps can be set.
func (f *Fixer) transient(r *Result, j *job, s host.Snapshot) error {
	r.notes = append(r.notes, "transient: it has no definition to change; its taps only")
	if j.live == nil {
		return nil
	}
	p, err := plan.Make(f.input(j.live.Domain, s))
	if err != nil {
		return err
	}
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

// describeRunning adds what only the running domain, or its saved image, shows:
// the taps, and what waits for a cold start.
func describeRunning(r *Result, j *job) {
	running := j.live
	if running == nil {
		running = j.saved
	}
	if running == nil {
		return
	}
	for k := range r.Interfaces {
		i := &r.Interfaces[k]
		n, ok := sameNIC(running.NICs, i.MAC, k)
		if !ok {
			continue
		}
		if j.live != nil {
			i.Device = n.Target
		}
		if n.MTU == i.set {
			continue
		}
		i.Pending = pendingColdStart
		i.notes = append(i.notes, waiting(j, i, n.MTU))
	}
}

// waiting says what a running or saved guest waits for.
func waiting(j *job, i *Interface, now int) string {
	has := "no <mtu>"
	if now != 0 {
		has = fmt.Sprintf("<mtu size='%d'/>", now)
	}
	if j.saved != nil {
		return fmt.Sprintf("waits for a cold start: the managed save image has %s, and virsh start takes the image; shut the guest down after that, or drop the image (virsh managedsave-remove %s)", has, plan.ShellWord(j.Name))
	}
	return fmt.Sprintf("waits for a cold start: the running guest has %s, which cannot change while it runs (virsh shutdown %s, then virsh start)", has, plan.ShellWord(j.Name))
}

// sameNIC finds a NIC of the definition in another XML of the domain: by its MAC,
// and at its place where that is not its own.
func sameNIC(nics []domxml.NIC, mac string, index int) (domxml.NIC, bool) {
	if index < len(nics) && nics[index].MAC == mac {
		return nics[index], true
	}
	for _, n := range nics {
		if n.MAC == mac {
			return n, true
		}
	}
	return domxml.NIC{}, false
}
