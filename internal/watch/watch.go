package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"virt-mtu/internal/collect"
	"virt-mtu/internal/fix"
	"virt-mtu/internal/host"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/tap"
)

// How long things are let settle, and how often everything is looked at.
const (
	settleDomain = 30 * time.Millisecond  // a define comes as several events
	settleHost   = 300 * time.Millisecond // a bridge that changes does so several times
	settleConfig = 200 * time.Millisecond // a file that is written is empty at first
	full         = 10 * time.Minute
	firstRetry   = 200 * time.Millisecond
	lastRetry    = 5 * time.Second  // where libvirt does not answer
	retryDomain  = 30 * time.Second // where it says no to one domain
)

// Host is what the daemon sees and does: the real one is System's. Each source calls
// back until its context ends, or returns an error and is started again.
type Host interface {
	// Read reads the links of this host.
	Read() host.Snapshot
	// Links tells of every change of a link; the first is a Resync.
	Links(ctx context.Context, changed func(collect.Change)) error
	// Raise raises a tap, as tap.Raise; Pin pins a bridge, as tap.Pin.
	Raise(dev, bridge string, mtu int) (before int, err error)
	Pin(bridge string, mtu int) error
	// Domains connects to libvirt, calls connected, and then tells of every domain that
	// may have changed, by UUID. It returns when the connection ends.
	Domains(ctx context.Context, connected func(), changed func(uuid string)) error
	// Requests tells that the hook has left some.
	Requests(ctx context.Context, changed func()) error
	// Fix fixes these domains, upward only; nil: all. Queued does what was asked for.
	// With an error the report is of what was done all the same. What they read of the
	// links goes through amend.
	Fix(ctx context.Context, c policy.Config, uuids []string, amend Amend) (fix.Report, error)
	Queued(ctx context.Context, c policy.Config, amend Amend) (fix.Report, error)
	// Config reads the config, and tells when it has changed.
	Config() (policy.Config, error)
	ConfigChanges(ctx context.Context, changed func()) error
	// Notify tells systemd, where it has started us.
	Notify(state string)
}

// Amend puts what the daemon knows of the links into what is read of them.
type Amend func(host.Snapshot) host.Snapshot

// Watcher is the daemon.
type Watcher struct {
	Host    Host
	Log     *slog.Logger
	Metrics *Metrics
	// Watchdog is how often systemd wants to hear from us; 0: it does not.
	Watchdog time.Duration

	config  atomic.Pointer[policy.Config] // in force
	taps    taps
	dirty   dirty
	wake    chan struct{}
	said    map[string]string        // of each domain what was last said to be wrong
	failing map[string]string        // of each kind of work why it last could not be done
	pinned  map[string]int           // bridges, and the index that they had
	pauses  map[string]time.Duration // until a domain that failed was tried again, the last time
	libvirt bool
	busy    atomic.Pointer[time.Time] // since when the loop is cleaning; nil: it waits
}

// dirty is what may not be right any more, and from when on it is to be looked at;
// zero: it is not.
type dirty struct {
	sync.Mutex
	all     time.Time
	domains map[string]time.Time
	queue   time.Time
	config  time.Time
	connect int // 1: libvirt has come, -1: it has gone
}

// sooner moves a time forward, never back.
func sooner(t *time.Time, after time.Duration) {
	if at := time.Now().Add(after); t.IsZero() || at.Before(*t) {
		*t = at
	}
}

// take reports whether a time has come, and clears it.
func take(t *time.Time, now time.Time) bool {
	if t.IsZero() || t.After(now) {
		return false
	}
	*t = time.Time{}
	return true
}

// mark marks something, and wakes the one who cleans up.
func (w *Watcher) mark(how func(d *dirty)) {
	w.dirty.Lock()
	how(&w.dirty)
	w.dirty.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // it is awake
	}
}

func (d *dirty) everything(after time.Duration) { sooner(&d.all, after) }

func (d *dirty) domain(uuid string, after time.Duration) {
	at := d.domains[uuid]
	sooner(&at, after)
	d.domains[uuid] = at
}

