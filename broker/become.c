/* SPDX-License-Identifier: ISC */
/*
 * Owns what a program becomes that has just been executed: whether it is the one that was asked for, what is left to it of
 * the policy, its name; then its loader's time (load.c). Runs in the broker, on the slow worker that traces the process.
 */
#include "broker/program.h"

#include "broker/nest.h"
#include "policy/filter.h"
#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What runs is what was opened, and a script's interpreter what runs that script. */
static bool verified(const struct request *r, const struct run *x, const struct program *p)
{
	char name[32];
	struct stat st;
	snprintf(name, sizeof(name), "%d/exe", (int)x->trace.pid);
	return p->fd < 0 || (fstatat(r->family->broker->proc, name, &st, 0) == 0 && st.st_dev == p->st.st_dev &&
				    st.st_ino == p->st.st_ino && (!x->script || words_kept(r, &x->trace, x->script)));
}

/* Its name, and whether it ignores SIGTRAP. */
static bool look(const struct request *r, const struct run *x, char name[16])
{
	char path[32], text[1024];
	snprintf(path, sizeof(path), "%d/stat", (int)x->trace.pid);
	int fd = openat(r->family->broker->proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	char *from = strchr(text, '('), *to = strrchr(text, ')'), *rest = to;
	name[0] = 0;
	if (!from || !to || to - from > 16)
		return false;
	memcpy(name, from + 1, (size_t)(to - from - 1));
	name[to - from - 1] = 0;
	for (int field = 2; rest && field < 33; field++)
		rest = strchr(rest + 1, ' ');
	return rest && (strtoul(rest, NULL, 10) & 1u << (SIGTRAP - 1));
}

/* The kernel names a process after the file that was executed, not after the link or the script that led there. */
static void name_set(const struct request *r, struct run *x, const struct program *p, const char *now)
{
	if (!p->comm[0] || !strcmp(p->comm, now) || !(policy_of(r)->promises & PROMISE_BIT(stdio)))
		return;
	const uint64_t at = (trace_stack(&x->trace.registers) - TRACE_BELOW) & ~UINT64_C(15);
	const uint64_t args[6] = {PR_SET_NAME, at, 0, 0, 0, 0};
	if (trace_write(&x->trace, at, p->comm, sizeof(p->comm)) == 0)
		trace_call_here(&x->trace, SYS_prctl, args);
}

/* libseccomp keeps what it knows of the kernel in globals, too. */
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

void exec_hold(bool hold)
{
	if (hold)
		pthread_mutex_lock(&one);
	else
		pthread_mutex_unlock(&one);
}

/* A second filter for these promises, *code the caller's. Kept, since compiling it takes longer than the exec. */
static int filter_get(
	uint64_t promises, uint64_t below, bool loading, bool direct, struct sock_filter **code, size_t *len)
{
	static struct {
		struct filter_spec spec;
		struct sock_filter *code;
		size_t len;
	} kept[4];
	static unsigned next;
	const struct filter_spec spec = {.promises = promises, .below = below, .loading = loading, .direct = direct};
	unsigned i = 0;
	int e = 0;
	pthread_mutex_lock(&one);
	while (i < 4 && (!kept[i].code || kept[i].spec.promises != promises || kept[i].spec.loading != loading ||
				kept[i].spec.direct != direct || kept[i].spec.below != below))
		i++;
	if (i == 4) {
		i = next++ % 4;
		free(kept[i].code);
		kept[i].code = NULL;
		kept[i].spec = spec;
		e = filter_compile(&spec, &kept[i].code, &kept[i].len);
	}
	*code = e == 0 ? reallocarray(NULL, kept[i].len, sizeof(**code)) : NULL;
	if (*code)
		memcpy(*code, kept[i].code, (*len = kept[i].len) * sizeof(**code));
	pthread_mutex_unlock(&one);
	return e < 0 ? e : *code ? 0 : -ENOMEM;
}

/* The direct calls that promises do not cover go with a second filter, which the new program's thread is made to load before
 * its first instruction. */
static int filter_stack(const struct request *r, struct run *x, uint64_t promises, bool loading)
{
	struct sock_filter *code = NULL;
	size_t len = 0;
	int e = filter_get(promises, broker_below(r->family->broker), loading, r->family->direct, &code, &len);
	if (e == 0)
		e = trace_registers(&x->trace, &x->trace.registers);
	if (e == 0) {
		uint64_t at = (trace_stack(&x->trace.registers) - TRACE_BELOW - len * sizeof(*code)) & ~UINT64_C(15);
		const struct sock_fprog program = {(unsigned short)len, (struct sock_filter *)(uintptr_t)at};
		const uint64_t head = at - 16;
		const uint64_t args[6] = {SECCOMP_SET_MODE_FILTER, 0, head, 0, 0, 0};
		e = trace_write(&x->trace, at, code, len * sizeof(*code));
		if (e == 0)
			e = trace_write(&x->trace, head, &program, sizeof(program));
		if (e == 0)
			e = (int)trace_call_here(&x->trace, SYS_seccomp, args);
	}
	free(code);
	return e;
}

/* What is left of the policy for a program that was executed from inside; 1: it has less promises than its starter. With
 * exec promises it starts pledged, and unveils stay as they are; without, OpenBSD would let it go. Here it keeps what it
 * was left, but as if it had neither pledged nor unveiled: what a program of OpenBSD's asks for first is then not refused,
 * and it gets as much of that as there is. */
static int narrow(struct request *r, uint64_t *promises)
{
	const struct policy *now = policy_of(r);
	struct held held = state_held(r), unused;
	bool given = now->exec_given, fresh = now->pledged || now->locked || state_veil(r, &unused)->unveil_count > 0;
	struct narrowing n = {.veil = given ? VEIL_KEPT : VEIL_ANEW};
	*promises = given ? now->promises & now->exec_promises : now->promises;
	const bool less = *promises != now->promises, starts = given && r->family->broker->narrowable;
	if (given ? !less && now->pledged >= starts : !fresh)
		return 0;
	int e = policy_copy(&n.policy, now);
	if (e < 0)
		return e;
	n.policy.promises = *promises;
	n.policy.pledged = given && (now->pledged || starts);
	n.policy.locked = given && now->locked;
	e = anchors_narrow(r->family->broker, held, held, &n.policy, &n.anchors);
	if (e < 0) {
		policy_clear(&n.policy);
		return e;
	}
	e = state_narrow(r, &n);
	return e < 0 ? e : less;
}

/* The new program becomes what the policy leaves it, before its first instruction: its libraries' code runs before the entry
 * point, and may fork. */
static int become(struct request *r, struct run *x, const struct program *p)
{
	uint64_t promises;
	char name[16];
	int e = program_allowed(r, p) ? state_exec(r, p->path)
				      : -EACCES; /* not if another thread has narrowed meanwhile */
	int narrower = e < 0 ? e : narrow(r, &promises);
	e = narrower < 0 ? narrower : trace_return(&x->trace);
	if (e < 0)
		return e;
	bool ignored = look(r, x, name);
	name_set(r, x, p, name);
	/* With direct trees its loader reads them by itself. */
	const uint64_t reads = r->family->direct ? PROMISE_BIT(rpath) & ~promises : 0;
	/* Where the broker sees every call but those of stdio, there is nothing else to hold back. */
	if (r->family->broker->narrowable && promises & PROMISE_BIT(stdio))
		narrower = 0;
	if (narrower)
		e = filter_stack(r, x, promises | reads, true);
	if (e == 0) {
		trace_unblock(&x->trace);
		e = load_watch(&x->trace, ignored);
	}
	if (e == 0 && narrower && reads)
		e = filter_stack(r, x, promises, promises & PROMISE_BIT(exec));
	return e;
}

void exec_enter(struct request *r, struct run *x, const struct program *p, bool first)
{
	int e = -EACCES;
	r->tid = x->trace.pid;
	struct state *asked = r->state;
	struct state *now = state_of(r->family, r->tid);
	if (!verified(r, x, p)) {
		r->why = "another program was put in the place of the one that was asked for";
		report_refusal(r, EACCES);
	} else if (first) {
		e = trace_return(&x->trace);
		e = e < 0 ? e : load_watch(&x->trace, false);
	} else if (now) {
		r->state = now;
		e = become(r, x, p);
		r->state = asked;
	}
	state_release(r->family, now);
	if (e == 0)
		trace_detach(&x->trace);
	else
		trace_end(&x->trace, e);
}
