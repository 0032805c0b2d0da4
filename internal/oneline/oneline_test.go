package oneline

import (
	"strings"
	"testing"
)

const most = 2000

func TestText(t *testing.T) {
	long := strings.Repeat("ä", most)
	for in, want := range map[string]string{
		"web1":                     "web1",
		"größer, 東":                "größer, 東",
		"a\nb\r\tc\x00":            "a?b??c?",
		"\x1b[2J":                  "?[2J",
		"\u0085\u2028\u202e\ufeff": "????",
		"a\xffb":                   "a\ufffdb",
		long:                       long[:most] + "...",
		"x" + long:                 "x" + long[:most-2] + "...",
	} {
		if got := Text(in, most); got != want {
			t.Errorf("%.40q: got %.40q (%d bytes), want %.40q (%d bytes)", in, got, len(got), want, len(want))
		}
	}
}
