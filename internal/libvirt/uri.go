package libvirt

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// DefaultURI is the libvirt of this host, where nobody names another.
const DefaultURI = "qemu:///system"

// EnvURI is the environment's variable that names a libvirt where nobody else does.
const EnvURI = "LIBVIRT_DEFAULT_URI"

// named is the URI that is meant by one that may be empty.
func named(uri string) string { return cmp.Or(uri, os.Getenv(EnvURI), DefaultURI) }

// address is where a daemon listens and what to ask it for.
type address struct {
	name    string   // the URI that the daemon itself understands
	sockets []string // the first that exists is the one
}

// parseURI reads a libvirt connection URI that names a QEMU driver of this host:
// qemu:///system, qemu:///session, either with the transport +unix and with
// ?socket=PATH. Another host or a network transport is ErrRemote.
func parseURI(uri string) (address, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return address{}, fmt.Errorf("connection URI: %w", err)
	}
	driver, transport, _ := strings.Cut(u.Scheme, "+")
	switch {
	case driver != "qemu":
		return address{}, fmt.Errorf("connection URI %q: not of libvirt's QEMU driver", uri)
	case u.Host != "" || (transport != "" && transport != "unix"):
		// qemu://HOST/system without a transport is TLS to libvirt.
		return address{}, fmt.Errorf("connection URI %q: %w", uri, ErrRemote)
	}
	a := address{name: "qemu://" + u.Path}
	switch u.Path {
	case "/system":
		// All the same directory on most hosts; libvirt's own is fixed when it is built.
		a.sockets = socketsIn("/run/libvirt", "/var/run/libvirt")
	case "/session":
		dir, err := runtimeDir()
		if err != nil {
			return address{}, fmt.Errorf("connection URI %q: %w", uri, err)
		}
		a.sockets = socketsIn(filepath.Join(dir, "libvirt"))
	default:
		return address{}, fmt.Errorf("connection URI %q: its path is neither /system nor /session", uri)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return address{}, fmt.Errorf("connection URI %q: %w", uri, err)
	}
	for key, values := range query {
		if key != "socket" || len(values) != 1 || values[0] == "" {
			return address{}, fmt.Errorf("connection URI %q: parameter %q: only socket=PATH is understood, once", uri, key)
		}
		a.sockets = values
	}
	return a, nil
}

// socketsIn returns what libvirt's client looks for: the modular QEMU daemon's
// socket, then the monolithic daemon's (remoteGetUNIXSocket, libvirt 9.0 and 11.3).
func socketsIn(dirs ...string) []string {
	var paths []string
	for _, name := range []string{"virtqemud-sock", "libvirt-sock"} {
		for _, dir := range dirs {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths
}

// runtimeDir is where a session daemon keeps its sockets.
func runtimeDir() (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return dir, nil
	}
	return os.UserCacheDir()
}

// socket returns the socket to connect to. As in libvirt, a file that is there
// but dead does not make the next one the right one.
func (a address) socket() (string, error) {
	for _, path := range a.sockets {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", fmt.Errorf("no socket at %s: %w", strings.Join(a.sockets, " or "), fs.ErrNotExist)
}
