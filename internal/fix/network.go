package fix

import (
	"errors"
	"fmt"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/facts"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/owned"
	"virt-mtu/internal/plan"
)

// RunNetworks works on libvirt networks, by name or UUID: each one's definition, its
// bridge, and then the guests on it, whose NICs elsewhere are left alone. --mtu is for the
// networks; their guests get what the networks have. The guests of a network that failed
// or is refused are not touched.
func (f *Fixer) RunNetworks(names []string) (Report, error) {
	report := Report{Domains: []Result{}, Networks: []NetworkResult{}}
	conn, err := f.Pool.Get()
	if err != nil {
		return report, err
	}
	guests := *f
	guests.MTU, guests.All, guests.Networks = 0, true, []string{}
	for _, name := range names {
		j := networkJob{conn: conn}
		r := f.network(&j, name, &guests)
		if slices.ContainsFunc(report.Networks, func(other NetworkResult) bool { return r.UUID != "" && other.UUID == r.UUID }) {
			continue
		}
		report.Networks = append(report.Networks, r)
		if r.Error == "" && r.Action != plan.Refuse {
			guests.Networks = append(guests.Networks, r.Name)
		}
	}
	f.Pool.Put(conn)
	if len(guests.Networks) == 0 {
		return report, nil
	}
	domains, err := guests.on()
	if err != nil {
		return report, err
	}
	report.Domains = guests.Run(domains).Domains
	return report, nil
}

// on finds the domains that have a NIC on one of the networks. One that cannot be read is
// among them: it may have.
func (f *Fixer) on() ([]libvirt.Domain, error) {
	conn, err := f.Pool.Get()
	if err != nil {
		return nil, err
	}
	all, err := conn.Domains()
	f.Pool.Put(conn)
	if err != nil {
		return nil, err
	}
	jobs := make([]job, len(all))
	for i, d := range all {
		jobs[i].Domain = d
	}
	f.each(jobs, func(i int) { jobs[i].load() }, nil)
	var found []libvirt.Domain
	for i := range jobs {
		j := &jobs[i]
		if j.err != nil && !errors.Is(j.err, libvirt.ErrNotFound) || f.hasNIC(j.definition) || f.hasNIC(j.live) {
			found = append(found, j.Domain)
		}
	}
	return found, nil
}

func (f *Fixer) hasNIC(d *domxml.Document) bool {
	return d != nil && slices.ContainsFunc(d.NICs, func(n domxml.NIC) bool { return plan.On(n, f.Networks) })
}

// networkJob is one network on its way.
type networkJob struct {
	conn       *libvirt.Conn
	read       libvirt.Network
	host       host.Network
	definition *domxml.NetworkDocument // nil for a transient network
	plan       plan.Network
}

// network works on one network; where its definition is changed meanwhile, on what it has
// become. guests are told what a dry run would bring.
func (f *Fixer) network(j *networkJob, name string, guests *Fixer) NetworkResult {
	changed := false
	for try := 1; ; try++ {
		r := NetworkResult{Name: name, Action: plan.None, Pending: pendingNone}
		err := f.workOnNetwork(j, &r)
		changed = changed || r.Changed
		r.Changed = changed
		if errors.Is(err, errMeanwhile) && try < tries {
			continue
		}
		if err != nil {
			r.fail(err)
		} else if f.DryRun {
			amend := guests.Amend
			guests.Amend = func(h host.Snapshot) host.Snapshot {
				if amend != nil {
					h = amend(h)
				}
				return j.plan.Redefined(h)
			}
		}
		return r
	}
}

