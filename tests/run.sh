#!/bin/sh
# SPDX-License-Identifier: ISC
# Builds airlock and tests all of it: as root and as an ordinary user, when started by root; with sanitizers; with the
# fuzz targets' corpora; the format and the manual. Installs what is missing, as root or with sudo.
#   BUILD=DIR  the build directory (default: build)
#   ONLY=WORD  only suites whose name contains it
#   JOBS=N     that many suites at a time (default: one for each processor, at most 4)
# Prints what failed and what was skipped, and in the last line how many. Exits with 0 only when nothing failed. Live
# suites hold that something is soon, which nobody can tell on a machine that is busy: one that failed beside another is
# run again at the end, with nothing beside it, and what it says then counts. What failed first is printed, too.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$(pwd)
build=${BUILD:-build}
only=${ONLY:-}

sh .ci/packages.sh gcc g++ meson ninja-build pkg-config libc6-dev libseccomp-dev libcap-dev libbsd-dev libcmocka-dev \
	libpng-dev libjpeg-dev zlib1g-dev musl-tools clang-format clang-tidy mandoc binutils util-linux diffutils python3 \
	libxml2-utils poppler-utils sqlite3 git rsync perl make patch cpio ed xz-utils bzip2 attr acl file jq openssl \
	unzip expat libarchive-tools libtiff-tools mupdf-tools qpdf ffmpeg dpkg-dev libarchive-dev libjansson-dev libcjson-dev libtiff-dev libwebp-dev libgif-dev \
	libyaml-dev libsndfile1-dev libxml2-dev libmagic-dev libssl-dev libsqlite3-dev liblzma-dev libfreetype-dev libbz2-dev \
	libexpat1-dev libtls-dev locales tzdata dnsmasq-base dbus bind9-dnsutils bind9-host libc-ares-dev iproute2 \
	libuv1-dev libglib2.0-dev \
	curl wget redis-server redis-tools nginx-light wrk libstb-dev wabt wasi-libc clang lld libclang-rt-14-dev-wasm32 openssh-server openssh-client socat procps ca-certificates gdb clang libclang-rt-dev || exit 1

scratch=$(mktemp -d)
chmod 755 "$scratch"
trap 'cat "$scratch"/running.* 2>/dev/null | xargs -r kill; wait; rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0 skipped=0
live= # while set, suites are live ones
export CMOCKA_MESSAGE_OUTPUT=TAP

# Suites run side by side. A place for one more is a line in this pipe: the number of the suite that had it, or 0.
jobs=${JOBS:-$(nproc)}
[ "$jobs" -le 4 ] || jobs=4
started=0
again= # the numbers of those that failed beside others
mkfifo "$scratch/places"
exec 3<>"$scratch/places"
for place in $(seq "$jobs"); do
	echo 0 >&3
done

# place: waits for one. What the suite that had it has to say is said at once, and counted.
place() {
	read -r number <&3
	[ "$number" != 0 ] || return 0
	cat "$scratch/said.$number"
	if [ -f "$scratch/again.$number" ]; then
		again="$again $number"
		return 0
	fi
	read -r good bad skip <"$scratch/counts.$number"
	passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

# all_ended: waits for all the suites that run.
all_ended() {
	for each in $(seq "$jobs"); do
		place
	done
	for each in $(seq "$jobs"); do
		echo 0 >&3
	done
}

# alone suite...: nothing else runs meanwhile. For suites that change, or look at, what is there once on the machine.
alone() {
	all_ended
	"$@"
	all_ended
}

# suite NAME SECONDS COMMAND...: starts it, when there is a place.
suite() {
	case $1 in
	*"$only"*) ;;
	*) return ;;
	esac
	place
	started=$((started + 1))
	[ -z "$live" ] || for word; do
		printf "'%s' " "$(printf %s "$word" | sed "s/'/'\\\\''/g")"
	done >"$scratch/live.$started"
	run "$started" "$@" &
}

# again: those that failed beside others, one at a time.
again() {
	all_ended
	live=
	for number in $again; do
		echo "alone, again:"
		eval "alone suite $(cat "$scratch/live.$number")"
	done
}

