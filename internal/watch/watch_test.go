//go:build go1.25

// Time is testing/synctest's: it goes on when all there is waits, so that a pause of ten
// minutes takes none, and what is not to happen has not.

package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/collect"
	"virt-mtu/internal/fix"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
)

// settled is longer than anything is let settle.
const settled = time.Second

// minute is nearly one: no retry falls on its end.
const minute = time.Minute - 7*time.Millisecond

// running is a daemon that has started and looked at everything.
func running(t *testing.T, f *fake) *Watcher {
	t.Helper()
	w := f.watcher()
	run(t, w)
	time.Sleep(settled)
	f.whom()
	taken(f, &f.queues)
	taken(f, &f.raised)
	f.log.take("")
	return w
}

func run(t *testing.T, w *Watcher) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	var once bool
	end = func() {
		if once {
			return
		}
		once = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		time.Sleep(time.Hour) // what takes long ends too
	}
	t.Cleanup(end)
	return end
}

func within(t *testing.T, body func(t *testing.T, f *fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { body(t, newFake()) })
}

func wantFixes(t *testing.T, f *fake, when string, want ...[]string) {
	t.Helper()
	if diff := cmp.Diff(want, f.whom()); diff != "" {
		t.Errorf("%s: fixed (-want +got):\n%s", when, diff)
	}
}

var all []string // of a fix

func TestStart(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		w := f.watcher()
		end := run(t, w)
		synctest.Wait()
		wantFixes(t, f, "at once", all)
		if got := taken(f, &f.queues); len(got) != 1 {
			t.Errorf("the queue was looked at %d times", len(got))
		}
		time.Sleep(settled)
		f.whom() // links are known by then, which may have been after the first
		time.Sleep(full - 2*settled)
		wantFixes(t, f, "later")
		time.Sleep(2 * settled)
		for range 2 {
			wantFixes(t, f, "in its time", all)
			if got := taken(f, &f.queues); len(got) != 1 {
				t.Errorf("the queue was looked at %d times", len(got))
			}
			time.Sleep(full)
		}
		end()
		if first, last := f.notes[0], f.notes[len(f.notes)-1]; first != "READY=1" || last != "STOPPING=1" {
			t.Errorf("systemd was told %q first and %q last", first, last)
		}
	})
}

func TestBrokenConfigAtStart(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		f.broken = errors.New("row 1")
		if err := f.watcher().Run(t.Context()); !errors.Is(err, f.broken) {
			t.Errorf("run: %v", err)
		}
		if err := (&Watcher{Host: f, Log: f.log.logger()}).Once(t.Context()); !errors.Is(err, f.broken) {
			t.Errorf("once: %v", err)
		}
		wantFixes(t, f, "without a config")
	})
}

// An event marks, and whoever tells of it does not wait for what is done about others.
func TestEventsMark(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		busy := make(chan struct{})
		f.with(func() {
			f.fix = func([]string) (fix.Report, error) { <-busy; return report(), nil }
		})
		f.domain("first")
		time.Sleep(settled)
		wantFixes(t, f, "the first", []string{"first"})
		var names []string
		for i := range 1000 {
			names = append(names, fmt.Sprintf("d%03d", i))
			f.domain(names[i])
			f.domain("first")
			f.link(tapLink(fmt.Sprintf("vnet%d", i), "br0", 1500))
		}
		synctest.Wait()
		if n := len(f.domains) + len(f.links); n != 0 {
			t.Errorf("%d events wait for a fix that takes long", n)
		}
		if n := len(taken(f, &f.raised)); n != 1000 {
			t.Errorf("%d taps were raised meanwhile", n)
		}
		wantFixes(t, f, "meanwhile")
		close(busy)
		time.Sleep(settled)
		wantFixes(t, f, "then", append(names, "first"))
	})
}

func TestManyEventsOneFix(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		for range 1000 {
			f.domain("a")
		}
		time.Sleep(settled)
		wantFixes(t, f, "1,000 events at once", []string{"a"})

		// Nor are they put off for ever where they do not end.
		for range 100 {
			f.domain("a")
			time.Sleep(time.Millisecond)
		}
		if n := len(f.whom()); n < 2 || n > 4 {
			t.Errorf("%d fixes in 100 ms of events", n)
		}
	})
}

// A look at everything is one at those who wait as well.
func TestEverythingIsAll(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		f.comes(bridgeLink("br9", 9, 1500))
		time.Sleep(settleHost - settleDomain/2)
		f.domain("a")
		time.Sleep(settled)
		wantFixes(t, f, "with one that waits", all)
	})
}

// What a fix does is told as an event too.
func TestFixTellsOfItself(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		todo := true
		f.with(func() {
			f.fix = func(uuids []string) (fix.Report, error) {
				if todo {
					todo = false
					f.domain("a")
				}
				return report(result("a")), nil
			}
		})
		f.domain("a")
		time.Sleep(time.Minute)
		wantFixes(t, f, "a change of its own", []string{"a"}, []string{"a"})
	})
}

