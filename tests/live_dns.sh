#!/bin/sh
# SPDX-License-Identifier: ISC
# live_dns.sh AIRLOCK DIR: names inside targets. dnsmasq answers on port 53 of loopback addresses in a network of its own,
# with a private /etc. What each libc finds, and resolvers that ask the servers themselves, is the same natively and
# confined; and the promise dns reaches nothing else. DIR holds the programs of dns_body.c. Output is TAP.
set -u
airlock=$1
programs=$2
. "$(dirname "$0")/tap.sh"
prefix="dns: "
umask 022
if [ -z "${DNS_INSIDE:-}" ]; then
	as=
	[ "$(id -u)" = 0 ] || as=-r
	command -v dnsmasq >/dev/null || [ -x /usr/sbin/dnsmasq ] || { echo "skip ${prefix}all: there is no dnsmasq"; exit 0; }
	unshare $as -n -m true 2>/dev/null || { echo "skip ${prefix}all: no network namespace can be made"; exit 0; }
	DNS_INSIDE=yes exec unshare $as -n -m sh "$0" "$@"
fi
PATH=$PATH:/usr/sbin:/sbin
unset LC_ALL LANG LANGUAGE
work=$(mktemp -d)
chmod 755 "$work"
server=
trap '[ -z "$server" ] || kill $server; cd /; umount -l /etc; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
ip link set lo up
ip -6 addr add fe80::53/64 dev lo nodad
mkdir etc
cp -a /etc/. etc 2>/dev/null
printf 'hosts: files dns\nservices: files\nprotocols: files\nnetworks: files\n' >etc/nsswitch.conf
printf '127.0.0.1 localhost\n203.0.113.9 from-hosts\n' >etc/hosts
rm -f etc/resolv.conf
echo 'nameserver 127.0.0.1' >etc/resolv.conf
mount --bind etc /etc || { echo "skip ${prefix}all: /etc cannot be had privately"; exit 0; }
for i in $(seq 1 60); do
	echo "198.51.100.$i big.example.org"
done >big
# All other names are nobody's: it asks no server of its own.
dnsmasq -k -C /dev/null --no-resolv --no-hosts --addn-hosts="$work/big" --pid-file= \
	--user= --group= --no-daemon --log-queries --local=/#/ --host-record=web.example.org,93.184.216.34,2606:2800:220:1::1 \
	--host-record=host.sub.example.org,93.184.216.35 --cname=alias.example.org,web.example.org >log 2>&1 &
server=$!
for i in $(seq 1 50); do
	timeout 2 "$programs/dns_glibc" own | grep -q ' 1 answers' && break
	sleep 0.1
done

# equal NAME 'OPTIONS' COMMAND...: the same output and status as without airlock, and nothing is refused.
equal() {
	label=$1
	options=$2
	shift 2
	timeout 30 "$@" >native 2>&1 </dev/null
	echo "status $?" >>native
	timeout 30 "$airlock" run -p stdio,dns $options -- "$@" >confined 2>err </dev/null
	echo "status $?" >>confined
	case $label in
	c-ares) sort -o native native && sort -o confined confined ;; # dnsmasq rotates them
	esac
	if [ -n "${quiet-}" ] || ! grep -q refused err; then
		same "$label" native confined
	else
		failed=1
		echo "not ok $prefix$label"
		sed 's/^/# /' err | head -n 4
	fi
}

# by_itself NAME CHECK...: the same by a program that confines itself, in place and as a worker.
by_itself() {
	label=$1
	shift
	timeout 30 "$programs/dns_glibc" "$@" >native 2>&1
	for how in inplace worker; do
		timeout 30 "$programs/dns_in_place" $how "pledge stdio dns" "$@" >confined 2>err </dev/null
		grep -q refused err && cat err >>confined
		same "$label, $how" native confined
	done
}

kinds=
for kind in glibc static musl musl_static; do
	[ ! -x "$programs/dns_$kind" ] || kinds="$kinds $kind"
done

for kind in $kinds; do
	for check in getaddrinfo others big interfaces own mapped; do
		case $kind/$check in
		static/getaddrinfo | static/others | static/big) continue ;; # static glibc loads modules natively
		esac
		equal "$check, $kind" "" "$programs/dns_$kind" $check
	done
done
equal "getaddrinfo, static, which loads nothing" "" "$programs/dns_static" own
if "$programs/dns_glibc" ares >/dev/null; then
	equal "c-ares" "" "$programs/dns_glibc" ares
fi
for check in getaddrinfo others big interfaces own mapped; do
	by_itself $check $check
done
quiet=yes equal "getent ahosts" "" getent ahosts web.example.org
equal "getent hosts" "" getent hosts alias.example.org
equal "getent services" "" getent services https/tcp
for words in "" "+tcp" "+short -x 93.184.216.34" "+dnssec AAAA"; do
	quiet=yes equal "dig $words" "" dig +noall +answer $words web.example.org
done
quiet=yes equal "host" "" host web.example.org
quiet=yes equal "python3" "-p stdio,rpath,prot_exec,dns -v r:/usr -v r:/etc" /usr/bin/python3 -I -c 'import socket
print(socket.getaddrinfo("web.example.org", 80, type=socket.SOCK_STREAM), socket.gethostbyname_ex("alias.example.org"),
	socket.getnameinfo(("93.184.216.34", 80), 0), socket.if_nameindex())'

# ---- what resolv.conf may say ----

