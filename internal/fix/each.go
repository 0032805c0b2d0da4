package fix

import "virt-mtu/internal/libvirt"

// each calls do for every job, a few at a time, and returns when all are done. For
// that time a job has a connection, or the reason in its err why it has none.
// progress may be nil.
func (f *Fixer) each(jobs []job, do func(i int), progress func(done, total int)) {
	f.Pool.Each(len(jobs), func(i int, c *libvirt.Conn, err error) {
		j := &jobs[i]
		if err == nil {
			j.conn = c
		} else if j.err == nil {
			j.err = err
		}
		do(i)
	}, progress)
}
