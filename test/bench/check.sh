#!/bin/bash
# check.sh [ROUNDS]: virt-mtu check against a listing of the same links by ip. Root; see README.md.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
rounds=${1:-15}
lab=$top/test/lab/lab
host=bench-check-$$

[ "$(id -u)" = 0 ] || { echo "bench: not root" >&2; exit 1; }
[ -x "$top/build/bin/virt-mtu" ] || { echo "bench: no build/bin/virt-mtu: run make build" >&2; exit 1; }
out=$(mktemp -d "$top/build/bench.XXXXXX")
trap '"$lab" down "$host"; rm -rf "$out"' EXIT
(cd "$top" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$out/" ./test/bench/check)

for size in '1000 1' '4000 4'; do
	"$lab" up "$host"
	[ "$size" = '4000 4' ] || "$lab" libvirtd "$host" start
	"$lab" on "$host" bash -euo pipefail -s -- "$top/build/bin/virt-mtu" "$out/check" "$rounds" $size <<'RUN'
	virt_mtu=$1 helper=$2 rounds=$3 taps=$4 bridges=$5
	mkdir -p /run/lab/bench
	cd /run/lab/bench
	{
		for ((b = 0; b < bridges; b++)); do echo "link add br$b type bridge"; done
		for ((i = 0; i < taps; i++)); do
			echo "tuntap add vnet$i mode tap"
			echo "link set vnet$i mtu 9000 master br$((i % bridges))"
		done
	} >links
	ip -batch links
	{ "$virt_mtu" facts 2>/dev/null || true; } | "$helper" running "$taps" "$bridges" >facts.json
	if [ -e /run/libvirtd.pid ]; then
		for ((i = 0; i < taps; i++)); do
			cat >"d$i.xml" <<-XML
				<domain type='qemu'><name>d$i</name><memory unit='MiB'>64</memory>
				<os><type arch='x86_64' machine='pc'>hvm</type></os>
				<devices><interface type='bridge'><source bridge='br0'/><model type='virtio'/><mtu size='9000'/></interface></devices></domain>
			XML
			echo "define d$i.xml"
		done | virsh -q >/dev/null
	fi

	list() { ip -d -j link; }
	judge() { "$virt_mtu" check --facts facts.json; }
	all() { "$virt_mtu" check --all || [ $? = 1 ]; } # hook-missing and the like
	calls() { "$helper" calls; }
	contenders=(list judge)
	[ ! -e /run/libvirtd.pid ] || contenders+=(all calls)
	for ((r = 0; r < rounds; r++)); do
		for c in $(shuf -e "${contenders[@]}"); do
			began=${EPOCHREALTIME/./}
			"$c" >/dev/null 2>&1 || echo "bench: $c failed" >&2
			echo "$r $c $(((${EPOCHREALTIME/./} - began)))"
		done
	done | awk -v taps="$taps" -v bridges="$bridges" '
		{ t[$2, $1] = $3 / 1000; if ($1 > last) last = $1; seen[$2] = 1 }
		function median(a, n,   i, j, x) {
			for (i = 2; i <= n; i++)
				for (j = i; j > 1 && a[j] < a[j - 1]; j--) { x = a[j]; a[j] = a[j - 1]; a[j - 1] = x }
			return a[int((n + 1) / 2)]
		}
		function row(what, c, less,   r, ms, ratio) {
			for (r = 0; r <= last; r++) {
				ms[r + 1] = t[c, r] - (less == "" ? 0 : t[less, r])
				ratio[r + 1] = ms[r + 1] / t["list", r]
			}
			printf "  %8.1f  %9.2f  %s\n", median(ms, last + 1), median(ratio, last + 1), what
		}
		END {
			printf "\n%d taps on %d bridge(s), as many domains, %d rounds\n  median ms  x ip link  contender\n", taps, bridges, last + 1
			row("ip -d -j link", "list")
			row("virt-mtu check --facts, every domain running", "judge")
			if (!seen["all"]) exit
			row("virt-mtu check --all, every domain defined", "all")
			row("  of that, libvirt: the same calls alone", "calls")
			row("  without them", "all", "calls")
		}'
RUN
	"$lab" down "$host"
done
