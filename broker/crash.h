/* SPDX-License-Identifier: ISC */
/* What a target says of its own crash, and what is made of that: crash.c, core.c. */
#ifndef AIRLOCK_BROKER_CRASH_H
#define AIRLOCK_BROKER_CRASH_H

#include "broker/broker.h"
#include "broker/frames.h"

#include <signal.h>

/* (AIRLOCK_OP_CRASHED, siginfo_t *, ucontext_t *, the thread pointer, Elf64_auxv_t[CRASH_AUXV]): answered when the broker has looked. */
#define AIRLOCK_OP_CRASHED 11
#define CRASH_AUXV 24

#define CRASH_TEXT 1024
struct crash {
	int signal, code;
	uint64_t address, instruction;
	const char *backtrace; /* "" when there is none, or not yet */
};

struct answer op_crashed(struct request *r);
/* The signals that are crashes; how many. */
size_t crash_signals(const int **signals);

/* unwind.c: where f leads, innermost first. r's thread stands still or does not: what it makes of its stack while it is read
 * can only spoil the text. */
void unwind_from(const struct request *r, const struct frame *f, bool inside, char *buf, size_t len);
/* In a helper that was forked for one process: from here on it reads that one's memory and the files that are open, writes to
 * what is, and that for so many seconds of processor time at most. */
bool helper_lock(pid_t pid, unsigned seconds);

/* core.c: to r's family's descriptor. r's process crashed with info, and its thread stands still. */
void core_write(const struct request *r, const siginfo_t *info);
#endif
