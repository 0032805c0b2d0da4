// Command watch measures how long it takes from a tap being made until its MTU is
// right, by udev and by virt-mtu watch. They take turns in random order in each round,
// each the only one that does anything while it has its turn. A round's samples go to
// stdout, as JSON; with -report it prints times and ratios of hosts whose rounds took
// turns too. It judges none of them; it fails only where a contender did not do its work.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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
	taps := fs.Int("taps", 4, "taps in a turn")
	report := fs.Bool("report", false, "report on `files` of rounds, one a host")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *report {
		return tables(stdout, fs.Args())
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
	r := make(round, len(all))
	for _, i := range rand.Perm(len(all)) {
		took, err := b.turn(all[i], *taps)
		if err != nil {
			return fmt.Errorf("%s: %w", all[i].name, err)
		}
		r[i] = turn{all[i].name, took}
	}
	return json.NewEncoder(stdout).Encode(r)
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
type sample struct{ Joined, Right float64 }

// turn is what one contender took for some taps, round what all did.
type (
	turn struct {
		Contender string
		Samples   []sample
	}
	round []turn
)

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
	s.Joined = time.Since(began).Seconds() * 1000
	for {
		// Under RCU: to ask keeps nobody waiting who sets it.
		if err := unix.IoctlIfreq(b.socket, unix.SIOCGIFMTU, tap); err != nil {
			return s, fmt.Errorf("read mtu of the tap: %w", err)
		}
		took := time.Since(began)
		switch {
		case int(tap.Uint32()) == b.mtu:
			s.Right = took.Seconds() * 1000
			return s, nil
		case took > patience:
			return s, fmt.Errorf("left the tap at %d, not at %d", tap.Uint32(), b.mtu)
		}
	}
}

// tables prints each host's table, and how the contenders' times compare with those on
// the first host. Round by round, since a machine is not as quick at all times.
func tables(stdout io.Writer, files []string) error {
	var hosts [][]round
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var rounds []round
		for d := json.NewDecoder(bytes.NewReader(b)); d.More(); {
			var r round
			if err := d.Decode(&r); err != nil {
				return fmt.Errorf("read %s: %w", file, err)
			}
			rounds = append(rounds, r)
		}
		hosts = append(hosts, rounds)
		fmt.Fprintf(stdout, "\n%s, %d rounds\n", filepath.Base(file), len(rounds))
		if err := table(stdout, rounds, hosts[0]); err != nil {
			return err
		}
	}
	return nil
}

// median of a turn's taps.
func (t turn) median(of func(sample) float64) float64 {
	var all []float64
	for _, s := range t.Samples {
		all = append(all, of(s))
	}
	return quantile(all, 0.5)
}

// table prints medians over all taps, and the medians over the rounds of two ratios: to
// the first contender's time in the same round, and to its own on the first host.
func table(stdout io.Writer, rounds, first []round) error {
	right := func(s sample) float64 { return s.Right }
	then := func(s sample) float64 { return s.Right - s.Joined }
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "median ms\tleast\t90%% below\tx watch\tx first host\tjoined\tthen\tx first host\t  contender\n")
	for i, c := range rounds[0] {
		var ms, joined, after, ratio, grown, grownThen []float64
		for r := range rounds {
			t := rounds[r][i]
			ratio = append(ratio, t.median(right)/rounds[r][0].median(right))
			grown = append(grown, t.median(right)/first[r][i].median(right))
			grownThen = append(grownThen, t.median(then)/first[r][i].median(then))
			for _, s := range t.Samples {
				ms, joined, after = append(ms, s.Right), append(joined, s.Joined), append(after, then(s))
			}
		}
		fmt.Fprintf(w, "%.3f\t%.3f\t%.3f\t%.2f\t%.2f\t%.3f\t%.3f\t%.2f\t  %s\n", quantile(ms, 0.5), slices.Min(ms), quantile(ms, 0.9),
			quantile(ratio, 0.5), quantile(grown, 0.5), quantile(joined, 0.5), quantile(after, 0.5), quantile(grownThen, 0.5), c.Contender)
	}
	return w.Flush()
}

func quantile[T cmp.Ordered](s []T, q float64) T {
	s = slices.Clone(s)
	slices.Sort(s)
	return s[int(q*float64(len(s)-1))]
}
