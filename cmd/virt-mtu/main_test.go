package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"virt-mtu": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the real main, one promise a file.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			wd, err := os.Getwd()
			e.Setenv("EXAMPLES", wd+"/../../examples")
			e.Setenv("CASES", wd+"/../../internal/check/testdata")
			// Where testscript puts the command, for a PATH without anything else.
			e.Setenv("BIN", strings.Split(e.Getenv("PATH"), ":")[0])
			return err
		},
	})
}

// A file that is far too large ends in an error, and not in as much memory.
func TestRewriteHugeInput(t *testing.T) {
	const size = 64 << 20
	stdin := io.MultiReader(strings.NewReader("<domain><name>"), io.LimitReader(endless('x'), size))
	var stdout, stderr bytes.Buffer
	status := run([]string{"rewrite", "--mtu", "9000"}, stdin, &stdout, &stderr)
	if status != 1 || stdout.Len() != 0 || !strings.Contains(stderr.String(), "larger than") {
		t.Errorf("exit %d, %d bytes on stdout, stderr %q", status, stdout.Len(), &stderr)
	}
}

// endless reads as one byte, for ever.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}
