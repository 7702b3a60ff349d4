/* SPDX-License-Identifier: ISC */
/* How either side of a call waits: what ring.c (host) and call.c (target, broker) share. */
#ifndef AIRLOCK_BELL_H
#define AIRLOCK_BELL_H

#include "ipc/ipc.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NUMBER_MASK 0x3fffffffu
#define STATE(number, stage) ((uint32_t)(number) << 2 | (uint32_t)(stage))

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

/* Whether state left value within limit pauses; *state is what it is then. */
static inline bool spin(_Atomic uint32_t *word, uint32_t value, uint32_t limit, uint32_t *state)
{
	for (uint32_t i = 0;; i++) {
		*state = atomic_load_explicit(word, memory_order_acquire);
		if (*state != value)
			return true;
		if (i >= limit)
			return false;
		pause_cpu();
	}
}

/* A word that both sides read in each call is written only when it changes: its line then stays where it is. */
static inline void keep(_Atomic uint32_t *word, uint32_t value)
{
	if (atomic_load_explicit(word, memory_order_relaxed) != value)
		atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline void bell_wait(_Atomic uint32_t *bell, uint32_t heard, const struct timespec *timeout)
{
	syscall(SYS_futex, bell, FUTEX_WAIT, heard, timeout, NULL, 0);
}

/*
 * Who sleeps says so in waits, then reads the bell, then looks whether there is still reason to sleep; who gives a reason
 * writes that, then looks at waits. All of it in one order (sequentially consistent): one of both sees the other.
 */
static inline void bell_ring(_Atomic uint32_t *bell, const _Atomic uint32_t *waits)
{
	if (!atomic_load(waits))
		return;
	atomic_fetch_add(bell, 1);
	syscall(SYS_futex, bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
#endif