// A fix that failed as a whole is tried again, not at once, and without an end.
func TestFailedFix(t *testing.T) {
	for _, uuids := range [][]string{{"a", "b"}, all} {
		within(t, func(t *testing.T, f *fake) {
			running(t, f)
			f.with(func() {
				f.fix = func([]string) (fix.Report, error) { return fix.Report{}, errors.New("no answer") }
			})
			for _, u := range uuids {
				f.domain(u)
			}
			if uuids == nil {
				f.comes(bridgeLink("br9", 9, 1500))
			}
			time.Sleep(minute)
			calls := taken(f, &f.fixes)
			if n := len(calls); n < 4 || n > 20 {
				t.Errorf("%v: %d tries in a minute", uuids, n)
			}
			for i, c := range calls {
				if diff := cmp.Diff(uuids, c.UUIDs); diff != "" {
					t.Errorf("try %d of %v (-want +got):\n%s", i, uuids, diff)
				}
				if i > 0 && c.At-calls[i-1].At < time.Second {
					t.Errorf("%v: try %d after %v", uuids, i, c.At-calls[i-1].At)
				}
			}
			if n := len(f.log.take("no answer")); n != 1 {
				t.Errorf("%v: said %d times", uuids, n)
			}
			if got := f.metrics(t)["errors_total reconcile"]; got != float64(len(calls)) {
				t.Errorf("%v: %v errors counted", uuids, got)
			}
			f.with(func() { f.fix = func([]string) (fix.Report, error) { return report(), nil } })
			time.Sleep(lastRetry)
			wantFixes(t, f, "when it works again", uuids)
			time.Sleep(minute)
			wantFixes(t, f, "after that")

			f.with(func() { f.fix = func([]string) (fix.Report, error) { return fix.Report{}, errors.New("no answer") } })
			f.domain("c")
			time.Sleep(settled)
			if n := len(f.log.take("no answer")); n != 1 {
				t.Errorf("%v: said %d times when it fails anew", uuids, n)
			}
		})
	}
}

// An event does not wait for another try's time, nor does one that comes during a fix
// that fails.
func TestEventBeforeRetry(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		var fails error = errors.New("no answer")
		f.with(func() {
			f.fix = func([]string) (fix.Report, error) {
				time.Sleep(10 * time.Second)
				return fix.Report{}, fails
			}
		})
		f.domain("a")
		time.Sleep(5 * time.Second)
		f.domain("a")
		time.Sleep(5*time.Second + 2*settleDomain)
		wantFixes(t, f, "with an event meanwhile", []string{"a"}, []string{"a"})
		time.Sleep(10 * time.Second)
		wantFixes(t, f, "before its time")
		f.domain("a")
		time.Sleep(2 * settleDomain)
		wantFixes(t, f, "with an event after", []string{"a"})
	})
}

// A domain that could not be fixed is tried again where that may help, and no other with
// it.
func TestFailedDomain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		queued bool
		again  [][]string
	}{
		{"may help", errors.New("changed meanwhile"), false, [][]string{{"bad"}, {"bad"}}},
		{"will not help", libvirt.ErrNotFound, false, nil},
		{"asked for by the hook", errors.New("changed meanwhile"), true, [][]string{{"bad"}, {"bad"}}},
	} {
		within(t, func(t *testing.T, f *fake) {
			running(t, f)
			f.with(func() {
				bad := func() (fix.Report, error) { return report(result("good"), failed("bad", tt.err)), nil }
				f.fix = func([]string) (fix.Report, error) { return bad() }
				if tt.queued {
					f.queued = bad
				}
			})
			if tt.queued {
				f.requests <- said[struct{}]{}
			} else {
				f.domain("bad")
				f.domain("good")
			}
			time.Sleep(settled)
			if !tt.queued {
				wantFixes(t, f, tt.name, []string{"bad", "good"})
			}
			time.Sleep(retryDomain*3 + settled) // one pause, and twice that
			wantFixes(t, f, tt.name, tt.again...)
			if n := len(f.log.take("domain is wrong")); n != 1 {
				t.Errorf("%s: said %d times", tt.name, n)
			}
		})
	}
}

func TestFailedQueue(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		f.with(func() { f.queued = func() (fix.Report, error) { return report(), errors.New("no answer") } })
		f.requests <- said[struct{}]{}
		time.Sleep(minute)
		tries := taken(f, &f.queues)
		if n := len(tries); n < 4 || n > 20 {
			t.Errorf("%d tries in a minute", n)
		}
		if n := len(f.log.take("no answer")); n != 1 {
			t.Errorf("said %d times", n)
		}
		if got := f.metrics(t)["errors_total queue"]; got != float64(len(tries)) {
			t.Errorf("%v errors counted", got)
		}
		f.with(func() { f.queued = func() (fix.Report, error) { return report(), nil } })
		time.Sleep(2 * time.Minute)
		if n := len(taken(f, &f.queues)); n != 1 {
			t.Errorf("%d tries when it works again", n)
		}
		wantFixes(t, f, "the queue's")

		// A request that stays, for a domain that may do later.
		f.with(func() { f.queued = func() (fix.Report, error) { return report(failed("a", errors.New("busy"))), nil } })
		f.requests <- said[struct{}]{}
		time.Sleep(minute)
		if n := len(taken(f, &f.queues)); n < 2 || n > 3 {
			t.Errorf("%d tries in a minute for a domain that is busy", n)
		}
		f.with(func() { f.queued = func() (fix.Report, error) { return report(), nil } })
		time.Sleep(2 * time.Minute)
		if n := len(taken(f, &f.queues)); n != 1 {
			t.Errorf("%d tries when it is not any more", n)
		}
	})
}

