/* SPDX-License-Identifier: ISC */
/*
 * The operations of the race tests, one row each, as they are done in a target: each tells honest success from something
 * that was reached and is not the target's. What changes a hidden tree is found by the judge, who sums them up.
 */
#include "tests/race_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

char race_paths[RACE_PATHS][512];
bool race_calm;
int race_home = -1;
struct race_shared *race;

int race_escape(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(race->evidence, sizeof(race->evidence), format, args);
	va_end(args);
	return 1;
}

const char *race_in(unsigned slot, const char *directory, const char *name)
{
	static char apart[RACE_PATHS][sizeof(race_paths[0])];
	char *path = race_calm ? apart[slot] : race_paths[slot];

	snprintf(path, sizeof(race_paths[0]), "%s/%s", directory, name);
	return path;
}

const char *race_fresh(unsigned slot, const char *directory)
{
	char name[32];

	snprintf(name, sizeof(name), "n%llu", (unsigned long long)++race->next_name);
	return race_in(slot, directory, name);
}

const char *race_aside(void)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/A/calm/n%llu", race->base, (unsigned long long)++race->next_name);
	return path;
}

static bool among(const struct race_object *list, size_t count, uint64_t device, uint64_t inode)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].device == device && list[i].inode == inode)
			return true;
	return false;
}

bool race_is_secret(const struct stat *st)
{
	return among(race->secrets, race->secret_count, st->st_dev, st->st_ino);
}

bool race_is_readable(const struct stat *st)
{
	return among(race->readable, race->readable_count, st->st_dev, st->st_ino);
}

int race_seen(const struct stat *st, const char *path, bool only)
{
	if (race_is_secret(st) || only)
		return race_escape("inode %llu of %s was shown", (unsigned long long)st->st_ino, path);
	return 0;
}

/* Closes fd. */
int race_got(int fd, const char *path, bool only)
{
	char text[sizeof(RACE_SECRET)] = "";
	struct stat st;

	if (fd < 0)
		return -errno;
	int flags = fcntl(fd, F_GETFL),
	    e = fstat(fd, &st) ? race_escape("no fstat: %s", strerror(errno)) : race_seen(&st, path, only);
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	if (!e && writes && race_is_readable(&st))
		e = race_escape("%s was opened for writing", path);
	if (!e && (flags & O_ACCMODE) != O_WRONLY && S_ISREG(st.st_mode) && pread(fd, text, sizeof(text) - 1, 0) > 0 &&
		!strcmp(text, RACE_SECRET))
		e = race_escape("%s was read", path);
	if (!e && writes && S_ISREG(st.st_mode) && write(fd, RACE_HONEST, sizeof(RACE_HONEST) - 1) < 0)
		e = -errno;
	close(fd);
	return e;
}

int race_result(long r, const char *path, bool only)
{
	if (r < 0)
		return -errno;
	return only ? race_escape("%s was there", path) : 0;
}

/* ---- what only looks ---- */

static int race_look_stat(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyfile" : "file");
	struct stat st;

	return stat(path, &st) ? -errno : race_seen(&st, path, only);
}

static int race_look_lstat(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlylink" : "link");
	struct stat st;

	return lstat(path, &st) ? -errno : race_seen(&st, path, only);
}

static int race_look_statx(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlydir" : "dir");
	struct statx x;

	if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &x))
		return -errno;
	struct stat st = {.st_dev = (dev_t)((x.stx_dev_major << 8 & 0xfff00) | (x.stx_dev_minor & 0xff) |
					    ((uint64_t)(x.stx_dev_minor & ~0xffu) << 12)),
		.st_ino = x.stx_ino};
	return race_seen(&st, path, only);
}

static int race_look_access(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyfile" : "file");

	return race_result(access(path, R_OK), path, only);
}

/* Whether it may be written: never so for what is only readable; which of the two it was says its link count. */
static int race_look_access_write(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyvictim" : "victim");

	return race_result(faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS), path, only);
}

static int race_look_readlink(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlylink" : "link");
	char text[64] = "";

	if (readlink(path, text, sizeof(text) - 1) < 0)
		return -errno;
	if (only || !strncmp(text, RACE_SECRET, strlen(RACE_SECRET)))
		return race_escape("the link %s was read", path);
	return 0;
}

static int race_look_statfs(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlydir" : "dir");
	struct statfs fs;

	return race_result(statfs(path, &fs), path, only);
}

