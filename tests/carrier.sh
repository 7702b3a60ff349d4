#!/bin/sh
# SPDX-License-Identifier: ISC
# carrier.sh DIR: the suites of the first carrier under somebody else's listener (under_listener), where the second one
# serves; DIR has the programs. Same table, same tests: what they say there is what they say with a listener, but for what is
# named here and why. What only the second carrier has is live_carrier's.
set -u
bin=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
under() { timeout 300 "$bin/under_listener" "$@"; }

# The limit of processes counts forks before they happen; a handler can only be told that it may, and a hostile one does not
# ask. A policy that has it is refused.
hostile() {
	under "$bin/hostile" "$1" >"$work/out" 2>/dev/null
	awk '
		/^not ok .* fork_bomb$/ { bomb = $0; next }
		bomb != "" {
			if ($0 ~ /limit processes cannot be kept/) sub(/^not ok/, "ok", bomb)
			print bomb
			bomb = ""
		}
		{ print }' "$work/out" | sed -e 's/ok hostile/ok carrier: hostile/' >"$work/lines"
	grep -q '^ok' "$work/lines" || echo "not ok carrier: hostile $1: no answer" >>"$work/lines"
	! grep -q '^not ok' "$work/lines" || failed=1
	cat "$work/lines"
}

# While a call waits for its answer it has two descriptors of its own, and the table must have room for both: the last number
# that is free cannot be had.
posix() {
	mkdir -p "$work/dir/other"
	timeout 200 "$bin/posix_in_place" "$work/dir" "$work/dir/other" >"$work/first" 2>/dev/null
	under "$bin/posix_in_place" "$work/dir" "$work/dir/other" >"$work/second" 2>/dev/null
	known='descriptors: so many could be had'
	awk -v known="$known" '
		function name(line) {
			sub(/^(ok|not ok|skip) /, "", line)
			sub(/: [^:]*, wanted [^:]*$/, "", line)
			return line
		}
		NR == FNR { first[name($0)] = $0; want++; next }
		{
			seen++
			n = name($0)
			if ($0 == first[n] || n == known)
				print "ok carrier: posix: " n
			else
				print "not ok carrier: posix: " n "\n# by signals: " $0 "\n# by a listener: " first[n]
		}
		END { if (seen != want || seen < 1000) print "not ok carrier: posix: " seen + 0 " checks, by a listener " want + 0 }
	' "$work/first" "$work/second" >"$work/lines"
	! grep -q '^not ok' "$work/lines" || failed=1
	cat "$work/lines"
}

under "$bin/live_carrier" 2>/dev/null || failed=1
# plain NAME PROGRAM [ARG...]: what fails because programs cannot be executed here, and is told so, is as it must be.
plain() {
	name=$1
	shift
	under "$@" 2>/dev/null | awk '
		function out() {
			if (block != "" && block ~ /would lose the handler/) print "ok" first
			else if (block != "") printf "%s", block
			block = ""
		}
		/^#/ && block != "" { block = block $0 "\n"; next }
		{ out() }
		/^not ok/ { first = substr($0, 7); block = $0 "\n"; next }
		{ print }
		END { out() }' | sed "s/^\\(not ok\\|ok\\|skip\\) /&carrier: $name: /" >"$work/lines"
	grep -q '^ok' "$work/lines" || echo "not ok carrier: $name: no answer" >>"$work/lines"
	! grep -q '^not ok' "$work/lines" || failed=1
	cat "$work/lines"
}
plain live_unveil "$bin/live_unveil"
plain live_narrow "$bin/live_narrow"
plain live_socket "$bin/live_socket"
plain live_endings "$bin/live_endings"
plain live_buffers "$bin/live_buffers"
plain live_loops "$bin/live_loops" 20
for how in pledge openbsd; do
	[ ! -x "$bin/libc_in_place" ] || plain "libc $how" /bin/sh "$bin/libc.sh" "$bin/airlock" $how "$bin/libc_in_place"
done
hostile inplace
hostile worker
posix
exit $failed
