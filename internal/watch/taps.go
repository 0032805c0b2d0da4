package watch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"regexp"
	"slices"
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

	reading sync.Mutex // held while the host is read, so that the newest reading stays

	mu sync.Mutex
	// known is the host as it was last read, but for taps: what has come since is not
	// in it.
	known *plan.Topology
	links map[string]host.Link // those known that are no taps
	// late are taps told of while the host is being read, by name: nil while it is not.
	late map[string]host.Link
	// left are taps that were left to a reconcile, as they were then.
	left map[string]host.Link
	// void are bridges, by name, that went since known was read, or whose name another
	// has got: what is known of them is not to be gone by. With the number of the change.
	void    map[string]int
	changes int
	// wired are bridges, by name, that had uplinks when they were last read or before,
	// with their indexes.
	wired map[string]int
	// bereft are those that have none now, as was said.
	bereft map[string]int
	// quick: nobody is known to want to be left alone, so that a tap need not wait for
	// libvirt to say whose it is.
	quick bool
	pins  bool // bridges are to be pinned
	// stale: known has to be read anew.
	stale chan struct{}
}

// change takes what the kernel tells of one link, and reports whether domains may be
// concerned whatever the host is like when it has settled: a tap that is not ours to
// judge, or a number that went down, for who looked at it then.
func (t *taps) change(c collect.Change) (dirty bool) {
	if c.Resync {
		t.reread()
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !c.Link.Tap:
		return t.other(c)
	case c.Gone || c.Link.Master == "":
		delete(t.left, c.Link.Name)
		delete(t.late, c.Link.Name)
		return false
	}
	if t.late != nil {
		t.late[c.Link.Name] = c.Link
	}
	dirty = t.tap(c.Link)
	if dirty || t.pins && !t.known.Has(c.Link.Name) { // a bridge may be pinned now that was not
		t.outdated()
	}
	return dirty
}

// other takes a link that is no tap.
func (t *taps) other(c collect.Change) (dirty bool) {
	before, ok := t.links[c.Link.Name]
	if ok && (c.Gone || before.Index != c.Link.Index) {
		t.void[c.Link.Name] = t.changes
		t.changes++
	}
	switch {
	case c.Gone && !ok:
		return false
	case !c.Gone && ok && before.MTU == c.Link.MTU && before.Master == c.Link.Master && before.Index == c.Link.Index:
		return false // up, down, and the like
	}
	// Not read at once: a bridge that is being pinned has an odd value for a moment,
	// and one that its ports move has several.
	t.outdated()
	return ok && !c.Gone && c.Link.MTU < before.MTU
}

func (t *taps) outdated() {
	select {
	case t.stale <- struct{}{}:
	default: // it is known
	}
}

// settle reads the host anew some time after something has changed, until ctx ends, and
// tells each time whether plans may have changed with it.
func (t *taps) settle(ctx context.Context, done func(changed bool)) {
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
		select {
		case <-t.stale: // meanwhile
		default:
		}
		done(t.reread())
	}
}

// reread reads the host anew, brings its taps to what that means, and reports whether
// that may change any plan. What is told meanwhile does not wait for it.
func (t *taps) reread() (changed bool) {
	t.reading.Lock()
	defer t.reading.Unlock()
	t.mu.Lock()
	t.late = map[string]host.Link{}
	read := t.changes
	t.mu.Unlock()

	s := t.amend(t.read())
	known, links := plan.NewTopology(&s), map[string]host.Link{}
	var all []host.Link
	for _, l := range s.Links {
		if l.Tap {
			all = append(all, l)
		} else {
			links[l.Name] = l
		}
	}
	outlooks := known.Outlooks()

	t.mu.Lock()
	defer t.mu.Unlock()
	changed = t.known == nil || !maps.Equal(t.known.Outlooks(), outlooks)
	t.lowered(links)
	t.known, t.links = known, links
	t.uplinks(outlooks)
	maps.DeleteFunc(t.void, func(_ string, change int) bool { return change < read })
	maps.DeleteFunc(t.left, func(name string, _ host.Link) bool { return !known.Has(name) && t.late[name].Name == "" })
	// Those told of meanwhile were judged by what was known before.
	for _, l := range slices.Concat(all, slices.Collect(maps.Values(t.late))) {
		if l.Master != "" {
			changed = t.tap(l) || changed
		}
	}
	t.late = nil
	return changed
}

