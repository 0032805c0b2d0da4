package hook

// operation says what applies at one of libvirt's operations. What is not in the
// table, or comes with another sub-operation, is passed over.
type operation struct {
	subop string
	// rewrite: print the domain as its definition should be. libvirt throws it
	// away; dispatchers that chain hooks, and people, read it.
	rewrite bool
	// refuse: a NIC that cannot work stops the operation.
	refuse bool
	// pin the domain's bridges, where the config says so.
	pin bool
	// taps are there and get their MTU.
	taps bool
	// queue what the definition still lacks.
	queue bool
	// arrive: judge whether this host carries what the guest was told elsewhere.
	arrive bool
	mark   mark
}

// mark is what an operation does to the note that a guest comes in from elsewhere,
// by which the following prepare and start refuse it nothing. libvirt calls stopped and
// release after whatever fails from prepare on.
type mark int

const (
	keep mark = iota
	set
	clear
)

// operations is libvirt's list (docs/hooks.rst). Only where refuse or arrive is
// set may the exit status be 1: elsewhere it would stop or kill a running guest.
// At restore and migrate stdout must stay empty: libvirt would take it, and refuse
// an <mtu> that the guest's device does not have.
var operations = map[string]operation{
	"prepare":   {subop: "begin", rewrite: true, refuse: true, pin: true},
	"start":     {subop: "begin", refuse: true, taps: true, queue: true},
	"started":   {subop: "begin", taps: true, mark: clear},
	"stopped":   {subop: "end", mark: clear},
	"release":   {subop: "end", mark: clear},
	"migrate":   {subop: "begin", arrive: true, mark: set},
	"restore":   {subop: "begin", mark: set},
	"reconnect": {subop: "begin", taps: true},
	"attach":    {subop: "begin", taps: true},
}
