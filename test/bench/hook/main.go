// Command hook measures the libvirt hook against other programs that get the same
// call: all of them in every round, in random order, so that what else the machine
// does hits all alike. It prints times and ratios and judges none of them; it
// fails only where a contender did not do its work.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// contender is one program that gets the call.
type contender struct {
	name string
	file string
	// works: it is to raise the taps; the others only start and read.
	works bool
}

// base is the contender that the others are compared with.
const base = "empty Go program"

func contenders(hook, rivals, scripts string) []contender {
	return []contender{
		{"C, static, reads stdin", filepath.Join(rivals, "drain-c"), false},
		{base, filepath.Join(rivals, "empty"), false},
		{"Go, reads stdin", filepath.Join(rivals, "drain"), false},
		{"qemu-hook", hook, true},
		{"bash, xmlstarlet, sysfs", filepath.Join(scripts, "hook-sysfs.bash"), true},
		{"bash, xmlstarlet, ip", filepath.Join(scripts, "hook.bash"), true},
		{"Python, ElementTree, ip", filepath.Join(scripts, "hook.py"), true},
	}
}

// sample is one call, in milliseconds.
type sample struct{ wall, cpu float64 }

func run(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	hook := fs.String("hook", "", "qemu-hook's `file`")
	rivals := fs.String("rivals", "", "`folder` of the compiled rivals")
	scripts := fs.String("scripts", "", "`folder` of the rivals that are scripts")
	xml := fs.String("xml", "", "`file` with the domain XML for stdin")
	taps := fs.String("taps", "", "the domain's taps, by comma")
	from := fs.Int("from", 9000, "MTU of the taps before each call, in bytes of IP packet")
	to := fs.Int("to", 9000, "their MTU after it")
	rounds := fs.Int("rounds", 300, "calls of each contender")
	if err := fs.Parse(args); err != nil {
		return err
	}
	b := bench{xml: *xml, taps: strings.Split(*taps, ","), from: *from, to: *to}
	var err error
	if b.socket, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(b.socket)
	all := contenders(*hook, *rivals, *scripts)
	for _, c := range all {
		if _, err := os.Stat(c.file); err != nil {
			return fmt.Errorf("%s is missing: %w", c.name, err)
		}
	}
	samples := make([][]sample, len(all))
	// The first round fills the page cache and does not count.
	for round := range *rounds + 1 {
		for _, i := range rand.Perm(len(all)) {
			s, err := b.call(all[i])
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
			if round > 0 {
				samples[i] = append(samples[i], s)
			}
		}
	}
	return table(stdout, all, samples)
}

type bench struct {
	xml      string
	taps     []string
	from, to int
	socket   int // for SIOCSIFMTU
}

// call puts the taps where they are before a call and calls c as libvirt would.
func (b *bench) call(c contender) (sample, error) {
	for _, tap := range b.taps {
		if err := b.setMTU(tap, b.from); err != nil {
			return sample{}, err
		}
	}
	stdin, err := os.Open(b.xml)
	if err != nil {
		return sample{}, err
	}
	defer stdin.Close()
	var stderr bytes.Buffer
	cmd := exec.Command(c.file, "web1", "start", "begin", "-")
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	began := time.Now()
	err = cmd.Run()
	wall := time.Since(began)
	if err != nil {
		return sample{}, errors.Join(err, errors.New(stderr.String()))
	}
	if c.works {
		for _, tap := range b.taps {
			if err := expectMTU(tap, b.to); err != nil {
				return sample{}, err
			}
		}
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return sample{wall: wall.Seconds() * 1000, cpu: cpu.Seconds() * 1000}, nil
}

func (b *bench) setMTU(tap string, mtu int) error {
	ifr, err := unix.NewIfreq(tap)
	if err != nil {
		return fmt.Errorf("set mtu of %q: %w", tap, err)
	}
	ifr.SetUint32(uint32(mtu))
	if err := unix.IoctlIfreq(b.socket, unix.SIOCSIFMTU, ifr); err != nil {
		return fmt.Errorf("set mtu of %q to %d: %w", tap, mtu, err)
	}
	return nil
}

func expectMTU(tap string, want int) error {
	text, err := os.ReadFile("/sys/class/net/" + tap + "/mtu")
	if err != nil {
		return fmt.Errorf("read mtu of %q: %w", tap, err)
	}
	if got := strings.TrimSpace(string(text)); got != strconv.Itoa(want) {
		return fmt.Errorf("left %s at %s, not at %d", tap, got, want)
	}
	return nil
}

// table prints medians, and the median of each round's own ratio to base.
func table(stdout io.Writer, all []contender, samples [][]sample) error {
	reference := samples[slices.IndexFunc(all, func(c contender) bool { return c.name == base })]
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "median wall ms\tleast\tcpu ms\tx empty Go\t  contender")
	for i, c := range all {
		var wall, cpu, ratio []float64
		for j, s := range samples[i] {
			wall = append(wall, s.wall)
			cpu = append(cpu, s.cpu)
			ratio = append(ratio, s.wall/reference[j].wall)
		}
		fmt.Fprintf(w, "%.2f\t%.2f\t%.2f\t%.2f\t  %s\n", median(wall), slices.Min(wall), median(cpu), median(ratio), c.name)
	}
	return w.Flush()
}

func median[T cmp.Ordered](s []T) T {
	s = slices.Clone(s)
	slices.Sort(s)
	return s[len(s)/2]
}
