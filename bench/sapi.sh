#!/bin/sh
# SPDX-License-Identifier: ISC
# Builds bench/sapi against checkouts of Sandboxed API and of Abseil, and prints the program's path. The other libraries are
# Debian's. It takes some minutes the first time, and leaves what it made in DIRECTORY/build.
# DIRECTORY has sandboxed-api (v20241008, its last release: what follows is written in protobuf's edition 2024, and Debian 12
# has protobuf 3.21) and abseil-cpp (20240722.2: Debian's has no absl/log).
# usage: bench/sapi.sh DIRECTORY
set -eu
here=$(cd "$(dirname "$0")" && pwd)
directory=$(cd "$1" && pwd)
for name in sandboxed-api abseil-cpp; do
	[ -e "$directory/$name/CMakeLists.txt" ] || { echo "bench: no $name in $directory" >&2; exit 1; }
done
mkdir -p "$directory/airlock"
for file in CMakeLists.txt bench.cc peer.c; do
	cmp -s "$here/sapi/$file" "$directory/airlock/$file" || cp "$here/sapi/$file" "$directory/airlock/$file"
done
{
	sh "$here/../.ci/packages.sh" cmake ninja-build clang libprotobuf-dev protobuf-compiler libunwind-dev libffi-dev \
		libcap-dev python3-absl python3-clang-14 &&
		{ [ -e "$directory/build/build.ninja" ] || CC=clang CXX=clang++ cmake -S "$directory/airlock" \
			-B "$directory/build" -G Ninja -Wno-dev -DCMAKE_BUILD_TYPE=Release -DSAPI="$directory/sandboxed-api" \
			-DABSEIL="$directory/abseil-cpp" -DPython3_EXECUTABLE=/usr/bin/python3; } &&
		ninja -C "$directory/build" bench_sapi
} >"$directory/log" 2>&1 || { tail -n 20 "$directory/log" >&2; exit 1; }
echo "$directory/build/bench_sapi"
