/* SPDX-License-Identifier: ISC */
/*
 * Owns what a target says of its own crash (AIRLOCK_OP_CRASHED). Runs in the broker: on the lane, where the registers are
 * copied and told at once, and then on a slow worker, where the backtrace and the core file are made.
 *
 * Any code of a target can say this, whenever it likes and with whatever content. It is heard once, from the first process
 * of a target alone, and is told as what that process said: whether it then died of this very signal init sees, and the host
 * believes none that it did not die of.
 */
#include "broker/crash.h"

#include "broker/zygote.h"

#include <errno.h>
#include <signal.h>

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};

size_t crash_signals(const int **out)
{
	*out = signals;
	return sizeof(signals) / sizeof(signals[0]);
}

static bool is_crash(int signal)
{
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (signals[i] == signal)
			return true;
	return false;
}

/* Whether this is the process whose end is its target's, and the first time that it says so. On the lane. */
static bool first_word(struct request *r)
{
	struct instance *i = r->state->instance;
	const pid_t process = i ? i->pid : r->family->first;
	bool *said = i ? &i->crashed : &r->family->crashed;
	if (*said || process <= 0 || (r->tid != process && request_process(r) != process))
		return false;
	return *said = true;
}

struct answer op_crashed(struct request *r)
{
	struct family *f = r->family;
	siginfo_t info;
	struct frame frame;
	char text[CRASH_TEXT] = "";
	if (!f->on_crash || (!r->slow && !first_word(r)))
		return answer_value(0);
	if (memory_read(r, r->args[1], &info, sizeof(info)) < 0 || !frame_context(r->tid, r->args[2], &frame) ||
		!is_crash(info.si_signo) || !request_alive(r))
		return answer_error(EFAULT);
	struct crash c = {.signal = info.si_signo,
		.code = info.si_code,
		.address = info.si_code > 0 ? (uint64_t)(uintptr_t)info.si_addr : 0,
		.instruction = frame.pc,
		.backtrace = text};
	const bool looks = f->backtraces || f->core >= 0;
	if (!r->slow) {
		/* Before anything that takes a while, or has no worker: this much the host will know. */
		f->on_crash(f->arg, r->state->instance, &c);
		return looks ? answer_slow() : answer_value(0);
	}
	if (f->backtraces) {
		unwind_from(r, &frame, false, text, sizeof(text));
		f->on_crash(f->arg, r->state->instance, &c);
	}
	if (f->core >= 0)
		core_write(r, &info);
	return answer_value(0);
}
