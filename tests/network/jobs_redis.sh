# SPDX-License-Identifier: ISC
# redis: each side behind the door, by TCP and by a local socket. Sourced.
command -v redis-server >/dev/null || { skip "redis" "redis-server is not installed"; return; }
any redis-cli "redis-cli, by a local socket" "redis-benchmark, pipelined, with threads" \
	"redis-server, at a local socket" || return 0
set -- $(python3 "$here/network/ports.py" 2)
redis_port=$1 behind=$2
mkdir "$work/redis"
serve "$redis_port" redis-server --port "$redis_port" --bind 127.0.0.1 --unixsocket "$work/redis.sock" --save "" \
	--dir "$work/redis"
# To both kinds of sockets it says how to be kept alive.
probes="$malloc|$users|$tls|$home|promise inet"
client "redis-cli" stdio,inet "" "c=tcp:127.0.0.1:$redis_port" "$probes" redis-cli -p "$redis_port" set key value
client "redis-cli, by a local socket" stdio,unix "w:$work/redis.sock" "" "$probes" redis-cli -s "$work/redis.sock" get key
edit='s/.*\r//; s/[0-9.]* requests per second.*/some/'
client "redis-benchmark" stdio,inet "" "c=tcp:127.0.0.1:$redis_port" "$probes" \
	redis-benchmark -p "$redis_port" -n 3000 -c 20 -q -t get,set,lpush
client "redis-benchmark, pipelined, with threads" stdio,inet "" "c=tcp:127.0.0.1:$redis_port" "$probes" \
	redis-benchmark -p "$redis_port" -n 20000 -c 20 -q -P 16 --threads 2 -t get,set
edit=

# Speaks to it, by the socket that $redis says, lets a child of it write everything down, and ends it.
redis_drive() {
	seq 1 200 | sed 's/\(.*\)/set key:\1 "value \1"/' | redis-cli $redis | sort | uniq -c
	redis-cli $redis get key:77
	redis-cli $redis bgsave
	for i in $(seq 200); do
		redis-cli $redis info persistence | grep -q '^rdb_bgsave_in_progress:1' || break
	done
	redis-cli $redis info persistence | grep '^rdb_last_bgsave_status'
	redis-cli $redis set later 1
	redis-cli $redis shutdown save
	redis-cli $redis shutdown nosave >/dev/null 2>&1
	# What is in it has times.
	redis-check-rdb "$out/dump.rdb" | grep -e 'keys read' -e 'looks OK'
	rm "$out/dump.rdb"
}
probes="$probes|unveil /proc r|unveil /sys/.* r|unveil /tmp.* r"
redis="-p $behind"
server "$behind" redis_drive 1 "redis-server" stdio,inet,rpath,wpath,cpath,proc "rwc:$out" "b=tcp:127.0.0.1:$behind" \
	"$probes" redis-server --port "$behind" --bind 127.0.0.1 --save "" --dir "$out"
redis="-s $out/redis.sock"
server "$out/redis.sock" redis_drive 1 "redis-server, at a local socket" stdio,unix,rpath,wpath,cpath,proc \
	"rwc:$out" "" "$probes" redis-server --port 0 --unixsocket "$out/redis.sock" --save "" --dir "$out"
