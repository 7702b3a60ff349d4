#!/bin/sh
# SPDX-License-Identifier: ISC
# Executions a second of a parser under AFL++, contained in place beside not contained, in alternating rounds: one process
# for many inputs, and a fork for each. afl-showmap runs both on the same inputs, through the fork server that afl-fuzz
# uses; afl-fuzz itself would not give the same inputs twice. Prints lines for bench/run.sh: what, median, beside, budget,
# between tabs.
# usage: bench/fuzz.sh BUILD PICTURES [ROUNDS]
set -eu
build=$1
pictures=$2
rounds=${3-5}
root=$(cd "$(dirname "$0")/.." && pwd)
for program in afl-showmap afl-clang-fast python3; do
	command -v $program >/dev/null 2>&1 || { echo "bench: no fuzzing: $program is not installed" >&2; exit 0; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
fork=1000 loop=6000
[ -z "${BENCH_QUICK-}" ] || fork=20 loop=20 rounds=1

# As a fuzzer would: a good picture with some bytes changed.
python3 - "$pictures/tiny.png" "$work" $fork $loop <<'END'
import os, random, sys
good, work = open(sys.argv[1], "rb").read(), sys.argv[2]
random.seed(1)
for kind, count in (("fork", int(sys.argv[3])), ("loop", int(sys.argv[4]))):
	os.makedirs(f"{work}/in.{kind}")
	for i in range(count):
		bad = bytearray(good)
		for _ in range(random.randrange(8)):
			bad[random.randrange(len(bad))] = random.randrange(256)
		with open(f"{work}/in.{kind}/{i:06}", "wb") as f:
			f.write(bad)
END
compile="afl-clang-fast -std=gnu11 -D_GNU_SOURCE -O2 -I$root -I$root/sandbox"
{
	$compile -c -o "$work/decoder.o" "$root/bench/parser/decoder.c" &&
		for kind in loop fork; do
			for contain in no yes; do
				flags=
				[ $kind = fork ] || flags=-DBENCH_LOOP
				[ $contain = no ] || flags="$flags -DBENCH_CONTAIN"
				$compile $flags -o "$work/$kind.$contain" "$root/bench/fuzz/target.c" "$work/decoder.o" \
					"$build/libairlock.a" -lcap -lbsd -lpthread -lm || exit 1
			done
		done
} >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	echo "bench: no fuzzing: its target does not build" >&2
	exit 0
}
export AFL_QUIET=1 AFL_MAP_SIZE=65536
for kind in loop fork; do
	eval "count=\$$kind"
	for round in $(seq 0 "$rounds"); do
		for contain in no yes; do
			began=$(date +%s%N)
			if ! afl-showmap -q -C -t 5000 -i "$work/in.$kind" -o "$work/map" -- "$work/$kind.$contain" \
				>"$work/log" 2>&1; then
				tail -n 5 "$work/log" >&2
				echo "bench: fuzzing, $kind, contained: $contain: it does not run" >&2
				exit 0
			fi
			took=$(($(date +%s%N) - began))
			printf '%s ' $took
		done
		echo
	done | sed 1d >"$work/times"
	middle=$(((rounds + 1) / 2))
	ratio=$(awk '{ print $1 / $2 }' "$work/times" | sort -n | sed -n "${middle}p")
	rate=$(awk -v count="$count" '{ print count / $2 * 1e9 }' "$work/times" | sort -n | sed -n "${middle}p")
	case $kind in
	loop) what="AFL++, one process for many inputs, contained after the fork server" ;;
	fork) what="AFL++, a fork for each input, contained before the fork server" ;;
	esac
	printf '%s\t%.0f /s\t%.2f x not contained\t>= 0.95 x\n' "$what" "$rate" "$ratio"
done
