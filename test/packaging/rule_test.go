package packaging

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

const ruleTests = "testdata/virt-mtu.rules.test.yml"

func TestRules(t *testing.T) {
	promtool := tool(t, "promtool")
	run(t, promtool, "check", "rules", rules)
	run(t, promtool, "test", "rules", ruleTests)
}

var (
	alertLine = regexp.MustCompile(`(?m)^      - alert: (\w+)$`)
	// An expression is one line, or all that is deeper than its key.
	exprLine = regexp.MustCompile(`(?m)^        expr: (?:>-((?:\n {9,}.*)+)|(.*))$`)
	runbook  = regexp.MustCompile(`(?m)^          runbook: .+$`)
)

// An alert on a metric that nobody has never fires, and no tool says so.
func TestRulesNameMetrics(t *testing.T) {
	text := read(t, rules)
	alerts, exprs := alertLine.FindAllStringSubmatch(text, -1), exprLine.FindAllStringSubmatch(text, -1)
	if len(alerts) == 0 || len(exprs) != len(alerts) || len(runbook.FindAllString(text, -1)) != len(alerts) {
		t.Fatalf("%d alerts, %d expressions, %d runbooks", len(alerts), len(exprs), len(runbook.FindAllString(text, -1)))
	}
	used := map[string]bool{}
	for i, e := range exprs {
		expr := e[1] + e[2]
		// Prometheus's own, and node_exporter's.
		if bad := unknown(expr, "up", "node_textfile_mtime_seconds"); len(bad) > 0 {
			t.Errorf("%s: there is no %s", alerts[i][1], bad)
		}
		for _, name := range metricsOf(expr) {
			used[name] = true
		}
	}
	for name := range ours() {
		// The sum of a histogram serves averages, which hide what is slow.
		if !used[name] && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") {
			t.Errorf("no alert is on %s", name)
		}
	}
}

// Whoever defines a guest chooses its name, and people paste commands.
func TestRunbooksNameNoGuests(t *testing.T) {
	for _, line := range runbook.FindAllString(read(t, rules), -1) {
		if strings.Contains(line, "{{") {
			t.Error(line)
		}
	}
}

func TestRulesAreTested(t *testing.T) {
	tested := regexp.MustCompile(`alertname="(\w+)"`).FindAllStringSubmatch(read(t, ruleTests), -1)
	for _, alert := range alertLine.FindAllStringSubmatch(read(t, rules), -1) {
		if !slices.ContainsFunc(tested, func(m []string) bool { return m[1] == alert[1] }) {
			t.Errorf("%s does not fire in %s", alert[1], ruleTests)
		}
	}
}