// What is wrong with a domain is said when it is new, and when it is over.
func TestSaidOnce(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		is := func(r ...fix.Result) {
			f.with(func() { f.fix = func([]string) (fix.Report, error) { return report(r...), nil } })
		}
		for i, step := range []struct {
			result fix.Result
			say    string
		}{
			{result("a", refused("rtl8139 cannot carry 9000")), "rtl8139 cannot carry 9000"},
			{result("a", refused("rtl8139 cannot carry 9000")), ""},
			{result("a", refused("pcnet cannot carry 9000")), "pcnet cannot carry 9000"},
			{result("a", refused("pcnet cannot carry 9000"), refused("rtl8139 cannot carry 9000")), "rtl8139 cannot carry 9000"},
			{failed("a", libvirt.ErrNotFound), libvirt.ErrNotFound.Error()},
			{failed("a", libvirt.ErrNotFound), ""},
			{result("a"), "well again"},
			{result("a"), ""},
			{result("a", refused("pcnet cannot carry 9000")), "pcnet cannot carry 9000"},
		} {
			is(step.result)
			for range 3 {
				f.domain("a")
				time.Sleep(settled)
			}
			got := f.log.take("")
			switch {
			case step.say == "" && len(got) == 0:
			case step.say != "" && len(got) == 1 && strings.Contains(got[0], step.say):
			default:
				t.Errorf("step %d: said %q, want %q", i, got, step.say)
			}
		}
		want := map[string]float64{"refusals_total": 4, "errors_total domain": 1}
		got := f.metrics(t)
		for name, n := range want {
			if got[name] != n {
				t.Errorf("%s: %v, want %v", name, got[name], n)
			}
		}
		// One that is gone is forgotten: under its UUID another may come.
		is()
		time.Sleep(full)
		is(result("a", refused("pcnet cannot carry 9000")))
		f.log.take("")
		f.domain("a")
		time.Sleep(settled)
		if got := f.log.take("pcnet"); len(got) != 1 {
			t.Errorf("after it was gone: said %q", got)
		}
	})
}

func TestSourceIsKept(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		f.linkFails = errors.New("no socket")
		run(t, f.watcher())
		time.Sleep(minute)
		starts := taken(f, &f.lost)
		pause := firstRetry
		for i := range len(starts) - 1 {
			if got := starts[i+1] - starts[i]; got != pause {
				t.Errorf("pause %d: %v, want %v", i+1, got, pause)
			}
			pause = min(2*pause, lastRetry)
		}
		if len(starts) < 10 {
			t.Errorf("started %d times in a minute", len(starts))
		}
		if got := f.log.take("no socket"); len(got) != 1 {
			t.Errorf("said %q", got)
		}
		if got := f.metrics(t)["errors_total links"]; got != float64(len(starts)) {
			t.Errorf("%v errors counted, %d starts", got, len(starts))
		}

		// After it has been there, pauses begin anew.
		f.with(func() { f.linkFails = nil })
		time.Sleep(time.Minute)
		taken(f, &f.lost)
		f.links <- said[collect.Change]{err: errors.New("no socket")}
		ended := time.Since(f.began)
		time.Sleep(time.Minute)
		if starts := taken(f, &f.lost); len(starts) != 1 || starts[0]-ended != firstRetry {
			t.Errorf("ended at %v, started at %v", ended, starts)
		}
		if got := f.log.take("no socket"); len(got) != 1 {
			t.Errorf("said %q", got)
		}
	})
}

// Each source is started again without the others noticing.
func TestEachSourceIsKept(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		lost := errors.New("lost")
		f.links <- said[collect.Change]{err: lost}
		f.domains <- said[string]{err: lost}
		f.requests <- said[struct{}]{err: lost}
		f.configs <- said[struct{}]{err: lost}
		time.Sleep(settled)
		f.whom()
		taken(f, &f.queues)
		got := f.metrics(t)
		for _, name := range []string{"links", "libvirt", "queue", "config"} {
			if got["errors_total "+name] != 1 {
				t.Errorf("%s: %v errors counted", name, got["errors_total "+name])
			}
		}
		f.link(tapLink("vnet7", "br0", 1500))
		f.domain("a")
		f.requests <- said[struct{}]{}
		f.with(func() { f.config.PinBridges = true })
		f.configs <- said[struct{}]{}
		time.Sleep(settled)
		wantFixes(t, f, "after that", []string{"a"}, all)
		if n := len(taken(f, &f.queues)); n != 1 {
			t.Errorf("the queue was looked at %d times", n)
		}
		if diff := cmp.Diff([]string{"vnet7 on br0 to 9000"}, taken(f, &f.raised)); diff != "" {
			t.Errorf("raised (-want +got):\n%s", diff)
		}
	})
}

func TestConfig(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		old := policy.Default()
		reload := func() {
			for range 5 { // as an editor does
				f.configs <- said[struct{}]{}
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(settled)
		}
		inForce := func(when string, want policy.Config) {
			t.Helper()
			f.domain("a")
			time.Sleep(settled)
			calls := taken(f, &f.fixes)
			if diff := cmp.Diff(want, calls[len(calls)-1].Config); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}

		f.with(func() { f.broken = errors.New("row 3") })
		reload()
		wantFixes(t, f, "a broken one")
		if got := f.log.take("row 3"); len(got) != 1 {
			t.Errorf("said %q", got)
		}
		if got := f.metrics(t)["errors_total config"]; got != 1 {
			t.Errorf("%v errors counted", got)
		}
		inForce("the old one holds", old)

		fresh := policy.Default()
		fresh.MTU = policy.Setting{Kind: policy.Fixed, MTU: 8000}
		f.with(func() { f.broken, f.config = nil, fresh })
		reload()
		wantFixes(t, f, "a new one", all)
		inForce("the new one holds", fresh)

		f.log.take("")
		reload()
		wantFixes(t, f, "the same again")
		if got := f.log.take(""); len(got) != 0 {
			t.Errorf("said %q", got)
		}
	})
}

