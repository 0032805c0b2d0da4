package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"virt-mtu/internal/jsonout"
	"virt-mtu/internal/policy"
)

const defaultConfig = policy.DefaultPath

// loadConfig reads the config that every command goes by.
func (g *globals) loadConfig() (policy.Config, error) {
	c, err := policy.Load(g.config)
	if err != nil {
		return c, failed(err, "")
	}
	return c, nil
}

func (g *globals) json() bool { return g.output == "json" }

// terminal returns the terminal that a stream leads to; nil: it does not.
func terminal(w io.Writer) *os.File {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return f
}

func writeJSON(w io.Writer, v any) error { return jsonout.Write(w, v) }

// mtuFlag reads --mtu: 0 where it was not given.
func mtuFlag(c *cobra.Command, mtu string) (int, error) {
	if !c.Flags().Changed("mtu") {
		return 0, nil
	}
	s, err := policy.ParseSetting(mtu)
	if err != nil || s.Kind != policy.Fixed {
		return 0, usage("--mtu %q: it takes a number from 68 to 65535", mtu)
	}
	return s.MTU, nil
}
