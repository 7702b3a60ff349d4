#!/bin/sh
# SPDX-License-Identifier: ISC
# sanitizer_reports.sh BUILD: what sanitizers report of a worker comes through whole on its standard error, with nothing but
# the promise stdio; by gcc's run time and clang's, as root and as an ordinary user.
set -u
src=$(cd "$(dirname "$0")/.." && pwd)
build=$1
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
unset ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS TSAN_OPTIONS

# is NAME COMMAND...: one check, which shows what the program said when it fails.
is() {
	name=$1
	shift
	if "$@" >/dev/null 2>&1; then
		echo "ok sanitizers: $name"
	else
		echo "not ok sanitizers: $name"
		sed 's/^/# /' "$work/err" "$work/out" | head -n 60
		failed=1
	fi
}
err() { grep -q -- "$1" "$work/err"; }
out() { grep -q -- "$1" "$work/out"; }
not() { ! "$@"; }
# every frame has a module and an offset at least, or a function and where
frames() { ! grep '^    #' "$work/err" | grep -v ' in .*\|([^ ]*+0x[0-9a-f]*)' && grep -q '^    #3 ' "$work/err"; }
says() { timeout 60 $as "$@" >"$work/out" 2>"$work/err"; }

libraries=$(pkg-config --libs libseccomp libcap libbsd)
# built NAME COMPILER FLAGS...
built() {
	to=$work/$1
	shift
	"$@" -g -O1 -fno-omit-frame-pointer -I"$src/sandbox" "$src/tests/sanitizer_reports.c" -o "$to" "$build/libairlock.a" $libraries \
		-lpthread >"$work/log" 2>&1
}

for cc in gcc clang; do
	if ! built "address.$cc" $cc -fsanitize=address || ! built "halts.$cc" $cc -fsanitize=undefined -fno-sanitize-recover=all ||
		! built "goes_on.$cc" $cc -fsanitize=undefined; then
		echo "skip sanitizers, $cc: $(head -n 1 "$work/log")"
		continue
	fi
	for user in root user; do
		as="env HOME=/nonexistent"
		if [ "$user" = user ] && [ "$(id -u)" = 0 ]; then
			as="setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/nonexistent"
		elif [ "$user" = root ] && [ "$(id -u)" != 0 ]; then
			continue
		fi
		who="$cc, $user"
		says "$work/address.$cc" heap
		is "$who: a heap overflow is told from its first line" err 'ERROR: AddressSanitizer: heap-buffer-overflow on address'
		is "$who: to its last" err '==ABORTING$'
		is "$who: with the shadow" err 'ASan internal:'
		is "$who: and who allocated it" err '^allocated by thread T0 here:'
		is "$who: each frame has its place" frames
		is "$who: the host sees how it ended" out '^returned -32 end 1 code 1 '
		is "$who: nothing was refused" out ' refused 0$'
		if [ $cc = gcc ]; then
			is "$who: frames have function, file and line" err ' in parse .*sanitizer_reports.c:[0-9]'
		fi
		says "$work/address.$cc" null
		is "$who: a crash is the sanitizer's to tell" err 'AddressSanitizer: SEGV on unknown address 0x0*8 '
		is "$who: a crash, whole" err '==ABORTING$'
		says env ASAN_OPTIONS=abort_on_error=1 "$work/address.$cc" heap
		is "$who: abort_on_error, whole" err '==ABORTING$'
		is "$who: abort_on_error makes it a crash with a backtrace" out 'parse+0x[0-9a-f]* (address'
		is "$who: abort_on_error's signal" out ' end 2 code 0 signal 6 '
		says "$work/address.$cc" leaves
		is "$who: no look for leaks, which would take ptrace" out '^returned -1 end 1 code 0 '
		is "$who: and no word about it" not err .
		says "$work/halts.$cc" overflow
		is "$who: undefined behaviour is told" err 'sanitizer_reports.c:[0-9:]* runtime error: signed integer overflow'
		is "$who: and ends it" out '^returned -32 end 1 code 1 '
		says env UBSAN_OPTIONS=abort_on_error=1:print_stacktrace=1 "$work/halts.$cc" overflow
		is "$who: undefined behaviour, told" err 'runtime error: signed integer overflow'
		says "$work/goes_on.$cc" overflow
		is "$who: undefined behaviour with recovery is told" err 'runtime error: signed integer overflow'
		is "$who: and the call returns" out '^returned 7 '
		says "$work/halts.$cc" null
		if [ $cc = gcc ]; then
			is "$who: without a handler of the run time's ours says where" out 'crashed: Segmentation fault at address 0x8 in parse+'
		else
			is "$who: a crash is this run time's to tell, too" err 'UndefinedBehaviorSanitizer: SEGV on unknown address 0x0*8 '
		fi
	done
done
exit $failed
