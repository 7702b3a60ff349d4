#!/bin/sh
# SPDX-License-Identifier: ISC
# Times whole programs on trees of files: native, behind the door (brokered, direct), and beside bubblewrap and gVisor's
# runsc where they are and run. Prints lines for bench/run.sh: what, median, beside, budget, between tabs.
# usage: bench/trees.sh AIRLOCK [ROUNDS]
set -eu
airlock=$1
rounds=${2-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
export LC_ALL=C GIT_OPTIONAL_LOCKS=0 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null HOME="$work" TMPDIR="$work/project"

# 50,000 files; a tree of sources; a repository of 20,000 files; a project of 20 files.
mkdir "$work/many" "$work/project" "$work/repository"
for d in $(seq 500); do
	mkdir "$work/many/$d"
	(cd "$work/many/$d" && seq -f file-%g 100 | xargs touch)
done
cp -r /usr/include "$work/source"
for d in $(seq 200); do
	mkdir "$work/repository/$d"
	for f in $(seq 100); do echo "$d $f" >"$work/repository/$d/$f"; done
done
git -C "$work/repository" init -q
git -C "$work/repository" add -A
git -C "$work/repository" -c user.name=bench -c user.email=bench -c commit.gpgsign=false commit -qm all
for f in $(seq 20); do
	printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint f%d(int n)\n{\n\tchar b[64];\n\tsnprintf(b, sizeof b, "%%d", n);\n\treturn (int)strlen(b) + abs(n);\n}\n' \
		"$f" >"$work/project/f$f.c"
done
printf 'int main(void) { return 0; }\n' >"$work/project/main.c"
cat >"$work/project/build.sh" <<'END'
cd "$1"
for f in *.c; do cc -O1 -c "$f" || exit 1; done
cc -o program *.o && ./program
END

find_job() { "$@" find "$work/many" -printf '%s\n'; }
tar_job() { "$@" tar -C "$work/source" -cf "$work/project/source.tar" .; }
git_job() { "$@" git -C "$work/repository" status --short; }
compile_job() { "$@" sh "$work/project/build.sh" "$work/project"; }

brokered="$airlock run -e HOME -e TMPDIR -e GIT_OPTIONAL_LOCKS -e GIT_CONFIG_NOSYSTEM -e GIT_CONFIG_GLOBAL"
# What each job needs; D becomes d, or nothing.
find_rules="-p 'stdio rpath' -v rD:$work/many"
tar_rules="-p 'stdio rpath wpath cpath getpw' -v rD:$work/source -v rwcD:$work/project"
git_rules="-p 'stdio rpath' -v rD:$work/repository"
compile_rules="-p 'stdio rpath wpath cpath fattr proc exec prot_exec' -v rxD:/usr -v rD:/etc/alternatives -v rwxcD:$work/project"

door() {
	rules=$(eval "printf '%s' \"\$${1}_rules\"" | sed "s/D:/$2:/g")
	shift 2
	eval "set -- $rules -- \"\$@\""
	cd "$work/project" && exec $brokered "$@"
}
native_way() { "$@"; }
brokered_way() (door "$job" "" "$@")
direct_way() (door "$job" d "$@")
bwrap_way() { bwrap --unshare-all --ro-bind / / --dev /dev --bind "$work/project" "$work/project" "$@"; }
runsc_way() { env -u TMPDIR runsc --network=none do "$@"; }

now() { date +%s%N; }
for job in find tar git compile; do
	ways=
	for way in native brokered direct bwrap runsc; do
		case $way in
		bwrap | runsc) command -v $way >/dev/null 2>&1 || continue ;;
		esac
		# Once for the caches, and to see that it works.
		if ! "${job}_job" "${way}_way" >"$work/out.$way" 2>"$work/err.$way"; then
			echo "bench: $job, $way: $(tail -n 1 "$work/err.$way")" >&2
			continue
		fi
		if ! cmp -s "$work/out.native" "$work/out.$way"; then
			echo "bench: $job, $way: another output than native" >&2
			continue
		fi
		if [ $way = direct ] && grep -q 'direct is not possible' "$work/err.$way"; then
			echo "bench: $job: $(grep 'direct is not possible' "$work/err.$way" | head -n 1)" >&2
			continue
		fi
		ways="$ways $way"
	done
	round=0
	while [ $round -lt "$rounds" ]; do
		for way in $ways; do
			# It takes so long that once is enough, and tells enough.
			[ $way != runsc ] || [ $round = 0 ] || continue
			began=$(now)
			"${job}_job" "${way}_way" >/dev/null 2>&1 || true
			echo $((($(now) - began) / 1000)) >>"$work/time.$job.$way"
		done
		round=$((round + 1))
	done
	case $job in
	find) what="find, 50,000 files" ;;
	tar) what="tar of $(find "$work/source" | wc -l) files" ;;
	git) what="git status, 20,000 files" ;;
	compile) what="compiling 21 files" ;;
	esac
	base=$(sort -n "$work/time.$job.native" | sed -n "$(((rounds + 1) / 2))p")
	for way in $ways; do
		done=$(wc -l <"$work/time.$job.$way")
		sort -n "$work/time.$job.$way" | sed -n "$(((done + 1) / 2))p" |
			awk -v what="$what, $way$([ $way != runsc ] || echo ", once")" -v base="$base" -v native=$([ $way = native ] && echo 1 || echo 0) '{
				printf "%s\t%.1f ms\t%s\t\n", what, $1 / 1000, native ? "" : sprintf("%.2f x native", $1 / base)
			}'
	done
done
