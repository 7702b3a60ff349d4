/* SPDX-License-Identifier: ISC */
/* Owns what asks to be told later: inotify_add_watch, and SIGIO of sockets. An inotify instance is the target's own, made
 * without us: the watch is added to a copy of its descriptor, on the object that the walk judged. What a watch tells later
 * are names in a directory that `r` lists anyway, and that something happens to them. Runs in the broker. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
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

/* FIOASYNC, with which servers' masters watch the socket pairs to their workers. The signal goes to the descriptor's owner,
 * which a terminal chooses by itself, and which may have been set before a descriptor was passed. So this is for sockets
 * whose pair a process of the family has made: nobody else can be their owner. */
struct answer op_async(struct request *r)
{
	struct ucred made_by = {.pid = 0};
	socklen_t len = sizeof(made_by);
	int on, e;
	if ((int)r->args[1] != FIOASYNC || promised(r, PROMISE_BIT(proc)))
		return op_refused(r);
	int fd = memory_dup_fd(r, (int)r->args[0]);
	if (fd < 0)
		return answer_error(-fd);
	e = memory_read(r, r->args[2], &on, sizeof(on));
	if (e == 0 && (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &made_by, &len) < 0 || made_by.pid <= 0 ||
			      !state_ours(r->family, made_by.pid))) {
		r->why = "signals are sent for its own socket pairs alone";
		e = -EPERM;
	}
	if (e == 0 && ioctl(fd, FIOASYNC, &on) < 0)
		e = -errno;
	close(fd);
	return e < 0 ? answer_error(-e) : answer_value(0);
}
