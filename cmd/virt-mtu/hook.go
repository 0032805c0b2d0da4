package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"virt-mtu/internal/hookdir"
)

// hookTimeout is for each answer of libvirt.
const hookTimeout = 10 * time.Second

func newHook(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "hook",
		Short: "put virt-mtu into libvirt's hook directory, take it out, see that libvirt runs it",
		Example: `  virt-mtu hook install
  virt-mtu hook status -o json`,
		Args:        cobra.NoArgs,
		Annotations: map[string]string{ownHost: "the hook is that of the libvirt on the host that it runs on"},
		RunE: func(*cobra.Command, []string) error {
			return usage("hook: it takes install, uninstall or status")
		},
	}
	c.AddCommand(newHookInstall(g), newHookUninstall(), newHookStatus(g))
	return c
}

func reload(out io.Writer, d hookdir.Daemon) error {
	if err := d.Reload(); err != nil {
		return failed(err, "a moment later: virt-mtu hook install; or: systemctl reload "+d.Name)
	}
	fmt.Fprintln(out, "reloaded", d)
	return nil
}

func hookBinary() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return hookdir.Binary(self, os.Getenv("PATH"))
}

func needRoot(what string) error {
	if os.Geteuid() != 0 {
		return failed(fmt.Errorf("%s needs root: it writes to %s", what, hookdir.Default), "sudo virt-mtu "+what)
	}
	return nil
}

func hookFailed(verb string, err error) error {
	hint := ""
	var foreign *hookdir.ForeignError
	switch {
	case errors.As(err, &foreign):
		hint = foreign.Remedy()
	case errors.Is(err, hookdir.ErrNoLibvirt):
		hint = "install libvirt first"
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		hint = "sudo virt-mtu hook " + verb
	}
	return failed(fmt.Errorf("hook %s: %w", verb, err), hint)
}
