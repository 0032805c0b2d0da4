package packaging

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/render"
	"virt-mtu/internal/watch"
)

// names is a prometheus.Registerer that keeps what the program registers: the names of
// time series.
type names map[string]bool

var fqName = regexp.MustCompile(`fqName: "([^"]+)"`)

func (n names) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		descs := make(chan *prometheus.Desc, 100)
		c.Describe(descs)
		close(descs)
		for d := range descs {
			n.add(d, c)
		}
	}
}

func (n names) Register(c prometheus.Collector) error { n.MustRegister(c); return nil }
func (n names) Unregister(prometheus.Collector) bool  { return false }

func (n names) add(d *prometheus.Desc, c any) {
	name := fqName.FindStringSubmatch(d.String())[1]
	if _, ok := c.(prometheus.Histogram); ok {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			n[name+suffix] = true
		}
		return
	}
	n[name] = true
}

// ours are the names of the program's metrics.
func ours() names {
	n := names{}
	watch.NewMetrics(n)
	nic := check.Interface{MAC: "52:54:00:00:00:01", Status: finding.OK, GuestMTU: 9000, PathMTU: 9000}
	report := check.Report{Status: finding.OK, Hosts: []check.Host{{Domains: []check.Domain{{Interfaces: []check.Interface{nic}}}}}}
	c := &render.Collector{Report: func() *check.Report { return &report }}
	metrics := make(chan prometheus.Metric, 100)
	c.Collect(metrics)
	close(metrics)
	for m := range metrics {
		n.add(m.Desc(), m)
	}
	return n
}

// notMetrics is what may stand between the metrics of an expression: strings, labels,
// variables, durations, numbers, and the words of the language.
var notMetrics = []*regexp.Regexp{
	regexp.MustCompile(`"[^"]*"`),
	regexp.MustCompile(`\{[^}]*\}`),
	regexp.MustCompile(`\[[^\]]*\]`),
	regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`),
	regexp.MustCompile(`\b(and|or|unless|bool|offset)\b`),
	regexp.MustCompile(`\b[a-z_0-9]+\s*\(`),
	regexp.MustCompile(`\b[0-9][0-9a-z.]*`),
}

var word = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)

// metricsOf are the names of the metrics in a PromQL expression.
func metricsOf(expr string) []string {
	for _, r := range notMetrics {
		expr = r.ReplaceAllString(expr, " ")
	}
	found := word.FindAllString(expr, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

func TestMetricsOf(t *testing.T) {
	const expr = `histogram_quantile(0.95, sum by (instance, le) (rate(a_bucket{x=~"$y|c", z!="{d}"}[$__rate_interval]))) > 1e3
		and on (job) last_over_time(b[1d] offset 5m) or vector(0)`
	if got := strings.Join(metricsOf(expr), " "); got != "a_bucket b" {
		t.Errorf("%q", got)
	}
}

// unknown are the metrics of an expression that neither virt-mtu nor the others have.
func unknown(expr string, others ...string) []string {
	known := ours()
	return slices.DeleteFunc(metricsOf(expr), func(name string) bool { return known[name] || slices.Contains(others, name) })
}

func TestOurs(t *testing.T) {
	got := slices.Sorted(maps.Keys(ours()))
	for _, name := range []string{
		"virt_mtu_check_status", "virt_mtu_path_mtu_bytes",
		"virt_mtu_watch_errors_total", "virt_mtu_watch_reconcile_duration_seconds_bucket",
	} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is not among %s", name, got)
		}
	}
}
