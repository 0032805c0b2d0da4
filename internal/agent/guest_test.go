package agent

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// player is a guest agent with a guest that has files and runs programs.
type player struct {
	id    string
	links string // what guest-network-get-interfaces returns
	files map[string]string
	run   func(argv []string) (out string, exit int)
	ran   [][]string
	deny  string // commands that are disabled
	open  string
	// last are the results of guest-exec, by pid.
	last []map[string]any
}

func (p *player) ask(_ context.Context, command string) (string, error) {
	var c struct {
		Execute   string
		Arguments struct {
			Path string
			Arg  []string
			PID  int
		}
	}
	if err := json.Unmarshal([]byte(command), &c); err != nil {
		return "", err
	}
	if strings.Contains(p.deny, c.Execute) {
		return "", fmt.Errorf("Command %s has been disabled", c.Execute)
	}
	var result any = map[string]any{}
	switch c.Execute {
	case "guest-get-osinfo":
		result = map[string]any{"id": p.id}
	case "guest-network-get-interfaces":
		return `{"return":` + p.links + `}`, nil
	case "guest-file-open":
		if _, ok := p.files[c.Arguments.Path]; !ok {
			return "", errors.New("failed to open file: No such file or directory")
		}
		p.open, result = c.Arguments.Path, 7
	case "guest-file-read":
		result = map[string]any{"count": 5, "eof": true, "buf-b64": []byte(p.files[p.open])}
	case "guest-exec":
		argv := append([]string{c.Arguments.Path}, c.Arguments.Arg...)
		p.ran = append(p.ran, argv)
		out, exit := p.run(argv)
		if exit == -1 {
			return "", errors.New("Guest agent command failed, error was 'Failed to execute child process “x” (No such file or directory)'")
		}
		p.last = append(p.last, map[string]any{"exited": true, "exitcode": exit, "out-data": []byte(out), "err-data": []byte(out)})
		result = map[string]any{"pid": len(p.last) - 1}
	case "guest-exec-status":
		result = p.last[c.Arguments.PID]
	}
	b, err := json.Marshal(map[string]any{"return": result})
	return string(b), err
}

const (
	mac    = "52:54:00:00:00:01"
	oneNIC = `[{"name":"lo","hardware-address":"00:00:00:00:00:00"},{"name":"eth0","hardware-address":"52:54:00:00:00:01"}]`
)

// linux is a guest whose eth0 takes whatever MTU some program gives it.
func linux(programs string) *player {
	p := &player{id: "debian", links: oneNIC, files: map[string]string{"/sys/class/net/eth0/mtu": "1500\n"}}
	p.run = func(argv []string) (string, int) {
		switch {
		case argv[0] == "ls" && argv[1] == "-d":
			return "/etc/network/interfaces\n", 2
		case argv[0] == "ls":
			return "device\nmtu\nupper_bond0\nupper_eth0.5\nupper_; rm\n", 0
		case argv[0] == "cat":
			return p.files[argv[1]], 0
		case programs != argv[0]:
			return "", -1
		}
		p.files["/sys/class/net/eth0/mtu"] = argv[len(argv)-1] + "\n"
		return "", 0
	}
	return p
}

