package watch

import (
	"strings"
	"testing"
	"time"
)

// What is due is so by a clock that nobody sets: every time has a monotonic reading,
// which time.Until and After go by.
func TestClockThatNobodySets(t *testing.T) {
	f := newFake()
	w := f.watcher()
	w.start(f.config)
	w.mark(func(d *dirty) {
		d.everything(settleHost)
		d.domain("a", settleDomain)
		d.domain("a", 0)
		sooner(&d.queue, lastRetry)
	})
	for name, at := range map[string]time.Time{"all": w.dirty.all, "domain": w.dirty.domains["a"], "queue": w.dirty.queue} {
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%s: %v is of a clock that can be set", name, at)
		}
	}
}
