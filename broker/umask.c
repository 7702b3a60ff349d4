/* SPDX-License-Identifier: ISC */
/* Owns the file mode creation mask of the broker's threads. The kernel does not apply a mask in a directory that has a
 * default ACL, so whoever takes it off the mode beforehand gives other modes than the kernel would have: the thread that
 * creates must have the target's mask itself. Each lane and slow worker has a `struct fs` of its own for that (and no
 * use for the directories in it). Runs in the broker. */
#include "broker/broker.h"

#include <sched.h>
#include <sys/stat.h>

#define UNKNOWN ((mode_t)-1)

static _Thread_local struct {
	bool own; /* this thread shares its mask with no other */
	mode_t mask;
} fs;

void thread_own_fs(void)
{
	/* A container's filter may refuse it: then what the mask would take is taken beforehand, below. */
	fs.own = unshare(CLONE_FS) == 0;
	fs.mask = UNKNOWN;
}

bool thread_has_own_fs(void)
{
	return fs.own;
}

mode_t mode_for(const struct request *r, mode_t mode)
{
	/* As OpenBSD does for whoever has pledged: nothing that is made gets a set-id bit. */
	mode &= 0777 | S_ISVTX;
	if (!fs.own)
		return mode & ~r->state->umask;
	if (fs.mask != r->state->umask) {
		umask(r->state->umask);
		fs.mask = r->state->umask;
	}
	return mode;
}
