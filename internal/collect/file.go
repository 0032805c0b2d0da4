package collect

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxFile bounds what is read of one file, in bytes. Configuration is far below it.
const maxFile = 1 << 20

// readSmall reads a regular file that should be small. A FIFO in its place must not
// hold anybody up.
func readSmall(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", &os.PathError{Op: "read", Path: path, Err: errors.New("no regular file")}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = &os.PathError{Op: "read", Path: path, Err: errors.New("larger than 1 MiB")}
	}
	return string(b), err
}
