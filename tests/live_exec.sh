#!/bin/sh
# SPDX-License-Identifier: ISC
# What a policy makes of programs that execute programs: x and nothing but x, exec promises, what loaders and scripts get,
# races. What is the same as without a policy live_exec compares.
# live_exec.sh AIRLOCK PROGRAMS: the command, and the directory of the test programs. Output is TAP.
set -u
umask 022
airlock=$1
programs=$2
. "$(dirname "$0")/tap.sh"
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
prefix="exec: "
cd "$work" || exit 1
mkdir bin only lib out
cp "$programs/exec_probe" "$programs/exec_probe_static" "$programs/exec_try" "$programs/exec_try_static" bin/
cp "$programs/exec_swap" "$programs/exec_canary" "$work/bin/" && mv bin/exec_canary lib/canary
cp bin/exec_probe only/probe
cp bin/exec_probe lib/plain
cp "$programs/exec_library.module" lib/library.so
cp "$programs/exec_library.module" out/library.so
cp lib/canary out/canary
printf '#!/bin/sh\necho sh "$@"\n' >bin/script
printf '#!%s/lib/plain\n' "$work" >bin/hidden-interpreter
printf '#!%s/bin/nowhere\n' "$work" >bin/no-interpreter
printf '#!/usr/bin/env sh\necho env "$@"\n' >bin/env-script
printf '#!%s/lib/canary\n' "$work" >out/script
printf '#!/bin/sh\nexit 7\n' >bin/seven
chmod 755 bin/* out/script
printf '#!%s/bin/exec_probe said\n' "$work" >named
chmod 755 named

# says NAME PATTERN POLICY COMMAND...: what the command prints, or airlock says of it. says not NAME PATTERN...: not that.
says() {
	wrong=1
	[ "$1" != not ] || { wrong=0; shift; }
	name=$1 pattern=$2 policy=$3
	shift 3
	eval "timeout 60 \"\$airlock\" run $policy -- \"\$@\"" >run.out 2>run.err </dev/null
	status=$?
	found=1
	grep -q -e "$pattern" run.out run.err && found=0
	if [ $found != $wrong ]; then
		echo "ok $prefix$name"
	else
		failed=1
		echo "not ok $prefix$name"
		echo "# status $status, pattern '$pattern'; it said:"
		head -n 6 run.out run.err | sed 's/^/# /'
	fi
}
loads="-p 'stdio rpath proc exec' -v rx:$work/bin -v rx:$work/only -v r:$work/lib -v r:$work/named -e PATH=/nowhere"
small="-p 'stdio proc exec' -v rx:$work/bin -e PATH=/nowhere"

# x, and only x.
says "a program that may be executed" '^probe:' "$small" bin/exec_try "exec:$work/bin/exec_probe"
says "a static one" '^probe:' "$small" bin/exec_try "exec:$work/bin/exec_probe_static"
says "x without r executes" '^probe:' "-p 'stdio rpath exec' -v rx:$work/bin -v x:$work/only" bin/exec_try "exec:$work/only/probe"
says "and does not open" '^open:.* EACCES' "-p 'stdio rpath exec' -v rx:$work/bin -v x:$work/only" bin/exec_try "open:$work/only/probe"
says "r without x opens" '^open:.* yes' "$loads" bin/exec_try "open:$work/lib/plain"
says "and does not execute" '^exec:.* EACCES' "$loads" bin/exec_try "exec:$work/lib/plain"
says "which airlock says" "unveil $work/lib/plain x" "$loads" bin/exec_try "exec:$work/lib/plain"
says "a hidden program does not exist" '^exec:.* ENOENT' "$small" bin/exec_try "exec:$work/only/probe"
says "without the promise nothing is executed" '^exec:.* EPERM' "-p 'stdio rpath' -v rx:$work/bin" bin/exec_try \
	"exec:$work/bin/exec_probe"
says "which airlock says, too" 'promise exec' "-p 'stdio rpath' -v rx:$work/bin" bin/exec_try "exec:$work/bin/exec_probe"
says "the shell is not there for itself" '^exec:.* ENOENT' "$small" bin/exec_try exec:/bin/sh
says "nor the loader" '^exec:.* \(ENOENT\|EACCES\)' "$small" bin/exec_try exec:/lib64/ld-linux-x86-64.so.2
says "itself, when it may" 'yes$' "$small" bin/exec_try fork then /proc/self/exe fork
says "itself, when it may not" 'then: \(EACCES\|ENOENT\)' "-p 'stdio proc exec' -v r:$work/bin" bin/exec_try then /proc/self/exe fork
chmod 711 only/probe
if [ "$(id -u)" != 0 ]; then
	chmod 111 only/probe
	says "a program that the user cannot read cannot be handed over" '^exec:.* EACCES' "$loads" bin/exec_try \
		"exec:$work/only/probe"
fi
chmod 644 only/probe
says "no mode that lets it" '^exec:.* EACCES' "$loads" bin/exec_try "exec:$work/only/probe"
chmod 755 only/probe

# Scripts.
says "a script of the shell" '^sh' "$loads" bin/exec_try "exec:$work/bin/script"
says "named by itself, what it names runs with it" '^probe: args=3.*said' \
	"-p 'stdio rpath exec' -v rx:$work/bin/exec_try -v rx:$work/named" bin/exec_try "exec:$work/named"
says "not one whose interpreter is not allowed" '^exec:.* EACCES' "$loads" bin/exec_try "exec:$work/bin/hidden-interpreter"
says "whose interpreter airlock names" "unveil $work/lib/plain x" "$loads" bin/exec_try "exec:$work/bin/hidden-interpreter"
says "whose interpreter is missing" '^exec:.* ENOENT' "$loads" bin/exec_try "exec:$work/bin/no-interpreter"
says "by env, which is not allowed" 'unveil /usr/bin/env x' "$loads" bin/exec_try "exec:$work/bin/env-script"
says "by env, which is" '^env' "-p 'stdio rpath proc exec' -v rx:$work/bin -v rx:/usr/bin" bin/exec_try \
	"exec:$work/bin/env-script"

# Exec promises.
for try in exec_try exec_try_static; do
	less="$loads -x stdio"
	says "$try: less promised, a request fails" '^open:.* EPERM' "$less" bin/exec_try then bin/$try "open:$work/lib/plain"
	says "$try: and what is none" '^group EPERM' "$less" bin/exec_try then bin/$try group
	says "$try: and a fork" '^fork EPERM' "$less" bin/exec_try then bin/$try fork
	says "$try: and another exec" '^then: EPERM' "$less" bin/exec_try then bin/$try then bin/$try fork
	says "$try: and a socket" '^socket EPERM' "$less" bin/exec_try then bin/$try socket
	says "$try: of its starter nothing is taken" '^open:.* yes' "$less" bin/exec_try "open:$work/lib/plain" group then bin/$try
	says "$try: the grandchild is no better" '^open:.* EPERM' "$loads -x 'stdio exec'" bin/exec_try then bin/$try then bin/$try \
		"open:$work/lib/plain"
	says "$try: nor the grandchild's groups" '^group EPERM' "$loads -x 'stdio exec'" bin/exec_try then bin/$try then bin/$try group
	says "$try: what both promise is left" '^open:.* yes' "$loads -x 'stdio rpath inet'" bin/exec_try then bin/$try "open:$work/lib/plain"
	says "$try: what only exec promises is not" '^socket EPERM' "$loads -x 'stdio rpath inet'" bin/exec_try then bin/$try socket
	says "$try: narrowed on the way" '^fork EPERM' "$loads" bin/exec_try "exec-pledge:stdio rpath exec" then bin/$try fork
	says "$try: to no more exec" '^then: EPERM' "$loads" bin/exec_try "exec-pledge:stdio rpath" then bin/$try then bin/$try
	says "$try: to less, its own" '^open:.* yes' "$loads" bin/exec_try exec-pledge:stdio "open:$work/lib/plain"
	says "$try: its own less than reading, and programs load" '^fork yes' "$loads" bin/exec_try "pledge:stdio exec proc" then bin/$try fork "open:$work/lib/plain"
	says "$try: and read no more" '^open:.* EPERM' "$loads" bin/exec_try "pledge:stdio exec proc" then bin/$try fork "open:$work/lib/plain"
done

says "with a stack full of arguments" '^group EPERM' "$loads -x 'stdio exec'" bin/exec_try many then bin/exec_try group

# Executable memory.
says "memory does not become code" '^code EPERM' "$loads" bin/exec_try then bin/exec_try code
says "with prot_exec it does" '^code yes' "-p 'stdio rpath proc exec prot_exec' -v rx:$work/bin" bin/exec_try code then bin/exec_try code
says "and in what is executed if that is promised" '^code EPERM' \
	"-p 'stdio rpath proc exec prot_exec' -x 'stdio rpath' -v rx:$work/bin" bin/exec_try then bin/exec_try code
says "also when it is a static program" '^code EPERM' \
	"-p 'stdio rpath proc exec prot_exec' -x 'stdio rpath' -v rx:$work/bin" bin/exec_try then bin/exec_try_static code
says "and mapped" '^map EPERM' \
	"-p 'stdio rpath proc exec prot_exec' -x 'stdio rpath' -v rx:$work/bin" bin/exec_try then bin/exec_try_static map

# Loaders: the first program's, and those of others.
libc=$(ldd bin/exec_probe | sed -n 's/.*=> \(.*libc\.so[^ ]*\).*/\1/p')
writes="-p 'stdio rpath wpath cpath proc exec' -v rx:$work/bin -v r:$work/lib -v rwc:$work/out -e EXEC_LIBRARY=maps -e EXEC_LIBC=$libc"
for how in "LD_PRELOAD=$work/@/library.so" "LD_AUDIT=$work/@/library.so"; do
	there=$(echo "$how" | sed 's/@/out/') beside=$(echo "$how" | sed 's/@/lib/')
	says not "${how%%=*} of what can be written is not mapped" CANARY "$writes -e $there" bin/exec_try then bin/exec_probe
	says not "${how%%=*} of that, for the first program" CANARY "$writes -e $there" bin/exec_probe
	says "${how%%=*} of what cannot" 'CANARY library' "$writes -e $beside" bin/exec_probe
