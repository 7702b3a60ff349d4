#!/bin/sh
# SPDX-License-Identifier: ISC
# loops.sh DIR: the programs of examples/loops, those that were built: each counts all words, and survives what crashes.
set -u
dir=$1
for loop in poll libuv glib; do
	if [ ! -x "$dir/loop_$loop" ]; then
		echo "skip examples/loops/$loop.c: its library is not here"
		continue
	fi
	said=$(timeout 60 "$dir/loop_$loop" 2>&1)
	status=$?
	if [ $status = 0 ] && [ "$(echo "$said" | grep -c '8 texts, 27 words; .* runs$')" = 4 ] &&
		[ "$(echo "$said" | grep -c '2 texts, 5 words; .* crashed')" = 2 ]; then
		echo "ok examples/loops/$loop.c"
	else
		echo "not ok examples/loops/$loop.c"
		echo "# status $status: $said" | tr '\n' ' '
		echo
	fi
done
