package unit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"virt-mtu/packaging"
)

func TestStartable(t *testing.T) {
	for program, want := range map[string]string{
		"/root/go/bin/virt-mtu":   "ProtectHome=yes",
		"/home/me/virt-mtu":       "ProtectHome=yes",
		"/tmp/virt-mtu":           "PrivateTmp=yes",
		"/dev/shm/virt-mtu":       "PrivateDevices=yes",
		"/opt/my tools/virt-mtu":  "character",
		"/opt/100%/virt-mtu":      "character",
		"/usr/bin/x (deleted)":    "character",
		"/usr/bin/no-such-binary": "no such file",
	} {
		if err := Startable(program); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", program, err, want)
		}
	}
	if os.Geteuid() != 0 {
		return // where users are mapped, /usr may be another's
	}
	if err := Startable("/usr/bin/env"); err != nil {
		t.Error(err)
	}
}

// What the sandbox hides is what the units say.
func TestHiddenByTheUnits(t *testing.T) {
	for dir, setting := range hidden {
		for _, name := range Names() {
			raw, err := fs.ReadFile(packaging.Units(), name)
			must(t, err)
			if strings.HasSuffix(name, ".service") && !strings.Contains(string(raw), "\n"+setting+"\n") {
				t.Errorf("%s: %s does not say %s", dir, name, setting)
			}
		}
	}
}

func TestRootsAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: files of others are made")
	}
	for title, c := range map[string]struct {
		spoil func(dir, program string) error
		bad   string // its path below the folder
	}{
		"good":           {func(string, string) error { return nil }, ""},
		"sticky":         {func(d, _ string) error { return os.Chmod(d, 0o777|fs.ModeSticky) }, ""},
		"group writes":   {func(_, p string) error { return os.Chmod(p, 0o775) }, "a/virt-mtu"},
		"others write":   {func(_, p string) error { return os.Chmod(p, 0o757) }, "a/virt-mtu"},
		"sticky program": {func(_, p string) error { return os.Chmod(p, 0o777|fs.ModeSticky) }, "a/virt-mtu"},
		"another's":      {func(_, p string) error { return os.Chown(p, 1000, 0) }, "a/virt-mtu"},
		"open folder":    {func(d, _ string) error { return os.Chmod(d, 0o777) }, "a"},
		"folder of one":  {func(d, _ string) error { return os.Chown(d, 1000, 0) }, "a"},
		"folder above":   {func(d, _ string) error { return os.Chown(filepath.Dir(d), 1000, 0) }, "."},
	} {
		t.Run(title, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "a")
			program := filepath.Join(dir, "virt-mtu")
			must(t, os.Mkdir(dir, 0o755))
			must(t, os.WriteFile(program, nil, 0o755))
			must(t, c.spoil(dir, program))
			var unsafe *UnsafeError
			switch err := rootsAlone(program); {
			case c.bad == "":
				must(t, err)
			case !errors.As(err, &unsafe) || unsafe.Path != filepath.Join(top, c.bad):
				t.Errorf("%v", err)
			}
		})
	}
}
