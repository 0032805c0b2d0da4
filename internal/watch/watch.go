package watch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
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
	full         = 10 * time.Minute
	firstRetry   = 200 * time.Millisecond
	lastRetry    = 30 * time.Second
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
	Pin(bridge string) error
	// Domains connects to libvirt, calls connected, and then tells of every domain that
	// may have changed, by UUID. It returns when the connection ends.
	Domains(ctx context.Context, connected func(), changed func(uuid string)) error
	// Requests tells that the hook has left some.
	Requests(ctx context.Context, changed func()) error
	// Fix fixes these domains, upward only; nil: all. Queued does what was asked for.
	Fix(ctx context.Context, c policy.Config, uuids []string) (fix.Report, error)
	Queued(ctx context.Context, c policy.Config) (fix.Report, error)
	// Config reads the config, and tells when it has changed.
	Config() (policy.Config, error)
	ConfigChanges(ctx context.Context, changed func()) error
	// Notify tells systemd, where it has started us.
	Notify(state string)
}

// Watcher is the daemon.
type Watcher struct {
	Host    Host
	Log     *slog.Logger
	Metrics *Metrics
	// Watchdog is how often systemd wants to hear from us; 0: it does not.
	Watchdog time.Duration

	config  policy.Config
	taps    taps
	dirty   dirty
	wake    chan struct{}
	said    map[string]string // of each domain what was last said to be wrong
	pinned  map[string]int    // bridges, and the index that they had
	libvirt bool
}

