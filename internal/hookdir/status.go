package hookdir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"virt-mtu/internal/finding"
	"virt-mtu/internal/plan"
)

// Status is the JSON of hook status. Its keys are a contract: all are always there.
type Status struct {
	// Installed: the hook is in its place.
	Installed bool `json:"installed"`
	// Loaded: the next domain start runs it. So it is where no daemon runs: libvirt's
	// sockets start one, which finds the hook then.
	Loaded   bool              `json:"loaded"`
	Path     string            `json:"path"`
	Problems []finding.Finding `json:"problems"` // none: empty, not null
}

// facts are what a status is judged from.
type facts struct {
	path    string // the hook's
	entries []entry
	foreign bool // something else lies at path
	// deaf are the running daemons that do not look into the directory.
	deaf    []Daemon
	daemons int
	// version of libvirt; 0: it did not answer.
	version uint64
	// stale is the hook that belongs to this virt-mtu, where it is another build than
	// the one in place.
	stale             string
	apparmor, selinux bool
}

// Status judges the hook in its place. version is the running libvirt's, 0 where it
// does not answer; binary is the hook that belongs to this virt-mtu, empty where
// there is none.
func (d Dir) Status(version uint64, binary string) (Status, error) {
	f, err := d.facts(version, binary)
	if err != nil {
		return Status{}, fmt.Errorf("read hook status: %w", err)
	}
	return judge(f), nil
}

func (d Dir) facts(version uint64, binary string) (facts, error) {
	f := facts{
		path: d.Hook(), version: version,
		apparmor: contains("/sys/module/apparmor/parameters/enabled", 'Y'),
		selinux:  contains("/sys/fs/selinux/enforce", '1'),
	}
	there, err := d.Installed()
	var foreign *ForeignError
	if f.foreign = errors.As(err, &foreign); err != nil && !f.foreign {
		return f, err
	}
	if f.entries, err = d.entries(); err != nil {
		return f, err
	}
	daemons, err := Daemons()
	if err != nil {
		return f, err
	}
	f.daemons = len(daemons)
	for _, daemon := range daemons {
		loaded, err := d.Loaded(daemon)
		if err != nil {
			return f, err
		}
		if !loaded {
			f.deaf = append(f.deaf, daemon)
		}
	}
	if there && binary != "" {
		same, err := sameContent(binary, d.Hook())
		if err != nil {
			return f, err
		}
		if !same {
			f.stale = binary
		}
	}
	return f, nil
}

// contains reports whether the file begins with b, as the kernel's flags do.
func contains(file string, b byte) bool {
	raw, err := os.ReadFile(file)
	return err == nil && len(raw) > 0 && raw[0] == b
}

// reinstall is the remedy for most: it copies the hook anew, reloads the daemon and
// notes that.
const reinstall = "virt-mtu hook install"

// judge says what the facts come to.
func judge(f facts) Status {
	s := Status{Path: f.path, Problems: []finding.Finding{}}
	add := func(code finding.Code, remedy, format string, a ...any) {
		s.Problems = append(s.Problems, finding.New(code, fmt.Sprintf(format, a...), remedy))
	}
	var hook entry
	for _, e := range f.entries {
		if e.path == f.path && e.ours {
			hook, s.Installed = e, true
		}
	}
	switch {
	case f.foreign:
		e := &ForeignError{f.path}
		add(finding.HookShadowed, e.Remedy(), "%v: virt-mtu's hook is not installed", e)
	case !s.Installed:
		add(finding.HookMissing, reinstall, "libvirt does not run virt-mtu: there is no %s", f.path)
	default:
		s.Loaded = true
		for _, o := range obstacles(hook, f) {
			s.Loaded = false
			add(finding.HookNotLoaded, o.remedy, "%s", o.message)
		}
		if f.stale != "" {
			add(finding.HookShadowed, reinstall, "the hook in place is another build than this virt-mtu's, which is %s", f.stale)
		}
		if f.selinux {
			add(finding.SELinuxEnforcing, selinuxRemedy(f.path), "SELinux is enforcing, and its policy may keep libvirt from executing hooks; then no domain starts")
		}
	}
	for _, c := range copies(f.entries, f.path) {
		if s.Installed {
			add(finding.HookShadowed, "rm "+plan.ShellWord(c), "a second copy of virt-mtu's hook lies at %s, and libvirt runs both", c)
		} else {
			add(finding.HookShadowed, "rm "+plan.ShellWord(c)+" && "+reinstall, "a copy of virt-mtu's hook lies at %s, and libvirt runs it; `virt-mtu hook` looks after %s alone", c, f.path)
		}
	}
	return s
}

