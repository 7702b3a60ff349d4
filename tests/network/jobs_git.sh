# SPDX-License-Identifier: ISC
# git: the client behind the door, of a daemon without one; the daemon behind the door, of a client without one; a push
# through the file system. Sourced. git asks for each directory above what it works in, which takes `r` for them.
command -v git >/dev/null || { skip "git" "git is not installed"; return; }
any "git clone" "git push" "git daemon" || return 0
set -- $(python3 "$here/network/ports.py" 2)
git_port=$1 git_behind=$2
mkdir "$work/git"
(
	export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
	export GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000001 +0000'
	cd "$work/git" && git init -q -b main project && cd project || exit
	for i in $(seq 40); do
		seq "$i" 900 >"file-$i"
		git add . && git commit -q -m "commit $i"
	done
	git clone -q --bare . ../project.git
	git -C ../project.git config pack.threads 1 # that the same is sent each time
	touch ../project.git/git-daemon-export-ok
	seq 1000 >more && git add . && git commit -q -m more
)
git="rx:/usr/lib/git-core"
parents="$(dirname "$work")"
probes="$users|$home|$tls|unveil /usr/share/(git-core|locale).* r|unveil $work/git.* r|unveil $in.* r|unveil /etc/.* r|unveil /proc r"
serve "$git_port" git daemon --listen=127.0.0.1 --port="$git_port" --base-path="$work/git" --reuseaddr
where=$out
client "git clone" stdio,inet,rpath,wpath,cpath,fattr,proc,exec "$git r:/usr/share/git-core r:$parents rwc:$out" "c=tcp:127.0.0.1:$git_port" \
	"$probes" git clone -q "git://127.0.0.1:$git_port/project.git" copy
git_before() {
	git init -q --bare -b main "$out/bare"
	rm -rf "$out/bare/hooks"
}
before=git_before where=$work/git/project
client "git push" stdio,rpath,wpath,cpath,proc,exec \
	"$git rx:$(realpath /bin/sh) r:$parents rwc:$out" "" "$probes|promise fattr" \
	git -c pack.threads=1 push -q "file://$out/bare" main
before=: where=$in

git_drive() {
	git clone -q "git://127.0.0.1:$git_behind/project.git" "$work/cloned" && git -C "$work/cloned" log --format=%H | sha256sum
	git ls-remote "git://127.0.0.1:$git_behind/project.git"
	git ls-remote "git://127.0.0.1:$git_behind/project" 2>&1 | head -n 1
	rm -rf "$work/cloned"
}
server "$git_behind" git_drive "" "git daemon" stdio,inet,rpath,proc,exec "rx:/usr/lib/git-core r:$parents" \
	"b=tcp:127.0.0.1:$git_behind" "$probes|promise wpath|unveil .* wc?" \
	git daemon --listen=127.0.0.1 --port="$git_behind" --base-path="$work/git" --reuseaddr --timeout=5
