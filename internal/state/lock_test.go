package state

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestLock(t *testing.T) {
	d := open(t)
	unlock, err := d.Lock(context.Background())
	must(t, err)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := d.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("locked twice: %v", err)
	}

	time.AfterFunc(30*time.Millisecond, unlock)
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	unlock, err = d.Lock(ctx) // waits for it
	must(t, err)
	unlock()
}

// The lock goes with the process that holds it, killed as it may be.
func TestLockOfTheDead(t *testing.T) {
	if base := os.Getenv("STATE_LOCK_BASE"); base != "" {
		d, err := Open(base)
		must(t, err)
		_, err = d.Lock(context.Background())
		must(t, err)
		must(t, os.WriteFile(base+"/ready", nil, 0o600))
		time.Sleep(time.Minute)
		return
	}
	d := open(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestLockOfTheDead$")
	cmd.Env = append(os.Environ(), "STATE_LOCK_BASE="+d.base.path)
	must(t, cmd.Start())
	defer cmd.Process.Kill()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(d.base.path + "/ready"); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it never had the lock")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Millisecond)
	defer cancel()
	if _, err := d.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it does not hold the lock: %v", err)
	}
	must(t, cmd.Process.Kill())
	cmd.Wait()
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	unlock, err := d.Lock(ctx)
	must(t, err)
	unlock()
}
