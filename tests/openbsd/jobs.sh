# SPDX-License-Identifier: ISC
# The jobs of openbsd_programs.sh: PROGRAM, name, fixture, exit status, a script with $bin. Sourced.

# ---- signify: "stdio rpath wpath cpath tty", then what each of its works takes ----
signed() {
	if [ ! -d "$work/keys" ]; then
		mkdir "$work/keys"
		(cd "$work/keys" && "$dir/pledged/signify" -G -n -p key.pub -s key.sec && seq 1 2000 >message &&
			"$dir/native/signify" -G -n -p other.pub -s other.sec &&
			cp message changed && echo more >>changed && gzip -kn message &&
			"$dir/native/signify" -S -s key.sec -m message -x message.sig &&
			sha256sum --tag message changed >sums && "$dir/native/signify" -S -e -s key.sec -m sums -x sums.sig &&
			echo >>changed && sha256sum --tag message >good && "$dir/native/signify" -S -e -s key.sec -m good -x good.sig)
	fi
	cp "$work/keys"/* .
}
job signify "signify -G" signed 0 '$bin/signify -G -n -c key -p new.pub -s new.sec && $bin/signify -S -s new.sec -m message &&
	$bin/signify -V -p new.pub -m message && stat -c %a new.sec new.pub && rm new.* message.sig'
job signify "signify -S" signed 0 '$bin/signify -S -s key.sec -m message -x new.sig && cmp new.sig message.sig && cat new.sig'
job signify "signify -S -e" signed 0 '$bin/signify -S -e -s key.sec -m message -x new.sig && tail -n 3 new.sig'
job signify "signify -S, no such key" signed 1 '$bin/signify -S -s none.sec -m message'
job signify "signify -V" signed 0 '$bin/signify -V -p key.pub -m message && $bin/signify -V -e -p key.pub -m - -x good.sig'
job signify "signify -V, changed" signed 1 '$bin/signify -V -p key.pub -m changed -x message.sig'
job signify "signify -V, another key" signed 1 '$bin/signify -V -p other.pub -m message'
job signify "signify -C" signed 0 '$bin/signify -C -p key.pub -x good.sig'
job signify "signify -C, changed" signed 1 '$bin/signify -C -p key.pub -x sums.sig'
job signify "signify -z" signed 0 '$bin/signify -S -z -s key.sec -m message.gz -x signed.gz &&
	$bin/signify -V -z -p key.pub -x signed.gz | gzip -dc | cmp - message && rm signed.gz'
job signify "signify, damaged files" signed 0 'for f in key.pub message.sig good.sig; do for n in 1 30 60 90; do
	head -c $n $f >cut; $bin/signify -V -p cut -m message; $bin/signify -V -p key.pub -m message -x cut
	$bin/signify -C -p key.pub -x cut; done; done; echo end'
attacked signify "signify -V" signed '$bin/signify -V -q -p key.pub -m message' read=done write=wpath remove=cpath \
	mode=fattr socket=inet fork=proc
attacked signify "signify -C" signed '$bin/signify -C -p key.pub -x good.sig' write=wpath socket=inet

# ---- mandoc: "stdio rpath wpath cpath tmppath tty proc exec", then "stdio rpath" ----
manuals() {
	cp -R "$dir/regress/mdoc" "$dir/regress/man" "$dir/regress/roff" .
}
for format in ascii html; do
	job mandoc "mandoc -T $format" manuals 0 "for f in mdoc/A*/*.in mdoc/B*/*.in mdoc/D*/*.in man/[A-S]*/*.in; do
		echo \$f; \$bin/mandoc -I os=Test -T $format -W warning \$f 2>&1; echo \$?; done"
done
job mandoc "mandoc -T lint" manuals 0 'for f in roff/[a-d]*/*.in; do $bin/mandoc -T lint $f; done; echo end'
job mandoc "mandoc of standard input" manuals 0 'cat mdoc/Bl/*.in | $bin/mandoc -T utf8 2>&1 | sha256sum'
makewhatis='ln -s $bin/mandoc makewhatis; ln -s $bin/mandoc apropos; mkdir -p m/man1 m/man3
	cp mdoc/Nm/*.in m/man1; cp mdoc/Fn/*.in m/man3; cd m
	for f in man1/*.in; do mv $f ${f%.in}.1; done; for f in man3/*.in; do mv $f ${f%.in}.3; done; cd ..'
job mandoc "makewhatis, apropos" manuals 0 "$makewhatis; ./makewhatis -p m 2>&1 | sort; ./makewhatis m; sha256sum <m/mandoc.db
	./apropos -M m Nm~. | sort; ./apropos -M m -s 3 any~f | sort; rm makewhatis apropos"
attacked mandoc "mandoc" manuals '$bin/mandoc mdoc/Nm/basic.in' read=done write=wpath remove=cpath socket=inet fork=proc

# ---- xz: "stdio rpath wpath cpath fattr", nothing for programs that it executes; to standard output "stdio" at last ----
packed() {
	seq 1 40000 >numbers
	cp numbers text
	xz -k -T1 numbers
	head -c 5000 numbers.xz >short.xz
	(head -c 3000 numbers.xz && echo garbage && tail -c +3009 numbers.xz) >bad.xz
	touch -d '2001-02-03 04:05:06' text numbers.xz
	chmod 640 text
}
job xz "xz" packed 0 '$bin/xz -T1 text && stat -c "%a %Y" text.xz && $bin/xz -d text.xz && stat -c "%a %Y" text'
job xz "xz -T2" packed 0 '$bin/xz -k -T2 --block-size=64KiB text && $bin/xz -dc -T2 text.xz | cmp - numbers'
job xz "xz -dc" packed 0 '$bin/xz -dc numbers.xz; $bin/xz -dc <numbers.xz | sha256sum'
job xz "xz -t, damaged" packed 1 '$bin/xz -tv numbers.xz short.xz bad.xz'
job xz "xz -l" packed 0 '$bin/xz -lvv numbers.xz'
job xz "xz, what is there already" packed 1 '$bin/xz -k numbers'
job xz "xz --files" packed 0 'printf "text\nnumbers\n" >list; $bin/xz -T1 -f --files=list'
attacked xz "xz -dc" packed '$bin/xz -dc numbers.xz' read=rpath write=wpath socket=inet fork=proc
attacked xz "xz" packed '$bin/xz -T1 text' read=done socket=inet fork=proc

# ---- mblaze: each tool its own set; mshow forks its filters ----
mail() {
	mkdir -p box/cur box/new box/tmp
	for i in 1 2 3 4 5 6 7 8; do
		printf 'From: "User %d" <user%d@example.org>\nTo: all@example.org\nSubject: =?UTF-8?Q?caf=C3=A9_%d?=\nMessage-Id: <%d@x>\n%sDate: Thu, 0%d Jun 2023 10:00:00 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=ISO-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nHello =E9 number %d\n' \
			$i $i $i $i "$([ $i -lt 3 ] || echo "In-Reply-To: <$((i / 2))@x>
")" $i $i >"box/cur/$i.x:2,S"
	done
}
blaze() {
	[ -e "$dir/pledged/mblaze" ] || return
	job mblaze "$@"
}
blaze "mlist, msort, mthread, mscan" mail 0 'export MBLAZE=$PWD; m=$bin/mblaze; $m/mlist box | $m/msort -d | $m/mthread |
	$m/mscan -f "%D %f %s"; $m/mlist -C box'
blaze "mhdr, maddr" mail 0 'm=$bin/mblaze; for f in box/cur/*; do $m/mhdr -d $f; $m/mhdr -h subject -d $f; $m/maddr $f; done'
# Its conversion of ISO 8859-1 is a module that libc loads.
blaze "mshow" mail 0 'm=$bin/mblaze; for f in box/cur/*; do $m/mshow -n $f; $m/mshow -t $f; $m/mshow -r $f | sha256sum; done'
blaze "mshow, a filter" mail 0 'export MBLAZE=$PWD; printf "text/plain: tr a-z A-Z\n" >filter; $bin/mblaze/mshow box/cur/1*'
blaze "mpick" mail 0 'm=$bin/mblaze; $m/mlist box | $m/mpick -t "subject =~ \"3\" || from =~ \"user5\""'
# Under a name with an f in it, be it the directory's, it is mrefile(1).
blaze "mdeliver" mail 0 'PATH=$bin/mblaze:$PATH; for f in box/cur/*; do mdeliver box <$f; done
	cat box/new/* | sort | sha256sum; ls box/new | wc -l; rm box/new/*'
blaze "mexport" mail 0 'TZ=UTC; for f in box/cur/*; do touch -d 2020-01-01 $f; $bin/mblaze/mexport $f; done'
blaze "mmime" mail 0 'printf "To: x@example.org\nSubject: a\n\nbody\n#text/plain box/cur/1.x:2,S\n" >m; $bin/mblaze/mmime -r <m'
attacked mblaze "mhdr" mail '$bin/mblaze/mhdr box/cur/1.x:2,S' read=done write=wpath remove=cpath socket=inet fork=proc

# ---- bgpctl: "stdio rpath wpath cpath unix inet dns", and "stdio" for what routers send ----
routes() {
	python3 - >routes.mrt <<'PY'
import struct, sys
def record(kind, sub, body):
    return struct.pack(">IHHI", 1600000000, kind, sub, len(body)) + body
peers = b"".join(struct.pack(">B4s4sI", 2, bytes([10, 0, 0, i]), bytes([192, 0, 2, i]), 65000 + i) for i in (1, 2, 3))
out = record(13, 1, b"\x0a\0\0\x01" + struct.pack(">H", 4) + b"view" + struct.pack(">H", 3) + peers)
for n in range(100):
    path = b"\x40\x01\x01\0\x40\x02" + bytes([14, 2, 3]) + struct.pack(">III", 65001, 65100 + n, 65200) + \
        b"\x40\x03\x04" + bytes([192, 0, 2, 1])
    entry = struct.pack(">HIH", n % 3, 1600000000, len(path)) + path
    out += record(13, 2, struct.pack(">IB", n, 24) + bytes([198, 51, n]) + struct.pack(">H", 1) + entry)
sys.stdout.buffer.write(out)
PY
	head -c 3000 routes.mrt >short.mrt
	(head -c 1000 routes.mrt && printf '\377\377\377\377' && tail -c +1005 routes.mrt) >bad.mrt
}
job bgpctl "bgpctl show mrt" routes 0 '$bin/bgpctl show mrt file routes.mrt; $bin/bgpctl show mrt detail file routes.mrt;
	$bin/bgpctl -j show mrt file routes.mrt | grep -v last_update; $bin/bgpctl show mrt as 65123 file routes.mrt'
job bgpctl "bgpctl, damaged files" routes 0 'for f in short bad; do $bin/bgpctl show mrt detail file $f.mrt; echo $?; done'
attacked bgpctl "bgpctl" routes '$bin/bgpctl show mrt file routes.mrt' read=rpath write=wpath remove=cpath socket=inet fork=proc

# ---- lockspool: unveil(its spool, "rwc"), "stdio rpath wpath getpw cpath fattr" ----
spool() {
	mkdir spool
}
job lockspool "lockspool" spool 0 'export SPOOL=$PWD/spool; mkfifo in out; $bin/lockspool <in >out & exec 5>in; read -r got <out
	echo "$got"; ls spool; exec 5>&-; wait $!; echo $?; ls spool; rm in out'
attacked lockspool "lockspool" spool 'SPOOL=$PWD/spool $bin/lockspool' read=No_such_file write=No_such_file \
	remove=No_such_file socket=inet fork=proc

# ---- rpki-client: four processes; unveil(cache, "r"), unveil(output, "rwc"), each with promises of its own ----
anchors() {
	mkdir -p cache/ta/x out
	if [ ! -f "$work/ta.cer" ]; then
		openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/ta.key" -outform DER -out "$work/ta.cer" -subj /CN=ta \
			-days 30 >/dev/null 2>&1
	fi
	cp "$work/ta.cer" cache/ta/x/
	(echo rsync://example.org/x/ta.cer && echo && openssl x509 -inform DER -in "$work/ta.cer" -noout -pubkey | grep -v -e -----) \
		>x.tal
	[ "$(id -u)" != 0 ] || chown -R 65534 .
	chmod 755 "$work" .
}
rpki='2>&1 | grep -v -e "^Processing time" -e setproctitle; sed -i -e "/Processing time/d" -e "/[0-9][0-9]:[0-9][0-9]:[0-9][0-9]/d" -e "/^#/d" -e "/buildtime\|elapsed\|usertime\|systemtime\|force_roa_table_update/d" out/* 2>/dev/null; ls out; cat out/csv'
job rpki-client "rpki-client -n" anchors 0 'umask 022; $bin/rpki-client -n -c -j -o -B -t x.tal -d $PWD/cache $PWD/out '"$rpki"
job rpki-client "rpki-client -n, damaged" anchors 0 'dd if=/dev/zero of=cache/ta/x/ta.cer bs=1 seek=100 count=9 conv=notrunc 2>/dev/null
	$bin/rpki-client -n -v -c -t x.tal -d $PWD/cache $PWD/out '"$rpki"

# ---- a Korn shell under the promises of OpenBSD's: "stdio rpath wpath cpath fattr flock getpw proc exec tty" ----
shells() {
	seq 1 300 >numbers
	mkdir d
	cat >work.ksh <<'KSH'
# A signal that comes before a child has let go of its shell's handlers is lost, there as here: hence the pause.
typeset -i total=0
while read -r n; do (( total += n )); done <numbers
print -r -- "$total"
set -A list a b c; print -- "${#list[*]} ${list[2]}"
cat <<EOF
here $(echo inner | tr a-z A-Z)
EOF
sort -rn numbers | head -n 3
for f in d numbers nothing; do [[ -e $f ]] && print -- "$f is there"; done
(cd d; echo in >file; pwd | sed 's|.*/||'; umask 077; : >private)
f() { typeset x=$1; (( x <= 1 )) && print 1 && return; print $(( x * $(f $((x - 1))) )); }
f 10
/bin/sleep 0.1 & wait $!; print "waited $?"
/bin/sleep 60 & /bin/sleep 0.3; kill $!; wait $! 2>/dev/null; print "killed $?"
trap 'print trapped' USR1; kill -USR1 $$
trap 'rm -f d/private; print end' EXIT
mv d/file d/other; ln -s other d/link; chmod 600 d/other; cat d/link
print -- ~root; test -w numbers && print writable
exec 5>out; print -u5 five; exec 5>&-; cat out
print "$(($(wc -l <numbers) + 1))"; getopts ab:c o -b x; print "$o $OPTARG"
command -v no_such_program || print none
ls d | sort
exit 7
KSH
	printf 'echo secret >%s/target\ncat /dev/tcp/x\n(exec 3<>/dev/null; echo ok >&3)\n' "$work" >more.ksh
}
job mksh "a shell script" shells 7 '$bin/mksh work.ksh'
job mksh "a shell script, of standard input" shells 7 '$bin/mksh <work.ksh'
job mksh "a shell's pipelines" shells 0 '$bin/mksh -c "cat numbers | grep 1 | sed s/1/one/ | sort | uniq -c | wc -l; :"'
job mksh "a shell's loop of programs" shells 0 '$bin/mksh -c "for i in 1 2 3 4 5 6 7 8 9 10; do echo \$i | cat; done >f; cat f"'
job mksh "a shell's errors" shells 127 '$bin/mksh -c "cat nothing; echo x >nothing/x; ./numbers; no_such_program"'
attacked mksh "a shell" shells '$bin/mksh -c ":"' write=done mode=done socket=inet