// dirty is what may not be right any more.
type dirty struct {
	sync.Mutex
	all     time.Time // everything, from then on; zero: no
	links   time.Time // the host's links, likewise
	domains map[string]time.Time
	queue   bool
	config  bool
	connect int // 1: libvirt has come, -1: it has gone
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

func (d *dirty) everything(after time.Duration) {
	at := time.Now().Add(after)
	if d.all.IsZero() || at.Before(d.all) {
		d.all = at
	}
}

// Run watches until ctx ends. The error is for a start that cannot be.
func (w *Watcher) Run(ctx context.Context) error {
	config, err := w.Host.Config()
	if err != nil {
		return err
	}
	w.start(config)
	var sources sync.WaitGroup
	for name, source := range map[string]func(context.Context) error{
		"links": func(ctx context.Context) error {
			return w.Host.Links(ctx, func(c collect.Change) {
				if w.taps.change(c) {
					w.mark(func(d *dirty) {
						d.everything(settleHost)
						if d.links.IsZero() {
							d.links = time.Now().Add(settleHost)
						}
					})
				}
			})
		},
		"libvirt": func(ctx context.Context) error {
			defer w.mark(func(d *dirty) { d.connect = -1 })
			return w.Host.Domains(ctx,
				func() { w.mark(func(d *dirty) { d.connect = 1; d.everything(0) }) },
				func(uuid string) { w.mark(func(d *dirty) { d.domain(uuid) }) })
		},
		"queue": func(ctx context.Context) error {
			return w.Host.Requests(ctx, func() { w.mark(func(d *dirty) { d.queue = true }) })
		},
		"config": func(ctx context.Context) error {
			return w.Host.ConfigChanges(ctx, func() { w.mark(func(d *dirty) { d.config = true }) })
		},
	} {
		sources.Add(1)
		go func() {
			defer sources.Done()
			w.keep(ctx, name, source)
		}()
	}
	w.Host.Notify("READY=1")
	w.loop(ctx)
	w.Host.Notify("STOPPING=1")
	sources.Wait()
	return nil
}

// Once does one reconcile of everything.
func (w *Watcher) Once(ctx context.Context) error {
	config, err := w.Host.Config()
	if err != nil {
		return err
	}
	w.start(config)
	w.taps.change(collect.Change{Resync: true})
	w.pin()
	return w.reconcile(ctx, nil)
}

func (w *Watcher) start(config policy.Config) {
	w.config = config
	w.wake = make(chan struct{}, 1)
	w.said, w.pinned, w.dirty.domains = map[string]string{}, map[string]int{}, map[string]time.Time{}
	w.taps = taps{read: w.Host.Read, raise: w.Host.Raise, log: w.Log, met: w.Metrics, pins: config.PinBridges}
}

func (d *dirty) domain(uuid string) {
	if _, ok := d.domains[uuid]; !ok {
		d.domains[uuid] = time.Now().Add(settleDomain)
	}
}

// keep runs a source for as long as ctx, with pauses that grow while it fails.
func (w *Watcher) keep(ctx context.Context, name string, source func(context.Context) error) {
	pause := firstRetry
	for {
		began := time.Now()
		err := source(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > lastRetry {
			pause = firstRetry
		}
		if pause == firstRetry || pause == lastRetry { // not each time
			w.Log.Warn("source lost", "source", name, "error", err, "again in", pause)
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
	var beat <-chan time.Time
	if w.Watchdog > 0 {
		t := time.NewTicker(w.Watchdog / 2)
		defer t.Stop()
		beat = t.C
	}
	due := time.NewTimer(full)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat:
			w.Host.Notify("WATCHDOG=1")
			continue
		case <-regular.C:
			w.mark(func(d *dirty) { d.everything(0) })
			regular.Reset(full)
		case <-w.wake:
		case <-due.C:
		}
		due.Reset(w.clean(ctx))
	}
}

// clean does what is due, and returns when the next is.
func (w *Watcher) clean(ctx context.Context) time.Duration {
	now := time.Now()
	var uuids []string
	w.dirty.Lock()
	config, queue, connect := w.dirty.config, w.dirty.queue, w.dirty.connect
	w.dirty.config, w.dirty.connect = false, 0
	switch {
	case connect != 0:
		w.libvirt = connect > 0
	}
	links := !w.dirty.links.IsZero() && !w.dirty.links.After(now)
	if links {
		w.dirty.links = time.Time{}
	}
	everything := w.libvirt && !w.dirty.all.IsZero() && !w.dirty.all.After(now)
	if everything {
		w.dirty.all, w.dirty.domains = time.Time{}, map[string]time.Time{}
	}
	if w.libvirt {
		for uuid, at := range w.dirty.domains {
			if !at.After(now) {
				uuids = append(uuids, uuid)
				delete(w.dirty.domains, uuid)
			}
		}
		w.dirty.queue = false
	}
	w.dirty.Unlock()

	if connect != 0 {
		w.Metrics.connected(w.libvirt)
		w.status()
	}
	if config && w.reload() {
		everything = w.libvirt
	}
	if links {
		w.taps.refresh()
	}
	w.pin()
	if !w.libvirt {
		return w.next() // taps go on by themselves; the rest waits for libvirt
	}
	switch {
	case everything:
		w.again(w.reconcile(ctx, nil), nil)
	case len(uuids) > 0:
		w.again(w.reconcile(ctx, uuids), uuids)
	}
	if queue {
		w.queued(ctx)
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
		w.dirty.domains[u] = time.Now().Add(lastRetry)
	}
}

// next is how long it is until something is due.
func (w *Watcher) next() time.Duration {
	w.dirty.Lock()
	defer w.dirty.Unlock()
	next := full
	if !w.dirty.links.IsZero() {
		next = time.Until(w.dirty.links)
	}
	if !w.libvirt {
		return max(next, 0)
	}
	if !w.dirty.all.IsZero() {
		next = min(next, time.Until(w.dirty.all))
	}
	for _, at := range w.dirty.domains {
		next = min(next, time.Until(at))
	}
	return max(next, 0)
}

// reload takes a changed config; a broken one leaves the old in force.
func (w *Watcher) reload() bool {
	config, err := w.Host.Config()
	if err != nil {
		w.Metrics.failed("config")
		w.Log.Error("config not taken, the old one holds", "error", err)
		return false
	}
	w.config = config
	w.taps.mu.Lock()
	w.taps.pins = config.PinBridges
	w.taps.mu.Unlock()
	w.Log.Info("config taken")
	return true
}

// pin pins the bridges that guests' taps are on, each once.
func (w *Watcher) pin() {
	if !w.config.PinBridges {
		return
	}
	w.taps.mu.Lock()
	bridges := w.taps.pinnable()
	w.taps.mu.Unlock()
	for name, index := range bridges {
		if w.pinned[name] == index {
			continue
		}
		if err := w.Host.Pin(name); err != nil {
			if !errors.Is(err, tap.ErrNotBridge) {
				w.Metrics.failed("pin")
				w.Log.Error("pin bridge", "bridge", name, "error", err)
			}
			continue
		}
		w.pinned[name] = index
		w.Log.Info("bridge pinned", "bridge", name)
	}
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
		for _, i := range d.Interfaces {
			if i.Action == plan.Skip && i.Ignored() {
				return true
			}
		}
	}
	return false
}
