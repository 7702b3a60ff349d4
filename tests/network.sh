#!/bin/sh
# SPDX-License-Identifier: ISC
# network.sh AIRLOCK DIR [WORD]: other people's clients and servers on loopback, each behind the door with exactly the rules
# that it needs: the same output, messages, status and files as without. With one promise, unveil or address less it does not
# work, and the refusal names what was missing, of addresses the very one. WORD: only what has it in its name.
set -u
airlock=$1
word=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tap.sh"
prefix="network: "
umask 022
work=$(realpath "$(mktemp -d)")
running=
# finish PID...: ends what was started here. What is behind the door ends with its host.
finish() {
	for p; do
		kill "$p" 2>/dev/null
	done
	for p; do
		wait "$p" 2>/dev/null
	done
}
trap 'finish $running; chmod -R u+rwX "$work"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
in=$work/in out=$work/out
mkdir "$in" "$out" "$work/home"
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
kept="HOME GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL PYTHONDONTWRITEBYTECODE"
clean="env -i PATH=/usr/bin:/bin:/usr/sbin LC_ALL=C.UTF-8 TZ=UTC HOME=$work/home GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null PYTHONDONTWRITEBYTECODE=1"
pass=
for v in $kept; do
	pass="$pass -e $v"
done
cd "$in" || exit 1

# wait_for PID ADDRESS...
wait_for() {
	process=$1
	shift
	python3 "$here/network/wait.py" "$process" 5 "$@"
}

# serve ADDRESS COMMAND...: a server without a door, for the clients, until the end.
serve() {
	listens=$1
	shift
	"$@" >"$work/serve.log" 2>&1 </dev/null &
	running="$running $!"
	wait_for $! "$listens" && return
	echo "# $1 does not start:"
	sed 's/^/# /' "$work/serve.log" | head -n 5
	return 1
}

# A program's own prefixes for what changes from run to run; `edit` is a sed script for its output.
edit=
files() {
	(cd "$out" && find . -type f ! -path '*/.git/index' ! -path '*/.git/logs/*' -exec sha256sum {} + &&
		find . -printf '%P\t%y\t%m\t%l\t%T@\n' | awk -F '\t' -v OFS='\t' -v now="$(date +%s)" '
			{ if ($2 != "f" || $5 > now - 86400) $5 = "now"; print }') | sort
}

result() {
	echo "$2" >"$work/$1.status"
	sed -i -e "$edit" "$work/$1.out"
	sed -e '/^airlock: /d' -e "$edit" "$work/$1.all" >"$work/$1.err"
	files >"$work/$1.files"
}

# attempt WHAT COMMAND...: a client, in $where, with an empty $out (or what $before, a function, puts there).
before=: where=$in
attempt() {
	what=$1
	shift
	rm -rf "$out"
	mkdir "$out"
	$before
	(cd "$where" && exec timeout 20 $clean "$@") </dev/null >"$work/$what.out" 2>"$work/$what.all"
	result "$what" $?
}

# attempt_server WHAT COMMAND...: a server, in $in, until $drive, a function, has spoken to it: that one's output counts.
# $ready: where it listens then. $stop: 1 when $drive ends it, whose status counts then. $after: a function, at its end.
after=:
attempt_server() {
	what=$1
	shift
	rm -rf "$out"
	mkdir "$out"
	$before
	$clean "$@" </dev/null >"$work/$what.all" 2>&1 &
	server=$!
	: >"$work/$what.out"
	killed=
	if wait_for $server $ready && $drive >"$work/$what.out" 2>&1 && [ -n "$stop" ] &&
		timeout 5 tail --pid=$server -f /dev/null; then
		:
	else
		kill $server 2>/dev/null && killed=1
	fi
	wait $server 2>/dev/null
	status=$?
	[ -n "$stop" ] || status=0
	$after
	result "$what" $status
	: >"$work/$what.err"
}

differs() {
	for aspect in status out err files; do
		cmp -s "$work/native.$aspect" "$work/door.$aspect" && continue
		echo "# $1: $aspect (native <, behind the door >):"
		diff -a "$work/native.$aspect" "$work/door.$aspect" | grep -a '^[<>]' | cut -c1-150 | head -n 4 | sed 's/^/# /'
	done
}

verdict() {
	if [ -z "$2" ]; then
		echo "ok $prefix$1"
	else
		failed=1
		echo "not ok $prefix$1"
		printf '%s\n' "$2"
	fi
}

wanted() {
	case $1 in
	*"$word"*) ;;
	*) return 1 ;;
	esac
}

# any NAME...: whether any is wanted.
any() {
	for n; do
		! wanted "$n" || return 0
	done
	return 1
}

