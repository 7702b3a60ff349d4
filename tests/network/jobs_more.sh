# SPDX-License-Identifier: ISC
# ssh-keyscan, rsync, nc and socat behind the door. Sourced.
set -- $(python3 "$here/network/ports.py" 2)
ssh_port=$1 rsync_port=$2
if [ ! -x /usr/sbin/sshd ] || ! command -v ssh-keyscan >/dev/null; then
	skip "ssh-keyscan" "openssh is not installed"
elif wanted ssh-keyscan; then
	ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/host_key"
	sshd="/usr/sbin/sshd -D -e -f /dev/null -h $work/host_key -o ListenAddress=127.0.0.1 -o Port=$ssh_port -o PidFile=none"
	# As root it wants a directory that is made when the machine starts it.
	[ "$(id -u)" != 0 ] || sshd="unshare -m sh -c 'mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec $sshd'"
	serve "$ssh_port" sh -c "exec $sshd"
	client "ssh-keyscan" stdio,inet "" "c=tcp:127.0.0.1:$ssh_port" \
		"$users|$tls|$home|unveil /proc r|unveil (/sys/fs)?/selinux r|unveil /etc/selinux.* r" \
		ssh-keyscan -T 3 -p "$ssh_port" -t ed25519 127.0.0.1
fi

cat >"$work/rsyncd.conf" <<CONF
use chroot = no
[site]
path = $work/www
CONF
serve "$rsync_port" rsync --daemon --no-detach --address=127.0.0.1 --port="$rsync_port" --config="$work/rsyncd.conf" \
	--log-file=/dev/null
where=$out
client "rsync" stdio,inet,rpath,wpath,cpath,fattr,proc "rwc:$out" "c=tcp:127.0.0.1:$rsync_port" \
	"$users|$tls|$home|unveil /etc/popt.* r" \
	rsync -rt "rsync://127.0.0.1:$rsync_port/site/" .
where=$in

printf 'GET /small HTTP/1.0\r\n\r\n' >"$in/request"
if command -v socat >/dev/null; then
	edit='/^Date: /d'
	client "socat" stdio,inet,rpath "r:$in/request" "$to$http" "$users" socat -t 3 "TCP:127.0.0.1:$http" 'OPEN:request,rdonly!!STDOUT'
	edit=
else
	skip "socat" "it is not installed"
fi
