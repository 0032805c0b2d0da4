package facts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxSize bounds what Decode reads, in bytes: some 100,000 domains.
const maxSize = 256 << 20

// Decode reads Facts that Encode has written, here or elsewhere, by this virt-mtu or
// a newer one: a field that it does not know it passes over, and one that is missing
// stays zero. What is in them is as trustworthy as whoever wrote them.
//
// It keeps all of the input until it is done, as encoding/json's Decoder does too for
// anything that is one object.
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
	// First, so that facts of another version are told from broken ones.
	var v struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(src, &v); err != nil {
		return Facts{}, place(err, src)
	}
	switch {
	case v.Version == nil:
		return Facts{}, fmt.Errorf("there is no version in the input: this virt-mtu reads version %d, as virt-mtu facts writes it", Version)
	case *v.Version != Version:
		return Facts{}, fmt.Errorf("facts are of version %d, this virt-mtu reads version %d: take the same virt-mtu on both hosts", *v.Version, Version)
	}
	var f Facts
	if err := json.Unmarshal(src, &f); err != nil {
		return Facts{}, place(err, src)
	}
	return f, nil
}

// place says where in src encoding/json failed.
func place(err error, src []byte) error {
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax) && cutOff(syntax, src):
		return fmt.Errorf("the input is cut off: it ends at byte %d within the JSON object", len(src))
	case errors.As(err, &syntax):
		return fmt.Errorf("byte %d: %w", syntax.Offset, syntax)
	case errors.As(err, &mistyped):
		field := strings.TrimPrefix(mistyped.Field, "Snapshot.") // embedded: no key of the JSON
		return fmt.Errorf("byte %d: %s is a JSON %s, which does not fit", mistyped.Offset, field, mistyped.Value)
	}
	return err
}

// cutOff reports whether it is the end of the input that is wrong. encoding/json takes
// a blank to stand there, which in true or -1 it blames.
func cutOff(e *json.SyntaxError, src []byte) bool {
	return e.Offset == int64(len(src)) && (strings.HasPrefix(e.Error(), "unexpected end") ||
		strings.HasPrefix(e.Error(), "invalid character ' '") && src[len(src)-1] != ' ')
}
