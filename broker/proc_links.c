/* SPDX-License-Identifier: ISC */
/* Owns what the links of /proc lead to: descriptors of the asking process, opened again for no more than they are open for
 * already or than a rule gives, and whether it can have more; and its terminal. Runs in the broker. */
#include "broker/carrier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define KEPT                                                                                                           \
	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME | O_ASYNC | O_DIRECTORY | O_TRUNC)

/* The file itself, with a position and flags of its own; or negative. */
static int reopen(const struct request *r, int fd, const struct stat *st, int flags)
{
	if ((!S_ISREG(st->st_mode) && !S_ISFIFO(st->st_mode) && !S_ISDIR(st->st_mode)) || is_procfs(fd))
		return -EACCES;
	/* Non-blocking, as every open of a lane: a lease could hold it up. */
	int again = fd_reopen(r->family->broker, fd, (flags & KEPT) | O_NOCTTY | O_NONBLOCK);
	if (again < 0 || (flags & O_NONBLOCK))
		return again;
	if (fcntl(again, F_SETFL, flags & (O_APPEND | O_DIRECT | O_NOATIME | O_ASYNC)) == 0)
		return again;
	close(again);
	return -EACCES;
}

/* By the name that it has, where a rule allows more than it was opened for. The name is asked for the same file first: it
 * may be another's by now. */
static int by_name(const struct request *r, int fd, const struct stat *st, int flags)
{
	struct request q = *r;
	struct place p = {.base = -1};
	char path[PATH_MAX];
	static const unsigned perms[4] = {PERM_R, PERM_W, PERM_R | PERM_W, PERM_R | PERM_W};
	unsigned need = perms[flags & O_ACCMODE] | (flags & O_TRUNC ? PERM_W : 0u);
	if (!S_ISREG(st->st_mode) || canonical_of(r->state, r->family->broker, fd, path) < 0 || in_proc(path) ||
		promised(&q, promises_for(need)) < 0)
		return -EACCES;
	q.op = NULL;
	q.path[0] = path;
	int there = resolve_open(&q, 0, RESOLVE_NOFOLLOW_LAST, need, O_PATH | O_NOFOLLOW, 0, &p);
	if (there < 0)
		return there;
	bool same = !p.proc && p.st.st_dev == st->st_dev && p.st.st_ino == st->st_ino;
	place_close(&p);
	int again = same ? reopen(r, there, st, flags) : -EACCES;
	close(there);
	return again;
}

int descriptor_again(struct request *r, int number, int flags)
{
	struct stat st;
	int fd = memory_dup_fd(r, number);
	if (fd < 0)
		return -ENOENT;
	int have = fcntl(fd, F_GETFL), want = flags & O_ACCMODE, e = 0, again = -EACCES;
	bool enough = !(have & O_PATH) && want != O_ACCMODE &&
		      ((have & O_ACCMODE) == O_RDWR || (have & O_ACCMODE) == want) &&
		      (!(flags & O_TRUNC) || (have & O_ACCMODE) != O_RDONLY);
	if (have < 0 || fstat(fd, &st) < 0)
		e = -EBADF;
	else if ((flags & O_DIRECTORY) && !S_ISDIR(st.st_mode))
		e = -ENOTDIR;
	else if (flags & O_PATH)
		return fd;
	else if (S_ISSOCK(st.st_mode))
		e = -ENXIO;
	else if (S_ISDIR(st.st_mode) && (want != O_RDONLY || (flags & O_CREAT)))
		e = -EISDIR;
	else
		again = enough ? reopen(r, fd, &st, flags) : by_name(r, fd, &st, flags);
	if (e == 0 && again < 0 && !enough)
		e = -EACCES;
	/* What cannot be opened again is given again: it shares its position with the one it names. */
	if (e == 0 && again < 0 && (flags & O_TRUNC) && S_ISREG(st.st_mode) && ftruncate(fd, 0) < 0)
		e = -errno;
	if (e == 0 && again < 0)
		return fd;
	close(fd);
	return e < 0 ? e : again;
}

