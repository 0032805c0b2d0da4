package watch

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"virt-mtu/internal/collect"
	"virt-mtu/internal/fix"
	"virt-mtu/internal/host"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
)

// said is what a source says: one thing, or that it ends.
type said[T any] struct {
	what T
	err  error
}

func hear[T any](ctx context.Context, from <-chan said[T], changed func(T)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-from:
			if s.err != nil {
				return s.err
			}
			changed(s.what)
		}
	}
}

// fake is a host that says what a test says, and notes what is done to it.
type fake struct {
	links    chan said[collect.Change]
	domains  chan said[string]
	requests chan said[struct{}]
	configs  chan said[struct{}]

	began    time.Time
	log      *lines
	registry *prometheus.Registry

	sync.Mutex
	snapshot  host.Snapshot
	slow      chan struct{} // to read takes until it is closed
	config    policy.Config
	away      error         // libvirt is not to be reached
	silent    time.Duration // how long it takes to find out
	broken    error         // of the config
	pinFails  error
	fix       func(uuids []string) (fix.Report, error)
	queued    func() (fix.Report, error)
	fixes     []call
	amend     Amend           // of the last Fix
	queues    []time.Duration // when Queued was called
	dials     []time.Duration
	reads     []time.Duration // when Read was called
	raised    []string
	pins      []string
	notes     []string
	linkFails error
	lost      []time.Duration // when Links was called
}

// call is one of Fix: when, and of whom.
type call struct {
	At     time.Duration
	UUIDs  []string // nil: all
	Config policy.Config
}

func newFake() *fake {
	f := &fake{
		// Nobody who says something here waits for the daemon.
		links: make(chan said[collect.Change], 1<<12), domains: make(chan said[string], 1<<12),
		requests: make(chan said[struct{}], 1<<12), configs: make(chan said[struct{}], 1<<12),
		began: time.Now(), log: &lines{}, registry: prometheus.NewRegistry(), config: policy.Default(),
	}
	f.fix = func([]string) (fix.Report, error) { return report(), nil }
	f.queued = func() (fix.Report, error) { return report(), nil }
	f.snapshot.Links = []host.Link{bridgeLink("br0", 1, 9000), {Name: "eth0", Index: 2, Kind: "ixgbe", MTU: 9000, Master: "br0"}}
	return f
}

func bridgeLink(name string, index, mtu int) host.Link {
	return host.Link{Name: name, Index: index, Kind: "bridge", MTU: mtu}
}

func tapLink(name, bridge string, mtu int) host.Link {
	return host.Link{Name: name, Index: 100, Kind: "tun", Tap: true, Master: bridge, MTU: mtu}
}

func (f *fake) watcher() *Watcher {
	return &Watcher{Host: f, Log: f.log.logger(), Metrics: NewMetrics(f.registry)}
}

func (f *fake) Read() host.Snapshot {
	f.Lock()
	defer f.Unlock()
	f.reads = append(f.reads, time.Since(f.began))
	s, slow := f.snapshot, f.slow
	s.Links = slices.Clone(s.Links)
	if slow != nil {
		f.Unlock()
		<-slow
		f.Lock()
	}
	return s
}

func (f *fake) Links(ctx context.Context, changed func(collect.Change)) error {
	f.Lock()
	f.lost = append(f.lost, time.Since(f.began))
	err := f.linkFails
	f.Unlock()
	if err != nil {
		return err
	}
	changed(collect.Change{Resync: true})
	return hear(ctx, f.links, changed)
}

func (f *fake) Raise(dev, bridge string, mtu int) (int, error) {
	f.Lock()
	defer f.Unlock()
	f.raised = append(f.raised, fmt.Sprintf("%s on %s to %d", dev, bridge, mtu))
	return 1500, nil
}

func (f *fake) Pin(bridge string, mtu int) error {
	f.Lock()
	defer f.Unlock()
	f.pins = append(f.pins, bridge)
	if f.pinFails != nil {
		return f.pinFails
	}
	for _, l := range f.snapshot.Links {
		if l.Name == bridge { // one up and back, and the kernel tells of both
			odd := l
			odd.MTU++
			f.links <- said[collect.Change]{what: collect.Change{Link: odd}}
			f.links <- said[collect.Change]{what: collect.Change{Link: l}}
		}
	}
	return nil
}

