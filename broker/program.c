/* SPDX-License-Identifier: ISC */
/* Owns what is to be executed: from the arguments of execve and execveat to a file that is open and has `x`, and from a
 * script to what runs it. Runs in the broker, on a slow worker. */
#include "broker/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000 /* 6.14 */
#endif
#define FILE_CAPABILITIES (1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH)

/* The calling thread goes without the capabilities that pass file modes, or has them again. The kernel will ask the target,
 * which has none, whether it may execute the file; and a process that runs what it may not read cannot be looked into. */
static void modes_apply(bool apply)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) < 0)
		return;
	uint32_t ours = data[0].permitted & FILE_CAPABILITIES;
	if (!ours)
		return;
	data[0].effective = apply ? data[0].effective & ~ours : data[0].effective | ours;
	syscall(SYS_capset, &header, data);
}

/* fd (O_PATH, borrowed) is what a path led to. */
static int program_take(const struct request *r, int fd, const char *path, struct program *out)
{
	if (fstat(fd, &out->st) < 0)
		return -errno;
	if (!S_ISREG(out->st.st_mode))
		return -EACCES;
	if (strlen(path) >= sizeof(out->path))
		return -ENAMETOOLONG;
	strcpy(out->path, path);
	modes_apply(true);
	int e = syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0 ? -errno : 0;
	if (e == 0)
		e = out->fd = fd_reopen(r->family->broker, fd, O_RDONLY);
	modes_apply(false);
	return e < 0 ? e : 0;
}

static int program_by_path(struct request *r, const char *path, int dirfd, bool nofollow, struct program *out);

/* The target's own descriptor, by the name of what it holds: that is what has a permission. */
static int program_by_descriptor(struct request *r, int number, struct program *out)
{
	char path[PATH_MAX];
	struct stat st;
	int fd = memory_dup_fd(r, number);
	if (fd < 0)
		return fd;
	int e = fstat(fd, &st) < 0 ? -EACCES : canonical_of(r->state, r->family->broker, fd, path);
	close(fd);
	if (e < 0 || path[0] != '/') {
		r->why = "only what a path leads to is executed"; /* a memfd, a pipe, a file without a name */
		return -EACCES;
	}
	e = program_by_path(r, path, AT_FDCWD, true, out);
	if (e == 0 && (out->st.st_dev != st.st_dev || out->st.st_ino != st.st_ino)) {
		close(out->fd);
		out->fd = -1;
		e = -EACCES;
	}
	return e;
}

/* "fd/3", as in /proc/self/fd/3: the number, or -1. */
static int descriptor_named(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);
	char *end;
	if (strncmp(text, prefix, n) != 0 || text[n] < '0' || text[n] > '9')
		return -1;
	unsigned long number = strtoul(text + n, &end, 10);
	return *end || number > INT_MAX ? -1 : (int)number;
}

/* /proc/self/exe: by its path, as that path is judged now, and only if that still leads to what runs. */
static int program_itself(struct request *r, struct program *out)
{
	const char *exe = r->state->exe ? r->state->exe : r->family->broker->exe;
	char name[32];
	struct stat st;
	snprintf(name, sizeof(name), "%d/exe", (int)r->tid);
	int e = exe ? program_by_path(r, exe, AT_FDCWD, true, out) : -EACCES;
	if (e == 0 && (fstatat(r->family->broker->proc, name, &st, 0) < 0 || out->st.st_dev != st.st_dev ||
			      out->st.st_ino != st.st_ino)) {
		close(out->fd);
		out->fd = -1;
		e = -EACCES;
	}
	return e;
}

/* What of /proc can be executed: the program itself, and what a descriptor holds. */
static int program_of_proc(struct request *r, const char *text, struct program *out)
{
	int number = descriptor_named(text, "/proc/self/fd/");
	if (strcmp(text, "/proc/self/exe") == 0)
		return program_itself(r, out);
	if (number >= 0) {
		int e = program_by_descriptor(r, number, out);
		return e == -EBADF ? -ENOENT : e;
	}
	int fd = proc_open(r, text, O_PATH);
	if (fd >= 0)
		close(fd);
	return fd == -ENOENT ? fd : -EACCES;
}

static int program_by_path(struct request *r, const char *path, int dirfd, bool nofollow, struct program *out)
{
	struct place p = {.base = -1};
	char *asked = r->path[0];
	int asked_dirfd = r->dirfd[0];
	r->path[0] = (char *)(uintptr_t)path;
	r->dirfd[0] = dirfd;
	int fd = resolve_open(
		r, 0, nofollow ? RESOLVE_NOFOLLOW_LAST : 0, PERM_X, O_PATH | (nofollow ? O_NOFOLLOW : 0), 0, &p);
	r->path[0] = asked;
	r->dirfd[0] = asked_dirfd;
	if (fd < 0)
		return fd;
	char canonical[CANONICAL_MAX];
	memcpy(canonical, p.path, sizeof(canonical));
	bool proc = p.proc;
	place_close(&p);
	if (proc)
		return program_of_proc(r, canonical, out);
	int e = nofollow && S_ISLNK(p.st.st_mode) ? -ELOOP : program_take(r, fd, canonical, out);
	close(fd);
	return e;
}

