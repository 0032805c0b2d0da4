package hook

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"virt-mtu/internal/oneline"
)

// Syslog priorities: facility daemon (3) and the severity (RFC 5424, 6.2.1).
const (
	priError   = 3<<3 | 3
	priWarning = 3<<3 | 4
	priInfo    = 3<<3 | 6
)

// journal writes to the local syslog socket. log/syslog would do the same, and
// bring package net into every domain start. The socket is opened at the first
// line: most calls have nothing to say.
type journal struct {
	fd     int
	opened bool
}

// write sends one line. It never blocks and never fails: there is nobody left to
// tell.
func (j *journal) write(pri int, line string) {
	if !j.opened {
		j.opened = true
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			j.fd = -1
			return
		}
		if j.fd = fd; unix.Connect(fd, &unix.SockaddrUnix{Name: "/dev/log"}) != nil {
			unix.Close(fd)
			j.fd = -1
		}
	}
	if j.fd < 0 {
		return
	}
	msg := "<" + strconv.Itoa(pri) + ">" + time.Now().Format(time.Stamp) +
		" virt-mtu-hook[" + strconv.Itoa(os.Getpid()) + "]: " + oneline.Text(line, maxLine)
	_ = unix.Sendto(j.fd, []byte(msg), unix.MSG_DONTWAIT, nil)
}
