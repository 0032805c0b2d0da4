package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"virt-mtu/internal/fix"
	"virt-mtu/internal/oneline"
	"virt-mtu/internal/plan"
)

// errAgain: a request could not be met, and may be later.
var errAgain = errors.New("try again")

// reconcile brings domains to what they should be; nil: all. What is wrong with one is
// said when it is new.
func (w *Watcher) reconcile(ctx context.Context, uuids []string) error {
	began := time.Now()
	config := *w.config.Load()
	report, err := w.Host.Fix(ctx, config, uuids, w.taps.amend)
	w.Metrics.reconciled(time.Since(began), uuids == nil && err == nil)
	if w.failed(ctx, "reconcile", err) {
		w.done(report)
		return err
	}
	w.taps.set(!leaves(config, report, uuids == nil, !w.taps.isQuick()))
	w.tell(ctx, report, uuids == nil)
	w.status()
	return ctx.Err()
}

// queued does what the hook has asked for. An error, too, where a request stays that
// may be met later.
func (w *Watcher) queued(ctx context.Context) error {
	report, err := w.Host.Queued(ctx, *w.config.Load(), w.taps.amend)
	if w.failed(ctx, "queue", err) {
		w.done(report)
		return err
	}
	w.tell(ctx, report, false)
	for _, d := range report.Domains {
		if d.Error != "" && d.Retry() {
			err = errors.Join(err, errAgain)
		}
	}
	return errors.Join(err, ctx.Err())
}

// failed reports whether a kind of work could not be done. Why is said when it is new,
// and nothing where we are to end.
func (w *Watcher) failed(ctx context.Context, work string, err error) bool {
	switch {
	case err == nil:
		delete(w.failing, work)
		return false
	case ctx.Err() != nil:
		return true
	}
	w.Metrics.failed(work)
	if w.failing[work] != err.Error() {
		w.Log.Error(work, "error", err)
	}
	w.failing[work] = err.Error()
	return true
}

// done logs and counts what was done.
func (w *Watcher) done(r fix.Report) {
	for _, d := range r.Domains {
		for _, i := range d.Interfaces {
			if d.Error == "" && (i.Action == plan.Inject || i.Action == plan.Update) {
				w.Metrics.Injections.Inc()
				w.Log.Info("definition fixed", "domain", d.Name, "mac", i.MAC, "from", i.Current, "to", i.Target, "because", i.Reason)
			}
		}
		for range d.Raised() {
			w.Metrics.Taps.Inc()
		}
		for _, n := range d.Notes() {
			w.Log.Debug("note", "domain", d.Name, "note", n)
		}
	}
}

// tell logs what a report has that is new, and of an end in the middle only what was done.
// all: domains that are not in it are gone.
func (w *Watcher) tell(ctx context.Context, r fix.Report, all bool) {
	w.done(r)
	if ctx.Err() != nil {
		return
	}
	seen := map[string]bool{}
	for _, d := range r.Domains {
		seen[d.UUID] = true
		w.complain(d)
		if d.Error != "" && d.Retry() && d.UUID != "" {
			w.againDomain(d.UUID)
		} else {
			delete(w.pauses, d.UUID)
		}
	}
	if all {
		gone := func(uuid string) bool { return !seen[uuid] }
		maps.DeleteFunc(w.said, func(uuid, _ string) bool { return gone(uuid) })
		maps.DeleteFunc(w.pauses, func(uuid string, _ time.Duration) bool { return gone(uuid) })
	}
}

// maxWrong bounds what is said to be wrong with a domain, in bytes.
const maxWrong = 1000

// complain says what is wrong with a domain, unless it has been said.
func (w *Watcher) complain(d fix.Result) {
	wrong := d.Error
	for _, i := range d.Interfaces {
		if i.Action == plan.Refuse {
			wrong += fmt.Sprintf(" NIC %s: %s;", i.MAC, i.Reason)
		}
	}
	// Policies and names are whatever a domain's owner has written.
	wrong = oneline.Text(wrong, maxWrong)
	if w.said[d.UUID] == wrong {
		return
	}
	if wrong == "" {
		delete(w.said, d.UUID)
		w.Log.Info("domain is well again", "domain", d.Name)
		return
	}
	w.said[d.UUID] = wrong
	if d.Error != "" {
		w.Metrics.failed("domain")
	} else {
		w.Metrics.Refusals.Inc()
	}
	w.Log.Warn("domain is wrong", "domain", d.Name, "what", wrong)
}

// status tells systemd, for systemctl status.
func (w *Watcher) status() {
	text := "libvirt is away; taps go on"
	if w.libvirt {
		text = fmt.Sprintf("watching; %d domain(s) are wrong", len(w.said))
	}
	w.Host.Notify("STATUS=" + text)
}
