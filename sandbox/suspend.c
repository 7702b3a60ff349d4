/* SPDX-License-Identifier: ISC */
/*
 * Owns targets that are to stand still and to go on, and the gentle end of programs. Runs in the broker, on its first thread.
 *
 * Without a cgroup they are stopped by SIGSTOP, which init sends to all of its pid namespace. A process can undo that for
 * others while it is not stopped itself yet, and a timer that sends SIGCONT goes on by itself: so it is said again and again,
 * ever more rarely. That keeps what is busy or mistaken; what wants to run in the background nevertheless gets its turns
 * between two of these, under its limits as ever. A cgroup's freezer (warden.c) leaves it none.
 */
#include "sandbox/role_broker.h"

#include "broker/zygote.h"
#include "sandbox/cgroup.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AGAIN_MS 10
#define AGAIN_MAX_MS 1000

static void tell(struct child *c, int error, const char *text)
{
	struct outcome o;
	if (!c->asked)
		return;
	c->asked = false;
	outcome_set(&o, error, c->layers, text);
	o.suspended = c->suspended;
	child_tell(c, MESSAGE_SUSPENDED, &o, sizeof(o));
}

/* 0 or a negative errno; 1: init will say when it is done. */
static int signal_all(struct child *c, bool stop)
{
	/* init stands still with the others; SIGKILL ends it all the same. */
	const int r = c->ward ? ward_freeze(c->ward, stop) : -ECHILD;
	if (r != -ECHILD)
		return r;
	c->ward = 0;
	if (c->zygote) /* it may not have been forked yet */
		return instance_signal(&c->zygote->family, c->instance, stop ? SIGSTOP : SIGCONT) ? 0 : -ESRCH;
	if (!(me.b.layers & AIRLOCK_LAYER_PID))
		return -EOPNOTSUPP;
	return syscall(SYS_pidfd_send_signal, c->init_pidfd, stop ? SIGNAL_STOP : SIGNAL_GO_ON, NULL, 0) < 0 ? -errno
													     : 1;
}

static void apply(struct child *c)
{
	int r = signal_all(c, c->suspended);
	c->again = c->suspended && !c->ward ? ipc_now_ms() + c->again_ms : -1;
	if (r == 1)
		return;
	if (r < 0) {
		c->suspended = false;
		c->again = -1;
	}
	tell(c, r,
		r == -EOPNOTSUPP ? "without a pid namespace there is no telling which processes are the target's"
				 : "the target cannot be signalled");
}

void child_suspend(struct child *c, bool suspended)
{
	c->suspended = suspended;
	c->asked = true;
	c->again_ms = AGAIN_MS;
	/* Before it is served, its init may not know the signals yet. */
	if (c->zygote || c->family_runs)
		apply(c);
}

void child_serves(struct child *c)
{
	if (c->suspended || c->asked)
		apply(c);
}

void child_suspended(struct child *c)
{
	tell(c, 0, "");
}

int64_t suspend_tick(struct child *c, int64_t now)
{
	if (c->again < 0 || c->again > now)
		return c->again;
	c->again_ms = c->again_ms * 2 > AGAIN_MAX_MS ? AGAIN_MAX_MS : c->again_ms * 2;
	apply(c);
	return c->again;
}

void child_term(struct child *c)
{
	if (c->family_runs)
		syscall(SYS_pidfd_send_signal, c->family.pidfd, SIGTERM, NULL, 0);
	else
		child_kill(c, ENDED_BY_HOST);
}
