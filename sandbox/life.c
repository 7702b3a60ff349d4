/* SPDX-License-Identifier: ISC */
/*
 * Owns the word by which a target knows that its broker is gone, before anything of that can be seen. When a broker is killed
 * its listeners close, and the calls of its targets fail with ENOSYS until init's death ends them, some microseconds later:
 * long enough for a function to make an answer of that ("no such font") which the host would believe. So a target looks at
 * this word before it says anything, and says nothing if its broker is gone. The kernel writes it: it is a robust futex of the
 * broker's first thread, which marks those when it gives up its memory, and closes descriptors after that.
 *
 * Runs in the broker, on its first thread, and in targets, which can only read it.
 */
#include "sandbox/sandbox.h"

#include "sandbox/role_broker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define ROOM                                                                                                           \
	256 /* on both sides of the entry: the word is as far from it as this libc has it, and it writes before it */

struct life {
	uint64_t at; /* of the word, in bytes from here */
	char before[ROOM];
	struct robust_list entry;
	char behind[ROOM];
};

/* ---- in the broker ---- */

static struct robust_list_head *robust_head(void)
{
	static struct robust_list_head own;
	struct robust_list_head *head = NULL;
	size_t len;
	/* A libc may have none before its first robust mutex, and a process that was forked without it none at all. */
	if (syscall(SYS_get_robust_list, 0, &head, &len) == 0 && head)
		return head;
	own = (struct robust_list_head){.list = {&own.list}, .futex_offset = sizeof(own.list)};
	return syscall(SYS_set_robust_list, &own, sizeof(own)) < 0 ? NULL : &own;
}

int life_begin(void)
{
	struct robust_list_head *head = robust_head();
	void *memory;
	if (!head || head->futex_offset < -(long)(ROOM - sizeof(uint32_t)) ||
		head->futex_offset > (long)(ROOM - sizeof(uint32_t)))
		return -EOPNOTSUPP;
	int fd = ipc_memfd_open("airlock-life", NULL, sizeof(struct life), F_SEAL_SHRINK | F_SEAL_GROW);
	int r = fd < 0 ? fd : map_own(fd, sizeof(struct life), &memory);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		r = -errno;
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	struct life *l = memory;
	l->at = offsetof(struct life, entry) + (uint64_t)head->futex_offset;
	*(_Atomic uint32_t *)(void *)((char *)memory + l->at) = (uint32_t)gettid();
	l->entry.next = head->list.next;
	head->list.next = &l->entry;
	return fd;
}

/* ---- in a target ---- */

static const _Atomic uint32_t *word; /* NULL: it has none */

void life_take(void)
{
	const struct life *l = mmap(NULL, sizeof(*l), PROT_READ, MAP_SHARED, FD_LIFE, 0);
	if (l != MAP_FAILED)
		word = (const _Atomic uint32_t *)(const void *)((const char *)l + l->at);
	close(FD_LIFE);
}

void life_check(void)
{
	if (word && (*word & FUTEX_OWNER_DIED))
		_exit(125);
}