// Run watches until ctx ends. The error is for a start that cannot be.
func (w *Watcher) Run(ctx context.Context) error {
	config, err := w.Host.Config()
	if err != nil {
		return err
	}
	w.start(config)
	var sources sync.WaitGroup
	for name, source := range map[string]func(ctx context.Context, came func()) error{
		"links": func(ctx context.Context, came func()) error {
			return w.Host.Links(ctx, func(c collect.Change) {
				came()
				if w.taps.change(c) {
					w.mark(func(d *dirty) { d.everything(settleHost) })
				}
			})
		},
		"libvirt": func(ctx context.Context, came func()) error {
			defer w.mark(func(d *dirty) { d.connect = -1 })
			return w.Host.Domains(ctx,
				func() { came(); w.mark(func(d *dirty) { d.connect = 1; d.everything(0); sooner(&d.queue, 0) }) },
				func(uuid string) { w.mark(func(d *dirty) { d.domain(uuid, settleDomain) }) })
		},
		"queue": func(ctx context.Context, came func()) error {
			return w.Host.Requests(ctx, func() { came(); w.mark(func(d *dirty) { sooner(&d.queue, 0) }) })
		},
		"config": func(ctx context.Context, came func()) error {
			return w.Host.ConfigChanges(ctx, func() {
				came()
				w.mark(func(d *dirty) { d.config = time.Now().Add(settleConfig) }) // after the last
			})
		},
	} {
		sources.Add(1)
		go func() {
			defer sources.Done()
			w.keep(ctx, name, source)
		}()
	}
	// Beside the loop, which may be waiting for libvirt.
	for _, beside := range []func(){
		func() {
			w.taps.settle(ctx, func(changed bool) {
				w.mark(func(d *dirty) {
					if changed {
						d.everything(0)
					}
				})
			})
		},
		func() { w.heartbeat(ctx) },
	} {
		sources.Add(1)
		go func() {
			defer sources.Done()
			beside()
		}()
	}
	w.Host.Notify("READY=1")
	sources.Add(1)
	go func() {
		defer sources.Done()
		w.loop(ctx)
	}()
	<-ctx.Done()
	w.Host.Notify("STOPPING=1")
	ended := make(chan struct{})
	go func() {
		sources.Wait()
		close(ended)
	}()
	// Calls of libvirt end with ctx; what reads Open vSwitch may not. To be ended at any
	// moment leaves nothing that the next start does not put right.
	select {
	case <-ended:
	case <-time.After(endWait):
	}
	return nil
}

// endWait is how long the daemon waits at its end for what is under way.
const endWait = 700 * time.Millisecond

// Config is the config in force.
func (w *Watcher) Config() policy.Config {
	if c := w.config.Load(); c != nil {
		return *c
	}
	return policy.Default()
}

// Once does one reconcile of everything, and what the hook has asked for.
func (w *Watcher) Once(ctx context.Context) error {
	config, err := w.Host.Config()
	if err != nil {
		return err
	}
	w.start(config)
	w.taps.change(collect.Change{Resync: true})
	err = errors.Join(w.reconcile(ctx, nil), w.queued(ctx))
	w.taps.reread() // a tap that held its bridge down may have been raised
	err = errors.Join(err, w.pin())
	if n := len(w.said); n > 0 && err == nil {
		err = fmt.Errorf("%d domain(s) are wrong", n)
	}
	return err
}

func (w *Watcher) start(config policy.Config) {
	w.config.Store(&config)
	w.wake = make(chan struct{}, 1)
	w.said, w.failing = map[string]string{}, map[string]string{}
	w.pinned, w.dirty.domains = map[string]int{}, map[string]time.Time{}
	w.pauses = map[string]time.Duration{}
	w.taps = taps{read: w.Host.Read, raise: w.Host.Raise, log: w.Log, met: w.Metrics, pins: config.PinBridges, stale: make(chan struct{}, 1),
		left: map[string]host.Link{}, void: map[string]int{}, wired: map[string]int{}, bereft: map[string]int{}}
}

// keep runs a source for as long as ctx, with pauses that grow while it fails.
func (w *Watcher) keep(ctx context.Context, name string, source func(ctx context.Context, came func()) error) {
	pause := firstRetry
	for {
		came := false // to wait long for it is not that
		err := source(ctx, func() { came = true })
		if ctx.Err() != nil {
			return
		}
		if came {
			pause = firstRetry
		}
		if pause == firstRetry { // not each time
			w.Log.Warn("source lost", "source", name, "error", err)
		}
		w.Metrics.failed(name)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastRetry)
	}
}

// loop cleans up what is dirty, when it is due.
func (w *Watcher) loop(ctx context.Context) {
	regular := time.NewTimer(full)
	defer regular.Stop()
	due := time.NewTimer(full)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-regular.C:
			// What the kernel tells nothing of, as a tunnel's route, is read anew too.
			w.taps.outdated()
			w.mark(func(d *dirty) { d.everything(0); sooner(&d.queue, 0) })
			regular.Reset(full)
		case <-w.wake:
		case <-due.C:
		}
		if ctx.Err() != nil {
			return // that has come as well
		}
		began := time.Now() // with its monotonic reading: the clock may be set
		w.busy.Store(&began)
		due.Reset(w.clean(ctx))
		w.busy.Store(nil)
	}
}

// heartbeat tells systemd that we are alive: not from the loop, which may be at
// thousands of domains, but only while that gets anywhere.
func (w *Watcher) heartbeat(ctx context.Context) {
	if w.Watchdog <= 0 {
		return
	}
	t := time.NewTicker(w.Watchdog / 2)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if since := w.busy.Load(); since == nil || time.Since(*since) < full {
			w.Host.Notify("WATCHDOG=1")
		}
	}
}