// uplinks notes which bridges have uplinks, and tells of those that have lost theirs.
func (t *taps) uplinks(outlooks map[string]plan.Outlook) {
	maps.DeleteFunc(t.wired, func(name string, index int) bool { return t.links[name].Index != index })
	for name, o := range outlooks {
		index, was := t.wired[name]
		switch {
		case o.Wired:
			t.wired[name] = t.links[name].Index
			delete(t.bereft, name)
		case was && t.bereft[name] != index:
			t.bereft[name] = index
			t.log.Warn("bridge has lost its uplinks; nothing on it is raised until it has one again, or by virt-mtu fix", "bridge", name)
		}
	}
	maps.DeleteFunc(t.bereft, func(name string, index int) bool { return t.wired[name] != index })
}

// amend puts into what was read of the host which bridges have lost their uplinks: what
// they carry is not what they say. That is known where a bridge has been read before.
func (t *taps) amend(s host.Snapshot) host.Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range s.Links {
		l := &s.Links[i]
		if index, ok := t.wired[l.Name]; ok {
			l.Bereft = index == l.Index // and where it has uplinks that counts for nothing
		}
	}
	return s
}

// lowered tells of bridges that were lowered: they are nobody's to change here.
func (t *taps) lowered(links map[string]host.Link) {
	for name, l := range links {
		if was, ok := t.links[name]; ok && l.Kind == "bridge" && l.MTU < was.MTU {
			t.log.Warn("bridge lowered; nothing follows it down", "bridge", name, "from", was.MTU, "to", l.MTU)
		}
	}
}

// tap raises a tap, or leaves it to a reconcile: once, as long as it stays as it is.
func (t *taps) tap(l host.Link) (dirty bool) {
	began := time.Now()
	if _, void := t.void[l.Master]; void {
		return false // it is looked at when its bridge has been
	}
	want, why := t.known.TapMTU(l.Master)
	if want == 0 || l.MTU >= want {
		delete(t.left, l.Name)
		return false
	}
	if !t.quick || !generated.MatchString(l.Name) {
		return t.leave(l)
	}
	before, err := t.raise(l.Name, l.Master, want)
	switch {
	case errors.Is(err, tap.ErrGone), errors.Is(err, tap.ErrNotPort), errors.Is(err, tap.ErrNotTap):
		return false // it went on meanwhile
	case err != nil:
		t.met.failed("tap")
		t.log.Error("raise tap", "tap", l.Name, "bridge", l.Master, "error", err)
		return t.leave(l)
	case before < want:
		t.met.Taps.Inc()
		t.log.Info("tap raised", "tap", l.Name, "bridge", l.Master, "from", before, "to", want, "because", why, "took", time.Since(began))
	}
	return false
}

// leave leaves a tap to a reconcile, and reports whether there has to be one.
func (t *taps) leave(l host.Link) (dirty bool) {
	was := t.left[l.Name]
	t.left[l.Name] = l
	return was.Index != l.Index || was.MTU != l.MTU || was.Master != l.Master
}

// pinnable are the bridges with a port that libvirt has made, none of which something
// may be holding down. The caller holds t.mu.
func (t *taps) pinnable() map[string]host.Link {
	out := map[string]host.Link{}
	if t.known == nil {
		return out
	}
	for name, l := range t.links {
		if l.Kind == "bridge" && t.known.Steady(name) {
			out[name] = l
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
