package pkg

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/test/machine"
)

// released is the version of the release that is made here, and packaged what deb and rpm
// call it.
const (
	released = "1.2.3-rc.1"
	packaged = "1.2.3~rc.1"
)

// releaseEnv is with what one is made. With a time and a word that all may be taken it
// needs no git.
var releaseEnv = []string{"VERSION=" + released, "SOURCE_DATE_EPOCH=1767225600", "ALLOW_DIRTY=1"}

// copied is a copy of this tree, without what was built in it and without its history.
func copied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, command(root, nil, "bash", "-c", `tar -c --exclude=./build --exclude=./.git . | tar -x --no-same-owner -C "$0"`, dir))
	return dir
}

func TestRelease(t *testing.T) {
	machine.Need(t, machine.Missing("a release", "go", "jq", "ansible-galaxy"))
	dir := filepath.Join(t.TempDir(), "release")
	must(t, command(root, releaseEnv, "packaging/release", dir))
	first := contents(t, dir)

	t.Run("whole", func(t *testing.T) {
		want := []string{"RELEASE_NOTES.md", "SHA256SUMS", "virt_mtu-virt_mtu-" + released + ".tar.gz"}
		for arch, rpm := range map[string]string{"amd64": "x86_64", "arm64": "aarch64"} {
			want = append(want,
				"virt-mtu_"+packaged+"-1_"+arch+".deb",
				"virt-mtu-"+packaged+"-1."+rpm+".rpm",
				"virt-mtu-"+released+"-linux-"+arch+".tar.gz",
				"virt-mtu-"+released+"-linux-"+arch+".cdx.json",
				"qemu-hook-"+released+"-linux-"+arch+".cdx.json")
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(first))); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		must(t, command(dir, nil, "sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"))
		if got := bytes.Count(first["SHA256SUMS"], []byte("\n")); got != len(want)-1 {
			t.Errorf("%d sums of %d files", got, len(want)-1)
		}
		if notes := string(first["RELEASE_NOTES.md"]); !strings.HasPrefix(notes, "### ") || strings.Contains(notes, "\n## ") {
			t.Errorf("the notes are no section:\n%s", notes)
		}
	})

	// The collection was packed anew.
	t.Run("collection", func(t *testing.T) {
		at := t.TempDir()
		must(t, command(dir, []string{"HOME=" + at}, "ansible-galaxy", "collection", "install", "--offline", "-p", at, "virt_mtu-virt_mtu-"+released+".tar.gz"))
		must(t, command(dir, []string{"HOME=" + at}, "ansible-galaxy", "collection", "verify", "--offline", "-p", at, "virt_mtu.virt_mtu:"+released))
	})

	// What the archive's own instructions say.
	t.Run("archive", func(t *testing.T) {
		at := t.TempDir()
		must(t, command(at, nil, "tar", "-xzf", filepath.Join(dir, "virt-mtu-"+released+"-linux-"+runtime.GOARCH+".tar.gz"), "--strip-components=1"))
		out, err := exec.Command(at+"/bin/virt-mtu", "--version").Output()
		if err != nil || string(out) != "virt-mtu version "+released+"\n" {
			t.Errorf("%q, %v", out, err)
		}
		text, err := os.ReadFile(at + "/INSTALL.md")
		must(t, err)
		for _, path := range regexp.MustCompile(`share/virt-mtu/\S+`).FindAllString(string(text), -1) {
			if found, _ := filepath.Glob(filepath.Join(at, path)); len(found) == 0 {
				t.Errorf("there is no %s", path)
			}
		}
	})

	// The names that go.mod has, whatever go.work has put in their place.
	t.Run("bill of materials", func(t *testing.T) {
		mod, err := os.ReadFile(root + "/go.mod")
		must(t, err)
		for program, some := range map[string]string{"virt-mtu": "github.com/digitalocean/go-libvirt", "qemu-hook": "github.com/pelletier/go-toml/v2"} {
			var bom struct {
				BOMFormat  string
				Metadata   struct{ Component struct{ Version string } }
				Components []struct{ Name, Version, Purl string }
			}
			must(t, json.Unmarshal(first[program+"-"+released+"-linux-arm64.cdx.json"], &bom))
			if bom.BOMFormat != "CycloneDX" || bom.Metadata.Component.Version != released {
				t.Errorf("%s: %s of %s", program, bom.BOMFormat, bom.Metadata.Component.Version)
			}
			found := false
			for _, c := range bom.Components {
				known := bytes.Contains(mod, []byte("\t"+c.Name+" "+c.Version)) && strings.HasPrefix(c.Purl, "pkg:golang/"+c.Name+"@"+c.Version+"?")
				if c.Name != "std" && !known {
					t.Errorf("%s: %+v", program, c)
				}
				found = found || c.Name == some
			}
			if !found {
				t.Errorf("%s: no %s", program, some)
			}
		}
	})

	// In another folder, at another time, by somebody with other habits.
	t.Run("reproducible", func(t *testing.T) {
		tree := copied(t)
		must(t, command(tree, nil, "bash", "-c", "find . -exec touch -h -d 2001-01-01 {} + && chmod -R g+w ."))
		out := filepath.Join(t.TempDir(), "elsewhere")
		env := append(releaseEnv, "TZ=Asia/Kathmandu", "LC_ALL=C", "TMPDIR="+t.TempDir())
		must(t, command(tree, env, "bash", "-c", "umask 077; exec packaging/release "+out))
		second := contents(t, out)
		if len(second) != len(first) {
			t.Errorf("made: %q", slices.Sorted(maps.Keys(second)))
		}
		for name, b := range second {
			if !bytes.Equal(b, first[name]) {
				t.Errorf("%s differs", name)
			}
		}
	})
}

