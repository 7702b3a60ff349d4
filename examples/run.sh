#!/bin/sh
# SPDX-License-Identifier: ISC
# Builds airlock and runs the examples on pictures made on the spot, good, broken and hostile. Prints what each came to;
# exits with 0 only when everything was as it must be. Installs what is missing, as root or with sudo.
#   BUILD=DIR: a build directory to use (default: build)
set -eu

cd "$(dirname "$0")/.."
sh .ci/packages.sh gcc meson ninja-build pkg-config libc6-dev libseccomp-dev libcap-dev libbsd-dev libpng-dev libjpeg-dev

build=${BUILD:-build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

if ! { [ -f "$build/build.ninja" ] || meson setup "$build"; } >"$scratch/log" 2>&1 ||
	! meson compile -C "$build" first harden worker contain images >>"$scratch/log" 2>&1; then
	cat "$scratch/log" >&2
	exit 1
fi

bad=0
wrong() {
	echo "WRONG: $*"
	bad=1
}
# Whoever runs this, no file that it makes is meant for others.
umask 077
mkdir "$scratch/images" "$scratch/host"
"$build/images" "$scratch/images" >"$scratch/expected"
all=$(awk -v d="$scratch/images/" '{ print d $1 }' "$scratch/expected")
plain=$(awk -v d="$scratch/images/" '$1 !~ /^hostile/ { print d $1 }' "$scratch/expected")

echo "== worker: each file decoded by libpng or libjpeg in a fresh process that can only compute"
"$build/worker" $plain >"$scratch/worker" || wrong "worker did not read every file"
cat "$scratch/worker"
awk '{ print $1, $2 }' "$scratch/worker" >"$scratch/got"
grep -v '^hostile' "$scratch/expected" | cmp -s - "$scratch/got" || wrong "that is not what the files hold"

echo
echo "== harden: the same decoder in one process, which gave up everything but its open files"
"$build/harden" $plain >"$scratch/harden" 2>"$scratch/harden.refused" || wrong "harden could open a file"
cat "$scratch/harden"
cat "$scratch/harden.refused"
sed '$d' "$scratch/harden" | cmp -s - "$scratch/worker" || wrong "harden and worker do not agree"
grep -q rpath "$scratch/harden.refused" || wrong "the open of /etc/passwd was not reported"

echo
echo "== contain: the same decoder with a hole; marked files take it over"
"$build/contain" "$scratch/host" $all || wrong "an attack did not end as it must"

echo
echo "== first: the program of the README, on the file that wants to read what is private"
"$build/first" <"$scratch/images/hostile-01.png" >"$scratch/first" || wrong "first failed"
cat "$scratch/first"
# What the README says that it prints.
grep -v '^\$' README.md | grep -F -x -f "$scratch/first" | cmp -s - "$scratch/first" ||
	wrong "the README shows other output"
sh docs/check.sh || wrong "the documents show something else"

echo
if [ "$bad" = 0 ]; then
	echo "everything was as it must be"
fi
exit "$bad"