conf() {
	printf "$1" >/etc/resolv.conf
}
configurations() {
	for kind in glibc musl; do
		# musl wants the answer from the address that it asked, and waits.
		[ "$kind $1" != "musl unspecified" ] || continue
		[ ! -x "$programs/dns_$kind" ] || equal "getaddrinfo, $kind: $1" "" "$programs/dns_$kind" getaddrinfo
	done
	equal "own resolver: $1" "" "$programs/dns_glibc" own
}
conf 'search sub.example.org example.org\nnameserver 127.0.0.1\noptions ndots:2\n'
configurations "search and ndots"
conf '# a comment\n; another\ndomain example.org\noptions edns0 rotate trust-ad timeout:1 attempts:1 single-request\nnameserver 127.0.0.1 # ours\nnameserver 127.0.0.5\n'
configurations "options"
conf 'nameserver 127.0.0.1\noptions use-vc single-request-reopen\n'
configurations "use-vc"
conf ''
configurations "an empty file"
conf 'nameserver nonsense\nnameserver\n'
configurations "no server in it"
conf 'nameserver ::1\nsearch example.org\n'
configurations "v6"
conf 'nameserver fe80::53%%lo\n'
configurations "link-local"
conf 'nameserver ::1\nnameserver 127.0.0.1'
configurations "v6 and v4, no newline at the end"
conf 'nameserver 0.0.0.0\n'
configurations "unspecified"
rm /etc/resolv.conf
configurations "no file"
mkdir "$work/run"
printf 'nameserver 127.0.0.53\nsearch example.org\n' >"$work/run/stub-resolv.conf"
ln -s "$work/run/stub-resolv.conf" /etc/resolv.conf
configurations "a link"
rm /etc/resolv.conf
conf 'nameserver 127.0.0.1\n'

# ---- a file that changes ----

# changed NAME COMMANDS FOUND: what is found before and after the commands.
changed() {
	mkfifo ask
	printf 'nameserver 127.0.0.1\n' >/etc/resolv.conf
	: >confined
	timeout 20 "$airlock" run -p stdio,dns -- "$programs/dns_glibc" again <ask >confined 2>err &
	pid=$!
	exec 3>ask
	echo >&3
	for i in $(seq 1 50); do
		grep -q '93.184' confined && break
		sleep 0.1
	done
	: >log
	eval "$2"
	echo >&3
	exec 3>&-
	wait $pid
	grep 'from\|93.184' confined >found
	printf '%s\n' "$3" >wanted
	same "$1" wanted found
	rm ask
}
first='0: web.example.org 49 bytes, 1 answers, from 127.0.0.1:53
  93.184.216.34:0 1 6 '
second=$(echo "$first" | sed 's/0.0.1:53/0.0.7:53/')
changed "resolv.conf is written anew" "echo nameserver 127.0.0.7 >/etc/resolv.conf" "$first
$second"
# The broker holds the file that was there, and for it the servers are the old ones. So they are for the target.
changed "resolv.conf is replaced" "echo nameserver 127.0.0.7 >/etc/new; mv /etc/new /etc/resolv.conf" "$first
$first"

# ---- what dns is not for ----

conf 'nameserver 127.0.0.1\n'
is "natively it could" sh -c 'timeout 30 "$0" hostile | grep -q "connect 2 127.0.0.2:53: YES"' "$programs/dns_glibc"
timeout 30 "$airlock" run -p stdio,dns -- "$programs/dns_glibc" hostile >confined 2>err
is "nothing else, run" sh -c 'grep -q "connect 1 127.0.0.2:53" confined && ! grep YES confined'
for how in inplace worker; do
	timeout 30 "$programs/dns_in_place" $how "pledge stdio dns" hostile >confined 2>err
	is "nothing else, $how" sh -c 'grep -q "connect 1 127.0.0.2:53" confined && ! grep YES confined'
done
timeout 30 "$airlock" run -p stdio,dns,inet -- "$programs/dns_glibc" hostile >confined 2>err
is "nothing else, with inet and no rule" sh -c \
	'grep -q "connect 1 127.0.0.2:53" confined && ! grep -v -e "^ping" confined | grep YES'
is "the refusal names the address" grep -q "connect tcp:127.0.0.2:53" err
for rules in "-v rwc:/etc" "-v rwc:/etc/resolv.conf" "-v rwc:$work/etc" "-v rw:/etc"; do
	conf 'nameserver 127.0.0.1\n'
	timeout 30 "$airlock" run -p stdio,rpath,wpath,cpath,dns $rules -- "$programs/dns_glibc" rewrite 127.0.0.9 >confined 2>err
	is "a file that the target may write names nobody, $rules" sh -c 'grep -q "sendto: " confined && ! grep YES confined'
done
for how in inplace worker; do
	conf 'nameserver 127.0.0.1\n'
	timeout 30 "$programs/dns_in_place" $how "pledge stdio rpath wpath cpath dns
unveil /etc rwc" rewrite 127.0.0.9 >confined 2>err
	is "a file that the target may write names nobody, $how" sh -c 'grep -q "sendto: " confined && ! grep YES confined'
done
rm -f /etc/resolv.conf
conf 'nameserver 127.0.0.1\n'

# ---- without the promise ----

for words in stdio stdio,rpath stdio,inet stdio,inet,unix; do
	sleep 0.1
	: >log
	timeout 30 "$airlock" run -p $words -- "$programs/dns_glibc" getaddrinfo web.example.org >confined 2>err
	is "not under $words" sh -c 'grep -q "^getaddrinfo.*: [A-Z]" confined && ! grep -q 93.184 confined && ! grep -q query log'
	is "not under $words, which is said" grep -q "promise dns" err
done
[ $failed = 0 ]
