package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"virt-mtu/internal/check"
	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/render"
	"virt-mtu/internal/state"
	"virt-mtu/internal/watch"
)

// verdictsFor is how long what check found is served again: to look takes libvirt's
// time.
const verdictsFor = 30 * time.Second

type watchFlags struct {
	once    bool
	listen  string
	verbose bool
	timeout time.Duration
}

func newWatch(g *globals) *cobra.Command {
	var fl watchFlags
	c := &cobra.Command{
		Use:   "watch",
		Short: "keep definitions and taps right as they change: the daemon",
		Long: `watch does to every domain what fix does, at its start and whenever libvirt tells that
one was defined, changed, started or got a NIC; raises every tap as soon as the kernel
tells of it; and works off what the hook has left. Like the hook it only injects and
raises: to lower is for an explicit fix.

libvirt tells nothing of attach-interface --config and update-device --config: such a
change waits for the next look at everything, every 10 minutes.

SIGHUP, or a changed file, makes it read its config again; a broken one leaves the old
in force. It runs once on a host. systemd: virt-mtu-watch.service.

Exit status: 0; 1 it could not start, or with --once not all could be done; 2 wrong usage.`,
		Example: `  virt-mtu watch --once
  virt-mtu watch --listen 127.0.0.1:9786`,
		Args:        cobra.NoArgs,
		Annotations: map[string]string{ownHost: "it follows the links of the host that it runs on, and sets its taps"},
		RunE:        func(c *cobra.Command, _ []string) error { return runWatch(c, g, &fl) },
	}
	f := c.Flags()
	f.BoolVar(&fl.once, "once", false, "look at everything once, and end")
	f.StringVar(&fl.listen, "listen", "", "serve metrics on `ADDR`, such as 127.0.0.1:9786; off where it is not given")
	f.BoolVarP(&fl.verbose, "verbose", "v", false, "log more")
	f.DurationVar(&fl.timeout, "timeout", 10*time.Second, "how long to wait for each answer of libvirt")
	return c
}

func runWatch(c *cobra.Command, g *globals, fl *watchFlags) error {
	switch {
	case fl.timeout <= 0:
		return usage("watch: --timeout %v: it takes a time above 0, such as 10s", fl.timeout)
	case fl.once && fl.listen != "":
		return usage("watch: --once ends at once: it goes not with --listen")
	}
	if _, err := g.here(); err != nil {
		return failed(fmt.Errorf("watch: %w: %s", err, c.Annotations[ownHost]), "unset it, or --connect "+libvirt.DefaultURI+"; and run watch on that host")
	}
	if os.Geteuid() != 0 {
		return failed(errors.New("watch needs root: taps are the kernel's, and what the hook has left is root's"), "sudo virt-mtu watch")
	}
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := state.Open(state.DefaultBase)
	if err != nil {
		return failed(fmt.Errorf("watch: %w", err), "")
	}
	defer dir.Close()
	unlock, err := dir.Alone()
	if err != nil {
		return failed(fmt.Errorf("watch: %w", err), "systemctl status virt-mtu-watch")
	}
	defer unlock()

	level := slog.LevelInfo
	if fl.verbose {
		level = slog.LevelDebug
	}
	reload := make(chan struct{}, 1)
	host := &watch.System{Connect: g.connect, ConfigPath: g.config, Timeout: fl.timeout, State: dir, Reload: reload}
	registry := prometheus.NewRegistry()
	w := &watch.Watcher{
		Host: host, Metrics: watch.NewMetrics(registry),
		Log: slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level})),
	}
	if fl.once {
		if err := w.Once(ctx); err != nil {
			return failed(fmt.Errorf("watch: %w", err), libvirt.Hint(err))
		}
		return nil
	}
	if d, err := daemon.SdWatchdogEnabled(false); err == nil {
		w.Watchdog = d
	}
	hangups(ctx, reload)
	if fl.listen != "" {
		v := &verdicts{look: func() *check.Report { return look(ctx, g, fl.timeout, w.Config) }}
		registry.MustRegister(&render.Collector{Report: v.report})
		if err := serve(ctx, fl.listen, registry, w.Log); err != nil {
			return failed(fmt.Errorf("watch: serve metrics: %w", err), "")
		}
	}
	err = w.Run(ctx)
	host.Settle()
	if err != nil {
		return failed(fmt.Errorf("watch: %w", err), "")
	}
	return nil
}

// hangups makes SIGHUP a request to read the config again.
func hangups(ctx context.Context, reload chan<- struct{}) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				select {
				case reload <- struct{}{}:
				default: // it has been asked for already
				}
			}
		}
	}()
}

// verdictsWait is how long a scrape waits for a new look: less than scrapers wait
// (Prometheus: 10 s). Who hangs is libvirt, of which the daemon's own metrics tell.
const verdictsWait = 3 * time.Second

// verdicts are what check says by the config that is in force.
type verdicts struct {
	look func() *check.Report

	mu      sync.Mutex
	last    *check.Report
	at      time.Time
	looking chan struct{} // closed when it is done; nil: nobody looks
}

// report returns what was found, looked at again when it is old: where that takes long
// what was found before, or that nothing is known.
func (v *verdicts) report() *check.Report {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last != nil && time.Since(v.at) < verdictsFor {
		return v.last
	}
	if v.looking == nil {
		done := make(chan struct{})
		v.looking = done
		go func() {
			r := v.look()
			v.mu.Lock()
			defer v.mu.Unlock()
			v.last, v.at, v.looking = r, time.Now(), nil
			close(done)
		}()
	}
	done := v.looking
	v.mu.Unlock()
	select {
	case <-done:
	case <-time.After(verdictsWait):
	}
	v.mu.Lock()
	if v.last == nil {
		return &check.Report{Status: finding.Unknown}
	}
	return v.last
}

// look is one look at this host, as check's.
func look(ctx context.Context, g *globals, timeout time.Duration, config func() policy.Config) *check.Report {
	pool := libvirt.NewPool(ctx, g.connect, timeout)
	defer pool.Close()
	f, _ := facts.Gather(ctx, facts.Options{Pool: pool, Hook: hookFindings}) // what could not be read is a finding
	if _, err := policy.Load(g.config); err != nil {
		f.Hook = append(f.Hook, finding.New(finding.ConfigInvalid, err.Error()+": the one before is in force", ""))
	}
	r := check.Run([]facts.Facts{f}, check.Options{Config: config()})
	return &r
}

// serve serves metrics until ctx ends.
func serve(ctx context.Context, addr string, registry *prometheus.Registry, log *slog.Logger) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { s.Close() })
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serve metrics", "error", err)
		}
	}()
	log.Info("serving metrics", "address", l.Addr().String())
	return nil
}
