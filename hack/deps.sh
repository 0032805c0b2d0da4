#!/usr/bin/env bash
# Installs what a step needs and this machine lacks; quick and silent when all is there.
#
#   hack/deps.sh go     check the Go toolchain, make go-libvirt available
#   hack/deps.sh test   the packages of hack/packages.txt: libvirt, QEMU, ...; and into
#                       build/tools what of Open vSwitch, Prometheus, OpenSSH and QEMU's
#                       guest agent tests need
#   hack/deps.sh bench  what the rivals in test/bench are written in
#   hack/deps.sh release  what make release wants beside Go
#   hack/deps.sh lint   shellcheck
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly module=github.com/digitalocean/go-libvirt
readonly package=golang-github-digitalocean-go-libvirt-dev
readonly mark='// Made by hack/deps.sh; remove it at will.'

say() { echo "deps: $*" >&2; }
die() {
	say "$1"
	shift
	printf 'hint: %s\n' "$@" >&2
	exit 1
}

# packages NAME...: installs those that are missing, with no recommends.
packages() {
	if ! command -v dpkg-query apt-get >/dev/null; then
		say "not a Debian: what is called $* there must be here"
		return
	fi
	local missing
	# dpkg-query fails when it does not know a name, which is what is asked here.
	missing=$(comm -23 <(printf '%s\n' "$@" | sort -u) \
		<(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' | sort -u))
	[ -n "$missing" ] || return 0
	mapfile -t missing <<<"$missing"
	say "installing ${missing[*]}"
	local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "cannot install packages: not root, and no sudo" "as root: apt-get install --no-install-recommends ${missing[*]}"
		apt=(sudo "${apt[@]}")
	fi
	"${apt[@]}" update || say "apt-get update failed, trying with the lists that are here"
	"${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}

# work is where a package is unpacked; it goes with the script, however that ends.
work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT

# files PACKAGE FILE...: single files of a package into build/tools, where this machine
# does not have them. Installed, the package would run a daemon here.
files() {
	local of=$1 file missing=()
	shift
	for file; do
		[ -e "$file" ] || [ -e "build/tools/${file##*/}" ] || missing+=("$file")
	done
	[ ${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null || return 0
	say "unpacking ${missing[*]##*/} of $of, which is not installed"
	mkdir -p build/tools
	work=$(mktemp -d build/tools.XXXXXX)
	(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$of" && dpkg-deb -x ./*.deb .) ||
		die "cannot fetch $of" "apt-get update, and run this again"
	for file in "${missing[@]}"; do
		[ -e "$work$file" ] || die "no $file in $(cd "$work" && echo ./*.deb)" \
			"this release has it elsewhere: put ${file##*/} into build/tools yourself"
		mv "$work$file" build/tools/
	done
	rm -r "$work"
	work=
}

toolchain() {
	local want have
	want=$(sed -n 's/^go //p' go.mod)
	local hint=("install Go $want or newer: https://go.dev/doc/install (Debian 12's own package, 1.19, is too old)"
		"make looks in PATH and in /usr/local/go/bin")
	command -v go >/dev/null || die "no go command" "${hint[@]}"
	have=$(go env GOVERSION) || die "go does not run in this module" "${hint[@]}"
	have=$(grep -oE '[0-9]+\.[0-9.]+' <<<"$have" | head -n 1)
	[ "$(printf '%s\n' "$want" "$have" | sort -V | head -n 1)" = "$want" ] || die "go $have is too old" "${hint[@]}"
}

# go_libvirt makes the module available. Some module proxies refuse it; Debian
# packages the very commit that go.mod pins, and a go.work puts that in its place.
go_libvirt() {
	local dir version folder out
	dir=$(go list -m -f '{{.Dir}}' "$module" 2>/dev/null) && [ -d "$dir" ] && return
	if [ -e go.work ]; then
		[ "$(head -n 1 go.work)" = "$mark" ] || die "your go.work does not provide $module" "move it away, and run this again"
		rm go.work
	fi
	out=$(go mod download "$module" 2>&1) && return
	# Another content under the same version is no matter of availability.
	! grep -qE 'SECURITY ERROR|checksum mismatch' <<<"$out" || die "$out" "do not build this"
	say "$(tail -n 1 <<<"$out")"
	say "taking Debian's $package instead"
	packages "$package"
	version=$(awk -v m="$module" '$1 == m {print $2} $1 == "require" && $2 == m {print $3}' go.mod)
	folder=/usr/share/gocode/src/$module
	[ -d "$folder" ] || die "no $folder" "set GOPROXY to a proxy that serves $module"
	# A pseudo-version ends in 12 digits of the commit, Debian's version in 7.
	local commit=${version##*-}
	[[ $(dpkg-query -W -f '${Version}' "$package") == *"${commit:0:7}"* ]] ||
		die "Debian's $package here is not commit $commit" "set GOPROXY to a proxy that serves $module"
	printf '%s\n\ngo %s\n\nuse .\n\nreplace %s %s => %s\n' "$mark" "$(sed -n 's/^go //p' go.mod)" "$module" "$version" "$folder" >go.work
}

[ $# -gt 0 ] || die "nothing asked for" "hack/deps.sh go|test|bench|release|lint"
for step; do
	case $step in
	go)
		toolchain
		go_libvirt
		;;
	test)
		mapfile -t names < <(sed 's/#.*//' hack/packages.txt | grep -oE '[^[:space:]]+')
		packages "${names[@]}"
		# openvswitch-common, which starts nothing, has the rest of it.
		files openvswitch-switch /usr/bin/ovs-vsctl /usr/lib/openvswitch-switch/ovs-vswitchd /usr/share/openvswitch/vswitch.ovsschema
		files prometheus /usr/bin/promtool
		files openssh-server /usr/sbin/sshd
		files qemu-guest-agent /usr/sbin/qemu-ga # what it is linked with QEMU has brought
		;;
	bench)
		packages gcc libc6-dev python3-minimal xmlstarlet iproute2 libvirt-clients
		# It is systemd-udevd as well, by the name that it is started by.
		files udev /bin/udevadm
		;;
	release) packages jq ansible-core ;;
	lint) packages shellcheck ;;
	*) die "do not know ${step@Q}" "hack/deps.sh go|test|bench|release|lint" ;;
	esac
done