done
mkdir out/d
cp out/library.so out/d/libc.so.6
says not "LD_LIBRARY_PATH of what can be written is not used" CANARY "$writes -e LD_LIBRARY_PATH=$work/out/d" bin/exec_try \
	then bin/exec_probe
lib="$loads -e LD_PRELOAD=$work/lib/library.so -e EXEC_LIBC=$libc"
says "a library's constructor makes no code" 'loading maps anonymous code: EPERM' "$lib -e EXEC_LIBRARY=maps" bin/exec_try then bin/exec_probe
says "it may load" 'loading opens a library: yes' "$lib -e EXEC_LIBRARY=maps" bin/exec_try then bin/exec_probe
says "what it forks may not" 'child opens a library: ENOENT' "$lib -e EXEC_LIBRARY=fork" bin/exec_try then bin/exec_probe
says "nor make code" 'child maps anonymous code: EPERM' "$lib -e EXEC_LIBRARY=fork" bin/exec_try then bin/exec_probe
says "after which the program runs" '^probe:' "$lib -e EXEC_LIBRARY=fork" bin/exec_try then bin/exec_probe
says "and what was forked, if it goes on" '^probe:' "$lib -e EXEC_LIBRARY=twice" bin/exec_try then bin/exec_probe
is "all of them, of both programs" test "$(grep -c '^probe:' run.out)" = 4
says "with less promised a constructor forks no more" 'loading forks: EPERM' "$lib -e EXEC_LIBRARY=fork -x 'stdio rpath'" \
	bin/exec_try then bin/exec_probe
