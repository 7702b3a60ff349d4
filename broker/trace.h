/* SPDX-License-Identifier: ISC */
/* What ops_exec.c and load.c need of a stopped thread of a target's. */
#ifndef AIRLOCK_TRACE_H
#define AIRLOCK_TRACE_H

#include "broker/broker.h"

#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>

struct trace {
	struct family *family;
	pid_t pid; /* the thread; after exec its process, whose number it takes over */
	bool ended; /* it is dead, and waited for */
	pid_t child; /* one that it forked and that has stopped, or 0 */
	uint64_t call; /* address of its system call instruction */
	struct user_regs_struct registers; /* as it stopped */
	uint64_t mask; /* its blocked signals, which all are while it is held */
};

#define TRACE_BELOW 256 /* what a program's first instructions may use below its stack pointer, and more */

/* What a stop was; TRACE_END: it is dead. */
enum trace_stop { TRACE_CALL, TRACE_EXEC, TRACE_STOP, TRACE_SIGNAL, TRACE_END };

/* Should the broker die, nothing that it was about to execute may run on unwatched. */
#define TRACE_OPTIONS (PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)

/* Every function may find the thread killed: then it is -ESRCH or TRACE_END, and `ended` when that was waited for. Whoever
 * seized a thread ends with trace_detach(), trace_release() or trace_end(), which see to it that it is: its parent cannot
 * wait for it before. */

/* Seizes the thread, which runs on. 0, or a negative errno (-EPERM: somebody traces it already). */
int trace_seize(struct trace *t, struct family *f, pid_t tid);
/* The next stop; *status is wait's. */
enum trace_stop trace_wait(struct trace *t, int *status);
/* It is to stop before its next instruction; trace_hold() then waits for that, keeps its registers, blocks its signals.
 * -EAGAIN: it is not where it has just returned from a call at `place`. */
void trace_interrupt(const struct trace *t);
int trace_hold(struct trace *t, uint64_t place);
/* Makes the held thread call: its result. TRACE_EXEC in *stop: it did not come back. */
int64_t trace_call(struct trace *t, long nr, const uint64_t args[6], enum trace_stop *stop);
/* The same for a thread that stands at a new program's instruction, where no call instruction is known: one is put there for
 * the while. Its registers are as before. */
int64_t trace_call_here(struct trace *t, long nr, const uint64_t args[6]);
/* From its stop in exec to the new program's first instruction; its registers are kept. 0 or -ESRCH. */
int trace_return(struct trace *t);
/* From this stop on (to the next call): with the signal that it is about, or, stopped by job control, not at all yet. */
void trace_resume(const struct trace *t, enum trace_stop stop, int status, bool to_call);
/* Lets it go on from where it was, its call having answered `result`. */
void trace_release(struct trace *t, int64_t result);
/* Its signals are its own again. */
void trace_unblock(const struct trace *t);
void trace_detach(struct trace *t);
/* Kills it, unless error (-ESRCH) says that it dies already. */
void trace_end(struct trace *t, int error);
int trace_write(const struct trace *t, uint64_t address, const void *bytes, size_t len);
int trace_read(const struct trace *t, uint64_t address, void *bytes, size_t len);
/* After trace_call(): the registers of the held thread are as they were. */
int trace_restore(struct trace *t);
/* Waits for the end of all that this very thread traces, and sees to it that it comes. */
void trace_reap(struct trace *t);
uint64_t trace_stack(const struct user_regs_struct *r);
int trace_registers(const struct trace *t, struct user_regs_struct *r);

/* load.c: t is stopped at its first instruction; lets the loader work, with what is granted to it, up to the program's entry
 * point. 0: it is stopped there; negative errnos: it ended before, or cannot be watched. ignored: SIGTRAP is. */
int load_watch(struct trace *t, bool ignored);
#endif
