/* SPDX-License-Identifier: ISC */
/* The working directory, and FIFOs that two meet at. */
#include "tests/posix.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

/* ---- the working directory ---- */

static void removed(void)
{
	struct stat st;
	char buf[PATH_MAX];

	make_dir("gone", 0755);
	int dir = open("gone", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	want(R(chdir("gone")), 0, "cwd: chdir");
	want(R(rmdir("../gone")), 0, "cwd: it is removed");
	want(RAW(getcwd, buf, sizeof(buf)), -ENOENT, "cwd removed: getcwd");
	want(R(stat(".", &st)), 0, "cwd removed: stat of .");
	want((long)st.st_nlink, 0, "cwd removed: it has no links");
	want(R(open("new", O_CREAT | O_WRONLY, 0600)), -ENOENT, "cwd removed: nothing is made");
	want(R(mkdir("new", 0700)), -ENOENT, "cwd removed: no directory is made");
	want(R(stat("new", &st)), -ENOENT, "cwd removed: nothing is there");
	want(R(stat("..", &st)), 0, "cwd removed: its parent still is");
	want(R(stat("../gone", &st)), -ENOENT, "cwd removed: it is not");
	want(R(fchdir(dir)), 0, "cwd removed: fchdir to it");
	want(R(chdir("..")), 0, "cwd removed: and out of it");
	want(R(stat("gone", &st)), -ENOENT, "cwd: back");
	want(R(fchdir(dir)), 0, "cwd: fchdir to a removed one");
	close(dir);
	want(R(fchdir(base)), 0, "cwd: fchdir out");
	want(R(chdir("cwd")), 0, "cwd: chdir back");
}

static void deep(void)
{
	char name[201], buf[PATH_MAX];
	int depth;

	memset(name, 'd', 200);
	name[200] = '\0';
	for (depth = 0; depth < 30; depth++)
		if (mkdir(name, 0700) != 0 || chdir(name) != 0) {
			rmdir(name);
			break;
		}
	want(depth, 30, "cwd: 30 long steps down");
	want(RAW(getcwd, buf, sizeof(buf)), -ENAMETOOLONG, "cwd: it is too long to be told");
	make_file("file", "deep", 0600);
	want(content_is("file", "deep"), 1, "cwd: a file down there");
	want(R(rename("file", "other")), 0, "cwd: rename down there");
	want(R(unlink("other")), 0, "cwd: unlink down there");
	for (; depth > 0; depth--)
		if (chdir("..") != 0 || rmdir(name) != 0)
			break;
	want(depth, 0, "cwd: and up again");
	want(R(fchdir(base)), 0, "cwd: back");
	want(R(chdir("cwd")), 0, "cwd: and here");
}

/* As long as a path may be, from a directory whose own path is not nothing. */
static void long_path(void)
{
	char path[PATH_MAX];
	long good = 0;

	for (size_t i = 0; i < PATH_MAX - 1; i++)
		path[i] = i % 200 == 199 ? '/' : 'p';
	path[PATH_MAX - 1] = '\0';
	for (size_t i = 199; i < PATH_MAX - 1; i += 200) {
		path[i] = '\0';
		good += mkdir(path, 0700) == 0;
		path[i] = '/';
	}
	want(good, 20, "cwd: 20 directories, each in the last");
	want(R(close(open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600))), 0, "cwd: create by a path of 4095");
	want(content_is(path, ""), 1, "cwd: read by a path of 4095");
	want(R(chmod(path, 0640)), 0, "cwd: chmod by a path of 4095");
	want(mode_of(path), 0640, "cwd: stat by a path of 4095");
	want(R(rename(path, "short")), 0, "cwd: rename from a path of 4095");
	want(R(link("short", path)), 0, "cwd: link to a path of 4095");
	want(R(unlink(path)), 0, "cwd: unlink by a path of 4095");
	for (size_t i = PATH_MAX - 1; i-- > 0;) {
		if (path[i] != '/')
			continue;
		path[i] = '\0';
		good -= rmdir(path) == 0;
		path[i] = '/';
	}
	want(good, 0, "cwd: 20 directories are removed");
}

static void *in_thread(void *arg)
{
	*(long *)arg = R(chdir("sub"));
	return NULL;
}

