/* SPDX-License-Identifier: ISC */
/* Owns the serving of calls: waits for the host's calls and runs the functions that they name, which may call back. Runs in
 * the target, where of system calls only futex is sure to be allowed. */
#include "sandbox/sandbox.h"

#include "broker/broker.h"
#include "policy/filter.h"
#include "policy/promises.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static struct ipc_serving serving;
static int to_host = -1; /* the channel */
static pthread_mutex_t calling_back = PTHREAD_MUTEX_INITIALIZER;

void serve_narrowed(void)
{
	to_host = -1;
}

/* The host sleeps in poll(2). A channel that is full wakes it as well. */
static void tell_host(void)
{
	const struct ipc_message m = {.type = MESSAGE_ANSWERED};
	int r = to_host < 0 ? -EBADF : ipc_send(to_host, &m, false);
	if (r < 0 && r != -EAGAIN)
		syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_ANSWERED, 0, 0, 0);
}

static int64_t run(const struct ipc_work *w)
{
	const struct airlock_symbol *s = symbol_find(w->name);
	if (!s || !s->function)
		return IPC_NO_FUNCTION;
	if (w->lend_count && lends_begin(w->lends, w->lend_count) < 0)
		return IPC_NOT_LENT;
	int64_t result = s->function(w->in, w->in_len, w->out, w->cap);
	life_check();
	if (w->lend_count)
		lends_end();
	return result;
}

_Noreturn void serve_calls(struct ipc_call *call, size_t shared, int channel)
{
	struct ipc_work w;
	to_host = channel;
	serving = (struct ipc_serving){.page = call, .shared = shared};
	for (int r; (r = ipc_call_wait(&serving, &w)) >= 0;)
		if (r == 1)
			wishes_grant(call);
		else if (ipc_call_reply(&serving, run(&w)))
			tell_host();
	_exit(0);
}

PUBLIC ssize_t airlock_call_host(const char *name, const void *in, size_t len, void *out, size_t cap)
{
	const void *bytes = NULL;
	life_check();
	pthread_mutex_lock(&calling_back);
	int64_t result = ipc_call_back(&serving, name, in, len, &bytes, cap, tell_host);
	if (result == IPC_NO_FUNCTION)
		result = fail(-ENOSYS, "the host has no callback %s", name);
	else if (result > (int64_t)cap)
		result = -EPROTO;
	if (result > 0)
		memcpy(out, bytes, (size_t)result);
	pthread_mutex_unlock(&calling_back);
	return (ssize_t)result;
}

PUBLIC int airlock_cancelled(void)
{
	const struct ipc_entry *e = serving.entry;
	return e && atomic_load_explicit(&e->cancelled, memory_order_relaxed);
}
