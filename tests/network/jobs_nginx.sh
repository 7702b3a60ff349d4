# SPDX-License-Identifier: ISC
# nginx behind the door, a master and two workers, serving a directory that it may only read, under load from wrk. Sourced.
# As root it changes to the user of its workers: to root again, since behind the door there is no other; that is what it
# needs id and getpw for. It then says twice that it cannot: it has no right to change groups, nor core dumps to fear.
wanted nginx || return 0
command -v nginx >/dev/null || { skip "nginx" "nginx is not installed"; return; }
set -- $(python3 "$here/network/ports.py" 1)
nginx_port=$1
mkdir -p "$work/htdocs/dir"
python3 - "$work/htdocs" <<'PY'
import random, sys
r = random.Random(2)
for n in range(40):
    open("%s/%sf%d" % (sys.argv[1], "dir/" if n % 2 else "", n), "wb").write(r.randbytes(n * n * 100))
PY
nginx_user= nginx_promises=
if [ "$(id -u)" = 0 ]; then
	nginx_user="user root root;" nginx_promises=,id,getpw
fi
temporary=
for t in client_body proxy fastcgi uwsgi scgi; do
	temporary="$temporary ${t}_temp_path $out/$t;"
done
cat >"$work/nginx.conf" <<CONF
daemon off;
$nginx_user
worker_processes 2;
pid $out/pid;
error_log $out/error.log notice;
events { worker_connections 512; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	server { listen 127.0.0.1:$nginx_port; root $work/htdocs; }
	$temporary
}
CONF

nginx_fetch() {
	for f in $(seq 0 39); do
		[ $((f % 2)) = 0 ] && echo "url = http://127.0.0.1:$nginx_port/f$f" || echo "url = http://127.0.0.1:$nginx_port/dir/f$f"
	done | curl -sS -m 3 --fail-early --no-progress-meter -K - >"$work/fetched" 2>&1 || return 1
	sha256sum <"$work/fetched"
}
nginx_said() {
	grep -c "$1" "$out/error.log"
}
nginx_drive() {
	nginx_fetch || return 1
	curl -sS -m 5 -o /dev/null -w '%{http_code} %{size_download}\n' "http://127.0.0.1:$nginx_port/dir/f1" \
		"http://127.0.0.1:$nginx_port/missing" "http://127.0.0.1:$nginx_port/../../etc/passwd"
	curl -sS -m 5 -r 100-199 "http://127.0.0.1:$nginx_port/f20" | sha256sum
	if [ -n "$nginx_load" ]; then
		wrk -t 2 -c 40 -d 2s "http://127.0.0.1:$nginx_port/f10" >"$work/wrk" 2>&1
		grep -E 'Socket errors|Non-2xx|unable' "$work/wrk"
		awk '/requests in/ { print $1 > 500 ? "it served" : "it served few: " $0 }' "$work/wrk"
	fi
	# By the name that ps shows; behind the door it has a number of its own.
	master=$(pgrep -n -f "^nginx: master process.*$work/nginx.conf") || return 1
	kill -HUP "$master"
	for i in $(seq 300); do
		[ "$(nginx_said 'worker process [0-9]* exited with code 0')" -ge 2 ] && break
		sleep 0.02
	done
	nginx_fetch
	echo "workers started: $(nginx_said 'start worker process [0-9]'), ended: $(nginx_said 'exited with code 0')"
	kill -QUIT "$master"
}
# What it complains of in its log, without times and process numbers.
nginx_end() {
	[ -f "$out/error.log" ] || return
	sed -n 's/.*\[\(warn\|error\|crit\|alert\|emerg\)\] [0-9#]*: /\1: /p' "$out/error.log" |
		grep -vE '/missing" failed|prctl\(PR_SET_DUMPABLE\) failed|initgroups\(root, 0\) failed' | sort -u >>"$work/$what.out"
	rm -f "$out/error.log"
}
after=nginx_end nginx_load=1
command -v wrk >/dev/null || { skip "nginx under load" "wrk is not installed"; nginx_load=; }
server "$nginx_port" nginx_drive 1 "nginx" "stdio,inet,sendfd,recvfd,rpath,wpath,cpath,proc$nginx_promises" \
	"rwc:$out r:$work/htdocs r:$work/nginx.conf" "b=tcp:127.0.0.1:$nginx_port" "$tls|$users|no promise allows this" \
	nginx -e "$out/error.log" -c "$work/nginx.conf"
after=:
