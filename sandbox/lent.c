/* SPDX-License-Identifier: ISC */
/*
 * Owns the target's end of buffers that are lent to it: asks its broker for the descriptor, maps it, and lets go of what may
 * be written when the call ends. What may only be read stays mapped under the host's number for it, as long as the host says.
 * Runs in a target that serves calls, behind the closed door.
 */
#include "sandbox/sandbox.h"

#include "policy/filter.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ATTACH_TRIES 2000 /* of a millisecond: the broker is behind */

static struct {
	uint64_t id;
	void *memory; /* NULL: none */
	size_t len;
} kept[LEND_SLOTS];

static struct {
	void *memory;
	size_t len;
	bool writable;
} now[IPC_LENDS_MAX];
static unsigned now_count;

static void let_go(unsigned slot)
{
	if (kept[slot].memory)
		munmap(kept[slot].memory, kept[slot].len);
	kept[slot].memory = NULL;
}

static int attach(const struct ipc_lend *lend, void **memory)
{
	long fd = syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_ATTACH, lend->id);
	for (int i = 0; fd < 0 && errno == EAGAIN && i < ATTACH_TRIES; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		fd = syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_ATTACH, lend->id);
	}
	if (fd < 0)
		return -errno;
	void *p = mmap(NULL, lend->len, PROT_READ | (lend->writable ? PROT_WRITE : 0), MAP_SHARED, (int)fd, 0);
	int r = p == MAP_FAILED ? -errno : 0;
	close((int)fd);
	*memory = p;
	return r;
}

static int lend_begin(const struct ipc_lend *lend)
{
	const unsigned slot = LEND_SLOT(lend->id);
	void *memory = kept[slot].memory;
	if (memory && (kept[slot].id != lend->id || lend->writable || !lend->len)) {
		let_go(slot);
		memory = NULL;
	}
	if (!lend->len)
		return 0;
	int r = memory ? 0 : attach(lend, &memory);
	if (r < 0)
		return r;
	if (!lend->writable) {
		kept[slot].id = lend->id;
		kept[slot].memory = memory;
		kept[slot].len = lend->len;
	}
	now[now_count].memory = memory;
	now[now_count].len = lend->len;
	now[now_count++].writable = lend->writable;
	return 0;
}

int lends_begin(const struct ipc_lend *lends, unsigned count)
{
	int r = count > IPC_LENDS_MAX ? -EPROTO : 0;
	for (unsigned i = 0; r == 0 && i < count; i++)
		r = lend_begin(&lends[i]);
	if (r < 0)
		lends_end();
	return r;
}

void lends_end(void)
{
	while (now_count)
		if (now[--now_count].writable)
			munmap(now[now_count].memory, now[now_count].len);
}

__attribute__((visibility("default"))) void *airlock_lent(unsigned index, size_t *len, int *writable)
{
	if (index >= now_count)
		return NULL;
	if (len)
		*len = now[index].len;
	if (writable)
		*writable = now[index].writable;
	return now[index].memory;
}