void posix_cwd(void)
{
	char buf[PATH_MAX], wanted[PATH_MAX];
	struct stat st, two;
	pthread_t thread;
	long n, got = -1;

	fixture("cwd");
	make_dir("sub", 0755);
	make_dir("sub/deeper", 0755);
	make_file("sub/file", "x", 0600);
	make_link("sub", "link");
	snprintf(wanted, sizeof(wanted), "%s/posix/cwd", base_path);
	n = RAW(getcwd, buf, sizeof(buf));
	want(n, (long)strlen(wanted) + 1, "cwd: getcwd's length");
	yes(n > 0 && strcmp(buf, wanted) == 0, "cwd: getcwd");
	want(RAW(getcwd, buf, strlen(wanted)), -ERANGE, "cwd: getcwd into too little");
	want(RAW(getcwd, buf, strlen(wanted) + 1), (long)strlen(wanted) + 1, "cwd: getcwd into just enough");
	want(RAW(getcwd, buf, 0), -ERANGE, "cwd: getcwd into nothing");
	want(RAW(getcwd, (void *)-4096L, 1000), -EFAULT, "cwd: getcwd into the kernel");
	want(R(chdir("link")), 0, "cwd: chdir through a link");
	yes(getcwd(buf, sizeof(buf)) && strcmp(buf + strlen(buf) - 4, "/sub") == 0, "cwd: it is the target");
	want(R(chdir("deeper/..")), 0, "cwd: chdir down and up");
	yes(getcwd(buf, sizeof(buf)) && strcmp(buf + strlen(buf) - 4, "/sub") == 0, "cwd: it is the same");
	want(R(chdir(".")), 0, "cwd: chdir .");
	want(R(chdir("file")), -ENOTDIR, "cwd: chdir to a file");
	want(R(chdir("none")), -ENOENT, "cwd: chdir to nothing");
	want(R(rename("../sub", "../renamed")), 0, "cwd: it is renamed");
	yes(getcwd(buf, sizeof(buf)) && strcmp(buf + strlen(buf) - 8, "/renamed") == 0,
		"cwd: getcwd tells its new name");
	want(kind_of("file"), S_IFREG, "cwd: its files are there");
	want(R(rename("../renamed", "../sub")), 0, "cwd: it is renamed back");
	want(R(chdir("..")), 0, "cwd: chdir ..");
	int fd = open("sub/file", O_RDONLY | O_CLOEXEC);
	want(R(fchdir(fd)), -ENOTDIR, "cwd: fchdir to a file");
	close(fd);
	want(R(fchdir(fd)), -EBADF, "cwd: fchdir to a closed descriptor");
	want(R(fchdir(-1)), -EBADF, "cwd: fchdir to -1");
	want(R(fchdir(AT_FDCWD)), -EBADF, "cwd: fchdir to AT_FDCWD");
	pid_t child = fork();
	if (child == 0) {
		bool good = stat("sub/file", &st) == 0 && chdir("sub") == 0 && stat("file", &two) == 0 &&
			    st.st_ino == two.st_ino && getcwd(buf, sizeof(buf)) &&
			    strcmp(buf + strlen(buf) - 4, "/sub") == 0;
		_exit(good ? 0 : 1);
	}
	want(wait_for(child), 0, "cwd: a child has it, and changes its own");
	yes(getcwd(buf, sizeof(buf)) && strcmp(buf, wanted) == 0, "cwd: the parent's is the same");
	if (pthread_create(&thread, NULL, in_thread, &got) == 0)
		pthread_join(thread, NULL);
	want(got, 0, "cwd: a thread changes it");
	want(kind_of("file"), S_IFREG, "cwd: for all threads");
	want(R(chdir("..")), 0, "cwd: back");
	removed();
	long_path();
	deep();
}

/* ---- FIFOs ---- */

static void *writes(void *arg)
{
	pause_ms(50);
	int fd = open((const char *)arg, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, "through", 7);
		close(fd);
	}
	return NULL;
}