func (f *fake) Domains(ctx context.Context, connected func(), changed func(string)) error {
	f.Lock()
	f.dials = append(f.dials, time.Since(f.began))
	err, silent := f.away, f.silent
	f.Unlock()
	if err != nil {
		time.Sleep(silent)
		return err
	}
	connected()
	return hear(ctx, f.domains, changed)
}

func (f *fake) Requests(ctx context.Context, changed func()) error {
	return hear(ctx, f.requests, func(struct{}) { changed() })
}

func (f *fake) Fix(ctx context.Context, c policy.Config, uuids []string, amend Amend) (fix.Report, error) {
	f.Lock()
	sorted := slices.Clone(uuids) // they come out of a map
	slices.Sort(sorted)
	f.fixes = append(f.fixes, call{time.Since(f.began), sorted, c})
	f.amend = amend
	do := f.fix
	f.Unlock()
	return do(uuids)
}

func (f *fake) Queued(context.Context, policy.Config, Amend) (fix.Report, error) {
	f.Lock()
	f.queues = append(f.queues, time.Since(f.began))
	do := f.queued
	f.Unlock()
	return do()
}

func (f *fake) Config() (policy.Config, error) {
	f.Lock()
	defer f.Unlock()
	return f.config, f.broken
}

func (f *fake) ConfigChanges(ctx context.Context, changed func()) error {
	return hear(ctx, f.configs, func(struct{}) { changed() })
}

func (f *fake) Notify(state string) {
	f.Lock()
	defer f.Unlock()
	f.notes = append(f.notes, state)
}

func (f *fake) link(l host.Link) { f.links <- said[collect.Change]{what: collect.Change{Link: l}} }

// comes makes a link be there, and tells of it.
func (f *fake) comes(l host.Link) {
	f.with(func() { f.snapshot.Links = append(f.snapshot.Links, l) })
	f.link(l)
}

func (f *fake) domain(uuid string) {
	f.domains <- said[string]{what: uuid}
}

// with changes what the host is.
func (f *fake) with(change func()) {
	f.Lock()
	defer f.Unlock()
	change()
}

// whom is of whom each Fix was since the last time that this was asked.
func (f *fake) whom() [][]string {
	f.Lock()
	defer f.Unlock()
	var out [][]string
	for _, c := range f.fixes {
		out = append(out, c.UUIDs)
	}
	f.fixes = nil
	return out
}

// taken returns what was noted in a list of the fake's, and empties it.
func taken[T any](f *fake, list *[]T) []T {
	f.Lock()
	defer f.Unlock()
	out := *list
	*list = nil
	return out
}

// metrics are the daemon's counters, by name and kind, but those that are 0.
func (f *fake) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), namespace+"_")
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			switch v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount()); {
			case v != 0:
				out[name] = v
			}
		}
	}
	return out
}

// lines are what is logged, from Info up.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, strings.TrimSpace(string(p)))
	return len(p), nil
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}}))
}

// take returns what was logged since the last time, of lines that have this in them.
func (l *lines) take(having string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, t := range l.text {
		if strings.Contains(t, having) {
			out = append(out, t)
		}
	}
	l.text = nil
	return out
}

func report(domains ...fix.Result) fix.Report { return fix.Report{Domains: domains} }

// result is of a domain called as its UUID.
func result(uuid string, nics ...fix.Interface) fix.Result {
	return fix.Result{Name: uuid, UUID: uuid, Interfaces: nics}
}

func failed(uuid string, err error) fix.Result {
	r := fix.Failure(uuid, err)
	r.UUID = uuid
	return r
}

func refused(why string) fix.Interface {
	return fix.Interface{MAC: "52:54:00:00:00:01", Action: plan.Refuse, Reason: why}
}

// ignored is a NIC that its admin wants left alone, of which fix alone says so.
func ignored() fix.Interface {
	i := fix.Interface{Action: plan.Skip, Reason: "ignored"}
	*unexported[bool](&i, "ignored") = true
	return i
}

func unexported[F, S any](s *S, name string) *F {
	v := reflect.ValueOf(s).Elem().FieldByName(name)
	return (*F)(unsafe.Pointer(v.UnsafeAddr()))
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