// Without libvirt domains wait and taps do not.
func TestLibvirtAway(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		f.with(func() { f.away = errors.New("connection refused") })
		f.domain("early")
		f.domains <- said[string]{err: f.away}
		synctest.Wait()
		if got := f.metrics(t)["libvirt_connected"]; got != 0 {
			t.Errorf("connected: %v", got)
		}
		for i := range 30 {
			f.link(tapLink(fmt.Sprintf("vnet%d", i), "br0", 1500))
			f.link(bridgeLink("br9", 9, 1500+i))
			f.requests <- said[struct{}]{}
			time.Sleep(time.Minute)
		}
		if n := len(taken(f, &f.raised)); n != 30 {
			t.Errorf("%d of 30 taps were raised", n)
		}
		wantFixes(t, f, "while it is away")
		if n := len(taken(f, &f.queues)); n != 0 {
			t.Errorf("the queue was looked at %d times", n)
		}
		if got := f.log.take("source lost"); len(got) != 1 {
			t.Errorf("said %q", got)
		}
		dials := taken(f, &f.dials)
		if n := len(dials); n < 200 || n > 400 {
			t.Errorf("%d dials in half an hour", n)
		}
		if told := taken(f, &f.notes); !strings.Contains(told[len(told)-1], "away") {
			t.Errorf("systemd was told %q", told)
		}

		f.with(func() { f.away = nil })
		time.Sleep(2 * lastRetry)
		wantFixes(t, f, "when it is back", all)
		if n := len(taken(f, &f.queues)); n != 1 {
			t.Errorf("the queue was looked at %d times", n)
		}
		if got := f.metrics(t)["libvirt_connected"]; got != 1 {
			t.Errorf("connected: %v", got)
		}
		f.domain("a")
		time.Sleep(settled)
		wantFixes(t, f, "then", []string{"a"})
	})
}

// To wait for an answer that does not come is not to be there.
func TestLibvirtSilent(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		f.with(func() { f.away, f.silent = errors.New("no answer"), 10*time.Second })
		taken(f, &f.dials)
		f.domains <- said[string]{err: f.away}
		time.Sleep(time.Hour)
		if got := f.log.take("source lost"); len(got) != 1 {
			t.Errorf("said %d times", len(got))
		}
		if n := len(taken(f, &f.dials)); n < 200 || n > 300 {
			t.Errorf("%d dials of 10 s and pauses of 5 s in an hour", n)
		}
	})
}

// A daemon that has never heard of libvirt does not know who wants to be left alone: taps
// wait, and are raised as soon as it does.
func TestLibvirtNeverThere(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		f.away = errors.New("connection refused")
		f.snapshot.Links = append(f.snapshot.Links, tapLink("vnet0", "br0", 1500))
		run(t, f.watcher())
		time.Sleep(time.Hour)
		if got := taken(f, &f.raised); got != nil {
			t.Errorf("raised %q", got)
		}
		f.with(func() { f.away = nil })
		time.Sleep(2 * lastRetry)
		if got := taken(f, &f.raised); !slices.Contains(got, "vnet0 on br0 to 9000") {
			t.Errorf("raised %q", got)
		}
	})
}

func TestWhoIsLeftAlone(t *testing.T) {
	ignore := policy.Default()
	ignore.Rules = []policy.Rule{{Domain: "legacy-*", MTU: policy.Setting{Kind: policy.Ignore}}}
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		n := 0
		// quick: a tap is raised at once, whatever libvirt does; else domains are looked at.
		quick := func(when string, want bool) {
			t.Helper()
			f.whom()
			n++
			f.link(tapLink(fmt.Sprintf("vnet%d", n), "br0", 1500))
			synctest.Wait()
			if got := len(taken(f, &f.raised)) > 0; got != want {
				t.Errorf("%s: raised: %v", when, got)
			}
			if want {
				return
			}
			time.Sleep(settled)
			if fixes := f.whom(); len(fixes) != 1 || fixes[0] != nil {
				t.Errorf("%s: fixed %v, want everything", when, fixes)
			}
			taken(f, &f.raised)
		}
		domain := func(nics ...fix.Interface) {
			f.with(func() { f.fix = func([]string) (fix.Report, error) { return report(result("a", nics...)), nil } })
			f.domain("a")
			time.Sleep(settled)
			taken(f, &f.raised)
		}
		setConfig := func(c policy.Config) {
			f.with(func() { f.config = c })
			f.configs <- said[struct{}]{}
			time.Sleep(settled)
			taken(f, &f.raised)
		}

		quick("nobody", true)
		domain(ignored())
		quick("a domain", false)
		quick("a domain, looked at again", false)
		domain()
		f.domain("b") // not the one
		time.Sleep(settled)
		time.Sleep(full) // everything
		quick("no domain any more", true)

		setConfig(ignore)
		quick("a rule", false)
		setConfig(policy.Default())
		quick("no rule any more", true)

		// A rule holds from when it is taken, also where libvirt is away.
		f.with(func() { f.away = errors.New("connection refused") })
		f.domains <- said[string]{err: f.away}
		time.Sleep(settled)
		quick("away", true)
		setConfig(ignore)
		f.link(tapLink("vnet999", "br0", 1500))
		time.Sleep(settled)
		if got := taken(f, &f.raised); got != nil {
			t.Errorf("a rule, away: raised %q", got)
		}
	})
}

// While everything is being looked at for the first time nobody is known yet.
func TestQuickWaitsForAll(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		some := make(chan struct{})
		f.fix = func(uuids []string) (fix.Report, error) {
			if uuids == nil {
				<-some
				return fix.Report{}, errors.New("no answer")
			}
			return report(result("a")), nil
		}
		run(t, f.watcher())
		synctest.Wait()
		f.link(tapLink("vnet1", "br0", 1500))
		synctest.Wait()
		f.domain("a") // of which nothing follows for others
		close(some)
		time.Sleep(2 * settleDomain)
		f.link(tapLink("vnet2", "br0", 1500))
		synctest.Wait()
		if got := taken(f, &f.raised); got != nil {
			t.Errorf("raised %q", got)
		}
	})
}

