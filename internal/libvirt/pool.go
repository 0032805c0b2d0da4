package libvirt

import (
	"context"
	"sync"
	"time"
)

// Pool hands out connections, each to one user at a time. A call that times out
// takes its connection with it: a domain that is busy with a migration or a backup
// must not take down the work on all the others.
type Pool struct {
	dial func() (*Conn, error)

	mu   sync.Mutex
	idle []*Conn
	err  error // why dialling failed; it is not tried again
}

// NewPool returns a pool of connections as Dial makes them. None is made yet.
func NewPool(ctx context.Context, uri string, timeout time.Duration) *Pool {
	return &Pool{dial: func() (*Conn, error) { return Dial(ctx, uri, timeout) }}
}

// Get returns a connection, which goes back by Put. Once a connection could not be
// made, every later call fails at once with that error: a daemon that hangs is
// waited for once, not for every domain.
func (p *Pool) Get() (*Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return c, nil
	}
	if p.err != nil {
		return nil, p.err
	}
	c, err := p.dial()
	p.err = err
	return c, err
}

// Err returns why a connection could not be made, nil where all could.
func (p *Pool) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Put takes a connection back. One that has failed is closed.
func (p *Pool) Put(c *Conn) {
	if c.Err() != nil {
		c.Close()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, c)
}

// Close closes the connections that have come back.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.Close()
	}
	p.idle = nil
}
