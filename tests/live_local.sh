#!/bin/sh
# SPDX-License-Identifier: ISC
# live_local.sh AIRLOCK DIR: the sockets of desktops and of the system, behind the door. A real dbus-daemon, and listeners
# where a session has its own, in a mount namespace with private /run and /tmp. None is reached because a directory above it
# is unveiled, by whatever name; each is by a rule of its own. Output is TAP.
set -u
airlock=$1
programs=$2
. "$(dirname "$0")/tap.sh"
prefix="local: "
if [ -z "${LOCAL_INSIDE:-}" ]; then
	as=
	[ "$(id -u)" = 0 ] || as=-r
	unshare $as -n -m true 2>/dev/null || { echo "skip ${prefix}all: no mount namespace can be made"; exit 0; }
	LOCAL_INSIDE=yes exec unshare $as -n -m sh "$0" "$@"
fi
work=$(mktemp -d)
pids=
trap 'for p in $pids; do kill $p; done 2>/dev/null; cd /; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/bin"
cp "$programs/local_body" "$airlock" "$work/bin/" && chmod 755 "$work" "$work/bin"
exec 9<"$work/bin"
mount -t tmpfs none /run && mount --bind "$work/bin" /mnt || { echo "skip ${prefix}all: nothing can be mounted"; exit 0; }
mkdir "$work/tmp"
mount -t tmpfs none /tmp || exit 1
airlock=/mnt/airlock
body=/mnt/local_body
cd /
session=/run/user/1000
mkdir -p /run/dbus /run/systemd $session/pulse $session/app $session/gnupg /run/app /tmp/.X11-unix /tmp/app /tmp/ssh-Ab
[ -L /var/run ] || mount --bind /run /var/run 2>/dev/null
mkdir -p /tmp/elsewhere
ln -s /run /tmp/elsewhere/link
ln -s $session/bus /tmp/app/bus
services="$session/bus $session/wayland-0 $session/pulse/native $session/gnupg/S.gpg-agent /tmp/.X11-unix/X0
	/run/docker.sock /run/systemd/private /tmp/ssh-Ab/agent.1 /tmp/dbus-Ab"
ours="/run/app/socket $session/app/socket /tmp/app/socket"
"$body" serve /tmp/ready @/tmp/.X11-unix/X0 d:/run/systemd/notify d:/tmp/app/datagrams $services $ours >/tmp/served &
pids=$!
for i in $(seq 1 100); do
	[ -e /tmp/ready ] && break
	sleep 0.05
done

everything="-v rwc:/run -v rwc:/tmp -v rwc:/var -v rx:/mnt"
try() {
	timeout 20 "$airlock" run "$@" >/tmp/out 2>/tmp/err
}
# What was served since the last time.
served() {
	sleep 0.05
	[ -s /tmp/served ] && { : >/tmp/served; return 0; }
	return 1
}
# refused WANTED SOCKET: not reached, and the line says which rule would do.
refused() {
	: >/tmp/served
	try -p stdio,unix,rpath,wpath,cpath $everything -- "$body" connect "$2"
	is "not by a directory above it: $2" sh -c 'grep -q "Permission denied" /tmp/out && grep -q "to allow: connect unix:$0\$" /tmp/err' "$1"
	is "nothing reached $2" sh -c '! [ -s /tmp/served ]'
}
for s in $services; do
	refused "$s" "$s"
	try -p stdio,unix -c "unix:$s" -- "$body" connect "$s"
	is "by a rule: $s" grep -q yes /tmp/out
	try -p stdio,unix,rpath,wpath,cpath -c "unix:$s" $everything -- "$body" connect "$s"
	is "by a rule and an unveil: $s" grep -q yes /tmp/out
	try -p stdio,rpath,wpath,cpath -c "unix:$s" $everything -- "$body" connect "$s"
	is "not without the promise: $s" sh -c 'grep -q "not permitted" /tmp/out && grep -q "promise unix" /tmp/err'
done
for s in $ours; do
	try -p stdio,unix,rpath,wpath,cpath $everything -- "$body" connect "$s"
	is "no service's: $s" grep -q yes /tmp/out
