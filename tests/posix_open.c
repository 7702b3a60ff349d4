/* SPDX-License-Identifier: ISC */
/* open(2)'s flags one by one, openat2(2)'s structure and its ways to resolve. */
#include "tests/posix.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EMPTY_PATH 0x1000

/* A descriptor's status flags, without O_LARGEFILE, which each libc adds as it likes. */
static long status_of(long fd)
{
	long flags = fd < 0 ? fd : R(fcntl((int)fd, F_GETFL));

	return flags < 0 ? flags : flags & ~0100000;
}

static void put_away(long fd)
{
	if (fd >= 0)
		close((int)fd);
}

static void status_flags(void)
{
	static const struct {
		const char *name;
		int flags, shows;
	} rows[] = {
		{"O_RDONLY", O_RDONLY, O_RDONLY},
		{"O_WRONLY", O_WRONLY, O_WRONLY},
		{"O_RDWR", O_RDWR, O_RDWR},
		{"O_APPEND", O_WRONLY | O_APPEND, O_WRONLY | O_APPEND},
		{"O_RDONLY|O_APPEND", O_RDONLY | O_APPEND, O_RDONLY | O_APPEND},
		{"O_NONBLOCK", O_RDONLY | O_NONBLOCK, O_RDONLY | O_NONBLOCK},
		{"O_SYNC", O_RDWR | O_SYNC, O_RDWR | O_SYNC},
		{"O_DSYNC", O_WRONLY | O_DSYNC, O_WRONLY | O_DSYNC},
		{"O_NOATIME", O_RDONLY | O_NOATIME, O_RDONLY | O_NOATIME},
		{"O_NOFOLLOW", O_RDONLY | O_NOFOLLOW, O_RDONLY | O_NOFOLLOW},
		{"O_NOCTTY", O_RDONLY | O_NOCTTY, O_RDONLY},
		{"O_CREAT", O_WRONLY | O_CREAT, O_WRONLY},
		{"O_TRUNC", O_RDWR | O_TRUNC, O_RDWR},
		{"O_ASYNC", O_RDONLY | O_ASYNC, O_RDONLY | O_ASYNC},
		{"O_CLOEXEC", O_RDONLY | O_CLOEXEC, O_RDONLY},
		{"an unknown bit", O_RDONLY | 0x40000000, O_RDONLY},
		{"the sign bit", (int)(O_RDWR | 0x80000000), O_RDWR},
		{"all together", O_RDWR | O_APPEND | O_NONBLOCK | O_SYNC | O_NOATIME,
			O_RDWR | O_APPEND | O_NONBLOCK | O_SYNC | O_NOATIME},
	};

	make_file("flags", "flags", 0600);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		long fd = RAW(openat, AT_FDCWD, "flags", rows[i].flags, 0);
		want(status_of(fd), rows[i].shows, "open %s: what F_GETFL shows", rows[i].name);
		want(fd < 0 ? fd : R(fcntl((int)fd, F_GETFD)), rows[i].flags & O_CLOEXEC ? FD_CLOEXEC : 0,
			"open %s: what F_GETFD shows", rows[i].name);
		want(fd < 0 ? fd : R(lseek((int)fd, 0, SEEK_CUR)), 0, "open %s: it starts at 0", rows[i].name);
		put_away(fd);
	}
	long fd = RAW(openat, AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
	want(status_of(fd), O_RDONLY | O_DIRECTORY, "open O_DIRECTORY: what F_GETFL shows");
	put_away(fd);
	fd = RAW(openat, AT_FDCWD, "flags", O_RDONLY | O_DIRECT);
	yes(fd == -EINVAL || status_of(fd) == (O_RDONLY | O_DIRECT), "open O_DIRECT: all or nothing");
	put_away(fd);
	fd = RAW(openat, AT_FDCWD, "flags", 3);
	want(status_of(fd), 3, "open with access mode 3");
	want(fd < 0 ? fd : R(read((int)fd, &fd, 1)), -EBADF, "open with access mode 3: no reading");
	put_away(fd);
}

