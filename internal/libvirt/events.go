package libvirt

import (
	"container/list"
	"errors"
	"fmt"
	"strconv"
	"sync"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// Event is what libvirt told of a domain. It may be of a domain that is gone by now, or
// has changed again: what the domain is, a call says.
type Event struct {
	Domain Domain
	Kind   EventKind
	// Detail in libvirt's words: of Metadata the namespace URI, or "title" or
	// "description"; of DeviceAdded and DeviceRemoved the device's alias; of the others
	// what lifecycle has. A number where this package has no word for it.
	Detail string
}

// EventKind is what happened to a domain.
type EventKind string

const (
	// Defined: also with a definition that is the same.
	Defined   EventKind = "defined"
	Undefined EventKind = "undefined"
	Started   EventKind = "started"
	Stopped   EventKind = "stopped"
	// State: it runs or rests, without having started or stopped: suspended, resumed,
	// in shutdown, crashed.
	State         EventKind = "state"
	Metadata      EventKind = "metadata"
	DeviceAdded   EventKind = "device-added"
	DeviceRemoved EventKind = "device-removed"
)

// lifecycle is VIR_DOMAIN_EVENT_*, each with its details (libvirt-domain.h).
var lifecycle = []struct {
	kind    EventKind
	details []string
}{
	golibvirt.DomainEventDefined:   {Defined, []string{"added", "updated", "renamed", "from-snapshot"}},
	golibvirt.DomainEventUndefined: {Undefined, []string{"removed", "renamed"}},
	golibvirt.DomainEventStarted:   {Started, []string{"booted", "migrated", "restored", "from-snapshot", "wakeup"}},
	golibvirt.DomainEventSuspended: {State, []string{"suspended", "suspended-migrated", "suspended-io-error", "suspended-watchdog",
		"suspended-restored", "suspended-from-snapshot", "suspended-api-error", "suspended-postcopy", "suspended-postcopy-failed"}},
	golibvirt.DomainEventResumed: {State, []string{"resumed", "resumed-migrated", "resumed-from-snapshot", "resumed-postcopy",
		"resumed-postcopy-failed"}},
	golibvirt.DomainEventStopped:     {Stopped, []string{"shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from-snapshot"}},
	golibvirt.DomainEventShutdown:    {State, []string{"shutdown", "shutdown-guest", "shutdown-host"}},
	golibvirt.DomainEventPmsuspended: {State, []string{"pmsuspended", "pmsuspended-disk"}},
	golibvirt.DomainEventCrashed:     {State, []string{"crashed", "crashed-crashloaded"}},
}

// subscriptions are the events that are asked for. Networks' are not: go-libvirt can
// register for them and then drops each one (eventFromProcedureID).
var subscriptions = []golibvirt.DomainEventID{
	golibvirt.DomainEventIDLifecycle,
	golibvirt.DomainEventIDMetadataChange,
	golibvirt.DomainEventIDDeviceAdded,
	golibvirt.DomainEventIDDeviceRemoved,
}

// Events subscribes to what happens to domains, all of them, from now on: what was
// before, a list made after it says. The channel is closed when the connection ends;
// what was not read by then is dropped. A Conn can be subscribed once; where libvirt
// refuses, the connection is closed.
//
// Nobody has to keep up with it. Of events that are the same and wait, the latest
// stays. Events of one kind come in their order; lifecycle, metadata and devices are
// not in order among each other.
func (c *Conn) Events() (<-chan Event, error) {
	if !c.subscribe() {
		return nil, errors.New("subscribe to events: already subscribed")
	}
	in := make(chan Event)
	var open sync.WaitGroup
	err := c.call(func() error {
		for _, id := range subscriptions {
			// Ending a subscription while events come can lock go-libvirt's reader and
			// what ends it up against each other. So it lasts until nothing is read.
			raw, err := c.rpc.SubscribeEvents(c.reading, id, nil)
			if err != nil {
				return err
			}
			open.Add(1)
			go func() {
				defer open.Done()
				for r := range raw {
					if e, ok := event(r); ok {
						in <- e
					}
				}
			}()
		}
		return nil
	})
	out := make(chan Event)
	go func() {
		open.Wait()
		close(in)
	}()
	go queue(in, out, c.done)
	if err != nil {
		c.fail(err)
		return nil, fmt.Errorf("subscribe to events: %w", err)
	}
	return out, nil
}

func (c *Conn) subscribe() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.subscribed
	c.subscribed = true
	return first
}

// queue hands events on and never keeps their sender waiting. It closes out at done,
// and ends with in.
func queue(in <-chan Event, out chan<- Event, done <-chan struct{}) {
	waiting := list.New()
	at := map[Event]*list.Element{}
	for open := true; open; {
		var next Event
		var ready chan<- Event // nil, on which nothing is sent, while nothing waits
		if front := waiting.Front(); front != nil {
			next, ready = front.Value.(Event), out
		}
		select {
		case e, ok := <-in:
			switch same := at[e]; {
			case !ok:
				open = false
			case same != nil:
				// Not where it was: it is the latest of its domain.
				waiting.MoveToBack(same)
			default:
				at[e] = waiting.PushBack(e)
			}
		case ready <- next:
			waiting.Remove(at[next])
			delete(at, next)
		case <-done:
			open = false
		}
	}
	close(out)
	for range in {
	}
}

// event reads one of go-libvirt's.
func event(raw any) (Event, bool) {
	switch m := raw.(type) {
	case *golibvirt.DomainEventCallbackLifecycleMsg:
		kind, detail := words(m.Msg.Event, m.Msg.Detail)
		return Event{domain(m.Msg.Dom), kind, detail}, true
	case *golibvirt.DomainEventCallbackMetadataChangeMsg:
		return Event{domain(m.Dom), Metadata, changed(golibvirt.DomainMetadataType(m.Type), m.Nsuri)}, true
	case *golibvirt.DomainEventCallbackDeviceAddedMsg:
		return Event{domain(m.Dom), DeviceAdded, m.DevAlias}, true
	case *golibvirt.DomainEventCallbackDeviceRemovedMsg:
		return Event{domain(m.Msg.Dom), DeviceRemoved, m.Msg.DevAlias}, true
	}
	return Event{}, false
}

// words are those of a lifecycle event. One that is not known is a State: nothing that
// happens to a domain is passed over.
func words(event, detail int32) (EventKind, string) {
	if event < 0 || int(event) >= len(lifecycle) {
		return State, fmt.Sprintf("%d-%d", event, detail)
	}
	row := lifecycle[event]
	if detail < 0 || int(detail) >= len(row.details) {
		return row.kind, strconv.Itoa(int(detail))
	}
	return row.kind, row.details[detail]
}

func changed(what golibvirt.DomainMetadataType, uri golibvirt.OptString) string {
	switch {
	case what == golibvirt.DomainMetadataDescription:
		return "description"
	case what == golibvirt.DomainMetadataTitle:
		return "title"
	case len(uri) > 0:
		return uri[0]
	}
	return strconv.Itoa(int(what))
}
