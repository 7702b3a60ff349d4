#!/bin/sh
# SPDX-License-Identifier: ISC
# Requests a second that nginx serves behind the door, beside native, by wrk, in alternating rounds: with files that it
# keeps open, where no request of a client is one to the broker; opening each anew, which the broker does; and the same in
# a direct tree. Prints lines for bench/run.sh: what, median, beside, budget, between tabs.
# usage: bench/network.sh AIRLOCK [ROUNDS]
set -eu
airlock=$1
rounds=${2-5}
for program in nginx wrk python3; do
	command -v $program >/dev/null 2>&1 || { echo "bench: no nginx requests: $program is not installed" >&2; exit 0; }
done
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'kill $running 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
running=
mkdir "$work/www" "$work/out"
head -c 1000 /dev/urandom >"$work/www/file"
user= more=
[ "$(id -u)" != 0 ] || { user="user root root;" more=" id getpw"; }

# configure PORT CACHE
configure() {
	cat >"$work/$1.conf" <<CONF
daemon off; $user worker_processes 1; pid $work/out/$1.pid; error_log $work/out/error.log crit;
events { worker_connections 512; }
http {
	access_log off; sendfile on; keepalive_requests 100000000; $2
	client_body_temp_path $work/out/a; proxy_temp_path $work/out/b; fastcgi_temp_path $work/out/c;
	uwsgi_temp_path $work/out/d; scgi_temp_path $work/out/e;
	server { listen 127.0.0.1:$1; root $work/www; }
}
CONF
}

# compare WHAT CACHE DIRECT BUDGET
compare() {
	set -- "$1" "$2" "$3" "$4" $(python3 "$here/../tests/network/ports.py" 2)
	configure "$5" "$2"
	configure "$6" "$2"
	nginx -e "$work/out/error.log" -c "$work/$5.conf" 2>/dev/null &
	one=$!
	"$airlock" run -p "stdio inet sendfd recvfd rpath wpath cpath proc$more" -v "rwc$3:$work/out" -v "r$3:$work/www" \
		-v "r$3:$work/$6.conf" -b "tcp:127.0.0.1:$6" -- nginx -e "$work/out/error.log" -c "$work/$6.conf" 2>/dev/null &
	other=$!
	running="$one $other"
	python3 "$here/../tests/network/wait.py" "$one" 5 "$5" && python3 "$here/../tests/network/wait.py" "$other" 5 "$6" || {
		echo "bench: nginx, $1: it does not start" >&2
		return
	}
	for round in $(seq "$rounds"); do
		for port in "$5" "$6"; do
			wrk -t 1 -c 16 -d 3s "http://127.0.0.1:$port/file" | awk '/^Requests.sec/ { printf "%s ", $2 }'
		done
		echo
	done >"$work/rates"
	kill $running
	wait $running 2>/dev/null || true
	running=
	middle=$(((rounds + 1) / 2))
	ratio=$(awk '{ print $2 / $1 }' "$work/rates" | sort -n | sed -n "${middle}p")
	rate=$(awk '{ print $2 }' "$work/rates" | sort -n | sed -n "${middle}p")
	printf '%s\t%.0f /s\t%.2f x native\t%s\n' "$1" "$rate" "$ratio" "${4:+>= $4 x}"
}
compare "nginx, requests, files kept open" "open_file_cache max=100 inactive=60s;" "" 0.97
compare "nginx, requests, each opens its file" "" "" ""
compare "nginx, requests, each opens its file, direct" "" d ""
