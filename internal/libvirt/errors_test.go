package libvirt

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	golibvirt "github.com/digitalocean/go-libvirt"
)

func TestErrors(t *testing.T) {
	rpc := func(code golibvirt.ErrorNumber) error { return rpcError{Code: uint32(code), Message: "why"} }
	denied := socketError{&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}}
	for _, tt := range []struct {
		err  error
		is   error
		hint string
	}{
		{rpc(golibvirt.ErrNoDomain), ErrNotFound, ""},
		{rpc(golibvirt.ErrNoNetwork), ErrNotFound, ""},
		{rpc(golibvirt.ErrAccessDenied), ErrDenied, "root"},
		{rpc(golibvirt.ErrAuthFailed), ErrDenied, "root"},
		{rpc(golibvirt.ErrAuthCancelled), ErrDenied, "root"},
		{rpc(golibvirt.ErrAuthUnavailable), ErrDenied, "root"},
		{rpc(golibvirt.ErrOperationInvalid), nil, ""},
		{rpc(golibvirt.ErrAgentUnresponsive), ErrAgentSilent, "qemu-guest-agent"},
		{rpc(golibvirt.ErrAgentUnsynced), ErrAgentSilent, "qemu-guest-agent"},
		{rpc(errAgentTimeout), ErrAgentSilent, "qemu-guest-agent"},
		{denied, fs.ErrPermission, "socket's group"},
		{fs.ErrPermission, fs.ErrPermission, ""}, // of something else than the socket
		{fs.ErrNotExist, nil, ""},
	} {
		err := fmt.Errorf("connect to libvirt: %w", tt.err)
		for _, sentinel := range []error{ErrNotFound, ErrDenied, ErrRemote, ErrTimeout, ErrLost, ErrClosed, ErrAgentSilent, fs.ErrPermission} {
			if got, want := errors.Is(err, sentinel), sentinel == tt.is; got != want {
				t.Errorf("%#v is %v: %v", tt.err, sentinel, got)
			}
		}
		if got := Hint(err); !strings.Contains(got, tt.hint) || (tt.hint == "") != (got == "") {
			t.Errorf("%#v: hint %q", tt.err, got)
		}
	}
}