static void trunc_append_excl(void)
{
	char buf[32];
	long fd, other;

	make_file("f", "0123456789", 0600);
	fd = R(open("f", O_WRONLY | O_APPEND | O_CLOEXEC));
	want(R(write((int)fd, "a", 1)), 1, "open O_APPEND: write");
	(void)!lseek((int)fd, 0, SEEK_SET);
	want(R(write((int)fd, "b", 1)), 1, "open O_APPEND: write after a seek");
	put_away(fd);
	want(content_is("f", "0123456789ab"), 1, "open O_APPEND: both are at the end");
	fd = R(open("f", O_RDONLY | O_CLOEXEC));
	other = R(open("f", O_RDONLY | O_CLOEXEC));
	want(R(read((int)fd, buf, 4)), 4, "open twice: read from one");
	want(R(lseek((int)other, 0, SEEK_CUR)), 0, "open twice: the other is where it was");
	put_away(fd);
	put_away(other);
	fd = R(open("f", O_RDWR | O_TRUNC | O_CLOEXEC));
	want(size_of("f"), 0, "open O_TRUNC empties");
	want(R(write((int)fd, "new", 3)), 3, "open O_TRUNC and writes");
	put_away(fd);
	want(R(close(open("f", O_RDONLY | O_TRUNC | O_CLOEXEC))), 0, "open O_RDONLY|O_TRUNC");
	want(size_of("f"), 0, "open O_RDONLY|O_TRUNC empties too");
	want(R(open("f", O_WRONLY | O_CREAT | O_EXCL | O_TRUNC, 0600)), -EEXIST, "open O_EXCL of what is there");
	make_link("nothing", "dangling");
	want(R(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0600)), -EEXIST, "open O_EXCL of a dangling link");
	want(kind_of("nothing"), -ENOENT, "open O_EXCL makes nothing there");
	want(R(close(open("dangling", O_WRONLY | O_CREAT | O_CLOEXEC, 0640))), 0, "open O_CREAT of a dangling link");
	want(mode_of("nothing"), 0640, "open O_CREAT makes its target");
	want(kind_of("dangling"), S_IFLNK, "open O_CREAT leaves the link");
	make_dir("sub", 0700);
	make_link("sub/deep", "far");
	want(R(close(open("far", O_RDWR | O_CREAT | O_CLOEXEC, 0600))), 0, "open O_CREAT through a link");
	want(kind_of("sub/deep"), S_IFREG, "open O_CREAT makes the file there");
	make_link("none/deep", "farther");
	want(R(open("farther", O_RDWR | O_CREAT, 0600)), -ENOENT, "open O_CREAT through a link to no directory");
	fd = R(open("readonly", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
	want(R(write((int)fd, "x", 1)), 1, "open O_CREAT with mode 0400: its maker may write");
	put_away(fd);
	fd = R(open("none at all", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0));
	want(R(write((int)fd, "x", 1)), 1, "open O_CREAT with mode 0: its maker may write");
	put_away(fd);
}

static void tmpfiles(void)
{
	char self[64];
	struct stat st;
	long fd = R(open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0640));

	if (fd == -EOPNOTSUPP) {
		without("this file system has none", "open O_TMPFILE");
		return;
	}
	yes(fd >= 0 && fstat((int)fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 07777) == 0640 &&
			S_ISREG(st.st_mode),
		"open O_TMPFILE: a file without a name");
	want(R(write((int)fd, "temporary", 9)), 9, "open O_TMPFILE: write");
	snprintf(self, sizeof(self), "/proc/self/fd/%ld", fd);
	want(R(linkat(AT_FDCWD, self, AT_FDCWD, "named", AT_SYMLINK_FOLLOW)), 0, "open O_TMPFILE: it gets a name");
	want(content_is("named", "temporary"), 1, "open O_TMPFILE: with its content");
	want(links_of("named"), 1, "open O_TMPFILE: and one link");
	put_away(fd);
	fd = R(open(".", O_TMPFILE | O_WRONLY | O_EXCL | O_CLOEXEC, 0600));
	yes(fd >= 0, "open O_TMPFILE|O_EXCL");
	snprintf(self, sizeof(self), "/proc/self/fd/%ld", fd);
	want(R(linkat(AT_FDCWD, self, AT_FDCWD, "named2", AT_SYMLINK_FOLLOW)), -ENOENT,
		"open O_TMPFILE|O_EXCL: it gets no name");
	put_away(fd);
	want(R(open(".", O_TMPFILE | O_RDONLY, 0600)), -EINVAL, "open O_TMPFILE for reading");
	want(R(open("none", O_TMPFILE | O_RDWR, 0600)), -ENOENT, "open O_TMPFILE in nothing");
	want(R(open("named", O_TMPFILE | O_RDWR, 0600)), -ENOTDIR, "open O_TMPFILE in a file");
	umask(077);
	fd = R(open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
	umask(022);
	yes(fd >= 0 && fstat((int)fd, &st) == 0 && (st.st_mode & 07777) == 0600, "open O_TMPFILE: under a umask");
	put_away(fd);
	want(RAW(openat, AT_FDCWD, ".", O_TMPFILE & ~O_DIRECTORY & 037777777, 0600), -EINVAL,
		"open with O_TMPFILE's own bit alone");
}

static void paths(void)
{
	struct stat st, two;
	char buf[8];
	long fd, sub;

	make_dir("pathdir", 0755);
	make_file("pathdir/in", "inside", 0600);
	make_link("in", "pathdir/link");
	fd = R(open("pathdir", O_PATH | O_CLOEXEC));
	want(status_of(fd), O_PATH, "open O_PATH: what F_GETFL shows");
	yes(fstat((int)fd, &st) == 0 && stat("pathdir", &two) == 0 && st.st_ino == two.st_ino, "open O_PATH: fstat");
	sub = R(openat((int)fd, "in", O_RDONLY | O_CLOEXEC));
	want(sub < 0 ? sub : R(read((int)sub, buf, sizeof(buf))), 6, "open O_PATH: beneath it");
	put_away(sub);
	want(R(fchdir((int)fd)), 0, "open O_PATH: fchdir");
	want(kind_of("in"), S_IFREG, "open O_PATH: it is the directory then");
	want(R(chdir("..")), 0, "open O_PATH: and back");
	put_away(fd);
	fd = R(open("pathdir/in", O_PATH | O_CLOEXEC));
	want(R(read((int)fd, buf, 1)), -EBADF, "open O_PATH of a file: no reading");
	/* musl goes another way when this fails. */
	want(RAW(fchmod, fd, 0600), -EBADF, "open O_PATH of a file: no fchmod");
	want(R(ftruncate((int)fd, 0)), -EBADF, "open O_PATH of a file: no ftruncate");
	want(R(fstat((int)fd, &st)), 0, "open O_PATH of a file: fstat");
	put_away(fd);
	chmod("pathdir/in", 0);
	fd = R(open("pathdir/in", O_PATH | O_CLOEXEC));
	yes(fd >= 0, "open O_PATH of a file that nobody may read");
	put_away(fd);
	fd = R(open("pathdir/link", O_PATH | O_NOFOLLOW | O_CLOEXEC));
	yes(fd >= 0 && fstat((int)fd, &st) == 0 && S_ISLNK(st.st_mode), "open O_PATH of a link");
	want(fd < 0 ? fd : R(readlinkat((int)fd, "", buf, sizeof(buf))), 2, "open O_PATH of a link: readlinkat");
	put_away(fd);
	want(status_of(R(open("pathdir/none", O_PATH | O_CREAT, 0600))), -ENOENT, "open O_PATH ignores O_CREAT");
}

static void through_proc(void)
{
	char self[64], text[PATH_MAX], wanted[PATH_MAX];
	struct stat st, two;
	long fd, again, n;

	make_file("shown", "0123456789", 0600);
	fd = R(open("shown", O_RDONLY | O_CLOEXEC));
	snprintf(self, sizeof(self), "/proc/self/fd/%ld", fd);
	snprintf(wanted, sizeof(wanted), "%s/posix/open/shown", base_path);
	n = R(readlink(self, text, sizeof(text) - 1));
	text[n < 0 ? 0 : n] = '\0';
	yes(strcmp(text, wanted) == 0, "open /proc/self/fd tells the path");
	yes(stat(self, &st) == 0 && stat("shown", &two) == 0 && st.st_ino == two.st_ino, "open /proc/self/fd: stat");
	yes(lstat(self, &st) == 0 && S_ISLNK(st.st_mode), "open /proc/self/fd: lstat");
	again = R(open(self, O_RDONLY | O_CLOEXEC));
	yes(again >= 0 && fstat((int)again, &st) == 0 && st.st_ino == two.st_ino, "open through /proc/self/fd");
	put_away(again);
	snprintf(self, sizeof(self), "/dev/fd/%ld", fd);
	again = R(open(self, O_RDONLY | O_CLOEXEC));
	yes(again >= 0 && fstat((int)again, &st) == 0 && st.st_ino == two.st_ino, "open through /dev/fd");
	put_away(again);
	put_away(fd);
	want(R(open(self, O_RDONLY | O_CLOEXEC)), -ENOENT, "open through /dev/fd of a closed one");
	again = R(open("/dev/null", O_RDWR | O_CLOEXEC));
	want(R(write((int)again, "x", 1)), 1, "open /dev/null: write");
	want(R(read((int)again, self, 1)), 0, "open /dev/null: read");
	put_away(again);
}

void posix_open(void)
{
	fixture("open");
	status_flags();
	trunc_append_excl();
	tmpfiles();
	paths();
	through_proc();
}

static void structures(void)
{
	struct {
		struct open_how how;
		unsigned long more[700];
	} big;
	static const struct {
		const char *name;
		unsigned long flags, mode, resolve;
		size_t size;
		long wanted; /* 0: a descriptor */
	} rows[] = {
		{"size 0", O_RDONLY, 0, 0, 0, -EINVAL},
		{"size 8", O_RDONLY, 0, 0, 8, -EINVAL},
		{"size 23", O_RDONLY, 0, 0, 23, -EINVAL},
		{"size 24", O_RDONLY, 0, 0, 24, 0},
		{"size 32, zeros", O_RDONLY, 0, 0, 32, 0},
		{"size 4096, zeros", O_RDONLY, 0, 0, 4096, 0},
		{"size 4097", O_RDONLY, 0, 0, 4097, -E2BIG},
		{"an unknown flag", O_RDONLY | 0x40000000, 0, 0, 24, -EINVAL},
		{"a high flag", O_RDONLY | 1UL << 40, 0, 0, 24, -EINVAL},
		{"a mode without O_CREAT", O_RDONLY, 0600, 0, 24, -EINVAL},
		{"a mode beyond 07777", O_RDWR | O_CREAT, 010600, 0, 24, -EINVAL},
		{"an unknown resolve", O_RDONLY, 0, 0x40, 24, -EINVAL},
		{"a high resolve", O_RDONLY, 0, 1UL << 33, 24, -EINVAL},
		{"BENEATH and IN_ROOT", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT, 24, -EINVAL},
		{"O_PATH and O_RDWR", O_PATH | O_RDWR, 0, 0, 24, -EINVAL},
		{"O_PATH and O_APPEND", O_PATH | O_APPEND, 0, 0, 24, -EINVAL},
		{"O_TMPFILE for reading", O_TMPFILE, 0600, 0, 24, -EINVAL},
	};

	make_file("how", "how", 0600);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&big, 0, sizeof(big));
		big.how.flags = rows[i].flags | O_CLOEXEC;
		big.how.mode = rows[i].mode;
		big.how.resolve = rows[i].resolve;
		long fd = RAW(openat2, AT_FDCWD, "how", &big, rows[i].size);
		want(fd < 0 ? fd : 0, rows[i].wanted, "openat2 with %s", rows[i].name);
		put_away(fd);
	}
	memset(&big, 0, sizeof(big));
	big.more[0] = 1;
	want(RAW(openat2, AT_FDCWD, "how", &big, 32), -E2BIG, "openat2 with size 32, not zeros");
	want(RAW(openat2, AT_FDCWD, "how", NULL, 24), -EFAULT, "openat2 with NULL");
	want(RAW(openat2, AT_FDCWD, NULL, &big.how, 24), -EFAULT, "openat2 of NULL");
	want(RAW(openat2, -1, "how", &big.how, 24), -EBADF, "openat2 from no directory");
}

