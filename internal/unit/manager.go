package unit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// managerTime is for each answer of systemd.
const managerTime = time.Minute

// Running reports whether systemd is this machine's init: sd_booted(3).
func Running() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// Reload has systemd read all units again; where it does not run it will at its start.
func Reload() error {
	if !Running() {
		return nil
	}
	_, err := systemctl("daemon-reload")
	return err
}

// Active are those of the units that run now, or wait for what starts them.
func Active(names []string) ([]string, error) {
	if !Running() || len(names) == 0 {
		return nil, nil
	}
	out, err := systemctl(append([]string{"show", "--property=Id", "--property=ActiveState", "--"}, names...)...)
	if err != nil {
		return nil, err
	}
	var active []string
	for _, block := range strings.Split(out, "\n\n") {
		var id, state string
		for line := range strings.Lines(block) {
			switch key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key {
			case "Id":
				id = value
			case "ActiveState":
				state = value
			}
		}
		if id != "" && state != "inactive" && state != "failed" {
			active = append(active, id)
		}
	}
	return active, nil
}

// Enabled are those of the units that something pulls in, at the next boot at the
// latest: by the links that systemctl enable makes.
func Enabled(names []string) (enabled []string, err error) {
	for _, dir := range []string{string(Default), "/run/systemd/system"} {
		for _, name := range names {
			for _, how := range []string{"wants", "requires", "upholds"} {
				links, err := filepath.Glob(filepath.Join(dir, "*."+how, name))
				if err != nil {
					return nil, err
				}
				if len(links) > 0 && !slices.Contains(enabled, name) {
					enabled = append(enabled, name)
				}
			}
		}
	}
	return enabled, nil
}

func systemctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), managerTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "systemctl", args...)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_PAGER=")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("systemctl %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
