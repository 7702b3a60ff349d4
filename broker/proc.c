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

static const char *const of_machine[] = {"cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "swaps", "uptime",
	"version", "vmstat", "zoneinfo", "sys/fs/file-max", "sys/fs/nr_open", "sys/fs/pipe-max-size",
	"sys/kernel/cap_last_cap", "sys/kernel/hostname", "sys/kernel/ngroups_max", "sys/kernel/osrelease",
	"sys/kernel/ostype", "sys/kernel/pid_max", "sys/kernel/random/boot_id", "sys/kernel/random/uuid",
	"sys/kernel/threads-max", "sys/kernel/version", "sys/vm/max_map_count", "sys/vm/overcommit_memory"};
/* Of other processes of its family, with the promise ps. */
static const char *const of_relative[] = {"cmdline", "comm", "stat", "statm", "status"};
static const char *const directories[] = {"fd", "fdinfo", "task"};
static const char *const of_process[] = {"auxv", "cgroup", "cmdline", "comm", "limits", "loginuid", "maps", "mountinfo",
	"mounts", "smaps", "smaps_rollup", "stat", "statm", "status"};

struct ids {
	pid_t tgid; /* as the broker sees it */
	pid_t own, own_thread; /* as the process sees itself */
};

enum kind { MACHINE, PROCESS, DESCRIPTOR, DIRECTORY, SELF, MOUNTS, EXE, CWD, ROOT };

