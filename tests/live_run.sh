#!/bin/sh
# SPDX-License-Identifier: ISC
# live_run.sh AIRLOCK DIR: real programs under `airlock run` give byte for byte what they give without it, and the
# command keeps its word about statuses, limits, variables, descriptors and files. DIR holds the static programs.
set -u
airlock=$1
programs=$2
. "$(dirname "$0")/tap.sh"
prefix="run: "
unset LC_ALL LANG LANGUAGE
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
mkdir data data/sub data/sub/deep out private
python3 -c 'import random; random.seed(1); [print(random.randrange(10**6), "line", i) for i in range(5000)]' >data/lines
seq 1 300 >data/sub/numbers
echo 'hello world' >data/sub/deep/text
ln -s ../lines data/sub/link
echo '<?xml version="1.0"?><a><b c="1">x</b><b/></a>' >data/a.xml
printf 'SECRET\n' >private/secret
chmod 755 data out private

# under NAME STATUS 'OPTIONS' COMMAND...: the same output and status as without airlock.
under() {
	label=$1
	want=$2
	options=$3
	shift 3
	"$@" <"${input:-/dev/null}" >native.out 2>native.err
	native=$?
	# The options are words without blanks, but for the promises, whose blanks are commas.
	timeout 60 "$airlock" run $options -- "$@" <"${input:-/dev/null}" >run.out 2>run.err
	status=$?
	if [ "$status" = "$want" ] && [ "$native" = "$want" ]; then
		same "$label" native.out run.out
	else
		failed=1
		echo "not ok $prefix$label"
		echo "# status $status, natively $native, expected $want; standard error:"
		head -n 5 run.err | sed 's/^/# /'
	fi
}

# status NAME STATUS PATTERN ARGUMENTS...: of airlock itself, and what standard error must say.
status() {
	label=$1
	want=$2
	pattern=$3
	shift 3
	timeout 60 "$airlock" "$@" <"${input:-/dev/null}" >run.out 2>run.err
	got=$?
	if [ "$got" = "$want" ] && { [ -z "$pattern" ] || grep -q -e "$pattern" run.err; }; then
		echo "ok $prefix$label"
	else
		failed=1
		echo "not ok $prefix$label"
		echo "# status $got, expected $want; standard error must match '$pattern', it is:"
		head -n 5 run.err | sed 's/^/# /'
	fi
}

data=$work/data
under "true" 0 "" /bin/true
under "false" 1 "" /bin/false
under "echo, found in PATH" 0 "" echo a b c
input=data/lines
under "sort of standard input" 0 "" sort -n
under "sed of standard input" 0 "" sed -e 's/line/LINE/' -e '10q'
under "wc of standard input" 0 "" wc
under "cat of standard input" 0 "" cat
unset input
under "sort" 0 "-p stdio,rpath -v r:$data" sort -n "$data/lines"
under "sort, several files" 0 "-p stdio,rpath -v r:$data" sort -r "$data/lines" "$data/sub/numbers"
under "sed" 0 "-p stdio,rpath -v r:$data" sed -n 's/1/one/gp' "$data/lines"
under "wc" 0 "-p stdio,rpath -v r:$data" wc "$data/lines" "$data/sub/numbers"
under "wc, one file unveiled" 0 "-p stdio,rpath -v r:$data/lines" wc "$data/lines"
under "cat through a link" 0 "-p stdio,rpath -v r:$data" cat "$data/sub/link"
under "ls -R" 0 "-p stdio,rpath -v r:$data" ls -R "$data"
under "md5sum" 0 "-p stdio,rpath -v r:$data" md5sum "$data/lines" "$data/a.xml"
under "grep -r" 0 "-p stdio,rpath -v r:$data" grep -r hello "$data"
under "find" 0 "-p stdio,rpath -v r:$data -v r:$work" find "$data" -printf '%P %s %y %m\n'
under "stat" 0 "-p stdio,rpath -v r:$data" stat -c '%n %s %a %F %i %Y' "$data/lines" "$data/sub" "$data/sub/link"
under "readlink -f" 0 "-p stdio,rpath -v r:/" readlink -f "$data/sub/link"
(cd "$data" && find . -type f) >find.native
(cd "$data" && "$airlock" run -p stdio,rpath -v "r:$data" find . -type f) >find.run 2>run.err
same "find, relative" find.native find.run
under "find /usr/share/doc" 0 "-p stdio,rpath -v r:/usr/share/doc -v r:$work" find /usr/share/doc -name copyright
under "tar -c" 0 "-p stdio,rpath -v r:$data" tar -cf - --sort=name --numeric-owner -C "$data" .
under "sh" 3 "" /bin/sh -c 'i=0; while [ $i -lt 100 ]; do i=$((i+1)); done; echo $i; exit 3'
under "awk" 0 "-p stdio,rpath -v r:$data" awk '{ s += $1 } END { print s }' "$data/sub/numbers"
under "python3" 0 "-p stdio,rpath,prot_exec -v r:/usr -v r:$data" \
	/usr/bin/python3 -I -c "import json, re, zlib; print(json.dumps(sorted(open('$data/lines'))[:20]), zlib.crc32(b'x'))"