// What the kernel lost is read anew, and so is what has changed.
func TestReadAnew(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		f.with(func() {
			f.snapshot.Links = []host.Link{bridgeLink("br1", 3, 8000), tapLink("vnet0", "br1", 1500)}
		})
		f.links <- said[collect.Change]{what: collect.Change{Resync: true}}
		synctest.Wait()
		if diff := cmp.Diff([]string{"vnet0 on br1 to 8000"}, taken(f, &f.raised)); diff != "" {
			t.Errorf("raised (-want +got):\n%s", diff)
		}
		time.Sleep(settled)
		wantFixes(t, f, "after a Resync", all)

		// A bridge that changes 1,000 times, as one with as many ports may.
		taken(f, &f.raised)
		taken(f, &f.reads)
		f.with(func() {
			f.snapshot.Links = []host.Link{bridgeLink("br1", 3, 9000), tapLink("vnet0", "br1", 8000)}
		})
		for i := range 1000 {
			f.link(bridgeLink("br1", 3, 8001+i%2))
		}
		time.Sleep(settled)
		if n := len(taken(f, &f.reads)); n > 3 {
			t.Errorf("read %d times", n)
		}
		if got := taken(f, &f.raised); !slices.Contains(got, "vnet0 on br1 to 9000") {
			t.Errorf("raised %q", got)
		}
		if n := len(f.whom()); n < 1 || n > 2 {
			t.Errorf("fixed %d times", n)
		}
		time.Sleep(full - 10*settled)
		wantFixes(t, f, "then")
	})
}

// What changes no plan looks at nobody; what changes one for a moment has been seen by
// whoever looked then.
func TestWhatChangesNoPlan(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		f.snapshot.Links = append(f.snapshot.Links, bridgeLink("docker0", 8, 1500),
			host.Link{Name: "veth", Index: 9, Kind: "veth", MTU: 1500, Master: "docker0"})
		running(t, f)
		taken(f, &f.reads)
		for i := range 20 { // a container
			f.comes(host.Link{Name: fmt.Sprintf("veth%d", i), Index: 20 + i, Kind: "veth", MTU: 1500, Master: "docker0"})
		}
		f.comes(host.Link{Name: "dummy0", Index: 50, Kind: "dummy", MTU: 1400})
		odd := bridgeLink("br0", 1, 9001) // somebody pins it
		f.link(odd)
		odd.MTU = 9000
		f.link(odd)
		time.Sleep(settled)
		wantFixes(t, f, "nothing to go by")
		if n := len(taken(f, &f.reads)); n != 1 {
			t.Errorf("read %d times", n)
		}

		dip := bridgeLink("br0", 1, 1500)
		f.link(dip)
		dip.MTU = 9000
		f.link(dip)
		time.Sleep(settled)
		wantFixes(t, f, "a dip", all)

		f.comes(host.Link{Name: "eth1", Index: 60, Kind: "ixgbe", MTU: 4000, Master: "br0"})
		time.Sleep(settled)
		wantFixes(t, f, "another uplink", all)
		f.with(func() { f.snapshot.Links = f.snapshot.Links[:len(f.snapshot.Links)-1] })
		f.links <- said[collect.Change]{what: collect.Change{Link: host.Link{Name: "eth1", Index: 60}, Gone: true}}
		time.Sleep(settled)
		wantFixes(t, f, "which goes", all)
	})
}

// A tap does not wait while the host is being read, and is judged by what comes of it.
func TestTapWhileReading(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		read := make(chan struct{})
		f.with(func() { f.slow = read })
		f.comes(bridgeLink("br9", 9, 4000))
		time.Sleep(settled) // it reads now
		f.link(tapLink("vnet7", "br0", 1500))
		f.link(tapLink("vnet8", "br9", 1500))
		synctest.Wait()
		if diff := cmp.Diff([]string{"vnet7 on br0 to 9000"}, taken(f, &f.raised)); diff != "" {
			t.Errorf("raised while it reads (-want +got):\n%s", diff)
		}
		f.with(func() { f.slow = nil })
		close(read)
		time.Sleep(settled)
		if got := taken(f, &f.raised); !slices.Contains(got, "vnet8 on br9 to 4000") {
			t.Errorf("raised then %q", got)
		}
	})
}

// A tap that is not ours to judge has libvirt asked once, however often it is told of.
func TestSomebodysTapOnce(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		f.comes(tapLink("tap0", "br0", 1500))
		time.Sleep(settled)
		for range 2 {
			f.link(tapLink("tap0", "br0", 1500))
			time.Sleep(settled)
		}
		wantFixes(t, f, "the same tap", all)
		f.with(func() { f.snapshot.Links[len(f.snapshot.Links)-1].MTU = 1400 })
		f.link(tapLink("tap0", "br0", 1400))
		time.Sleep(settled)
		wantFixes(t, f, "lowered", all)
		f.links <- said[collect.Change]{what: collect.Change{Link: tapLink("tap0", "", 1400), Gone: true}}
		f.link(tapLink("tap0", "br0", 1400))
		time.Sleep(settled)
		wantFixes(t, f, "another of that name", all)
	})
}

