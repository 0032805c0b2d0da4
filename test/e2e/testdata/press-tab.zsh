#!/usr/bin/env zsh
# press-tab.zsh SHELL SCRIPT LINE...: what stands on an interactive shell's command line
# after each LINE and the Tab key, with the completion SCRIPT in force. bash or zsh; fish
# says it itself (complete -C). Typed into a terminal, as a user would.
emulate -R zsh
setopt err_exit
zmodload zsh/zpty
shell=$1 script=$2
shift 2
dir=$(mktemp -d)
trap 'zpty -d 2>/dev/null; rm -rf $dir' EXIT

case $shell in
bash)
	zpty -b tab "exec env TERM=dumb HISTFILE= bash --norc --noprofile -i"
	cat >$dir/rc <<-END
		. /usr/share/bash-completion/bash_completion
		. $script
		bind -x '"\C-x": printf "%s\n" "\$READLINE_LINE" >$dir/new; mv $dir/new $dir/line'
	END
	;;
zsh)
	zpty -b tab "exec env TERM=dumb HISTFILE= zsh -f -i"
	mkdir $dir/functions
	cp $script $dir/functions/_virt-mtu
	cat >$dir/rc <<-END
		fpath=($dir/functions \$fpath)
		autoload -U compinit
		compinit -u -D
		tell() { print -r -- \$BUFFER >$dir/new; mv $dir/new $dir/line }
		zle -N tell
		bindkey -e
		bindkey '^X' tell
	END
	;;
esac
# await FILE: the shell has come so far.
await() {
	local n
	for n in {1..600}; do
		[[ -e $1 ]] && return
		zpty -r -t tab >/dev/null || true # what it prints has to go somewhere
		sleep 0.1
	done
	print -u2 "$shell did not come to $1:t"
	exit 1
}
zpty -w tab ". $dir/rc; : >$dir/ready"
await $dir/ready
for line; do
	# Tab, ^X; and ^A^K, which empties the line again.
	zpty -w -n tab "$line"$'\t\x18\x01\x0b'
	await $dir/line
	cat $dir/line
	rm $dir/line
done
