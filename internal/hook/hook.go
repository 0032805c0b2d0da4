package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/oneline"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/state"
)

// deadline for one call: libvirt does nothing else on the whole host meanwhile.
const deadline = 2 * time.Second

// Main is the hook: args are those that libvirt gives it (guest, operation,
// sub-operation, extra), the result is the exit status. 1 is a refusal, at
// prepare, start and migrate alone; everything else is 0.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if os.Geteuid() != 0 || len(args) < 3 {
		return 0 // a session daemon's hook runs as its user: no tap is its to set
	}
	op, ok := operations[args[1]]
	if !ok || op.subop != args[2] {
		return 0
	}
	signal.Ignore(syscall.SIGPIPE) // to be killed by it is a failure to libvirt
	c := &call{op: op, name: args[1], guest: oneline.Text(args[0], maxName), stdout: stdout, stderr: stderr}
	status := make(chan int, 1)
	go func() { status <- c.guarded(stdin) }()
	select {
	case s := <-status:
		return s
	case <-time.After(deadline):
		(&journal{}).write(priError, fmt.Sprintf("domain %q: %s: gave up after %v", args[0], args[1], deadline))
		c.finishCritical()
		return 0
	}
}

// usualSize of a domain's XML, in bytes: up to here it is read without being copied.
const usualSize = 32 << 10

// call is one call of the hook.
type call struct {
	op             operation
	name           string // the operation's
	guest          string // the domain's name, quoted wherever it is shown
	stdout, stderr io.Writer
	log            journal
	// critical is held while a bridge is between the two settings of a pin.
	critical sync.Mutex
}

// finishCritical waits, a second at the most, for what must not be left half done,
// and keeps anything more from being begun. The kernel may take its time.
func (c *call) finishCritical() {
	for range 100 {
		if c.critical.TryLock() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (c *call) say(pri int, format string, a ...any) {
	c.log.write(pri, fmt.Sprintf("domain %q: %s: ", c.guest, c.name)+fmt.Sprintf(format, a...))
}

// guarded is run, with a panic made a log line.
func (c *call) guarded(stdin io.Reader) (status int) {
	defer func() {
		if p := recover(); p != nil {
			c.say(priError, "panic: %v", p)
			status = 0
		}
	}()
	var refusal *refusalError
	switch err := c.run(stdin); {
	case errors.As(err, &refusal):
		fmt.Fprint(c.stderr, refusal.text)
		return 1
	case err != nil:
		c.say(priError, "nothing done: %v", err)
	}
	return 0
}

func (c *call) run(stdin io.Reader) error {
	text := bytes.NewBuffer(make([]byte, 0, usualSize))
	if _, err := text.ReadFrom(io.LimitReader(stdin, domxml.MaxSize+1)); err != nil {
		return fmt.Errorf("read domain XML: %w", err)
	}
	doc, err := domxml.Parse(text.Bytes())
	if err != nil {
		return fmt.Errorf("read domain XML: %w", err)
	}
	if c.op.mark == clear {
		c.remember(doc.UUID, (*state.Dir).ClearIncoming)
	}
	err = c.apply(doc)
	var refusal *refusalError
	if c.op.mark == set && !errors.As(err, &refusal) {
		c.remember(doc.UUID, func(d *state.Dir, uuid string) error { return d.MarkIncoming(uuid, guest(doc)) })
	}
	return err
}

// apply plans the domain and carries out what applies at this operation.
func (c *call) apply(doc *domxml.Document) error {
	if !c.op.refuse && !c.op.taps && !c.op.arrive {
		return nil
	}
	config, err := policy.Load(policy.DefaultPath)
	if err != nil {
		return err
	}
	p, topology, err := c.plan(doc, config)
	if err != nil {
		return err
	}
	if c.op.arrive {
		return c.arrive(&p, config.Migration)
	}
	if c.op.taps && c.raise(p.Taps(topology)) {
		// A bridge that one of them held down may have gone up with it.
		if p, _, err = c.plan(doc, config); err != nil {
			return err
		}
	}
	if c.op.refuse {
		if err := c.refuse(&p, doc); err != nil {
			return err
		}
	}
	if c.op.pin && config.PinBridges {
		c.pin(&p)
	}
	if c.op.queue {
		if err := c.queue(&p, doc, config.Uninjected); err != nil {
			return err
		}
	}
	if c.op.rewrite {
		_, err = c.stdout.Write(doc.Splice(p.Edits()))
	}
	return err
}

func (c *call) plan(doc *domxml.Document, config policy.Config) (plan.Plan, *plan.Topology, error) {
	snapshot, err := surroundings(doc.NICs)
	if err != nil {
		c.say(priError, "%v", err) // what was read is good; the rest is not known
	}
	topology := plan.NewTopology(&snapshot)
	p, err := plan.Make(plan.Input{Domain: doc.Domain, Host: topology, Config: config, Mode: plan.Upward})
	return p, topology, err
}
