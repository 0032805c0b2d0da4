package policy

import (
	"fmt"
	"strconv"
)

// Kind is what a Setting asks for.
type Kind int

const (
	Inherit Kind = iota // what the segment carries
	Fixed               // a number
	Ignore              // leave it alone
)

// Setting is the wanted MTU of a NIC. The zero value is "inherit".
type Setting struct {
	Kind Kind
	MTU  int // bytes of IP packet; Fixed only
}

// Valid MTUs in <mtu size='N'/>; the same bounds as package domxml's.
const (
	minMTU = 68
	maxMTU = 65535
)

// ParseSetting reads "inherit", "ignore" or a number from 68 to 65535. Its error shows the
// beginning of s: a domain's owner may have written megabytes.
func ParseSetting(s string) (Setting, error) {
	switch s {
	case "inherit":
		return Setting{}, nil
	case "ignore":
		return Setting{Kind: Ignore}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return Setting{}, fmt.Errorf("mtu %.40q is neither \"inherit\" nor \"ignore\" nor a number from %d to %d", s, minMTU, maxMTU)
	}
	return fixed(int64(n))
}

func fixed(n int64) (Setting, error) {
	if n < minMTU || n > maxMTU {
		return Setting{}, fmt.Errorf("mtu %d is not from %d to %d", n, minMTU, maxMTU)
	}
	return Setting{Kind: Fixed, MTU: int(n)}, nil
}