# run NUMBER NAME SECONDS COMMAND...: counts the lines "ok", "not ok" and "skip" (cmocka: "# SKIP") of what it prints. A
# command that fails or is cut off without saying so is one failure; one that says nothing, too.
run() {
	number=$1
	name=$2
	seconds=$3
	shift 3
	began=$(date +%s)
	# What is started in the background is deaf to two signals, which tests are to find as they are everywhere.
	env --default-signal=INT,QUIT timeout -k 10 "$seconds" "$@" >"$scratch/out.$number" 2>&1 </dev/null 3<&- &
	echo $! >"$scratch/running.$number"
	wait $!
	status=$?
	rm "$scratch/running.$number"
	tr -d '\000' <"$scratch/out.$number" | awk -v status=$status -v seconds="$seconds" -v name="$name" \
		-v took=$(($(date +%s) - began)) -v counts="$scratch/counts.$number" '
		/^(not )?ok .*# SKIP/ { skip++; shown = 1; print "  " $0; next }
		/^skip / { skip++; shown = 1; print "  " $0; next }
		/^ok / { good++; shown = 0; next }
		/^not ok / { bad++; shown = 1; print "  " $0; next }
		shown && /^[# ]/ { print "  " $0; next }
		{ shown = 0; tail[NR % 20] = $0 }
		END {
			if (status && !bad || !status && !good && !skip) {
				bad++
				why = status == 124 || status == 137 ? "cut off after " seconds " seconds" : "status " status
				print "  not ok " name ": " why
				for (i = NR + 1; i <= NR + 20; i++)
					if (tail[i % 20] != "")
						print "  # " tail[i % 20]
			}
			printf "%s: %d passed, %d failed, %d skipped (%d s)\n", name, good, bad, skip, took
			print good + 0, bad + 0, skip + 0 >counts
		}' >"$scratch/said.$number"
	rm "$scratch/out.$number"
	case $(cat "$scratch/counts.$number") in
	*" 0 "*) ;;
	*) [ ! -f "$scratch/live.$number" ] || : >"$scratch/again.$number" ;;
	esac
	echo "$number" >&3
}

# step NAME SECONDS COMMAND...: one test, which is whether the command succeeds.
step() {
	label=$1
	limit=$2
	shift 2
	suite "$label" "$limit" sh -c '"$@" && echo "ok $0"' "$label" "$@"
}

finish() {
	again
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
	exit
}

configure() {
	dir=$1
	shift
	if [ -f "$dir/build.ninja" ]; then
		timeout 60 meson setup --reconfigure "$dir" "$@"
	else
		timeout 120 meson setup "$dir" "$@"
	fi
}
if ! { configure "$build" && timeout 600 meson compile -C "$build"; } >"$scratch/log" 2>&1; then
	tail -n 40 "$scratch/log"
	echo "not ok build"
	failed=1
	finish
fi
build=$(cd "$build" && pwd)

