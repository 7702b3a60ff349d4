/* SPDX-License-Identifier: ISC */
/* A call's shared memory, for the tests of calls. */
#ifndef AIRLOCK_TESTS_IPC_CALL_H
#define AIRLOCK_TESTS_IPC_CALL_H

#include "ipc/ipc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

#define SHARED 65536u

static inline struct ipc_call *shared_call(void)
{
	size_t total = ipc_call_total(SHARED);
	void *p;

	int fd = ipc_memfd("test", NULL, total, false);
	assert_true(fd >= 0);
	assert_int_equal(ipc_map(fd, total, true, &p), 0);
	close(fd);
	return p;
}

static inline void unshare_call(struct ipc_call *c)
{
	munmap(c, ipc_call_total(SHARED));
}

/* The host's end of it, as one call after the other has it. */
static inline struct ipc_ring host_of(struct ipc_call *c)
{
	return (struct ipc_ring){.page = c, .shared = SHARED};
}

static inline struct ipc_serving target_of(struct ipc_call *c)
{
	return (struct ipc_serving){.page = c, .shared = SHARED};
}

static inline int publish(
	struct ipc_ring *r, const char *name, const void *in, size_t len, size_t cap, struct ipc_slot **s)
{
	const struct ipc_request q = {.name = name, .in = in, .in_len = len, .cap = cap, .timeout_ms = -1};
	return ipc_ring_publish(r, &q, s);
}

/* A whole call; what was answered is behind *out. */
static inline int request(struct ipc_ring *r, const char *name, const void *in, size_t len, size_t cap,
	bool (*gone)(void *), void *arg, int64_t *result, const void **out)
{
	struct ipc_slot *s;
	int e = publish(r, name, in, len, cap, &s);
	if (e < 0)
		return e;
	e = ipc_ring_await(r, s, 0, gone, arg);
	if (e == 0) {
		*result = s->result;
		if (out)
			*out = (const char *)r->page + s->out_at;
	}
	ipc_ring_free(r, s);
	return e;
}

static inline bool never(void *arg)
{
	(void)arg;
	return false;
}
#endif
