# SPDX-License-Identifier: ISC
# dnsmasq and dig, each behind the door, on a port of their own. Sourced.
command -v dnsmasq >/dev/null && command -v dig >/dev/null || { skip "dig and dnsmasq" "they are not installed"; return; }
set -- $(python3 "$here/network/ports.py" 2)
dns_port=$1 dns_behind=$2
printf '10.9.8.7 alpha.test\nfd00::1 alpha.test\n' >"$work/names"
dnsmasq_options="--no-daemon --conf-file=/dev/null --listen-address=127.0.0.1 --bind-interfaces --no-resolv --no-hosts
	--addn-hosts=$work/names --log-facility=- --user= --group="
serve "$dns_port" dnsmasq $dnsmasq_options --port="$dns_port"
probes="$malloc|$users|$tls|$home"
dig="dig +tries=1 +time=3 +short @127.0.0.1"
# It binds itself to any port, which who may connect or send may do.
client "dig" stdio,inet,unix,rpath "" "!b=udp:0.0.0.0:0 c=udp:127.0.0.1:$dns_port" "$probes" $dig -p "$dns_port" alpha.test A alpha.test AAAA
client "dig +tcp" stdio,inet,unix,rpath "" "!b=tcp:0.0.0.0:0 c=tcp:127.0.0.1:$dns_port" "$probes" \
	$dig +tcp -p "$dns_port" alpha.test

dns_drive() {
	$dig -p "$dns_behind" alpha.test A alpha.test AAAA nothing.test
	$dig +tcp -p "$dns_behind" alpha.test
}
server "$dns_behind" dns_drive "" "dnsmasq" stdio,inet,rpath,route "r:$work/names" \
	"b=udp:127.0.0.1:$dns_behind b=tcp:127.0.0.1:$dns_behind" \
	"$probes|unveil /proc r|no promise allows this" dnsmasq $dnsmasq_options --port="$dns_behind"
