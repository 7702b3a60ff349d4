/* SPDX-License-Identifier: ISC */
/* Owns what a fork of a broker does to become a nested one: which descriptors it keeps, what it begins with, and its own
 * door. Runs in that fork, which has one thread. */
#include "sandbox/role_nested.h"

#include "broker/limits.h"
#include "broker/names.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

static int compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;
	return (x > y) - (x < y);
}

/* Everything else goes: listeners, sockets and pidfds of the outer broker's targets. */
static int descriptors_keep(struct nested *n, const struct broker *b)
{
	const struct nest *nest = n->nest;
	size_t rules = b->policy.unveil_count + (b->begin ? b->begin->unveil_count : 0) + nest->policy->unveil_count;
	int *keep = calloc(rules + LIBC_FILES + INTERPRETERS_MAX + OUTER_MAX + 32, sizeof(int)), r = 0;
	size_t count = 0;
	if (!keep)
		return -ENOMEM;
	const int own[] = {0, 1, 2, n->control, n->far_link, nest->pidfd, nest->pidns, nest->program, b->root, b->proc,
		b->log, me.image, me.program, me.nursery.net, me.nursery.ipc, me.nursery.uts, me.nursery.cgroup,
		me.nursery.mnt};
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		keep[count++] = own[i];
	for (size_t i = 0; i < b->policy.unveil_count; i++)
		keep[count++] = b->anchors[i].fd;
	for (size_t i = 0; i < nest->policy->unveil_count; i++)
		keep[count++] = nest->anchors[i].fd;
	for (size_t i = 0; i < LIBC_FILES; i++)
		keep[count++] = b->libc[i];
	keep[count++] = b->locales;
	keep[count++] = names_descriptor(b);
	for (size_t i = 0; i < b->interpreter_count; i++)
		keep[count++] = b->interpreters[i].fd;
	for (size_t i = 0; i < b->outer_count; i++)
		keep[count++] = b->outer[i].pidns;
	qsort(keep, count, sizeof(int), compare);
	unsigned next = 0;
	for (size_t i = 0; i < count && r == 0; i++) {
		if (keep[i] < 0 || (unsigned)keep[i] < next)
			continue;
		if ((unsigned)keep[i] > next && syscall(SYS_close_range, next, (unsigned)keep[i] - 1, 0) < 0)
			r = -errno;
		next = (unsigned)keep[i] + 1;
	}
	if (r == 0 && syscall(SYS_close_range, next, ~0u, 0) < 0)
		r = -errno;
	free(keep);
	return r;
}

/* The role's globals, as they are in a broker that has no target yet. */
static void role_begin(struct nested *n)
{
	struct nest *nest = n->nest;
	struct broker *b = &me.b;
	me.control = n->control;
	me.host = nest->pidfd;
	me.pidns = nest->pidns;
	me.children = NULL;
	me.nested = true;
	me.forker = 0; /* the outer one's */
	me.warden = -1; /* as this, which is closed: its number may be another's */
	me.setup_fd = -1;
	if (nest->program >= 0)
		me.program = nest->program;
	else if (!nest->guest)
		me.program = -1;
	me.guest = nest->guest;
	me.epoll = epoll_create1(EPOLL_CLOEXEC);
	me.fdinfo = openat(b->proc, "self/fdinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);
	me.direct.on = false;
	me.direct.note[0] = 0;
	me.ruleset = -1;
	me.life = life_begin();
	memset(me.filter, 0, sizeof(me.filter));
	b->opener = b->binder = 0;
	limits_forget(b);
	pthread_mutex_init(&b->opener_lock, NULL);
	b->policy.everything = false;
	b->programs = me.program >= 0;
	b->asks = false; /* the host is not theirs */
	b->makes_sockets = broker_makes_sockets(nest->policy);
	if (nest->program >= 0)
		b->exe = strdup(nest->path);
	getrandom(&b->tag_base, sizeof(b->tag_base), 0);
	state_forget();
	names_forget(b);
	if (nest->processes != LIMIT_NONE && b->outer_count < OUTER_MAX)
		b->outer[b->outer_count++] = (struct outer){nest->pidns, nest->processes};
	b->begin = nest->policy;
	b->begin_anchors = nest->anchors;
	nested_forget(n->budget);
}

static void nested_confine(void)
{
	struct landlock_extra extra = {.count = 0};
	if (!policy_executes(me.b.begin))
		interpreters_release(&me.b);
	struct broker narrow = me.b;
	bool loads = me.program >= 0 || policy_executes(me.b.begin);
	narrow.policy = *me.b.begin;
	narrow.anchors = (struct anchor *)(uintptr_t)me.b.begin_anchors;
	if (me.program >= 0)
		extra_descriptor(&extra, me.program, PERM_R | PERM_X);
	if (loads)
		extra_interpreters(&extra);
	me.ruleset = broker_target_ruleset(&narrow, LANDLOCK_SCOPE_BOTH, extra.rules, extra.count);
	extra_image(&extra, me.image);
	extra_descriptor(&extra, me.fdinfo, PERM_R);
	if (loads)
		extra_libraries(&extra);
	int r = broker_confine(&narrow, extra.rules, extra.count, true);
	extra_close(&extra);
	if (r < 0)
		give_up(r, r == -E2BIG ? "targets are nested too deep for Landlock"
				       : "the nested broker cannot confine itself");
	r = filter_for(FILTER_OF(me.program >= 0 ? START_EXEC : START_WORKER, false));
	if (r < 0)
		give_up(r, "cannot compile the filter");
}

_Noreturn void nested_become(struct nested *n, pid_t parent, const int go[2])
{
	char hello[sizeof(me.hello.program)], byte;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(go[1]);
	if (getppid() != parent || read(go[0], &byte, 1) != 1 || descriptors_keep(n, &me.b) < 0)
		_exit(1);
	setproctitle("-%s: airlock nested broker", me.hello.name);
	snprintf(hello, sizeof(hello), "%s", n->nest->path);
	memcpy(me.hello.program, hello, sizeof(hello));
	int host_socket = n->control, link = n->far_link;
	role_begin(n);
	if (me.epoll < 0 || me.fdinfo < 0)
		give_up(-EMFILE, "no descriptors for a nested broker");
	if (limits_start(&me.b, n->child->family.budget) < 0)
		give_up(-EOPNOTSUPP, "a nested broker cannot keep the limits");
	limits_watch();
	nested_confine();
	struct outcome o;
	outcome_set(&o, 0, me.b.layers, "");
	ipc_send(host_socket, &(struct ipc_message){.type = MESSAGE_READY, .len = sizeof(o), .data = &o}, false);
	me.control = link;
	me.control_watch = (struct watch){.kind = WATCH_CONTROL};
	watch(link, EPOLLIN, &me.control_watch);
	me.host_watch = (struct watch){.kind = WATCH_HOST};
	watch(me.host, EPOLLIN, &me.host_watch);
	/* Whatever comes from there, which can only be the end, or nonsense. */
	watch(host_socket, EPOLLIN, &me.host_watch);
	broker_loop();
}
