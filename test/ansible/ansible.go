package ansible

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"virt-mtu/test/container"
	"virt-mtu/test/machine"
)

// patience is how long one run of ansible-playbook may take.
const patience = 10 * time.Minute

// Controller is what playbooks are run from: the network of the first container, a cable
// from there to each of the others, and files of its own.
type Controller struct {
	dir   string // inventory, key, collections
	pid   string // whose network it is in
	hosts []string
}

// Collection is the folder of the project's collection.
func Collection(t testing.TB) string {
	t.Helper()
	return string(machine.Find(t, "ansible/ansible_collections/virt_mtu/virt_mtu"))
}

// New makes containers hosts of an inventory, by their names, and starts their sshd. The
// collection is installed as ansible-galaxy does it. Without Ansible the test is skipped; on
// CI (CI=true) it fails.
func New(t testing.TB, containers ...*container.Container) *Controller {
	t.Helper()
	machine.Need(t, machine.Missing("Ansible", "ansible-playbook", "ansible-galaxy", "ssh", "ssh-keygen", "nsenter"))
	// Short: sockets are in it.
	dir, err := os.MkdirTemp("", "vm-ansible.")
	if err != nil {
		t.Fatal(err)
	}
	c := &Controller{dir: dir, pid: containers[0].PID(t)}
	t.Cleanup(c.close)
	c.run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", c.path("key"))
	key := read(t, c.path("key.pub"))
	var inventory, known strings.Builder
	inventory.WriteString("[all]\n")
	for i, box := range containers {
		addr := reach(t, containers[0], box, i)
		box.WriteFile(t, "/root/.ssh/authorized_keys", key, 0o600)
		box.Run(t, "systemctl", "start", "ssh.service")
		fmt.Fprintf(&known, "%s %s", addr, box.ReadFile(t, "/etc/ssh/ssh_host_ed25519_key.pub"))
		fmt.Fprintf(&inventory, "%s ansible_host=%s\n", box.Name, addr)
		c.hosts = append(c.hosts, box.Name)
	}
	c.write(t, "inventory", inventory.String())
	c.write(t, "known_hosts", known.String())
	c.write(t, "ansible.cfg", fmt.Sprintf(`[defaults]
inventory = %[1]s/inventory
collections_path = %[1]s/collections
callback_plugins = %[2]s/callback
roles_path = %[2]s/testdata/roles
callbacks_enabled = record
remote_user = root
private_key_file = %[1]s/key
interpreter_python = /usr/bin/python3
local_tmp = %[1]s/tmp
retry_files_enabled = false
nocows = true
timeout = 60
[ssh_connection]
pipelining = true
control_path_dir = %[1]s/cp
ssh_args = -F none -o ControlMaster=auto -o ControlPersist=120s -o UserKnownHostsFile=%[1]s/known_hosts -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes
`, c.dir, machine.Find(t, "test/ansible")))
	c.run(t, "ansible-galaxy", "collection", "install", "--offline", "-p", c.path("collections"), Collection(t))
	return c
}

// reach is an address of box i at which the network of the first reaches it.
func reach(t testing.TB, first, box *container.Container, i int) string {
	t.Helper()
	if i == 0 {
		return "127.0.0.1"
	}
	dev := fmt.Sprintf("ansible%d", i)
	here, there := fmt.Sprintf("203.0.113.%d", 4*i+1), fmt.Sprintf("203.0.113.%d", 4*i+2)
	first.Wire(t, dev, box, "ansible0")
	first.Run(t, "ip", "addr", "add", here+"/30", "dev", dev)
	first.Run(t, "ip", "link", "set", dev, "up")
	box.Run(t, "ip", "addr", "add", there+"/30", "dev", "ansible0")
	box.Run(t, "ip", "link", "set", "ansible0", "up")
	return there
}

// close ends the ssh connections that are kept, and removes the files.
func (c *Controller) close() {
	sockets, _ := filepath.Glob(c.path("cp/*"))
	for _, s := range sockets {
		exec.Command("ssh", "-F", "none", "-o", "ControlPath="+s, "-O", "exit", "x").Run()
	}
	os.RemoveAll(c.dir)
}

// Recap is what came of a play on one host.
type Recap struct {
	OK, Changed, Failed int
	// Tasks are those that were not skipped, in their order.
	Tasks []Task
}

// Task is how one task ended on one host.
type Task struct {
	Name    string
	Status  string // ok, failed, ignored, unreachable
	Changed bool
	Result  string // of its module, as JSON
}

// Result is how a run of ansible-playbook ended.
type Result struct {
	Exit   int
	Output string // as an admin sees it
	Hosts  map[string]Recap
}

// Play runs a playbook, a file or one of the collection's (virt_mtu.virt_mtu.site), with
// extra variables and ansible-playbook's flags (--check, --diff, --limit HOST).
func (c *Controller) Play(t testing.TB, playbook string, vars map[string]any, flags ...string) Result {
	t.Helper()
	extra, err := json.Marshal(vars)
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, "vars.json", string(extra))
	c.write(t, "record", "")
	args := slices.Concat([]string{"ansible-playbook", "-e", "@" + c.path("vars.json")}, flags, []string{playbook})
	out, exit := c.start(t, args)
	r := Result{Exit: exit, Output: out, Hosts: map[string]Recap{}}
	for line := range strings.Lines(read(t, c.path("record"))) {
		r.add(t, line)
	}
	return r
}

func (r *Result) add(t testing.TB, line string) {
	t.Helper()
	var l struct {
		Host, Task, Status, Result string
		Changed                    bool
	}
	if err := json.Unmarshal([]byte(line), &l); err != nil {
		t.Fatal(err)
	}
	if l.Status == "skipped" {
		return
	}
	h := r.Hosts[l.Host]
	h.Tasks = append(h.Tasks, Task{l.Task, l.Status, l.Changed, l.Result})
	switch l.Status {
	case "ok", "ignored":
		h.OK++
	default:
		h.Failed++
	}
	if l.Changed {
		h.Changed++
	}
	r.Hosts[l.Host] = h
}

// start runs a command in the controller's network.
func (c *Controller) start(t testing.TB, args []string) (out string, exit int) {
	t.Helper()
	cmd := exec.Command("nsenter", slices.Concat([]string{"--target", c.pid, "--net", "--"}, args)...)
	cmd.Dir = c.dir
	// What whoever runs the test has set for Ansible would come before the file.
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "ANSIBLE_") })
	cmd.Env = append(env, "ANSIBLE_CONFIG="+c.path("ansible.cfg"), "ANSIBLE_HOME="+c.path("home"), "ANSIBLE_NOCOLOR=1",
		"VIRT_MTU_RECORD="+c.path("record"), "LC_ALL=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1")
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	cmd.WaitDelay = time.Second // what keeps a connection has its stderr
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return b.String(), cmd.ProcessState.ExitCode()
}

// run is for what has to succeed.
func (c *Controller) run(t testing.TB, args ...string) string {
	t.Helper()
	out, exit := c.start(t, args)
	if exit != 0 {
		t.Fatalf("%s: exit %d\n%s", strings.Join(args, " "), exit, out)
	}
	return out
}

func (c *Controller) path(name string) string { return filepath.Join(c.dir, name) }

func (c *Controller) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
