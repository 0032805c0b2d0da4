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
	conn   *libvirt.Conn // lent for the time of a step
	status libvirt.Status
	// definition is nil for a transient domain, live for one that does not run.
	// saved is the managed save image's domain, where there is one.
	definition, live, saved *domxml.Document
	ignored                 bool   // it says already that it is to be left alone
	said                    string // what it said instead, for a note

	err   error // nothing more can be done for it
	parts error // what failed beside the rest
	taps  []plan.Tap
	notes []string
}

// errContent: what a domain says cannot be worked on, and another try would not
// change that.
var errContent = errors.New("it cannot be worked on")

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
		// Without it only what waits for a cold start cannot be said.
		j.saved, j.parts = document(j.conn.ManagedSaveXML(j.Domain))
	}
	if j.definition == nil {
		return
	}
	j.ignored = ignores(&j.definition.Domain) && (j.live == nil || ignores(&j.live.Domain))
	if node, ok := j.definition.Metadata[policy.MetadataURI]; ok && len(node.Attrs) > 0 {
		j.said = fmt.Sprintf(" (before: %s='%s')", node.Attrs[0].Name.Local, node.Attrs[0].Value)
	}
	if j.live != nil {
		sharePolicy(&j.definition.Domain, &j.live.Domain)
	}
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
		MTU: f.MTU, All: f.All, Force: f.Force, Lower: f.Lower,
	})
	if err != nil {
		return p, fmt.Errorf("%w: %w", errContent, err)
	}
	return p, nil
}
