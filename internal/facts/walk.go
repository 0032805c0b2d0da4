package facts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// walker reads JSON into Go values as encoding/json does, but goes from one element to
// the next where there are lists: one that is too long ends it before it takes memory.
type walker struct {
	src []byte
	dec *json.Decoder
	// By path, such as "links.tunnel".
	lists   map[string]int // elements so far
	objects map[string]map[string]field
}

// field is one of a struct's.
type field struct {
	index []int
	path  string
	bit   uint64 // tells it from the others of its struct
}

// misfit is an error about what is JSON, but not facts.
type misfit string

func (m misfit) Error() string { return string(m) }

// passed is what is passed over.
type passed struct{}

func (*passed) UnmarshalJSON([]byte) error { return nil }

// errTrailing: something follows the object. What is wrong with it is place's to say.
var errTrailing = errors.New("there is more than one JSON value")

func newWalker(src []byte) *walker {
	return &walker{src, json.NewDecoder(bytes.NewReader(src)), map[string]int{}, map[string]map[string]field{}}
}

// misfit makes an error about what ends at a byte.
func (w *walker) misfit(end int64, format string, a ...any) error {
	return misfit(fmt.Sprintf("byte %d: ", end) + fmt.Sprintf(format, a...))
}

// document reads all of the input, an object, into v.
func (w *walker) document(v reflect.Value) error {
	if _, err := w.dec.Token(); err != nil {
		return err
	}
	if err := w.object(v, ""); err != nil {
		return err
	}
	if _, err := w.dec.Token(); err != io.EOF {
		return errTrailing
	}
	return nil
}

// find reads the field of the outermost object that is called key into v, and no
// further. Without one v stays as it is.
func (w *walker) find(key string, v reflect.Value) error {
	if _, err := w.dec.Token(); err != nil {
		return err
	}
	for w.dec.More() {
		t, err := w.dec.Token()
		if err != nil {
			return err
		}
		if strings.EqualFold(t.(string), key) {
			return w.whole(v, key)
		}
		if err := w.dec.Decode(&passed{}); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

func (w *walker) value(v reflect.Value, path string) error {
	if flat(w.src[w.next():]) {
		return w.whole(v, path)
	}
	t, err := w.dec.Token()
	if err != nil {
		return err
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case t == json.Delim('{') && v.Kind() == reflect.Struct:
		return w.object(v, path)
	case t == json.Delim('[') && v.Kind() == reflect.Slice:
		return w.list(v, path)
	}
	return w.misfit(w.dec.InputOffset(), "%s is a JSON %s, which does not fit", path, map[bool]string{false: "array", true: "object"}[t == json.Delim('{')])
}

// next is where in src the next value begins, or the blanks before it.
func (w *walker) next() int64 {
	w.dec.More()
	at := w.dec.InputOffset()
	if at < int64(len(w.src)) && (w.src[at] == ',' || w.src[at] == ':') {
		at++
	}
	return at
}

// whole reads a value at once.
func (w *walker) whole(v reflect.Value, path string) error {
	start := w.next()
	err := w.dec.Decode(v.Addr().Interface())
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		path = strings.Trim(path+"."+mistyped.Field, ".")
		return w.misfit(start+mistyped.Offset, "%s is a JSON %s, which does not fit", path, mistyped.Value)
	}
	return err
}

func (w *walker) object(v reflect.Value, path string) error {
	fields := w.fields(v.Type(), path)
	var seen uint64
	for w.dec.More() {
		t, err := w.dec.Token()
		if err != nil {
			return err
		}
		f, known := fields[strings.ToLower(t.(string))]
		switch {
		case !known:
			err = w.dec.Decode(&passed{})
		case seen&f.bit != 0:
			err = w.misfit(w.dec.InputOffset(), "%s comes twice", f.path)
		default:
			seen |= f.bit
			err = w.value(v.FieldByIndex(f.index), f.path)
		}
		if err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

func (w *walker) list(v reflect.Value, path string) error {
	n := w.lists[path]
	for i := 0; w.dec.More(); i++ {
		if n++; n > bounds[path] {
			return w.misfit(w.dec.InputOffset(), "%s has more than %d elements", path, bounds[path])
		}
		v.Grow(1)
		v.SetLen(i + 1)
		if err := w.value(v.Index(i), path); err != nil {
			return err
		}
	}
	w.lists[path] = n
	_, err := w.dec.Token()
	return err
}

// fields returns the fields of a struct by their keys.
func (w *walker) fields(t reflect.Type, path string) map[string]field {
	fields := w.objects[path]
	if fields != nil {
		return fields
	}
	fields = map[string]field{}
	for i, f := range reflect.VisibleFields(t) {
		if key := f.Tag.Get("json"); key != "" {
			fields[key] = field{f.Index, strings.TrimPrefix(path+"."+key, "."), 1 << i}
		}
	}
	w.objects[path] = fields
	return fields
}

// flat reports whether the first JSON value in src has no list in it but empty ones, so
// that it takes no more memory than there is of it. Of what is no JSON it may say either.
func flat(src []byte) bool {
	depth := 0
	for i := 0; i < len(src); i++ {
		switch src[i] {
		case '"':
			n := stringLen(src[i:])
			if n == 0 {
				return false
			}
			i += n - 1
		case '[':
			src, i = bytes.TrimLeft(src[i+1:], " \t\r\n"), 0
			if len(src) == 0 || src[0] != ']' {
				return false
			}
		case '{':
			depth++
			continue
		case '}':
			depth--
		case ' ', '\t', '\r', '\n', ':':
			continue
		}
		if depth <= 0 {
			return true
		}
	}
	return false
}

// stringLen is the length of the JSON string at the beginning of src; 0: it has no end.
func stringLen(src []byte) int {
	for i := 1; i < len(src); i++ {
		n := bytes.IndexByte(src[i:], '"')
		if n < 0 {
			return 0
		}
		i += n
		escapes := i - len(bytes.TrimRight(src[:i], `\`))
		if escapes%2 == 0 {
			return i + 1
		}
	}
	return 0
}
