# SPDX-License-Identifier: ISC
# A job of programs.sh: what shell scripts do. Run by dash and by bash.
echo "in $(basename "$PWD") with $#"
trap 'echo leaving; rm -f out/temporary' EXIT
trap 'echo interrupted' USR1
cat >out/here <<END
home $((1 + 2)) $(echo inner) \$kept
END
cat <<'END' | tr a-z A-Z | sed 's/T/t/' >out/upper
quoted $HOME `none`
END
cat out/here out/upper
seq 1 100 | while read -r n; do
	case $n in *7) echo "$n" ;; esac
done | sort -rn | head -n 3
exec 3<src/numbers 4>out/four
read -r a <&3
read -r b <&3
echo "$a $b" >&4
exec 3<&- 4>&-
cat out/four 2>&1
cat src/none 2>out/errors || echo "status $?"
cat out/errors
(cd src/dir && pwd | sed 's,.*/src,src,' && cd .. && ls -d dir)
cd src && cd softdir && echo "${PWD##*/}" && cd -P . && echo "${PWD##*/}" && cd "$OLDPWD" && cd ../..
umask 077
: >out/private
mkdir out/private.d
umask 022
(umask 0; : >out/open)
ls -ln out | cut -c1-10 | sort | uniq -c
[ -x src/dir/run.sh ] && [ ! -x src/one ] && [ -L src/dangling ] && [ ! -e src/dangling ] && [ -p src/fifo ] && echo tests
[ -r src/numbers ] && [ -w src/numbers ] && [ -d src/softdir ] && [ -s src/numbers ] && [ ! -s src/nothing ] && echo more
[ src/one -ot src/numbers ] || echo newer
for f in src/*; do echo "$f"; done
echo src/dir/*/c* src/none*
sleep 0.3 &
first=$!
(sleep 0.1; echo background >out/background) &
wait $!
cat out/background
wait $first
echo "waited $?"
(cat <src/fifo >out/fromfifo &
	echo through >src/fifo
	wait)
cat out/fromfifo
kill -USR1 $$
sh -c 'kill -TERM $$'
echo "ended by $?"
sh src/dir/run.sh argument
src/dir/run.sh "two words"
src/one
echo "not executable $?"
none-of-this-name 2>/dev/null
echo "not found $?"
f() { local x=1; echo "f $1 $x"; return 4; }
f arg
echo "returned $?"
x=$(cat src/numbers | wc -l) && echo $((x * 2))
y=$(printf 'a\nb\n' | { read -r z; echo "$z"; })
echo "$y"
set -- one "two three"
for i; do echo "<$i>"; done
echo >out/temporary
! false && true || echo wrong
set -C
(echo x >src/one) 2>/dev/null || echo "noclobber"
set +C
find src -type f -name '*i*' -print0 | sort -z | xargs -0 ls -d
test "$(command -v cat)" = /usr/bin/cat && echo "found in PATH"
times >/dev/null
ulimit -n 20
(ulimit -n) 
(exec cat src/one)
exec sh -c 'echo the end; exit 6'
