package watch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the daemon's own; what they are of NICs is package render's.
type Metrics struct {
	Reconciles, Injections, Taps, Refusals prometheus.Counter

	errors    *prometheus.CounterVec
	duration  prometheus.Histogram
	libvirt   prometheus.Gauge
	lastWhole prometheus.Gauge
}

// kinds are those of errors.
var kinds = []string{"links", "libvirt", "queue", "config", "reconcile", "domain", "tap", "pin"}

const namespace = "virt_mtu_watch"

// NewMetrics makes them and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	}
	m := &Metrics{
		Reconciles: counter("reconciles_total", "Reconciles of some or all domains."),
		Injections: counter("injections_total", "Definitions that got an <mtu>, or another."),
		Taps:       counter("tap_changes_total", "Taps that were raised."),
		Refusals:   counter("refusals_total", "Domains found with a NIC that cannot work, once a change."),
		errors:     prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "errors_total", Help: "What went wrong, by kind."}, []string{"kind"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "reconcile_duration_seconds", Help: "How long a reconcile took.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 60},
		}),
		libvirt:   gauge("libvirt_connected", "1 while libvirt tells of its domains."),
		lastWhole: gauge("last_full_reconcile_timestamp_seconds", "When all domains were last reconciled."),
	}
	for _, kind := range kinds {
		m.errors.WithLabelValues(kind) // 0 until there is one
	}
	r.MustRegister(m.Reconciles, m.Injections, m.Taps, m.Refusals, m.errors, m.duration, m.libvirt, m.lastWhole)
	return m
}

func (m *Metrics) failed(kind string) { m.errors.WithLabelValues(kind).Inc() }

func (m *Metrics) reconciled(took time.Duration, whole bool) {
	m.Reconciles.Inc()
	m.duration.Observe(took.Seconds())
	if whole {
		m.lastWhole.SetToCurrentTime()
	}
}

func (m *Metrics) connected(yes bool) {
	m.libvirt.Set(0)
	if yes {
		m.libvirt.Set(1)
	}
}
