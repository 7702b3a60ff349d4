#!/bin/sh
# SPDX-License-Identifier: ISC
# Executions a second of a parser under AFL++, contained in place beside not contained, in alternating rounds: one process
# for many inputs, and a fork for each. Prints lines for bench/run.sh: what, median, beside, budget, between tabs.
# usage: bench/fuzz.sh BUILD PICTURES [ROUNDS]
set -eu
build=$1
pictures=$2
rounds=${3-3}
root=$(cd "$(dirname "$0")/.." && pwd)
for program in afl-fuzz afl-clang-fast; do
	command -v $program >/dev/null 2>&1 || { echo "bench: no fuzzing: $program is not installed" >&2; exit 0; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir "$work/in"
cp "$pictures/tiny.png" "$work/in"
seconds=3
[ -z "${BENCH_QUICK-}" ] || seconds=1 rounds=1

for kind in loop fork; do
	for contain in no yes; do
		flags=
		[ $kind = fork ] || flags=-DBENCH_LOOP
		[ $contain = no ] || flags="$flags -DBENCH_CONTAIN"
		afl-clang-fast -std=gnu11 -D_GNU_SOURCE -O2 $flags -I"$root" -I"$root/sandbox" -o "$work/$kind.$contain" \
			"$root/bench/fuzz/target.c" "$root/bench/parser/decoder.c" "$build/libairlock.a" -lseccomp -lcap -lbsd \
			-lpthread -lm >"$work/log" 2>&1 || {
			cat "$work/log" >&2
			echo "bench: no fuzzing: its target does not build" >&2
			exit 0
		}
	done
done
export AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_NO_UI=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_FAST_CAL=1
for kind in loop fork; do
	for round in $(seq "$rounds"); do
		for contain in no yes; do
			# Each says nothing of the other: what one finds, the other does not begin with.
			rm -rf "$work/out"
			began=$(date +%s%N)
			if ! afl-fuzz -s "$round" -V $seconds -i "$work/in" -o "$work/out" -- "$work/$kind.$contain" >"$work/log" 2>&1; then
				tail -n 5 "$work/log" >&2
				echo "bench: fuzzing, $kind, contained: $contain: it does not run" >&2
				exit 0
			fi
			took=$(($(date +%s%N) - began))
			awk -v took=$took '/^execs_done/ { printf "%.1f ", $3 / took * 1e9 }' "$work/out/default/fuzzer_stats"
		done
		echo
	done >"$work/rates"
	middle=$(((rounds + 1) / 2))
	ratio=$(awk '{ print $2 / $1 }' "$work/rates" | sort -n | sed -n "${middle}p")
	rate=$(awk '{ print $2 }' "$work/rates" | sort -n | sed -n "${middle}p")
	case $kind in
	loop) what="AFL++, one process for many inputs, contained after the fork server" ;;
	fork) what="AFL++, a fork for each input, contained before the fork server" ;;
	esac
	printf '%s\t%.0f /s\t%.2f x not contained\t>= 0.95 x\n' "$what" "$rate" "$ratio"
done
