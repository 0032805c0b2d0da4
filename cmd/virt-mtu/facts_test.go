package main

import (
	"bytes"
	"errors"
	"testing"

	"virt-mtu/internal/facts"
)

// Both formats are JSON that check reads.
func TestFactsFormats(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var stdout, stderr bytes.Buffer
		status := run([]string{"facts", "-o", format, "--connect", "qemu+unix:///system?socket=/nonexistent/sock"}, nil, &stdout, &stderr)
		f, err := facts.Decode(&stdout)
		if lo, ok := f.Link("lo"); status != exitFailed || err != nil || !ok || lo.MTU == 0 {
			t.Errorf("-o %s: exit %d, %v, lo %+v\n%s", format, status, err, lo, &stderr)
		}
	}
}

// Facts that cannot be written are not facts.
func TestFactsFullDisk(t *testing.T) {
	full := errors.New("no space left on device")
	var stderr bytes.Buffer
	status := run([]string{"facts", "--connect", "qemu+unix:///system?socket=/nonexistent/sock"}, nil, failing{full}, &stderr)
	if status != exitFailed || !bytes.Contains(stderr.Bytes(), []byte("write facts: no space left on device")) {
		t.Errorf("exit %d\n%s", status, &stderr)
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }
