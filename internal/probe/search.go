package probe

import (
	"fmt"
	"math"
	"slices"
)

// Outcome is what became of one packet.
type Outcome int

const (
	// Lost: nothing came back in time.
	Lost Outcome = iota
	// Answered: the answer came back in one piece.
	Answered
	// Fragmented: the answer came back in fragments. MTU is the largest's size.
	Fragmented
	// TooBig: a router says so. From is its address, MTU what it names.
	TooBig
	// Refused: this host did not let it out. From is the link, MTU the link's.
	Refused
	// Unreachable: somebody (From) says that it cannot get there (Why), whatever its size.
	Unreachable
)

// Event is what became of a packet of one size.
type Event struct {
	Size    int
	Outcome Outcome
	From    string
	MTU     int
	Why     string
	// Late: another event of the same packet has been told before. It corrects that.
	Late bool
}

// How often a size has to be lost until it counts as one that does not get through: so
// often where nothing else is lost, and no more than so often where much is.
const (
	fewTries  = 3
	manyTries = 10
)

// most is how many packets a search sends at most.
const most = 64

// maxNotes bounds what is said of false errors.
const maxNotes = 3

// Search looks for the largest size that gets through, as far as it can by what it is
// told. Errors of routers and common sizes are where it looks first; what it ends with
// it has tried: that size was answered, and one byte more was not.
//
// One that is lost on its way stops no search: a size that was lost counts as too large
// only for where to look next, and is tried again when it matters.
type Search struct {
	only   int // --size; 0: look for the largest
	hints  []int
	trials map[int]*trial
	claims []claim
	sent   int
	last   int // the latest packet that was answered, as they are counted
	notes  []string
	gone   bool // it has answered, and does no more
}

// trial is what is known of one size.
type trial struct {
	answered    bool
	sent, lost  int
	inARow      int // lost since an answer
	first, last int // packets, as they are counted
	refused     *Event
	tooBig      *Event // the latest
	claimed     int    // how often tooBig
	fragment    int    // the largest of an answer; 0: none came in fragments
	unreachable *Event
}

// claim is what a router said: no more than mtu gets through.
type claim struct {
	from  string
	mtu   int
	false bool // more did
}

// NewSearch returns a search for the largest size. Hints are sizes that are worth a try.
func NewSearch(hints ...int) *Search {
	return &Search{hints: hints, trials: map[int]*trial{}}
}

// NewSingle returns a search that only tries whether one size gets through. Where it is
// lost it also finds out whether anything is answered at all.
func NewSingle(size int) *Search {
	return &Search{only: size, trials: map[int]*trial{}}
}

// Next returns the size to send next; false: there is no more to find out.
func (s *Search) Next() (int, bool) {
	if s.sent >= most {
		return 0, false
	}
	size := s.next()
	if size == 0 {
		return 0, false
	}
	t := s.trial(size)
	s.sent++
	t.sent++
	t.last = s.sent
	if t.first == 0 {
		t.first = s.sent
	}
	return size, true
}

func (s *Search) trial(size int) *trial {
	t := s.trials[size]
	if t == nil {
		t = &trial{}
		s.trials[size] = t
	}
	return t
}

// Tell tells what became of a packet that Next had asked for.
func (s *Search) Tell(e Event) {
	t := s.trial(e.Size)
	switch e.Outcome {
	case Lost:
		t.lost++
		t.inARow++
	case Answered, Fragmented:
		if e.Late && t.lost > 0 {
			t.lost--
		}
		s.last = max(s.last, t.last)
		if e.Outcome == Fragmented {
			t.fragment = max(t.fragment, e.MTU)
			break
		}
		t.answered, t.inARow = true, 0
		s.disbelieve(e.Size)
	case Refused:
		s.sent-- // it was none
		t.refused = &e
		if e.MTU >= floor && e.MTU < e.Size {
			s.trial(e.MTU + 1).refused = &e
		}
	case TooBig:
		if e.Late && t.lost > 0 {
			t.lost--
		}
		s.tooBig(t, e)
	case Unreachable:
		t.unreachable = &e
		if !e.Late {
			t.lost++
			t.inARow++
		}
	}
}

// tooBig takes a router at its word, until it turns out to be false.
func (s *Search) tooBig(t *trial, e Event) {
	if e.MTU < floor || e.MTU >= e.Size {
		e.MTU = 0 // no MTU that the packet is too big for
	}
	t.tooBig = &e
	t.claimed++
	if e.MTU != 0 && !slices.ContainsFunc(s.claims, func(c claim) bool { return c.from == e.From && c.mtu == e.MTU }) {
		s.claims = append(s.claims, claim{from: e.From, mtu: e.MTU})
	}
	if l := s.largest(); l > e.MTU {
		s.disbelieve(l)
	}
}

