#!/bin/sh
# SPDX-License-Identifier: ISC
# programs.sh AIRLOCK DIR [WORD]: other people's programs do their work behind the door as they do without it: the same
# output, messages, status, and the same tree afterwards, to the modes, links and times. The jobs are in programs/; DIR
# holds our own small programs. WORD: only jobs whose name contains it. With DIRECT=d the tree's rules are direct ones.
set -u
airlock=$1
own=$2
word=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tap.sh"
direct=${DIRECT:-}
prefix="programs${direct:+, direct}: "
umask 022
work=$(mktemp -d)
trap 'chmod -R u+rwX "$work"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# One path for both: the native run's tree moves away before the other one starts.
tree=$work/tree
clean="env -i PATH=/usr/bin:/bin TZ=UTC LC_ALL=C HOME=$tree TMPDIR=$tree"

# What a policy needs: to read; to change a tree; to start programs as well.
read="stdio,rpath"
write="$read,wpath,cpath,dpath,fattr,chown"
start="$write,proc,exec,flock"
usr="-v rx:/usr -v rx:/bin -v rx:/lib -v rx:/lib64"

# listing DIR: one line for each thing in it. Times that lie within a day of now are "now", since two runs cannot share
# them; inodes are numbered as they come, which shows what is linked to what.
listing() {
	(cd "$1" && find . -printf '%P\t%y\t%m\t%U:%G\t%n\t%s\t%b\t%i\t%T@\t%l\n' | sort | awk -F '\t' -v OFS='\t' -v now="$(date +%s)" '
		{
			if (!($8 in number))
				number[$8] = ++count
			$8 = number[$8]
			$7 = $6 > 100000 && $7 * 512 < $6 / 2 ? "sparse" : ""
			if ($2 == "d")
				$6 = ""
			if ($9 > now - 86400 && $9 < now + 86400)
				$9 = "now"
			print
		}'
	find . -type f -print0 | sort -z | xargs -0 -r sha256sum --
	getfattr -R -h -d -m '^user\.' . 2>/dev/null) >"$2" 2>&1
}

# fixture NAME: makes $tree anew by the function of that name.
fixture() {
	chmod -R u+rwX "$tree" 2>/dev/null
	rm -rf "$tree"
	mkdir "$tree"
	(cd "$tree" && "$1") || { echo "not ok ${prefix}fixture $1"; failed=1; }
}

compare() {
	cmp -s "$1" "$2" && return
	echo "# $3 (native <, behind the door >):"
	diff "$1" "$2" 2>&1 | grep -a '^[<>]' | cut -c1-150 | head -n 8 | sed 's/^/# /'
	return 1
}

# job NAME FIXTURE "OPTIONS" COMMAND...: in $tree, natively and under `airlock run OPTIONS`.
job() {
	label=$1
	make=$2
	options=$3
	shift 3
	case $label in
	*"$word"*) ;;
	*) return ;;
	esac
	case $1 in
	*/*) ;;
	*) command -v "$1" >/dev/null || { skip "$label" "$1 is not installed"; return; } ;;
	esac
	fixture "$make"
	(cd "$tree" && timeout 120 $clean "$@" <"${input:-/dev/null}" >"$work/native.out" 2>"$work/native.err")
	native=$?
	listing "$tree" "$work/native.tree"
	fixture "$make"
	(cd "$tree" && timeout 120 $clean "$airlock" run -e HOME -e TMPDIR $options -- "$@" <"${input:-/dev/null}" \
		>"$work/door.out" 2>"$work/door.all")
	door=$?
	listing "$tree" "$work/door.tree"
	grep -av '^airlock: ' "$work/door.all" >"$work/door.err"
	why=$(
		[ "$native" = "$door" ] || echo "# status $door, natively $native"
		compare "$work/native.out" "$work/door.out" "standard output"
		compare "$work/native.err" "$work/door.err" "standard error"
		compare "$work/native.tree" "$work/door.tree" "the tree"
	)
	if [ -n "$why" ]; then
		failed=1
		echo "not ok $prefix$label"
		printf '%s\n' "$why"
		grep -a '^airlock: ' "$work/door.all" | cut -c1-300 | head -n 2 | sed 's/^/# /'
	elif [ "$native" != "${status:-0}" ]; then
		failed=1
		echo "not ok $prefix$label"
		echo "# natively its status is $native, not ${status:-0}:"
		head -n 5 "$work/native.err" | sed 's/^/# /'
	else
		echo "ok $prefix$label"
	fi
}

# script NAME FIXTURE "OPTIONS" SHELL: the job is what is read from here.
script() {
	cat >"$work/script"
	chmod 755 "$work/script"
	with=$4
	job "$1" "$2" "$3 -v r:$work/script" "$with" "$work/script"
}

nothing() {
	:
}

# A little of everything that a file system has; all times are set, directories' last.
everything() {
	mkdir -p src/dir/sub src/private src/sticky src/empty "src/a name" out
	seq 1 5000 >src/numbers
	seq 1 20000 >src/dir/big
	: >src/nothing
	printf x >src/one
	printf 'no newline at the end' >"src/a name/with blanks"
	printf '#!/bin/sh\necho script "$@"\n' >src/dir/run.sh
	printf '\000\001\377' >src/dir/sub/binary
	printf 'caf\303\251\n' >"src/dir/sub/caf$(printf '\303\251')"
	ln src/numbers src/dir/linked
	ln src/numbers src/dir/sub/linked
	ln -s ../numbers src/dir/soft
	ln -s dir src/softdir
	ln -s nowhere src/dangling
	ln -s "$tree/src/one" src/absolute
	mkfifo src/fifo
	truncate -s 1000000 src/sparse
	printf end >>src/sparse
	chmod 755 src/dir/run.sh
	chmod 600 src/one
	chmod 444 src/nothing
	chmod 700 src/private
	chmod 1777 src/sticky
	touch -d '2001-02-03 04:05:06.123456789' src/numbers
	touch -d '2002-03-04 05:06:07.5' src/dir/big src/one src/fifo src/sparse
	touch -h -d '2003-04-05 06:07:08.000000001' src/dir/soft src/softdir src/dangling src/absolute
	touch -d '2004-05-06 07:08:09' src/nothing src/dir/run.sh "src/a name/with blanks" src/dir/sub/*
	find . -depth -type d -exec touch -d '2005-06-07 08:09:10.987654321' {} +
}

sums() {
	everything
	sha256sum src/numbers src/dir/big "src/a name/with blanks" >sums
}

deep() {
	mkdir -p a/b/c
}

for part in "$here"/programs/jobs_*.sh; do
	. "$part"
done
exit $failed
