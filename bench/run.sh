#!/bin/sh
# SPDX-License-Identifier: ISC
# Builds the benchmarks against the library in a build directory, runs them all, prints one table, and draws plots.
# usage: bench/run.sh [--write] [BUILD]     --write: into README.md, between <!-- bench --> and <!-- /bench -->, and docs/plots
#   ONLY=WORD     only the parts whose name contains it: for trying
#   BENCH_QUICK=1 everything a few times only, to see that it works; no whole programs, nothing is installed
#   BENCH_SAPI=DIR  a directory with checkouts of Sandboxed API and Abseil, to measure beside: see bench/sapi.sh
# What is missing is installed, as root or with sudo, where that works; what cannot be measured is named below the table.
set -eu
write=
if [ "${1-}" = --write ]; then write=1; shift; fi
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${1-$root/build}" && pwd)
if [ "${2-}" = --write ]; then write=1; fi
[ -e "$build/libairlock.a" ] || { echo "bench: no libairlock.a in $build" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work"
export BENCH_POINTS="$work/points"
: >"$work/lines"
: >"$work/points"
: >"$work/said"
began=$(date +%s)
only=${ONLY-}
[ -z "$write" ] || [ -z "$only" ] || { echo "bench: --write is for all of it, without ONLY" >&2; exit 1; }
quick=${BENCH_QUICK-}
failed=0
airlock=
[ ! -x "$build/airlock" ] || airlock=$build/airlock

say() {
	echo "bench: $*" | tee -a "$work/said" >&2
}
wanted() {
	case $1 in *"$only"*) return 0 ;; esac
	return 1
}
title() {
	printf '**%s**\t\t\t\n' "$1" >>"$work/lines"
}
# measure COMMAND...: its lines go into the table; what it says is shown, and below the table where it begins with "bench:".
measure() {
	"$@" >>"$work/lines" 2>"$work/errors" || {
		failed=1
		echo "bench: $what ended early; what it measured is in the table" >>"$work/errors"
	}
	cat "$work/errors" >&2
	grep '^bench:' "$work/errors" >>"$work/said" || true
}
# install PACKAGE...: each by itself, so that one that is not to be had leaves the others.
install() {
	[ -z "$quick" ] || return 0
	for package; do
		sh "$root/.ci/packages.sh" "$package" >/dev/null 2>"$work/errors" || say "$package is not installed: $(tail -n 1 "$work/errors")"
	done
}
# compile NAME [SOURCE OR FLAG...]: whether that worked.
compile() {
	what=$1
	shift
	${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wshadow -Werror -I"$root" -I"$root/sandbox" -o "$work/$what" \
		"$root/bench/$what.c" "$@" "$build/libairlock.a" -lcap -lbsd -lpthread -lm || {
		failed=1
		say "$what is left out: it does not build"
		return 1
	}
}

# The parser, compiled to WebAssembly and by wasm2c to C again: flags for bench/parser.c are left in $wasm.
wasm_parser() {
	wasm=
	runtime=/usr/share/wabt/wasm2c
	for program in clang wasm-ld wasm2c; do
		command -v $program >/dev/null 2>&1 || { say "the parser by wasm2c is left out: $program is not installed"; return; }
	done
	mkdir -p "$work/include"
	ln -sfn /usr/include/stb "$work/include/stb"
	if clang --target=wasm32-wasi -O2 -I"$root" -isystem "$work/include" -nostartfiles -Wl,--no-entry -Wl,--export=decode \
		-Wl,--export=malloc -Wl,--export=free -o "$work/decoder.wasm" "$root/bench/parser/decoder.c" &&
		wasm2c "$work/decoder.wasm" -o "$work/decoder_wasm.c" &&
		${CC:-cc} -O2 -w -I"$runtime" -c "$work/decoder_wasm.c" -o "$work/decoder_wasm.o" &&
		${CC:-cc} -O2 -w -I"$runtime" -c "$runtime/wasm-rt-impl.c" -o "$work/wasm_rt.o"; then
		wasm="-DBENCH_WASM -I$work $work/decoder_wasm.o $work/wasm_rt.o"
	else
		say "the parser by wasm2c is left out: it does not build (wasi-libc and libclang-rt-*-dev-wasm32 are needed)"
	fi
}
pictures() {
	[ ! -d "$work/pictures" ] || return 0
	[ -e /usr/include/stb/stb_image.h ] || { say "the parser is left out: libstb-dev is not installed"; return 1; }
	mkdir "$work/pictures"
	${CC:-cc} -std=gnu11 -O2 -o "$work/pictures.bin" "$root/bench/parser/pictures.c" -lm
	"$work/pictures.bin" "$work/pictures"
}

if wanted open; then
	title "Files"
	! compile open "$root/bench/browser.c" || measure "$work/open"
fi
if wanted calls; then
	sapi=
	if [ -n "${BENCH_SAPI-}" ]; then
		sapi=$(sh "$root/bench/sapi.sh" "$BENCH_SAPI") || say "Sandboxed API is left out: it does not build"
	else
		say "Sandboxed API is left out: BENCH_SAPI is not set (bench/sapi.sh)"
	fi
	title "Calls"
	! compile calls "$root/bench/peers.c" || measure "$work/calls" $sapi
fi
if wanted parser; then
	install libstb-dev wabt wasi-libc clang lld libclang-rt-14-dev-wasm32
	if pictures; then
		wasm_parser
		${CC:-cc} -std=gnu11 -O2 -I"$root" -c -o "$work/decoder.o" "$root/bench/parser/decoder.c"
		${CC:-cc} -std=gnu11 -O2 -I"$root" -DSTBI_NO_SIMD -Ddecode=decode_plain -c -o "$work/plain.o" \
			"$root/bench/parser/decoder.c"
		title "A parser, and computing"
		! compile parser "$work/decoder.o" "$work/plain.o" $wasm || measure "$work/parser" "$work/pictures"
	fi
fi
if wanted start; then
	title "Starts"
	! compile start || measure "$work/start"
	! compile rates || measure "$work/rates"
fi
if wanted launch; then
	install bubblewrap firejail crun
	# crun wants a bundle, and a version 2 cgroup tree: in a mount namespace of the launchers' own.
	bundle=$work/bundle
	mkdir -p "$bundle/rootfs/usr"
	if command -v crun >/dev/null 2>&1 && (cd "$bundle" && crun spec); then
		for link in bin lib lib64 sbin; do
			ln -s "usr/$link" "$bundle/rootfs/$link"
		done
		python3 "$root/bench/bundle.py" "$bundle/config.json"
	fi
	title "Launchers"
	if ! compile launch; then
		:
	elif [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] && unshare -m mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; then
		measure unshare -m sh -c 'mount -t tmpfs none /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$0" "$@"' \
			"$work/launch" "$airlock" "$bundle"
	else
		measure "$work/launch" "$airlock" "$bundle"
	fi
fi
if wanted endings; then
	title "Endings"
	! compile endings || measure "$work/endings"
fi
if wanted idle; then
	title "Memory"
	! compile idle || measure "$work/idle"
fi
if wanted connect; then
	title "The network"
	! compile connect || measure "$work/connect"
	# Whole programs, to the end; bwrap and runsc are measured where they are.
	if [ -z "$quick" ] && [ -n "$airlock" ]; then
		install nginx-light wrk
		what=network.sh
		measure sh "$root/bench/network.sh" "$airlock" 3
	fi
fi
if wanted trees && [ -z "$quick" ] && [ -n "$airlock" ]; then
	install git gcc runsc
	title "Whole programs"
	what=trees.sh
	measure sh "$root/bench/trees.sh" "$airlock" 3
fi
if wanted fuzz && [ -z "$quick" ]; then
	install libstb-dev afl++
	if pictures; then
		title "Fuzzing, contained in place"
		what=fuzz.sh
		measure sh "$root/bench/fuzz.sh" "$build" "$work/pictures"
	fi
fi

# Budgets are at most, or at least after ">= "; what is compared is the column that has the budget's unit.
awk -F '\t' '
	function number(text) { gsub(/[^0-9.].*$/, "", text); return text + 0 }
	function unit(text) { sub(/^[0-9.]+ */, "", text); sub(/ .*$/, "", text); return text }
	function scale(u) { return u == "us" ? 1 : u == "ms" ? 1000 : u == "s" ? 1000000 : 1 }
	BEGIN { print "| what | median | beside | budget |"; print "|---|---|---|---|" }
	{
		shown = ""
		if ($4 != "") {
			least = sub(/^>= /, "", $4)
			got = unit($4) == "x" ? number($3) : number($2) * scale(unit($2))
			met = least ? got >= number($4) * scale(unit($4)) : got <= number($4) * scale(unit($4))
			budgets++
			kept += met
			shown = (least ? "≥ " : "≤ ") $4 (met ? "" : ", **missed**")
		}
		printf "| %s | %s | %s | %s |\n", $1, $2, $3, shown
	}
	END { print ""; print kept + 0 " of " budgets + 0 " budgets are met. " }' "$work/lines" >"$work/table"
{
	echo "Medians of interleaved rounds in one run, Linux $(uname -r | sed 's/-.*//'), $(nproc) processors."
	[ ! -s "$work/said" ] || { echo; sort -u "$work/said" | sed 's/^bench: /- /'; }
} >>"$work/table"
cat "$work/table"
[ -n "$write" ] && plots=$root/docs/plots || plots=${BENCH_PLOTS-$work/plots}
python3 "$root/bench/plots.py" "$work/points" "$plots" || say "the plots are not drawn"
echo "bench: $(($(date +%s) - began)) seconds" >&2

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
exit $failed