/* Whether the target's descriptor will be closed by its exec. */
static bool closes_on_exec(const struct request *r, int number)
{
	char name[64], text[256];
	snprintf(name, sizeof(name), "%d/fdinfo/%d", (int)r->tid, number);
	int fd = openat(r->family->broker->proc, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	const char *flags = strstr(text, "flags:");
	return flags && (strtoul(flags + 6, NULL, 8) & O_CLOEXEC);
}

/* How the kernel names a script to its interpreter. */
static void script_name(const struct request *r, struct words *w)
{
	const char *path = r->path[0];
	if (path[0] == '/' || (path[0] && r->dirfd[0] == AT_FDCWD)) {
		snprintf(w->name, sizeof(w->name), "%s", path);
		return;
	}
	w->unreachable = closes_on_exec(r, r->dirfd[0]);
	snprintf(w->name, sizeof(w->name), "/dev/fd/%d%s%s", r->dirfd[0], path[0] ? "/" : "", path);
}

static int program_asked(struct request *r, struct program *out, struct words *w)
{
	bool nofollow = r->nr == SYS_execveat && (r->flags & AT_SYMLINK_NOFOLLOW);
	const char *path = r->path[0], *name = strrchr(path, '/');
	char text[64];
	int e;
	if (r->nr == SYS_execveat && (r->flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_EXECVE_CHECK)))
		return -EINVAL;
	if (!path[0]) {
		if (r->nr != SYS_execveat || !(r->flags & AT_EMPTY_PATH))
			return -ENOENT;
		e = r->dirfd[0] == AT_FDCWD ? -EACCES : program_by_descriptor(r, r->dirfd[0], out);
	} else {
		int number = descriptor_named(path, "/dev/fd/");
		snprintf(out->comm, sizeof(out->comm), "%s", name ? name + 1 : path);
		snprintf(text, sizeof(text), "/proc/self/fd/%d", number);
		e = number >= 0 ? program_of_proc(r, text, out) : program_by_path(r, path, r->dirfd[0], nofollow, out);
	}
	if (e == 0)
		script_name(r, w);
	return e;
}

static int program_interpreter(struct request *r, const char *path, struct program *out)
{
	const struct interpreter *i = interpreter_find(r->family->broker, path);
	if (!path[0])
		return -EACCES; /* for the kernel, which looks that up in an old way, the working directory */
	return i ? program_take(r, i->fd, path, out) : program_by_path(r, path, AT_FDCWD, false, out);
}

/* While *program is a script, its interpreter takes its place. */
static int script_resolve(struct request *r, struct program *program, struct words *w)
{
	char *interpreter, *argument, line[SCRIPT_LINE + 1];
	for (int depth = 0;; depth++) {
		int is = script_read(program->fd, line, &interpreter, &argument);
		if (is <= 0)
			return is == -ENOEXEC ? is : 0;
		close(program->fd);
		program->fd = -1;
		if (w->unreachable)
			return -ENOENT;
		int e = program_interpreter(r, interpreter, program);
		if (e < 0)
			return e;
		if (depth == SCRIPT_DEPTH)
			return -ELOOP;
		char *kept = memcpy(w->lines[depth], line, sizeof(line));
		size_t more = argument ? 2 : 1;
		if (!w->count)
			w->list[w->count++] = w->name;
		memmove(w->list + more, w->list, w->count * sizeof(w->list[0]));
		w->list[0] = kept + (interpreter - line);
		if (argument)
			w->list[1] = kept + (argument - line);
		w->count += more;
	}
}

int program_find(struct request *r, struct program *out, struct words *w)
{
	out->fd = -1;
	int e = program_asked(r, out, w);
	if (e == 0)
		e = script_resolve(r, out, w);
	if (e < 0 && out->fd >= 0)
		close(out->fd);
	return e;
}

int program_open(struct request *r, const char *path, char canonical[PATH_MAX], int *fd)
{
	struct program program = {.fd = -1};
	int e = program_by_path(r, path, AT_FDCWD, false, &program);
	if (e < 0)
		return e;
	memcpy(canonical, program.path, sizeof(program.path));
	*fd = program.fd;
	return 0;
}

bool program_allowed(const struct request *r, const struct program *p)
{
	return policy_executes(policy_of(r)) &&
	       (interpreter_find(r->family->broker, p->path) || judge(r, p->path, PERM_X, NULL) == 0);
}