func (f *Fixer) workOnNetwork(j *networkJob, r *NetworkResult) (err error) {
	if j.read.UUID == "" {
		j.read, err = j.conn.Network(r.Name)
	} else {
		j.read, err = j.conn.NetworkByUUID(j.read.UUID) // whatever it is called by now
	}
	if err != nil {
		return err
	}
	r.Name, r.UUID, r.State = j.read.Name, j.read.UUID, "inactive"
	if j.read.Active {
		r.State = "active"
	}
	networks, unread := facts.Networks(j.conn)
	i := slices.IndexFunc(networks, func(n host.Network) bool { return n.Name == j.read.Name })
	switch {
	case i < 0 && unread != nil:
		return unread
	case i < 0:
		return errMeanwhile
	}
	j.host = networks[i]
	in := plan.NetworkInput{
		Network: j.host, Host: f.topology(networks),
		MTU: f.MTU, Force: f.Force, Lower: f.Lower, Undo: f.Undo,
	}
	j.definition = nil
	if j.read.Definition != "" {
		if j.definition, err = domxml.ParseNetwork([]byte(j.read.Definition), owned.URI); err != nil {
			return fmt.Errorf("%w: read its XML: %w", errContent, err)
		}
		in.Definition = &j.definition.Network
	}
	if j.plan, err = plan.MakeNetwork(in); err != nil {
		return contentError{fmt.Errorf("%w: %w", errContent, err), plan.MetadataRemedyNetwork(j.read.Name)}
	}
	if f.Host.links == nil && j.plan.BridgeSet != 0 {
		j.plan.BridgeSet = 0
		r.notes = append(r.notes, fmt.Sprintf("bridge %s left as it is: %s", j.plan.Bridge, f.Host.elsewhere(f.networkCommand(j.read.Name))))
	}
	r.take(&j.plan)
	if f.Diff && j.plan.Changes() {
		r.diff = diff.Diff(j.read.Name+".xml", j.definition.Bytes(), j.read.Name+".xml (fixed)", j.spliced())
	}
	if err := f.changeNetwork(j, r); err != nil {
		return err
	}
	r.describeWaiting(j)
	return nil
}

// networkCommand is what does to a network what we do, bridge and all.
func (f *Fixer) networkCommand(name string) string {
	command := "fix --network " + plan.ShellWord(name)
	if f.MTU != 0 {
		command += fmt.Sprintf(" --mtu %d", f.MTU)
	}
	if f.Lower {
		command += " --lower"
	}
	return command
}

// spliced is the definition as it is to be.
func (j *networkJob) spliced() []byte {
	node := ""
	if j.plan.Record != nil {
		node = j.plan.Record.XML()
	}
	return j.definition.Splice(j.plan.Set, node)
}

// changeNetwork carries the plan out: the definition, with the record in it, then the
// bridge. libvirt compares nothing when it defines, so the definition is looked at again
// right before, and once more after: what somebody defines between such a look and the
// call is overwritten, or is there in our stead.
func (f *Fixer) changeNetwork(j *networkJob, r *NetworkResult) error {
	p := &j.plan
	r.Changed = p.Changes() || p.BridgeSet != 0
	if f.DryRun || !r.Changed {
		return nil
	}
	r.Changed = false
	if p.Changes() {
		now, err := j.conn.NetworkByUUID(j.read.UUID)
		if err != nil {
			return err
		}
		if now != j.read {
			return errMeanwhile
		}
		if err := j.conn.DefineNetwork(string(j.spliced())); err != nil {
			return err
		}
		r.Changed = true
		if err := j.settled(); err != nil {
			return err
		}
	}
	if p.BridgeSet != 0 {
		_, err := f.Host.links.setBridge(p.Bridge, j.host.MAC, p.BridgeSet, f.Lower)
		if err != nil {
			return err
		}
		r.Changed = true
	}
	return nil
}

// settled reports what became of a definition: it has the number, and the record that says
// whose it is.
func (j *networkJob) settled() error {
	now, err := j.conn.NetworkByUUID(j.read.UUID)
	if err != nil {
		return err
	}
	doc, err := domxml.ParseNetwork([]byte(now.Definition), owned.URI)
	if err != nil {
		return fmt.Errorf("%w: read its XML: %w", errContent, err)
	}
	record, err := owned.NetworkFromMetadata(doc.Metadata)
	want := j.plan.Record
	if err != nil || doc.MTU != j.plan.Set || (record == nil) != (want == nil) || record != nil && *record != *want {
		return fmt.Errorf("libvirt took the definition, but shows another: %w", errMeanwhile)
	}
	return nil
}