/* The link of a descriptor, as a link: that of the broker's own copy, which has the same mode. Those of a target that is
 * not dumpable are nobody's to look at. */
int descriptor_link(const struct request *r, int number)
{
	char name[32];
	int fd = memory_dup_fd(r, number);
	if (fd < 0)
		return -ENOENT;
	snprintf(name, sizeof(name), "self/fd/%d", fd);
	int link = openat(r->family->broker->proc, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int e = link < 0 ? -errno : link;
	close(fd);
	return e;
}

ssize_t descriptor_name(const struct request *r, int number, char buf[PATH_MAX])
{
	struct stat st;
	int fd = memory_dup_fd(r, number);
	if (fd < 0)
		return -ENOENT;
	ssize_t n = 0;
	int e = canonical_of(r->state, r->family->broker, fd, buf);
	if (e == 0 && judge(r, buf, 0, NULL) < 0) {
		/* It holds the file, but is not to know where it lies. */
		n = fstat(fd, &st) < 0 ? -errno : snprintf(buf, PATH_MAX, "file:[%llu]", (unsigned long long)st.st_ino);
	} else if (e == -ENOENT && last_path_of(r->family->broker, fd, buf) == 0 && judge(r, buf, 0, NULL) == 0 &&
		   strlen(buf) + 16 < PATH_MAX) {
		strcat(buf, " (deleted)");
		n = (ssize_t)strlen(buf);
	} else if (e == -ENOENT) {
		char name[32];
		snprintf(name, sizeof(name), "self/fd/%d", fd);
		n = readlinkat(r->family->broker->proc, name, buf, PATH_MAX - 1);
		n = n < 0 ? -errno : buf[0] == '/' ? snprintf(buf, PATH_MAX, "/ (deleted)") : n;
	} else {
		n = e < 0 ? e : (ssize_t)strlen(buf);
	}
	close(fd);
	return n;
}

int terminal_again(const struct request *r, int flags)
{
	int want = flags & O_ACCMODE;
	/* The broker has no terminal, and a target's session none either: it is the one that it was started on. */
	for (int i = 0; i <= 2; i++) {
		struct termios t;
		int fd = memory_dup_fd(r, i);
		if (fd < 0)
			continue;
		int have = fcntl(fd, F_GETFL);
		if (have >= 0 && !(have & O_PATH) && tcgetattr(fd, &t) == 0 &&
			((flags & O_PATH) || (have & O_ACCMODE) == O_RDWR || (have & O_ACCMODE) == want))
			return fd;
		close(fd);
	}
	/* In place: the one that it had when it confined itself. */
	int fd = r->family->broker->terminal > 0 ? fcntl(r->family->broker->terminal, F_DUPFD_CLOEXEC, 3) : -1;
	return fd < 0 ? -ENXIO : fd;
}

/* Of the numbers below limit, whether each is taken, and not only while the carrier holds it. */
static bool taken_below(const struct request *r, uint64_t limit, const int held[CARRIER_HELD])
{
	char name[40];
	uint64_t count = 0;
	snprintf(name, sizeof(name), "%d/fd", r->tid);
	int fd = openat(r->family->broker->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return true; /* one that is not dumpable */
	}
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.' && strtoull(entry->d_name, NULL, 10) < limit;
	for (int i = 0; i < CARRIER_HELD - 1; i++)
		count -= held[i] >= 0 && (uint64_t)held[i] < limit && count > 0;
	closedir(dir);
	return count >= limit;
}

bool descriptors_full(const struct request *r)
{
	char name[40];
	struct rlimit64 limit;
	struct stat st;
	int held[CARRIER_HELD];
	if (!r->family->carrier->held(r->family, r->id, held))
		return true;
	snprintf(name, sizeof(name), "%d/fd", r->tid);
	/* The size of that directory is how many there are, since 6.2; before, it is 0. */
	if (prlimit64(r->tid, RLIMIT_NOFILE, NULL, &limit) || fstatat(r->family->broker->proc, name, &st, 0) < 0)
		return false;
	return (uint64_t)st.st_size >= limit.rlim_cur && taken_below(r, limit.rlim_cur, held) && request_alive(r);
}
