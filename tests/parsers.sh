#!/bin/sh
# SPDX-License-Identifier: ISC
# parsers.sh AIRLOCK DIR [WORD]: parsers read real and hostile input under the fewest promises and unveils that they need
# for it, to the same output, messages, status and files as without a door. With one promise or unveil less the refusal
# names it. Then libraries, hardened in place right after their input is open: DIR/parse_in_place, which has nothing but "stdio"
# left. WORD: only what has it in its name.
set -u
airlock=$1
own=$2
word=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tap.sh"
prefix="parsers: "
umask 022
work=$(realpath "$(mktemp -d)")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
python3 "$here/parsers/inputs.py" "$work" || exit 1
in=$work/in out=$work/out
mkdir "$in" "$work/home"
clean="env -i PATH=/usr/bin:/bin LC_ALL=${LOCALE:=C.UTF-8} TZ=UTC HOME=$work/home FONTCONFIG_FILE=$work/fonts.conf"
# The machine's fonts, but a cache that does not grow while they are compared.
cat >"$work/fonts.conf" <<XML
<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><cachedir>$work/cache</cachedir></fontconfig>
XML
cd "$in" || exit 1

# What airlock says itself: of a run, and of a process that confined itself.
tell='\([^ ]*\[[0-9]*\]: \)\{0,1\}airlock: '

# attempt WHAT COMMAND...: in $in; leaves WHAT.out (output), WHAT.err (messages, without addresses and thread numbers),
# WHAT.files (what it wrote) and WHAT.status.
attempt() {
	what=$work/$1
	shift
	rm -rf "$out"
	mkdir "$out"
	timeout 60 $clean "$@" <"$work/whole/a.txt" >"$what.out" 2>"$what.all"
	echo $? >"$what.status"
	sed -e "/^$tell/d" -e 's/0x[0-9a-f]*/0x/g' -e 's/^[0-9A-F]*:error:/ID:error:/' "$what.all" >"$what.err"
	(cd "$out" && find . -type f -exec sha256sum {} + && find . -printf '%P %y %m %l\n') | sort >"$what.files"
}

differs() {
	for part in status out err files; do
		cmp -s "$work/native.$part" "$work/door.$part" && continue
		echo "# $1: $part (native <, behind the door >):"
		diff -a "$work/native.$part" "$work/door.$part" | grep -a '^[<>]' | cut -c1-150 | head -n 4 | sed 's/^/# /'
	done
}

# verdict NAME WHY
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

# parse NAME INPUTS "PROMISES" "UNVEILS" PROBES COMMAND...: INPUTS are files of whole/, the first of which gets broken.
# UNVEILS are all needed, and each promise but stdio. PROBES, an extended regular expression, is what is refused and does
# not matter: rules as airlock names them, "promise unix" or "unveil /etc/xml r".
parse() {
	name=$1 inputs=$2 promises=$3 unveils=$4 probes=${5:-nothing}
	shift 5
	wanted "$name" || return
	command -v "$1" >/dev/null || { skip "$name" "$1 is not installed"; return; }
	for i in $inputs; do
		[ -f "$work/whole/$i" ] || { skip "$name" "$i could not be made"; return; }
	done
	first=${inputs%% *}
	views=
	for v in $unveils; do
		views="$views -v $v"
	done
	rm -rf "$in"/*
	for i in $inputs; do
		cp -p "$work/whole/$i" "$in/"
	done

	rm -f "$work/log"
	attempt native "$@"
	attempt door "$airlock" run -e HOME -e FONTCONFIG_FILE -p "$promises" $views --log "$work/log" -- "$@"
	why=$(
		differs "whole"
		[ "$(cat "$work/native.status")" = 0 ] || { echo "# natively:"; sed 's/^/# /' "$work/native.all"; }
		sed -n 's/.*"to_allow":"\([^"]*\)".*/\1/p' "$work/log" | sort -u | grep -Evx "$probes" | sed 's/^/# refused: /'
	)
	verdict "$name under \"$promises\"${unveils:+ and $(echo "$unveils" | sed "s|$work/||g")}" "$why"

	why=$(
		for kind in cut flipped head; do
			cp -p "$work/$kind/$first" "$in/$first"
			attempt native "$@"
			cp -p "$work/$kind/$first" "$in/$first"
			attempt door "$airlock" run -e HOME -e FONTCONFIG_FILE -p "$promises" $views -- "$@"
			differs "$kind"
		done
	)
	verdict "$name, hostile input" "$why"

	why=$(
		cp -p "$work/whole/$first" "$in/$first"
		attempt native "$@"
		for missing in $(echo "$promises" | tr , ' '); do
			[ "$missing" != stdio ] || continue
			fewer=$(echo "$promises" | tr , '\n' | grep -vx "$missing" | paste -sd,)
			less "promise $missing" "promise $missing" -p "$fewer" $views -- "$@"
		done
		for missing in $unveils; do
			fewer=
			for v in $unveils; do
				[ "$v" = "$missing" ] || fewer="$fewer -v $v"
			done
			less "unveil ${missing#*:}" "unveil $(realpath -m "${missing#*:}")" -p "$promises" $fewer -- "$@"
		done
	)
	verdict "$name, with less" "$why"
}

# less WHAT RULE ARGUMENTS...: without it the command does something else, and is told why.
less() {
	what_less=$1 rule=$2
	shift 2
	cp -p "$work/whole/$first" "$in/$first"
	rm -f "$work/log"
	attempt door "$airlock" run -e HOME -e FONTCONFIG_FILE --log "$work/log" "$@"
	grep -qF "\"to_allow\":\"$rule" "$work/log" || echo "# without $what_less, no refusal names it"
	grep -aq '^airlock: .* refused; to allow: ' "$work/door.all" || echo "# without $what_less, it says nothing"
	[ -n "$(differs x)" ] || echo "# without $what_less it is all the same"
}

. "$here/parsers/table.sh"

# ---- libraries, in place ----
# The same program, native and with nothing left but stdio: it says at its end what came of opening another file.
for row in $("$own/parse_in_place" list); do
	library=${row%%:*} input=${row#*:}
	wanted "$library in place" || continue
	# What is looked for and does not matter: the other half of files from old Macintoshes.
	case $library in
	libsndfile*) probes='"/\{0,1\}[^"/]*\(namedfork/rsrc\|\._[^"/]*\|AppleDouble/[^"/]*\)"' ;;
	*) probes="nothing" ;;
	esac
	if [ ! -f "$work/whole/$input" ]; then
		skip "$library in place" "$input could not be made"
		continue
	fi
	rm -rf "$in"/*
	for kind in whole cut flipped head; do
		cp -p "$work/$kind/$input" "$in/$input"
		attempt native "$own/parse_in_place" "$library" native "$input"
		attempt door "$own/parse_in_place" "$library" stdio "$input"
		why=$(
			sed -i '$s/^later: Operation not permitted$/later: opened/' "$work/door.out"
			differs "$kind"
			[ "$(tail -n 1 "$work/native.out")" = "later: opened" ] || echo "# it does not come to its end"
			[ "$kind" != whole ] || [ "$(sed -n 1p "$work/native.out" | cut -d: -f1)" = parsed ] ||
				echo "# natively: $(head -n 1 "$work/native.out")"
			grep -a "^$tell" "$work/door.all" | grep -av -e '"/etc/passwd"' -e "$probes" | sed 's/^/# /'
			grep -aq "^$tell.*/etc/passwd.*promise rpath" "$work/door.all" || echo "# the refusal is not reported"
		)
		verdict "$library in place, $kind" "$why"
	done
done
exit $failed
