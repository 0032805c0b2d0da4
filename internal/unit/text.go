package unit

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"virt-mtu/packaging"
)

// prefix is how the names of all units begin.
const prefix = "virt-mtu-"

// Names are the units' names, sorted.
func Names() []string {
	names, err := fs.Glob(packaging.Units(), prefix+"*")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	slices.Sort(names)
	return names
}

// text is the unit as it is to be written for a virt-mtu at program: it starts that one,
// and bears the mark.
func text(name, program string) (string, error) {
	raw, err := fs.ReadFile(packaging.Units(), name)
	if err != nil {
		return "", err
	}
	unit := strings.ReplaceAll("\n"+string(raw), "\nExecStart="+packaging.Program+" ", "\nExecStart="+program+" ")
	return marked("# Whoever edits it keeps it. What is yours alone goes beside it: systemctl edit " + name + unit), nil
}

// mark is the first line of a unit that was written here. The sum, of the rest, tells
// whether somebody has changed it since.
const mark = "# Written by virt-mtu hook install --systemd, sha256 of the rest "

func marked(rest string) string {
	return fmt.Sprintf("%s%x\n%s", mark, sha256.Sum256([]byte(rest)), rest)
}

// origin is whose the text of a unit is.
type origin int

const (
	foreign origin = iota // somebody else's
	edited                // written here, and changed since
	ours
)

func originOf(text string) origin {
	first, rest, _ := strings.Cut(text, "\n")
	switch {
	case !strings.HasPrefix(first, mark):
		return foreign
	case text != marked(rest):
		return edited
	}
	return ours
}
