package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/oneline"
)

// Prometheus writes a report's verdicts as metrics, for the textfile collector of
// node_exporter. The MTUs of links are not among them: node_exporter has those.
func Prometheus(w io.Writer, r *check.Report) error {
	registry := prometheus.NewRegistry()
	if err := registry.Register(&Collector{Report: func() *check.Report { return r }}); err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	families, err := registry.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := encoder.Encode(f); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return nil
}

// Collector makes metrics of the report that Report returns at each scrape. A NIC
// is labelled with its domain, MAC (a PCI device without one: its address), tap and
// bridge; and where a report is of several hosts, with its host too.
type Collector struct {
	Report func() *check.Report
}

// Describe implements prometheus.Collector. It names nothing beforehand: the labels
// depend on the report.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	r := c.Report()
	several := len(r.Hosts) > 1
	labels := []string{"domain", "mac", "target_device", "source_bridge"}
	if several {
		labels = append(labels, "host")
	}
	send := func(d *prometheus.Desc, value int, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	send(prometheus.NewDesc("virt_mtu_check_status",
		"Worst of all that virt-mtu check has found: 0 ok, 1 warning, 2 critical, 3 unknown.", nil, nil), statusNumber[r.Status])
	status := prometheus.NewDesc("virt_mtu_interface_status",
		"What virt-mtu check says of a guest's NIC: 0 ok, 1 warning, 2 critical, 3 unknown.", labels, nil)
	guest := prometheus.NewDesc("virt_mtu_guest_interface_mtu_bytes",
		"MTU that the guest works with, in bytes of IP packet, where it is known.", labels, nil)
	path := prometheus.NewDesc("virt_mtu_path_mtu_bytes",
		"Largest IP packet that gets through from the guest to the wire, where it is known.", labels, nil)
	for _, s := range series(r, several) {
		send(status, statusNumber[s.status], s.labels...)
		if s.guest != 0 {
			send(guest, s.guest, s.labels...)
		}
		if s.path != 0 {
			send(path, s.path, s.labels...)
		}
	}
}

// statusNumber has the exit statuses of check.
var statusNumber = map[finding.Severity]int{
	finding.OK:       0,
	finding.Info:     0,
	finding.Warning:  1,
	finding.Critical: 2,
	finding.Unknown:  3,
}

// oneNIC is what the metrics say of one set of labels.
type oneNIC struct {
	labels      []string
	status      finding.Severity
	guest, path int
}

// series returns the NICs by their labels. NICs that no label tells apart, as two
// with the same MAC, become one: with the worse status and the smaller MTUs.
func series(r *check.Report, several bool) []*oneNIC {
	var all []*oneNIC
	byLabels := map[string]*oneNIC{}
	for h := range r.Hosts {
		for d := range r.Hosts[h].Domains {
			domain := &r.Hosts[h].Domains[d]
			for i := range domain.Interfaces {
				n := &domain.Interfaces[i]
				labels := []string{domain.Name, n.MAC, n.Device, n.Bridge}
				if n.MAC == "" {
					labels[1] = n.Source
				}
				if several {
					labels = append(labels, r.Hosts[h].Name)
				}
				for k := range labels {
					labels[k] = oneline.Text(labels[k], maxName)
				}
				key := strings.Join(labels, "\n") // no label has one
				s := byLabels[key]
				if s == nil {
					s = &oneNIC{labels: labels, status: finding.OK}
					byLabels[key] = s
					all = append(all, s)
				}
				s.status = finding.Worse(s.status, n.Status)
				s.guest = smaller(s.guest, n.GuestMTU)
				s.path = smaller(s.path, n.PathMTU)
			}
		}
	}
	return all
}

// smaller returns the smaller of two MTUs; 0 is not known.
func smaller(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
