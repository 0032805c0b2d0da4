package fix

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

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
		return changed, f.forget(j, before, record)
	}
	for i, to := range edits {
		record = record.Intend(j.definition.NICs[i].MAC, j.definition.NICs[i].MTU, to, p.NICs[i].Asked)
	}
	if f.Undo {
		record = before // it names what is there; there is nothing to intend
	}
	if err := f.write(j, before, record); err != nil {
		return changed, err
	}
	done, err := f.update(j, record, edits)
	for i := range done {
		j.done[j.definition.NICs[i].MAC] = newInterface(p.NICs[i])
	}
	if settled := f.settle(j, record, done); err == nil {
		err = settled
	}
	return changed || len(done) > 0, err
}

// ignores reports whether the domain's own setting is to leave it alone.
func ignores(d *domxml.Domain) bool {
	s, err := plan.OwnSetting(d)
	return err == nil && s != nil && s.Kind == policy.Ignore
}

// forget drops from the record what somebody has changed since. It is no longer
// ours; to leave it in would make it ours again should that value ever come back.
func (f *Fixer) forget(j *job, before, record owned.Record) error {
	left := record.Settle(j.definition.NICs)
	if before.XML() == left.XML() {
		return nil
	}
	if err := f.write(j, before, left); err != nil {
		return err
	}
	for _, e := range record {
		if _, ok := left.Of(e.MAC); !ok {
			j.notes = append(j.notes, fmt.Sprintf("what virt-mtu had set on NIC %s is not there any more: forgotten", e.MAC))
		}
	}
	return f.settle(j, left, nil)
}

// write puts a record in the place of the one that the plan was made with.
func (f *Fixer) write(j *job, before, record owned.Record) error {
	if before.XML() == record.XML() {
		return nil
	}
	if _, err := f.asPlanned(j, before, nil); err != nil {
		return err
	}
	return j.setRecord(record)
}

func (j *job) setRecord(record owned.Record) error {
	return j.conn.SetMetadata(j.Domain, owned.Key, owned.URI, record.XML(), false)
}

// update sets the interfaces, each of a definition that is still the one that was
// planned, and returns those that it has set: NIC index to MTU.
func (f *Fixer) update(j *job, record owned.Record, edits map[int]int) (done map[int]int, err error) {
	done = map[int]int{}
	for i := range j.definition.NICs {
		mtu, ok := edits[i]
		if !ok {
			continue
		}
		now, err := f.asPlanned(j, record, done)
		if err != nil {
			return done, err
		}
		if err := j.conn.UpdateInterface(j.Domain, string(now.Interface(i, mtu))); err != nil {
			return done, err
		}
		done[i] = mtu
	}
	return done, nil
}

// asPlanned reads the definition. errMeanwhile where the plan may not be right for it
// any more, or its record is another; the interfaces that are done do not count.
func (f *Fixer) asPlanned(j *job, record owned.Record, done map[int]int) (*domxml.Document, error) {
	now, err := document(j.conn.PersistentXML(j.Domain))
	if err != nil {
		return nil, err
	}
	there, err := owned.FromMetadata(now.Metadata)
	switch {
	case err != nil, there.XML() != record.XML(), now.Name != j.definition.Name, !sameInterfaces(now, j.definition, done):
		return nil, errMeanwhile
	case !f.Undo && !reflect.DeepEqual(now.Metadata[policy.MetadataURI], j.policy):
		return nil, errMeanwhile
	}
	return now, nil
}

// settle reads back what the definition has come to, and brings its record to that.
// Others may put a definition with another record, or none, in its place at any time:
// so it goes by the record that is there, and looks again after each write. What was
// just set and is on its NIC without a record gets it back, or undo would miss it.
func (f *Fixer) settle(j *job, record owned.Record, done map[int]int) error {
	for range tries {
		now, err := document(j.conn.PersistentXML(j.Domain))
		if err != nil {
			return err
		}
		there, err := owned.FromMetadata(now.Metadata)
		if err != nil {
			return metadataError(now.Name, err)
		}
		left, missing := there.Settle(now.NICs), ""
		for i, nic := range j.definition.NICs {
			mtu, ok := done[i]
			n, _ := plan.SameNIC(now.NICs, nic.MAC, i)
			switch {
			case !ok:
			case n.MTU != mtu:
				missing = nic.MAC
			case f.Undo: // an admin's own value may be the very one that was ours
				left = left.Take(nic.MAC, nil)
			case !left.Owns(nic.MAC, mtu) && shows(now, j.definition, i):
				left = left.Take(nic.MAC, record.Settle(now.NICs))
			}
		}
		switch {
		case left.XML() != there.XML():
			if err := j.setRecord(left); err != nil {
				return err
			}
		case missing != "":
			return fmt.Errorf("libvirt took the change of NIC %s, but its definition does not show it: %w", missing, errMeanwhile)
		default:
			return nil
		}
	}
	return errMeanwhile
}

// sameInterfaces reports whether two dumps of a definition have the same interfaces,
// byte for byte; but for some, by index, which need only be there.
func sameInterfaces(a, b *domxml.Document, but map[int]int) bool {
	if len(a.NICs) != len(b.NICs) {
		return false
	}
	for i := range a.NICs {
		_, ok := but[i]
		if ok && a.NICs[i].MAC != b.NICs[i].MAC || !ok && !bytes.Equal(a.Interface(i, a.NICs[i].MTU), b.Interface(i, b.NICs[i].MTU)) {
			return false
		}
	}
	return true
}

// shows reports whether a definition has one interface of another, with whatever MTU.
func shows(now, other *domxml.Document, i int) bool {
	for k := range now.NICs {
		if bytes.Equal(now.Interface(k, 0), other.Interface(i, 0)) {
			return true
		}
	}
	return false
}

// diff shows the change to a definition, without its secrets.
func (j *job) diff(edits map[int]int) ([]byte, error) {
	doc, err := document(j.conn.PersistentXMLPublic(j.Domain))
	if err != nil {
		return nil, err
	}
	if !sameInterfaces(doc, j.definition, nil) {
		return nil, errMeanwhile
	}
	return diff.Diff(j.Name+".xml", doc.Bytes(), j.Name+".xml (fixed)", doc.Splice(edits)), nil
}
