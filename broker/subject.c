/* SPDX-License-Identifier: ISC */
/* Owns the way to the subject of a call that is about an object and not about an entry of a directory: its mode, owner, times,
 * attributes, watches, another link to it. Named by a path it is opened O_PATH in the walk that judged it. Named by a
 * descriptor of the caller's (AT_EMPTY_PATH, "/proc/self/fd/3", or by a call that takes one) it is judged by the path
 * that the descriptor has. Runs in the broker. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of a line of /proc/PID/status: the real, the effective, the saved id, and that of the file system. */
static bool four_numbers(const char *text, unsigned out[4])
{
	for (int i = 0; i < 4; i++) {
		char *end;
		out[i] = (unsigned)strtoul(text, &end, 10);
		if (end == text)
			return false;
		text = end;
	}
	return true;
}

int credentials_of(const struct request *r, struct credentials *out)
{
	char name[40], text[4096];
	unsigned uids[4], gids[4];
	memset(out, 0, sizeof(*out));
	snprintf(name, sizeof(name), "%d/status", (int)r->tid);
	int fd = openat(r->family->broker->proc, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0 || !request_alive(r))
		return -EPERM;
	text[n] = 0;
	/* The program's name cannot say these: newlines in it are escaped. */
	const char *uid = strstr(text, "\nUid:"), *gid = strstr(text, "\nGid:"), *groups = strstr(text, "\nGroups:");
	if (!uid || !gid || !groups || !four_numbers(uid + 5, uids) || !four_numbers(gid + 5, gids))
		return -EPERM;
	out->effective = uids[1];
	out->uid = uids[3];
	out->group = gids[1];
	out->gid = gids[3];
	for (groups += 8; out->count < CREDENTIALS_GROUPS;) {
		char *end;
		unsigned long group = strtoul(groups, &end, 10);
		if (end == groups || memchr(groups, '\n', (size_t)(end - groups)))
			break;
		out->groups[out->count++] = (gid_t)group;
		groups = end;
	}
	return 0;
}

void subject_close(struct subject *o)
{
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
}

/* No rule shows what the caller holds open: it has no path, or a hidden one. Looking is what the kernel lets it do with
 * the descriptor anyway. Changing is more than that where the broker has more authority than the caller, so it must be the
 * caller's own; and where somebody else has opened it, in a place that is hidden, must have been opened for writing. */
static int held(const struct request *r, struct subject *o, int flags, unsigned need, bool hidden)
{
	struct credentials ids;
	bool writable = (flags & O_ACCMODE) != O_RDONLY;
	o->held = true;
	if (need == PERM_R)
		return hidden ? -ENOENT : 0;
	if ((flags & O_PATH) || (hidden && !writable) || credentials_of(r, &ids) < 0)
		return hidden ? -ENOENT : -EPERM;
	return o->st.st_uid == ids.uid ? 0 : -EPERM;
}

/* The object that a stand-in names takes its place. 0 when o->fd is none. */
static int stands_for(struct request *r, unsigned need, struct subject *o)
{
	char path[PATH_MAX], *asked = r->path[0];
	struct place p = {.base = -1};
	int dirfd = r->dirfd[0];
	if (!standin_read(o->fd, path))
		return 0;
	r->path[0] = path;
	r->dirfd[0] = AT_FDCWD;
	int fd = resolve_open(r, 0, RESOLVE_NOFOLLOW_LAST, need, O_PATH | O_NOFOLLOW, 0, &p);
	r->path[0] = asked;
	r->dirfd[0] = dirfd;
	if (fd < 0)
		return fd;
	memcpy(o->path, p.path, sizeof(o->path));
	place_close(&p);
	if (p.proc)
		return -EPERM;
	subject_close(o);
	o->fd = fd;
	return fstat(fd, &o->st) < 0 ? -errno : 1;
}

int subject_descriptor(struct request *r, int number, unsigned need, struct subject *o)
{
	o->held = false;
	o->path[0] = 0;
	o->fd = memory_dup_fd(r, number);
	if (o->fd < 0)
		return o->fd;
	int stands = stands_for(r, need, o);
	if (stands != 0) {
		if (stands < 0)
			subject_close(o);
		return stands < 0 ? stands : 0;
	}
	int flags = fcntl(o->fd, F_GETFL), e;
	if (flags < 0 || fstat(o->fd, &o->st) < 0)
		e = -errno;
	else if ((e = canonical_of(r->state, r->family->broker, o->fd, o->path)) == -ENOENT)
		e = held(r, o, flags, need, false);
	else if (e == 0 && (in_proc(o->path) || is_procfs(o->fd)))
		e = -EPERM;
	else if (e == 0 && (e = judge(r, o->path, need, NULL)) == -ENOENT)
		e = held(r, o, flags, need, true) < 0 ? refuse(r, o->path, need, -ENOENT) : 0;
	else if (e == -EACCES)
		refuse(r, o->path, need, e);
	if (e < 0)
		subject_close(o);
	return e;
}

static int in_process(struct request *r, const struct place *p, int flags, unsigned need, struct subject *o)
{
	int number = proc_descriptor(r, p->path);
	if (number >= 0 && !(flags & AT_SYMLINK_NOFOLLOW)) {
		int e = subject_descriptor(r, number, need, o);
		return e == -EBADF ? -ENOENT : e;
	}
	int there = number >= 0 ? memory_dup_fd(r, number) : number == -EINVAL ? 0 : number;
	if (there < 0)
		return there == -EBADF ? -ENOENT : there;
	if (number >= 0)
		close(there);
	if (need != PERM_R)
		return -EPERM; /* the links and files of /proc are nobody's to change */
	o->fd = proc_open(r, p->path, O_PATH | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0));
	return o->fd < 0 ? o->fd : fstat(o->fd, &o->st) < 0 ? -errno : 0;
}

int subject_open(struct request *r, int which, int flags, unsigned need, uint64_t promises, struct subject *o)
{
	static char here[] = ".";
	struct place p = {.base = -1};
	*o = (struct subject){.fd = -1};
	int e = promised(r, promises);
	if (e < 0)
		return e;
	if (!r->path[which] || !r->path[which][0]) {
		if (!(flags & AT_EMPTY_PATH))
			return -ENOENT;
		if (r->dirfd[which] != AT_FDCWD)
			return subject_descriptor(r, r->dirfd[which], need, o);
		r->path[which] = here;
	}
	bool nofollow = flags & AT_SYMLINK_NOFOLLOW;
	int fd = resolve_open(
		r, which, nofollow ? RESOLVE_NOFOLLOW_LAST : 0, need, O_PATH | (nofollow ? O_NOFOLLOW : 0), 0, &p);
	if (fd < 0)
		return fd;
	memcpy(o->path, p.path, sizeof(o->path));
	if (p.proc) {
		e = in_process(r, &p, flags, need, o);
	} else if (need && loader_only(p.rule)) {
		close(fd);
		e = refuse(r, p.path, need, -ENOENT);
	} else {
		o->fd = fd;
		o->st = p.st;
		if (!p.have_st && fstat(fd, &o->st) < 0)
			e = -errno;
	}
	place_close(&p);
	if (e < 0)
		subject_close(o);
	return e;
}

void subject_name(const struct subject *o, char name[SUBJECT_NAME])
{
	snprintf(name, SUBJECT_NAME, "/proc/self/fd/%d", o->fd);
}
