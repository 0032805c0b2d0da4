package finding

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWorse(t *testing.T) {
	order := []Severity{OK, Unknown, Warning, Critical}
	for i, a := range order {
		for k, b := range order {
			if got := Worse(a, b); got != order[max(i, k)] {
				t.Errorf("of %s and %s: %s", a, b, got)
			}
		}
	}
	for _, tt := range []struct{ a, b, want Severity }{
		{Info, Info, OK}, {OK, Info, OK}, {Info, OK, OK}, {Info, Warning, Warning},
		// What is none of ours is not ok.
		{"CRITICAL", OK, Unknown}, {OK, "CRITICAL", Unknown}, {"", OK, Unknown}, {"a", "b", Unknown}, {"CRITICAL", Warning, Warning},
	} {
		if got := Worse(tt.a, tt.b); got != tt.want {
			t.Errorf("of %q and %q: %s, want %s", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestCompare(t *testing.T) {
	got := []Severity{OK, Info, "CRITICAL", Warning, Unknown, Critical}
	slices.SortFunc(got, Compare)
	if diff := cmp.Diff([]Severity{Critical, Warning, "CRITICAL", Unknown, Info, OK}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Every code of the table makes a finding with a severity of ours.
func TestNew(t *testing.T) {
	for code := range severities {
		if _, ok := ranks[New(code, "", "").Severity]; !ok || !Known(code) {
			t.Errorf("%s", code)
		}
	}
	if Known("") || Known("CRITICAL") {
		t.Error("what is not in the table is known")
	}
}
