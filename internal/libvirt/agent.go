package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"virt-mtu/internal/oneline"
)

// What keeps a guest agent from being asked, by errors.Is. Neither harms the
// connection.
var (
	// ErrNoAgent: the domain has no channel for a guest agent.
	ErrNoAgent = errors.New("no guest agent is configured")
	// ErrAgentSilent: there is a channel, but nobody at its other end, or nobody who
	// answers in time or to the question.
	ErrAgentSilent = errors.New("the guest agent does not answer")
)

// agentSync is how long libvirt waits, before each command, for the agent to show that
// it is there (QEMU_AGENT_WAIT_TIME, qemu_agent.c).
const agentSync = 5 * time.Second

// longestError is how much of an error is kept that quotes a guest, in bytes.
const longestError = 500

// Agent sends one command, JSON, to the guest agent of a running domain, and returns
// its answer as it came: a guest may answer anything. One above 4 MiB, the most that
// libvirt's protocol carries in a string, is an error. libvirt counts the domain as
// tainted from then on (custom-ga-command), which it says in its log.
//
// The guest has until ctx ends to answer in, in whole seconds and at least one, or
// without an end as long as any call; and where it does not show itself at all 5 s. It
// keeps no other call waiting: libvirt has a lock of its own for agents.
//
// Errors: ErrNoAgent, ErrAgentSilent; what the agent itself reports is one of neither.
func (c *Conn) Agent(ctx context.Context, d Domain, command string) (string, error) {
	left := c.timeout
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
	}
	seconds := int32(max(1, left.Round(time.Second)/time.Second))
	var answer golibvirt.OptString
	// What libvirt itself waits for ends before.
	own := agentSync + time.Duration(seconds)*time.Second
	err := c.callWithin(max(c.timeout, own+agentSync), func() (err error) {
		answer, err = c.rpc.QEMUDomainAgentCommand(d.raw(), command, seconds, 0)
		return err
	})
	// libvirt repeats in its error what it cannot read, however long.
	if e := (rpcError{}); errors.As(err, &e) {
		e.Message = oneline.Text(e.Message, longestError)
		err = e
	}
	switch {
	case err == nil && len(answer) == 0:
		err = fmt.Errorf("%w: nothing came back", ErrAgentSilent)
	case hasCode(err, golibvirt.ErrArgumentUnsupported): // its only use here (qemuDomainAgentAvailable)
		err = ErrNoAgent
	}
	if err != nil {
		return "", fmt.Errorf("ask the guest agent of domain %q: %w", d.Name, err)
	}
	return answer[0], nil
}
