/* SPDX-License-Identifier: ISC */
/*
 * Owns the promise tmppath, which OpenBSD had until 7.8: files below /tmp may be opened with O_CREAT, and unlinked, with
 * no other promise and whatever is unveiled. tmpfile(3) makes its file without a name, and first asks whether /tmp is
 * there. Only regular files, only by an absolute path without "..", and through no symlink: /tmp is everybody's, and a
 * link that somebody else has put there must not widen what this promise gives. Runs in the broker.
 */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What r's path names below /tmp ("" for /tmp itself), in text. NULL when it names something else. */
static const char *below_tmp(const struct request *r, char text[CANONICAL_MAX])
{
	bool slash;
	if (!(promises_aside(r) & PROMISE_BIT(tmppath)) || !r->path[0] || r->path[0][0] != '/' ||
		path_collapse(text, 0, r->path[0], &slash) != 0 || slash || strncmp(text, "/tmp", 4) != 0 ||
		(text[4] && text[4] != '/'))
		return NULL;
	return text[4] ? text + 5 : text + 4;
}

static int open_tmp(const struct request *r)
{
	return open_beneath(r->family->broker->root, "tmp", O_PATH | O_DIRECTORY, 0, 0);
}

static void served(struct request *r)
{
	r->missing_promise = PROMISE_COUNT;
	r->missing_perms = 0;
	r->why = NULL;
}

int tmppath_open(struct request *r, int flags, mode_t mode, int e)
{
	char text[CANONICAL_MAX];
	struct stat st;
	const char *rest = below_tmp(r, text);
	const bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
	if (!rest || (!unnamed && (!(flags & O_CREAT) || !*rest)) || (flags & O_PATH))
		return e;
	int tmp = open_tmp(r);
	if (tmp < 0)
		return e;
	served(r);
	/* Somebody's FIFO must not keep the broker waiting. */
	int fd = open_beneath(
		tmp, *rest ? rest : ".", flags | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, mode_for(r, mode), 0);
	close(tmp);
	if (fd < 0)
		return fd;
	e = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EACCES;
	if (e == 0 && fcntl(fd, F_SETFL, flags & (O_APPEND | O_DIRECT | O_NOATIME | O_ASYNC | O_NONBLOCK)) < 0)
		e = -errno;
	if (e < 0)
		close(fd);
	return e < 0 ? e : fd;
}

int tmppath_unlink(struct request *r, int e)
{
	char text[CANONICAL_MAX];
	const char *rest = below_tmp(r, text);
	if (!rest || !*rest)
		return e;
	int tmp = open_tmp(r), parent = tmp;
	if (tmp < 0)
		return e;
	served(r);
	char *name = strrchr(text, '/');
	if (name > text + 4) {
		*name = 0;
		parent = open_beneath(tmp, rest, O_PATH | O_DIRECTORY, 0, 0);
		close(tmp);
	}
	e = parent < 0 ? parent : unlinkat(parent, name + 1, 0) < 0 ? -errno : 0;
	if (parent >= 0)
		close(parent);
	return e;
}

int tmppath_stat(struct request *r, int e)
{
	char text[CANONICAL_MAX];
	const char *rest = below_tmp(r, text);
	int tmp = rest && !*rest ? open_tmp(r) : -1;
	if (tmp < 0)
		return e;
	served(r);
	return tmp;
}
