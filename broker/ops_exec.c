/* SPDX-License-Identifier: ISC */
/*
 * Owns execve and execveat, and what a program's loader is granted. Runs in the broker, on a slow worker, which traces the
 * caller from its request to the new program's entry point (trace.c, load.c).
 *
 * The broker opens what the path leads to, under the permission `x` (program.c), puts the descriptor into the target and
 * makes the thread execute that. What then runs is compared with what was opened, before its first instruction: a sibling
 * thread may have put another file at the descriptor's number.
 */
#include "broker/carrier.h"
#include "broker/program.h"
#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ERESTARTSYS 512 /* the kernel's own */
#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000 /* 6.14 */
#endif

static const struct answer go_on = {.kind = ANSWER_CONTINUE, .fd = -1};
static const struct answer answered = {.kind = ANSWER_NONE, .fd = -1};

/* ---- what a loader may ---- */

/* Whether a loader may map the file executable: a library, or a part of what is unveiled that the target cannot write.
 * The caller has no other thread, and shares its descriptors with nobody since its exec. */
static bool library(struct request *r, int number)
{
	char path[PATH_MAX];
	int fd = memory_dup_fd(r, number);
	if (fd < 0)
		return false;
	int e = canonical_of(r->state, r->family->broker, fd, path);
	close(fd);
	if (e < 0)
		return false;
	const struct unveil *rule = policy_find(policy_of(r), path);
	if (!rule)
		return policy_of(r)->everything;
	const char *name = strrchr(path, '/');
	return (rule->perms & PERM_X) || ((rule->perms & PERM_LOADER) && name && strstr(name, ".so")) ||
	       ((rule->perms & PERM_R) && !(rule->perms & (PERM_W | PERM_C)));
}

/* Whether the memory is executable as it is: a loader adds PROT_BTI to what it has mapped. It makes nothing else
 * executable; a library that asks for an executable stack would turn the caller's environment into code. */
static bool executable(const struct request *r, uint64_t address, uint64_t len)
{
	char name[32], *line = NULL;
	size_t room = 0;
	bool is = false;
	snprintf(name, sizeof(name), "%d/maps", (int)r->tid);
	int fd = openat(r->family->broker->proc, name, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	if (fd >= 0 && !f)
		close(fd);
	while (f && !is && getline(&line, &room, f) > 0) {
		char *end;
		uint64_t first = strtoull(line, &end, 16), behind = strtoull(end + (*end == '-'), &end, 16);
		is = address >= first && address < behind && len <= behind - address && strlen(end) > 4 &&
		     end[3] == 'x';
	}
	free(line);
	if (f)
		fclose(f);
	return is && request_alive(r);
}

static bool loader_needs(struct request *r)
{
	if (!request_loading(r) || (r->args[2] & PROT_WRITE))
		return false;
	if (r->nr != SYS_mmap)
		return executable(r, r->args[0], r->args[1]);
	return (int)r->args[4] >= 0 && !(r->args[3] & MAP_ANONYMOUS) && library(r, (int)r->args[4]);
}

/* libc loads code to convert character sets, from a directory of the system's, when it is first asked to, and no program
 * knows that it needs prot_exec for it. The number of the descriptor is judged, and looked up again by the kernel: so
 * nobody may be there to put another file at it meanwhile. 1: granted; 0: another file; else it fails, which libc bears. */
static int converter(struct request *r)
{
	char path[PATH_MAX];
	struct stat st;
	if (r->nr != SYS_mmap || (r->args[2] & PROT_WRITE) || (r->args[3] & MAP_ANONYMOUS))
		return 0;
	int fd = (int)r->args[4] < 0 ? -1 : memory_dup_fd(r, (int)r->args[4]);
	if (fd < 0)
		return 0;
	bool is = canonical_of(r->state, r->family->broker, fd, path) == 0 && libc_converter(path) &&
		  fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & (S_IWGRP | S_IWOTH));
	close(fd);
	if (!is)
		return 0;
	return descriptors_shared(r) || !request_alive(r) ? -EACCES : 1;
}

struct answer op_prot_exec(struct request *r)
{
	int converts;
	if (!(r->args[2] & PROT_EXEC) || (policy_of(r)->promises & PROMISE_BIT(prot_exec)) || loader_needs(r))
		return go_on;
	if ((policy_of(r)->promises & PROMISE_BIT(stdio)) && (converts = converter(r)) != 0)
		return converts < 0 ? answer_error(-converts) : go_on;
	return promised(r, PROMISE_BIT(prot_exec)) ? answer_error(EPERM) : go_on;
}

/* ---- from the request to the exec; what comes then is in become.c ---- */

/* The host's own start: our own code asks, alone in its process, for the descriptor that it was given. */
static struct answer start(const struct request *r)
{
	struct program p = {.fd = -1};
	struct request held = *r;
	struct run x = {.fd = -1};
	int e = trace_seize(&x.trace, r->family, r->tid), status;
	if (e < 0)
		return answer_error(-e);
	lane_answer(r->family, r->id, go_on);
	held.held_still = true;
	enum trace_stop stop;
	while ((stop = trace_wait(&x.trace, &status)) != TRACE_EXEC && stop != TRACE_END)
		trace_resume(&x.trace, stop, status, false);
	if (stop == TRACE_EXEC)
		exec_enter(&held, &x, &p, true);
	return answered;
}

