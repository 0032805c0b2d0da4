package state

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxInterface bounds the XML of an interface, in bytes.
const maxInterface = 64 << 10

// MarkUnplugged notes that a NIC of the running domain is about to be taken out, to be
// plugged in again: the XML is what to plug in. A domain has one such NIC at a time.
func (d *Dir) MarkUnplugged(uuid, xml string) error {
	if len(xml) > maxInterface {
		return fmt.Errorf("note what is taken out: the interface has %d bytes of XML", len(xml))
	}
	err := d.unplugged(uuid, func(f folder) error { return f.put(uuid, xml) })
	if err != nil {
		return fmt.Errorf("note what is taken out: %w", err)
	}
	return nil
}

// Unplugged returns what MarkUnplugged noted, as long as it was not cleared; empty:
// nothing.
func (d *Dir) Unplugged(uuid string) (xml string, err error) {
	err = d.unplugged(uuid, func(f folder) error {
		fd, err := unix.Openat(f.fd, uuid, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: f.path + "/" + uuid, Err: err}
		}
		file := os.NewFile(uintptr(fd), f.path+"/"+uuid)
		defer file.Close()
		b, err := io.ReadAll(io.LimitReader(file, maxInterface+1))
		xml = string(b)
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("see what was taken out: %w", err)
	}
	return xml, nil
}

// ClearUnplugged forgets it, if there is anything.
func (d *Dir) ClearUnplugged(uuid string) error {
	if err := d.unplugged(uuid, func(f folder) error { return f.remove(uuid) }); err != nil {
		return fmt.Errorf("forget what was taken out: %w", err)
	}
	return nil
}

// unplugged opens the folder for one call: the hook, which runs at every start, has no
// use for it.
func (d *Dir) unplugged(uuid string, do func(folder) error) error {
	if err := checkUUID(uuid); err != nil {
		return err
	}
	f := folder{path: d.base.path + "/unplugged"}
	var err error
	if f.fd, err = d.base.open("unplugged", f.path, own); err != nil {
		return err
	}
	defer unix.Close(f.fd)
	return do(f)
}
