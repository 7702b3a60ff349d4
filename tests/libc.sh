#!/bin/sh
# SPDX-License-Identifier: ISC
# What libc does behind one's back, the same natively and behind the door: each check of libc/*.c is run as it is and
# confined; what it prints, and how it ends, must be equal, and nothing refused.
# libc.sh AIRLOCK HOW PROGRAM [CHECK...]: HOW is "run" (under `airlock run`), or how PROGRAM confines
# itself: "pledge" (airlock_pledge) or "openbsd" (pledge); "direct" is run, with rules that the kernel itself serves.
# Output is TAP.
set -u
umask 022
airlock=$1
how=$2
program=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tap.sh"
# With a mount namespace of its own, things are put where libc looks: links that lead out, modules to load, locales.
if [ "$(id -u)" = 0 ] && [ -z "${LIBC_PLANTED:-}" ] && unshare -m true 2>/dev/null; then
	LIBC_PLANTED=yes exec unshare -m sh "$0" "$airlock" "$how" "$program" "$@"
fi
label=${program##*/}
prefix="libc $how $label: "
planted=
base=$(mktemp -d)
chmod 755 "$base"
trap 'rm -rf "$base"' EXIT
trap 'exit 1' HUP INT TERM
cp "$program" "$base/$label" || exit 1
program=$base/$label
work=$base/work

WARM=1 IN_PLACE=2 HOSTILE=4 REFUSED=8 RUN=16 HARMFUL=32 TTY=64 PRELOAD=128
has() {
	[ $((flags & $1)) != 0 ]
}

# fresh: an empty directory, with the same name each time.
fresh() {
	rm -rf "$work"
	mkdir "$work"
	cd "$work" || exit 1
}

plant() {
	mkdir "$base/zones" "$base/locales"
	cp -a /usr/share/zoneinfo/. "$base/zones" && cp -a /usr/lib/locale/. "$base/locales" || return
	ln -s /etc/passwd "$base/zones/planted"
	ln -s /etc "$base/zones/planted-directory"
	ln -s ../../../etc/passwd "$base/zones/planted-relative"
	ln -s /proc/self "$base/zones/planted-proc"
	mkfifo "$base/zones/planted-fifo"
	if command -v localedef >/dev/null; then
		localedef -i de_DE -f UTF-8 --no-archive "$base/locales/de_DE.utf8"
		localedef -i de_DE -f ISO-8859-1 --no-archive "$base/locales/de_DE.iso88591"
	fi
	printf '%s: files compat hesiod\n' passwd group shadow initgroups >"$base/nsswitch.conf"
	printf 'hosts: files dns\nservices: files\nprotocols: files\n' >>"$base/nsswitch.conf"
	mount --bind "$base/zones" /usr/share/zoneinfo
	mount --bind "$base/locales" /usr/lib/locale
}
[ -z "${LIBC_PLANTED:-}" ] || plant >"$base/log" 2>&1 || sed 's/^/# /' "$base/log"

# The locales that are installed, besides those that every machine has.
installed=$(locale -a 2>/dev/null | grep -v -e '^C' -e '^POSIX$' | head -n 3 | tr '\n' ',')
environment="PATH=/usr/bin:/bin WORK=$work LC_TEST=$installed"

# on_terminal COMMAND...: on a terminal of its own, where a line is typed; what it says there that is to count.
on_terminal() {
	python3 "$here/terminal.py" 90 "= prompt " secret "$@" >"$base/terminal"
	set -- $?
	tr -d '\r' <"$base/terminal" | grep '^='
	return "$1"
}

natively() {
	set -- env -i $environment $preloaded timeout 60 "$program" native "$name"
	if has $TTY; then
		set -- on_terminal "$@"
	fi
	"$@"
}

confined() {
	if [ "$how" != run ] && [ "$how" != direct ]; then
		set -- env -i $environment CONFINED=1 timeout 60 "$program" "$how" "$name"
		if has $TTY; then
			set -- on_terminal "$@"
		fi
		"$@"
		return
	fi
	direct=
	[ "$how" != direct ] || direct=d
	words=$promises
	shown=$rules
	if has $WARM; then
		words="$words rpath prot_exec"
		shown="$shown r:/usr/lib"
	fi
	if [ -n "$direct" ]; then
		words="$words rpath"
		shown="${shown:-r:@}"
	fi
	set -- -p "$words"
	for rule in $shown; do
		[ "${rule#!}" = "$rule" ] || continue
		path=${rule#*:}
		[ "$path" != @ ] || path=$work
		[ ! -e "$path" ] || set -- "$@" -v "${rule%%:*}$direct:$path"
	done
	for assignment in $environment $preloaded CONFINED=1; do
		set -- "$@" -e "$assignment"
	done
	set -- env -i PATH=/usr/bin:/bin timeout 60 "$airlock" run "$@" -- "$program" native "$name"
	if has $TTY; then
		set -- on_terminal "$@"
	fi
	"$@"
}

# unexpected: what was refused and is not expected, a word of "to allow" a line.
unexpected() {
	grep -i refused "$base/err" | sed -e 's/.*to allow: //' -e 's/, \([a-z]\)/\n\1/g' >"$base/refused"
	for rule in $rules; do
		[ "${rule#!}" = "$rule" ] || sed -i "\|${rule#!}|d" "$base/refused"
	done
	[ -s "$base/refused" ]
}

reason() {
	failed=1
	echo "not ok $prefix$name"
	echo "# $1"
	head -n 6 "$2" | sed 's/^/#   /'
}

"$program" list >"$base/list" || { echo "not ok ${prefix}list"; exit 1; }
while IFS='|' read -r name promises rules flags <&3; do
	case " ${*:-$name} " in
	*" $name "*) ;;
	*) continue ;;
	esac
	if [ "$how" = run ] || [ "$how" = direct ]; then
		elsewhere=$IN_PLACE
	else
		elsewhere=$RUN
	fi
	! has $elsewhere || continue
	case $how/$name in
	# Directly there is no /proc/self, and what libc reads can be listed.
	direct/fopen-what-is-open | direct/getlogin | direct/pthread-* | direct/hostile-l* | direct/hostile-planted) continue ;;
	esac
	preloaded=
	! has $PRELOAD || preloaded=LD_PRELOAD=libgcc_s.so.1
	case $name in
	getpw-no-modules | hostile-sealed*)
		[ -z "${LIBC_PLANTED:-}" ] || mount --bind "$base/nsswitch.conf" /etc/nsswitch.conf
		planted=${LIBC_PLANTED:-}
		;;
	esac
	fresh
	if has $HARMFUL; then
		echo YES >"$base/native"
	else
		natively >"$base/native" 2>"$base/native.err" </dev/null
		echo "status $?" >>"$base/native"
	fi
	fresh
	confined >"$base/out" 2>"$base/err" </dev/null
	echo "status $?" >>"$base/out"
	[ -z "$planted" ] || umount /etc/nsswitch.conf
	planted=
	if grep -q -e '^status 124' -e '^status 2$' "$base/native"; then
		reason "it does not run natively:" "$base/native"
	elif has $HOSTILE && grep -q YES "$base/out"; then
		reason "behind the door it still could:" "$base/out"
	elif has $HOSTILE && ! { grep -q '^status 0' "$base/out" && grep -q no "$base/out"; }; then
		reason "it did not run:" "$base/out"
	elif has $HOSTILE && ! grep -q YES "$base/native"; then
		skip "$name" "natively this machine does not let it either"
	elif has $HOSTILE; then
		echo "ok $prefix$name"
	elif has $REFUSED && ! grep -q REFUSED "$base/out"; then
		reason "it was not refused:" "$base/out"
	elif has $REFUSED; then
		echo "ok $prefix$name"
	elif unexpected; then
		reason "something was refused:" "$base/err"
	else
		same "$name" "$base/native" "$base/out"
		cmp -s "$base/native" "$base/out" || sed 's/^/# /' "$base/err" | head -n 3
	fi
done 3<"$base/list"
exit $failed