// disbelieve drops what routers said that is refuted by an answer of that size: their
// errors count no more than a packet that is lost, and those that came are forgotten.
func (s *Search) disbelieve(size int) {
	for i := range s.claims {
		c := &s.claims[i]
		if c.false || c.mtu >= size {
			continue
		}
		c.false = true
		for _, t := range s.trials {
			if t.tooBig != nil && t.tooBig.From == c.from {
				t.tooBig, t.claimed = nil, 0
			}
		}
		if len(s.notes) == maxNotes {
			continue
		}
		s.notes = append(s.notes, fmt.Sprintf("an ICMP error from %s names an MTU of %d, but more gets through: not believed", c.from, c.mtu))
	}
}

// names reports whether a router says that so much gets through and no more.
func (s *Search) names(mtu int) (claim, bool) {
	i := slices.IndexFunc(s.claims, func(c claim) bool { return !c.false && c.mtu == mtu })
	if i < 0 {
		return claim{}, false
	}
	return s.claims[i], true
}

func (t *trial) failed() bool {
	return !t.answered && (t.failures() > 0 || t.refused != nil || t.fragment > 0)
}

// failures is how many packets came to nothing that could have been lost by chance, or
// of which somebody may have lied.
func (t *trial) failures() int { return t.lost + t.claimed }

// largest is the largest size that was answered; 0: none was.
func (s *Search) largest() int {
	l := 0
	for size, t := range s.trials {
		if t.answered {
			l = max(l, size)
		}
	}
	return l
}

// bounds are the largest size that was answered, and the smallest above it that was not;
// above ceiling: none was not.
func (s *Search) bounds() (lo, hi int) {
	lo, hi = s.largest(), ceiling+1
	for size, t := range s.trials {
		if size > lo && t.failed() {
			hi = min(hi, size)
		}
	}
	return lo, hi
}

// next is the size to send next, 0: none.
func (s *Search) next() int {
	if s.only != 0 {
		return s.single()
	}
	lo, hi := s.bounds()
	switch {
	case lo == 0: // does it answer at all?
		return s.alive()
	case lo == ceiling:
		return 0
	case hi > ceiling:
		return ceiling // this host says at once what it does not let out
	case hi-lo > 1 && s.trial(hi).lost > 0 && s.trial(hi).failures() < s.tries(lo, 1, 0.05):
		return hi // much is lost here, and it would send the search astray
	case hi-lo > 1:
		return s.between(lo, hi)
	}
	return s.confirm(lo, hi)
}

// alive tries the smallest size until it is answered, or has been lost for good.
func (s *Search) alive() int {
	t := s.trial(floor)
	if t.failures() < fewTries && t.refused == nil && t.fragment == 0 {
		return floor
	}
	return 0
}

// single is next where one size is all that is wanted.
func (s *Search) single() int {
	t := s.trial(s.only)
	switch {
	case t.answered || t.refused != nil || t.fragment > 0 || t.tooBig != nil:
		return 0
	case t.lost < fewTries:
		return s.only
	case s.only > floor && !s.trial(floor).answered:
		return s.alive()
	}
	return 0
}

// between is the size to try between one that was answered and one that was not.
func (s *Search) between(lo, hi int) int {
	if s.trial(hi).refused != nil {
		return hi - 1 // all that leaves this host
	}
	for _, c := range slices.Backward(s.claims) {
		if size := toTry(c.mtu, lo, hi); size != 0 && !c.false {
			return size
		}
	}
	if size := s.byFragments(lo, hi); size != 0 {
		return size
	}
	for _, h := range s.hints {
		if size := toTry(h, lo, hi); size != 0 {
			return size
		}
	}
	if c := split(lo, hi); c != 0 {
		return c
	}
	if known(lo) {
		return lo + 1
	}
	return (lo + hi) / 2
}

// toTry is what to try where mtu may be the limit: itself, and then one byte more; 0
// where that is out of question.
func toTry(mtu, lo, hi int) int {
	switch {
	case mtu == lo:
		return lo + 1
	case mtu > lo && mtu < hi:
		return mtu
	}
	return 0
}

