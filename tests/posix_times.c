/* SPDX-License-Identifier: ISC */
/*
 * Which times of an object and of the directories around it each call changes, and which it must leave alone; and
 * utimensat(2). A call that works for another one must leave no trace of its own walk.
 */
#include "tests/posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

static char buf[64];
static int held; /* a descriptor of t/file */

static long t_stat(void)
{
	struct stat st;
	return R(stat("t/file", &st));
}
static long t_lstat_link(void)
{
	struct stat st;
	return R(lstat("t/link", &st));
}
static long t_access(void)
{
	return R(access("t/file", R_OK | W_OK));
}
static long t_open(void)
{
	return R(close(open("t/file", O_RDWR | O_CLOEXEC)));
}
static long t_open_dir(void)
{
	return R(close(open("t", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
}
static long t_read(void)
{
	return R(pread(held, buf, 4, 0)) == 4 ? 0 : -1;
}
static long t_write(void)
{
	return R(pwrite(held, "w", 1, 0)) == 1 ? 0 : -1;
}
static long t_trunc(void)
{
	return R(close(open("t/file", O_WRONLY | O_TRUNC | O_CLOEXEC)));
}
static long t_trunc_same(void)
{
	return R(truncate("t/file", 7));
}
static long t_truncate(void)
{
	return R(truncate("t/file", 3));
}
static long t_ftruncate(void)
{
	return R(ftruncate(held, 3));
}
static long t_chmod(void)
{
	return R(chmod("t/file", 0600));
}
static long t_fchmod(void)
{
	return R(fchmod(held, 0600));
}
static long t_chmod_dir(void)
{
	return R(chmod("t/dir", 0700));
}
static long t_chown(void)
{
	return R(chown("t/file", geteuid(), getegid()));
}
static long t_lchown(void)
{
	return R(lchown("t/link", geteuid(), getegid()));
}
static long t_link(void)
{
	return R(link("t/file", "t/new"));
}
static long t_link_away(void)
{
	return R(link("t/file", "u/new"));
}
static long t_unlink_other(void)
{
	return R(unlink("t/other"));
}
static long t_unlink(void)
{
	return R(unlink("t/file"));
}
static long t_create(void)
{
	return R(close(open("t/new", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600)));
}
static long t_create_there(void)
{
	return R(close(open("t/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
}
static long t_create_refused(void)
{
	return R(open("t/file", O_CREAT | O_EXCL | O_WRONLY, 0600)) == -EEXIST ? 0 : -1;
}
static long t_mkdir(void)
{
	return R(mkdir("t/new", 0700));
}
static long t_rmdir(void)
{
	return R(rmdir("t/dir"));
}
static long t_symlink(void)
{
	return R(symlink("to", "t/new"));
}
static long t_mkfifo(void)
{
	return R(mkfifo("t/new", 0600));
}
static long t_rename(void)
{
	return R(rename("t/file", "t/new"));
}
static long t_rename_away(void)
{
	return R(rename("t/file", "u/new"));
}
static long t_rename_dir(void)
{
	return R(rename("t/dir", "u/new"));
}
static long t_rename_over(void)
{
	return R(rename("t/other", "t/file"));
}
static long t_rename_refused(void)
{
	return R(rename("t/file", "t/dir")) == -EISDIR ? 0 : -1;
}
static long t_readlink(void)
{
	return R(readlink("t/link", buf, sizeof(buf))) == 4 ? 0 : -1;
}
static long t_follow(void)
{
	struct stat st;
	return R(stat("t/link", &st));
}
static long t_list(void)
{
	DIR *dir = opendir("t");
	long got = dir && readdir(dir) ? 0 : -1;

	if (dir)
		closedir(dir);
	return got;
}
static long t_chdir(void)
{
	return R(chdir("t")) == 0 ? R(chdir("..")) : -1;
}
static long t_xattr(void)
{
	long got = R(setxattr("t/file", "user.x", "x", 1, 0));

	return got == -EOPNOTSUPP ? R(chmod("t/file", 0600)) : got;
}
static long t_getxattr(void)
{
	long got = R(getxattr("t/file", "user.none", buf, 1));

	return got == -ENODATA || got == -EOPNOTSUPP ? 0 : -1;
}

/* For the object, its directory t, and u: a, m, c where a time changes. A file system that is mounted without access
 * times shows no a; the a's here are those that relatime shows for times before mtime. */
static const struct {
	const char *name;
	long (*call)(void);
	const char *object, *changes, *in_t, *in_u;
} rows[] = {
	{"stat", t_stat, "t/file", "", "", ""},
	{"lstat of a link", t_lstat_link, "t/link", "", "", ""},
	{"stat through a link", t_follow, "t/link", "a", "", ""},
	{"stat through a link, of its target", t_follow, "t/file", "", "", ""},
	{"access", t_access, "t/file", "", "", ""},
	{"getxattr", t_getxattr, "t/file", "", "", ""},
	{"open", t_open, "t/file", "", "", ""},
	{"open a directory", t_open_dir, "t/dir", "", "", ""},
	{"chdir", t_chdir, "t/dir", "", "", ""},
	{"read a directory", t_list, "t/file", "", "a", ""},
	{"readlink", t_readlink, "t/link", "a", "", ""},
	{"read", t_read, "t/file", "a", "", ""},
	{"write", t_write, "t/file", "mc", "", ""},
	{"open O_TRUNC", t_trunc, "t/file", "mc", "", ""},
	{"truncate", t_truncate, "t/file", "mc", "", ""},
	{"truncate to the same size", t_trunc_same, "t/file", "mc", "", ""},
	{"ftruncate", t_ftruncate, "t/file", "mc", "", ""},
	{"chmod", t_chmod, "t/file", "c", "", ""},
	{"fchmod", t_fchmod, "t/file", "c", "", ""},
	{"chmod of a directory", t_chmod_dir, "t/dir", "c", "", ""},
	{"chown", t_chown, "t/file", "c", "", ""},
	{"lchown", t_lchown, "t/link", "c", "", ""},
	{"lchown, of the target", t_lchown, "t/file", "", "", ""},
	{"setxattr", t_xattr, "t/file", "c", "", ""},
	{"link", t_link, "t/file", "c", "mc", ""},
	{"link elsewhere", t_link_away, "t/file", "c", "", "mc"},
	{"unlink", t_unlink_other, "t/file", "", "mc", ""},
	{"unlink of an open file", t_unlink, NULL, "c", "mc", ""},
	{"open O_CREAT", t_create, "t/file", "", "mc", ""},
	{"open O_CREAT of what is there", t_create_there, "t/file", "", "", ""},
	{"open O_EXCL of what is there", t_create_refused, "t/file", "", "", ""},
	{"mkdir", t_mkdir, "t/file", "", "mc", ""},
	{"rmdir", t_rmdir, "t/file", "", "mc", ""},
	{"symlink", t_symlink, "t/file", "", "mc", ""},
	{"mkfifo", t_mkfifo, "t/file", "", "mc", ""},
	{"rename", t_rename, NULL, "c", "mc", ""},
	{"rename elsewhere", t_rename_away, NULL, "c", "mc", "mc"},
	{"rename a directory elsewhere", t_rename_dir, "t/file", "", "mc", "mc"},
	{"rename over an open file", t_rename_over, NULL, "c", "mc", ""},
	{"rename that is refused", t_rename_refused, "t/file", "", "", ""},
};

static void set_old(const char *path)
{
	/* Read before it was written: relatime then tells of the next reading. */
	static const struct timespec old[2] = {{1000000000, 111111111}, {1100000000, 222222222}};

	if (utimensat(AT_FDCWD, path, old, AT_SYMLINK_NOFOLLOW) != 0)
		die(path);
}

static void status(struct stat *st, const char *path)
{
	if (path ? lstat(path, st) != 0 : fstat(held, st) != 0)
		memset(st, 0, sizeof(*st));
}

static void differences(const struct stat *a, const struct stat *b, char out[4])
{
	size_t n = 0;

	if (memcmp(&a->st_atim, &b->st_atim, sizeof(a->st_atim)) != 0)
		out[n++] = 'a';
	if (memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) != 0)
		out[n++] = 'm';
	if (memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) != 0)
		out[n++] = 'c';
	out[n] = '\0';
}

static void changed(const char *call, const char *whose, const char *is, const char *wanted)
{
	if (strcmp(is, wanted) == 0)
		yes(true, "times %s: of %s", call, whose);
	else
		yes(false, "times %s: of %s: \"%s\" changed, wanted \"%s\"", call, whose, is, wanted);
}

static void one(size_t i, bool atimes)
{
	struct stat object[2], t[2], u[2];
	char is[4];

	remove_tree("t");
	remove_tree("u");
	make_dir("t", 0755);
	make_dir("u", 0755);
	make_dir("t/dir", 0755);
	make_file("t/file", "content", 0644);
	make_file("t/other", "other", 0644);
	make_link("file", "t/link");
	held = open("t/file", O_RDWR | O_CLOEXEC);
	set_old("t/file");
	set_old("t/link");
	set_old("t/dir");
	set_old("t");
	set_old("u");
	status(&object[0], rows[i].object);
	status(&t[0], "t");
	status(&u[0], "u");
	pause_ms(12); /* longer than the kernel's clock for times stands still */
	want(rows[i].call(), 0, "times %s", rows[i].name);
	status(&object[1], rows[i].object);
	status(&t[1], "t");
	status(&u[1], "u");
	close(held);
	if (!atimes && strchr(rows[i].changes, 'a'))
		return;
	differences(&object[0], &object[1], is);
	changed(rows[i].name, "the object", is, rows[i].changes);
	differences(&t[0], &t[1], is);
	if (atimes || !strchr(rows[i].in_t, 'a'))
		changed(rows[i].name, "its directory", is, rows[i].in_t);
	differences(&u[0], &u[1], is);
	changed(rows[i].name, "another directory", is, rows[i].in_u);
}

#define NOW 0x3fffffffL
#define OMIT 0x3ffffffeL

static void utimes_exact(void)
{
	static const struct timespec values[] = {{0, 0}, {1, 1}, {1000000000, 999999999}, {1234567890, 123456789},
		{2147483647, 5}, {2147483648, 0}, {4000000000, 100}, {-1, 0}};
	struct timespec set[2];
	struct stat st, before;

	make_file("u1", "", 0644);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		set[0] = values[i];
		set[1] = values[(i + 1) % 8];
		want(R(utimensat(AT_FDCWD, "u1", set, 0)), 0, "times utimensat %zu", i);
		lstat("u1", &st);
		yes(st.st_atim.tv_sec == set[0].tv_sec && st.st_atim.tv_nsec == set[0].tv_nsec,
			"times utimensat %zu: atime", i);
		yes(st.st_mtim.tv_sec == set[1].tv_sec && st.st_mtim.tv_nsec == set[1].tv_nsec,
			"times utimensat %zu: mtime", i);
	}
	lstat("u1", &before);
	set[0].tv_nsec = set[1].tv_nsec = OMIT;
	pause_ms(12);
	want(R(utimensat(AT_FDCWD, "u1", set, 0)), 0, "times utimensat OMIT both");
	lstat("u1", &st);
	yes(memcmp(&before.st_ctim, &st.st_ctim, sizeof(st.st_ctim)) == 0, "times utimensat OMIT both: no ctime");
	set[0] = values[3];
	want(R(utimensat(AT_FDCWD, "u1", set, 0)), 0, "times utimensat OMIT mtime");
	lstat("u1", &st);
	yes(st.st_atim.tv_nsec == 123456789 && st.st_mtim.tv_sec == before.st_mtim.tv_sec,
		"times utimensat OMIT mtime: kept");
	set[0].tv_nsec = OMIT;
	set[1].tv_nsec = NOW;
	want(R(utimensat(AT_FDCWD, "u1", set, 0)), 0, "times utimensat NOW mtime");
	lstat("u1", &st);
	yes(st.st_atim.tv_nsec == 123456789 && st.st_mtim.tv_sec > 1600000000, "times utimensat NOW mtime: set");
	want(R(utimensat(AT_FDCWD, "u1", NULL, 0)), 0, "times utimensat NULL");
	lstat("u1", &st);
	yes(st.st_atim.tv_sec > 1600000000 && st.st_atim.tv_sec == st.st_mtim.tv_sec, "times utimensat NULL: now");
	set[0].tv_nsec = 1000000000;
	want(R(utimensat(AT_FDCWD, "u1", set, 0)), -EINVAL, "times utimensat, too many nanoseconds");
	set[0].tv_nsec = -1;
	want(R(utimensat(AT_FDCWD, "u1", set, 0)), -EINVAL, "times utimensat, -1 nanoseconds");
	want(RAW(utimensat, AT_FDCWD, "u1", NULL, 1), -EINVAL, "times utimensat with an unknown flag");
	want(RAW(utimensat, AT_FDCWD, "u1", (void *)-4096L, 0), -EFAULT, "times utimensat from the kernel");
	int fd = open("u1", O_RDONLY | O_CLOEXEC);
	set[0] = values[1];
	set[1] = values[2];
	want(R(futimens(fd, set)), 0, "times futimens");
	want(RAW(utimensat, fd, "", set, 0x1000), 0, "times utimensat of a descriptor");
	lstat("u1", &st);
	yes(st.st_atim.tv_nsec == 1 && st.st_mtim.tv_nsec == 999999999, "times futimens: set");
	close(fd);
	make_link("u1", "ulink");
	set[0] = values[3];
	set[1] = values[4];
	want(R(utimensat(AT_FDCWD, "ulink", set, AT_SYMLINK_NOFOLLOW)), 0, "times utimensat of a link");
	lstat("ulink", &before);
	yes(before.st_atim.tv_nsec == 123456789 && before.st_mtim.tv_nsec == 5, "times utimensat of a link: set");
	lstat("u1", &st);
	yes(st.st_mtim.tv_nsec == 999999999, "times utimensat of a link: not its target");
	want(R(utimensat(AT_FDCWD, "ulink", set, 0)), 0, "times utimensat through a link");
	lstat("u1", &st);
	yes(st.st_mtim.tv_nsec == 5, "times utimensat through a link: set");
	chmod("u1", 0444);
	want(R(utimensat(AT_FDCWD, "u1", NULL, 0)), 0, "times utimensat of an own read-only file");
}

void posix_times(void)
{
	struct statvfs fs;

	fixture("times");
	bool atimes = statvfs(".", &fs) == 0 && !(fs.f_flag & (ST_NOATIME | ST_NODIRATIME));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		one(i, atimes);
	utimes_exact();
}