# everything USER PREFIX...: the suites that run for each user. Files are read from a copy that anyone can read.
everything() {
	user=$1
	shift
	# It takes longest. Those that are at /dev/log, or look at brokers by name, lock each other out.
	log="flock -o $scratch/log"
	suite "carrier, $user" 900 $log "$@" sh "$copy/carrier.sh" "$copy"
	for t in "$copy"/test_*; do
		case $user/$t in
		user/*/test_filter | user/*/test_filter_edges | user/*/test_filter_ratchet | user/*/test_filter_verdicts)
			# They compute, the same for anybody, and root has.
			[ "$(id -u)" != 0 ] || continue
			;;
		esac
		suite "unit ${t##*/}, $user" 300 "$@" "$t"
	done
	for t in live_lane live_filter live_table live_promises live_layers live_broker live_guest live_direct live_keeper live_cgroup live_loops live_sizes live_thousand live_buffers live_pool live_calls live_crowd live_drown live_orphan; do
		[ ! -x "$copy/$t" ] || suite "$t, $user" 400 "$@" "$copy/$t"
	done
	suite "torture, $user" 600 "$@" "$copy/torture" 10000
	suite "live_view, $user" 900 "$@" "$copy/live_view" "$copy/airlock"
	suite "live_narrow, $user" 900 "$@" "$copy/live_narrow"
	suite "live_ask, $user" 900 "$@" "$copy/live_ask"
	suite "live_unveil, $user" 900 "$@" "$copy/live_unveil"
	suite "live_exec, $user" 900 "$@" "$copy/live_exec" "$copy/airlock"
	suite "live_exec policies, $user" 900 "$@" sh "$copy/live_exec.sh" "$copy/airlock" "$copy"
	suite "examples/loops, $user" 200 "$@" sh "$copy/loops.sh" "$copy"
	suite "live_death, $user" 900 "$@" "$copy/live_death" "$copy/airlock"
	suite "live_nested, $user" 900 "$@" "$copy/live_nested" "$copy/airlock"
	suite "live_attr, $user" 900 "$@" sh "$copy/live_attr.sh" "$copy/airlock" "$copy"
	suite "live_race, $user" 900 "$@" "$copy/live_race"
	suite "live_run, $user" 900 "$@" sh "$copy/live_run.sh" "$copy/airlock" "$copy"
	for kind in posix posix_musl; do
		[ ! -x "$copy/$kind" ] || suite "$kind, $user" 900 "$@" sh "$copy/posix.sh" "$copy/airlock" "$copy/$kind"
	done
	for kind in glibc static musl musl_static cxx; do
		[ ! -x "$copy/libc_$kind" ] ||
			suite "libc, $kind, $user" 600 "$@" sh "$copy/libc.sh" "$copy/airlock" run "$copy/libc_$kind"
	done
	suite "libc, direct, $user" 600 "$@" sh "$copy/libc.sh" "$copy/airlock" direct "$copy/libc_glibc"
	for how in pledge openbsd; do
		for kind in in_place cxx_in_place; do
			[ ! -x "$copy/libc_$kind" ] ||
				suite "libc, $how, $kind, $user" 600 "$@" sh "$copy/libc.sh" "$copy/airlock" $how "$copy/libc_$kind"
		done
	done
	suite "openbsd_worker, $user" 60 "$@" "$copy/openbsd_worker"
	for t in openbsd_pledge openbsd_unveil; do
		suite "$t, $user" 300 "$@" "$copy/$t"
		suite "$t, shared library, $user" 300 "$@" env LD_LIBRARY_PATH="$copy/lib" "$copy/${t}_shared"
		if [ -x "$copy/${t}_static" ]; then
			suite "$t, static, $user" 300 "$@" "$copy/${t}_static"
		else
			suite "$t, static, $user" 10 echo "skip $t, static: a library is not here as a static one"
		fi
	done
	suite "programs, $user" 1200 "$@" sh "$copy/programs.sh" "$copy/airlock" "$copy"
	suite "programs under direct rules, $user" 1200 "$@" env DIRECT=d sh "$copy/programs.sh" "$copy/airlock" "$copy"
	suite "parsers, $user" 900 "$@" sh "$copy/parsers.sh" "$copy/airlock" "$copy"
	suite "network, $user" 900 "$@" sh "$copy/network.sh" "$copy/airlock" "$copy"
	suite "openbsd programs, $user" 900 "$@" sh "$copy/openbsd_programs.sh" "$scratch/openbsd"
	suite "hostile native, $user" 120 "$@" "$copy/hostile" native
	suite "hostile in place, $user" 900 "$@" "$copy/hostile" inplace
	suite "hostile as worker, $user" 900 "$@" "$copy/hostile" worker
	suite "live_socket, $user" 600 $log "$@" "$copy/live_socket"
	suite "live_net, $user" 900 "$@" "$copy/live_net" "$copy/airlock"
	suite "live_dns, $user" 600 $log "$@" sh "$copy/live_dns.sh" "$copy/airlock" "$copy"
	suite "live_local, $user" 600 $log "$@" sh "$copy/live_local.sh" "$copy/airlock" "$copy"
	suite "live_names, $user" 900 "$@" "$copy/live_names" "$copy/airlock"
	suite "live_bypass, $user" 900 "$@" "$copy/live_bypass" "$copy/airlock" "$copy/bypass_one"
	suite "live_net_limits, $user" 900 "$@" "$copy/live_net_limits"
	suite "live_endings, $user" 600 "$@" "$copy/live_endings"
	suite "live_abort, $user" 600 $log "$@" "$copy/live_abort" "$copy/airlock"
	for kind in one static; do
		suite "hostile under airlock run, $kind, $user" 900 \
			"$@" "$copy/hostile" run "$copy/airlock" "$copy/hostile_$kind" "run-$kind"
	done
}

