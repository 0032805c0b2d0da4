# shellcheck shell=bash
# The start operation as an admin would write it in bash: the NICs by xmlstarlet, refuse a model
# that cannot carry jumbo frames, raise the taps by ip, one line to the log where something was done.
# Who sources it says how an MTU is read: mtu DEV sets $mtu.
[[ $2 == start && $3 == begin ]] || exit 0

nics=$(xmlstarlet sel -T -t -m /domain/devices/interface \
	-v 'concat(source/@bridge, "|", target/@dev, "|", mtu/@size, "|", model/@type)' -n -) || exit 0
log=
while IFS='|' read -r bridge tap guest model; do
	[[ $bridge && $tap && -e /sys/class/net/$tap/tun_flags && -d /sys/class/net/$bridge/brif/$tap ]] || continue
	uplink=
	for port in /sys/class/net/"$bridge"/brif/*; do
		port=${port##*/}
		[[ -e /sys/class/net/$port/tun_flags ]] && continue
		mtu "$port"
		[[ $uplink && $uplink -le $mtu ]] || uplink=$mtu
	done
	mtu "$bridge"
	bridge_mtu=$mtu
	segment=$mtu
	[[ $uplink && $uplink -lt $segment ]] && segment=$uplink
	target=${guest:-$segment}
	case $model in
	rtl8139 | pcnet | ne2k_pci | ne2k_isa)
		if [[ $target -gt 1500 ]]; then
			echo "$tap: a $model cannot carry $target" >&2
			exit 1
		fi
		;;
	esac
	for mtu in "$bridge_mtu" "$uplink"; do
		[[ $mtu && $mtu -gt $target ]] && target=$mtu
	done
	mtu "$tap"
	if [[ $mtu -lt $target ]] && ip link set "$tap" mtu "$target"; then
		log+=" $tap $mtu to $target"
	fi
done <<<"$nics"
[[ -z $log ]] || logger -t mtu-hook "$1: raised$log"
exit 0
