package facts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"virt-mtu/internal/host"
)

// maxSize bounds what Decode reads, in bytes: some 100,000 domains.
const maxSize = 256 << 20

// Decode reads Facts that Encode has written, here or elsewhere, by this virt-mtu or
// a newer one: a field that it does not know it passes over, and one that is missing
// stays zero. What is in them is as trustworthy as whoever wrote them; but its lists
// have bounds, its links names that a link can have, and its findings are of the table.
//
// It keeps all of the input until it is done, to say where in it something is wrong.
func Decode(r io.Reader) (Facts, error) {
	src, err := input(r, maxSize)
	if err != nil {
		return Facts{}, fmt.Errorf("read facts: %w", err)
	}
	f, err := decode(src)
	if err != nil {
		return Facts{}, fmt.Errorf("read facts: %w", err)
	}
	return f, nil
}

func input(r io.Reader, most int64) ([]byte, error) {
	src, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(src)) > most {
		err = fmt.Errorf("the input is larger than %d MiB", most>>20)
	}
	return src, err
}

func decode(src []byte) (Facts, error) {
	start := bytes.TrimLeft(src, " \t\r\n")
	switch {
	case len(start) == 0:
		return Facts{}, errors.New("the input is empty")
	case start[0] != '{':
		return Facts{}, errors.New("the input is not a JSON object, as virt-mtu facts writes it")
	}
	if err := version(src); err != nil {
		return Facts{}, place(err, src)
	}
	var f Facts
	w := newWalker(src)
	if err := w.document(reflect.ValueOf(&f).Elem()); err != nil {
		return Facts{}, place(err, src)
	}
	for i, l := range f.Links {
		if !host.ValidName(l.Name) {
			return Facts{}, fmt.Errorf("links[%d].name is %.100q, which no link can be called", i, l.Name)
		}
	}
	if err := checkNumbers(&f); err != nil {
		return Facts{}, err
	}
	for i := range f.Hook {
		f.Hook[i] = rebuilt(f.Hook[i])
	}
	return f, nil
}

// version reads no further than the version, which Encode writes first: facts of another
// are told from broken ones, however long they are and wherever they end.
func version(src []byte) error {
	var v *int
	w := newWalker(src)
	if err := w.find("version", reflect.ValueOf(&v).Elem()); err != nil {
		return err
	}
	switch {
	case v == nil:
		return misfit(fmt.Sprintf("there is no version in the input: this virt-mtu reads version %d, as virt-mtu facts writes it", Version))
	case *v != Version:
		return misfit(fmt.Sprintf("facts are of version %d, this virt-mtu reads version %d: take the same virt-mtu on both hosts", *v, Version))
	}
	return nil
}

// place says where in src there is no JSON. That encoding/json itself knows only
// where it has read all at once.
func place(err error, src []byte) error {
	if errors.As(err, new(misfit)) {
		return err
	}
	err = json.Unmarshal(src, &passed{})
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax) && cutOff(syntax, src):
		return fmt.Errorf("the input is cut off: it ends at byte %d within the JSON object", len(src))
	case errors.As(err, &syntax):
		return fmt.Errorf("byte %d: %w", syntax.Offset, syntax)
	}
	return err
}

// cutOff reports whether it is the end of the input that is wrong. encoding/json takes
// a blank to stand there, which in true or -1 it blames.
func cutOff(e *json.SyntaxError, src []byte) bool {
	return e.Offset == int64(len(src)) && (strings.HasPrefix(e.Error(), "unexpected end") ||
		strings.HasPrefix(e.Error(), "invalid character ' '") && src[len(src)-1] != ' ')
}
