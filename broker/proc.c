/* SPDX-License-Identifier: ISC */
/* Owns what a target sees of /proc. Nothing is walked there: in the broker, /proc/self is the broker. A path of /proc
 * is a text that is looked up in two short lists, files about the machine and files about the asking process, whose
 * number is put in; its own descriptors are duplicated, its links answered from what the broker knows. Everything else
 * does not exist. Runs in the broker. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const of_machine[] = {"cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "uptime", "version",
	"vmstat", "sys/fs/pipe-max-size", "sys/kernel/cap_last_cap", "sys/kernel/ngroups_max", "sys/kernel/osrelease",
	"sys/kernel/ostype", "sys/kernel/pid_max", "sys/kernel/random/boot_id", "sys/kernel/random/uuid",
	"sys/vm/max_map_count", "sys/vm/overcommit_memory"};
static const char *const of_process[] = {"auxv", "cgroup", "cmdline", "comm", "limits", "loginuid", "maps", "smaps",
	"smaps_rollup", "stat", "statm", "status"};

struct ids {
	pid_t tgid; /* as the broker sees it */
	pid_t own, own_thread; /* as the process sees itself */
};

enum kind { MACHINE, PROCESS, DESCRIPTOR, SELF, EXE, CWD, ROOT };

struct object {
	enum kind kind;
	struct ids ids;
	char path[96]; /* below /proc, with the broker's view of the number */
	char name[96]; /* the path by which it is judged: "/proc/self/..." */
	int fd; /* DESCRIPTOR */
};

static pid_t last_number(const char *line)
{
	pid_t last = 0;
	char *end;
	while (*line && *line != '\n') {
		long n = strtol(line, &end, 10);
		if (end == line)
			break;
		last = (pid_t)n;
		line = end;
	}
	return last;
}

static int ids_of(const struct request *r, struct ids *ids)
{
	char path[32], text[4096];
	snprintf(path, sizeof(path), "%d/status", (int)r->tid);
	int fd = openat(r->family->broker->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -ENOENT;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	/* The number may be somebody else's by now, if the caller is gone. */
	if (n <= 0 || !request_alive(r))
		return -ENOENT;
	text[n] = 0;
	const char *tgid = strstr(text, "\nTgid:"), *own = strstr(text, "\nNStgid:"),
		   *thread = strstr(text, "\nNSpid:");
	if (!tgid || !own || !thread)
		return -ENOENT;
	ids->tgid = last_number(tgid + 6);
	ids->own = last_number(own + 8);
	ids->own_thread = last_number(thread + 7);
	return ids->tgid > 0 ? 0 : -ENOENT;
}

static bool listed(const char *const *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

/* Decimal, without sign or leading zero; the rest follows a slash or is empty. */
static const char *number(const char *text, long *out)
{
	char *end;
	if (*text < '0' || *text > '9' || (*text == '0' && text[1] >= '0' && text[1] <= '9'))
		return NULL;
	errno = 0;
	*out = strtol(text, &end, 10);
	if (errno || *out > INT_MAX || (*end && *end != '/'))
		return NULL;
	return *end ? end + 1 : end;
}

static const char *prefix(const char *text, const char *word)
{
	size_t n = strlen(word);
	if (strncmp(text, word, n) != 0 || (text[n] && text[n] != '/'))
		return NULL;
	return text[n] ? text + n + 1 : text + n;
}

/* rest is below the process' own directory. */
static int classify_own(struct object *o, const char *rest)
{
	static const struct {
		const char *name;
		enum kind kind;
	} links[] = {{"", SELF}, {"exe", EXE}, {"cwd", CWD}, {"root", ROOT}};
	long n;
	const char *task = prefix(rest, "task");
	const char *in_task = task ? number(task, &n) : NULL;
	if (in_task) {
		if (n != o->ids.own_thread && n != o->ids.own)
			return -ENOENT;
		rest = in_task;
	}
	if (strlen(rest) > 32)
		return -ENOENT;
	snprintf(o->name, sizeof(o->name), "/proc/self%s%s", *rest ? "/" : "", rest);
	snprintf(o->path, sizeof(o->path), "%d/%s", (int)o->ids.tgid, rest);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (strcmp(rest, links[i].name) == 0) {
			o->kind = links[i].kind;
			return 0;
		}
	if (listed(of_process, sizeof(of_process) / sizeof(of_process[0]), rest)) {
		o->kind = PROCESS;
		return 0;
	}
	const char *fd = prefix(rest, "fd");
	const char *end = fd ? number(fd, &n) : NULL;
	if (!end || *end)
		return -ENOENT;
	o->kind = DESCRIPTOR;
	o->fd = (int)n;
	return 0;
}

/* What text is, and whether this process may know. */
static int look_up(struct request *r, const char *text, struct object *o)
{
	const char *rest = text[5] ? text + 6 : text + 5, *own = prefix(rest, "self");
	long n;
	int e = 0;
	if (!own)
		own = prefix(rest, "thread-self");
	if (listed(of_machine, sizeof(of_machine) / sizeof(of_machine[0]), rest)) {
		o->kind = MACHINE;
		snprintf(o->path, sizeof(o->path), "%s", rest);
		snprintf(o->name, sizeof(o->name), "/proc/%s", rest);
	} else if (own || (own = number(rest, &n))) {
		e = ids_of(r, &o->ids);
		if (e == 0 && rest[0] != 's' && rest[0] != 't' && n != o->ids.own)
			e = -ENOENT;
		if (e == 0)
			e = classify_own(o, own);
	} else {
		e = -ENOENT;
	}
	if (e < 0)
		return refuse(r, text, PERM_R, e);
	if (libc_files_proc(r, o->name))
		return 0;
	e = judge(r, text, PERM_R, NULL);
	if (e < 0)
		e = judge(r, o->name, PERM_R, NULL);
	return e < 0 ? refuse(r, o->name, PERM_R, e) : promised(r, PROMISE_BIT(rpath));
}

/* /proc/self/fd/3: the descriptor again, for what it was opened for and no more. */
static int duplicate(struct request *r, int number_, int flags)
{
	struct stat st;
	int fd = memory_dup_fd(r, number_);
	if (fd < 0)
		return -ENOENT;
	int have = fcntl(fd, F_GETFL), want = flags & O_ACCMODE, e = 0;
	if (have < 0 || fstat(fd, &st) < 0)
		e = -EBADF;
	else if (flags & O_PATH)
		e = 0;
	else if (S_ISSOCK(st.st_mode))
		e = -ENXIO;
	else if ((have & O_PATH) || want == O_ACCMODE || ((have & O_ACCMODE) != O_RDWR && (have & O_ACCMODE) != want))
		e = -EACCES;
	else if ((flags & O_TRUNC) && S_ISREG(st.st_mode) && want != O_RDONLY && ftruncate(fd, 0) < 0)
		e = -errno;
	else if ((flags & O_DIRECTORY) && !S_ISDIR(st.st_mode))
		e = -ENOTDIR;
	if (e < 0) {
		close(fd);
		return e;
	}
	return fd;
}

/* The program's own file: by its path, as that path is judged. */
static int open_program(const struct request *r, int flags)
{
	struct request q = *r;
	struct place p = {.base = -1};
	q.op = NULL;
	q.path[0] = r->family->broker->exe;
	if (!q.path[0] || (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC | O_TMPFILE)))
		return -ENOENT;
	int fd = resolve_open(&q, 0, 0, PERM_R, flags & (O_PATH | O_DIRECTORY), 0, &p);
	if (fd < 0)
		return fd;
	place_close(&p);
	return p.proc ? -ENOENT : fd;
}

int proc_open(struct request *r, const char *text, int flags)
{
	struct object o = {.fd = -1};
	int e = look_up(r, text, &o);
	if (e < 0)
		return e;
	if ((flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if ((flags & O_NOFOLLOW) && !(flags & O_PATH) && o.kind != MACHINE && o.kind != PROCESS)
		return -ELOOP;
	if (o.kind == DESCRIPTOR && !(flags & O_NOFOLLOW))
		return duplicate(r, o.fd, flags);
	if (o.kind == EXE && !(flags & O_NOFOLLOW))
		return open_program(r, flags);
	bool file = o.kind == MACHINE || o.kind == PROCESS;
	/* A descriptor of a directory of /proc leads to all of it: only links themselves may be looked at. */
	if (!file && (flags & (O_PATH | O_NOFOLLOW)) != (O_PATH | O_NOFOLLOW))
		return -ENOENT;
	if ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_TRUNC | O_TMPFILE)))
		return flags & O_DIRECTORY ? -ENOTDIR : -EACCES;
	const char *path = o.kind == SELF ? "self" : o.path;
	int fd = open_beneath(r->family->broker->proc, path, (flags & (O_PATH | O_NOFOLLOW)) | O_CLOEXEC, 0, 0);
	if (fd >= 0 && !request_alive(r)) {
		close(fd);
		fd = -ENOENT;
	}
	return fd == -EACCES || fd == -EPERM ? -ENOENT : fd;
}

