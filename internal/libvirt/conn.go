package libvirt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// Conn is one connection to a libvirt daemon. Several goroutines may call it at
// once; the daemon works on five calls of a client at a time (max_client_requests)
// and lets the rest wait, which counts against their deadlines.
//
// A Conn whose call failed with ErrTimeout or ErrLost, or whose context is done,
// is of no more use: every other call, under way or later, fails with the same
// error. Dial again. A write to one busy domain (in migration, backup) is enough
// for that: libvirt lets it wait for up to 30 s.
type Conn struct {
	rpc     *golibvirt.Libvirt
	sock    net.Conn
	timeout time.Duration
	version uint64
	remote  bool // its errors are about another host
	unwatch func() bool
	done    chan struct{}   // closed with the connection
	reading context.Context // until nothing more will be read from it

	mu         sync.Mutex
	cause      error // why the connection is closed; nil while it is open
	closing    bool  // by Close
	subscribed bool
}

// Dial connects to the libvirt daemon of this host. An empty uri is
// $LIBVIRT_DEFAULT_URI, else qemu:///system. No call, and not Dial itself, takes
// longer than timeout, which must be positive. The connection lives no longer
// than ctx: its end also ends the calls that are under way.
//
// Errors: ErrRemote, ErrTimeout, ErrLost, ErrDenied; fs.ErrNotExist where there is
// no socket, fs.ErrPermission where it may not be opened, syscall.ECONNREFUSED
// where nobody listens.
func Dial(ctx context.Context, uri string, timeout time.Duration) (*Conn, error) {
	addr, err := parseURI(named(uri))
	if err != nil && uri == "" {
		err = fmt.Errorf("%s: %w", EnvURI, err)
	}
	if err != nil {
		return nil, err
	}
	path, err := addr.socket()
	if err != nil {
		return nil, fmt.Errorf("connect to libvirt: %w", socketError{err})
	}
	dialer := net.Dialer{Timeout: timeout}
	sock, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		// *net.OpError says "dial unix PATH: connect: why".
		return nil, fmt.Errorf("connect to libvirt: %w", socketError{err})
	}
	c, err := converse(ctx, sock, addr.name, timeout)
	if err != nil {
		return nil, fmt.Errorf("connect to libvirt at %s: %w", path, err)
	}
	return c, nil
}

// converse opens name, the URI that the daemon understands, over a connection to it,
// which it closes where that fails.
func converse(ctx context.Context, sock net.Conn, name string, timeout time.Duration) (*Conn, error) {
	reading, ended := context.WithCancel(context.Background())
	c := &Conn{sock: sock, timeout: timeout, done: make(chan struct{}), reading: reading}
	c.rpc = golibvirt.NewWithDialer(given{sock, func(err error) { c.fail(err); ended() }})
	c.unwatch = context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })
	err := c.call(func() (err error) {
		if err := c.rpc.ConnectToURI(golibvirt.ConnectURI(name)); err != nil {
			return err
		}
		c.version, err = c.rpc.ConnectGetLibVersion()
		return err
	})
	if err != nil {
		c.unwatch()
		c.fail(err)
		return nil, err
	}
	return c, nil
}

// given is a dialer for the one connection that is already there. go-libvirt must
// not have a dialer that dials: nothing else could then close what it opened.
//
// It also tells of its end. go-libvirt's Disconnected does not always: a connection
// that ends while it is being made stays connected there.
type given struct {
	net.Conn
	ended func(error) // why; may be called more than once
}

func (g given) Dial() (net.Conn, error) { return g, nil }

func (g given) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	switch {
	case errors.Is(err, ErrForeign):
		g.ended(err)
	case err != nil:
		g.ended(ErrLost)
	}
	return n, err
}

// Version returns the daemon's version as libvirt counts it:
// 1,000,000 * major + 1,000 * minor + release.
func (c *Conn) Version() uint64 { return c.version }

// Close ends the connection, and with it every call that is under way.
func (c *Conn) Close() {
	c.mu.Lock()
	c.closing = true // the daemon's end of it is no loss
	c.mu.Unlock()
	// Without a goodbye the daemon logs an error for every connection that ends.
	// It is a courtesy, so a daemon that hangs is not waited for.
	timer := time.AfterFunc(min(c.timeout, time.Second), func() { c.fail(ErrClosed) })
	defer timer.Stop()
	_ = c.call(c.rpc.ConnectClose)
	c.unwatch()
	c.fail(ErrClosed)
}

// Done is closed when the connection ends. Err says why. A daemon that hangs does not
// end it: see Ping.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, nil while it is open: ErrLost, ErrTimeout,
// ErrClosed, or the cause of its context's end.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Ping asks the daemon for a sign of life. It answers this even while its ordinary
// workers are all busy (@priority: high in remote_protocol.x) and guests or hooks hang;
// neither it nor go-libvirt sends keepalives. ErrTimeout, and the connection is closed,
// where it is stopped or hangs.
func (c *Conn) Ping() error {
	err := c.call(func() error {
		_, err := c.rpc.ConnectGetLibVersion()
		return err
	})
	if err != nil {
		return fmt.Errorf("ping libvirt: %w", err)
	}
	return nil
}

// fail closes the connection. The first cause stands.
func (c *Conn) fail(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		if c.closing && errors.Is(cause, ErrLost) {
			cause = ErrClosed
		}
		c.cause = cause
		close(c.done)
	}
	c.mu.Unlock()
	c.sock.Close()
}

// call makes one or a few remote calls under one deadline.
//
// go-libvirt can neither abandon a call nor be given a deadline; a read deadline
// on the socket sends its reader into a busy loop. Closing the socket is what
// makes every call return and its goroutines end.
func (c *Conn) call(f func() error) error { return c.callWithin(c.timeout, f) }

// callWithin is call with a deadline of its own.
func (c *Conn) callWithin(timeout time.Duration, f func() error) error {
	err := c.callOnce(timeout, f)
	if err != nil && c.remote {
		err = remoteError{err}
	}
	return err
}

func (c *Conn) callOnce(timeout time.Duration, f func() error) error {
	if err := c.Err(); err != nil {
		return err
	}
	timer := time.AfterFunc(timeout, func() { c.fail(timeoutError{timeout}) })
	defer timer.Stop()
	err := f()
	if err == nil {
		return nil
	}
	if e := (golibvirt.Error{}); errors.As(err, &e) {
		return rpcError(e)
	}
	if broken(err) {
		c.fail(ErrLost)
		return c.Err()
	}
	return err
}

// broken reports whether go-libvirt's error means that the connection is gone.
func broken(err error) bool {
	var netErr net.Error
	return errors.Is(err, golibvirt.ErrInterrupted) || // it went while waiting for the answer
		errors.Is(err, syscall.EINVAL) || // it had gone before
		errors.As(err, &netErr) // it went while sending
}
