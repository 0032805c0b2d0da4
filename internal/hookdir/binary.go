package hookdir

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// mainPackage is the hook's, as the Go toolchain writes it into every binary,
// stripped or not.
const mainPackage = "virt-mtu/cmd/qemu-hook"

// binaryNames are what the hook is called outside libvirt's directory, when
// installed and when built.
var binaryNames = []string{"virt-mtu-qemu-hook", "qemu-hook"}

// ErrNoBinary: the hook to install is not there.
var ErrNoBinary = errors.New("virt-mtu-qemu-hook not found")

// Binary finds the hook that belongs to this virt-mtu: in the folder of the program
// at self, in the sbin beside that, where packages put it, then in the folders of path
// ($PATH), where an older one may lie. Error: ErrNoBinary.
func Binary(self, path string) (string, error) {
	dir := filepath.Dir(self)
	dirs := []string{dir, filepath.Join(dir, "../sbin")}
	for _, dir := range filepath.SplitList(path) {
		if filepath.IsAbs(dir) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		for _, name := range binaryNames {
			file := filepath.Join(dir, name)
			if mine, _ := ours(file); mine {
				return file, nil
			}
		}
	}
	return "", fmt.Errorf("%w beside %s or in PATH", ErrNoBinary, self)
}

// ours reports whether the file, or what it is a link to, is virt-mtu's hook. What
// cannot be opened is not, unless it is for want of permission.
func ours(file string) (bool, error) {
	// O_NONBLOCK: what lies there may be a FIFO.
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return false, err
	}
	if err != nil {
		return false, nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, nil
	}
	build, err := buildinfo.Read(f)
	return err == nil && build.Path == mainPackage, nil
}
