# SPDX-License-Identifier: ISC
# Jobs of programs that pack, copy, keep versions, compile, and of interpreters. Most start others. Sourced by programs.sh.
r="-p $read -v r$direct:$tree"
w="-p $write -v rwc$direct:$tree"
x="-p $start -v rwxc$direct:$tree $usr"
# ld, python and perl load more code later; make sets its own ids anew.
load="-p $start,id,prot_exec -v rwxc$direct:$tree $usr"

# Made once: archives hold numbers of inodes and times.
packed() {
	everything
	if [ ! -d "$work/packed" ]; then
		mkdir "$work/packed"
		tar -cf "$work/packed/all.tar" --sort=name src
		tar -czf "$work/packed/all.tar.gz" --sort=name src
		tar -cJf "$work/packed/all.tar.xz" --sort=name src/dir
		(cd src && find . -depth | LC_ALL=C sort | cpio -o -H newc --quiet) >"$work/packed/all.cpio"
		seq 1 5000 | sed 's/7/seven/' >"$work/packed/changed"
		gzip -n <src/numbers >"$work/packed/numbers.gz"
		diff -u --label src/numbers --label changed src/numbers "$work/packed/changed" >"$work/packed/change.patch"
		touch -d '2006-07-08 09:10:11.25' "$work/packed/"*
	fi
	cp -a "$work/packed/." .
}

job "tar -c" everything "$w" tar -cf out/all.tar --sort=name --numeric-owner src
job "tar -c, to standard output" everything "$r" tar -cf - --sort=name --numeric-owner --format=posix --pax-option=delete=atime,delete=ctime src
job "tar -c --sparse" everything "$w" tar -cSf out/all.tar --sort=name --numeric-owner src
job "tar -t" packed "$r" tar -tvf all.tar --numeric-owner
job "tar -x" packed "$w" tar -xf all.tar --numeric-owner -C out
job "tar -xp" packed "$w" tar -xpf all.tar --numeric-owner -C out
job "tar -x over what is there" packed "$w" tar -xf all.tar --numeric-owner
job "tar -x --keep-old-files" packed "$w" tar -xf all.tar --numeric-owner --skip-old-files
status=2
job "tar -x --unlink-first" packed "$w" tar -xf all.tar --numeric-owner -U
status=
job "tar -d" packed "$r" tar -df all.tar
job "tar -r" packed "$w" tar -rf all.tar --numeric-owner src/one
job "tar -cz" everything "$x" tar -czf out/all.tar.gz --sort=name --numeric-owner src
job "tar -xz" packed "$x" tar -xzf all.tar.gz --numeric-owner -C out
job "tar -xJ" packed "$x" tar -xJf all.tar.xz --numeric-owner -C out
job "tar to tar" everything "$x" sh -c 'tar -cf - -C src . | tar -xpf - -C out'
job "cpio -o" everything "$x" sh -c 'find src -depth | sort | cpio -o -H newc --quiet --reproducible | wc -c'
job "cpio -i" packed "$x" sh -c 'cd out && cpio -idm --quiet <../all.cpio'
job "cpio -p" everything "$x" sh -c 'find src -depth | cpio -pdm --quiet out'
job "gzip" everything "$w" gzip -n src/dir/big src/one
job "gunzip" packed "$w" gzip -d -c numbers.gz
job "gzip -d" packed "$w" gzip -d numbers.gz
job "bzip2" everything "$w" bzip2 src/dir/big
job "xz" everything "$w" xz -T1 src/dir/big
job "patch" packed "$w" patch -s src/numbers change.patch
job "patch -b" packed "$w" patch -b -p0 src/numbers change.patch
status=1
job "diff -u" packed "$r" diff -u --label a --label b src/numbers changed
job "diff -rq" everything "$r" diff -rq --no-dereference src/dir src/private
status=
job "file" everything "$r -v r:/usr/share/misc -v r:/usr/share/file -v r:/usr/lib/file -v r:/etc/magic" file src/numbers src/dir/run.sh src/dir src/dangling
input=$here/programs/edits
job "ed" everything "$w -v rwc:/tmp" ed -s src/one
unset input
job "rsync" everything "$x $root" rsync -aH src/ out/
job "rsync, twice" everything "$x $root" sh -c 'rsync -aH src/ out/ && rsync -aHi src/ out/ && echo changed >src/one && rm src/dir/big && rsync -aHi --delete --checksum src/ out/'
job "rsync --inplace --backup" everything "$x $root" sh -c 'rsync -a src/ out/ && echo more >>src/dir/big && rsync -a --inplace --no-whole-file --backup --suffix=.old -i src/ out/'
job "setfattr" everything "$x" sh -c 'setfattr -n user.test -v value src/one && getfattr -d src/one && cp -a src/one out/one && getfattr -d out/one && setfattr -x user.test src/one && getfattr -d src/one'
job "copy_tree" everything "$w" "$own/copy_tree" src out/copy
[ ! -x "$own/copy_tree_musl" ] || job "copy_tree, of musl, static" everything "$w" "$own/copy_tree_musl" src out/copy

