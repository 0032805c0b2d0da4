package ansible

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/test/machine"
)

// offline runs a program of Ansible's on the collection, without any host.
func offline(t *testing.T, program string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		machine.Need(t, "needs "+program+": see hack/packages.txt")
	}
	collections, err := filepath.Abs("../../ansible")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = Collection(t)
	cmd.Env = append(os.Environ(), "ANSIBLE_COLLECTIONS_PATH="+collections, "ANSIBLE_HOME="+t.TempDir(), "NO_COLOR=1", "ANSIBLE_NOCOLOR=1", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

func TestLint(t *testing.T) {
	t.Parallel()
	out := offline(t, "ansible-lint", "--offline", "--nocolor", "--profile", "production")
	if !strings.Contains(out, "Passed with production profile: 0 failure(s), 0 warning(s)") {
		t.Error(out)
	}
}

// Whoever installs the collection reads of every variable, and finds what it says true.
func TestVariables(t *testing.T) {
	t.Parallel()
	doc := offline(t, "ansible-doc", "-t", "role", "-j", "virt_mtu.virt_mtu.virt_mtu")
	var roles map[string]struct {
		Points map[string]struct {
			Options map[string]struct{ Default any }
		} `json:"entry_points"`
	}
	if err := json.Unmarshal([]byte(doc), &roles); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	specified, table := map[string]string{}, map[string]string{}
	for name, option := range roles["virt_mtu.virt_mtu.virt_mtu"].Points["main"].Options {
		specified[name] = fmt.Sprint(option.Default)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(virt_mtu_\\w+)` \\| `(.*)` \\|$").FindAllStringSubmatch(read(t, filepath.Join(Collection(t), "README.md")), -1) {
		table[m[1]] = word(m[2])
	}
	defaults := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(virt_mtu_\w+): (.*)$`).FindAllStringSubmatch(read(t, filepath.Join(Collection(t), "roles/virt_mtu/defaults/main.yml")), -1) {
		defaults[m[1]] = word(m[2])
	}
	if diff := cmp.Diff(specified, defaults); diff != "" {
		t.Errorf("defaults/main.yml (-argument_specs +defaults):\n%s", diff)
	}
	if diff := cmp.Diff(specified, table); diff != "" {
		t.Errorf("README.md (-argument_specs +README):\n%s", diff)
	}
	if len(specified) == 0 {
		t.Errorf("ansible-doc shows none:\n%s", doc)
	}
}

// word is a value of YAML as it is written here: JSON, or a word without quotes.
func word(s string) string {
	var v any
	if json.Unmarshal([]byte(s), &v) == nil {
		return fmt.Sprint(v)
	}
	return s
}

// A drop-in says the unit's command anew; but for the folder it is the same.
func TestDropIn(t *testing.T) {
	t.Parallel()
	dropIn := strings.NewReplacer("{{ virt_mtu_program }}", "/usr/bin/virt-mtu", "{{ virt_mtu_metrics_dir }}", "/var/lib/prometheus/node-exporter").
		Replace(read(t, filepath.Join(Collection(t), "roles/virt_mtu/templates/virt-mtu-check.service.conf.j2")))
	command := regexp.MustCompile(`(?m)^ExecStart=.+$`)
	unit := read(t, "../../packaging/systemd/virt-mtu-check.service")
	if diff := cmp.Diff(command.FindString(unit), command.FindString(dropIn)); diff != "" {
		t.Errorf("ExecStart= (-unit +drop-in):\n%s", diff)
	}
}
