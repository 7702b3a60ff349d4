#!/bin/sh
# SPDX-License-Identifier: ISC
# openbsd_programs.sh DIR [WORD]: programs that were written for OpenBSD do their work, with their own calls of pledge(2)
# and unveil(2), as they do it without: the same output, messages, status and files. DIR is what openbsd/build.sh made:
# DIR/native and DIR/pledged. And code that gets into such a process, DIR/attack.so, gets no further than the program's
# promises. WORD: only jobs with it in their name.
set -u
dir=$1
word=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tap.sh"
prefix="openbsd: "
umask 022
work=$(realpath "$(mktemp -d)")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
tree=$work/tree
clean="env -i PATH=/usr/bin:/bin TZ=UTC LC_ALL=C HOME=$work TMPDIR=$tree"
[ -d "$dir/pledged" ] || {
	skip "all programs" "they are not built"
	exit 0
}
while IFS= read -r line; do
	skip "${line%%:*}" "${line#*: }"
done <"$dir/missing"

# attempt KIND SCRIPT: in $tree, made anew by $fixture; $bin is KIND's programs.
attempt() {
	rm -rf "$tree"
	mkdir "$tree"
	(cd "$tree" && "$fixture") || echo "# fixture $fixture failed"
	(cd "$tree" && timeout 60 $clean bin="$dir/$1" work="$work" sh -c "$2" </dev/null >"$work/$1.out" 2>"$work/$1.err")
	echo $? >"$work/$1.status"
	sed -i -e "s|$dir/$1|BIN|g" "$work/$1.out" "$work/$1.err"
	(cd "$tree" && find . -printf '%P %y %m %l\n' && find . -type f -exec sha256sum {} +) | sort >"$work/$1.files"
}

# wanted PROGRAM NAME: whether it was built and is wanted.
wanted() {
	[ -e "$dir/pledged/$1" ] || return 1
	case $2 in
	*"$word"*) ;;
	*) return 1 ;;
	esac
}

# job PROGRAM NAME FIXTURE STATUS SCRIPT
job() {
	wanted "$1" "$2" || return
	fixture=$3
	attempt native "$5"
	attempt pledged "$5"
	why=$(
		[ "$(cat "$work/native.status")" = "$4" ] || {
			echo "# natively: status $(cat "$work/native.status"), not $4"
			head -n 4 "$work/native.err" | sed 's/^/# /'
		}
		[ -s "$work/native.out" ] || [ -s "$work/native.err" ] || [ -s "$work/native.files" ] || echo "# it does nothing"
		for part in status out err files; do
			cmp -s "$work/native.$part" "$work/pledged.$part" && continue
			echo "# $part (native <, pledged >):"
			diff -a "$work/native.$part" "$work/pledged.$part" | grep -a '^[<>]' | cut -c1-200 | head -n 6 | sed 's/^/# /'
		done
	)
	if [ -z "$why" ]; then
		echo "ok $prefix$2"
	else
		failed=1
		echo "not ok $prefix$2"
		printf '%s\n' "$why"
	fi
}

# attacked PROGRAM NAME FIXTURE COMMAND ATTACK=END...: the command, and then each attack from inside. END is "done", an
# error's text (_ for a blank), or the promise that is missing: then the process is aborted and a line says so.
attacked() {
	program=$1 name=$2 make=$3 command=$4
	shift 4
	wanted "$program" "$name" || return
	fixture=$make
	why=$(
		for pair; do
			how=${pair%%=*} end=$(echo "${pair#*=}" | tr _ ' ')
			echo secret >"$work/target"
			inside="LD_PRELOAD=$dir/attack.so ATTACK=$how TARGET=$work/target"
			attempt native "$inside $command"
			grep -q "^attack: $how: done" "$work/native.err" || echo "# $how natively: $(tail -n 1 "$work/native.err")"
			echo secret >"$work/target"
			attempt pledged "$inside $command"
			case $end in
			done | *' '*) grep -q "^attack: $how: $end" "$work/pledged.err" ;;
			*) grep -q "pledge \"$end\"" "$work/pledged.err" && [ "$(cat "$work/pledged.status")" = 134 ] &&
				! grep -q "^attack:" "$work/pledged.err" ;;
			esac || echo "# $how: status $(cat "$work/pledged.status"): $(tail -n 1 "$work/pledged.err")"
			[ "$end" = "done" ] || [ "$(cat "$work/target")" = secret ] || echo "# $how: the file is changed"
		done
	)
	if [ -z "$why" ]; then
		echo "ok $prefix$name, from inside: $*"
	else
		failed=1
		echo "not ok $prefix$name, from inside: $*"
		printf '%s\n' "$why"
	fi
}

nothing() {
	:
}

. "$here/openbsd/jobs.sh"
exit $failed