// Bridges are pinned once each, when a guest's tap is on them and nothing holds them down.
func TestPins(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		f.config.PinBridges = true
		f.snapshot.Links = append(f.snapshot.Links, bridgeLink("br1", 3, 1500), host.Link{Name: "eth1", Index: 4, Kind: "ixgbe", MTU: 9000, Master: "br1"},
			tapLink("vnet1", "br1", 1500)) // which holds it down
		running(t, f)
		if got := taken(f, &f.pins); got != nil {
			t.Fatalf("pinned %q", got)
		}
		pinned := func(when string, want ...string) {
			t.Helper()
			time.Sleep(settled)
			if diff := cmp.Diff(want, taken(f, &f.pins)); diff != "" {
				t.Errorf("%s: pinned (-want +got):\n%s", when, diff)
			}
		}
		join := func(name, bridge string) {
			l := tapLink(name, bridge, 9000)
			f.with(func() { f.snapshot.Links = append(f.snapshot.Links, l) })
			f.link(l)
		}
		join("vnet0", "br0")
		pinned("a first tap", "br0")
		join("vnet2", "br0")
		f.domain("a")
		f.link(bridgeLink("br0", 1, 9000))
		pinned("more of them")

		f.whom()
		taken(f, &f.reads)
		time.Sleep(full - 10*settled)
		if reads, fixes := len(taken(f, &f.reads)), len(f.whom()); reads+fixes > 0 {
			t.Errorf("its own pin's events keep it busy: read %d times, fixed %d times", reads, fixes)
		}
		pinned("later")

		set := func(name string, index, mtu int) {
			f.with(func() {
				for i, l := range f.snapshot.Links {
					if l.Name == name {
						f.snapshot.Links[i].Index, f.snapshot.Links[i].MTU = index, mtu
						f.link(f.snapshot.Links[i])
					}
				}
			})
		}
		set("vnet1", 100, 9000)
		set("br1", 3, 9000)
		pinned("one that is held no more", "br1")
		set("br0", 33, 9000)
		pinned("another of that name", "br0")

		f.with(func() { f.pinFails = errors.New("no memory") })
		set("br0", 34, 9000)
		time.Sleep(settled)
		if got := taken(f, &f.pins); len(got) == 0 {
			t.Error("not tried")
		}
		f.with(func() { f.pinFails = nil })
		f.domain("a")
		pinned("one that could not be", "br0")
	})
}

func TestNoPins(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		f.snapshot.Links = append(f.snapshot.Links, bridgeLink("br1", 3, 1500))
		f.snapshot.Links = append(f.snapshot.Links, tapLink("vnet0", "br0", 9000))
		running(t, f)
		if got := taken(f, &f.pins); got != nil {
			t.Errorf("pinned %q", got)
		}
		f.with(func() { f.config.PinBridges = true })
		f.configs <- said[struct{}]{}
		time.Sleep(settled)
		if diff := cmp.Diff([]string{"br0"}, taken(f, &f.pins)); diff != "" {
			t.Errorf("pinned, asked for (-want +got):\n%s", diff)
		}
		first := tapLink("vnet1", "br1", 1500)
		f.with(func() { f.snapshot.Links = append(f.snapshot.Links, first) })
		f.link(first)
		time.Sleep(settled)
		if diff := cmp.Diff([]string{"br1"}, taken(f, &f.pins)); diff != "" {
			t.Errorf("pinned, with a first tap (-want +got):\n%s", diff)
		}
	})
}

// systemd hears of a daemon that works long, and not of one that hangs.
func TestWatchdog(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		busy := make(chan struct{})
		f.fix = func([]string) (fix.Report, error) { <-busy; return report(), nil }
		w := f.watcher()
		w.Watchdog = time.Minute
		run(t, w)
		beats := func(d time.Duration) (n int) {
			taken(f, &f.notes)
			time.Sleep(d)
			for _, s := range taken(f, &f.notes) {
				if s == "WATCHDOG=1" {
					n++
				}
			}
			return n
		}
		if n := beats(5 * time.Minute); n < 9 {
			t.Errorf("%d beats in 5 minutes of work", n)
		}
		beats(full)
		if n := beats(5 * time.Minute); n != 0 {
			t.Errorf("%d beats of one that hangs", n)
		}
		close(busy)
		if n := beats(5 * time.Minute); n < 9 {
			t.Errorf("%d beats in 5 minutes of rest", n)
		}
	})
}

// An end in the middle of a fix is no failure.
func TestEnds(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		w := f.watcher()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f.fix = func([]string) (fix.Report, error) {
			<-ctx.Done()
			return fix.Report{}, fmt.Errorf("lock: %w", ctx.Err())
		}
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		time.Sleep(settled)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := f.log.take(""); len(got) != 0 {
			t.Errorf("said %q", got)
		}
		wantFixes(t, f, "in all", all)
		for name := range f.metrics(t) {
			if strings.HasPrefix(name, "errors_total") {
				t.Errorf("counted %q", name)
			}
		}
	})
}

