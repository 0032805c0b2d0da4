#!/bin/bash
# fix.sh: virt-mtu fix against the loop of virsh and sed that it replaces. Root; see README.md.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lab=$top/test/lab/lab
host=bench-fix-$$

[ "$(id -u)" = 0 ] || { echo "bench: not root" >&2; exit 1; }
[ -x "$top/build/bin/virt-mtu" ] || { echo "bench: no build/bin/virt-mtu: run make build" >&2; exit 1; }
trap '"$lab" down "$host"' EXIT
"$lab" up "$host"
"$lab" bridge "$host" br0 9000
"$lab" uplink "$host" br0 eth0 9000
"$lab" libvirtd "$host" start
"$lab" on "$host" bash -euo pipefail -s -- "$top/build/bin/virt-mtu" <<'RUN'
virt_mtu=$1
rounds=10 block=50
mkdir /run/lab/bench
cd /run/lab/bench

mapfile -t domains < <(seq -f 'd%04g' $((2 * rounds * block)))
for d in "${domains[@]}"; do
	cat >"$d.xml" <<-XML
		<domain type='qemu'>
		  <name>$d</name>
		  <memory unit='MiB'>64</memory>
		  <os><type arch='x86_64' machine='pc'>hvm</type></os>
		  <devices>
		    <interface type='bridge'>
		      <source bridge='br0'/>
		      <model type='virtio'/>
		    </interface>
		  </devices>
		</domain>
	XML
done
for d in "${domains[@]}"; do echo "define $d.xml"; done | virsh -q >/dev/null

ours() { "$virt_mtu" fix "$@" >/dev/null; }
loop() {
	local d
	for d; do
		virsh dumpxml --inactive --security-info "$d" |
			sed "s#<model type='virtio'/>#&<mtu size='9000'/>#" >edited
		virsh -q define edited >/dev/null
	done
}
# timed CMD...: milliseconds, in $ms.
timed() {
	local began=${EPOCHREALTIME/./}
	"$@"
	ms=$(((${EPOCHREALTIME/./} - began) / 1000))
}

echo
echo "virt-mtu fix against virsh dumpxml | sed | virsh define: ${#domains[@]} domains, $rounds rounds of $block each"
for ((r = 0; r < rounds; r++)); do
	a=("${domains[@]:2*r*block:block}") b=("${domains[@]:(2*r+1)*block:block}")
	if ((r % 2)); then
		timed loop "${b[@]}"; theirs=$ms
		timed ours "${a[@]}"; our=$ms
	else
		timed ours "${a[@]}"; our=$ms
		timed loop "${b[@]}"; theirs=$ms
	fi
	echo "$our $theirs"
done | awk -v block=$block '
	{ ours[NR] = $1 / block; loop[NR] = $2 / block; ratio[NR] = $2 / $1 }
	function median(a, n,   i, j, t) {
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
		return a[int(n / 2) + 1]
	}
	END { printf "median ms a domain: fix %.1f, loop %.1f; loop / fix, median of the rounds: %.1f\n", median(ours, NR), median(loop, NR), median(ratio, NR) }'
told=$(grep -l "<mtu size='9000'/>" /etc/libvirt/qemu/d*.xml | wc -l)
[ "$told" = ${#domains[@]} ] || { echo "bench: $told of ${#domains[@]} definitions have their <mtu>" >&2; exit 1; }
timed "$virt_mtu" fix --all >/dev/null
echo "fix --all with nothing left to do, ${#domains[@]} domains: $ms ms"
RUN
