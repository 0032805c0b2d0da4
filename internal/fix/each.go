package fix

import "sync"

// workers at once. A definition's change is mostly waiting for its file to reach
// the disk.
const workers = 4

// each calls do for every job, a few at a time, and returns when all are done. For
// that time a job has a connection, or the reason in its err why it has none.
func (f *Fixer) each(jobs []job, do func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, len(jobs)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				f.lend(&jobs[i], func() { do(i) })
			}
		}()
	}
	for i := range jobs {
		next <- i
	}
	close(next)
	wg.Wait()
}

func (f *Fixer) lend(j *job, do func()) {
	conn, err := f.Pool.Get()
	if err == nil {
		defer f.Pool.Put(conn)
		j.conn = conn
	} else if j.err == nil {
		j.err = err
	}
	do()
}

// progress counts finished jobs for whoever wants to know.
type progress struct {
	report func(done, total int)
	total  int
	mu     sync.Mutex
	done   int
}

func (p *progress) one() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done++; p.report != nil {
		p.report(p.done, p.total)
	}
}
