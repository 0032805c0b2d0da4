// Command watch measures how long it takes from a tap being made until its MTU is
// right, by udev and by virt-mtu watch. They take turns in random order in each round,
// each the only one that does anything while it has its turn. It prints times and
// ratios and judges none of them; it fails only where a contender did not do its work.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// name is of the tap, which libvirt could have made up.
const name = "vnet5000"

const (
	// patience is for a contender to do its work once.
	patience = 30 * time.Second
	// rest is longer than what a tap's coming and going makes the daemon do.
	rest = 500 * time.Millisecond
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// contender is one way to set a tap's MTU.
type contender struct {
	name string
	pid  int
	// rule is udev's; none: the daemon knows by itself.
	rule string
}

type bench struct {
	bridge  string
	mtu     int // what a tap is to get, in bytes of IP packet
	rules   string
	udevadm string
	socket  int
}

func run(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	udevd := fs.Int("udevd", 0, "`pid` of udevd")
	watch := fs.Int("watch", 0, "`pid` of virt-mtu watch")
	rules := fs.String("rules", "", "`file` for udev's rule")
	udevadm := fs.String("udevadm", "udevadm", "udevadm's `file`")
	bridge := fs.String("bridge", "br0", "the `bridge` that taps join")
	mtu := fs.Int("mtu", 9000, "the MTU that they get, in bytes of IP packet")
	rounds := fs.Int("rounds", 12, "turns of each contender")
	taps := fs.Int("taps", 4, "taps in a turn")
	if err := fs.Parse(args); err != nil {
		return err
	}
	b := bench{bridge: *bridge, mtu: *mtu, rules: *rules, udevadm: *udevadm}
	var err error
	if b.socket, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(b.socket)
	all := []contender{
		{"virt-mtu watch", *watch, ""},
		{"udev, ATTR{mtu}", *udevd, fmt.Sprintf("KERNEL==\"vnet*\", ATTR{mtu}=\"%d\"\n", *mtu)},
		{"udev, RUN ip link set", *udevd, fmt.Sprintf("KERNEL==\"vnet*\", RUN+=\"/usr/sbin/ip link set dev $name mtu %d\"\n", *mtu)},
	}
	for _, pid := range []int{*udevd, *watch} {
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			return fmt.Errorf("stop %d: %w", pid, err)
		}
	}
	samples := make([][]sample, len(all))
	for range *rounds {
		for _, i := range rand.Perm(len(all)) {
			took, err := b.turn(all[i], *taps)
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
			samples[i] = append(samples[i], took...)
		}
	}
	return table(stdout, all, samples, *taps)
}

// turn is one contender's: it is woken, and has made a tap right once, before anything is
// measured, so that udev has its worker and its rules, and no backlog is left.
func (b *bench) turn(c contender, taps int) (took []sample, err error) {
	if err := os.WriteFile(b.rules, []byte(c.rule), 0o644); err != nil {
		return nil, err
	}
	if err := unix.Kill(c.pid, unix.SIGCONT); err != nil {
		return nil, fmt.Errorf("wake it: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Kill(c.pid, unix.SIGSTOP)) }()
	if c.rule != "" {
		for _, args := range [][]string{{"control", "--reload"}, {"settle"}} {
			if out, err := exec.Command(b.udevadm, args...).CombinedOutput(); err != nil {
				return nil, fmt.Errorf("udevadm %s: %w: %s", args[0], err, out)
			}
		}
	}
	for i := range taps + 1 {
		s, err := b.tap()
		if err != nil {
			return nil, err
		}
		if i > 0 {
			took = append(took, s)
		}
		time.Sleep(rest + rand.N(rest/5))
	}
	return took, nil
}

// sample is of one tap, in milliseconds from before it is made: until it has joined its
// bridge, which is the kernel's part, and until its MTU is right.
type sample struct{ joined, right float64 }

// tap makes a tap as libvirt does, and waits until its MTU is right. It goes with its
// file.
func (b *bench) tap() (s sample, err error) {
	file, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return s, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	defer unix.Close(file)
	tap, err := unix.NewIfreq(name)
	if err != nil {
		return s, err
	}
	tap.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	bridge, err := unix.NewIfreq(b.bridge)
	if err != nil {
		return s, err
	}
	began := time.Now()
	if err := unix.IoctlIfreq(file, unix.TUNSETIFF, tap); err != nil {
		return s, fmt.Errorf("make tap: %w", err)
	}
	if err := unix.IoctlIfreq(b.socket, unix.SIOCGIFINDEX, tap); err != nil {
		return s, fmt.Errorf("find tap: %w", err)
	}
	bridge.SetUint32(tap.Uint32())
	if err := unix.IoctlIfreq(b.socket, unix.SIOCBRADDIF, bridge); err != nil {
		return s, fmt.Errorf("join %s: %w", b.bridge, err)
	}
	s.joined = time.Since(began).Seconds() * 1000
	for {
		// Under RCU: to ask keeps nobody waiting who sets it.
		if err := unix.IoctlIfreq(b.socket, unix.SIOCGIFMTU, tap); err != nil {
			return s, fmt.Errorf("read mtu of the tap: %w", err)
		}
		took := time.Since(began)
		switch {
		case int(tap.Uint32()) == b.mtu:
			s.right = took.Seconds() * 1000
			return s, nil
		case took > patience:
			return s, fmt.Errorf("left the tap at %d, not at %d", tap.Uint32(), b.mtu)
		}
	}
}

// table prints medians, and the median over the rounds of the ratio to the first
// contender's time: of the medians of both turns.
func table(stdout io.Writer, all []contender, samples [][]sample, taps int) error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "median ms\tleast\t90%% below\tx watch\tjoined\tthen\t  contender\n")
	right := func(s []sample) (ms []float64) {
		for _, x := range s {
			ms = append(ms, x.right)
		}
		return ms
	}
	turns := func(i int) (medians []float64) {
		for turn := range slices.Chunk(samples[i], taps) {
			medians = append(medians, quantile(right(turn), 0.5))
		}
		return medians
	}
	for i, c := range all {
		var ratio, joined, then []float64
		for r, ms := range turns(i) {
			ratio = append(ratio, ms/turns(0)[r])
		}
		for _, s := range samples[i] {
			joined, then = append(joined, s.joined), append(then, s.right-s.joined)
		}
		ms := right(samples[i])
		fmt.Fprintf(w, "%.3f\t%.3f\t%.3f\t%.2f\t%.3f\t%.3f\t  %s\n", quantile(ms, 0.5), slices.Min(ms), quantile(ms, 0.9), quantile(ratio, 0.5), quantile(joined, 0.5), quantile(then, 0.5), c.name)
	}
	return w.Flush()
}

func quantile[T cmp.Ordered](s []T, q float64) T {
	s = slices.Clone(s)
	slices.Sort(s)
	return s[int(q*float64(len(s)-1))]
}