# options "UNVEILS" "ADDRESSES" [WITHOUT]: UNVEILS are PERMS:PATH, ADDRESSES c=ADDRESS or b=ADDRESS.
options() {
	for o in $1; do
		[ "$o" = "${3:-}" ] || printf ' -v %s' "${o#[?!]}"
	done
	for o in $2; do
		[ "$o" = "${3:-}" ] || printf ' -%s' "$(echo "${o#[?!]}" | sed 's/=/ /')"
	done
}

refusals() {
	[ ! -f "$work/log" ] || sed -n 's/.*"to_allow":"\(.*\)"}$/\1/p' "$work/log" | sort -u
}

# try HOW NAME "PROMISES" "UNVEILS" "ADDRESSES" PROBES COMMAND...: each promise but stdio, and each UNVEIL and ADDRESS is
# needed; those after a `?` are asked for, and without them it goes on all the same; those after a `!` are always there. PROBES, an extended regular
# expression, are refusals that do not matter: rules as airlock names them.
try() {
	how=$1 label=$2 promises=$3 unveils=$4 addresses=$5 ignored=${6:-nothing}
	shift 6
	wanted "$label" || return
	command -v "$1" >/dev/null || { skip "$label" "$1 is not installed"; return; }
	rm -f "$work/log"
	$how native "$@"
	$how door "$airlock" run $pass -p "$promises" $(options "$unveils" "$addresses") --log "$work/log" -- "$@"
	why=$(
		differs "with all"
		[ "$(cat "$work/native.status")" = ${expect:-0} ] && [ "$(cat "$work/native.out" "$work/native.err" "$work/native.files" | wc -l)" -gt 1 ] ||
			{ echo "# natively:"; head -n 5 "$work/native.all" | sed 's/^/# /'; }
		refusals | grep -Evx "$ignored" | sed 's/^/# refused: /'
	)
	verdict "$label under \"$promises\"" "$why"
	why=$(
		for missing in $(echo "$promises" | tr , ' '); do
			[ "$missing" != stdio ] || continue
			fewer=$(echo "$promises" | tr , '\n' | grep -vx "$missing" | paste -sd,)
			less "promise $missing" "$missing" "$fewer" "$@"
		done
		for missing in $unveils; do
			rule=${missing#[?!]}
			less "unveil $(realpath -m "${rule#*:}")" "$missing" "$promises" "$@"
		done
		for missing in $addresses; do
			case $missing in !*) continue ;; esac
			rule=${missing#[?!]}
			case $rule in
			c=*) less "connect ${rule#c=}" "$missing" "$promises" "$@" ;;
			b=*) less "bind ${rule#b=}" "$missing" "$promises" "$@" ;;
			esac
		done
	)
	verdict "$label, with less" "$why"
}

# An address as a regular expression: of a range it is some port that is named.
pattern() {
	echo "$1" | sed 's/[].[*]/\\&/g; s/:[0-9]*-[0-9]*$/:[0-9]*/'
}

# less RULE WITHOUT PROMISES COMMAND...: it does something else, and standard error and the log say why.
less() {
	rule=$1 without=$2 with=$3
	shift 3
	rm -f "$work/log"
	$how door "$airlock" run $pass -p "$with" $(options "$unveils" "$addresses" "$without") --log "$work/log" -- "$@"
	said=$(grep -a '^airlock: .* refused; to allow: ' "$work/door.all")
	case $rule in
	# Who may read files is told of the files.
	"promise getpw") refusals | grep -qxE "$rule|unveil /etc/(passwd|group) r" || echo "# without $rule, the log does not name it" ;;
	promise*) refusals | grep -qxF "$rule" || echo "# without $rule, the log does not name it" ;;
	unveil*) refusals | grep -qF "$rule" || echo "# without $rule, the log does not name it" ;;
	*)
		refusals | grep -qx "$(pattern "$rule")" || echo "# without $rule, the log does not name it"
		# Who is killed has no last word.
		echo "$said," | grep -q " $(pattern "$rule")," || [ -n "$killed" ] ||
			echo "# without $rule, what is said is: $(grep -a '^airlock: ' "$work/door.all")"
		;;
	esac
	[ -n "$said$killed" ] || echo "# without $rule, it says nothing"
	case $without in
	\?*) differs "without $rule" ;;
	*) [ -n "$(differs x)" ] || echo "# without $rule it is all the same" ;;
	esac
}

drive=: ready= stop= killed=
client() {
	try attempt "$@"
}

# The server's own output does not count: it has times and process numbers in it.
server() {
	ready=$1 drive=$2 stop=$3
	shift 3
	try attempt_server "$@"
}

# What is looked for and does not matter: the settings of libraries; users by the name service.
tls="unveil /etc/ssl/openssl.cnf r|unveil /etc/gnutls.* r|promise rpath"
home="unveil $work/home.* rw?"
users="promise unix|promise dns|promise rpath|unveil /etc/(nsswitch.conf|passwd|group|services|resolv.conf) r|unveil / r"
malloc="promise rpath|unveil /etc/malloc.conf r|unveil /sys/kernel/mm/.* r"
for file in "$here"/network/jobs_*.sh; do
	. "$file"
done
exit $failed