// obstacle is why libvirt does not run a hook that lies in its place.
type obstacle struct{ message, remedy string }

func obstacles(hook entry, f facts) []obstacle {
	var list []obstacle
	switch {
	case hook.noexec:
		list = append(list, obstacle{
			fmt.Sprintf("%s is on a mount with noexec, so libvirt passes it over", hook.path),
			"mount it without noexec: findmnt -T " + plan.ShellWord(hook.path)})
	case !hook.executable:
		list = append(list, obstacle{hook.path + " is not executable, so libvirt passes it over", reinstall})
	}
	if hook.link != "" && f.apparmor && !apparmorAllows(hook.link, filepath.Dir(filepath.Dir(f.path))) {
		list = append(list, obstacle{
			fmt.Sprintf("%s is a link to %s, which AppArmor does not let libvirt execute; no domain starts", hook.path, hook.link),
			reinstall})
	}
	if f.version != 0 && f.version < FirstVersion {
		list = append(list, obstacle{
			fmt.Sprintf("libvirt %s looks at hooks/qemu alone: qemu.d came with 6.5.0", Version(f.version)),
			"upgrade libvirt to 6.5.0 or newer"})
	}
	for _, d := range f.deaf {
		list = append(list, obstacle{
			fmt.Sprintf("%v ran before there was a hook, and is not known to have been reloaded since", d), reinstall})
	}
	if f.daemons == 0 && f.version != 0 {
		list = append(list, obstacle{
			"libvirt answers, but no daemon holds virtqemud.pid or libvirtd.pid in /run: whether it has loaded the hook cannot be told",
			"send the daemon SIGHUP (a reload; never restart it for this)"})
	}
	return list
}

// apparmorAllows reports whether libvirt's profile lets it execute the file:
// /etc/apparmor.d/usr.sbin.libvirtd of libvirt 9.0. It allows helpers of QEMU and Xen
// in other folders too, none of which is a hook.
func apparmorAllows(file, hooks string) bool {
	if strings.HasPrefix(file, hooks+"/") {
		return true
	}
	switch filepath.Dir(file) {
	case "/bin", "/sbin", "/usr/bin", "/usr/sbin":
		return true
	}
	return false
}

// selinuxRemedy: Fedora's policy labels the folder virt_hook_t and has the boolean;
// which daemons the boolean is for differs by the policy's version.
func selinuxRemedy(path string) string {
	return fmt.Sprintf("restorecon -v %s; start a domain; if that fails: ausearch -m avc -ts recent, "+
		"and setsebool -P virt_hooks_unconfined on, or a policy module of your own (audit2allow) where that is not enough", plan.ShellWord(path))
}

// Version writes libvirt's version number as people do.
func Version(v uint64) string {
	return fmt.Sprintf("%d.%d.%d", v/1_000_000, v/1_000%1_000, v%1_000)
}

// Text writes the status for people.
func (s *Status) Text(w io.Writer) error {
	var b strings.Builder
	switch {
	case !s.Installed:
		fmt.Fprintln(&b, "not installed:", s.Path)
	case !s.Loaded:
		fmt.Fprintln(&b, "installed, not loaded:", s.Path)
	default:
		fmt.Fprintln(&b, "installed and loaded:", s.Path)
	}
	for _, p := range s.Problems {
		fmt.Fprintf(&b, "%s %s: %s\n", p.Severity, p.Code, p.Message)
		if p.Remedy != "" {
			fmt.Fprintf(&b, "  hint: %s\n", p.Remedy)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
