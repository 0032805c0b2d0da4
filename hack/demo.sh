#!/usr/bin/env bash
# The story of virt-mtu on a real libvirtd, QEMU, kernel and guest, in a throw-away host
# (test/lab/lab). It says what it does and shows what really came out; where that is not
# what it should be it fails, so it is a test too. BIN: where the programs are (build/bin).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lab=test/lab/lab
name=demo-$$
bin=$(realpath "${BIN:-build/bin}")
work=$(mktemp -d)
trap '"$lab" down "$name"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

bold='' dim='' red='' green='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi

say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# show PROMPT COMMAND...: what is typed.
show() {
	local prompt=$1
	shift
	printf '%s%s%s %s\n' "$dim" "$prompt" "$plain" "$*"
}

# keep COMMAND...: runs it; its output is shown, and in $out for 'expect', its exit in $exit.
keep() {
	exit=0
	"$@" >"$work/out" 2>&1 </dev/null || exit=$?
	sed '/^$/d; s/^/  /' "$work/out"
	out=$(cat "$work/out")
}

in_host() { "$lab" on "$name" env PATH="$bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@"; }
host() {
	show 'host#' "$*"
	keep in_host "$@"
}
guest() {
	show 'web1#' "$*"
	keep "$lab" guest "$name" 192.0.2.2 "$@"
}

# expect WHAT EXIT [PATTERN]: of the last command, an exit of 0 or (fails) another, and a
# line of its output.
expect() {
	case $2:$exit in
	0:0) ;;
	0:* | fails:0) wrong "$1 (exit $exit)" ;;
	esac
	[ $# = 2 ] || grep -Eqz -- "$3" <<<"$out" || wrong "$1 (no '$3' in its output)"
	printf '%s  %s%s\n' "$green" "$1" "$plain"
}
wrong() {
	printf '%s  not so: %s%s\n' "$red" "$1" "$plain" >&2
	exit 1
}

define() {
	"$lab" domain "$@" >"$work/$1.xml"
	show 'host#' "virsh define $1.xml     # $2"
	keep in_host virsh -q define "$work/$1.xml"
	expect "$1 is defined" 0
}

# boot: web1, until its guest is up, and what its driver found.
boot() {
	host virsh -q start web1
	expect "web1 starts" 0
	"$lab" wait "$name" web1
	guest cat /sys/class/net/eth0/mtu
}

[ "$(id -u)" = 0 ] || { echo "demo: it makes namespaces: run it as root (sudo make demo)" >&2; exit 1; }
for f in virt-mtu qemu-hook; do
	[ -x "$bin/$f" ] || { echo "demo: no $bin/$f: make build" >&2; exit 1; }
done

say "A host of its own with libvirtd; its bridge br0 carries 9000 bytes."
"$lab" up "$name"
"$lab" libvirtd "$name" start
"$lab" bridge "$name" br0 9000
host cat /sys/class/net/br0/mtu
expect "br0 is at 9000" 0 9000

say "virt-mtu's hook is to look after every start."
host virt-mtu hook install
expect "libvirtd has the hook" 0

say "A guest as everybody defines it. Its kernel is told nothing, and takes 1500."
define web1 "<interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>"
boot
expect "the guest is at 1500" 0 '^1500'
guest /bin/ping -c 1 -W 1 -M "do" -s 8972 192.0.2.1
expect "9000 bytes do not leave it" fails 'message too long, mtu=1500'

say "virt-mtu writes into the definition what the bridge carries."
host virt-mtu fix web1
expect "web1 is fixed" 0 9000
host virsh dumpxml --inactive --xpath //interface web1
expect "the definition has it" 0 '<mtu size="9000"/>'

say "From its next cold start the guest knows."
host virsh -q destroy web1
boot
expect "the guest is at 9000" 0 '^9000'
guest /bin/ping -c 1 -W 1 -M "do" -s 8972 192.0.2.1
expect "9000 bytes reach the host, in one piece" 0 ' 0% packet loss'

say "A NIC that cannot carry 9000 is refused before it disappoints anybody."
define old1 "<interface type='bridge'><source bridge='br0'/><model type='rtl8139'/></interface>" gip=192.0.2.3
host virsh -q start old1
expect "refused, with the reason and what to do" fails 'rtl8139'

say "What the hook has said to syslog:"
until "$lab" on "$name" grep -q 'old1.*refused' /run/lab/syslog; do # syslogd may be behind
	[ $((tries += 1)) -lt 50 ] || wrong "nothing about old1 in the log"
	sleep 0.1
done
host grep -F virt-mtu /run/lab/syslog
expect "the start that came before its <mtu>, and the refusal" 0 'web1.*queued.*old1.*refused'

say "${green}All as it should be.${plain} The host is taken down; nothing stays."
