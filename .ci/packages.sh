#!/bin/sh
# SPDX-License-Identifier: ISC
# packages.sh PKG...: installs those Debian packages that are missing; needs root or sudo only when one is.
set -eu

missing=
for package; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=
elif command -v sudo >/dev/null 2>&1; then
	as_root=sudo
else
	echo "packages.sh: to install$missing, run this as root or install sudo" >&2
	exit 1
fi
echo "installing$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# DEBIAN_FRONTEND goes through env, since sudo clears the environment.
if ! { $as_root env DEBIAN_FRONTEND=noninteractive apt-get update &&
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	cat "$log" >&2
	echo "packages.sh: apt-get failed" >&2
	exit 1
fi
