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

static inline bool never(void *arg)
{
	(void)arg;
	return false;
}
#endif