struct object {
	enum kind kind;
	struct ids ids;
	char process[40]; /* below /proc, with the broker's view of the number; a thread's with that of the thread */
	const char *file; /* PROCESS: within it */
	char path[96]; /* the same together */
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

const char *proc_machine_file(const struct broker *b, size_t i)
{
	static char path[64];
	const struct policy *p = &b->policy;
	if (i >= sizeof(of_machine) / sizeof(of_machine[0]))
		return NULL;
	snprintf(path, sizeof(path), "/proc/%s", of_machine[i]);
	bool ruled = policy_judge(p, path, PERM_R, NULL) == 0 && (p->promises & PROMISE_BIT(rpath));
	return ruled || libc_files_promise(p->promises, path) ? path : "";
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

/* rest is below the process' own directory, or (thread) that of the thread that asks. */
static int classify_own(struct request *r, struct object *o, const char *rest, bool thread)
{
	static const struct {
		const char *name;
		enum kind kind;
	} links[] = {{"", SELF}, {"exe", EXE}, {"cwd", CWD}, {"root", ROOT}};
	long n;
	const char *task = prefix(rest, "task");
	const char *in_task = task ? number(task, &n) : NULL;
	if (in_task && n != o->ids.own_thread && n != o->ids.own) {
		/* Of its other threads the name, for pthread_getname_np(). That it is one of them, the path proves. */
		pid_t other = strcmp(in_task, "comm") == 0 ? thread_outside(r, (pid_t)n) : -1;
		if (other <= 0)
			return -ENOENT;
		snprintf(o->process, sizeof(o->process), "%d/task/%d", (int)o->ids.tgid, (int)other);
		snprintf(o->path, sizeof(o->path), "%s/comm", o->process);
		snprintf(o->name, sizeof(o->name), "/proc/self/comm");
		o->file = in_task;
		o->kind = PROCESS;
		return 0;
	}
	if (in_task) {
		rest = in_task;
		thread = n == o->ids.own_thread;
	}
	if (strlen(rest) > 32)
		return -ENOENT;
	if (thread)
		snprintf(o->process, sizeof(o->process), "%d/task/%d", (int)o->ids.tgid, (int)r->tid);
	else
		snprintf(o->process, sizeof(o->process), "%d", (int)o->ids.tgid);
	snprintf(o->name, sizeof(o->name), "/proc/self%s%s", *rest ? "/" : "", rest);
	snprintf(o->path, sizeof(o->path), "%s/%s", o->process, rest);
	/* rest is a part of the request's text, which outlives this. */
	o->file = rest;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (strcmp(rest, links[i].name) == 0) {
			o->kind = links[i].kind;
			return 0;
		}
	if (listed(of_process, sizeof(of_process) / sizeof(of_process[0]), rest)) {
		o->kind = PROCESS;
		return 0;
	}
	if (listed(directories, sizeof(directories) / sizeof(directories[0]), rest)) {
		o->kind = DIRECTORY;
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

/* Whether it leads to files about the machine. */
static bool above_listed(const char *rest)
{
	for (size_t i = 0; i < sizeof(of_machine) / sizeof(of_machine[0]); i++)
		if (*rest && prefix(of_machine[i], rest))
			return true;
	return !*rest;
}

/* Another process, by the number that the caller knows it by. */
static int classify_relative(struct request *r, struct object *o, pid_t id, const char *rest)
{
	pid_t outside = policy_of(r)->promises & PROMISE_BIT(ps) ? process_outside(r, id) : -1;
	if (outside <= 0 || !state_ours(r->family, outside) ||
		!listed(of_relative, sizeof(of_relative) / sizeof(of_relative[0]), rest))
		return -ENOENT;
	o->kind = PROCESS;
	o->file = rest;
	snprintf(o->process, sizeof(o->process), "%d", (int)outside);
	snprintf(o->path, sizeof(o->path), "%s/%s", o->process, rest);
	snprintf(o->name, sizeof(o->name), "/proc/%d/%s", (int)id, rest);
	return 0;
}

/* What ps(1) tells of each process, and OpenBSD's sysctl under this promise: nothing has to be unveiled for that. */
static bool seen_by_ps(const struct request *r, const struct object *o)
{
	return o->kind == PROCESS && (policy_of(r)->promises & PROMISE_BIT(ps)) &&
	       listed(of_relative, sizeof(of_relative) / sizeof(of_relative[0]), o->file);
}

bool proc_of_ps(const struct request *r, const char *text)
{
	if (!(policy_of(r)->promises & PROMISE_BIT(ps)) || strncmp(text, "/proc/", 6) != 0)
		return false;
	const char *file = strchr(text + 6, '/');
	return file && listed(of_relative, sizeof(of_relative) / sizeof(of_relative[0]), file + 1);
}

/* What text is, and whether this process may know. */
static int look_up_exact(struct request *r, const char *text, struct object *o)
{
	const char *rest = text[5] ? text + 6 : text + 5, *own = prefix(rest, "self");
	bool thread = false;
	long n = 0;
	int e = 0;
	if (!own) {
		own = prefix(rest, "thread-self");
		thread = own != NULL;
	}
	if (listed(of_machine, sizeof(of_machine) / sizeof(of_machine[0]), rest)) {
		o->kind = MACHINE;
		snprintf(o->path, sizeof(o->path), "%s", rest);
		snprintf(o->name, sizeof(o->name), "/proc/%s", rest);
	} else if (strcmp(rest, "mounts") == 0 || above_listed(rest)) {
		o->kind = *rest == 'm' ? MOUNTS : DIRECTORY;
		snprintf(o->path, sizeof(o->path), "%s", *rest ? rest : ".");
		snprintf(o->name, sizeof(o->name), "/proc%s%s", *rest ? "/" : "", rest);
	} else if (own || (own = number(rest, &n))) {
		e = ids_of(r, &o->ids);
		bool other = e == 0 && rest[0] != 's' && rest[0] != 't' && n != o->ids.own;
		if (e == 0)
			e = other ? classify_relative(r, o, (pid_t)n, own) : classify_own(r, o, own, thread);
		/* Only these two are links. */
		if (e == 0 && o->kind == SELF && strcmp(rest, "self") != 0 && strcmp(rest, "thread-self") != 0)
			o->kind = DIRECTORY;
	} else {
		e = -ENOENT;
	}
	if (e < 0)
		return refuse(r, text, PERM_R, e);
	if (libc_files_proc(r, o->name) || seen_by_ps(r, o))
		return 0;
	e = judge(r, text, PERM_R, NULL);
	if (e < 0)
		e = judge(r, o->name, PERM_R, NULL);
	return e < 0 ? refuse(r, o->name, PERM_R, e) : promised(r, PROMISE_BIT(rpath));
}

/* The same for a text that may go on below a file. */
static int look_up(struct request *r, const char *text, struct object *o)
{
	char head[128];
	int e = look_up_exact(r, text, o);
	size_t len = strlen(text);
	while (e == -ENOENT && len < sizeof(head)) {
		while (len && text[len - 1] != '/')
			len--;
		if (len < 2)
			return e;
		struct object file = {.fd = -1};
		memcpy(head, text, --len);
		head[len] = 0;
		unsigned missing = r->missing_perms;
		if (look_up_exact(r, head, &file) == 0 && file.kind != SELF && file.kind != DIRECTORY) {
			r->missing_perms = 0;
			return -ENOTDIR;
		}
		r->missing_perms = missing;
	}
	return e;
}

/* The program's own file: by its path, as that path is judged. */
static int open_program(const struct request *r, int flags)
{
	struct request q = *r;
	struct place p = {.base = -1};
	q.op = NULL;
	q.path[0] = r->state->exe ? r->state->exe : r->family->broker->exe;
	if (!q.path[0] || (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC | O_TMPFILE)))
		return -ENOENT;
	int fd = resolve_open(&q, 0, 0, PERM_R, flags & (O_PATH | O_DIRECTORY), 0, &p);
	if (fd < 0)
		return fd;
	place_close(&p);
	return p.proc ? -ENOENT : fd;
}

/* A file of procfs itself, a link as such, or (look) a directory, none of which a target ever gets. */
static int open_itself(const struct request *r, const struct object *o, int flags)
{
	const char *path = o->path;
	if (o->kind == SELF)
		path = flags & O_NOFOLLOW ? "self" : o->process;
	int fd = open_beneath(
		r->family->broker->proc, path, (flags & (O_PATH | O_NOFOLLOW | O_DIRECTORY)) | O_CLOEXEC, 0, 0);
	if (fd >= 0 && !request_alive(r)) {
		close(fd);
		fd = -ENOENT;
	}
	if (fd >= 0 && o->kind == PROCESS && !(flags & O_PATH))
		fd = proc_copy(r, fd, o->process, o->file);
	return fd == -EACCES || fd == -EPERM ? -ENOENT : fd;
}

static int open_as(struct request *r, const char *text, int flags, bool look)
{
	struct object o = {.fd = -1};
	int e = look_up(r, text, &o);
	if (e == 0 && o.kind == MOUNTS && !(flags & O_NOFOLLOW))
		e = look_up(r, "/proc/self/mounts", &o);
	if (e < 0)
		return e;
	if ((flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	int link_fd = (flags & O_NOFOLLOW) && o.kind == DESCRIPTOR ? descriptor_link(r, o.fd) : -1;
	if (link_fd >= 0 && (flags & (O_PATH | O_DIRECTORY)) == O_PATH)
		return link_fd;
	if (link_fd >= 0)
		close(link_fd);
	else if ((flags & O_NOFOLLOW) && o.kind == DESCRIPTOR)
		return -ENOENT;
	bool file = o.kind == MACHINE || o.kind == PROCESS, link = !file && o.kind != DIRECTORY;
	if ((flags & O_NOFOLLOW) && !(flags & O_PATH) && link)
		return flags & O_DIRECTORY ? -ENOTDIR : -ELOOP;
	if (o.kind == DESCRIPTOR && !(flags & O_NOFOLLOW))
		return descriptor_again(r, o.fd, flags);
	if (o.kind == EXE && !(flags & O_NOFOLLOW))
		return open_program(r, flags);
	if ((flags & O_DIRECTORY) && (file || (link && (flags & O_NOFOLLOW))))
		return -ENOTDIR;
	/* A descriptor of a directory of /proc leads to all of it. Of the errors this is the one that programs go on after:
	 * they close descriptors one by one then. */
	if (!file && !look && !(link && (flags & O_NOFOLLOW)))
		return -ENOENT;
	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))
		return -EACCES;
	return open_itself(r, &o, flags);
}

int proc_open(struct request *r, const char *text, int flags)
{
	return open_as(r, text, flags, false);
}

int proc_look(struct request *r, const char *text, int flags)
{
	return open_as(r, text, flags | O_PATH, true);
}

int proc_directory(struct request *r, const char *text, bool last, bool *own)
{
	struct object o = {.fd = -1};
	unsigned missing = r->missing_perms;
	/* What is no link, or hidden, is said by whoever opens it. */
	int e = look_up_exact(r, text, &o), fd = -1;
	*own = false;
	r->missing_perms = missing;
	if (e == 0 && o.kind == CWD)
		fd = cwd_of(r, own);
	else if (e == 0 && o.kind == ROOT)
		fd = PROC_ROOT;
	else if (e == 0 && o.kind == DESCRIPTOR && !last) {
		struct stat st;
		fd = memory_dup_fd(r, o.fd);
		*own = fd >= 0;
		if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))) {
			close(fd);
			*own = false;
			fd = -1;
		}
	}
	return fd >= 0 || fd == PROC_ROOT ? fd : -1;
}