// byFragments is what to try between lo and hi where an answer came in fragments: all
// but the last carry a multiple of 8 bytes, so the largest is up to 7 below the MTU.
func (s *Search) byFragments(lo, hi int) int {
	f := s.fragment(lo)
	if f == 0 {
		return 0
	}
	hi = min(hi, f+8)
	switch {
	case lo >= f+8:
		return 0 // those who cut evenly
	case lo >= f && known(lo), lo == f+7:
		return lo + 1
	case lo >= f:
		return (lo + hi) / 2
	}
	if m := likeliest(max(f, lo+1), hi); m != 0 {
		return m
	}
	return toTry(f, lo, hi)
}

// fragment is the largest fragment of the answer to the smallest size above lo that had
// an answer in fragments; 0: none had.
func (s *Search) fragment(lo int) int {
	least := 0
	for size, t := range s.trials {
		if size > lo && !t.answered && t.fragment > 0 && (least == 0 || size < least) {
			least = size
		}
	}
	if least == 0 {
		return 0
	}
	return s.trials[least].fragment
}

// confirm is the size to try again where lo was answered and one byte more was not; 0
// where that is certain.
func (s *Search) confirm(lo, hi int) int {
	t := s.trial(hi)
	if t.refused != nil || t.fragment > 0 {
		return 0
	}
	enough := s.tries(lo, fewTries, 0.001)
	if c, ok := s.names(lo); ok {
		if t.tooBig != nil && t.tooBig.From == c.from {
			return 0 // named, and both sides of it tried
		}
		enough = min(enough, 2)
	}
	if t.failures() < enough {
		return hi
	}
	if s.last > t.last || t.tooBig != nil {
		return 0
	}
	if s.trial(lo).inARow < fewTries {
		return lo // does it answer at all any more?
	}
	s.gone = true
	return 0
}

// tries is how often a size has to be lost until the chance that it gets through all the
// same is no more than so much: least where nothing else was lost. How much is lost is
// seen in the sizes that do get through.
func (s *Search) tries(lo, least int, chance float64) int {
	sent, lost := 0, 0
	for size, t := range s.trials {
		if size <= lo {
			sent += t.sent
			lost += t.lost
		}
	}
	if lost == 0 {
		return least
	}
	p := float64(lost+1) / float64(sent+2)
	return min(max(int(math.Ceil(math.Log(chance)/math.Log(p))), least), manyTries)
}

// Largest is the largest size that got through in one piece; 0: none did.
func (s *Search) Largest() int {
	if s.only != 0 && !s.trial(s.only).answered {
		return 0
	}
	return s.largest()
}

// Sent is how many packets were sent.
func (s *Search) Sent() int { return s.sent }

// Limit is what stops larger packets: those one byte above Largest, or the size that
// was to be tried.
func (s *Search) Limit() Limit {
	lo, hi := s.bounds()
	if s.only != 0 {
		hi = s.only
	}
	t := s.trial(hi)
	switch {
	case t.answered || s.gone || hi > ceiling:
		return Limit{Kind: LimitNone}
	case t.refused != nil:
		return Limit{LimitLocal, t.refused.From, t.refused.MTU}
	case t.tooBig != nil:
		return Limit{LimitICMP, t.tooBig.From, t.tooBig.MTU}
	case t.fragment > 0:
		return Limit{Kind: LimitFragmented, MTU: fragmentMTU(t.fragment, lo)}
	case lo == 0: // nothing answers
		return Limit{Kind: LimitNone}
	}
	if c, ok := s.names(lo); ok {
		return Limit{LimitICMP, c.from, c.mtu}
	}
	if f := s.fragment(lo); f > 0 && fragmentMTU(f, lo) == lo {
		return Limit{Kind: LimitFragmented, MTU: lo}
	}
	return Limit{Kind: LimitBlackhole}
}

// fragmentMTU is the MTU of who sent a fragment, so far as can be said where lo bytes
// were answered in one piece.
func fragmentMTU(fragment, lo int) int {
	if lo >= fragment && lo < fragment+8 {
		return lo
	}
	return fragment
}

// Notes are what else there is to say, for people.
func (s *Search) Notes() []string {
	notes := slices.Clone(s.notes)
	if t := s.trials[floor]; s.largest() == 0 && t != nil && t.unreachable != nil {
		notes = append(notes, fmt.Sprintf("%s says: %s", t.unreachable.From, t.unreachable.Why))
	}
	if s.gone {
		notes = append(notes, "it has stopped answering: what is above was not found out")
	}
	if s.sent >= most {
		notes = append(notes, fmt.Sprintf("given up after %d packets: too many are lost", most))
	}
	return notes
}