static ssize_t descriptor_name(struct request *r, const struct object *o, char buf[PATH_MAX])
{
	struct stat st;
	int fd = memory_dup_fd(r, o->fd);
	if (fd < 0)
		return -ENOENT;
	ssize_t n = 0;
	int e = canonical_of(r->state, r->family->broker, fd, buf);
	if (e == 0 && judge(r, buf, 0, NULL) < 0) {
		/* It holds the file, but is not to know where it lies. */
		n = fstat(fd, &st) < 0 ? -errno : snprintf(buf, PATH_MAX, "file:[%llu]", (unsigned long long)st.st_ino);
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

ssize_t proc_readlink(struct request *r, const char *text, char buf[PATH_MAX])
{
	const struct broker *b = r->family->broker;
	struct object o = {.fd = -1};
	int e = look_up(r, text, &o);
	if (e < 0)
		return e;
	switch (o.kind) {
	case DESCRIPTOR:
		return descriptor_name(r, &o, buf);
	case SELF:
		return strncmp(text, "/proc/t", 7) == 0
			       ? snprintf(buf, PATH_MAX, "%d/task/%d", (int)o.ids.own, (int)o.ids.own_thread)
			       : snprintf(buf, PATH_MAX, "%d", (int)o.ids.own);
	case EXE:
		return b->exe ? snprintf(buf, PATH_MAX, "%s", b->exe) : -ENOENT;
	case CWD:
		e = canonical_of(r->state, b, r->state->cwd, buf);
		if (e == 0 && judge(r, buf, 0, NULL) < 0)
			e = -ENOENT;
		return e < 0 ? e : (ssize_t)strlen(buf);
	case ROOT:
		return snprintf(buf, PATH_MAX, "/");
	case MACHINE:
	case PROCESS:
		break;
	}
	return -EINVAL;
}
