# SPDX-License-Identifier: ISC
# python3 as a server behind the door, spoken to by clients without one, and by clients behind doors of their own. Sourced.
set -- $(python3 "$here/network/ports.py" 4)
p1=$1 p2=$2 p3=$3 p4=$4
python_probes="$client_python|promise prot_exec|connect udp:.*:53|unveil /etc/mime.types r|unveil (/usr/local)?/etc/.* r"
mkdir "$work/serve"
cp -Rp "$work/www/." "$work/serve/"

http_drive() {
	for f in big small dir/other dir/ missing; do
		curl -sS -m 5 "http://127.0.0.1:$p1/$f" | sha256sum
	done
	curl -sS -m 5 --no-progress-meter -Z "http://127.0.0.1:$p1/small?[1-40]"
}
server "$p1" http_drive "" "python3 -m http.server" stdio,inet,rpath "$python r:$work/serve" "b=tcp:127.0.0.1:$p1" \
	"$python_probes" python3 -m http.server --directory "$work/serve" --bind 127.0.0.1 "$p1"

# door "PROMISES" "OPTIONS" COMMAND...: the client has a door, too.
door() {
	timeout 20 $clean "$airlock" run $pass -p "$1" $2 -- $3 2>&1 | grep -v '^airlock: '
}
talk="python3 $here/network/talk.py"
echo_drive() {
	$talk "$1" "$2"
	door stdio,inet,rpath,proc,prot_exec "-v $python -v $own_talk -c $3:127.0.0.1:$2" "$talk $1 $2"
}
asyncio_drive() { echo_drive asyncio "$p2" tcp; }
many_drive() { echo_drive many "$p3" tcp; }
datagrams_drive() { echo_drive datagrams "$p4" udp; }
server "$p2" asyncio_drive "" "python3, asyncio, both sides" stdio,inet,rpath,prot_exec "$python $own_talk" \
	"b=tcp:127.0.0.1:$p2" "$python_probes" $talk serve-asyncio "$p2"
server "$p3" many_drive "" "python3, a thread for each, both sides" stdio,inet,rpath,prot_exec "$python $own_talk" \
	"b=tcp:127.0.0.1:$p3" "$python_probes" $talk serve-threads "$p3"
server "udp:$p4" datagrams_drive "" "python3, datagrams, both sides" stdio,inet,rpath,prot_exec "$python $own_talk" \
	"b=udp:127.0.0.1:$p4" "$python_probes" $talk serve-datagrams "$p4"
