package jsonout

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// expected is what encoding/json makes of v.
func expected(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func written(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrite(t *testing.T) {
	for _, src := range []string{
		`null`, `-1.5e9`, `"a"`, `{}`, `[]`, `[[],{}]`, `{"a":{"b":[1,{"c":null}],"d":""},"e":[true]}`,
		`"<\"[{,:}]\\"`, `{"a\\":"\\\\\"","{":"größer 東 😀"}`, `"\u0007\n\u2028"`,
		`[` + strings.Repeat(`{"a":["long"]},`, chunk/4) + `"` + strings.Repeat("x", 3*chunk) + `"]`,
	} {
		var v any
		if err := json.Unmarshal([]byte(src), &v); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(expected(t, v), written(t, v)); diff != "" {
			t.Errorf("%.80s (-encoding/json +ours):\n%.2000s", src, diff)
		}
	}
}

func TestWriteEscapes(t *testing.T) {
	for in, want := range map[string]string{
		"\u009b31m":     `"\u009b31m"`,
		"a\x7fb":        `"a\u007fb"`,
		"\u202egnp.exe": `"\u202egnp.exe"`,
		"\\\u0085\"":    `"\\\u0085\""`,
		"\U000e0041x":   `"\udb40\udc41x"`,
		"\ufeff\u00a0":  `"\ufeff\u00a0"`,
	} {
		if got := strings.TrimSuffix(written(t, in), "\n"); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestWriteFails(t *testing.T) {
	full := errors.New("no space left on device")
	if err := Write(failing{full}, "a"); !errors.Is(err, full) {
		t.Error(err)
	}
	if err := Write(io.Discard, func() {}); err == nil {
		t.Error("a function is no JSON")
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }

// Whatever the value, what is written is the same value, and printable.
func FuzzWrite(f *testing.F) {
	f.Add(`{"a":["\u202e",{"\u0085":"😀\\\""}]}`)
	f.Add(`"\ud800"`)
	f.Fuzz(func(t *testing.T, src string) {
		var v, want, have any
		if json.Unmarshal([]byte(src), &v) != nil {
			v = src
		}
		got := written(t, v)
		if err := errors.Join(json.Unmarshal([]byte(expected(t, v)), &want), json.Unmarshal([]byte(got), &have)); err != nil {
			t.Fatalf("%v: %q", err, got)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("-encoding/json +ours:\n%s", diff)
		}
		for _, r := range got {
			if !strconv.IsPrint(r) && r != '\n' {
				t.Fatalf("%q in %q", r, got)
			}
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	type node struct {
		Kind, Name string
		MTU        int
		Below      []node
	}
	nodes := make([]node, 10000)
	for i := range nodes {
		nodes[i] = node{"tap", "vnet" + strconv.Itoa(i), 9000, []node{{Kind: "bridge", Name: "br0"}}}
	}
	for b.Loop() {
		if err := Write(io.Discard, nodes); err != nil {
			b.Fatal(err)
		}
	}
}
