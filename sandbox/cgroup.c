/* SPDX-License-Identifier: ISC */
/*
 * Owns the question below which directory of the cgroup v2 hierarchy targets may have cgroups of their own. Runs in the host.
 *
 * A cgroup that hands controllers on may have no processes itself, and one that a service manager did not delegate is its
 * own to arrange. So that is the parent of the host's cgroup, where the host already stands in a leaf of what was delegated,
 * and that leaf has no limits which targets beside it would escape from; or the host's own, from which its processes are moved
 * into a leaf ("airlock") first. Where no systemd runs, write access is taken for delegation, but then nobody else's processes
 * are moved.
 */
#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TEXT 4096
#define ROUNDS 64 /* of moving: processes fork meanwhile */
#define HOST_LEAF "airlock"

static bool text_at(int dir, const char *name, char text[TEXT])
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT - 1);
	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = 0;
	return n >= 0;
}

static int write_at(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	int r = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return r;
}

static bool word_in(const char *text, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = text; (at = strstr(at, word)); at += len)
		if ((at == text || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\n' || !at[len]))
			return true;
	return false;
}

/* Whether a file of a cgroup's, which lists controllers, has all that the policy needs. NULL: all there are for any. */
static bool controllers_in(int dir, const char *name, const struct policy *p)
{
	static const struct {
		enum policy_limit limit;
		const char *controller;
	} needs[] = {{LIMIT_MEMORY, "memory"}, {LIMIT_PROCESSES, "pids"}, {LIMIT_WEIGHT, "cpu"}};
	char text[TEXT];
	if (!text_at(dir, name, text))
		return false;
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if ((!p || p->limits[needs[i].limit] != LIMIT_NONE) && !word_in(text, needs[i].controller))
			return false;
	return true;
}

/* Hands the controllers on to what is below. */
static int enable(int dir, const struct policy *p)
{
	int r = 0;
	if (controllers_in(dir, "cgroup.subtree_control", p))
		return 0;
	static const char *const words[] = {"+memory", "+pids", "+cpu"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		int e = write_at(dir, "cgroup.subtree_control", words[i]);
		r = r < 0 ? r : e;
	}
	return controllers_in(dir, "cgroup.subtree_control", p) ? 0 : r < 0 ? r : -ENODEV;
}

static bool marked(int dir)
{
	char value;
	return (fgetxattr(dir, "trusted.delegate", &value, 1) == 1 && value == '1') ||
	       (fgetxattr(dir, "user.delegate", &value, 1) == 1 && value == '1');
}

static bool ours(int dir)
{
	return faccessat(dir, "cgroup.procs", W_OK, AT_EACCESS) == 0 && faccessat(dir, ".", W_OK, AT_EACCESS) == 0 &&
	       (marked(dir) || access("/run/systemd/system", F_OK) < 0);
}

/* Where a cgroup2 file system is mounted, and which part of the hierarchy. */
static bool mount_find(char root[PATH_MAX], char point[PATH_MAX])
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;
	bool found = false;
	while (f && !found && getline(&line, &room, f) > 0)
		found = strstr(line, " - cgroup2 ") && sscanf(line, "%*d %*d %*s %4095s %4095s", root, point) == 2;
	free(line);
	if (f)
		fclose(f);
	return found;
}

static int own_open(bool *leaf)
{
	char root[PATH_MAX], point[PATH_MAX], path[3 * PATH_MAX], text[TEXT];
	if (!mount_find(root, point))
		return -ENOENT;
	if (!text_at(AT_FDCWD, "/proc/self/cgroup", text))
		return -EACCES;
	char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!line)
		return -ENOENT;
	line = strchr(line, '/');
	char *end = line ? strchr(line, '\n') : NULL;
	if (!end)
		return -ENOENT;
	*end = 0;
	*leaf = strcmp(strrchr(line, '/'), "/" HOST_LEAF) == 0;
	size_t len = strlen(root);
	/* From within a cgroup namespace what lies above is "/..". */
	if (strncmp(line, "/..", 3) == 0)
		return -EACCES;
	if (len > 1 && strncmp(line, root, len) == 0)
		line += len;
	snprintf(path, sizeof(path), "%s%s", point, line);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Whether there is nobody but this process. */