static int descriptor_give(const struct request *r, int fd)
{
	struct seccomp_notif_addfd add = {.id = r->id, .srcfd = (uint32_t)fd, .newfd_flags = O_CLOEXEC};
	int number = ioctl(r->family->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	return number < 0 ? -errno : number;
}

/* Not if another thread has narrowed what it may since it asked. */
static bool allowed_still(struct request *r, const struct program *p)
{
	struct state *asked = r->state, *now = state_of(r->family, r->tid);
	r->state = now ? now : asked;
	bool yes = now && program_allowed(r, p);
	r->state = asked;
	state_release(r->family, now);
	return yes;
}

/* It is held, its request answered: from here on its own call's result is what it is released with. */
static int64_t execute(struct request *r, struct run *x, const struct program *p, bool *entered)
{
	enum trace_stop stop = TRACE_CALL;
	int64_t e = allowed_still(r, p) ? 0 : -EACCES;
	if (e == 0 && x->script)
		e = words_place(r, &x->trace, x->script, &x->words);
	if (e == 0) {
		const uint64_t args[6] = {
			(uint64_t)x->fd, x->words.path, x->words.arguments, x->environment, AT_EMPTY_PATH, 0};
		/* Its request can be interrupted before it is received, by what stops it. */
		do {
			exec_approve(r->family, r->tid, x->fd);
			e = trace_call(&x->trace, SYS_execveat, args, &stop);
			exec_disapprove(r->family, r->tid);
		} while (stop == TRACE_CALL && e == -ERESTARTSYS);
	}
	*entered = stop == TRACE_EXEC;
	const uint64_t close_args[6] = {(uint64_t)x->fd}, unmap_args[6] = {x->words.mapped, x->words.mapped_len};
	if (!*entered && !x->trace.ended)
		trace_call(&x->trace, SYS_close, close_args, &stop);
	if (!*entered && !x->trace.ended && x->words.mapped)
		trace_call(&x->trace, SYS_munmap, unmap_args, &stop);
	words_release(r->family, &x->words);
	return e;
}

static struct answer run(struct request *r, const struct program *p, const struct words *w)
{
	const bool at = r->nr == SYS_execveat;
	/* What holds for a thread that is held is not said of the request, which others look at. */
	struct request held = *r;
	struct run x = {.environment = r->args[at ? 3 : 2], .words = {.slot = -1}, .script = w->count ? w : NULL};
	x.words.arguments = r->args[at ? 2 : 1];
	/* Its own path ends in a NUL: that is the empty path. Whatever it becomes, what then runs is looked at. */
	x.words.path = r->args[at ? 1 : 0] + strlen(r->path[0]);
	int e = trace_seize(&x.trace, r->family, r->tid);
	if (e == -ESRCH || (e < 0 && !request_alive(r)))
		return answered;
	if (e < 0) {
		r->why = request_loading(r) ? "a library executes nothing before the program's entry point"
					    : "somebody else traces it";
		return answer_error(EACCES);
	}
	x.fd = descriptor_give(r, p->fd);
	trace_interrupt(&x.trace);
	lane_answer(r->family, r->id, answer_error(EINTR));
	held.held_still = true;
	e = trace_hold(&x.trace, r->stands);
	/* Its request was over before that: whatever it does by now, it is let go as it is. */
	bool gone = e == -EAGAIN || (e == 0 && x.fd == -ENOENT), entered = false;
	if (gone) {
		trace_unblock(&x.trace);
		trace_detach(&x.trace);
	}
	if (e < 0 && !gone)
		trace_end(&x.trace, e);
	if (e < 0 || gone)
		return answered;
	int64_t result = x.fd < 0 ? x.fd : execute(&held, &x, p, &entered);
	if (entered)
		exec_enter(&held, &x, p, false);
	else
		trace_release(&x.trace, result);
	struct answer a = result < 0 ? answer_error((int)-result) : answer_value(0);
	if (r->family->broker->log >= 0)
		report_log(r, &a);
	return answered;
}

struct answer op_exec(struct request *r)
{
	struct family *f = r->family;
	if (!r->slow && exec_approved(r))
		return go_on;
	if (!r->slow && !atomic_load(&f->starting) && promised(r, PROMISE_BIT(exec)))
		return answer_error(EPERM);
	if (!f->carrier->goes_on) {
		r->why = "under somebody else's seccomp listener a program would lose the handler that its requests "
			 "take";
		return answer_error(EACCES);
	}
	if (!r->slow)
		return answer_slow();
	if (atomic_exchange(&f->starting, false))
		return start(r);
	struct program p = {.fd = -1};
	struct words *w = calloc(1, sizeof(*w));
	int e = w ? program_find(r, &p, w) : -ENOMEM;
	bool check = r->nr == SYS_execveat && (r->flags & AT_EXECVE_CHECK);
	struct answer a = e < 0 ? answer_error(-e) : check ? answer_value(0) : run(r, &p, w);
	if (p.fd >= 0)
		close(p.fd);
	free(w);
	return a;
}