func TestOnce(t *testing.T) {
	fails := errors.New("no answer")
	for _, tt := range []struct {
		name   string
		fix    fix.Report
		err    error
		queued error
		pin    error
		want   string // empty: all is well
	}{
		{"well", report(result("a")), nil, nil, nil, ""},
		{"no libvirt", fix.Report{}, fails, nil, nil, "no answer"},
		{"a domain failed", report(result("a"), failed("b", fails)), nil, nil, nil, "1 domain(s)"},
		{"a domain is refused", report(result("a"), result("b", refused("no"))), nil, nil, nil, "1 domain(s)"},
		{"the queue", report(result("a")), nil, fails, nil, "no answer"},
		{"a bridge could not be pinned", report(result("a")), nil, nil, fails, "no answer"},
	} {
		within(t, func(t *testing.T, f *fake) {
			f.config.PinBridges, f.pinFails = true, tt.pin
			f.snapshot.Links = append(f.snapshot.Links, tapLink("vnet0", "br0", 9000))
			f.fix = func([]string) (fix.Report, error) { return tt.fix, tt.err }
			f.queued = func() (fix.Report, error) { return report(), tt.queued }
			err := f.watcher().Once(t.Context())
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
			wantFixes(t, f, tt.name, all)
			if len(f.queues) != 1 || len(f.pins) != 1 {
				t.Errorf("%s: %d looks at the queue, %d pins", tt.name, len(f.queues), len(f.pins))
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		changed := result("a", fix.Interface{Action: "inject"}, fix.Interface{Action: "update"}, fix.Interface{Action: "none"})
		*unexported[int](&changed, "raised") = 3
		broken := failed("b", libvirt.ErrNotFound)
		broken.Interfaces = []fix.Interface{{Action: "inject"}} // it was not
		running(t, f)
		before := f.metrics(t)
		f.with(func() {
			f.fix = func([]string) (fix.Report, error) { return report(changed, broken, result("c", refused("no"))), nil }
		})
		f.domain("a")
		time.Sleep(settled)
		const last = "last_full_reconcile_timestamp_seconds"
		if at := f.metrics(t)[last]; at != before[last] {
			t.Errorf("%s: %v, not of everybody", last, at)
		}
		f.link(tapLink("vnet7", "br0", 1500)) // the quick way
		f.comes(bridgeLink("br9", 9, 1500))
		f.with(func() { f.fix = func([]string) (fix.Report, error) { return report(), nil } })
		time.Sleep(settled)
		got := f.metrics(t)
		delta := map[string]float64{}
		for name := range got {
			if d := got[name] - before[name]; d != 0 {
				delta[name] = d
			}
		}
		want := map[string]float64{
			"reconciles_total": 2, "reconcile_duration_seconds": 2, "injections_total": 2, "tap_changes_total": 3 + 1,
			"refusals_total": 1, "errors_total domain": 1,
		}
		if at := got[last]; at <= before[last] || at > float64(time.Now().Unix()) {
			t.Errorf("%s: %v", last, at)
		}
		delete(delta, last)
		if diff := cmp.Diff(want, delta); diff != "" {
			t.Errorf("counted (-want +got):\n%s", diff)
		}
	})
}

// A bridge that is gone says nothing of another that gets its name: a tap at the old
// one's MTU would take a new one up with it, for good.
func TestBridgeNameAgain(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		f.snapshot.Links = append(f.snapshot.Links, bridgeLink("br1", 3, 9000))
		running(t, f)
		f.links <- said[collect.Change]{what: collect.Change{Link: bridgeLink("br1", 3, 9000), Gone: true}}
		f.with(func() { f.snapshot.Links[len(f.snapshot.Links)-1] = bridgeLink("br1", 33, 1500) })
		f.link(bridgeLink("br1", 33, 1500))
		f.link(tapLink("vnet1", "br1", 1500))
		f.link(tapLink("vnet2", "br0", 1500))
		time.Sleep(settled)
		if diff := cmp.Diff([]string{"vnet2 on br0 to 9000"}, taken(f, &f.raised)); diff != "" {
			t.Errorf("raised (-want +got):\n%s", diff)
		}
		f.link(tapLink("vnet1", "br1", 1400))
		time.Sleep(settled)
		if diff := cmp.Diff([]string{"vnet1 on br1 to 1500"}, taken(f, &f.raised)); diff != "" {
			t.Errorf("raised when it is known (-want +got):\n%s", diff)
		}

		// The same while the host is being read, which may show the old one.
		read := make(chan struct{})
		f.with(func() { f.slow = read })
		f.comes(host.Link{Name: "eth9", Index: 9, Kind: "ixgbe", MTU: 1500})
		time.Sleep(settled) // it reads now
		f.with(func() { f.slow, f.snapshot.Links[2] = nil, bridgeLink("br1", 34, 1300) })
		f.link(bridgeLink("br1", 34, 1300))
		f.link(tapLink("vnet3", "br1", 1300))
		synctest.Wait()
		close(read)
		time.Sleep(settled)
		if got := taken(f, &f.raised); len(got) > 0 {
			t.Errorf("raised %q", got)
		}
	})
}

// What the kernel tells nothing of is seen with the next look at everything, for taps
// too.
func TestUntoldChange(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		f.with(func() { f.snapshot.Links[0].MTU, f.snapshot.Links[1].MTU = 8000, 8000 })
		time.Sleep(full + settled)
		f.link(tapLink("vnet1", "br0", 1500))
		synctest.Wait()
		if diff := cmp.Diff([]string{"vnet1 on br0 to 8000"}, taken(f, &f.raised)); diff != "" {
			t.Errorf("raised (-want +got):\n%s", diff)
		}
	})
}

// Taps that come and go leave nothing behind, whenever they go.
func TestTapsForgotten(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		w := running(t, f)
		gone := func(name string) {
			f.links <- said[collect.Change]{what: collect.Change{Link: tapLink(name, "br0", 1500), Gone: true}}
		}
		for i := range 20 {
			read := make(chan struct{})
			shown, late := fmt.Sprintf("shown%d", i), fmt.Sprintf("late%d", i)
			f.with(func() { f.slow = read })
			f.comes(tapLink(shown, "br0", 1500))
			f.comes(host.Link{Name: fmt.Sprintf("eth1%d", i), Index: 200 + i, Kind: "ixgbe", MTU: 1500})
			time.Sleep(settled) // it reads now
			f.link(tapLink(late, "br0", 1500))
			gone(shown)
			gone(late)
			synctest.Wait()
			f.with(func() {
				f.slow = nil
				f.snapshot.Links = slices.DeleteFunc(f.snapshot.Links, func(l host.Link) bool { return l.Name == shown })
			})
			close(read)
			time.Sleep(settled)
		}
		f.comes(host.Link{Name: "eth9", Index: 500, Kind: "ixgbe", MTU: 1500})
		time.Sleep(settled)
		w.taps.mu.Lock()
		defer w.taps.mu.Unlock()
		if got := keys(w.taps.left); len(got) > 0 {
			t.Errorf("it remembers %q", got)
		}
	})
}

