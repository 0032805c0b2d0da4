package policy

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte(`
mtu           = 4000
incapable     = "clamp"
migration     = "warn"
uninjected    = "refuse"
pin_bridges   = true
follow_bridge = false
[[rule]]
bridge = "br-storage*"
mtu    = 9000
[[rule]]
domain = "legacy-*"
mac    = "52:54:00:AB:*"
mtu    = "ignore"
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		MTU:       Setting{Kind: Fixed, MTU: 4000},
		Incapable: IncapableClamp, Migration: MigrationWarn, Uninjected: UninjectedRefuse, PinBridges: true,
		Rules: []Rule{
			{Bridge: "br-storage*", MTU: Setting{Kind: Fixed, MTU: 9000}},
			{Domain: "legacy-*", MAC: "52:54:00:ab:*", MTU: Setting{Kind: Ignore}},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want-, got+:\n%s", d)
	}
}

func TestParseNothingIsDefault(t *testing.T) {
	got, err := Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Default(), got); d != "" {
		t.Errorf("want-, got+:\n%s", d)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ text, why string }{
		{"mtu = 67", "mtu 67 is not from 68 to 65535"},
		{"mtu = 65536", "not from 68"},
		{"mtu = -1", "not from 68"},
		{"mtu = 99999999999", "not from 68"},
		{"mtu = 9000.5", "neither a string nor a whole number"},
		{`mtu = "9000"`, "without quotes"},
		{`mtu = "ingore"`, `"ingore" is neither`},
		{`incapable = "maybe"`, `incapable = "maybe": it takes one of`},
		{`migration = ""`, "migration"},
		{`uninjected = "no"`, "uninjected"},
		{"\nmtuu = 9000", `line 2, column 1: unknown key "mtuu"`},
		{"[[rule]]\nbridges = 'x'\nmtu = 9000", `line 2, column 1: unknown key "rule.bridges"`},
		{"[[rule]]\nmtu = 9000", "rule 1: it names no domain"},
		{"[[rule]]\ndomain = 'x'", "rule 1: it has no mtu"},
		{"[[rule]]\ndomain = '['\nmtu = 9000", `rule 1: pattern "["`},
		{"mtu = ", "line 1, column"},
		{"pin_bridges = 'yes'", "line 1, column"},
		{"\x00", "line 1"},
	} {
		_, err := Parse([]byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%q: %v; want %q", tt.text, err, tt.why)
		}
	}
}

func TestMatch(t *testing.T) {
	c, err := Parse([]byte(`
[[rule]]
domain = "db-*"
network = "storage"
mtu = 9000
[[rule]]
model = "e1000*"
mtu = 4000
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		nic  NIC
		want int
	}{
		{NIC{Domain: "db-1", Network: "storage"}, 1},
		{NIC{Domain: "db-1", Network: "front"}, 0},
		{NIC{Domain: "db-1"}, 0}, // what is not known matches no pattern
		{NIC{Model: "e1000e"}, 2},
	} {
		if _, got := c.Match(tt.nic); got != tt.want {
			t.Errorf("%+v: rule %d, want %d", tt.nic, got, tt.want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.toml")
	large := filepath.Join(dir, "large.toml")
	for name, text := range map[string]string{broken: "mtu = [", large: strings.Repeat("#", MaxSize+1)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ file, why string }{
		{filepath.Join(dir, "missing.toml"), "no such file"},
		{dir, "not a regular file"},
		{broken, "broken.toml"},
		{large, "larger than"},
	} {
		if _, err := Load(tt.file); err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %v; want %q", tt.file, err, tt.why)
		}
	}
}

func TestExampleIsDefault(t *testing.T) {
	c, err := Load("../../examples/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	c.Rules = nil // the example shows some
	if d := cmp.Diff(Default(), c); d != "" {
		t.Errorf("the reference file does not show the defaults; want-, got+:\n%s", d)
	}
}

// What the reference file lacks nobody finds: it is the manual page too.
func TestExampleHasEveryKey(t *testing.T) {
	file, err := os.ReadFile("../../examples/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	// A rule's keys stand there as comments, in one rule or another or in the text.
	_, rules, _ := strings.Cut(string(file), "\n# Rules:")
	for of, text := range map[reflect.Type]string{reflect.TypeFor[raw](): string(file), reflect.TypeFor[rawRule](): rules} {
		for i := range of.NumField() {
			key := of.Field(i).Tag.Get("toml")
			if !regexp.MustCompile(`\b` + key + `\b`).MatchString(text) {
				t.Errorf("%s: no %q", of.Name(), key)
			}
		}
	}
}
