/* SPDX-License-Identifier: ISC */
/* Owns how a target starts targets of its own: it asks its broker, by the number of a call that no kernel has, for a broker
 * of its own, and then for targets; that is all that is different from a host. Runs in a target. */
#include "sandbox/sandbox.h"

#include "broker/nest.h"
#include "policy/filter.h"
#include "policy/promises.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool nested_inside(void)
{
	return syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_QUERY, AIRLOCK_QUERY_FLAGS, 0, 0) >= 0;
}

/* Whether this process may use sendmsg(2) and recvmsg(2), which carry descriptors, or must do without. */
int64_t plain_messages(void)
{
	int64_t promises = syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_QUERY, AIRLOCK_QUERY_PROMISES, 0, 0);
	const uint64_t any = PROMISE_BIT(inet) | PROMISE_BIT(unix);
	if (promises >= 0)
		ipc_plain((promises & (any | PROMISE_BIT(sendfd))) == 0, (promises & (any | PROMISE_BIT(recvfd))) == 0);
	return promises;
}

static int ask(struct nest_ask *ask)
{
	ask->version = NEST_VERSION;
	long r = syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_NEST, ask, sizeof(*ask));
	return r < 0 ? -errno : (int)r;
}

/* Why the broker said no, as far as this process can know. */
static int refused(int error, const struct airlock_policy *policy)
{
	int64_t own = syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_QUERY, AIRLOCK_QUERY_PROMISES, 0, 0);
	uint64_t more = own < 0 ? 0 : policy->p.promises & ~(uint64_t)own;
	switch (error) {
	case -EOPNOTSUPP:
		return fail(error, "this process was confined in place: start targets before that");
	case -EAGAIN:
		return fail(error, "this target has too many brokers of its own");
	case -EPERM:
	case -EACCES:
	case -ENOENT:
		if (more)
			return fail(error, "the policy asks for more than this target has: promise %s",
				promise_name((unsigned)__builtin_ctzll(more)));
		return fail(error,
			"the policy asks for more than this target has (a path, an address or a program): %s",
			strerror(-error));
	default:
		return fail(error, "the broker gives no targets: %s", strerror(-error));
	}
}

static int policy_text(const struct policy *p, char **text)
{
	/* What passes into the environment is this process' own business, and part of the words. */
	struct policy own = *p;
	own.env_count = 0;
	return policy_format(&own, airlock_layer_name, text);
}

int nested_spawn(struct broker_handle **out, const struct broker_birth *birth)
{
	struct nest_ask request = {.what = NEST_BROKER};
	struct outcome o = {.error = -ECHILD};
	char *text = NULL, *buffer = malloc(IPC_BYTES_MAX + 16);
	struct broker_handle *h = calloc(1, sizeof(*h));
	int r = h && buffer ? policy_text(&birth->policy->p, &text) : -ENOMEM;
	plain_messages();
	if (r < 0) {
		fail(r, "cannot write the policy: %s", strerror(-r));
		goto out;
	}
	request.text = (uint64_t)(uintptr_t)text;
	request.text_len = strlen(text);
	request.program = (uint64_t)(uintptr_t)birth->program_path;
	r = ask(&request);
	if (r < 0) {
		refused(r, birth->policy);
		goto out;
	}
	h->control = r;
	struct ipc_message m;
	if (ipc_recv(h->control, buffer, IPC_BYTES_MAX + 16, 0, &m, true) == 1 && m.type == MESSAGE_READY &&
		m.len == sizeof(o)) {
		memcpy(&o, m.data, sizeof(o));
		o.text[sizeof(o.text) - 1] = 0;
	}
	r = o.error < 0 ? fail(o.error, "%s", o.text[0] ? o.text : "the nested broker ended before it was ready") : 0;
	if (r < 0) {
		close(h->control);
		goto out;
	}
	struct stat st;
	if (birth->program >= 0 && fstat(birth->program, &st) == 0) {
		h->program_dev = st.st_dev;
		h->program_ino = st.st_ino;
	}
	h->layers = o.layers;
	h->pid = o.pid;
	h->nested = true;
	snprintf(h->note, sizeof(h->note), "%s",
		birth->policy->log >= 0 ? "the log of a nested target is that of the outermost host" : "");
	pthread_mutex_init(&h->lock, NULL);
	atomic_store(&h->references, 1);
	*out = h;
	h = NULL;
out:
	free(h);
	free(text);
	free(buffer);
	return r;
}

int nested_start(struct broker_handle *h, const struct start *start, const char *words, const int *fds, size_t count)
{
	struct nest_ask request = {.what = NEST_START,
		.text = (uint64_t)(uintptr_t)words,
		.text_len = start->words_len,
		.data = (uint64_t)(uintptr_t)start,
		.data_len = sizeof(*start),
		.control = h->control,
		.fd_count = (uint32_t)count};
	for (size_t i = 0; i < count && i < NEST_FDS; i++)
		request.fds[i] = fds[i];
	int r = ask(&request);
	if (r == -EISDIR)
		return fail(r, "one of the target's descriptors is a directory, which would lead to all above it");
	return r < 0 ? fail(r, "the broker starts no target: %s", strerror(-r)) : 0;
}
