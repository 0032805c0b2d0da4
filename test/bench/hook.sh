#!/bin/bash
# hook.sh [ROUNDS]: what the hook's start call costs, against others. Root; see README.md.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
rounds=${1:-300}
lab=$top/test/lab/lab
host=bench-hook-$$

[ "$(id -u)" = 0 ] || { echo "bench: not root" >&2; exit 1; }
mkdir -p "$top/build"
out=$(mktemp -d "$top/build/bench.XXXXXX")
trap '"$lab" down "$host"; rm -rf "$out"' EXIT
cd "$top/test/bench/hook"
gcc -O2 -static -o "$out/drain-c" rivals/drain.c
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$out/" . ./rivals/empty ./rivals/drain
# All four NICs on br0, and each with the <mtu> that virt-mtu would have put there.
sed -e '/<mtu /d' -e "s/bridge='virbr0'/bridge='br0'/" -e "s#<target dev='vnet.'/>#&<mtu size='9000'/>#" \
	"$top/examples/everything.xml" >"$out/start.xml"

"$lab" up "$host"
"$lab" bridge "$host" br0 9000
"$lab" uplink "$host" br0 eth0 9000
for i in 0 1 2 3; do
	"$lab" on "$host" ip tuntap add "vnet$i" mode tap
	"$lab" on "$host" ip link set "vnet$i" master br0 up mtu 9000
done
for from in 9000 1500; do
	echo
	echo "qemu-hook web1 start begin -: $(($(wc -c <"$out/start.xml") / 1000)) KB of XML, 4 taps at $from on a bridge at 9000, $rounds rounds"
	"$lab" on "$host" "$out/hook" -hook "$top/build/bin/qemu-hook" -rivals "$out" -scripts "$top/test/bench/hook/rivals" \
		-xml "$out/start.xml" -taps vnet0,vnet1,vnet2,vnet3 -from "$from" -rounds "$rounds"
done
