package probe

// Target is the JSON of probe for one target. Its keys are a contract: all are always
// there, strings empty and numbers 0 where there is nothing.
type Target struct {
	Target  string   `json:"target"`  // as it was named
	Results []Result `json:"results"` // one an address, never nil
}

// Result is what was found for one address.
type Result struct {
	Address string `json:"address"`
	Family  int    `json:"family"` // 4 or 6
	// Largest is the largest packet that got there and back in one piece; 0: none did.
	Largest int   `json:"largest"`
	Sent    int   `json:"sent"` // packets
	Limit   Limit `json:"limit"`
	// By is who sent: this host, or the guest, to an address of this host's.
	By By `json:"by"`

	// Notes are lines for people.
	Notes []string `json:"-"`
	// Expect is what should get through; 0: nobody said. Hop, where less does, is where
	// most likely it is stopped.
	Expect int    `json:"-"`
	Hop    string `json:"-"`
	// About says what the address is of; may be empty.
	About string `json:"-"`
}

// Below reports whether less gets through than should, or nothing at all.
func (r *Result) Below() bool { return r.Largest == 0 || r.Largest < r.Expect }

// By is who sends.
type By string

const (
	ByHost  By = "host"
	ByGuest By = "guest"
)

// Limit is what stops larger packets.
type Limit struct {
	Kind LimitKind `json:"kind"`
	// From is the link of this host that refuses them ("the guest" where that sends), the
	// router that says so, or the target that answers in fragments.
	From string `json:"from"`
	// MTU is that of the link, or the one that the router named (0: it named none), or
	// up to which answers are whole.
	MTU int `json:"mtu"`
}

// LimitKind is how larger packets are stopped.
type LimitKind string

const (
	// LimitNone: nothing stops them, or nothing answers at all.
	LimitNone LimitKind = "none"
	// LimitLocal: this host, or the guest that sends, does not let them out.
	LimitLocal LimitKind = "local"
	// LimitICMP: a router says "fragmentation needed" or "packet too big".
	LimitICMP LimitKind = "icmp"
	// LimitBlackhole: nothing comes back.
	LimitBlackhole LimitKind = "blackhole"
	// LimitFragmented: they arrive, and the answers come in fragments: the target's own
	// MTU, or over IPv4 that of a hop on the way back, is smaller.
	LimitFragmented LimitKind = "fragmented"
)
