package domxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The functions here refuse what encoding/xml lets pass and libxml2 does not. A
// document that the two read differently could be given an <mtu> in one place and
// be read by libvirt in another.

// maxDepth is libxml2's limit on open elements (xmlParserMaxDepth), which libvirt
// does not lift.
const maxDepth = 256

// usualDepth is as deep as libvirt's own XML goes, mostly.
const usualDepth = 16

// checkBytes looks for what XML may not hold anywhere, comments included.
func checkBytes(src []byte) error {
	if !utf8.Valid(src) {
		at := 0
		for at < len(src) {
			r, n := utf8.DecodeRune(src[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		return errorAt(src, at, "byte 0x%02x is not UTF-8: convert the document to UTF-8", src[at])
	}
	for at, c := range src {
		if c >= ' ' && c != 0xef || c == '\n' { // nearly all
			continue
		}
		if c < ' ' && c != '\t' && c != '\r' {
			return errorAt(src, at, "control character 0x%02x is not allowed in XML", c)
		}
		// U+FFFE and U+FFFF, the only others that UTF-8 has and XML has not.
		if c == 0xef && src[at+1] == 0xbf && src[at+2] >= 0xbe {
			return errorAt(src, at, "character U+FFF%X is not allowed in XML", src[at+2]-0xb0)
		}
	}
	return nil
}

// checkDeclaration judges what stands between "<?xml" and "?>".
func checkDeclaration(s string) error {
	malformed := errors.New("malformed XML declaration")
	want := []string{"version", "encoding", "standalone"}
	for first := true; ; first = false {
		rest := strings.TrimLeft(s, " \t\r\n")
		if rest == "" && !first {
			return nil
		}
		name, value, ok := strings.Cut(rest, "=")
		if !ok || len(rest) == len(s) {
			return malformed
		}
		name = strings.TrimRight(name, " \t\r\n")
		value = strings.TrimLeft(value, " \t\r\n")
		for !first && len(want) > 0 && want[0] != name {
			want = want[1:] // encoding and standalone may be left out
		}
		if len(want) == 0 || want[0] != name || value == "" || value[0] != '"' && value[0] != '\'' {
			return malformed
		}
		want = want[1:]
		if value, s, ok = strings.Cut(value[1:], value[:1]); !ok {
			return malformed
		}
		switch {
		case name == "version" && value != "1.0":
			return fmt.Errorf("XML version %s is not supported: only 1.0 is", quote(value))
		case name == "encoding" && !strings.EqualFold(value, "utf-8"):
			return fmt.Errorf("encoding %s is not supported: convert the document to UTF-8", quote(value))
		case name == "standalone" && value != "yes" && value != "no":
			return malformed
		}
	}
}

// checkProcInst judges a processing instruction, raw being all of it.
func checkProcInst(target string, raw []byte, first bool) error {
	rest := raw[len("<?")+len(target):]
	switch {
	case target == "xml" && first:
		return checkDeclaration(string(rest[:len(rest)-len("?>")]))
	case strings.EqualFold(target, "xml"):
		return errors.New("an XML declaration is allowed at the very start only")
	case !isSpace(rest[0]) && len(rest) > len("?>"):
		return errors.New("no space after the name of a processing instruction")
	}
	return nil
}

// checkAttrs judges the attributes of a start tag, raw being all of it.
func checkAttrs(attrs []xml.Attr, raw []byte) error {
	if i := duplicate(attrs); i >= 0 {
		return fmt.Errorf("attribute %s stands twice in one element", quote(attrs[i].Name.Local))
	}
	for _, a := range attrs {
		// Namespaces in XML 1.0 has no such thing. libxml2 passes it over,
		// encoding/xml takes the prefix for no namespace at all: libvirt's.
		if a.Name.Space == "xmlns" && a.Value == "" {
			return fmt.Errorf("namespace prefix %s is bound to nothing", quote(a.Name.Local))
		}
	}
	at := 0
	for range attrs {
		at = nextValue(raw, at).end + 1
		if c := raw[at]; !isSpace(c) && c != '/' && c != '>' {
			return errors.New("no space between two attributes")
		}
	}
	return nil
}

// duplicate returns the index of the first attribute whose name has been before,
// or -1.
func duplicate(attrs []xml.Attr) int {
	const few = 16 // up to here, comparing all pairs is faster than a map
	if len(attrs) <= few {
		for i := range attrs {
			for j := range i {
				if attrs[i].Name == attrs[j].Name {
					return i
				}
			}
		}
		return -1
	}
	seen := make(map[xml.Name]bool, len(attrs))
	for i, a := range attrs {
		if seen[a.Name] {
			return i
		}
		seen[a.Name] = true
	}
	return -1
}

// nextValue returns the first attribute value of a start tag at or after from,
// without its quotes: in a well-formed tag a quote stands nowhere else.
func nextValue(tag []byte, from int) span {
	for i := from; i < len(tag); i++ {
		if q := tag[i]; q == '"' || q == '\'' {
			return span{i + 1, i + 1 + bytes.IndexByte(tag[i+1:], q)}
		}
	}
	return span{}
}

// surrogateAt returns where raw, text or a start tag, holds a reference to a UTF-16
// surrogate, which is no character; -1 if it does not. encoding/xml reads it as U+FFFD.
func surrogateAt(raw []byte) int {
	for at := 0; ; at++ {
		i := bytes.Index(raw[at:], []byte("&#"))
		if i < 0 {
			return -1
		}
		at += i
		digits, _, _ := bytes.Cut(raw[at+2:], []byte(";"))
		base := 10
		if bytes.HasPrefix(digits, []byte("x")) {
			digits, base = digits[1:], 16
		}
		if n, err := strconv.ParseUint(string(digits), base, 64); err == nil && 0xd800 <= n && n <= 0xdfff {
			return at
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
