package unit

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// hidden are the folders that the units' sandbox hides from the program, by the setting
// that does.
var hidden = map[string]string{
	"/home":     "ProtectHome=yes",
	"/root":     "ProtectHome=yes",
	"/run/user": "ProtectHome=yes",
	"/tmp":      "PrivateTmp=yes",
	"/var/tmp":  "PrivateTmp=yes",
	"/dev":      "PrivateDevices=yes",
}

// Startable holds where the units can start the program at that absolute path without
// links, and nobody but root says what it is. Among the errors: *UnsafeError.
func Startable(program string) error {
	// In the words of ExecStart= other characters have a meaning (systemd.service(5)).
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._+-", r)
	}
	if rest := strings.TrimLeftFunc(program, plain); rest != "" {
		return fmt.Errorf("%q: its path has a character that means something to systemd", program)
	}
	for dir, setting := range hidden {
		// /home may be a link, /var/home on some systems.
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		if strings.HasPrefix(program, dir+"/") {
			return fmt.Errorf("%q: the units do not see %s (%s)", program, dir, setting)
		}
	}
	return rootsAlone(program)
}

// UnsafeError: somebody else than root could exchange the program.
type UnsafeError struct{ Path, Why string }

func (e *UnsafeError) Error() string {
	return fmt.Sprintf("%q %s: the units would run as root what is put there", e.Path, e.Why)
}

// rootsAlone holds where only root can write to the program, or exchange it or a folder
// above it. In a sticky folder what is root's stays.
func rootsAlone(program string) error {
	for path := program; ; path = filepath.Dir(path) {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
			return &UnsafeError{path, fmt.Sprintf("belongs to user %d", uid)}
		}
		if mode := info.Mode(); mode.Perm()&0o022 != 0 && !(mode.IsDir() && mode&fs.ModeSticky != 0) {
			return &UnsafeError{path, fmt.Sprintf("can be written to by others than root (%v)", mode)}
		}
		if path == "/" {
			return nil
		}
	}
}
