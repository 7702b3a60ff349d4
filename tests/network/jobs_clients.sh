# SPDX-License-Identifier: ISC
# Clients behind the door, of servers that have none. Sourced.
mkdir "$work/www" "$work/www/dir"
python3 - "$work" <<'PY'
import random, sys
r = random.Random(1)
for name, size in (("www/big", 2000000), ("www/dir/other", 30000), ("in/upload", 300000)):
    open(sys.argv[1] + "/" + name, "wb").write(r.randbytes(size))
PY
echo "a small file" >"$work/www/small"
touch -d '2001-02-03 04:05:06' "$work/www/big" "$work/www/dir/other" "$work/www/small"
python3 "$here/network/site.py" "$work" >"$work/site.log" 2>&1 &
running="$running $!"
wait_for $! "$work/site.sock" && tail --pid=$! -f /dev/null &
waiter=$!
running="$running $waiter"
while [ ! -f "$work/ports" ] && kill -0 $waiter 2>/dev/null; do
	sleep 0.02
done
if ! . "$work/ports"; then
	sed 's/^/# /' "$work/site.log"
	exit 1
fi
to="c=tcp:127.0.0.1:"
site="http://127.0.0.1:$http"
probes="$tls|$users|$home"

client "curl" stdio,inet "" "$to$http" "$probes" curl -sS "$site/big"
client "curl, 100 in parallel" stdio,inet,wpath,cpath "wc:$out" "$to$http" "$probes" \
	curl -sS --no-progress-meter -Z --parallel-max 100 -o "$out/#1" "$site/number/[1-100]"
client "curl, IPv6" stdio,inet "" "c=tcp:[::1]:$six" "$probes" curl -sS "http://[::1]:$six/small"
client "curl, --unix-socket" stdio,unix "w:$work/site.sock" "" "$tls|$users" \
	curl -sS --unix-socket "$work/site.sock" http://site/small
client "curl, happy eyeballs" stdio,inet "" "$to$http ?c=tcp:[::1]:$http" "$probes" \
	curl -sS --resolve "both.test:$http:[::1],127.0.0.1" "http://both.test:$http/small"
client "curl, upload" stdio,inet,rpath "r:$in/upload" "$to$http" "$probes" curl -sS -T upload "$site/upload"
client "curl, redirected" stdio,inet "" "$to$http $to$second" "$probes" curl -sSL "$site/elsewhere"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=airlock-tests-ca \
	-keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=secure.test -keyout "$work/tls.key" \
	-out "$work/tls.csr" 2>/dev/null
printf 'subjectAltName=IP:127.0.0.1\n' >"$work/tls.ext"
openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -days 2 -set_serial 1 \
	-extfile "$work/tls.ext" -out "$work/tls.pem" 2>/dev/null
tls_port=$(python3 "$here/network/ports.py" 1)
(cd "$work/www" && exec openssl s_server -quiet -accept "127.0.0.1:$tls_port" -cert "$work/tls.pem" -key "$work/tls.key" \
	-WWW) >"$work/serve.log" 2>&1 </dev/null &
running="$running $!"
wait_for $! "$tls_port"
client "curl, HTTPS" stdio,inet,rpath "r:$work/ca.pem" "$to$tls_port" "$probes" \
	curl -sS --cacert "$work/ca.pem" "https://127.0.0.1:$tls_port/small"
expect=60
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=another-ca \
	-keyout "$work/other.key" -out "$work/other.pem" 2>/dev/null
client "curl, HTTPS, of another CA" stdio,inet,rpath "r:$work/other.pem" "$to$tls_port" \
	"$probes|unveil /etc/ssl/certs/.* r" \
	curl -sS --cacert "$work/other.pem" "https://127.0.0.1:$tls_port/small"
unset expect

client "wget -O -" stdio,inet "" "$to$http" "$probes|unveil /etc/wgetrc r" wget -q -t 1 -O - "$site/small"
where=$out edit='s/^20[0-9-]* [0-9:]* //; /^FINISHED/d; /^Total wall/d; /^Downloaded:/d'
client "wget -r" stdio,inet,rpath,wpath,cpath,fattr "rwc:$out" "$to$http" "$probes|unveil /etc/wgetrc r" \
	wget -nv -t 1 -r "$site/"
where=$in edit=

python="r:/usr"
client_python="$probes|unveil $in r|unveil $here.* r|unveil $(dirname "$work").* r|unveil /pyvenv.cfg r|unveil /etc/python3.* r"
own_talk="r:$here/network/talk.py"
client "python3, urllib" stdio,inet,rpath,prot_exec "$python $own_talk" "$to$http" "$client_python" \
	python3 "$here/network/talk.py" urllib "$http"
client "python3, asyncio" stdio,inet,rpath,prot_exec "$python $own_talk" "$to$echo" "$client_python" \
	python3 "$here/network/talk.py" asyncio "$echo"
client "python3, threads and processes" stdio,inet,rpath,proc,prot_exec "$python $own_talk" "$to$echo" "$client_python" \
	python3 "$here/network/talk.py" many "$echo"
client "python3, datagrams" stdio,inet,rpath,prot_exec "$python $own_talk" "c=udp:127.0.0.1:$datagrams" "$client_python" \
	python3 "$here/network/talk.py" datagrams "$datagrams"
