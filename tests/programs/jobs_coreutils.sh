# SPDX-License-Identifier: ISC
# Jobs of coreutils, findutils, diffutils: one process each, but where a program starts others. Sourced by programs.sh.
r="-p $read -v r$direct:$tree"
w="-p $write -v rwc$direct:$tree"
x="-p $start -v rwxc$direct:$tree $usr"
# For what looks at "/" first, or at each directory from there: rm -r, git, rsync, pwd.
root="-v r:/"

job "ls -lR" everything "$r" ls -lnR --time-style=full-iso
job "ls -l, with names" everything "$r -p $read,getpw" ls -lR --time-style=full-iso
job "ls -la of one" everything "$r" ls -lna --time-style=full-iso src/dir src/dangling src/softdir/
status=2
job "ls of what is missing" everything "$r" ls src/none src/one src/dangling src/private
status=
job "stat" everything "$r" stat -c '%n %s %a %F %h %u %g %Y %y %b %B %o' src/numbers src/dir src/dir/soft src/fifo src/sparse
job "stat -L" everything "$r" stat -L -c '%n %s %a %F %h %y' src/dir/soft src/softdir
job "stat -f" everything "$r" stat -f -c '%T %l %s' .
job "du -a" everything "$r" du -a --apparent-size -b src
job "du -s" everything "$r" du -s src
job "readlink -f" everything "$r $root" readlink -f src/softdir/soft src/absolute src/dir/../softdir/sub
job "realpath" everything "$r $root" realpath -e src/softdir src/dir/sub/../soft
job "realpath --relative-to" everything "$r $root" realpath --relative-to=src/dir src/numbers .
job "cat" everything "$r" cat src/numbers "src/a name/with blanks" src/dir/soft
job "head and tail" everything "$r" tail -n 5 src/numbers src/dir/big
job "tail -c +N" everything "$r" tail -c +1000 src/dir/big
job "head -c" everything "$r" head -c 100 src/numbers
job "wc" everything "$r" wc src/numbers src/dir/big src/one
job "md5sum" everything "$r" md5sum src/numbers src/dir/big src/sparse
job "sha256sum -c" sums "$r" sha256sum -c sums
job "cksum" everything "$r" cksum src/numbers src/sparse
job "sort" everything "$r" sort -r src/numbers
job "sort with temporary files" everything "$w" sort -S 20k -T out -o out/sorted src/dir/big src/numbers
job "sort in place" everything "$w" sort -r -o src/numbers src/numbers
job "uniq" everything "$w" uniq -c src/numbers out/uniq
job "od" everything "$r" od -c src/dir/sub/binary
job "comm" everything "$r" comm -12 src/one src/nothing
job "join" everything "$r" join src/one src/one
job "paste" everything "$r" paste src/numbers src/dir/soft
job "cut" everything "$r" cut -c1-2 src/numbers
job "cp" everything "$w" cp src/numbers src/one out
job "cp -a" everything "$w" cp -a src out/copy
job "cp -r" everything "$w" cp -r --no-preserve=all src/dir out/copy
job "cp -p" everything "$w" cp -p src/numbers src/one src/nothing out
job "cp -l" everything "$w" cp -al src/dir out/linked
job "cp -s" everything "$w" cp -s "$tree/src/one" out/soft
job "cp -u" everything "$w" cp -au src/dir/. src/private
job "cp -b" everything "$w" cp -b src/numbers src/dir/big
job "cp --sparse" everything "$w" cp --sparse=always src/sparse out/sparse
job "cp onto a file" everything "$w" cp src/one src/dir/big
job "cp --parents" everything "$w" cp --parents src/dir/sub/binary out
job "cp -aT" everything "$w" cp -aT src out
job "cp -x --reflink" everything "$w" cp --reflink=auto -a src/numbers out
status=1
job "cp to nowhere" everything "$w" cp src/one out/none/x
job "cp a directory without -r" everything "$w" cp src/dir out
job "cp onto itself" everything "$w" cp src/one src/one
job "mkdir again" everything "$w" mkdir src
job "rmdir of a full one" everything "$w" rmdir src
job "rm of a directory" everything "$w" rm src/dir
job "rm of nothing" everything "$w" rm src/none
job "mv to nowhere" everything "$w" mv src/one out/none/x
job "ln to what is there" everything "$w" ln src/one src/numbers
job "test -x" everything "$r" /usr/bin/test -x src/one
job "test -w of a missing one" everything "$r" /usr/bin/test -w src/none
job "cmp, different" everything "$r" cmp src/numbers src/dir/big
status=
job "mv" everything "$w" mv src/one out/moved
job "mv a directory" everything "$w" mv src/dir out
job "mv over" everything "$w" mv -f src/one src/nothing
job "mv -n" everything "$w" mv -n src/one src/numbers
job "mv -b" everything "$w" mv -b src/one src/numbers
job "mv -t" everything "$w" mv -t out src/one src/numbers src/fifo src/dangling
job "rm -r" everything "$w $root" rm -r src
job "rm -r, careless" everything "$w" rm -r --no-preserve-root src
job "rm -rf of some" everything "$w $root" rm -rf src/dir src/none src/softdir src/fifo
job "rm -d" everything "$w" rm -d src/empty
job "mkdir -p" everything "$w" mkdir -p out/a/b/c src/dir/sub/d
job "mkdir -m" everything "$w" mkdir -m 2750 out/sgid
job "mkdir -m, sticky" everything "$w" mkdir -m 1777 out/sticky
job "rmdir -p" deep "$w" rmdir -p a/b/c
job "ln" everything "$w" ln src/one out/hard
job "ln -s" everything "$w" ln -s ../src/one out/soft
job "ln -sf" everything "$w" ln -sf elsewhere src/dangling
job "ln -sfn" everything "$w" ln -sfn other src/softdir
job "ln -sr" everything "$w $root" ln -sr src/one out/relative
job "ln -L" everything "$w" ln -L src/dir/soft out/hard
job "ln -P" everything "$w" ln -P src/dir/soft out/soft
job "link" everything "$w" link src/one out/hard
job "unlink" everything "$w" unlink src/dir/linked
job "touch" everything "$w" touch src/one out/new
job "touch -d" everything "$w" touch -d '1999-12-31 23:59:59.999999999' src/one src/dir out/new
job "touch -h" everything "$w" touch -h -d '1999-12-31 23:59:59.5' src/dangling
job "touch -r" everything "$w" touch -r src/numbers src/one
job "touch -a -t" everything "$w" touch -a -t 200001010101 src/one
job "chmod" everything "$w" chmod u+x,go-rwx src/one src/numbers
job "chmod -R" everything "$w" chmod -R go-rwx,u=rwX src
job "chmod, sticky and set-group-id" everything "$w" chmod 3775 src/dir
job "chmod --reference" everything "$w" chmod --reference=src/one src/numbers
job "chown" everything "$w" chown "$(id -u):$(id -g)" src/one src/dir
job "chown -R -h" everything "$w" chown -Rh "$(id -u)" src
job "chgrp" everything "$w" chgrp "$(id -g)" src/dir
job "install" everything "$w" install -m 640 -p src/numbers out/installed
job "install -D" everything "$w" install -D -m 755 src/dir/run.sh out/bin/deep/run
job "install -d" everything "$w" install -d -m 750 out/x/y
job "truncate" everything "$w" truncate -s 12345 src/numbers out/new
job "truncate, smaller" everything "$w" truncate -s -100 src/numbers
job "mkfifo" everything "$w" mkfifo -m 640 out/fifo
job "mknod p" everything "$w" mknod out/fifo p
job "split" everything "$w" split -b 20000 src/dir/big out/part.
job "split -l -d" everything "$w" split -l 300 -d src/numbers out/part
job "csplit" everything "$w" csplit -f out/cs src/numbers 100 '/^3000$/' 4000
job "dd" everything "$w" dd if=src/dir/big of=out/dd bs=1000 skip=3 count=7 status=none
job "dd, not truncating" everything "$w" dd if=src/one of=src/numbers bs=1 seek=100 conv=notrunc status=none
job "dd, sparse" everything "$w" dd if=src/sparse of=out/dd bs=4096 conv=sparse status=none
job "shred -u" everything "$w" shred -n 1 -u src/one
job "sync" everything "$w" sync src/one src/dir
job "mktemp" everything "$x" sh -c 'f=$(mktemp out/XXXXXX) && test -f "$f" && rm "$f" && d=$(mktemp -d out/XXXXXX) && rmdir "$d"'
job "cmp" everything "$r" cmp src/numbers src/dir/linked
job "diff -r" everything "$x" sh -c 'diff -r src/dir src/private; echo $?'
job "diff" everything "$r" diff src/numbers src/dir/linked
job "pwd -P" everything "$r $root" pwd -P
job "pwd -P, of a rule of its own" everything "$r" pwd -P
job "test" everything "$r" /usr/bin/test -f src/numbers -a -d src/dir -a -L src/dangling -a -p src/fifo
job "test -ef" everything "$r" /usr/bin/test src/numbers -ef src/dir/linked
job "test -nt" everything "$r" /usr/bin/test src/numbers -nt src/one
job "test -r of a closed one" everything "$r" /usr/bin/test -r src/one
input=$here/tap.sh
job "tee" everything "$w" tee out/tee src/one
job "tee -a" everything "$w" tee -a src/numbers
job "tac" everything "$r" tac
unset input
job "env" everything "$x" env A=b sh -c 'echo $A'
job "nice" everything "$x" nice -n 5 cat src/one
job "timeout" everything "$x" timeout 20 cat src/one
status=124
job "timeout that ends" everything "$x" timeout 0.2 sleep 20
status=
job "nohup" everything "$x" nohup cat src/one
job "stdbuf" everything "$x" stdbuf -oL cat src/one
job "xargs" everything "$x" xargs -a src/numbers -n 1000 echo
job "xargs -P" everything "$x" sh -c 'find src -type f -print0 | sort -z | xargs -0 -n 1 -P 1 cksum'
job "find" everything "$r" find . -printf '%P %y %m %n %s %l %T@\n'
job "find -newer" everything "$r" find src -newer src/numbers -type f
job "find -L" everything "$r" find -L src -name 'b*'
job "find -samefile" everything "$r" find src -samefile src/numbers
job "find -empty -perm" everything "$r" find src -empty -o -perm 600
job "find -delete" everything "$w" find src -name '*ink*' -delete
job "find -delete of all" everything "$w" find src -depth -delete
job "find -exec" everything "$x" find src -type f -exec cksum {} ';'
job "find -exec +" everything "$x" find src -type f -exec chmod g+w {} +
job "find -execdir" everything "$x" find src -name run.sh -execdir sh run.sh here ';'
job "find | xargs" everything "$x" sh -c 'find src -type f -print0 | sort -z | xargs -0 wc -c'
job "grep -r" everything "$r" grep -rn 4999 src --devices=skip
job "sed" everything "$r" sed -n 's/1/one/gp' src/numbers
job "sed -i" everything "$w" sed -i -e 's/1/one/g' src/numbers src/dir/sub/linked
job "sed -i, with a copy" everything "$w" sed -i.orig '2d' src/one src/numbers
job "sed w" everything "$w" sed -n '/7/w out/sevens' src/numbers
job "awk" everything "$r" awk '{ s += $1 } END { print s, NR }' src/numbers
job "awk, writing" everything "$w" awk '{ print > ("out/" $1 % 7) }' src/numbers
job "awk, asking a program" everything "$x" awk 'BEGIN { while (("ls src" | getline l) > 0) print l; system("echo done") }'
