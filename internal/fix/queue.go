package fix

import (
	"errors"

	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/state"
)

// Queued works off the requests that the hook has left. A request is done with
// once its domain is right, or is refused, or is gone, or says what cannot be worked
// on: to try again would bring the same. Otherwise it stays for the next run.
//
// The caller holds dir's lock. The error is about requests that did not come into
// the report.
func (f *Fixer) Queued(dir *state.Dir) (Report, error) {
	none := Report{Domains: []Result{}}
	requests, err := dir.Queued()
	if err != nil {
		return none, err
	}
	conn, err := f.Pool.Get()
	if err != nil {
		return none, err
	}
	var domains []libvirt.Domain
	var problems []error
	for _, q := range requests {
		d, err := take(dir, conn, q.UUID)
		switch {
		case err != nil:
			problems = append(problems, err)
		case d.UUID != "":
			domains = append(domains, d)
		}
	}
	f.Pool.Put(conn)
	report := f.run(domains)
	for _, r := range report.Domains {
		if !r.retry {
			problems = append(problems, dir.Done(r.UUID))
		}
	}
	report.dropGone()
	return report, errors.Join(problems...)
}

// take claims a request and looks its domain up; no domain where it has been
// undefined since.
func take(dir *state.Dir, conn *libvirt.Conn, uuid string) (libvirt.Domain, error) {
	if err := dir.Claim(uuid); err != nil {
		return libvirt.Domain{}, err
	}
	d, err := conn.LookupUUID(uuid)
	if errors.Is(err, libvirt.ErrNotFound) {
		return libvirt.Domain{}, dir.Done(uuid)
	}
	return d, err
}