copy=$scratch/copy
mkdir "$copy"
find "$build" "$build/tests" -maxdepth 1 -type f -perm -100 ! -name '*.so*' -exec cp {} "$copy/" \;
cp -R tests/*.sh tests/*.py tests/posix_known tests/programs tests/network tests/parsers tests/openbsd "$copy/"
mkdir "$copy/lib"
cp -P "$build"/libairlock.so*[0-9] "$copy/lib/"
chmod -R a+rX "$copy"

# Other people's programs that call pledge(2), built once for all users. The longest first.
step "openbsd programs, build" 900 sh tests/openbsd/build.sh "$build" "$scratch/openbsd"
step "clang-tidy" 900 sh tests/tidy.sh "$build"
suite "api" 200 sh tests/api.sh "$build"
suite "sanitizer reports" 400 sh tests/sanitizer_reports.sh "$build"
step "clang-format" 120 sh -c 'find . -path "./build*" -prune -o -name "*.[ch]" -print | xargs clang-format --dry-run -Werror'
step "promises and system calls" 60 sh -c '"$0/tests/promise_table" | diff -u docs/promises.md -' "$build"
step "manual" 60 mandoc -T lint -W warning docs/airlock.1 docs/airlock.3
for t in "$copy"/fuzz_*; do
	name=${t##*/fuzz_}
	[ ! -d "tests/corpus/$name" ] || step "fuzz $name" 200 "$t" -n 200 "tests/corpus/$name"
done
# Nothing is concluded from what they measure here, but that they do.
step "bench" 600 env BENCH_QUICK=1 sh bench/run.sh "$build"
step "examples" 300 env BUILD="$build" sh examples/run.sh
all_ended
[ ! -d "$scratch/openbsd" ] || { rm -rf "$scratch/openbsd/source" && chmod -R a+rX "$scratch/openbsd"; }
[ "$jobs" = 1 ] || live=yes
if [ "$(id -u)" = 0 ]; then
	everything root env TMPDIR=/tmp
	everything user setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/nonexistent TMPDIR=/tmp
else
	echo "  skip all suites as root: this is not root"
	skipped=$((skipped + 1))
	everything user env TMPDIR=/tmp
fi
live=

# sanitizer KIND FLAGS TARGETS: a build of its own in $scratch/KIND. Whether that worked.
sanitizer() {
	case "sanitizer $1" in
	*"${only%% *}"*) ;;
	*) return 1 ;;
	esac
	if ! { configure "$scratch/$1" -Db_sanitize="$2" -Db_lundef=false -Dwerror=false &&
		timeout 900 meson compile -C "$scratch/$1" $3; } >"$scratch/$1.log" 2>&1; then
		suite "sanitizer $1, build" 10 sh -c 'tail -n 15 "$0"; false' "$scratch/$1.log"
		return 1
	fi
}
export ASAN_OPTIONS=abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1
if sanitizer address address,undefined "unit live_guest live_endings live_death live_buffers live_socket live_net live_ask live_pool live_calls live_keeper torture hostile airlock:executable"; then
	for t in "$scratch/address/tests"/test_*; do
		[ ! -f "$t" ] || suite "sanitizer address, ${t##*/}" 300 "$t"
	done
	for t in "$scratch/address/tests"/fuzz_*; do
		name=${t##*/fuzz_}
		[ ! -f "$t" ] || [ ! -d "tests/corpus/$name" ] ||
			step "sanitizer address, fuzz $name" 300 "$t" -n 50 "tests/corpus/$name"
	done
	# Their options are compiled in: what is in the environment does not reach brokers and targets.
	unset ASAN_OPTIONS
	for t in "live_lane" "live_guest" "live_endings" "live_buffers" "live_socket" "live_net -" "live_ask" "live_pool" "live_calls" "live_keeper" "torture 1000 6" "live_death $scratch/address/airlock" "hostile inplace" "hostile worker"; do
		suite "sanitizer address, ${t%% /*}" 900 "$scratch/address/tests/"$t
	done
fi
# Only where there are threads.
if sanitizer thread thread "test_ipc_call test_ipc_hostile live_buffers live_lane live_pool live_calls torture"; then
	for t in test_ipc_call test_ipc_hostile live_buffers live_lane live_pool live_calls "torture 1000 6"; do
		suite "sanitizer thread, ${t%% *}" 600 "$scratch/thread/tests/"$t
	done
fi
finish
