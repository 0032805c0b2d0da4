package libvirt

import "sync"

// workers at once. Reading is mostly waiting for the daemon, changing a definition for
// its file to reach the disk.
const workers = 4

// guests at once, of those that are asked something: waiting is all that there is to do.
// Each takes one of the daemon's own workers (max_workers, 20) for that time.
const guests = 8

// Each calls do for every i below n, a few at a time, and returns when all are done.
// For that time do has a connection, or the reason why it has none. progress may be
// nil; it is called after each, never twice at once.
func (p *Pool) Each(n int, do func(i int, c *Conn, err error), progress func(done, total int)) {
	p.each(workers, n, do, progress)
}

// EachGuest is Each for what has to wait for guests, which may not answer.
func (p *Pool) EachGuest(n int, do func(i int, c *Conn, err error), progress func(done, total int)) {
	p.each(guests, n, do, progress)
}

func (p *Pool) each(workers, n int, do func(i int, c *Conn, err error), progress func(done, total int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range min(workers, n) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				p.lend(func(c *Conn, err error) { do(i, c, err) })
				mu.Lock()
				if done++; progress != nil {
					progress(done, n)
				}
				mu.Unlock()
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

func (p *Pool) lend(do func(c *Conn, err error)) {
	c, err := p.Get()
	if err == nil {
		defer p.Put(c)
	}
	do(c, err)
}
