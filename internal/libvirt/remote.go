package libvirt

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Remote is a libvirt as a connection URI names it: on another host, or at a socket of
// this one. What it tells of links is of the host that it is on, whose taps and hooks are
// not ours: Dial, which is for those that set them, goes on to refuse it.
type Remote struct {
	uri string
	// Host as the URI names it; empty where it names none.
	Host string
	name string // the URI that the daemon itself understands
	via  string // ssh, tcp or unix

	local address // of unix

	user, port, keyfile string // of ssh, and port of tcp
	noVerify            bool
}

func (r *Remote) String() string { return r.uri }

// SSH reports whether commands can be run there.
func (r *Remote) SSH() bool { return r.via == "ssh" }

// libvirtPort is that of qemu+tcp (LIBVIRTD_TCP_PORT, libvirt's remote_driver.h).
const libvirtPort = "16509"

// Elsewhere returns the libvirt that a URI names on another host; nil where it is one of
// this host's, as Dial takes it. An empty uri is $LIBVIRT_DEFAULT_URI. Which host is at
// the other end of a network is not asked: that may be this one, too.
func Elsewhere(uri string) (*Remote, error) {
	r, err := ParseRemote(named(uri))
	if err != nil || r.via == "unix" {
		return nil, err
	}
	return r, nil
}

// ParseRemote reads the URI of a libvirt anywhere:
//
//	qemu+ssh://[USER@]HOST[:PORT]/system[?keyfile=FILE][&no_verify=1]
//	qemu+tcp://HOST[:PORT]/system
//	qemu+unix:///system?socket=PATH, and all else that Dial takes
//
// either with /session. What libvirt knows beyond that is an error that says what to
// use instead: its Hint.
func ParseRemote(uri string) (*Remote, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("connection URI: %w", err)
	}
	r := &Remote{uri: uri, Host: u.Hostname(), port: u.Port(), name: "qemu://" + u.Path}
	bad := func(format string, a ...any) (*Remote, error) {
		return nil, fmt.Errorf("connection URI %q: %s", uri, fmt.Sprintf(format, a...))
	}
	driver, transport, _ := strings.Cut(u.Scheme, "+")
	switch r.via = transport; {
	case driver != "qemu":
		return bad("not of libvirt's QEMU driver")
	case transport == "tls" || transport == "" && u.Host != "": // TLS is libvirt's default
		return nil, fmt.Errorf("connection URI %q: %w", uri, errTLS)
	case transport == "" || transport == "unix":
		r.via = "unix"
		r.local, err = parseURI(uri)
		return r, err
	case transport != "ssh" && transport != "tcp":
		return bad("transport %q: ssh, tcp and unix are understood", transport)
	case r.Host == "":
		return bad("it names no host")
	case u.Path != "/system" && u.Path != "/session":
		return bad("its path is neither /system nor /session")
	case !plainWord(r.Host):
		return bad("no host can be called %q", r.Host)
	}
	if n, err := strconv.ParseUint(r.port, 10, 16); r.port != "" && (err != nil || n == 0) {
		return bad("port %q: not a number from 1 to 65535", r.port)
	}
	if u.User != nil {
		if _, secret := u.User.Password(); secret {
			return bad("a password has no place in it")
		}
		if r.user = u.User.Username(); r.via == "tcp" || !plainWord(r.user) {
			return bad("user %q", r.user)
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("%v", err)
	}
	for key, values := range query {
		switch {
		case r.via == "ssh" && len(values) == 1 && key == "keyfile" && plainPath(values[0]):
			r.keyfile = values[0]
		case r.via == "ssh" && len(values) == 1 && key == "no_verify" && (values[0] == "0" || values[0] == "1"):
			r.noVerify = values[0] == "1"
		case r.via == "ssh" && len(values) == 1 && key == "no_tty": // so it is always
		case r.via == "ssh":
			return bad("parameter %q: keyfile=FILE, no_verify=1 and no_tty=1 are understood, each once; the rest is for ~/.ssh/config", key)
		default:
			return bad("parameter %q: none is understood", key)
		}
	}
	return r, nil
}

// plainWord reports whether a name can be given to ssh: it is no option, and has in it
// nothing that means something to a shell, which a ProxyCommand of its user's gets it
// into (valid_hostname and valid_ruser, ssh.c of OpenSSH 9.6).
func plainWord(s string) bool {
	return s != "" && s[0] != '-' && !strings.ContainsAny(s, "'`\"$\\;&<>|(){}*?[]!#~") &&
		strings.IndexFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) < 0
}

// plainPath reports whether a file name can be given to ssh's -i.
func plainPath(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// DialRemote connects to the libvirt of another host, as Dial does to this one's. What
// comes from there is bounded, and anything but libvirt's protocol is ErrForeign.
func (r *Remote) DialRemote(ctx context.Context, timeout time.Duration) (*Conn, error) {
	where := "connect to libvirt at " + r.uri
	var sock net.Conn
	var child *child
	var err error
	switch r.via {
	case "ssh":
		child, err = r.start(ctx, timeout, "virt-ssh-helper "+r.name)
		sock = child
	case "tcp":
		port := r.port
		if port == "" {
			port = libvirtPort
		}
		dialer := net.Dialer{Timeout: timeout}
		sock, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort(r.Host, port))
	default:
		var path string
		if path, err = r.local.socket(); err == nil {
			dialer := net.Dialer{Timeout: timeout}
			sock, err = dialer.DialContext(ctx, "unix", path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, remoteError{err})
	}
	name := r.name
	if r.via == "unix" {
		name = r.local.name
	}
	c, err := converse(ctx, &framed{Conn: sock}, name, timeout)
	if err != nil {
		sock.Close()
		if child != nil {
			err = child.explain(err)
		}
		return nil, fmt.Errorf("%s: %w", where, remoteError{err})
	}
	c.remote = true
	return c, nil
}

// NewPool returns a pool of connections as DialRemote makes them.
func (r *Remote) NewPool(ctx context.Context, timeout time.Duration) *Pool {
	return &Pool{dial: func() (*Conn, error) { return r.DialRemote(ctx, timeout) }}
}