says not "and the program after it sees no library" 'open:.* yes' "$loads" bin/exec_try then bin/exec_try "open:$libc"
for loader in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do
	[ -e $loader ] || continue
	with="-p 'stdio rpath proc exec' -v rx:$work/bin -v rx:$loader -v r:$work/lib"
	says not "the loader, executed, loads no program" 'CANARY\|^probe:' "$with" bin/exec_try then $loader "$work/lib/canary"
	says not "nor one that may be executed" 'CANARY\|^probe:' "$with" bin/exec_try then $loader "$work/bin/exec_probe"
	says not "nor a library for it" 'CANARY\|^probe:' "$with -e EXEC_LIBRARY=maps" bin/exec_try then $loader --preload "$work/lib/library.so" "$work/bin/exec_probe"
done

# Files that the target made itself.
says "a program of its own making" '^exec:.* EACCES' "$writes" bin/exec_try "exec:$work/out/canary"
says "a script of its own making" '^exec:.* EACCES' "$writes" bin/exec_try "exec:$work/out/script"

# Set-user-id and capabilities mean nothing.
if [ "$(id -u)" = 0 ]; then
	cp bin/exec_probe bin/suid
	chown 65534:65534 bin/suid
	chmod 6755 bin/suid
	says "a set-user-id program is a program" '^probe:.* ids=1' "$loads" bin/exec_try then bin/suid
	if setcap cap_sys_admin,cap_net_raw=ep bin/exec_probe_static 2>/dev/null; then
		says "file capabilities give none" '^probe:.* ids=1' "$loads" bin/exec_try then bin/exec_probe_static
		setcap -r bin/exec_probe_static
	fi
fi

# Races.
timeout 120 "$airlock" run -p "stdio rpath wpath cpath proc exec" -v "rx:$work/bin" -v "r:$work/lib" -v "rwc:$work/out" -- \
	"$work/bin/exec_swap" "$work/bin/exec_probe" "$work/lib/canary" "$work/out" "$work/bin/seven" 200 >run.out 2>run.err
is "no race brings another program in" sh -c '! grep -q "CANARY\|something else" run.out'
for race in path link "descriptor of a file" "descriptor of a memfd" "two at once" "two at once, one not allowed" \
	"arguments of a script"; do
	is "race: $race" grep -q "^$race: no canary, nothing else, .*, all ended" run.out
done
is "race: narrowing" grep -q '^narrowing: no canary, nothing else, .*, all ended' run.out
exit $failed
