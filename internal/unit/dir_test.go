package unit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// install installs, and returns what it did by the units' names.
func install(t *testing.T, d Dir, program string) (did map[string]string) {
	t.Helper()
	changes, kept, err := d.Install(program)
	must(t, err)
	did = map[string]string{}
	for _, c := range changes {
		switch {
		case c.Updated:
			did[c.Name] = "updated"
		case c.Written:
			did[c.Name] = "written"
		}
	}
	for _, k := range kept {
		did[filepath.Base(k.Path)] = k.Why
	}
	return did
}

func all(what string) map[string]string {
	m := map[string]string{}
	for _, name := range Names() {
		m[name] = what
	}
	return m
}

func TestInstall(t *testing.T) {
	d := Dir(t.TempDir())
	if changes, kept, err := d.Pending("/opt/v1/virt-mtu"); len(changes) != len(Names()) || kept != nil || err != nil {
		t.Errorf("pending: %v, %v, %v", changes, kept, err)
	}
	if diff := cmp.Diff(all("written"), install(t, d, "/opt/v1/virt-mtu")); diff != "" {
		t.Errorf("at first: %s", diff)
	}
	if diff := cmp.Diff(map[string]string{}, install(t, d, "/opt/v1/virt-mtu")); diff != "" {
		t.Errorf("again: %s", diff)
	}
	services := map[string]string{}
	for _, name := range Names() {
		if strings.HasSuffix(name, ".service") {
			services[name] = "updated"
		}
	}
	if diff := cmp.Diff(services, install(t, d, "/opt/v2/virt-mtu")); diff != "" {
		t.Errorf("another program: %s", diff)
	}
	for _, name := range Names() {
		raw, err := os.ReadFile(d.Path(name))
		must(t, err)
		if starts := strings.Contains(string(raw), "\nExecStart=/opt/v2/virt-mtu "); starts != (services[name] != "") {
			t.Errorf("%s starts it: %v\n%s", name, starts, raw)
		}
		if strings.Contains(string(raw), "/usr/bin/virt-mtu") || strings.Contains(string(raw), "v1") {
			t.Errorf("%s names another program:\n%s", name, raw)
		}
	}
	names, kept, err := d.Written()
	if err != nil || kept != nil {
		t.Fatal(kept, err)
	}
	if diff := cmp.Diff(Names(), names); diff != "" {
		t.Error(diff)
	}
	for _, name := range names {
		must(t, d.Remove(name))
	}
	left, err := os.ReadDir(string(d))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// What somebody else has put there, or changed, is neither overwritten nor removed.
func TestOthersStay(t *testing.T) {
	const name = "virt-mtu-watch.service"
	for _, c := range []struct {
		title string
		make  func(t *testing.T, d Dir)
		why   string
		says  string // of Written
	}{
		{"edited", func(t *testing.T, d Dir) {
			install(t, d, "/opt/virt-mtu")
			raw, err := os.ReadFile(d.Path(name))
			must(t, err)
			must(t, os.WriteFile(d.Path(name), append(raw, "Nice=5\n"...), 0o644))
		}, whyEdited, whyEdited},
		{"theirs", func(t *testing.T, d Dir) {
			must(t, os.WriteFile(d.Path(name), []byte("[Service]\nExecStart=/bin/true\n"), 0o644))
		}, whyForeign, ""},
		{"empty", func(t *testing.T, d Dir) { must(t, os.WriteFile(d.Path(name), nil, 0o644)) }, whyForeign, ""},
		{"masked", func(t *testing.T, d Dir) { must(t, os.Symlink("/dev/null", d.Path(name))) }, whyMasked, ""},
		{"a link", func(t *testing.T, d Dir) { must(t, os.Symlink("/nowhere", d.Path(name))) }, whyForeign, ""},
		{"a folder", func(t *testing.T, d Dir) { must(t, os.Mkdir(d.Path(name), 0o755)) }, whyForeign, ""},
	} {
		t.Run(c.title, func(t *testing.T) {
			d := Dir(t.TempDir())
			c.make(t, d)
			before, _ := os.ReadFile(d.Path(name))
			did := install(t, d, "/opt/other/virt-mtu")
			if did[name] != c.why || len(did) < 2 {
				t.Errorf("%v", did)
			}
			var keep *KeptError
			if err := d.Remove(name); !errors.As(err, &keep) || keep.Remedy() == "" {
				t.Errorf("removed: %v", err)
			}
			if _, err := os.Lstat(d.Path(name)); err != nil {
				t.Error(err)
			}
			if after, _ := os.ReadFile(d.Path(name)); string(after) != string(before) {
				t.Errorf("it is now:\n%s", after)
			}
			names, kept, err := d.Written()
			if err != nil || len(names) != len(Names())-1 {
				t.Errorf("written: %v, %v", names, err)
			}
			if said := len(kept) > 0; said != (c.says != "") {
				t.Errorf("kept: %v", kept)
			}
		})
	}
}

// A name that a later build no longer has is taken out too; a stranger's like it stays.
func TestWrittenByAnotherBuild(t *testing.T) {
	d := Dir(t.TempDir())
	must(t, os.WriteFile(d.Path("virt-mtu-old.timer"), []byte(marked("[Timer]\n")), 0o644))
	must(t, os.WriteFile(d.Path("virt-mtu-mine.timer"), []byte("[Timer]\n"), 0o644))
	names, kept, err := d.Written()
	if diff := cmp.Diff([]string{"virt-mtu-old.timer"}, names); diff != "" || kept != nil || err != nil {
		t.Errorf("%s%v %v", diff, kept, err)
	}
}

func TestNoSystemd(t *testing.T) {
	if _, _, err := Dir(t.TempDir() + "/none").Install("/opt/virt-mtu"); !errors.Is(err, ErrNoSystemd) {
		t.Error(err)
	}
}
