package agent

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// windowsName: what stands between quotes for netsh. It knows no escape for a quote,
// and takes what has a = for one of its own words.
func windowsName(name string) bool {
	return name != "" && len(name) <= 256 && !strings.ContainsAny(name, "\"'`=%&|<>^$;\\/") && name[0] != '-' &&
		strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// powershell runs one pipeline on the adapter that has the link's MAC address. Nothing
// else that the guest says goes into it, and that only where it is one.
func (g *Guest) powershell(l link, pipeline string) (string, error) {
	if !macAddress(l.MAC) {
		return "", fmt.Errorf("%w: a MAC address of %s", ErrNonsense, said(l.MAC))
	}
	mac := strings.ToUpper(strings.ReplaceAll(l.MAC, ":", "-"))
	// Without a network adapter it is another error, and exit status 1.
	return g.run("powershell.exe", "-NoProfile", "-NonInteractive", "-Command",
		"$ErrorActionPreference = 'Stop'; Get-NetAdapter -Physical | Where-Object MacAddress -eq '"+mac+"' | "+pipeline)
}

var macAddress = regexp.MustCompile(`^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$`).MatchString

// old: no PowerShell, or one before Windows 8, which knows no Get-NetAdapter.
func old(err error) bool {
	var exit exitError
	return errors.Is(err, errNoProgram) || errors.As(err, &exit) && strings.Contains(exit.stderr, "CommandNotFoundException")
}

// windowsRead: IPv4 and IPv6 have an MTU each there; it is the smaller.
func windowsRead(g *Guest, l link) (int, error) {
	out, err := g.powershell(l, "Get-NetIPInterface | ForEach-Object { $_.NlMtu }")
	if !old(err) {
		if err != nil {
			return 0, err
		}
		return smallest(strings.Fields(out))
	}
	out, err = g.run("netsh.exe", "interface", "ipv4", "show", "subinterfaces")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(out) {
		// MTU, state, bytes in, bytes out, and the rest is the name.
		f := strings.Fields(line)
		if len(f) >= 5 && strings.Join(f[4:], " ") == strings.Join(strings.Fields(l.Name), " ") {
			return smallest(f[:1])
		}
	}
	return 0, fmt.Errorf("netsh knows no interface %s", said(l.Name))
}

// smallest is the smallest of some MTUs.
func smallest(words []string) (int, error) {
	least := 0
	for _, w := range words {
		n, err := number(w)
		if err != nil {
			return 0, err
		}
		if least == 0 || n < least {
			least = n
		}
	}
	if least == 0 {
		return 0, fmt.Errorf("%w: no MTU", ErrNonsense)
	}
	return least, nil
}

func windowsSet(g *Guest, l link, mtu int) error {
	n := strconv.Itoa(mtu)
	_, err := g.powershell(l, "Set-NetIPInterface -NlMtuBytes "+n+" -PolicyStore ActiveStore")
	if !old(err) {
		return err
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		if _, err := g.run("netsh.exe", "interface", family, "set", "subinterface", l.Name, "mtu="+n, "store=active"); err != nil {
			return err
		}
	}
	return nil
}

func windowsLasting(_ *Guest, l link, mtu int) string {
	return fmt.Sprintf("netsh interface ipv4 set subinterface \"%s\" mtu=%d store=persistent (and ipv6); above 1500 the adapter's Jumbo Packet has to allow it too", l.Name, mtu)
}