static int race_look_attribute(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyfile" : "file");
	char text[64] = "";
	ssize_t n = getxattr(path, RACE_MARK_ATTRIBUTE, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	if (only || !strncmp(text, RACE_SECRET, strlen(RACE_SECRET)))
		return race_escape("the attribute of %s was read", path);
	return 0;
}

static int race_look_attributes(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyfile" : "file");
	char text[256];

	return race_result(listxattr(path, text, sizeof(text)), path, only);
}

static int race_look_events(const char *directory, bool only)
{
	static int notify = -1;
	const char *path = race_in(0, directory, only ? "onlydir" : "dir");

	if (notify < 0)
		notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int watch = inotify_add_watch(notify, path, IN_ATTRIB);
	if (watch < 0)
		return -errno;
	inotify_rm_watch(notify, watch);
	return race_result(0, path, only);
}

/* ---- where one stands ---- */

static int race_stand(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlydir" : "dir");
	char where[512] = "";

	if (race_home < 0)
		race_home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (race_home < 0)
		return -errno;
	if (chdir(path))
		return -errno;
	int e = race_result(0, path, only);
	if (!e)
		e = race_got(open("file", O_RDONLY | O_CLOEXEC), "file", false);
	/* What is above is another question, for which the answer may be that it is not there. */
	if (e <= 0 && race_got(open("../file", O_RDONLY | O_CLOEXEC), "../file", false) > 0)
		e = 1;
	if (e <= 0 && race_got(open("../onlyfile", O_RDONLY | O_CLOEXEC), "../onlyfile", true) > 0)
		e = 1;
	if (e <= 0 && race->kind != RACE_MOVED && getcwd(where, sizeof(where)) && strstr(where, "/S/t"))
		e = race_escape("stands in %s", where);
	if (fchdir(race_home) && e <= 0)
		e = -errno;
	return e;
}

/* ---- exec ---- */

static int race_execute(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyprog" : "prog");
	char *const argv[] = {"prog", NULL}, *const envp[] = {NULL};
	volatile int failed = 0;
	int status;
	/* vfork: the string is the one that is rewritten. */
	pid_t pid = vfork();

	if (!pid) {
		execve(path, argv, envp);
		failed = errno;
		_exit(127);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (failed)
		return -failed;
	if (!WIFEXITED(status))
		return -ENOEXEC;
	if (only || WEXITSTATUS(status) == RACE_CODE_SECRET || WEXITSTATUS(status) == RACE_CODE_READABLE)
		return race_escape("%s ran, and said %d", path, WEXITSTATUS(status));
	return WEXITSTATUS(status) == RACE_CODE_HONEST ? 0 : -ENOEXEC;
}

const struct race_row race_rows[] = {{"open for reading", race_open_read, "", true, 0, false},
	{"open for writing", race_open_write, "EACCES", true, 0, false},
	{"open O_TRUNC", race_open_truncate, "EACCES", true, 0, false},
	{"open O_RDONLY and O_TRUNC", race_open_read_truncate, "EACCES", true, 0, false},
	{"open O_DIRECTORY", race_open_directory, "", true, 0, false},
	{"open O_PATH", race_open_path, "", true, 0, false},
	{"open O_NOFOLLOW", race_open_nofollow, "ELOOP", true, 0, false},
	{"open O_CREAT", race_open_create, "EACCES", false, 0, false},
	{"open O_CREAT of what is there", race_open_create_there, "EACCES", false, 0, false},
	{"open O_EXCL", race_open_exclusive, "EACCES", false, 0, false},
	{"open O_TMPFILE", race_open_temporary, "EACCES", true, 0, false},
	{"openat2", race_open_how, "EACCES", true, 0, false}, {"openat below", race_open_below, "", true, 0, true},
	{"stat", race_look_stat, "", true, 0, false}, {"lstat", race_look_lstat, "", true, 0, false},
	{"statx", race_look_statx, "", true, 0, false}, {"access", race_look_access, "", true, 0, false},
	{"faccessat for writing", race_look_access_write, "EACCES", true, 0, false},
	{"readlink", race_look_readlink, "", true, 0, false}, {"statfs", race_look_statfs, "", true, 0, false},
	{"getxattr", race_look_attribute, "", true, 0, false}, {"listxattr", race_look_attributes, "", true, 0, false},
	{"inotify_add_watch", race_look_events, "", true, 0, false}, {"chdir", race_stand, "", true, 0, true},
	{"mkdir", race_make_directory, "EACCES", false, 0, false},
	{"rmdir", race_remove_directory, "EACCES", true, 0, false},
	{"unlink", race_unlink_file, "EACCES", true, 0, false},
	{"rename out", race_rename_out, "EACCES EXDEV", true, 0, false},
	{"rename in", race_rename_in, "EACCES EXDEV", false, 0, false},
	{"rename within", race_rename_within, "EACCES EXDEV", true, 0, false},
	{"rename RENAME_EXCHANGE", race_rename_exchange, "EACCES EXDEV", true, 0, false},
	{"link", race_link_out, "EACCES EXDEV", true, 0, false},
	{"link AT_SYMLINK_FOLLOW", race_link_out_followed, "EACCES EXDEV", true, 0, false},
	{"link in", race_link_in, "EACCES EXDEV", false, 0, false},
	{"symlink", race_make_symlink, "EACCES", false, 0, false},
	{"mknod of a FIFO", race_make_fifo, "EACCES", false, 0, false},
	{"mknod of a file", race_make_regular, "EACCES", false, 0, false},
	{"chmod", race_change_mode, "EACCES", true, 0, false}, {"chown", race_change_owner, "EACCES", true, 0, false},
	{"utimensat", race_change_times, "EACCES", true, 0, false},
	{"truncate", race_change_size, "EACCES", true, 0, false},
	{"setxattr", race_change_attribute, "EACCES", true, 0, false},
	{"removexattr", race_remove_attribute, "EACCES ENODATA", true, 0, false},
	{"execve", race_execute, "EACCES", true, 16, false}};
const size_t race_row_count = sizeof(race_rows) / sizeof(*race_rows);
_Static_assert(sizeof(race_rows) / sizeof(*race_rows) <= RACE_ROWS, "shared counters");

bool race_row_works(size_t i)
{
	return !(race->no_attributes && strstr(race_rows[i].name, "xattr")) &&
	       !(race->no_temporary && strstr(race_rows[i].name, "O_TMPFILE"));
}
