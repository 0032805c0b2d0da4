package fix

import (
	"errors"
	"fmt"
	"slices"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
)

// job is one domain on its way through Run.
type job struct {
	libvirt.Domain
	conn *libvirt.Conn // lent for the time of a step
	view

	err   error // nothing more can be done for it
	parts error // what failed beside the rest
	taps  []plan.Tap
	done  map[string]Interface // what was set, by MAC
	plan  plan.Plan            // of its definition, or where it has none as it runs
	notes []string
	// replugged: a NIC of it was plugged in anew.
	replugged bool
}

// view is what libvirt knows of a domain.
type view struct {
	status libvirt.Status
	// definition is nil for a transient domain, live for one that does not run.
	// saved is the managed save image's domain, where there is one.
	definition, live, saved *domxml.Document
	policy                  domxml.Element // the definition's own setting, zero without one
	ignored                 bool           // it says already that it is to be left alone
	said                    string         // what it said instead, for a note
}

// tries are how often a domain is worked on that is changed under our hands.
const tries = 3

// errContent: what a domain says cannot be worked on, and another try would not
// change that.
var errContent = errors.New("it cannot be worked on")

// contentError is an errContent that something can be done about.
type contentError struct {
	error
	hint string
}

func (e contentError) Unwrap() error { return e.error }

// metadataError is why a domain cannot be planned.
func metadataError(domain string, err error) error {
	return contentError{fmt.Errorf("%w: %w", errContent, err), plan.MetadataRemedy(domain, err)}
}

// load reads what libvirt knows of the domain. What cannot be read is tried again where
// the domain was started, stopped or undefined meanwhile.
func (j *job) load() {
	if j.err != nil {
		return
	}
	var unread error
	for range tries {
		j.view, unread, j.err = read(j.conn, j.Domain)
		if unread == nil && j.err == nil || !j.moved() {
			break
		}
	}
	j.parts = errors.Join(j.parts, unread)
}

// moved reports whether the domain is not any more what it was when it was read.
func (j *job) moved() bool {
	now, err := j.conn.Status(j.Domain)
	was := j.status
	return err == nil && (now.Active != was.Active || now.Persistent != was.Persistent || now.ManagedSave != was.ManagedSave)
}

// gone reports whether libvirt does not know the domain any more.
func (j *job) gone() bool {
	_, err := j.conn.Status(j.Domain)
	return errors.Is(err, libvirt.ErrNotFound)
}

// reload reads the domain again after an attempt at it has failed, and reports whether
// another has a chance: it is not what it was.
func (j *job) reload(failed error) bool {
	if !errors.Is(failed, errMeanwhile) && !j.moved() {
		return false
	}
	now, _, err := read(j.conn, j.Domain)
	if err != nil {
		return false
	}
	j.view = now
	return true
}

// read reads what libvirt knows of a domain. unread is why some of it is not there.
func read(conn *libvirt.Conn, d libvirt.Domain) (v view, unread, err error) {
	if v.status, err = conn.Status(d); err != nil {
		return v, nil, err
	}
	if v.status.Persistent {
		if v.definition, err = document(conn.PersistentXML(d)); err != nil {
			return v, nil, err
		}
	}
	switch {
	case v.status.Active:
		if v.live, err = document(conn.LiveXML(d)); err != nil {
			return v, nil, err
		}
	case v.status.ManagedSave:
		// Without it only what waits for a cold start cannot be said.
		v.saved, unread = document(conn.ManagedSaveXML(d))
	}
	if v.definition == nil {
		return v, unread, nil
	}
	v.policy = v.definition.Metadata[policy.MetadataURI]
	v.ignored = ignores(&v.definition.Domain) && (v.live == nil || ignores(&v.live.Domain))
	if len(v.policy.Attrs) > 0 {
		v.said = fmt.Sprintf(" (before: %s='%s')", v.policy.Attrs[0].Name.Local, v.policy.Attrs[0].Value)
	}
	if v.live != nil {
		sharePolicy(&v.definition.Domain, &v.live.Domain)
	}
	return v, unread, nil
}

// leftAlone reports whether the domain's own setting, be it in its definition or in the
// running domain alone, is to leave it alone.
func (v *view) leftAlone() bool {
	d := v.definition
	if d == nil {
		d = v.live
	}
	return d != nil && ignores(&d.Domain)
}

// checkNetworks adds why networks could not be read, where a NIC is on one that is
// not known: it is left alone, and might not be.
func (j *job) checkNetworks(networks []host.Network, unread error) {
	if unread == nil || j.definition == nil {
		return
	}
	for _, n := range j.definition.NICs {
		known := slices.ContainsFunc(networks, func(h host.Network) bool { return h.Name == n.Network })
		if n.Type == "network" && !known {
			j.parts = errors.Join(j.parts, unread)
			return
		}
	}
}

// sharePolicy makes the setting that one of a domain's two XMLs has hold for the
// other: virsh metadata sets the running one's alone unless it is told --config, and
// only the definition's where it is. Where both have one it is the definition's,
// unless the other says to leave the domain alone.
func sharePolicy(definition, live *domxml.Domain) {
	from, to := definition, live
	if _, ok := from.Metadata[policy.MetadataURI]; !ok || ignores(live) {
		from, to = live, definition
	}
	node, ok := from.Metadata[policy.MetadataURI]
	if !ok {
		return
	}
	if to.Metadata == nil {
		to.Metadata = map[string]domxml.Element{}
	}
	to.Metadata[policy.MetadataURI] = node
}

func document(xml string, err error) (*domxml.Document, error) {
	if err != nil {
		return nil, err
	}
	doc, err := domxml.Parse([]byte(xml))
	if err != nil {
		return nil, fmt.Errorf("%w: read its XML: %w", errContent, err)
	}
	return doc, nil
}

// plan plans one of the domain's XMLs.
func (f *Fixer) plan(d domxml.Domain, t *plan.Topology) (plan.Plan, error) {
	p, err := plan.Make(plan.Input{
		Domain: d, Host: t, Config: f.Config, Mode: f.Mode,
		MTU: f.MTU, All: f.All, Force: f.Force, Lower: f.Lower, Networks: f.Networks,
	})
	if err != nil {
		return p, metadataError(d.Name, err)
	}
	return p, nil
}
