#!/bin/bash
# As most such hooks are: what a link has, ip says.
mtu() {
	mtu=$(ip -o link show dev "$1")
	mtu=${mtu#* mtu } mtu=${mtu%% *}
}
. "${0%/*}/job.bash"
