package fix

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/rogpeppe/go-internal/diff"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/owned"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
)

// errMeanwhile: somebody else changed the definition while we worked on it.
var errMeanwhile = errors.New("its definition changed meanwhile: run it again")

// errTransient: there is nothing that could be undone, or kept.
var errTransient = fmt.Errorf("%w: it is transient and has no definition", errContent)

// change carries a plan out on a definition: the record of what is about to be
// set, the interfaces, the settled record. It reports whether anything was changed.
func (f *Fixer) change(j *job, p *plan.Plan) (changed bool, err error) {
	if f.Ignore && !j.ignored {
		err := j.conn.SetMetadata(j.Domain, policy.MetadataKey, policy.MetadataURI, policy.IgnoreNode, j.live != nil)
		if err != nil {
			return false, err
		}
		changed = true
		j.notes = append(j.notes, "left alone from now on: its metadata says mtu='ignore'"+j.said)
	}
	before, err := owned.FromMetadata(j.definition.Metadata)
	if err != nil {
		return changed, err
	}
	record := before
	for _, n := range p.NICs {
		if n.Ours && f.Mode == plan.Explicit && !f.Undo {
			record = record.Mark(n.XML.MAC, n.Asked)
		}
	}
	edits := p.Edits()
	if len(edits) == 0 {
		return changed, j.forget(before, record)
	}
	for i, to := range edits {
		record = record.Intend(j.definition.NICs[i].MAC, j.definition.NICs[i].MTU, to, p.NICs[i].Asked)
	}
	if f.Undo {
		record = before // it names what is there; there is nothing to intend
	}
	if err := j.write(before, record); err != nil {
		return changed, err
	}
	updated, err := j.update(edits)
	if settled := j.settle(record, edits); err == nil {
		err = settled
	}
	return changed || updated, err
}

// ignores reports whether the domain's own setting is to leave it alone.
func ignores(d *domxml.Domain) bool {
	s, err := plan.OwnSetting(d)
	return err == nil && s != nil && s.Kind == policy.Ignore
}

// forget drops from the record what somebody has changed since. It is no longer
// ours; to leave it in would make it ours again should that value ever come back.
func (j *job) forget(before, record owned.Record) error {
	left := record.Settle(j.definition.NICs)
	for _, e := range record {
		if _, ok := left.Of(e.MAC); !ok {
			j.notes = append(j.notes, fmt.Sprintf("what virt-mtu had set on NIC %s is not there any more: forgotten", e.MAC))
		}
	}
	return j.write(before, left)
}

// update sets the interfaces of a definition that is still the one that was
// planned.
func (j *job) update(edits map[int]int) (changed bool, err error) {
	now, err := document(j.conn.PersistentXML(j.Domain))
	if err != nil {
		return false, err
	}
	if !sameInterfaces(now, j.definition) {
		return false, errMeanwhile
	}
	for i := range now.NICs {
		mtu, ok := edits[i]
		if !ok {
			continue
		}
		if err := j.conn.UpdateInterface(j.Domain, string(now.Interface(i, mtu))); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}

// settle reads back what libvirt made of it, and brings the record to what is
// there.
func (j *job) settle(record owned.Record, edits map[int]int) error {
	now, err := document(j.conn.PersistentXML(j.Domain))
	if err != nil {
		return err
	}
	if err := j.write(record, record.Settle(now.NICs)); err != nil {
		return err
	}
	for i, want := range edits {
		if i >= len(now.NICs) || now.NICs[i].MTU != want {
			return fmt.Errorf("libvirt took the change of NIC %s, but its definition does not show it", j.definition.NICs[i].MAC)
		}
	}
	return nil
}

// write puts a record into the domain's metadata, unless it is there already.
func (j *job) write(old, record owned.Record) error {
	if old.XML() == record.XML() {
		return nil
	}
	return j.conn.SetMetadata(j.Domain, owned.Key, owned.URI, record.XML(), false)
}

// sameInterfaces reports whether two dumps of a definition have the same
// interfaces, byte for byte.
func sameInterfaces(a, b *domxml.Document) bool {
	if len(a.NICs) != len(b.NICs) {
		return false
	}
	for i := range a.NICs {
		if !bytes.Equal(a.Interface(i, a.NICs[i].MTU), b.Interface(i, b.NICs[i].MTU)) {
			return false
		}
	}
	return true
}

// diff shows the change to a definition, without its secrets.
func (j *job) diff(edits map[int]int) ([]byte, error) {
	doc, err := document(j.conn.PersistentXMLPublic(j.Domain))
	if err != nil {
		return nil, err
	}
	return diff.Diff(j.Name+".xml", doc.Bytes(), j.Name+".xml (fixed)", doc.Splice(edits)), nil
}
