package watch

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"virt-mtu/internal/collect"
	"virt-mtu/internal/host"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/tap"
)

// generated is a tap's name that libvirt has made up; the prefix is reserved for that
// (VIR_NET_GENERATED_VNET_PREFIX). Others may be anybody's: libvirt has to say first
// that they are a domain's.
var generated = regexp.MustCompile(`^vnet[0-9]+$`)

// taps raises taps as the kernel tells of them.
type taps struct {
	read  func() host.Snapshot
	raise func(dev, bridge string, mtu int) (before int, err error)
	log   *slog.Logger
	met   *Metrics

	mu sync.Mutex
	// known is the host as it was last read, but for taps: what has come since is not
	// in it.
	known *plan.Topology
	links map[string]host.Link // those known that are no taps
	// quick: nobody is known to want to be left alone, so that a tap need not wait for
	// libvirt to say whose it is.
	quick bool
	pins  bool // bridges are to be pinned
	// stale: known has to be read anew.
	stale chan struct{}
}

// change takes what the kernel tells of one link, and reports whether domains may be
// concerned: a tap that is not ours to judge, a bridge or an uplink that has changed.
func (t *taps) change(c collect.Change) (dirty bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case c.Resync:
		t.reread()
		dirty = true
	case !c.Link.Tap:
		dirty = t.other(c)
	case c.Gone || c.Link.Master == "":
		return false
	default:
		// A bridge may be pinned now that was not.
		dirty = t.tap(c.Link) || t.pins && !t.known.Has(c.Link.Name)
	}
	if dirty {
		t.outdated()
	}
	return dirty
}

// other takes a link that is no tap.
func (t *taps) other(c collect.Change) (dirty bool) {
	before, ok := t.links[c.Link.Name]
	switch {
	case c.Gone && !ok:
		return false
	case !c.Gone && ok && before.MTU == c.Link.MTU && before.Master == c.Link.Master && before.Index == c.Link.Index:
		return false // up, down, and the like
	}
	// Not read at once: a bridge that is being pinned has an odd value for a moment,
	// and one that its ports move has several.
	return true
}

func (t *taps) outdated() {
	select {
	case t.stale <- struct{}{}:
	default: // it is known
	}
}

// settle reads the host anew some time after something has changed, until ctx ends, and
// calls done each time.
func (t *taps) settle(ctx context.Context, done func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.stale:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(settleHost):
		}
		t.mu.Lock()
		t.reread()
		t.mu.Unlock()
		done()
	}
}

// reread reads the host anew, and brings its taps to what that means.
func (t *taps) reread() {
	s := t.read()
	t.known = plan.NewTopology(&s)
	before := t.links
	t.links = map[string]host.Link{}
	var all []host.Link
	for _, l := range s.Links {
		if l.Tap {
			all = append(all, l)
		} else {
			t.links[l.Name] = l
		}
	}
	for _, l := range all {
		if l.Master != "" {
			t.tap(l)
		}
	}
	for name, l := range t.links {
		// A bridge is nobody's to change here: it is only said.
		if was, ok := before[name]; ok && l.Kind == "bridge" && l.MTU < was.MTU {
			t.log.Warn("bridge lowered; nothing follows it down", "bridge", name, "from", was.MTU, "to", l.MTU)
		}
	}
}

// tap raises a tap, or leaves it to a reconcile.
func (t *taps) tap(l host.Link) (dirty bool) {
	began := time.Now()
	want, why := t.known.TapMTU(l.Master)
	switch {
	case want == 0 || l.MTU >= want:
		return false
	case !t.quick || !generated.MatchString(l.Name):
		return true
	}
	before, err := t.raise(l.Name, l.Master, want)
	switch {
	case errors.Is(err, tap.ErrGone), errors.Is(err, tap.ErrNotPort), errors.Is(err, tap.ErrNotTap):
		return false // it went on meanwhile
	case err != nil:
		t.met.failed("tap")
		t.log.Error("raise tap", "tap", l.Name, "bridge", l.Master, "error", err)
		return true
	case before < want:
		t.met.Taps.Inc()
		t.log.Info("tap raised", "tap", l.Name, "bridge", l.Master, "from", before, "to", want, "because", why, "took", time.Since(began))
	}
	return false
}

// pinnable are the bridges with a port that libvirt has made, none of which something
// may be holding down, with their indexes. The caller holds t.mu.
func (t *taps) pinnable() map[string]int {
	out := map[string]int{}
	if t.known == nil {
		return out
	}
	for name, l := range t.links {
		if l.Kind == "bridge" && t.known.Steady(name) {
			out[name] = l.Index
		}
	}
	return out
}

func (t *taps) isQuick() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.quick
}

// set tells whether nobody wants to be left alone. If so for the first time, taps are
// raised that had to wait for it.
func (t *taps) set(quick bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if quick && !t.quick {
		t.outdated()
	}
	t.quick = quick
}
