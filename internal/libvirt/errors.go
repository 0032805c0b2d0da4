package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"syscall"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// What a caller may decide on, by errors.Is.
var (
	// ErrNotFound: libvirt knows no such domain, network or interface, or no longer.
	ErrNotFound = errors.New("not found")
	// ErrDenied: libvirt is there and does not let this user do that.
	ErrDenied = errors.New("permission denied")
	// ErrRemote: the URI names a libvirt on another host or over a network.
	ErrRemote = errors.New("not a libvirt on this host")
	// ErrTimeout: a call's deadline has passed. The connection is closed.
	ErrTimeout = errors.New("libvirt did not answer in time")
	// ErrLost: the connection broke, mostly because the daemon ended.
	ErrLost = errors.New("connection to libvirt lost")
	// ErrClosed: the connection was closed by Close.
	ErrClosed = errors.New("connection to libvirt closed")
	// ErrForeign: what answers does not speak libvirt's protocol.
	ErrForeign = errors.New("what answers is not libvirt")
	// ErrUnreachable: ssh did not get to the other host, or was not let in.
	ErrUnreachable = errors.New("not reached by ssh")
	// ErrNoCommand: the other host has no such program.
	ErrNoCommand = errors.New("no such command there")
)

// timeoutError is an ErrTimeout that says how long was waited.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string        { return fmt.Sprintf("libvirt did not answer within %v", e.after) }
func (e timeoutError) Is(target error) bool { return target == ErrTimeout }

// errAgentTimeout is VIR_ERR_AGENT_COMMAND_TIMEOUT (virterror.h, libvirt 7.1).
const errAgentTimeout golibvirt.ErrorNumber = 111

// rpcError is what libvirt itself answered.
type rpcError golibvirt.Error

func (e rpcError) Error() string { return e.Message }

// Is maps libvirt's VIR_ERR_* to the sentinels.
func (e rpcError) Is(target error) bool {
	switch golibvirt.ErrorNumber(e.Code) {
	case golibvirt.ErrNoDomain, golibvirt.ErrNoNetwork, golibvirt.ErrNoInterface, golibvirt.ErrNoNodeDevice:
		return target == ErrNotFound
	case golibvirt.ErrAuthFailed, golibvirt.ErrAuthCancelled, golibvirt.ErrAuthUnavailable, golibvirt.ErrAccessDenied:
		return target == ErrDenied
	case errAgentTimeout, golibvirt.ErrAgentUnresponsive, golibvirt.ErrAgentUnsynced:
		return target == ErrAgentSilent
	}
	return false
}

func hasCode(err error, code golibvirt.ErrorNumber) bool {
	var e rpcError
	return errors.As(err, &e) && e.Code == uint32(code)
}

// socketError is what keeps the daemon's socket from being found or opened.
type socketError struct{ error }

func (e socketError) Unwrap() error { return e.error }

// remoteError is about another host's libvirt: the same errors want something else done.
type remoteError struct{ error }

func (e remoteError) Unwrap() error { return e.error }

// errTLS: to speak it takes certificates that libvirt has its own way to find.
var errTLS = errors.New("TLS is not spoken here")

// hint is what to do about an error.
type hint struct {
	err  error
	text string
}

// hints are what to do about an error, first match first.
var hints = []hint{
	{errTLS, "qemu+ssh://HOST/system; or take the facts there, ssh HOST virt-mtu facts > there.json, and judge them here with --facts"},
	{ErrRemote, "this is about the host that it runs on: run virt-mtu there; for the libvirt of this host: --connect qemu:///system"},
	{ErrTimeout, "a call may wait for a hook, or for a job on its domain (virsh domjobinfo); if `virsh list` hangs too, see the log of virtqemud or libvirtd"},
	{ErrLost, "the libvirt daemon ended or was restarted: run this again"},
	{ErrDenied, "run this as root"},
	{ErrNoAgent, noAgentHint},
	{ErrAgentSilent, silentHint},
}

// Hints about guests, wherever they run.
const (
	noAgentHint = "give the domain a <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel> (virsh edit), and install qemu-guest-agent in the guest"
	silentHint  = "in the guest: is qemu-guest-agent installed and running? systemctl restart qemu-guest-agent (one that has sent garbage libvirt gives up until then)"
)

// socketHints are those for a socketError: of anything else the same errors of the
// system say something else.
var socketHints = []hint{
	{fs.ErrPermission, "run this as root, or as a member of the socket's group (mostly libvirt)"},
	{fs.ErrNotExist, "is libvirt installed and running here? systemctl status virtqemud.socket libvirtd.socket (a session's daemon starts with: virsh -c qemu:///session list)"},
	{syscall.ECONNREFUSED, "nothing listens on that socket: systemctl status virtqemud.socket libvirtd.socket"},
	{syscall.EAGAIN, "the daemon takes no connections, so it hangs or is overloaded: see the log of virtqemud or libvirtd"},
}

// remoteHints are those for a remoteError.
var remoteHints = []hint{
	{ErrUnreachable, "try what it does: ssh -o BatchMode=yes HOST true; it asks for no password, and an unknown host's key has to be taken once"},
	{exec.ErrNotFound, "install the ssh client (openssh-client)"},
	{ErrNoCommand, "virt-ssh-helper comes with libvirt 6.8 and later; or take the facts there: ssh HOST virt-mtu facts > there.json"},
	{ErrForeign, "is libvirt there? a shell there that prints something when nobody logs in (.bashrc) has the same effect"},
	{ErrDenied, "log in as root, or as a member of the libvirt group there; or take the facts there: ssh HOST virt-mtu facts > there.json"},
	{ErrTimeout, "see whether that host is well, or wait longer: --timeout"},
	{context.DeadlineExceeded, "see whether that host is well and reached from here, or wait longer: --timeout"}, // of a dialer
	{ErrLost, "does that host's libvirt run, and is the user let to its socket? virsh -c URI list"},
	{syscall.ECONNREFUSED, "nothing listens there: libvirt listens for qemu+tcp only where it is told to; qemu+ssh needs no listening"},
	{fs.ErrNotExist, "is libvirt running there?"},
	{ErrNoAgent, noAgentHint},
	{ErrAgentSilent, silentHint},
}

// Hint returns what a person may do about an error of this package; empty where
// there is nothing to say beyond the error itself.
func Hint(err error) string {
	all := hints
	switch {
	case errors.As(err, new(remoteError)):
		all = remoteHints
	case errors.As(err, new(socketError)):
		all = slices.Concat(hints, socketHints)
	}
	for _, h := range all {
		if errors.Is(err, h.err) {
			return h.text
		}
	}
	return ""
}