static void blocking(void)
{
	char buf[16];
	pthread_t thread;
	int fd;

	if (pthread_create(&thread, NULL, writes, "fifo") != 0)
		die("thread");
	fd = open("fifo", O_RDONLY | O_CLOEXEC);
	yes(fd >= 0, "fifo: a reader waits for a thread that writes");
	want(R(read(fd, buf, sizeof(buf))), 7, "fifo: what it wrote");
	want(R(read(fd, buf, sizeof(buf))), 0, "fifo: the end");
	close(fd);
	pthread_join(thread, NULL);
	pid_t child = fork();
	if (child == 0) {
		fd = open("fifo", O_WRONLY);
		_exit(fd >= 0 && write(fd, "child", 5) == 5 ? 0 : 1);
	}
	fd = open("fifo", O_RDONLY | O_CLOEXEC);
	want(R(read(fd, buf, sizeof(buf))), 5, "fifo: what a child wrote");
	close(fd);
	want(wait_for(child), 0, "fifo: the child has ended");
	handle(SIGALRM, 0);
	signals = 0;
	every(30000);
	want(R(open("fifo", O_RDONLY)), -EINTR, "fifo: a signal ends the open");
	every(0);
	yes(signals > 0, "fifo: its handler ran");
	/* With SA_RESTART it goes on, until somebody comes. */
	handle(SIGALRM, SA_RESTART);
	signals = 0;
	if (pthread_create(&thread, NULL, writes, "fifo") != 0)
		die("thread");
	every(10000);
	fd = open("fifo", O_RDONLY | O_CLOEXEC);
	long got = fd < 0 ? -errno : 0;
	every(0);
	want(got, 0, "fifo: with SA_RESTART the open goes on");
	if (fd >= 0)
		close(fd);
	pthread_join(thread, NULL);
	child = fork();
	if (child == 0) {
		(void)!open("fifo", O_RDONLY);
		_exit(3);
	}
	pause_ms(50);
	kill(child, SIGKILL);
	want(wait_for(child), 1000 + SIGKILL, "fifo: who waits can be killed");
	pause_ms(200);
	want(R(open("fifo", O_WRONLY | O_NONBLOCK)), -ENXIO, "fifo: nobody reads after that");
}

/* The last descriptor of an opening is the last: nobody else holds it. */
static void last_holder(void)
{
	char buf[4];
	long ends = 0, locks = 0;
	int in = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC), other;

	make_file("locked", "", 0600);
	other = open("locked", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 200; i++) {
		int out = open("fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		close(out);
		ends += out >= 0 && read(in, buf, sizeof(buf)) == 0;
		int lock = open("locked", O_RDWR | O_CLOEXEC);
		bool locked = lock >= 0 && flock(lock, LOCK_EX) == 0;
		close(lock);
		locks += locked && flock(other, LOCK_EX | LOCK_NB) == 0;
		flock(other, LOCK_UN);
	}
	close(in);
	close(other);
	want(ends, 200, "fifo: when its writer closes it is at its end");
	want(locks, 200, "fifo: when its holder closes a file its lock is gone");
}

/* Who writes may have come and gone before who reads has noticed. */
static void meetings(void)
{
	char buf[16];
	long good = 0;

	for (int i = 0; i < 40; i++) {
		pid_t child = fork();
		if (child == 0) {
			int out = open("fifo", O_WRONLY | O_CLOEXEC);
			_exit(out >= 0 && write(out, "gone", 4) == 4 ? 0 : 1);
		}
		int in = open("fifo", O_RDONLY | O_CLOEXEC);
		good += in >= 0 && read(in, buf, sizeof(buf)) == 4 && read(in, buf, sizeof(buf)) == 0;
		if (in >= 0)
			close(in);
		good += wait_for(child) == 0;
	}
	want(good, 80, "fifo: forty meetings");
}

void posix_fifo(void)
{
	char buf[16];
	int in, out;

	fixture("fifo");
	signal(SIGPIPE, SIG_IGN);
	if (mkfifo("fifo", 0600) != 0)
		die("fifo");
	want(R(open("fifo", O_WRONLY | O_NONBLOCK)), -ENXIO, "fifo: no reader");
	in = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	yes(in >= 0, "fifo: a reader does not wait with O_NONBLOCK");
	want(R(read(in, buf, 1)), 0, "fifo: no writer");
	out = open("fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	yes(out >= 0, "fifo: a writer, with a reader");
	want(R(read(in, buf, 1)), -EAGAIN, "fifo: nothing yet");
	want(R(write(out, "abc", 3)), 3, "fifo: write");
	want(R(read(in, buf, sizeof(buf))), 3, "fifo: read");
	want(R(lseek(in, 0, SEEK_CUR)), -ESPIPE, "fifo: no lseek");
	want(R(unlink("fifo")), 0, "fifo: unlink");
	want(R(write(out, "abc", 3)), 3, "fifo: write without a name");
	close(out);
	struct pollfd p = {in, POLLIN, 0};
	want(poll(&p, 1, 0), 1, "fifo: poll");
	yes((p.revents & POLLIN) && (p.revents & POLLHUP), "fifo: poll tells what is there, and the end");
	close(in);
	if (mkfifo("fifo", 0600) != 0)
		die("fifo");
	out = open("fifo", O_RDWR | O_CLOEXEC);
	yes(out >= 0, "fifo: open for both does not wait");
	want(R(write(out, "abc", 3)), 3, "fifo: write to oneself");
	want(R(read(out, buf, sizeof(buf))), 3, "fifo: read from oneself");
	close(out);
	want(R(open("fifo", O_RDONLY | O_DIRECTORY)), -ENOTDIR, "fifo: it is no directory");
	last_holder();
	meetings();
	blocking();
}