static void resolving(void)
{
	enum { PLAIN, BENEATH, IN_ROOT, NO_LINKS, NO_MAGIC, WAYS };
	static const unsigned long resolve[WAYS] = {
		0, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS};
	static const char *const ways[WAYS] = {"plain", "BENEATH", "IN_ROOT", "NO_SYMLINKS", "NO_MAGICLINKS"};
	static const struct {
		const char *path;
		long wanted[WAYS];
	} rows[] = {
		{"in", {0, 0, 0, 0, 0}},
		{"d/../in", {0, 0, 0, 0, 0}},
		{"d/./../d/deep", {0, 0, 0, 0, 0}},
		{".", {0, 0, 0, 0, 0}},
		{"..", {0, -EXDEV, 0, 0, 0}},
		{"../out", {0, -EXDEV, -ENOENT, 0, 0}},
		{"../root/in", {0, -EXDEV, -ENOENT, 0, 0}},
		{"../in", {-ENOENT, -EXDEV, 0, -ENOENT, -ENOENT}},
		{"d/../../out", {0, -EXDEV, -ENOENT, 0, 0}},
		{"none/../in", {-ENOENT, -ENOENT, -ENOENT, -ENOENT, -ENOENT}},
		{"link", {0, 0, 0, -ELOOP, 0}},
		{"link up", {0, -EXDEV, -ENOENT, -ELOOP, 0}},
		{"link dot", {0, 0, 0, -ELOOP, 0}},
		{"link dot/in", {0, 0, 0, -ELOOP, 0}},
		{"d/back", {0, 0, 0, -ELOOP, 0}},
		{"link absolute", {0, -EXDEV, -ENOENT, -ELOOP, 0}},
		{"link absolute in", {-ENOENT, -EXDEV, 0, -ELOOP, -ENOENT}},
		{"loop", {-ELOOP, -ELOOP, -ELOOP, -ELOOP, -ELOOP}},
		{"dangling", {-ENOENT, -ENOENT, -ENOENT, -ELOOP, -ENOENT}},
		{"/in", {-ENOENT, -EXDEV, 0, -ENOENT, -ENOENT}},
		{"//d//deep", {-ENOENT, -EXDEV, 0, -ENOENT, -ENOENT}},
		{"/../in", {-ENOENT, -EXDEV, 0, -ENOENT, -ENOENT}},
		{"", {-ENOENT, -ENOENT, -ENOENT, -ENOENT, -ENOENT}},
	};
	char to[PATH_MAX];
	long dir;

	make_dir("root", 0755);
	make_dir("root/d", 0755);
	make_file("root/in", "in", 0600);
	make_file("root/d/deep", "deep", 0600);
	make_file("out", "out", 0600);
	make_link("in", "root/link");
	make_link("../out", "root/link up");
	make_link(".", "root/link dot");
	make_link("../in", "root/d/back");
	make_link("loop", "root/loop");
	make_link("nowhere", "root/dangling");
	snprintf(to, sizeof(to), "%s/posix/openat2/out", base_path);
	make_link(to, "root/link absolute");
	make_link("/in", "root/link absolute in");
	dir = R(open("root", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int way = 0; way < WAYS; way++) {
			struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = resolve[way]};
			long fd = RAW(openat2, dir, rows[i].path, &how, sizeof(how));
			want(fd < 0 ? fd : 0, rows[i].wanted[way], "openat2 %s \"%s\"", ways[way], rows[i].path);
			put_away(fd);
		}
	}
	struct open_how how = {.flags = O_WRONLY | O_CREAT | O_CLOEXEC, .mode = 0600, .resolve = RESOLVE_BENEATH};
	long fd = RAW(openat2, dir, "made", &how, sizeof(how));
	want(fd < 0 ? fd : 0, 0, "openat2 BENEATH makes");
	put_away(fd);
	want(RAW(openat2, dir, "../made", &how, sizeof(how)), -EXDEV, "openat2 BENEATH makes nothing above");
	want(RAW(openat2, dir, "link up", &how, sizeof(how)), -EXDEV, "openat2 BENEATH makes nothing through a link");
	want(kind_of("made"), -ENOENT, "openat2 has made nothing above");
	how.resolve = RESOLVE_IN_ROOT;
	fd = RAW(openat2, dir, "/../../made too", &how, sizeof(how));
	want(fd < 0 ? fd : 0, 0, "openat2 IN_ROOT makes");
	put_away(fd);
	want(kind_of("root/made too"), S_IFREG, "openat2 IN_ROOT made it inside");
	put_away(dir);
}

void posix_openat2(void)
{
	fixture("openat2");
	structures();
	resolving();
}
