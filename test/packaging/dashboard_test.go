package packaging

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what is looked at of Grafana's JSON.
type dashboard struct {
	ID            any    `json:"id"`
	UID           any    `json:"uid"`
	Title         string `json:"title"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID      int                      `json:"id"`
		Title   string                   `json:"title"`
		GridPos struct{ X, Y, W, H int } `json:"gridPos"`
		Targets []struct {
			RefID string `json:"refId"`
			Expr  string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

type variable struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Query any    `json:"query"`
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, board)), &d); err != nil {
		t.Fatalf("read %s: %v", board, err)
	}
	return d
}

// Grafana gives a dashboard its ids when it is imported.
func TestDashboardImports(t *testing.T) {
	d := readDashboard(t)
	if d.ID != nil || d.UID != nil {
		t.Errorf("id %v, uid %v", d.ID, d.UID)
	}
	if d.Title == "" || d.SchemaVersion < 36 { // 36: data sources are objects with a uid
		t.Errorf("title %q, schemaVersion %d", d.Title, d.SchemaVersion)
	}
	if !slices.ContainsFunc(d.Templating.List, func(v variable) bool {
		return v.Name == "DS_PROMETHEUS" && v.Type == "datasource" && v.Query == "prometheus"
	}) {
		t.Error("there is no variable DS_PROMETHEUS for the data source")
	}
	ids := map[int]bool{}
	for i, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("panel %q: id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		a := p.GridPos
		if a.W == 0 || a.H == 0 || a.X+a.W > 24 {
			t.Errorf("panel %q: at %+v", p.Title, a)
		}
		for _, q := range d.Panels[:i] {
			if b := q.GridPos; a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %q and %q overlap", p.Title, q.Title)
			}
		}
	}
	var tree any
	must(t, json.Unmarshal([]byte(read(t, board)), &tree))
	sources := 0
	walk(tree, func(key string, value any) {
		if key == "datasource" {
			sources++
			if s := fmt.Sprint(value); s != "map[type:prometheus uid:${DS_PROMETHEUS}]" {
				t.Errorf("a data source is %s", s)
			}
		}
	})
	if sources == 0 {
		t.Error("no data source")
	}
}

// walk visits every value of an object, however deep.
func walk(tree any, visit func(key string, value any)) {
	switch v := tree.(type) {
	case map[string]any:
		for key, value := range v {
			visit(key, value)
			walk(value, visit)
		}
	case []any:
		for _, value := range v {
			walk(value, visit)
		}
	}
}

// queries are the dashboard's, by where they stand.
func (d *dashboard) queries() map[string]string {
	all := map[string]string{}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all[p.Title+" "+q.RefID] = q.Expr
		}
	}
	return all
}

var labelValues = regexp.MustCompile(`^label_values\((.*), \w+\)$`)

func TestDashboardNamesMetrics(t *testing.T) {
	d := readDashboard(t)
	queries := d.queries()
	if len(queries) == 0 {
		t.Fatal("no queries")
	}
	used := map[string]bool{}
	for where, expr := range queries {
		if bad := unknown(expr); len(bad) > 0 {
			t.Errorf("%s: there is no %s", where, bad)
		}
		for _, name := range metricsOf(expr) {
			used[name] = true
		}
	}
	for name := range ours() {
		if !used[name] && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") {
			t.Errorf("no panel shows %s", name)
		}
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		query, _ := v.Query.(map[string]any)["query"].(string)
		m := labelValues.FindStringSubmatch(query)
		if m == nil {
			t.Errorf("variable %s: %q", v.Name, query)
			continue
		}
		expr := m[1]
		if choice, ok := strings.CutPrefix(expr, `{__name__=~"`); ok { // of names
			expr = strings.ReplaceAll(strings.TrimSuffix(choice, `"}`), "|", " + ")
		}
		if bad := unknown(expr); len(bad) > 0 || len(metricsOf(expr)) == 0 {
			t.Errorf("variable %s: there is no %s in %q", v.Name, bad, query)
		}
	}
}

// Grafana puts variables in before Prometheus reads the rest; so does this test.
func TestDashboardQueriesParse(t *testing.T) {
	promtool := tool(t, "promtool")
	d := readDashboard(t)
	replace := []string{"$__rate_interval", "5m"}
	for _, v := range d.Templating.List {
		replace = append(replace, "$"+v.Name, ".*")
	}
	var file strings.Builder
	file.WriteString("groups: [{name: dashboard, rules: [")
	for where, expr := range d.queries() {
		expr = strings.NewReplacer(replace...).Replace(expr)
		if strings.Contains(expr, "$") {
			t.Errorf("%s: a variable that is not there: %s", where, expr)
		}
		fmt.Fprintf(&file, "{record: 'a:b', labels: {where: %q}, expr: %q},\n", where, expr)
	}
	file.WriteString("]}]\n")
	path := filepath.Join(t.TempDir(), "rules.yml")
	must(t, os.WriteFile(path, []byte(file.String()), 0o600))
	run(t, promtool, "check", "rules", path)
}