// An end in the middle of many domains is nothing that is wrong with those not reached;
// what was done is said.
func TestEndsAmongDomains(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		w := f.watcher()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f.fix = func([]string) (fix.Report, error) {
			<-ctx.Done()
			return report(result("a", fix.Interface{Action: "inject"}), failed("b", ctx.Err()), failed("c", ctx.Err())), nil
		}
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		time.Sleep(settled)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := f.log.take(""); len(got) != 1 || !strings.Contains(got[0], "definition fixed") {
			t.Errorf("said %q", got)
		}
		if err := (&Watcher{Host: f, Log: f.log.logger(), Metrics: w.Metrics}).Once(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("once: %v", err)
		}
	})
}

// What a domain's owner makes up is said within bounds.
func TestSaidInBounds(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		w := running(t, f)
		f.with(func() {
			f.fix = func([]string) (fix.Report, error) {
				return report(failed("a", errors.New(strings.Repeat("\x1bx\n", 100_000)))), nil
			}
		})
		f.domain("a")
		time.Sleep(settled)
		if got := f.log.take("domain is wrong"); len(got) != 1 || len(got[0]) > maxWrong+200 {
			t.Errorf("%d lines, the first of %d bytes", len(got), len(got[0]))
		}
		if n := len(w.said["a"]); n > maxWrong+10 {
			t.Errorf("it remembers %d bytes", n)
		}
	})
}

// A domain that fails again and again is tried ever more seldom: each try may keep the
// others waiting.
func TestPausesGrow(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		w := running(t, f)
		is := func(r fix.Result) {
			f.with(func() { f.fix = func([]string) (fix.Report, error) { return report(r), nil } })
		}
		is(failed("a", errors.New("busy")))
		f.domain("a")
		time.Sleep(4 * time.Hour)
		tries := 0
		for _, c := range taken(f, &f.fixes) {
			if c.UUIDs != nil {
				tries++
			}
		}
		// 30 s, 1, 2, 4, 8 min, and then every 10, where no look at everybody comes first;
		// without pauses that grow it would be 480.
		if tries < 5 || tries > 31 {
			t.Errorf("%d tries in 4 hours", tries)
		}
		is(result("a"))
		f.domain("a")
		time.Sleep(settled)
		synctest.Wait()
		if len(w.pauses) > 0 {
			t.Errorf("well again, it is to pause %v", w.pauses)
		}
	})
}

// Where libvirt goes away in the middle that is said once; what was done is said as well.
func TestLibvirtGoesInTheMiddle(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		running(t, f)
		f.with(func() {
			f.fix = func([]string) (fix.Report, error) {
				r := report(result("a", fix.Interface{Action: "inject"}))
				for i := range 300 {
					r.Domains = append(r.Domains, failed(fmt.Sprintf("d%d", i), errors.New("no answer")))
				}
				return r, errors.New("no answer")
			}
		})
		f.domain("a")
		time.Sleep(2 * lastRetry)
		if got := f.log.take("no answer"); len(got) != 1 {
			t.Errorf("said %q", got)
		}
		f.domain("a")
		time.Sleep(settled)
		if got := f.log.take(""); len(got) == 0 || !strings.Contains(got[0], "definition fixed") {
			t.Errorf("said %q", got)
		}
		wantFixes(t, f, "all of it again", []string{"a"}, []string{"a"}, []string{"a"})
	})
}

// A bridge whose uplinks are away for a moment says more than its segment carries: no
// plan may be made by that.
func TestUplinksAway(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		f.snapshot.Links[1].MTU = 4000
		running(t, f)
		wantBereft := func(when string, want bool) {
			t.Helper()
			f.Lock()
			amend, s := f.amend, f.snapshot
			f.Unlock()
			s.Links = slices.Clone(s.Links)
			s = amend(s)
			topology := plan.NewTopology(&s)
			if o := topology.Outlooks()["br0"]; (o.Certainty != plan.Known) != want {
				t.Errorf("%s: %+v", when, o)
			}
		}
		wantBereft("with its uplink", false)
		uplink := f.snapshot.Links[1]
		away := uplink
		away.Master = ""
		set := func(l host.Link) {
			f.with(func() { f.snapshot.Links[1] = l })
			f.link(l)
			time.Sleep(settled)
		}
		set(away)
		wantBereft("without", true)
		time.Sleep(full)
		wantBereft("ten minutes later", true)
		if got := f.log.take("has lost its uplinks"); len(got) != 1 {
			t.Errorf("said %q", got)
		}
		set(uplink)
		wantBereft("it is back", false)

		// Another bridge of that name never had one.
		f.with(func() { f.snapshot.Links = []host.Link{bridgeLink("br0", 77, 9000)} })
		f.link(bridgeLink("br0", 77, 9000))
		time.Sleep(settled)
		wantBereft("another", false)
	})
}

// Who reads Open vSwitch's database may hang in it: that keeps no end waiting.
func TestEndsWhileReading(t *testing.T) {
	within(t, func(t *testing.T, f *fake) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.watcher().Run(ctx) }()
		time.Sleep(settled)
		read := make(chan struct{})
		f.with(func() { f.slow = read })
		f.comes(bridgeLink("br9", 9, 4000))
		time.Sleep(settled)
		began := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		close(read)
		synctest.Wait()
	})
}
