/* SPDX-License-Identifier: ISC */
/*
 * Owns acting as whom: in place, root may promise `id` and become somebody else afterwards (daemons do), and what its broker
 * opens for it from then on must be opened as that somebody. Ids are each thread's own in the kernel, so the thread that
 * serves a request takes on the ids of its caller, as its effective ones, and keeps the means to be itself again (the saved id). Runs in
 * the broker, on lanes and slow workers, before anything of the request is decided.
 */
#include "broker/broker.h"
#include "policy/promises.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As whom this thread acts. Small: a program's threads have it in their stacks, too. */
static _Thread_local struct {
	bool changed; /* else it is as the broker was born */
	uid_t uid;
	gid_t gid;
	uint64_t groups;
} thread;

void identity_begin(struct broker *b)
{
	/* Who is not root cannot become anybody else, and neither can its targets. */
	b->identities = b->in_place && geteuid() == 0 && (b->policy.promises & PROMISE_BIT(id));
}

void identity_note(const struct request *r)
{
	static const int calls[] = {SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid,
		SYS_setgroups, SYS_setfsuid, SYS_setfsgid};
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i] == r->nr)
			atomic_store(&r->family->identities_changed, true);
}

/* Effective capabilities: all that are permitted, or, for somebody who has none, what it takes to look at targets and to
 * mark them, which is the broker's own business. */
static int capabilities_take(bool all)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	const uint32_t own = 1u << CAP_SYS_PTRACE | 1u << CAP_SYS_RESOURCE | 1u << CAP_KILL;
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].effective = data[0].permitted & (all ? ~0u : own);
	data[1].effective = all ? data[1].permitted : 0;
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* The real id, too, decides who may mark whom (prlimit). The saved one is the way back. Raw calls: libc's change all
 * threads. */
static int become(const struct credentials *c)
{
	int e = 0;
	if (syscall(SYS_setresuid, 0, 0, 0) < 0)
		return -errno;
	e = capabilities_take(true);
	if (e == 0 &&
		(syscall(SYS_setgroups, c->count, c->groups) < 0 || syscall(SYS_setresgid, c->gid, c->gid, -1) < 0 ||
			syscall(SYS_setresuid, c->uid, c->uid, 0) < 0))
		e = -errno;
	return e < 0 ? e : capabilities_take(c->uid == 0);
}

/* FNV-1a of all groups; they are root's choice. */
static uint64_t groups_sum(const struct credentials *c)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325) + c->count;
	for (size_t i = 0; i < c->count; i++)
		sum = (sum ^ c->groups[i]) * UINT64_C(0x100000001b3);
	return sum;
}

int identity_take(const struct request *r)
{
	const struct family *f = r->family;
	struct credentials ids;
	if (!f->broker->identities || (f->broker->narrowable && !atomic_load(&f->identities_changed)))
		return 0;
	int e = credentials_of(r, &ids);
	const uint64_t groups = e < 0 ? 0 : groups_sum(&ids);
	if (e < 0 || (thread.changed && thread.uid == ids.uid && thread.gid == ids.gid && thread.groups == groups))
		return e;
	thread.changed = true;
	thread.groups = groups;
	e = become(&ids);
	/* Half changed it must not serve: nobody has no number. */
	thread.uid = e < 0 ? (uid_t)-1 : ids.uid;
	thread.gid = e < 0 ? (gid_t)-1 : ids.gid;
	return e;
}