git_world() {
	mkdir project
	seq 1 300 >project/numbers
	mkdir project/dir
	for i in 1 2 3 4 5 6 7 8 9; do
		echo "file $i" >project/dir/$i
	done
	echo '#!/bin/sh' >project/dir/run
	chmod 755 project/dir/run
	ln -s dir/1 project/link
	touch -d '2010-01-01 00:00:00' project/dir/* project/numbers
}
if command -v git >/dev/null; then
	script "git" git_world "$x $root" sh <<'EOT'
set -e
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C
export GIT_COMMITTER_EMAIL=c@example.org GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000001 +0000'
export GIT_PAGER=cat GIT_TEMPLATE_DIR=$PWD/none GIT_TEST_DEFAULT_INDEX_VERSION=2
git config --global init.defaultBranch main
git config --global gc.auto 0
git config --global index.skipHash true
mkdir none
cd project
git init -q
git add .
git commit -q -m first
git status --short --branch
git checkout -q -b side
echo side >>dir/2
chmod 644 dir/run
git add -u
git commit -q -m side
git checkout -q main
echo main >>dir/3
git mv dir/4 dir/four
git rm -q dir/5
ln -sf dir/3 link
git commit -q -a -m main
git merge -q -m merge side
git log --graph --format='%H %an %ad %s' --stat
git diff HEAD~1 --stat
git branch -v
git tag -a -m tagged v1
git stash list
echo more >dir/6
git stash -q
git stash pop -q
git checkout -q -- dir/6
git status --short
git gc -q
git fsck --full
git count-objects -v | grep -v size
cd ..
git clone -q project copy
cd copy
git log --format=%s
git checkout -q v1
git status
cat dir/2 dir/3 dir/four
cd ..
git clone -q --bare project bare.git
cd copy
git checkout -q -b new
echo new >new
git add new
git commit -q -m new
git push -q ../bare.git new
git -C ../bare.git log --oneline new
cd ..
# What holds times, numbers of inodes, or names of the moment.
rm -rf project/.git/index copy/.git/index project/.git/logs copy/.git/logs
EOT
else
	skip git "it is not installed"
fi

c_world() {
	cat >main.c <<'EOT'
#include "part.h"
#include <stdio.h>
int main(int argc, char **argv)
{
	FILE *f = fopen("written", "w");
	fprintf(f, "%d\n", part(argc));
	fclose(f);
	printf("%s says %d\n", argc > 1 ? argv[1] : "?", part(argc));
	return 3;
}
EOT
	for i in 1 2 3 4; do
		echo "int part$i(int x); int part$i(int x) { return x * $i; }" >part$i.c
	done
	echo 'int part(int x);' >part.h
	printf 'int part1(int), part2(int), part3(int), part4(int);\nint part(int x) { return part1(x) + part2(x) + part3(x) + part4(x); }\n' >part.c
	cat >Makefile <<'EOT'
OBJECTS = main.o part.o part1.o part2.o part3.o part4.o
program: $(OBJECTS)
	gcc -o $@ $(OBJECTS)
%.o: %.c part.h
	gcc -O1 -c -o $@ $<
clean:
	rm -f *.o program
EOT
}
if command -v gcc >/dev/null; then
	script "gcc, make, and what they make" c_world "$load" sh <<'EOT'
make -s -j2 && ./program one; echo "status $?"
make -s; touch -d '1990-01-01' part3.o; make -q; echo "status $?"
gcc -O2 -Wall -o direct main.c part*.c && ./direct two; echo "status $?"
gcc -static -o static main.c part*.c && ./static three; echo "status $?"
echo 'int main(void) { return none; }' >bad.c
gcc -c bad.c 2>&1 | grep -c error
ar rcD libpart.a part*.o && nm libpart.a | grep -c ' T ' && gcc -shared -fPIC -o libpart.so part.c part1.c part2.c part3.c part4.c
EOT
else
	skip gcc "it is not installed"
fi

if command -v python3 >/dev/null; then
	cp "$here/programs/work.py" "$work/work.py"
	job "python3" everything "$load -v r:$work/work.py -v r:/etc/ssl/openssl.cnf -l processes=100" python3 -I -B "$work/work.py"
	job "python3 -m zipfile, tarfile" packed "$load" sh -c \
		'python3 -I -B -m zipfile -c out/z.zip src/dir && python3 -I -B -m zipfile -l out/z.zip | wc -l && python3 -I -B -m tarfile -e all.tar out >/dev/null && rm out/z.zip'
	job "python3 -m compileall" everything "$load" sh -c 'echo "x = 1" >m.py && python3 -I -m compileall -q --invalidation-mode unchecked-hash m.py && ls __pycache__ | wc -l'
fi

if command -v sqlite3 >/dev/null; then
	for mode in delete truncate persist wal memory off; do
		script "sqlite3, $mode" nothing "$x" sh <<EOT
sqlite3 a.db 'pragma journal_mode = $mode; create table t (a integer primary key, b text);
	with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) insert into t select i, hex(i) from n;'
sqlite3 a.db 'begin; delete from t where a % 3 = 0; savepoint s; delete from t; rollback to s; commit; select count(*), sum(a) from t;'
sqlite3 a.db 'pragma mmap_size = 1000000; select sum(length(b)) from t; pragma integrity_check;'
mkfifo go
(printf 'begin immediate; insert into t values (99999, "x");\n.output begun\nselect 1;\n.output stdout\n'; cat go; echo 'commit;') | sqlite3 a.db &
until [ -s begun ]; do sleep 0.1; done
sqlite3 a.db 'select count(*) from t;'
(sleep 0.3; echo >go) &
sqlite3 a.db '.timeout 50000' 'insert into t values (100000, "y");'
wait
rm go begun
sqlite3 a.db 'vacuum; select count(*) from t; attach "b.db" as b; create table b.u as select * from t; select count(*) from b.u'
sqlite3 a.db '.dump' | cksum
ls
rm -f a.db* # change counters and salts are random
EOT
	done
else
	skip sqlite3 "it is not installed"
fi

if command -v perl >/dev/null; then
	cp "$here/programs/work.pl" "$work/work.pl"
	job "perl" everything "$load -v r:$work/work.pl -v r:/etc/perl" perl "$work/work.pl"
fi

cp "$here/programs/work.sh" "$work/work.sh"
status=6
job "dash" everything "$x -v r:$work/work.sh" dash "$work/work.sh"
job "bash" everything "$x $root -v rw:/dev/tty" bash "$work/work.sh"
job "sh -e" everything "$x" sh -ec 'cat src/one; (exit 6); echo never'
status=
job "a script with an interpreter" everything "$x" src/dir/run.sh a b
