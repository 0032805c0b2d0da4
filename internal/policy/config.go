package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/sys/unix"
)

// DefaultPath is where the config file is looked for; no file there is fine.
const DefaultPath = "/etc/virt-mtu/config.toml"

// MaxSize of a config file, in bytes: a bound for what the hook reads.
const MaxSize = 1 << 20

// Incapable is what happens to a NIC whose model cannot carry its target.
type Incapable string

const (
	IncapableRefuse   Incapable = "refuse"   // the start is refused
	IncapableExplicit Incapable = "explicit" // only where somebody asked for the number
	IncapableClamp    Incapable = "clamp"    // a warning; the NIC stays at 1500
)

// Migration is what the destination does about a guest MTU that its wire cannot carry.
type Migration string

const (
	MigrationRefuse Migration = "refuse"
	MigrationWarn   Migration = "warn"
)

// Uninjected is what happens to a start that comes before its <mtu>.
type Uninjected string

const (
	UninjectedAllow  Uninjected = "allow"  // the tap now, the definition queued
	UninjectedRefuse Uninjected = "refuse" // the definition queued: start again
)

// Config is the config file, validated.
type Config struct {
	MTU          Setting
	Incapable    Incapable
	Migration    Migration
	Uninjected   Uninjected
	PinBridges   bool
	FollowBridge bool
	Rules        []Rule
}

// Rule gives the NICs that it matches an MTU. Empty patterns match everything.
type Rule struct {
	Domain, Network, Bridge, MAC, Model string // globs, see path.Match
	MTU                                 Setting
}

// NIC is what rules match on; empty where not known.
type NIC struct {
	Domain, Network, Bridge, MAC, Model string
}

// Default is the config without a file.
func Default() Config {
	return Config{
		Incapable:    IncapableRefuse,
		Migration:    MigrationRefuse,
		Uninjected:   UninjectedAllow,
		FollowBridge: true,
	}
}

// Match returns the first rule that applies to a NIC and its number, counted from
// 1; 0: none does.
func (c *Config) Match(n NIC) (Rule, int) {
	for i, r := range c.Rules {
		if match(r.Domain, n.Domain) && match(r.Network, n.Network) && match(r.Bridge, n.Bridge) &&
			match(r.MAC, n.MAC) && match(r.Model, n.Model) {
			return r, i + 1
		}
	}
	return Rule{}, 0
}

// match reports whether a glob, validated by Parse, matches. Without a pattern
// everything does; with one, what is not known does not.
func match(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	ok, _ := path.Match(pattern, s)
	return ok && s != ""
}

// Load reads the config file at a path. At DefaultPath no file means Default;
// a path that somebody named must exist. Errors name the file, and the row and
// column where the TOML is at fault.
func Load(file string) (Config, error) {
	// O_NONBLOCK: a FIFO in its place must not hold a guest up.
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) && file == DefaultPath {
		if _, err := os.Lstat(file); err == nil {
			return Config{}, fmt.Errorf("read config %q: a link that leads nowhere", file)
		}
		return Default(), nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("read config: %w", err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return Config{}, fmt.Errorf("read config %q: not a regular file", file)
	}
	src, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return Config{}, fmt.Errorf("read config: %w", err)
	}
	if len(src) > MaxSize {
		return Config{}, fmt.Errorf("read config %q: larger than %d bytes", file, MaxSize)
	}
	c, err := Parse(src)
	if err != nil {
		return Config{}, fmt.Errorf("read config %q: %w", file, err)
	}
	return c, nil
}

// raw is the file as it is written; mtu is a string or an integer there.
type raw struct {
	MTU          any        `toml:"mtu"`
	Incapable    Incapable  `toml:"incapable"`
	Migration    Migration  `toml:"migration"`
	Uninjected   Uninjected `toml:"uninjected"`
	PinBridges   bool       `toml:"pin_bridges"`
	FollowBridge bool       `toml:"follow_bridge"`
	Rules        []rawRule  `toml:"rule"`
}

type rawRule struct {
	Domain  string `toml:"domain"`
	Network string `toml:"network"`
	Bridge  string `toml:"bridge"`
	MAC     string `toml:"mac"`
	Model   string `toml:"model"`
	MTU     any    `toml:"mtu"`
}

// Parse validates a config file's text. Unknown keys are errors.
func Parse(src []byte) (Config, error) {
	c := Default()
	r := raw{
		MTU:       "inherit",
		Incapable: c.Incapable, Migration: c.Migration, Uninjected: c.Uninjected,
		PinBridges: c.PinBridges, FollowBridge: c.FollowBridge,
	}
	if err := toml.NewDecoder(bytes.NewReader(src)).DisallowUnknownFields().Decode(&r); err != nil {
		return Config{}, located(err)
	}
	var err error
	if c.MTU, err = setting(r.MTU); err != nil {
		return Config{}, err
	}
	if err := errors.Join(
		oneOf("incapable", r.Incapable, IncapableRefuse, IncapableExplicit, IncapableClamp),
		oneOf("migration", r.Migration, MigrationRefuse, MigrationWarn),
		oneOf("uninjected", r.Uninjected, UninjectedAllow, UninjectedRefuse),
	); err != nil {
		return Config{}, err
	}
	c.Incapable, c.Migration, c.Uninjected = r.Incapable, r.Migration, r.Uninjected
	c.PinBridges, c.FollowBridge = r.PinBridges, r.FollowBridge
	for i, rr := range r.Rules {
		rule, err := rr.validate()
		if err != nil {
			return Config{}, fmt.Errorf("rule %d: %w", i+1, err)
		}
		c.Rules = append(c.Rules, rule)
	}
	return c, nil
}

func (rr rawRule) validate() (Rule, error) {
	r := Rule{Domain: rr.Domain, Network: rr.Network, Bridge: rr.Bridge, MAC: strings.ToLower(rr.MAC), Model: rr.Model}
	any := false
	for _, p := range [...]string{r.Domain, r.Network, r.Bridge, r.MAC, r.Model} {
		any = any || p != ""
		if _, err := path.Match(p, ""); err != nil {
			return Rule{}, fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	if !any {
		return Rule{}, errors.New("it names no domain, network, bridge, mac or model; for every NIC use mtu at the top")
	}
	if rr.MTU == nil {
		return Rule{}, errors.New("it has no mtu")
	}
	var err error
	r.MTU, err = setting(rr.MTU)
	return r, err
}

func setting(v any) (Setting, error) {
	switch v := v.(type) {
	case int64:
		return fixed(v)
	case string:
		s, err := ParseSetting(v)
		if err == nil && s.Kind == Fixed {
			return Setting{}, fmt.Errorf("mtu %q: write the number without quotes", v)
		}
		return s, err
	}
	return Setting{}, fmt.Errorf("mtu %v is neither a string nor a whole number", v)
}

func oneOf[T ~string](key string, got T, want ...T) error {
	for _, w := range want {
		if got == w {
			return nil
		}
	}
	return fmt.Errorf("%s = %q: it takes one of %q", key, string(got), want)
}

// located adds row and column to go-toml's errors.
func located(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		row, col := strict.Errors[0].Position()
		return fmt.Errorf("line %d, column %d: unknown key %q", row, col, strings.Join(strict.Errors[0].Key(), "."))
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		row, col := decode.Position()
		return fmt.Errorf("line %d, column %d: %w", row, col, err)
	}
	return err
}