// contents are the files of a folder.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	m := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		m[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
	}
	return m
}

// git runs it as nobody in particular, each time a second later.
func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	now = now.Add(time.Second)
	must(t, command(dir, []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=x", "GIT_AUTHOR_EMAIL=x@x.invalid", "GIT_COMMITTER_NAME=x",
		"GIT_COMMITTER_EMAIL=x@x.invalid", "GIT_COMMITTER_DATE=" + now.Format(time.RFC3339)}, "git", args...))
}

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// What is not ready does not become a release.
func TestReleaseRefuses(t *testing.T) {
	machine.Need(t, machine.Missing("a release", "go", "jq", "git"))
	tree := copied(t)
	git(t, tree, "init", "-q")
	git(t, tree, "add", ".")
	git(t, tree, "commit", "-qm", "x")
	for _, c := range []struct{ version, change, says string }{
		{"1.2", "", "not one of semver"},
		{"v1.2.3", "", "not one of semver"},
		{"1.2.3-01", "", "not one of semver"},
		{"1.2.3", "", "CHANGELOG.md says nothing of 1.2.3"},
		{"1.2.3+build-4", "", "CHANGELOG.md says nothing of 1.2.3+build-4"}, // no prerelease
		{released, "README.md", "not all is committed:  M README.md"},
	} {
		if c.change != "" {
			must(t, os.WriteFile(filepath.Join(tree, c.change), nil, 0o644))
		}
		out := filepath.Join(t.TempDir(), "out")
		err := command(tree, []string{"VERSION=" + c.version}, "packaging/release", out)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: want %q: %v", c.version, c.says, err)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: something was made", c.version)
		}
	}
}

// Before, at and behind a tag each version sorts as its commit does.
func TestVersionOfTree(t *testing.T) {
	machine.Need(t, machine.Missing("a version", "git", "dpkg"))
	dir := t.TempDir()
	script, err := os.ReadFile(root + "/hack/version")
	must(t, err)
	must(t, os.Mkdir(filepath.Join(dir, "hack"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "hack/version"), script, 0o755))
	last := ""
	is := func(want string) {
		t.Helper()
		out, err := exec.Command(filepath.Join(dir, "hack/version")).Output()
		must(t, err)
		got := strings.TrimSpace(string(out))
		if !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("%q, want %s", got, want)
		}
		got = strings.Replace(got, "-", "~", 1) + "-1"
		if last != "" && command(".", nil, "dpkg", "--compare-versions", last, "lt", got) != nil {
			t.Errorf("dpkg: %s does not come before %s", last, got)
		}
		last = got
	}
	commit := func() { git(t, dir, "commit", "-q", "--allow-empty", "-m", "x") }
	is("unknown")
	last = ""
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")
	commit()
	is(`0\.0\.0-git20260101\d{6}\.g[0-9a-f]+`)
	commit()
	is(`0\.0\.0-git20260101\d{6}\.g[0-9a-f]+`)
	must(t, os.WriteFile(filepath.Join(dir, "hack/version"), append(script, '#', '\n'), 0o755))
	is(`0\.0\.0-git20260101\d{6}\.g[0-9a-f]+\+dirty`)
	git(t, dir, "commit", "-qam", "x")
	git(t, dir, "tag", "v1.0.0-rc.1")
	is(`1\.0\.0-rc\.1`)
	commit()
	is(`1\.0\.0-rc\.1\+1\.g[0-9a-f]+`)
	git(t, dir, "tag", "v1.0.0")
	is(`1\.0\.0`)
	for range 10 {
		commit()
	}
	is(`1\.0\.0\+10\.g[0-9a-f]+`)
	git(t, dir, "tag", "v1.0.1")
	is(`1\.0\.1`)
}
