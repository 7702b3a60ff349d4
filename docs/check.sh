#!/bin/sh
# SPDX-License-Identifier: ISC
# What the documents repeat of the code is what the code says. Exits with 0 when it is, else says what is not.
set -u

cd "$(dirname "$0")/.."
bad=0
wrong() {
	echo "docs/check.sh: $*"
	bad=1
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

promises='s/^PROMISE(\([a-z_]*\), "\(.*\)")$'
# README.md: "| `word` | what |", and airlock.1: ".It Cm word" followed by the sentence.
sed -n "$promises/| \`\\1\` | \\2 |/p" policy/promise_names.inc >"$scratch/promises"
grep '^| `[a-z_]*` |' README.md | cmp -s - "$scratch/promises" ||
	wrong "the promises in README.md are not those of policy/promise_names.inc"
sed -n "$promises/\\1 \\2./p" policy/promise_names.inc | tr '[:upper:]' '[:lower:]' >"$scratch/promises"
sed -n '/^\.Sh PROMISES/,/^\.Sh POLICY/{/^\.It Cm/{s/^\.It Cm //;N;s/\n/ /;p;};}' docs/airlock.1 |
	tr '[:upper:]' '[:lower:]' | cmp -s - "$scratch/promises" ||
	wrong "the promises in docs/airlock.1 are not those of policy/promise_names.inc"

# The program that README.md and airlock.3 show is the one that is built and run.
sed 1d examples/first.c >"$scratch/first"
sed -n '/^```c$/,/^```$/p' README.md | sed '1d;/^```$/,$d' | cmp -s - "$scratch/first" ||
	wrong "the program in README.md is not examples/first.c"
sed 's/\\/\\e/g' "$scratch/first" | expand >"$scratch/escaped"
sed -n '/^\.Bd -literal$/,/^\.Ed$/p' docs/airlock.3 | sed '1d;$d' | cmp -s - "$scratch/escaped" ||
	wrong "the program in docs/airlock.3 is not examples/first.c"

# Every function of the header is in the version map and in the manual, and nothing else is in the map.
sed -n 's/^[a-z].*[ *]\(airlock_[a-z_]*\)(.*/\1/p' sandbox/airlock.h | sort -u >"$scratch/header"
sed -n 's/^[[:space:]]*\(airlock_[a-z_]*\);$/\1/p' sandbox/airlock.map | sort -u >"$scratch/map"
cmp -s "$scratch/header" "$scratch/map" ||
	wrong "sandbox/airlock.h and sandbox/airlock.map differ: $(sort "$scratch/header" "$scratch/map" | uniq -u | tr '\n' ' ')"
while read -r function; do
	[ "$function" = airlock_register ] || grep -q "^\.F[no] $function" docs/airlock.3 ||
		wrong "docs/airlock.3 does not show $function()"
done <"$scratch/header"

if command -v mandoc >/dev/null 2>&1; then
	for page in docs/airlock.1 docs/airlock.3; do
		mandoc -Tlint -W warning "$page" >"$scratch/lint" 2>&1 || wrong "$(cat "$scratch/lint")"
	done
fi
exit "$bad"
