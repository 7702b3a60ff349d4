#!/bin/sh
# SPDX-License-Identifier: ISC
# Modes, owners, times, attributes, links and watches through the door, against the same without it: the battery of
# attr_battery, programs that restore them, and what two rules make of a name that moves from one to the other.
# live_attr.sh AIRLOCK PROGRAMS: the command, and the directory of the test programs. Output is TAP.
set -u
umask 022
airlock=$1
programs=$2
. "$(dirname "$0")/tap.sh"
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
prefix="attributes: "
cd "$work" || exit 1
all="stdio rpath wpath cpath dpath fattr"
[ "$(id -u)" != 0 ] || all="$all chown"

mkdir native door
"$programs/attr_battery" native >native.out 2>&1
timeout 120 "$airlock" run -p "stdio rpath wpath cpath dpath fattr proc" -v "rwc:$work/door" \
	"$programs/attr_battery" door >door.out 2>door.err
same "each call on each kind of path" native.out door.out
is "and all of it was done" grep -q '^watch remove' native.out

# Programs. A tree of every kind, its times in the past.
mkdir from from/d
echo content >from/a
ln from/a from/b
ln -s a from/l
mkfifo from/p
echo more >from/d/f
chmod 640 from/a
chmod 1750 from/d
chmod 444 from/d/f
setfattr -n user.k -v v from/a 2>/dev/null
[ "$(id -u)" != 0 ] || chown -h 1000:1000 from/p from/l from/d/f
for name in from/a from/d/f from/l from/p from/d from; do
	touch -h -d 2001-02-03T04:05:06.789 $name
done
tar --xattrs -cf from.tar -C from .

show() {
	(cd "$1" && find . -printf '%P %y %m %n %U %G %T@ %l\n' | sort && getfattr -hR -d . 2>/dev/null)
}
# both NAME: what is in native and in door.
both() {
	show native >native.out
	show door >door.out
	same "$1" native.out door.out
	chmod -R u+rwx native door
	rm -rf native door
	mkdir native door
}
rm -rf native door
mkdir native door
# To change what may be a link, glibc before 2.39 opens it O_PATH first, and there is no such descriptor of a FIFO here.
tar --xattrs --exclude=./p -xpf from.tar -C native
(cd door && "$airlock" run -p "$all" -v "rwc:$work/door" -v "r:$work/from.tar" tar --xattrs --exclude=./p -xpf ../from.tar) 2>run.err
both "tar -x"
cp -a from/. native
"$airlock" run -p "$all" -v "rwc:$work/door" -v "r:$work/from" cp -a "$work/from/." "$work/door" 2>run.err
both "cp -a"
cp -al from/. native
"$airlock" run -p "$all" -v "rwc:$work/door" -v "rwc:$work/from" cp -al "$work/from/." "$work/door" 2>run.err
both "cp -al, between two rules"
if command -v rsync >/dev/null; then
	rsync -aHX from/ native/
	"$airlock" run -p "$all proc" -v r:/ -v "rwc:$work/door" rsync -aHX "$work/from/" "$work/door/" 2>run.err
	# rsync sets no times of FIFOs.
	touch -d 2001-02-03 native/p door/p
	both "rsync -a"
else
	skip "rsync -a" "it is not installed"
fi

# Two rules. One descriptor and one name stay from before.
mkdir one two less one/d
echo content >less/h
cat >across.py <<'end'
import ctypes, errno, os, sys
linkat = ctypes.CDLL(None, use_errno=True).linkat # os.link() does not follow links
one, two, less = sys.argv[1:4]
def say(name, call, *rest, **more):
    try:
        call(*rest, **more)
        print(name, "done")
    except OSError as e:
        print(name, errno.errorcode[e.errno])
def make(path):
    with open(path, "w") as f:
        f.write("content")
make(one + "/f"), make(one + "/g"), make(one + "/d/in")
number = os.stat(one + "/f").st_ino
say("link to equal rights", os.link, one + "/f", two + "/f")
say("rename to equal rights", os.rename, one + "/f", two + "/renamed")
print("the same file", os.stat(two + "/renamed").st_ino == number, os.stat(two + "/f").st_nlink)
say("link to fewer rights", os.link, one + "/g", less + "/g")
say("link to more rights", os.link, less + "/h", one + "/h")
say("rename to more rights", os.rename, less + "/h", one + "/h")
say("rename to fewer rights", os.rename, one + "/g", less + "/g2")
say("write with fewer rights", open, less + "/g2", "a")
held = os.open(one + "/d", os.O_RDONLY)
inner = os.open(one + "/d/in", os.O_RDONLY)
os.chdir(one + "/d")
say("directory to fewer rights", os.rename, one + "/d", less + "/d")
say("write by its descriptor", os.open, "in", os.O_WRONLY, dir_fd=held)
say("write by the working directory", os.open, "in", os.O_WRONLY)
say("change by the file's descriptor", os.truncate, "/proc/self/fd/%d" % inner, 0)
say("write by its path", os.open, less + "/d/in", os.O_WRONLY)
say("read by its path", os.open, less + "/d/in", os.O_RDONLY)
say("back is more again", os.rename, less + "/d", one + "/d")
for where in (one, less):
    fd = os.open(one, os.O_TMPFILE | os.O_RDWR)
    done = linkat(-100, b"/proc/self/fd/%d" % fd, -100, (where + "/t").encode(), 0x400)
    print("temporary file", "done" if done == 0 else errno.errorcode[ctypes.get_errno()])
end
[ ! -x /usr/bin/python3 ] || "$airlock" run -p "stdio rpath wpath cpath fattr prot_exec" -v r:/usr -v "r:$work/across.py" \
	-v "rwc:$work/one" -v "rwc:$work/two" -v "rc:$work/less" \
	/usr/bin/python3 -I "$work/across.py" "$work/one" "$work/two" "$work/less" >across.out 2>run.err
cat >across.want <<'end'
link to equal rights done
rename to equal rights done
the same file True 2
link to fewer rights done
link to more rights EACCES
rename to more rights EACCES
rename to fewer rights done
write with fewer rights EACCES
directory to fewer rights done
write by its descriptor ENOENT
write by the working directory ENOENT
change by the file's descriptor EACCES
write by its path EACCES
read by its path done
back is more again EACCES
temporary file done
temporary file EXDEV
end
if [ -x /usr/bin/python3 ]; then
	same "names between rules" across.want across.out
else
	skip "names between rules" "there is no python3"
fi
exit $failed
