package plan

import (
	"fmt"
	"slices"

	"virt-mtu/internal/finding"
)

// Peer is a NIC among those of its host.
type Peer struct {
	Domain string
	*Inspection
}

// Peers finds NICs on one bridge that work with another MTU than most of the others
// there: a segment cannot tell a sender that a packet is too large for who is to
// have it. Who was told nothing, and what does not run, is no peer.
func Peers(all []Peer) {
	segments := map[string][]Peer{}
	for _, p := range all {
		if p.Segment != "" && p.Told {
			segments[p.Segment] = append(segments[p.Segment], p)
		}
	}
	for _, peers := range segments {
		usual, others := majority(peers)
		for _, p := range peers {
			if p.Guest == usual || p.Ignored {
				continue
			}
			p.Findings = append(p.Findings, finding.New(finding.PeerMismatch,
				fmt.Sprintf("the guest has %d where others on %s have %d (%s): a segment has to have one MTU", p.Guest, p.Bridge, usual, some(others, 3)),
				fmt.Sprintf("virt-mtu fix --force --mtu %d %s # or bring the others to %d", usual, ShellWord(p.Domain), p.Guest)))
		}
	}
}

// majority is the MTU that most have, of as many the larger, and who has it.
func majority(peers []Peer) (mtu int, who []string) {
	count := map[int]int{}
	for _, p := range peers {
		count[p.Guest]++
	}
	for m, n := range count {
		if n > count[mtu] || n == count[mtu] && m > mtu {
			mtu = m
		}
	}
	for _, p := range peers {
		if p.Guest == mtu && !slices.Contains(who, p.Domain) && len(who) < 100 {
			who = append(who, p.Domain)
		}
	}
	return mtu, who
}
