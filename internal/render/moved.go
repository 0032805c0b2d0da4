package render

import (
	"fmt"
	"strings"

	"virt-mtu/internal/check"
)

// barred is all that cannot migrate from one host to another.
type barred struct {
	from, to int // indexes of hosts
	domains  []string
	more     int
}

// mostBarred domains are named.
const mostBarred = 4

// refused gathers the moves that are refused, by pairs of hosts.
func refused(hosts []check.Host, moves []check.Move) []*barred {
	index := map[string]int{}
	for i := range hosts {
		index[hosts[i].Name] = i
	}
	var all []*barred
	byPair := map[[2]int]*barred{}
	for i := range moves {
		m := &moves[i]
		from, known := index[m.From]
		to, also := index[m.To]
		if m.Verdict != check.No || !known || !also || from == to {
			continue
		}
		b := byPair[[2]int{from, to}]
		if b == nil {
			b = &barred{from: from, to: to}
			byPair[[2]int{from, to}] = b
			all = append(all, b)
		}
		if len(b.domains) == mostBarred {
			b.more++
			continue
		}
		why := ""
		if f := worstFirst(m.Findings); len(f) > 0 {
			why = " (" + word(f[0].Code) + ")"
		}
		b.domains = append(b.domains, name(m.Domain)+why)
	}
	return all
}

func (b *barred) line(hosts []check.Host) string {
	text := fmt.Sprintf("✗ to %s cannot migrate: %s", name(hosts[b.to].Name), strings.Join(b.domains, ", "))
	if b.more > 0 {
		text += fmt.Sprintf(" and %d more", b.more)
	}
	return text
}
