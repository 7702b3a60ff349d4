/* SPDX-License-Identifier: ISC */
/* Owns inotify_add_watch. The instance is the target's own, made without us: the watch is added to a copy of its
 * descriptor, on the object that the walk judged. What a watch tells later are names in a directory that `r` lists
 * anyway, and that something happens to them. Runs in the broker. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct answer op_add_watch(struct request *r)
{
	char name[SUBJECT_NAME];
	struct subject o = {.fd = -1};
	uint32_t mask = (uint32_t)r->args[2];
	int flags = mask & IN_DONT_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
	int fd = memory_dup_fd(r, (int)r->args[0]);
	if (fd < 0)
		return answer_error(-fd);
	/* The kernel says what is no inotify instance, and which masks make no sense, before it looks at a path. */
	int e = inotify_add_watch(fd, "", mask) < 0 && errno != ENOENT ? -errno : 0;
	if (e == 0)
		e = subject_open(r, 0, flags, PERM_R, PROMISE_BIT(rpath), &o);
	if (e == 0 && in_proc(o.path))
		e = -EACCES;
	if (e == 0) {
		subject_name(&o, name);
		e = inotify_add_watch(fd, name, mask & ~(uint32_t)IN_DONT_FOLLOW);
		e = e < 0 ? -errno : e;
	}
	subject_close(&o);
	close(fd);
	return e < 0 ? answer_error(-e) : answer_value(e);
}
