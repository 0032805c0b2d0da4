#!/bin/bash
# watch.sh [ROUNDS]: how soon a new tap is right by virt-mtu watch, and by udev, on a host without
# taps and on one with 1,000, in turn; what the daemon takes while nothing happens. Root; see
# README.md.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
rounds=${1:-12}
lab=$top/test/lab/lab
many=1000

[ "$(id -u)" = 0 ] || { echo "bench: not root" >&2; exit 1; }
[ -x "$top/build/bin/virt-mtu" ] || { echo "bench: no build/bin/virt-mtu: run make build" >&2; exit 1; }
out=$(mktemp -d "$top/build/bench.XXXXXX")
host() { echo "bench-watch-$$-$1"; }
trap 'for taps in 0 $many; do "$lab" down "$(host "$taps")"; done; rm -rf "$out"' EXIT
(cd "$top" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$out/" ./test/bench/watch)

# inside HOST ARG... <SCRIPT
inside() { "$lab" on "$(host "$1")" bash -euo pipefail -s -- "${@:2}"; }

setup() {
	local h
	h=$(host "$1")
	"$lab" up "$h"
	"$lab" bridge "$h" br0
	"$lab" uplink "$h" br0 eth0 9000
	"$lab" libvirtd "$h" start
	inside "$1" "$top/build/bin/virt-mtu" "$1" <<'RUN'
	virt_mtu=$1 taps=$2
	mkdir -p /run/lab/bench
	cd /run/lab/bench
	for ((i = 0; i < taps; i++)); do
		echo "tuntap add vnet$i mode tap"
		echo "link set vnet$i mtu 9000 master br0"
	done >links
	ip -batch links

	# The kernel tells of block devices and the like in every namespace. With the machine's own
	# rules out of sight udevd does nothing about them, and is as quick as it can be.
	for d in /lib/udev/rules.d /usr/lib/udev/rules.d /etc/udev/rules.d /usr/local/lib/udev/rules.d; do
		[ ! -d "$d" ] || mount -t tmpfs -o mode=755 tmpfs "$d"
	done
	mkdir -p /run/udev/rules.d
	udevadm=$(type -P udevadm) || { echo "bench: no udevadm: run hack/deps.sh bench" >&2; exit 1; }
	# With --daemon it is another process that is to be measured and ended.
	(exec -a systemd-udevd "$udevadm") >udevd.log 2>&1 </dev/null &
	echo $! >udevd.pid
	"$virt_mtu" watch >watch.log 2>&1 </dev/null &
	echo $! >watch.pid
	for ((i = 0; i < 300; i++)); do
		! "$udevadm" control --ping --timeout=1 2>/dev/null || break
		sleep 0.1
	done
	kill -0 "$(cat udevd.pid)" && kill -0 "$(cat watch.pid)" || { tail -3 udevd.log watch.log >&2; exit 1; }
	sleep 1 # for the daemon's first look at everything
RUN
}

for taps in 0 $many; do setup $taps; done
for ((r = 0; r < rounds; r++)); do
	for taps in 0 $many; do
		inside $taps "$out/watch" >>"$out/$taps taps there already" <<'RUN'
		cd /run/lab/bench
		"$1" -udevd "$(cat udevd.pid)" -watch "$(cat watch.pid)" -udevadm "$(type -P udevadm)" -rules /run/udev/rules.d/50-bench.rules ||
			{ tail -3 udevd.log watch.log >&2; exit 1; }
RUN
	done
done
echo "A tap is made, and joins a bridge without a pin whose uplink has 9000: until it has 9000"
"$out/watch" -report "$out"/*already

inside $many <<'RUN'
	cd /run/lab/bench
	watch=$(cat watch.pid)
	for ((i = 0; i < 1000; i++)); do
		cat >"d$i.xml" <<-XML
			<domain type='qemu'><name>d$i</name><memory unit='MiB'>64</memory>
			<os><type arch='x86_64' machine='pc'>hvm</type></os>
			<devices><interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface></devices></domain>
		XML
		echo "define d$i.xml"
	done >define
	kill -CONT $watch
	virsh -q <define >/dev/null
	told() { grep -l "<mtu size='9000'/>" /etc/libvirt/qemu/d*.xml | wc -l; }
	for ((i = 0; i < 600; i++)); do
		[ "$(told)" != 1000 ] || break
		sleep 0.5
	done
	[ "$(told)" = 1000 ] || { echo "bench: $(told) of 1000 definitions have their <mtu>" >&2; exit 1; }
	sleep 5
	wakes() { cat /proc/$watch/task/*/status | awk '/^voluntary_ctxt_switches/ {n += $2} END {print n}'; }
	cpu() { awk '{print $14 + $15}' /proc/$watch/stat; }
	before=$(wakes) ticks=$(cpu)
	sleep 20
	echo
	echo "virt-mtu watch with 1,000 defined domains, nothing happening, 20 s: $(awk '/^VmRSS/ {printf "%.1f", $2 / 1024}' /proc/$watch/status) MB resident ($(awk '/^VmHWM/ {printf "%.1f", $2 / 1024}' /proc/$watch/status) at most so far), $(($(wakes) - before)) wake-ups, $((10 * ($(cpu) - ticks))) ms of CPU"
RUN
