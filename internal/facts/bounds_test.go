package facts

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// opened are facts up to the inside of a list.
func opened(path string) string {
	text, at := `{"version":1,`, ""
	for _, key := range strings.Split(path, ".") {
		at = strings.TrimPrefix(at+"."+key, ".")
		text += fmt.Sprintf("%q:", key)
		if bounds[at] > 0 {
			text += "["
		}
		text += "{"
	}
	return strings.TrimSuffix(text, "{")
}

// Every list has a bound, and is refused beyond it before it has taken memory,
// whatever is in it.
func TestDecodeBounds(t *testing.T) {
	var lists func(of reflect.Type, path string)
	seen := map[string]bool{}
	lists = func(of reflect.Type, path string) {
		switch of.Kind() {
		case reflect.Pointer:
			lists(of.Elem(), path)
		case reflect.Slice:
			seen[path] = true
			if bounds[path] == 0 {
				t.Errorf("%s has no bound", path)
			}
			lists(of.Elem(), path)
		case reflect.Struct:
			for _, f := range reflect.VisibleFields(of) {
				if key := f.Tag.Get("json"); key != "" {
					lists(f.Type, strings.TrimPrefix(path+"."+key, "."))
				}
			}
		}
	}
	lists(reflect.TypeFor[Facts](), "")
	for path, most := range bounds {
		if !seen[path] {
			t.Errorf("there is no list %s", path)
		}
		for _, element := range []string{"{}", "null", `""`, "[]"} {
			src := opened(path) + strings.Repeat(element+",", 2_000_000) + element
			_, memory, err := measured(src)
			want := fmt.Sprintf("%s has more than %d elements", path, most)
			if strings.HasSuffix(fmt.Sprint(err), "which does not fit") { // the first is wrong already
				continue
			}
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s of %s: %v, want %s", path, element, err, want)
			}
			if memory > 200<<20 {
				t.Errorf("%s of %s: %d MiB for %d MiB", path, element, memory>>20, len(src)>>20)
			}
		}
	}
}

// measured decodes, and says how much memory was asked for.
func measured(src string) (Facts, uint64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := decode([]byte(src))
	runtime.ReadMemStats(&after)
	return f, after.TotalAlloc - before.TotalAlloc, err
}

// The lists within elements count together.
func TestDecodeBoundsTogether(t *testing.T) {
	guests := `{"guests":[` + strings.TrimSuffix(strings.Repeat(`{},`, 1000), ",") + `]},`
	full := strings.TrimSuffix(strings.Repeat(guests, 100), ",")
	f, err := decode([]byte(`{"version":1,"domains":[` + full + `]}`))
	if err != nil || len(f.Domains) != 100 || len(f.Domains[99].Guests) != 1000 {
		t.Errorf("%v", err)
	}
	_, err = decode([]byte(`{"version":1,"domains":[` + full + `,{"guests":[{}]}]}`))
	if err == nil || !strings.HasSuffix(err.Error(), "domains.guests has more than 100000 elements") {
		t.Errorf("%v", err)
	}
}

func TestFlat(t *testing.T) {
	for src, want := range map[string]bool{
		`1,[2]`: true, `null]`: true, `"a[1]"`: true, `"\"[1"`: true, `"\\",[1]`: true, `{}[1]`: true, `[]`: true, ` [ ] `: true, ` : {"a":[ ],"b":{"c":"[1]"}},[1]`: true,
		`[1]`: false, `[[]]`: false, `{"a":[null]}`: false, `{"a":[],"b":{"c":[{}]}}`: false, `{"\\":[1]}`: false, `{"\"":[1]}`: false,
		``: false, `"`: false, `"\"`: false, `{`: false, `[`: false, `{"a`: false,
	} {
		if got := flat([]byte(src)); got != want {
			t.Errorf("%s: %v", src, got)
		}
	}
}
