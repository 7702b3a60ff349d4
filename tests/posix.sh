#!/bin/sh
# SPDX-License-Identifier: ISC
# posix.sh AIRLOCK PROGRAM [GROUP...]: the suite of posix.h natively, where each check must be ok, and behind the door,
# where the same must come out but for what posix_known lists; once with a rule for all, once with a rule in a rule, so
# that calls go from one to the other, once with a direct rule, and once onto another file system where there is one.
set -u
airlock=$1
program=$2
shift 2
known=$(dirname "$0")/posix_known
who=any
[ "$(id -u)" = 0 ] || who=user
work=$(mktemp -d)
other=$(mktemp -d -p /dev/shm 2>/dev/null) || other=
trap 'rm -rf "$work" $other' EXIT
trap 'exit 1' HUP INT TERM
promises="stdio rpath wpath cpath dpath fattr chown flock proc exec"
mkdir "$work/dir" "$work/dir/other"
failed=0

# judge LABEL NATIVE DOOR: one line for each check of the second, and for each known difference that was none.
judge() {
	awk -v label="$1" -v who="$who" -v chosen="$chosen" '
		function name(line) {
			sub(/^(ok|not ok|skip) /, "", line)
			sub(/: [^:]*, wanted [^:]*$/, "", line)
			return line
		}
		FNR == 1 { file++ }
		file == 1 && !/^#/ && ($1 == "any" || $1 == who || $1 == "direct" && who == "user" && label ~ /direct$/) {
			must = !chosen || $1 == "direct"
			sub(/^[a-z]* /, "")
			expected[$0] = must
		}
		file == 2 { native[name($0)] = $0; want++ }
		file == 3 {
			seen++
			n = name($0)
			if ($0 == native[n])
				print ($0 ~ /^skip/ ? "" : "ok ") label ": " $0
			else if (n in expected)
				delete expected[n]
			else
				print "not ok " label ": " n "\n# behind the door: " $0 "\n# natively: " native[n]
		}
		END {
			if (seen != want)
				print "not ok " label ": " seen + 0 " checks, natively " want + 0
			for (n in expected)
				if (expected[n])
					print "not ok " label ": known, but the same: " n
		}' "$known" "$2" "$3" | sed -e 's/^ok \(.*\): ok /ok \1: /' -e 's/^\(posix.*\): skip \(.*\)/skip \1: \2/' >"$work/lines"
	! grep -q '^not ok' "$work/lines" || failed=1
	cat "$work/lines"
}

# both LABEL OTHER 'RULES' [GROUP...]
both() {
	label=$1
	second=$2
	rules=$3
	shift 3
	chosen=$*
	timeout 200 "$program" "$work/dir" "$second" "$@" >"$work/native" 2>&1
	if grep -v -e '^ok ' -e '^skip ' "$work/native" >"$work/bad" || [ ! -s "$work/native" ]; then
		failed=1
		sed -e 's/^not ok //' -e 's/^/not ok posix natively: /' "$work/bad"
	fi
	timeout 400 "$airlock" run -p "$promises" $rules -- "$program" "$work/dir" "$second" "$@" >"$work/door" 2>"$work/err"
	status=$?
	[ "$status" -lt 2 ] || { failed=1; echo "not ok posix $label: status $status"; tail -n 3 "$work/err" | sed 's/^/# /'; }
	judge "posix $label" "$work/native" "$work/door"
}

both "one rule" "$work/dir/other" "-v rwxc:$work/dir" "$@"
[ $# = 0 ] || exit $failed
both "a rule in a rule" "$work/dir/other" "-v rwxc:$work/dir -v rwxc:$work/dir/other" rename names cwd
# Natively root has capabilities which pass modes; a broker lends them, a direct rule cannot.
modes="matrix modes open"
[ "$who" = user ] || modes=
both "direct" "$work/dir/other" "-v rwxcd:$work/dir" names rename openat2 descriptors directories times stat fifo \
	children threads xattr $modes
if [ -n "$other" ]; then
	both "two file systems" "$other" "-v rwxc:$work/dir -v rwxc:$other" rename
	both "another file system" "$work/dir" "-v rwxc:$work/dir" times
fi
exit $failed
