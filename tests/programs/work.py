# SPDX-License-Identifier: ISC
# A job of programs.sh: what a Python program does with files and processes. Prints what it finds.
import errno
import glob
import json
import mmap
import multiprocessing
import os
import pathlib
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile


def square(x):
    with open("out/square%d" % x, "w") as f:
        f.write(str(x * x))
    return x * x


def attempt(name, call, *args, **more):
    try:
        print(name, call(*args, **more))
    except OSError as e:
        print(name, errno.errorcode[e.errno], e.filename)


def main():
    tempfile.tempdir = os.getcwd() + "/out"
    for root, dirs, files in os.walk("src"):
        dirs.sort()
        print(root, dirs, sorted(files))
    for entry in sorted(os.scandir("src"), key=lambda e: e.name):
        print(entry.name, entry.is_dir(), entry.is_symlink(), entry.stat(follow_symlinks=False).st_size * (not entry.is_dir()))
    shutil.copytree("src", "out/copy", symlinks=True, ignore=shutil.ignore_patterns("fifo"))
    shutil.move("out/copy/dir", "out/moved")
    shutil.rmtree("out/moved/sub")
    shutil.make_archive("out/archive", "tar", "src/dir")
    os.unlink("out/archive.tar")
    with tempfile.TemporaryDirectory() as d, tempfile.NamedTemporaryFile() as n, tempfile.TemporaryFile() as t:
        n.write(b"named")
        t.write(b"unnamed")
        t.seek(0)
        print(t.read(), os.path.isdir(d), os.path.exists(n.name), stat.S_IMODE(os.stat(d).st_mode))
    p = pathlib.Path("out") / "path"
    p.mkdir(parents=True)
    (p / "text").write_text("text\n")
    (p / "link").symlink_to("text")
    (p / "hard").hardlink_to(p / "text")
    (p / "text").replace(p / "renamed")
    os.utime(p / "renamed", ns=(1000000000123456789, 1100000000987654321))
    print(sorted(x.name for x in p.iterdir()), (p / "link").is_symlink(), (p / "hard").stat().st_nlink)
    print(sorted(pathlib.Path("src").rglob("*ink*")), sorted(glob.glob("src/**/b*", recursive=True)))
    attempt("open", open, "src/none")
    attempt("open", open, "src/one/x")
    attempt("mkdir", os.mkdir, "src")
    attempt("rmdir", os.rmdir, "src")
    attempt("unlink", os.unlink, "src")
    attempt("rename", os.rename, "src/one", "src/dir")
    attempt("readlink", os.readlink, "src/dangling")
    attempt("readlink", os.readlink, "src/one")
    attempt("access", os.access, "src/one", os.X_OK)
    attempt("chdir", os.chdir, "src/one")
    attempt("realpath", os.path.realpath, "src/softdir/../x")
    attempt("statvfs", lambda: os.statvfs(".").f_namemax)
    attempt("setxattr", os.setxattr, "src/one", "user.python", b"value")
    attempt("listxattr", os.listxattr, "src/one")
    attempt("lchown", os.lchown, "src/dangling", os.getuid(), os.getgid())
    attempt("mkfifo", os.mkfifo, "out/fifo")
    with open("src/numbers", "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        m[0:1] = b"X"
        print(m.find(b"4999"), m.size())
    fd = os.open("src", os.O_RDONLY | os.O_DIRECTORY)
    print(sorted(os.listdir(fd)), os.stat("one", dir_fd=fd).st_size)
    os.rename("one", "two", src_dir_fd=fd, dst_dir_fd=fd)
    os.fchdir(fd)
    print(os.path.exists("two"), os.getcwd() == os.path.realpath("."))
    os.chdir("..")
    os.close(fd)
    print(subprocess.run(["cat"], input=b"through cat", capture_output=True).stdout)
    print(subprocess.run("ls src | wc -l; pwd; umask; exit 3", shell=True, capture_output=True, cwd="src/..", umask=0o27))
    print(subprocess.run(["false"]).returncode, subprocess.run(["sh", "-c", "kill -9 $$"]).returncode)
    try:
        subprocess.run(["out/none"])
    except FileNotFoundError as e:
        print("no program", e.filename)
    with subprocess.Popen(["sort"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as s:
        print(s.communicate("c\nb\na\n")[0].split())
    pid = os.fork()
    if pid == 0:
        os.umask(0o77)
        os.close(os.open("out/by child", os.O_CREAT | os.O_WRONLY, 0o666))
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "echo spawned; cat <&3"], {}, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, "out/spawned", os.O_CREAT | os.O_WRONLY, 0o640),
        (os.POSIX_SPAWN_OPEN, 3, "src/two", os.O_RDONLY, 0)])
    print(os.waitpid(pid, 0)[1])
    context = multiprocessing.get_context("fork")
    r, w = context.Pipe(False)
    workers = [context.Process(target=lambda i=i: w.send(square(i))) for i in range(4)]
    for p in workers:
        p.start()
    print(sorted(r.recv() for _ in workers))
    for p in workers:
        p.join()
        print(p.exitcode)
    for mode in "delete", "wal":
        db = sqlite3.connect("out/data.db")
        db.execute("pragma journal_mode = " + mode)
        db.execute("create table if not exists t (a, b)")
        with db:
            db.executemany("insert into t values (?, ?)", [(i, str(i)) for i in range(500)])
        other = sqlite3.connect("out/data.db", timeout=0.1)
        with db:
            db.execute("update t set b = 'x' where a < 10")
            try:
                other.execute("insert into t values (1, 2)")
            except sqlite3.OperationalError as e:
                print(e)
        print(other.execute("select count(*), sum(a) from t").fetchall())
        other.close()
        db.close()
    for name in glob.glob("out/data.db*"):
        os.unlink(name)
    print(json.dumps(sorted(os.listdir("out"))))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    main()