func open(t *testing.T, p *player) *Guest {
	t.Helper()
	g, err := Open(context.Background(), p.ask)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestLinux(t *testing.T) {
	for _, tt := range []struct{ has, deny, want string }{
		{"ip", "", "ip link set dev eth0 mtu 9000"},
		{"/sbin/ip", "guest-file-open", "/sbin/ip link set dev eth0 mtu 9000"},
		{"busybox", "guest-get-osinfo", "busybox ip link set dev eth0 mtu 9000"},
		{"ifconfig", "", "ifconfig eth0 mtu 9000"},
	} {
		p := linux(tt.has)
		p.deny = tt.deny
		g := open(t, p)
		got, err := g.Set(mac, 9000)
		want := Change{"eth0", 1500, 9000, []string{"bond0", "eth0.5"}, "mtu 9000 under iface eth0 in /etc/network/interfaces (ifupdown)"}
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", tt.has, err, d)
		}
		ran := false
		for _, argv := range p.ran {
			ran = ran || strings.Join(argv, " ") == tt.want
		}
		if !ran {
			t.Errorf("%s: it ran %q", tt.has, p.ran)
		}
		if got, err := g.Set(mac, 9000); err != nil || got.Before != 9000 || got.Lasting != "" {
			t.Errorf("again: %+v, %v", got, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	link := func(name, mac string) string {
		b, _ := json.Marshal([]map[string]string{{"name": name, "hardware-address": mac}})
		return string(b)
	}
	for _, tt := range []struct {
		what string
		bend func(*player)
		says string
	}{
		{"another's MAC", func(p *player) { p.links = link("eth0", "52:54:00:00:00:99") }, "knows no NIC with this MAC"},
		{"two with one MAC", func(p *player) {
			p.links = `[{"name":"eth0","hardware-address":"` + mac + `"},{"name":"eth1","hardware-address":"` + mac + `"}]`
		}, "which is the NIC cannot be told"},
		{"an option", func(p *player) { p.links = link("-h", mac) }, `"-h", which is no name`},
		{"a shell's", func(p *player) { p.links = link("a;reboot", mac) }, "no name to go by"},
		{"a path", func(p *player) { p.links = link("../../x", mac) }, "no name to go by"},
		{"parent", func(p *player) { p.links = link("..", mac) }, "no name to go by"},
		{"a blank", func(p *player) { p.links = link("eth0 up", mac) }, "no name to go by"},
		{"a line", func(p *player) { p.links = link("eth0\x1b[31m\nx", mac) }, "eth0?[31m?x"},
		{"too long", func(p *player) { p.links = link(strings.Repeat("e", 16), mac) }, "no name to go by"},
		{"no programs", func(p *player) { p.run = func([]string) (string, int) { return "", -1 } }, "no such program"},
		{"exit 127", func(p *player) { p.run = func([]string) (string, int) { return "", 127 } }, "exit status 127"},
		{"exit 2", func(p *player) {
			p.run = func([]string) (string, int) { return "RTNETLINK answers: Invalid argument\n", 2 }
		}, `exit status 2: "RTNETLINK answers: Invalid argument"`},
		{"says yes, does nothing", func(p *player) { p.run = func([]string) (string, int) { return "", 0 } }, "it says yes, and has 1500"},
		{"no number", func(p *player) { p.files["/sys/class/net/eth0/mtu"] = "many" }, "nonsense"},
		{"a negative number", func(p *player) { p.files["/sys/class/net/eth0/mtu"] = "-9" }, "nonsense"},
		{"not allowed", func(p *player) { p.deny = "guest-exec" }, "has been disabled"},
	} {
		p := linux("ip")
		tt.bend(p)
		c, err := open(t, p).Set(mac, 9000)
		if err == nil || !strings.Contains(err.Error(), tt.says) || c.After == 9000 {
			t.Errorf("%s: %+v, %v", tt.what, c, err)
		}
	}
}

// What lies on a NIC in the guest mostly has its MAC address.
func TestReal(t *testing.T) {
	p := linux("ip")
	p.links = `[{"name":"bond0","hardware-address":"` + mac + `"},{"name":"eth0","hardware-address":"` + strings.ToUpper(mac) + `"}]`
	p.files["/sys/class/net/eth0/device/uevent"] = "DRIVER=virtio_net"
	if c, err := open(t, p).Set(mac, 9000); err != nil || c.Name != "eth0" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestNonsense(t *testing.T) {
	for _, answer := range []string{
		"", "{", "null", "[]", `"x"`, `{"return":`, `{}`, `{"error":{}}`, `{"return":null}`, `{"return":{"x":1}}`, `{"return":[1,2]}`,
		`{"return":[{"name":{}}]}`, strings.Repeat("[", 1<<20), `{"return":[` + strings.Repeat(`{},`, most) + `{}]}`,
	} {
		_, err := Open(context.Background(), func(context.Context, string) (string, error) { return answer, nil })
		if !errors.Is(err, ErrNonsense) {
			t.Errorf("%.40q: %v", answer, err)
		} else if len(err.Error()) > 1000 {
			t.Errorf("%.40q: the error has %d bytes", answer, len(err.Error()))
		}
	}
}

// A program that does not end is waited for as long as the guest has.
func TestEndless(t *testing.T) {
	p := linux("ip")
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	p.run = func([]string) (string, int) { return "", 0 }
	g, err := Open(ctx, func(ctx context.Context, command string) (string, error) {
		if strings.Contains(command, "guest-exec-status") {
			return `{"return":{"exited":false}}`, nil
		}
		return p.ask(ctx, command)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Set(mac, 9000); !errors.Is(err, ErrSlow) {
		t.Errorf("%v", err)
	}
}

// How Windows is asked is by its documentation: there is none to try it on.
func TestWindows(t *testing.T) {
	for _, modern := range []bool{true, false} {
		mtu := "1500"
		p := &player{id: "mswindows", links: `[{"name":"Ethernet 2","hardware-address":"52:54:00:00:00:01"}]`}
		p.run = func(argv []string) (string, int) {
			line := strings.Join(argv, " ")
			switch {
			case argv[0] == "powershell.exe" && !modern:
				return "The term 'Get-NetAdapter' is not recognized\n    + FullyQualifiedErrorId : CommandNotFoundException", 1
			case strings.Contains(line, "-NlMtuBytes 9000"), strings.Contains(line, "mtu=9000"):
				mtu = "9000"
				return "", 0
			case argv[0] == "powershell.exe":
				return mtu + "\r\n" + mtu + "\r\n", 0
			}
			return "\r\n   MTU  MediaSenseState   Bytes In  Bytes Out  Interface\r\n------  ---------------  ---------  ---------  -------------\r\n" +
				"4294967295                1          0      28152  Loopback Pseudo-Interface 1\r\n  " + mtu + "                1   14411      28152  Ethernet 2\r\n", 0
		}
		c, err := open(t, p).Set(mac, 9000)
		if err != nil || c.Before != 1500 || c.After != 9000 || !strings.Contains(c.Lasting, "store=persistent") {
			t.Errorf("modern %v: %+v, %v", modern, c, err)
		}
		want := []string{"netsh.exe", "interface", "ipv6", "set", "subinterface", "Ethernet 2", "mtu=9000", "store=active"}
		said := false
		for _, argv := range p.ran {
			said = said || cmp.Equal(argv, want)
		}
		if said == modern {
			t.Errorf("modern %v: %q", modern, p.ran)
		}
	}
	for _, name := range []string{`x"`, "a=b", "-x", "$x", "a\nb", ""} {
		if windowsName(name) {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

func TestBSD(t *testing.T) {
	mtu := "1500"
	p := &player{id: "freebsd", links: `[{"name":"vtnet0","hardware-address":"52:54:00:00:00:01"}]`}
	p.run = func(argv []string) (string, int) {
		if len(argv) == 4 {
			mtu = argv[3]
		}
		return "vtnet0: flags=8863<UP> metric 0 mtu " + mtu + "\n\tether " + mac + "\n", 0
	}
	c, err := open(t, p).Set(mac, 9000)
	if err != nil || c.Before != 1500 || c.After != 9000 {
		t.Errorf("%+v, %v", c, err)
	}
}

func FuzzGuest(f *testing.F) {
	f.Add(`{"return":`+oneNIC+`}`, `{"return":{"pid":1}}`, base64.StdEncoding.EncodeToString([]byte("1500")))
	f.Fuzz(func(t *testing.T, links, other, data string) {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		g, err := Open(ctx, func(_ context.Context, command string) (string, error) {
			switch {
			case strings.Contains(command, "interfaces"):
				return links, nil
			case strings.Contains(command, "status"):
				return `{"return":{"exited":true,"exitcode":0,"out-data":"` + data + `"}}`, nil
			}
			return other, nil
		})
		if err != nil {
			return
		}
		if c, err := g.Set(mac, 9000); err == nil && c.After != 9000 {
			t.Errorf("%+v", c)
		}
	})
}

// A guest says what it likes of its addresses.
func TestAddresses(t *testing.T) {
	const mac = "52:54:00:00:00:01"
	answer := `{"return":[
		{"name":"lo","hardware-address":"00:00:00:00:00:00","ip-addresses":[{"ip-address":"127.0.0.1"}]},
		{"name":"eth0","hardware-address":"52-54-00-00-00-01","ip-addresses":[
			{"ip-address":"192.0.2.2"},{"ip-address":"fe80::1"},{"ip-address":"2001:db8::2"},{"ip-address":"127.0.0.2"},
			{"ip-address":"::ffff:192.0.2.3"},{"ip-address":"224.0.0.1"},{"ip-address":"0.0.0.0"},{"ip-address":"--help"},{"ip-address":"2001:db8::3%eth0"},{}]},
		{"name":"eth1","hardware-address":"52:54:00:00:00:02","ip-addresses":[{"ip-address":"192.0.2.9"}]}]}`
	g, err := Open(context.Background(), func(_ context.Context, command string) (string, error) {
		if strings.Contains(command, "interfaces") {
			return answer, nil
		}
		return `{"return":{"id":"debian"}}`, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(g.Addresses(mac)); got != "[192.0.2.2 2001:db8::2 192.0.2.3]" {
		t.Errorf("%s has %s", mac, got)
	}
}
