/* SPDX-License-Identifier: ISC */
/* Descriptors, and the directories that calls start from; reading directories. */
#include "tests/posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static struct stat st;
static char text[PATH_MAX];
static const struct timespec then[2] = {{1000000000, 1}, {1000000001, 2}};

#define F(call_name, call)                                                                                             \
	static long call_name(long fd, const char *p)                                                                  \
	{                                                                                                              \
		return call;                                                                                           \
	}
F(f_stat, RAW(newfstatat, fd, p, &st, 0))
F(f_statx, RAW(statx, fd, p, 0, 0x7ff, text))
F(f_access, RAW(faccessat, fd, p, R_OK))
F(f_access2, RAW(faccessat2, fd, p, R_OK, AT_EACCESS))
F(f_readlink, RAW(readlinkat, fd, p, text, sizeof(text)))
F(f_mkdir, RAW(mkdirat, fd, p, 0700))
F(f_mknod, RAW(mknodat, fd, p, S_IFIFO | 0600, 0))
F(f_unlink, RAW(unlinkat, fd, p, 0))
F(f_rmdir, RAW(unlinkat, fd, p, AT_REMOVEDIR))
F(f_rename_from, RAW(renameat2, fd, p, base, "renamed", 0))
F(f_rename_to, RAW(renameat2, base, "source", fd, p, 0))
F(f_link_from, RAW(linkat, fd, p, base, "linked", 0))
F(f_link_to, RAW(linkat, base, "source", fd, p, 0))
F(f_symlink, RAW(symlinkat, "to", fd, p))
F(f_chmod, RAW(fchmodat, fd, p, 0600))
F(f_chown, RAW(fchownat, fd, p, getuid(), getgid(), 0))
F(f_utimens, RAW(utimensat, fd, p, then, 0))

static long f_open(long fd, const char *p)
{
	long got = RAW(openat, fd, p, O_RDONLY | O_CLOEXEC, 0);

	if (got >= 0)
		close((int)got);
	return got < 0 ? got : 0;
}