// clean does what is due, and returns when the next is.
func (w *Watcher) clean(ctx context.Context) time.Duration {
	now := time.Now()
	var uuids []string
	var everything, queue bool
	w.dirty.Lock()
	config, connect := take(&w.dirty.config, now), w.dirty.connect
	if w.dirty.connect = 0; connect != 0 {
		w.libvirt = connect > 0
	}
	if w.libvirt { // what is of domains waits for it
		queue = take(&w.dirty.queue, now)
		if everything = take(&w.dirty.all, now); everything {
			w.dirty.domains = map[string]time.Time{}
		}
		for uuid, at := range w.dirty.domains {
			if !at.After(now) {
				uuids = append(uuids, uuid)
				delete(w.dirty.domains, uuid)
			}
		}
	}
	w.dirty.Unlock()

	if connect != 0 {
		w.Metrics.connected(w.libvirt)
		w.status()
	}
	if config && w.reload() {
		everything = w.libvirt
	}
	_ = w.pin() // tried again, and logged
	switch {
	case everything:
		w.again(w.reconcile(ctx, nil), nil)
	case len(uuids) > 0:
		w.again(w.reconcile(ctx, uuids), uuids)
	}
	if queue && ctx.Err() == nil {
		w.againQueue(w.queued(ctx))
	}
	return w.next()
}

// again marks what could not be done, to be tried once more: nil means all.
func (w *Watcher) again(err error, uuids []string) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	w.dirty.Lock()
	defer w.dirty.Unlock()
	if uuids == nil {
		w.dirty.everything(lastRetry)
	}
	for _, u := range uuids {
		w.dirty.domain(u, lastRetry)
	}
}

// againDomain has a domain tried again that failed by itself, after pauses that grow: each
// try may keep the others waiting.
func (w *Watcher) againDomain(uuid string) {
	pause := min(max(2*w.pauses[uuid], retryDomain), full)
	w.pauses[uuid] = pause
	w.dirty.Lock()
	defer w.dirty.Unlock()
	w.dirty.domain(uuid, pause)
}

// againQueue has the queue looked at once more where it could not be done, or not all.
func (w *Watcher) againQueue(err error) {
	w.dirty.Lock()
	defer w.dirty.Unlock()
	switch {
	case err == nil:
	case errors.Is(err, errAgain):
		sooner(&w.dirty.queue, retryDomain)
	default:
		sooner(&w.dirty.queue, lastRetry)
	}
}

// next is how long it is until something is due.
func (w *Watcher) next() time.Duration {
	w.dirty.Lock()
	defer w.dirty.Unlock()
	next := full
	until := func(at time.Time) {
		if !at.IsZero() {
			next = min(next, time.Until(at))
		}
	}
	until(w.dirty.config)
	if w.libvirt {
		until(w.dirty.all)
		until(w.dirty.queue)
		for _, at := range w.dirty.domains {
			until(at)
		}
	}
	return max(next, 0)
}

// reload takes a changed config, and reports whether it has changed; a broken one
// leaves the old in force.
func (w *Watcher) reload() bool {
	config, err := w.Host.Config()
	if err != nil {
		w.Metrics.failed("config")
		w.Log.Error("config not taken, the old one holds", "error", err)
		return false
	}
	if reflect.DeepEqual(config, *w.config.Load()) {
		w.Log.Debug("config is what it was")
		return false
	}
	w.config.Store(&config)
	w.taps.mu.Lock()
	w.taps.pins = config.PinBridges
	w.taps.quick = w.taps.quick && !leaves(config, fix.Report{}, false, false)
	w.taps.mu.Unlock()
	w.Log.Info("config taken")
	return true
}

// pin pins the bridges that guests' taps are on, each once.
func (w *Watcher) pin() error {
	if !w.config.Load().PinBridges {
		return nil
	}
	var failures []error
	w.taps.mu.Lock()
	bridges := w.taps.pinnable()
	w.taps.mu.Unlock()
	for name, l := range bridges {
		if w.pinned[name] == l.Index {
			continue
		}
		if err := w.Host.Pin(name, l.MTU); err != nil {
			if !errors.Is(err, tap.ErrNotBridge) && !errors.Is(err, tap.ErrMoved) { // else the kernel tells of it
				w.Metrics.failed("pin")
				w.Log.Error("pin bridge", "bridge", name, "error", err)
				failures = append(failures, err)
			}
			continue
		}
		w.pinned[name] = l.Index
		w.Log.Info("bridge pinned", "bridge", name)
	}
	return errors.Join(failures...)
}

// leaves reports whether somebody wants to be left alone, so that taps have to wait
// for libvirt to say whose they are.
func leaves(c policy.Config, r fix.Report, all bool, before bool) bool {
	if c.MTU.Kind == policy.Ignore {
		return true
	}
	for _, rule := range c.Rules {
		if rule.MTU.Kind == policy.Ignore {
			return true
		}
	}
	if !all && before {
		return true
	}
	for _, d := range r.Domains {
		if d.Error != "" && len(d.Interfaces) == 0 {
			return true // what it wants is not known
		}
		if d.Ignored() {
			return true // it may have no NIC yet
		}
		for _, i := range d.Interfaces {
			if i.Action == plan.Skip && i.Ignored() {
				return true
			}
		}
	}
	return false
}