done
# Other names of the same.
refused $session/bus /tmp/app/bus
refused $session/bus /tmp/elsewhere/link/user/1000/bus
refused $session/bus /run/user/1000/app/../bus
refused $session/bus /run//user/./1000/bus
refused /run/docker.sock /var/run/docker.sock
refused /run/systemd/notify d:/run/systemd/notify
try -p stdio,unix,rpath,wpath,cpath $everything -- "$body" connect d:/tmp/app/datagrams
is "a datagram to no service" grep -q yes /tmp/out
try -p stdio,unix -c unix:/run/docker.sock -- "$body" connect /var/run/docker.sock
is "/var/run is /run for a rule" grep -q yes /tmp/out
try -p stdio,unix -c unix:/run/docker.sock -- "$body" connect /run/user/1000/bus
is "a rule is for one socket" grep -q -e "No such" -e denied /tmp/out
# Made one's own by another name.
for how in link rename exchange; do
	: >/tmp/served
	try -p stdio,unix,rpath,wpath,cpath $everything -- "$body" $how $session/bus $session/app/mine
	is "not by a name of one's own: $how" sh -c 'grep -q "Permission denied" /tmp/out && ! grep -q yes /tmp/out'
	: >/tmp/served
	try -p stdio,unix,rpath,wpath,cpath $everything -- "$body" $how $session/pulse $session/app/mine native
	is "nor its directory: $how" sh -c '! grep -q yes /tmp/out && [ -S '$session/pulse/native' ]'
done
is "nothing was reached by another name" sh -c '! [ -s /tmp/served ]'
# Abstract names: by a rule alone, whatever is unveiled.
try -p stdio,unix,rpath,wpath $everything -- "$body" connect @/tmp/.X11-unix/X0
is "abstract, no rule" sh -c 'grep -q denied /tmp/out && grep -q "connect unix:@/tmp/.X11-unix/X0" /tmp/err'
try -p stdio,unix -c unix:@/tmp/.X11-unix/X0 -- "$body" connect @/tmp/.X11-unix/X0
is "abstract, by a rule" grep -q yes /tmp/out
# Its own sockets, where it may make some.
try -p stdio,unix,rpath,wpath,cpath $everything -- "$body" own $session/app/new /run/app/new /tmp/app/new
is "one's own" sh -c '[ "$(grep -c yes /tmp/out)" = 3 ]'
# In place: promises alone show all; from the first unveil on the table holds, and there the socket's own unveil is its rule.
"$body" inplace "" $session/bus >/tmp/out 2>/tmp/err
is "in place by promises alone" grep -q yes /tmp/out
"$body" inplace /run $session/bus >/tmp/out 2>/tmp/err
is "in place, its directory unveiled" grep -q denied /tmp/out
"$body" inplace $session/bus $session/bus >/tmp/out 2>/tmp/err
is "in place, itself unveiled" grep -q yes /tmp/out
"$body" inplace /run/app /run/app/socket >/tmp/out 2>/tmp/err
is "in place, no service's" grep -q yes /tmp/out

# ---- a real bus ----

if command -v dbus-daemon >/dev/null && command -v dbus-send >/dev/null; then
	bus=$session/dbus-real
	dbus-daemon --session --address=unix:path=$bus --nofork >/tmp/bus.log 2>&1 &
	pids="$pids $!"
	for i in $(seq 1 100); do
		[ -S $bus ] && break
		sleep 0.05
	done
	send() {
		try -e DBUS_SESSION_BUS_ADDRESS=unix:path=$bus "$@" -- dbus-send --session --print-reply \
			--dest=org.freedesktop.DBus / org.freedesktop.DBus.ListNames
	}
	send -p stdio,unix,rpath,wpath,cpath,sendfd,recvfd,getpw $everything -v r:/usr -v r:/etc -v r:/proc
	is "dbus-send without a rule" sh -c '! grep -q org.freedesktop.DBus /tmp/out && grep -q "connect unix:'$bus'" /tmp/err'
	send -p stdio,unix,rpath,getpw -v r:/usr -v r:/etc -c unix:$bus
	is "dbus-send with its rule" grep -q org.freedesktop.DBus /tmp/out
else
	skip "a real bus" "there is no dbus-daemon"
fi
[ $failed = 0 ]