if command -v xmllint >/dev/null; then
	under "xmllint" 0 "-p stdio,rpath -v r:$data" xmllint --format "$data/a.xml"
else
	skip xmllint "it is not installed"
fi
if command -v pdftotext >/dev/null; then
	python3 - >data/a.pdf <<'PDF'
objects = ["<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
    "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 144]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
    "<</Length 44>>stream\nBT /F1 24 Tf 20 100 Td (Hello airlock) Tj ET \nendstream",
    "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
out, offsets = "%PDF-1.4\n", []
for i, body in enumerate(objects):
    offsets.append(len(out))
    out += "%d 0 obj\n%s\nendobj\n" % (i + 1, body)
xref = len(out)
out += "xref\n0 6\n0000000000 65535 f \n" + "".join("%010d 00000 n \n" % o for o in offsets)
print(out + "trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % xref)
PDF
	under "pdftotext" 0 "-p stdio,rpath -v r:$data" pdftotext "$data/a.pdf" -
	is "pdftotext finds the text" grep -q "Hello airlock" run.out
else
	skip pdftotext "it is not installed"
fi
if command -v sqlite3 >/dev/null; then
	sqlite3 data/a.db 'create table t (a integer, b text); with recursive n(i) as (select 1 union all select i+1 from n
		where i < 500) insert into t select i, hex(i) from n;'
	under "sqlite3, reading" 0 "-p stdio,rpath,flock -v r:$data" \
		sqlite3 "file:$data/a.db?mode=ro" 'select sum(a), count(b) from t; select * from t where a % 50 = 0;'
	cp data/a.db out/native.db
	cp data/a.db out/run.db
	sql='delete from t where a % 3 = 0; insert into t values (1000, "new"); select count(*), sum(a) from t;'
	sqlite3 out/native.db "$sql" >native.out
	"$airlock" run -p "stdio rpath wpath cpath flock fattr" -v "rwc:$work/out" sqlite3 "$work/out/run.db" "$sql" \
		>run.out 2>run.err
	same "sqlite3, writing" native.out run.out
	sqlite3 out/native.db .dump >native.out
	sqlite3 out/run.db .dump >run.out
	same "sqlite3 wrote the same" native.out run.out
else
	skip sqlite3 "it is not installed"
fi

# Writing, and only where it may.
"$airlock" run -p "stdio rpath wpath cpath fattr" -v "r:$data" -v "rwc:$work/out" cp "$data/lines" "$work/out/copy" \
	2>run.err
same "cp writes what it reads" data/lines out/copy
# Links, times and modes have no rows in the table of operations yet: contents are what is compared.
tar -cf data.tar -C data --exclude=a.db --exclude=link .
mkdir out/native out/run
tar -xf data.tar --no-same-owner -C out/native
"$airlock" run -p "stdio rpath wpath cpath fattr chown" -v "r:$work/data.tar" -v "rwc:$work/out/run" \
	tar -xf "$work/data.tar" --no-same-owner -C "$work/out/run" 2>run.err
is "tar -x writes the same contents" diff -r out/native out/run
"$airlock" run -p "stdio rpath wpath cpath" -v "rwc:$work/out" touch "$work/outside" 2>run.err
is "touch outside fails" test ! -e outside
"$airlock" run -p "stdio rpath wpath cpath" -v "r:$data" rm -f "$data/lines" 2>run.err
is "rm under a rule that only reads fails" test -e data/lines
status "a hidden file does not exist" 1 "No such file" run -p "stdio rpath" -v "r:$data" cat "$work/private/secret"
is "and nothing of it is printed" test ! -s run.out

# Static programs.
for kind in static musl; do
	if [ -x "$programs/hostile_$kind" ]; then
		status "a $kind program" 0 "" run -- "$programs/hostile_$kind" stat_oracle "$work 1 1 1"
		is "a $kind program prints" grep -q '^result -' run.out
	else
		skip "a $kind program" "there is no compiler for it here"
	fi
done

# Statuses.
status "its own status" 7 "" run -- sh -c 'exit 7'
status "128+N for a signal" 139 "" run -- sh -c 'kill -SEGV $$'
status "128+N for SIGKILL" 137 "" run -- sh -c 'kill -KILL $$'
status "127 for no such program" 127 "airlock: .*nowhere" run -- nowhere-to-be-found
status "127 for no such path" 127 "airlock: " run -- ./nowhere
status "126 for what cannot be executed" 126 "airlock: " run -- ./data/lines
status "125 for an unknown promise, with the nearest" 125 "rpath" run -p "stdio rpaht" -- true
status "125 for an unknown permission" 125 "airlock: " run -v q:/tmp -- true
status "125 for an unknown limit" 125 "airlock: " run -l memroy=1M -- true
status "125 for a bad option" 125 "" run --nonsense -- true
status "125 for no program" 125 "airlock: " run -p stdio
status "125 for an unknown layer" 125 "airlock: " run --tolerate nonsense -- true
status "125 for an unknown command" 125 "unknown command" walk
status "tolerate" 0 "" run --tolerate namespaces,landlock -- true

# Direct trees: the same, without requests; and said, where it cannot be.
under "direct: wc" 0 "-p stdio,rpath -v rd:$data --log $work/direct.log" wc "$data/lines" "$data/sub/numbers" "$data/sub/link"
is "direct: nothing is said" test ! -s run.err
under "direct: ls" 0 "-p stdio,rpath -v rd:$data --log $work/direct.log" ls -R "$data"
under "direct: relative paths" 0 "-p stdio,rpath -v rd:$data --log $work/direct.log" cat data/lines ./data/sub/../lines
is "direct: no open and no stat is a request" sh -c '! grep -q "lines\|numbers\|\"openat\"\|stat\"" "$1"' sh "$work/direct.log"
under "direct: a program of many files" 0 "-p stdio,rpath,prot_exec -v rd:/usr -v rd:$data" \
	/usr/bin/python3 -I -c "import json, sqlite3, decimal; print(len(open('$data/lines').read()))"
under "direct: programs that it runs" 0 "-p stdio,rpath,proc,exec -v rxd:/usr -v rd:$data" \
	sh -c "cd $data/sub && ls | sort && wc -l ../lines && cat deep/text"
status "direct: a brokered rule beside it" 0 "" run -p stdio,rpath,wpath,cpath -v "rd:$data" -v "wc:$work/out" \
	cp "$data/lines" "$work/out/copied"
is "direct: what was copied" cmp -s data/lines out/copied
status "direct: what is hidden is not there" 1 "secret: No such file" run -p stdio,rpath -v "rd:$data" cat "$work/private/secret"
status "direct: nor by .." 1 "secret: No such file" run -p stdio,rpath -v "rd:$data" cat data/sub/../../private/secret
status "direct: it is said where it is not possible" 0 "data: direct is not possible (/etc.* no d); served by the broker" \
	run -p stdio,rpath -v "rd:$data" -v r:/etc cat "$data/lines"
is "direct: and served" cmp -s data/lines run.out

# What it says at the end.
status "the closing line names what was missing" 1 "airlock: .*refused.*unveil $work/private/secret r" \
	run -p "stdio rpath" -v "r:$data" cat "$work/private/secret"
status "the closing line names a promise" 1 "airlock: .*refused.*rpath" run -v "r:$data" cat "$data/lines"
timeout 20 "$airlock" run -- true >run.out 2>run.err
is "no line when nothing was refused" test ! -s run.err

# Limits.
status "limit wall" 137 "airlock: .*wall\|airlock: .*time" run -l wall=300ms -- sleep 20
status "limit cpu" 152 "airlock: .*cpu\|airlock: .*time\|airlock: .*processor" run -l cpu=1s -- sh -c 'while :; do :; done'
status "limit memory" 1 "" run -p stdio,rpath,prot_exec -v r:/usr -l memory=200M -- \
	/usr/bin/python3 -I -c 'x = bytearray(300 << 20)'
is "limit memory is seen by the program" grep -q MemoryError run.err
status "limit file-size" 153 "airlock: dd was ended for a file larger than its limit of 4 KiB" run -l file-size=4K -p "stdio rpath wpath cpath" -v "r:$data" -v "rwc:$work/out" -- \
	dd "if=$data/lines" "of=$work/out/big" bs=64k count=1 status=none
[ "$(wc -c <out/big 2>/dev/null || echo 0)" -le 4096 ]
is "limit file-size bounds the file" test $? = 0
status "limit files" 1 "" run -l files=16 -p stdio,rpath,prot_exec -v r:/usr -v r:$data -- /usr/bin/python3 -I -c "
files = [open('$data/lines') for i in range(40)]"
is "limit files is seen by the program" grep -q "Too many open files" run.err
timeout 60 "$airlock" run -l processes=6 -p "stdio proc" -- \
	sh -c 'for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done' >run.out 2>run.err
is "limit processes is seen by the program" grep -qi "fork\|resource" run.err
cat >"$data/connect" <<'PYTHON'
import socket, sys, time
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
if len(sys.argv) > 1:
    peers = []
    for i in range(int(sys.argv[1])):
        peers.append(socket.socket())
        peers[-1].settimeout(1)
        try:
            peers[-1].connect(listener.getsockname())
        except ConnectionRefusedError:
            pass
else:
    listener.listen()
    client = socket.create_connection(listener.getsockname())
    server = listener.accept()[0]
    client.setblocking(False)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            client.send(bytes(60000))
        except BlockingIOError:
            server.recv(1 << 20)
PYTHON
net="-p stdio,rpath,inet,prot_exec -v r:/usr -v r:$data -c tcp:127.0.0.1:1-65535 -b tcp:127.0.0.1:0"
status "limit connects" 1 "" run -l connects=20 $net -- /usr/bin/python3 -I "$data/connect" 60
is "limit connects is seen by the program" grep -q "BlockingIOError" run.err
status "limit connects, below" 0 "" run -l connects=20 $net -- /usr/bin/python3 -I "$data/connect" 10
status "limit traffic" 137 "airlock: python3 used up its traffic limit" run -l traffic=10M $net -- /usr/bin/python3 -I "$data/connect"

# Variables.
HIDDEN=1 LC_TIME=C TZ=UTC "$airlock" run -e GIVEN=1 -e PASSED -- /usr/bin/env >run.out 2>run.err
is "variables of its own do not pass" sh -c '! grep -q HIDDEN run.out'
is "PATH, TZ and LC_* pass" sh -c 'grep -q ^PATH= run.out && grep -q ^TZ=UTC run.out && grep -q ^LC_TIME=C run.out'
is "-e sets" grep -q '^GIVEN=1$' run.out
PASSED=on "$airlock" run -e PASSED -- /usr/bin/env >run.out 2>run.err
is "-e passes" grep -q '^PASSED=on$' run.out
is "none of airlock's own" sh -c '! grep -q ^AIRLOCK run.out'

# Policy files.
printf 'pledge stdio rpath\nunveil %s r\n' "$data" >policy
under "a policy file" 0 "-P policy" wc "$data/lines"
printf 'pledge stdio\n\nunveil %s rz\n' "$data" >policy
status "a policy file's error names the line" 125 "line 3" run -P policy -- true
printf 'pledge stdio\nunviel %s r\n' "$data" >policy
status "and the nearest word" 125 "line 2.*unveil" run -P policy -- true
status "a policy file that is missing" 125 "airlock: " run -P nowhere -- true

# The log.
"$airlock" run -p "stdio rpath" -v "r:$data" --log "$work/log" cat "$data/lines" "$work/private/secret" >run.out 2>run.err
is "the log is lines of JSON" python3 -c '
import json, sys
rows = [json.loads(line) for line in open("log")]
assert len(rows) >= 2 and any("secret" in json.dumps(r) for r in rows) and any("lines" in json.dumps(r) for r in rows)'

# Violations.
status "by default a violation fails and is reported" 0 "airlock: .*refused" run -- sh -c '{ echo x >/nowhere/x; } 2>/dev/null; exit 0'
status "--on-violation kill" 137 "airlock: " run --on-violation kill -p stdio -- "$programs/hostile_one" set_user "$work 1 1 1"
is "and it is stopped before it can say anything" sh -c '! grep -q result run.out'

# Descriptors.
exec 9<private/secret 7>"$work/leak"
"$airlock" run -- sh -c '{ read x <&9 && echo $x; echo leaked >&7; } 2>/dev/null' >run.out 2>run.err
exec 9<&- 7>&-
is "no other descriptor passes" sh -c 'test ! -s leak && ! grep -q SECRET run.out'
"$airlock" run -- sh -c 'echo out; echo err >&2' >run.out 2>run.err
is "standard output passes" test "$(cat run.out)" = out
is "standard error passes" grep -q '^err$' run.err
"$airlock" run -- cat <&- >run.out 2>run.err
is "standard input may be closed" test $? -le 1
echo through | "$airlock" run -- cat 2>run.err | cat >run.out
is "it is part of a pipe" test "$(cat run.out)" = through
"$airlock" check >run.out 2>run.err
is "check prints the layers" sh -c 'grep -q "^seccomp" run.out && grep -q "^landlock" run.out'
exit $failed