static bool alone(int own)
{
	char text[TEXT], *end;
	return text_at(own, "cgroup.procs", text) && strtol(text, &end, 10) == getpid() && end[0] == '\n' && !end[1];
}

static int leave(int own)
{
	char text[TEXT];
	if (mkdirat(own, HOST_LEAF, 0755) < 0 && errno != EEXIST)
		return -errno;
	for (int i = 0; i < ROUNDS; i++) {
		if (!text_at(own, "cgroup.procs", text))
			return -EACCES;
		if (!*text)
			return 0;
		/* Where there is more than has room, the last line may be a part of a number: somebody else's. */
		for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
			char pid[16];
			snprintf(pid, sizeof(pid), "%.*s", (int)(end - at), at);
			int r = write_at(own, HOST_LEAF "/cgroup.procs", pid);
			if (r < 0 && r != -ESRCH)
				return r;
		}
	}
	return -EBUSY;
}

/* Whether somebody limited what is in it. */
static bool limited(int dir)
{
	static const char *const files[] = {"memory.max", "memory.high", "pids.max", "cpu.max"};
	char text[TEXT];
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (text_at(dir, files[i], text) && strncmp(text, "max", 3) != 0)
			return true;
	return false;
}

/* Whether targets may be beside own and not in it: only where nobody but the host arranges what is below the parent, and
 * where own holds nothing that they would escape from. */
static bool beside(int own, int parent, bool leaf)
{
	const bool top = faccessat(parent, "cgroup.events", F_OK, 0) < 0;
	return ours(parent) && (marked(parent) || (leaf && !top)) && !marked(own) && !limited(own);
}

/* Below the parent of own, or own. leaf: own has the name that leave() gives. Takes own. */
static int base_of(int own, const struct policy *p, bool leaf, bool change)
{
	int parent = openat(own, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = -EACCES;
	if (parent >= 0 && beside(own, parent, leaf) && controllers_in(parent, "cgroup.controllers", p) &&
		(!change || enable(parent, p) == 0)) {
		close(own);
		return parent;
	}
	if (parent >= 0)
		close(parent);
	bool top = faccessat(own, "cgroup.events", F_OK, 0) < 0; /* the hierarchy's root may have processes */
	if (!ours(own))
		r = -EACCES;
	else if (!controllers_in(own, "cgroup.controllers", p))
		r = -ENODEV;
	else if (!top && !marked(own) && !alone(own))
		r = -EBUSY;
	else
		r = 0;
	if (r == 0 && change && !top)
		r = leave(own);
	if (r == 0 && change)
		r = enable(own, p);
	if (r < 0)
		close(own);
	return r < 0 ? r : own;
}

int cgroup_base(const struct policy *p, bool change)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&lock);
	bool leaf;
	int own = own_open(&leaf);
	int r = own < 0 ? own : base_of(own, p, leaf, change);
	pthread_mutex_unlock(&lock);
	return r;
}

bool cgroup_wanted(const struct policy *p)
{
	return p->limits[LIMIT_MEMORY] != LIMIT_NONE || p->limits[LIMIT_PROCESSES] != LIMIT_NONE ||
	       p->limits[LIMIT_WEIGHT] != LIMIT_NONE;
}

const char *cgroup_why(int error)
{
	switch (-error) {
	case ENOENT:
		return "no cgroup v2 hierarchy is mounted where this process sees it";
	case ENODEV:
		return "the cgroup v2 hierarchy has not the controllers memory, pids and cpu here; cgroup v1 may have "
		       "them: "
		       "boot with systemd.unified_cgroup_hierarchy=1";
	case EBUSY:
		return "other processes are in this one's cgroup: start it in a cgroup of its own";
	default:
		return "this process' cgroup is not delegated to it; start it by systemd-run --user --scope -p "
		       "Delegate=yes, or in "
		       "a container with a writable /sys/fs/cgroup and a cgroup of its own";
	}
}
