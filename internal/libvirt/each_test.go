package libvirt

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestEach(t *testing.T) {
	const n = 50
	dialled := 0
	p := &Pool{dial: func() (*Conn, error) { dialled++; return &Conn{}, nil }}
	var mu sync.Mutex
	times := make([]int, n)
	lent := map[*Conn]bool{}
	most := 0
	var reported []int
	p.Each(n, func(i int, c *Conn, err error) {
		mu.Lock()
		if times[i]++; c == nil || err != nil || lent[c] {
			t.Errorf("%d: connection %p, lent already %v, %v", i, c, lent[c], err)
		}
		lent[c] = true
		most = max(most, len(lent))
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		delete(lent, c)
		mu.Unlock()
	}, func(done, total int) {
		if reported = append(reported, done); total != n {
			t.Errorf("%d in all", total)
		}
	})
	if slices.ContainsFunc(times, func(n int) bool { return n != 1 }) {
		t.Errorf("times that each was done: %v", times)
	}
	if most > workers || most < 2 || dialled > workers {
		t.Errorf("%d at once over %d connections, want up to %d", most, dialled, workers)
	}
	if !slices.IsSorted(reported) || len(reported) != n || reported[n-1] != n {
		t.Errorf("progress: %v", reported)
	}
}

// TestEachWithout: without a connection each is told why, and the daemon asked once.
func TestEachWithout(t *testing.T) {
	gone := errors.New("gone")
	dialled := 0
	p := &Pool{dial: func() (*Conn, error) { dialled++; return nil, gone }}
	told := make([]error, 9)
	p.Each(len(told), func(i int, c *Conn, err error) { told[i] = err }, nil)
	if dialled != 1 || slices.ContainsFunc(told, func(err error) bool { return err != gone }) {
		t.Errorf("dialled %d times, told %v", dialled, told)
	}
	p.Each(0, func(int, *Conn, error) { t.Error("called for nothing") }, nil)
}
