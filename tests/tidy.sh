#!/bin/sh
# SPDX-License-Identifier: ISC
# tidy.sh BUILD: clang-tidy over all C sources, as they are compiled in that build directory. Any finding is a failure.
set -eu
cd "$(dirname "$0")/.."
build=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# Each source once, however many programs it is part of. One that meson does not know is read as its neighbours are.
python3 -c '
import json, sys
commands = {c["file"]: c for c in json.load(open(sys.argv[1] + "/compile_commands.json"))}
json.dump(list(commands.values()), open(sys.argv[2] + "/compile_commands.json", "w"))' "$build" "$scratch"
# The longest first, so that no processor waits for the other at the end.
ls -S -- */*.c |
	xargs -n 2 -P "$(nproc)" sh -c '
		clang-tidy -p "$0" --quiet --extra-arg=-I"$PWD" --extra-arg=-I"$PWD/sandbox" "$@" >"$0/$$" 2>&1 ||
			{ grep -v " generated\.$" "$0/$$"; exit 1; }' "$scratch"
