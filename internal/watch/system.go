package watch

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"virt-mtu/internal/collect"
	"virt-mtu/internal/fix"
	"virt-mtu/internal/hookdir"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/owned"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/state"
	"virt-mtu/internal/tap"
)

// System is the Host that this is.
type System struct {
	Connect    string // libvirt's URI
	ConfigPath string
	Timeout    time.Duration // for each answer of libvirt
	State      *state.Dir
	// Reload is sent to when the config is to be read again, as by SIGHUP.
	Reload <-chan struct{}

	critical sync.Mutex                   // held while a bridge is between the settings of a pin
	events   atomic.Pointer[libvirt.Conn] // that events come by; nil: there is none
}

var _ Host = (*System)(nil)

// Read reads the links.
func (s *System) Read() host.Snapshot { return collect.Read() }

// Links watches the links.
func (s *System) Links(ctx context.Context, changed func(collect.Change)) error {
	return collect.Watch(ctx, changed)
}

// Raise raises a tap.
func (s *System) Raise(dev, bridge string, mtu int) (int, error) { return tap.Raise(dev, bridge, mtu) }

// Pin pins a bridge, as tap.Pin.
func (s *System) Pin(bridge string, mtu int) error { return tap.Pin(bridge, mtu, &s.critical) }

// Settle waits until no bridge is between the settings of a pin, and keeps it so.
func (s *System) Settle() { s.critical.Lock() }

// Domains is one connection to libvirt: what it tells, and that it is there. It waits
// for a daemon that runs: to connect would start one where systemd listens for it, and
// that is not for us to do.
func (s *System) Domains(ctx context.Context, connected func(), changed func(uuid string)) error {
	if err := s.await(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	conn, err := libvirt.Dial(ctx, s.Connect, s.Timeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	events, err := conn.Events()
	if err != nil {
		return err
	}
	s.events.Store(conn)
	defer s.events.Store(nil)
	connected() // only now: what changes from here on is an event
	for e := range events {
		switch {
		case e.Kind == libvirt.Undefined || e.Kind == libvirt.Stopped || e.Kind == libvirt.DeviceRemoved:
			// Nothing of it is to be put right; a definition that stays has not changed.
		case e.Kind == libvirt.Metadata && e.Detail == owned.URI: // our own record
		default:
			changed(e.Domain.UUID)
		}
	}
	return conn.Err()
}

// pidFolder is where libvirt's daemons keep their pid files, which they lock.
const pidFolder = "/run"

// await waits until a libvirt daemon runs, if it is the host's own that is meant.
func (s *System) await(ctx context.Context) error {
	if s.Connect != "" && s.Connect != "qemu:///system" {
		return nil
	}
	runs := make(chan struct{}, 1)
	look := func() {
		if daemons, err := hookdir.Daemons(); err != nil || len(daemons) > 0 {
			select {
			case runs <- struct{}{}:
			default:
			}
		}
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- folder(watching, pidFolder, nil, look) }()
	select {
	case <-ctx.Done():
		return nil
	case <-runs:
		return nil
	case err := <-ended:
		return err
	}
}

// Fix is the command's fix, upward only.
func (s *System) Fix(ctx context.Context, c policy.Config, uuids []string, amend Amend) (fix.Report, error) {
	return s.fix(ctx, c, amend, func(f *fix.Fixer) (fix.Report, error) {
		conn, err := f.Pool.Get()
		if err != nil {
			return fix.Report{}, err
		}
		domains, err := choose(conn, uuids)
		f.Pool.Put(conn)
		if err != nil {
			return fix.Report{}, err
		}
		return f.Run(domains), nil
	})
}

// choose finds domains by UUID, those that are still there; nil: all.
func choose(conn *libvirt.Conn, uuids []string) ([]libvirt.Domain, error) {
	if uuids == nil {
		return conn.Domains()
	}
	var domains []libvirt.Domain
	for _, uuid := range uuids {
		d, err := conn.LookupUUID(uuid)
		switch {
		case errors.Is(err, libvirt.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			domains = append(domains, d)
		}
	}
	return domains, nil
}

// Queued does what the hook has asked for.
func (s *System) Queued(ctx context.Context, c policy.Config, amend Amend) (fix.Report, error) {
	return s.fix(ctx, c, amend, func(f *fix.Fixer) (fix.Report, error) { return f.Queued(s.State) })
}

// lockFor is how long a lock is waited for that another virt-mtu holds. One that is
// suspended holds it for ever.
const lockFor = 30 * time.Second

// fix runs a Fixer under the lock that the command takes too.
func (s *System) fix(ctx context.Context, c policy.Config, amend Amend, run func(*fix.Fixer) (fix.Report, error)) (fix.Report, error) {
	pool := libvirt.NewPool(ctx, s.Connect, s.Timeout)
	defer pool.Close()
	waiting, stop := context.WithTimeout(ctx, lockFor)
	defer stop()
	unlock, err := s.State.Lock(waiting)
	if err != nil {
		return fix.Report{}, err
	}
	defer unlock()
	report, err := run(&fix.Fixer{Pool: pool, Host: fix.Here(), Config: c, Options: fix.Options{Mode: plan.Upward, All: true}, Amend: amend})
	if err == nil {
		err = pool.Err() // once, not for each domain
	}
	if errors.Is(err, libvirt.ErrTimeout) {
		if events := s.events.Load(); events != nil {
			go func() { _ = events.Ping() }() // a daemon that hangs ends no connection by itself
		}
	}
	return report, err
}

// Requests watches the queue.
func (s *System) Requests(ctx context.Context, changed func()) error {
	return folder(ctx, state.DefaultBase+"/queue", nil, changed)
}

// Config reads the config.
func (s *System) Config() (policy.Config, error) { return policy.Load(s.ConfigPath) }

// ConfigChanges watches the config's folder, since editors put a new file in the old
// one's place, and Reload.
func (s *System) ConfigChanges(ctx context.Context, changed func()) error {
	return folder(ctx, filepath.Dir(s.ConfigPath), s.Reload, changed)
}

// Notify tells systemd.
func (s *System) Notify(text string) { _, _ = daemon.SdNotify(false, text) }