static long f_creat(long fd, const char *p)
{
	long got = RAW(openat, fd, p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (got >= 0)
		close((int)got);
	return got < 0 ? got : 0;
}

/* Each call that starts from a directory, from what is one and from what is none. */
static const struct {
	const char *name;
	long (*call)(long fd, const char *p);
	const char *fixture; /* what p must be: a file, a directory, a link, or nothing */
} froms[] = {
	{"newfstatat", f_stat, "file"},
	{"statx", f_statx, "file"},
	{"faccessat", f_access, "file"},
	{"faccessat2", f_access2, "file"},
	{"openat", f_open, "file"},
	{"readlinkat", f_readlink, "link"},
	{"openat O_CREAT", f_creat, NULL},
	{"mkdirat", f_mkdir, NULL},
	{"mknodat", f_mknod, NULL},
	{"unlinkat", f_unlink, "file"},
	{"unlinkat REMOVEDIR", f_rmdir, "dir"},
	{"renameat2 from", f_rename_from, "file"},
	{"renameat2 to", f_rename_to, NULL},
	{"linkat from", f_link_from, "file"},
	{"linkat to", f_link_to, NULL},
	{"symlinkat", f_symlink, NULL},
	{"fchmodat", f_chmod, "file"},
	{"fchownat", f_chown, "file"},
	{"utimensat", f_utimens, "file"},
};

static void prepare(const char *fixture_kind, const char *path)
{
	remove_tree("from/sub/thing");
	remove_tree("thing");
	remove_tree("../renamed");
	remove_tree("../linked");
	remove_tree("../source");
	make_file("../source", "s", 0600);
	if (!fixture_kind)
		return;
	if (strcmp(fixture_kind, "file") == 0)
		make_file(path, "x", 0600);
	else if (strcmp(fixture_kind, "dir") == 0)
		make_dir(path, 0700);
	else
		make_link("to", path);
}

static void starts(void)
{
	char absolute[PATH_MAX];
	int dir, file;
	long got;

	make_dir("from", 0755);
	make_dir("from/sub", 0755);
	make_file("plain", "x", 0600);
	dir = open("from/sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file = open("plain", O_RDONLY | O_CLOEXEC);
	snprintf(absolute, sizeof(absolute), "%s/posix/descriptors/from/sub/thing", base_path);
	for (size_t i = 0; i < sizeof(froms) / sizeof(froms[0]); i++) {
		const char *n = froms[i].name, *kind = froms[i].fixture;
#define GOOD(got) (froms[i].call == f_readlink && (got) == 2 ? 0 : (got))
		prepare(kind, "from/sub/thing");
		got = froms[i].call(dir, "thing");
		want(GOOD(got), 0, "descriptors %s from a directory", n);
		prepare(kind, "thing");
		got = froms[i].call(dir, "../../thing");
		want(GOOD(got), 0, "descriptors %s from a directory, dots", n);
		prepare(kind, "thing");
		got = froms[i].call(AT_FDCWD, "thing");
		want(GOOD(got), 0, "descriptors %s from AT_FDCWD", n);
		prepare(kind, "thing");
		got = froms[i].call((long)(0xdeadbeef00000000UL | (unsigned)AT_FDCWD), "thing");
		want(GOOD(got), 0, "descriptors %s from AT_FDCWD with high bits", n);
		prepare(kind, "from/sub/thing");
		got = froms[i].call(-1, absolute);
		want(GOOD(got), 0, "descriptors %s from -1, absolute", n);
		prepare(kind, "from/sub/thing");
		got = froms[i].call(file, absolute);
		want(GOOD(got), 0, "descriptors %s from a file, absolute", n);
		prepare(kind, "thing");
		want(froms[i].call(-1, "thing"), -EBADF, "descriptors %s from -1", n);
		want(froms[i].call(-2, "thing"), -EBADF, "descriptors %s from -2", n);
		want(froms[i].call(1000, "thing"), -EBADF, "descriptors %s from a closed one", n);
		want(froms[i].call(file, "thing"), -ENOTDIR, "descriptors %s from a file", n);
		want(froms[i].call(dir, ""), -ENOENT, "descriptors %s from a directory, nothing", n);
		/* readlinkat(2) takes an empty path for the descriptor itself. */
		want(froms[i].call(-1, ""), f_readlink == froms[i].call ? -EBADF : -ENOENT,
			"descriptors %s from -1, nothing", n);
		want(froms[i].call(dir, NULL), f_utimens == froms[i].call ? 0 : -EFAULT,
			"descriptors %s from a directory, NULL", n);
#undef GOOD
	}
	close(dir);
	close(file);
}

static void lowest_and_full(void)
{
	struct rlimit old, tight;
	int fds[64], count = 0, zero;

	make_file("low", "low", 0600);
	int a = open("low", O_RDONLY | O_CLOEXEC), b = open("low", O_RDONLY | O_CLOEXEC),
	    c = open("low", O_RDONLY | O_CLOEXEC);
	yes(b == a + 1 && c == b + 1, "descriptors: the lowest free ones");
	close(b);
	int d = open("low", O_RDONLY | O_CLOEXEC);
	want(d, b, "descriptors: a closed one is used again");
	close(a);
	int e = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	want(e, a, "descriptors: for a directory too");
	close(c), close(d), close(e);
	zero = fcntl(0, F_DUPFD_CLOEXEC, 100);
	close(0);
	want(R(open("low", O_RDONLY)), 0, "descriptors: 0 is one like all");
	if (zero >= 0) {
		dup2(zero, 0);
		close(zero);
	}
	getrlimit(RLIMIT_NOFILE, &old);
	tight = old;
	tight.rlim_cur = (rlim_t)a + 5;
	if (setrlimit(RLIMIT_NOFILE, &tight) != 0) {
		yes(false, "descriptors: their limit can be set");
		return;
	}
	while (count < 64 && (fds[count] = open("low", O_RDONLY | O_CLOEXEC)) >= 0)
		count++;
	long full = -errno;
	want(full, -EMFILE, "descriptors: none is left");
	want(count, 5, "descriptors: so many could be had");
	want(R(open("low", O_RDONLY | O_DIRECTORY)), -EMFILE, "descriptors: EMFILE comes before ENOTDIR");
	want(R(open("none", O_RDONLY)), -EMFILE, "descriptors: and before ENOENT");
	want(R(open("never", O_RDWR | O_CREAT, 0600)), -EMFILE, "descriptors: EMFILE for O_CREAT");
	want(R(open("low", O_RDWR | O_TRUNC)), -EMFILE, "descriptors: EMFILE for O_TRUNC");
	while (count > 0)
		close(fds[--count]);
	setrlimit(RLIMIT_NOFILE, &old);
	want(kind_of("never"), -ENOENT, "descriptors: EMFILE has made nothing");
	want(content_is("low", "low"), 1, "descriptors: EMFILE has cut nothing");
}

void posix_descriptors(void)
{
	fixture("descriptors");
	starts();
	fixture("descriptors");
	lowest_and_full();
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void reading(void)
{
	static char names[600][32];
	struct dirent *entry;
	struct stat dot, dotdot;
	int count = 0, good = 0, dots = 0;
	DIR *dir;

	for (int i = 0; i < 300; i++) {
		char name[32];
		snprintf(name, sizeof(name), "entry %03d", i);
		if (i % 3 == 0)
			make_file(name, "", 0600);
		else if (i % 3 == 1)
			make_dir(name, 0700);
		else
			make_link("to", name);
	}
	dir = opendir(".");
	stat(".", &dot);
	stat("..", &dotdot);
	while (dir && (entry = readdir(dir)) && count < 600) {
		bool self = strcmp(entry->d_name, ".") == 0, up = strcmp(entry->d_name, "..") == 0;
		if (self || up) {
			dots += entry->d_ino == (self ? dot : dotdot).st_ino;
			continue;
		}
		snprintf(names[count], sizeof(names[0]), "%.31s", entry->d_name);
		good += lstat(entry->d_name, &st) == 0 && st.st_ino == entry->d_ino &&
			(entry->d_type == DT_UNKNOWN || entry->d_type == (st.st_mode & S_IFMT) >> 12);
		count++;
	}
	want(dots, 2, "directories: . and .. are there, with their numbers");
	want(count, 300, "directories: all entries");
	want(good, 300, "directories: with their numbers and kinds");
	qsort(names, (size_t)count, sizeof(names[0]), by_name);
	good = 0;
	for (int i = 0; i < count; i++) {
		char name[32];
		snprintf(name, sizeof(name), "entry %03d", i);
		good += strcmp(names[i], name) == 0;
	}
	want(good, 300, "directories: with their names");
	if (!dir)
		return;
	rewinddir(dir);
	make_file("one more", "", 0600);
	rewinddir(dir);
	for (count = 0; readdir(dir);)
		count++;
	want(count, 303, "directories: one more after rewinddir");
	rewinddir(dir);
	for (int i = 0; i < 100; i++)
		(void)readdir(dir);
	long at = telldir(dir);
	entry = readdir(dir);
	snprintf(text, sizeof(text), "%s", entry ? entry->d_name : "");
	for (int i = 0; i < 50; i++)
		(void)readdir(dir);
	seekdir(dir, at);
	entry = readdir(dir);
	yes(entry && strcmp(entry->d_name, text) == 0, "directories: seekdir goes back");
	rewinddir(dir);
	count = 0;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] == 'e')
			count += (entry->d_type == DT_DIR ? rmdir(entry->d_name) : unlink(entry->d_name)) == 0;
	want(count, 300, "directories: entries are removed while it is read");
	closedir(dir);
	dir = opendir(".");
	for (count = 0; dir && readdir(dir);)
		count++;
	want(count, 3, "directories: few are left");
	if (dir)
		closedir(dir);
}

static void descriptors_of_directories(void)
{
	char buf[512];
	int fd;

	make_dir("d", 0755);
	fd = open("d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	want(R(read(fd, buf, sizeof(buf))), -EISDIR, "directories: read");
	want(R(write(fd, buf, 1)), -EBADF, "directories: write");
	want(RAW(getdents64, fd, buf, 1), -EINVAL, "directories: getdents64 into too little");
	yes(RAW(getdents64, fd, buf, sizeof(buf)) > 0, "directories: getdents64");
	want(RAW(getdents64, fd, buf, sizeof(buf)), 0, "directories: getdents64 at the end");
	want(R(lseek(fd, 0, SEEK_SET)), 0, "directories: lseek to the start");
	yes(RAW(getdents64, fd, buf, sizeof(buf)) > 0, "directories: getdents64 again");
	want(R(fsync(fd)), 0, "directories: fsync");
	want(R(fchmod(fd, 0750)), 0, "directories: fchmod");
	want(mode_of("d"), 0750, "directories: fchmod: mode");
	want(R(rmdir("d")), 0, "directories: rmdir of an open one");
	want(RAW(getdents64, fd, buf, sizeof(buf)), -ENOENT, "directories: getdents64 of a removed one");
	want(R(openat(fd, "x", O_CREAT | O_WRONLY, 0600)), -ENOENT, "directories: nothing is made in a removed one");
	want(R(mkdirat(fd, "x", 0700)), -ENOENT, "directories: mkdirat in a removed one");
	want(R(fstatat(fd, "x", &st, 0)), -ENOENT, "directories: fstatat in a removed one");
	want(R(fstatat(fd, ".", &st, 0)), 0, "directories: fstatat of a removed one");
	want(fstat(fd, &st) == 0 ? (long)st.st_nlink : -errno, 0, "directories: a removed one has no links");
	close(fd);
	yes(opendir("none") == NULL && errno == ENOENT, "directories: opendir of nothing");
	make_file("file", "", 0600);
	yes(opendir("file") == NULL && errno == ENOTDIR, "directories: opendir of a file");
	fd = open("file", O_RDONLY | O_CLOEXEC);
	want(RAW(getdents64, fd, buf, sizeof(buf)), -ENOTDIR, "directories: getdents64 of a file");
	close(fd);
}

void posix_directories(void)
{
	fixture("directories");
	reading();
	fixture("directories");
	descriptors_of_directories();
}