int proc_descriptor(struct request *r, const char *text)
{
	struct object o = {.fd = -1};
	int e = look_up(r, text, &o);
	return e < 0 ? e : o.kind == DESCRIPTOR ? o.fd : -EINVAL;
}

ssize_t proc_readlink(struct request *r, const char *text, char buf[PATH_MAX])
{
	const struct broker *b = r->family->broker;
	const char *exe = r->state->exe ? r->state->exe : b->exe;
	struct object o = {.fd = -1};
	int e = look_up(r, text, &o);
	if (e < 0)
		return e;
	switch (o.kind) {
	case DESCRIPTOR:
		return descriptor_name(r, o.fd, buf);
	case SELF:
		return strncmp(text, "/proc/t", 7) == 0
			       ? snprintf(buf, PATH_MAX, "%d/task/%d", (int)o.ids.own, (int)o.ids.own_thread)
			       : snprintf(buf, PATH_MAX, "%d", (int)o.ids.own);
	case EXE:
		return exe ? snprintf(buf, PATH_MAX, "%s", exe) : -ENOENT;
	case CWD:
		e = cwd_path(r, buf);
		if (e == 0 && judge(r, buf, 0, NULL) < 0)
			e = -ENOENT;
		return e < 0 ? e : (ssize_t)strlen(buf);
	case ROOT:
		return snprintf(buf, PATH_MAX, "/");
	case MOUNTS:
		return snprintf(buf, PATH_MAX, "self/mounts");
	case DIRECTORY:
	case MACHINE:
	case PROCESS:
		break;
	}
	return -EINVAL;
}
