#!/bin/sh
# SPDX-License-Identifier: ISC
# Builds the benchmarks against the library in a build directory, runs them all, prints one table.
# usage: bench/run.sh [--write] [BUILD]     --write: into README.md, between <!-- bench --> and <!-- /bench -->
set -eu
write=
if [ "${1-}" = --write ]; then write=1; shift; fi
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${1-$root/build}" && pwd)
if [ "${2-}" = --write ]; then write=1; fi
[ -e "$build/libairlock.a" ] || { echo "bench: no libairlock.a in $build" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

for name in ping open start connect; do
	extra=
	[ $name != open ] || extra=$root/bench/browser.c
	${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wshadow -I"$root" -I"$root/sandbox" -o "$work/$name" \
		"$root/bench/$name.c" $extra "$build/libairlock.a" -lseccomp -lcap -lbsd -lpthread
done

airlock=
[ ! -x "$build/airlock" ] || airlock=$build/airlock
for name in open ping start connect; do
	if [ $name = start ] && [ -n "$airlock" ]; then set -- "$airlock"; else set --; fi
	"$work/$name" "$@" >>"$work/lines" || echo "bench: $name ended early; what it measured is in the table" >&2
done
# Whole programs; git and a compiler are needed, bwrap and runsc are measured where they are.
[ -z "$airlock" ] || sh "$root/bench/trees.sh" "$airlock" 3 >>"$work/lines"
[ -z "$airlock" ] || sh "$root/bench/network.sh" "$airlock" 5 >>"$work/lines"

{
	echo "| what | median | beside | budget |"
	echo "|---|---|---|---|"
	awk -F '\t' '{ printf "| %s | %s | %s | %s |\n", $1, $2, $3, ($4 == "" ? "" : "≤ " $4) }' "$work/lines"
	echo
	echo "Medians of interleaved rounds in one run, Linux $(uname -r | sed 's/-.*//'), $(nproc) processors."
} >"$work/table"
cat "$work/table"

if [ -n "$write" ]; then
	grep -q '<!-- bench -->' "$root/README.md" && grep -q '<!-- /bench -->' "$root/README.md" || {
		echo "bench: README.md has no <!-- bench --> and <!-- /bench --> lines" >&2
		exit 1
	}
	awk -v table="$work/table" '
		/<!-- bench -->/ { print; while ((getline line < table) > 0) print line; skip = 1 }
		/<!-- \/bench -->/ { skip = 0 }
		!skip' "$root/README.md" >"$work/readme"
	cat "$work/readme" >"$root/README.md"
fi
