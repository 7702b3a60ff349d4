/* SPDX-License-Identifier: ISC */
/* Owns what became of a target, and how that is said: what the broker told of refusals, of a crash and of the end, as a status
 * and as a sentence. Runs in the host. What came from the target itself (how it crashed, where) is the broker's checked
 * copy, and still only the target's word. */
#include "sandbox/ending.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))
#define REFUSALS_MAX 64

/* ---- what the broker tells ---- */

void ending_refusal(struct airlock_target *t, const struct refusal *refusal)
{
	t->refused++;
	if (!t->refusals)
		t->refusals = calloc(REFUSALS_MAX, sizeof(*t->refusals));
	if (t->refusals && (t->refusal_count < REFUSALS_MAX || refusal->kill)) {
		unsigned i = t->refusal_count < REFUSALS_MAX ? t->refusal_count++ : REFUSALS_MAX - 1;
		struct refused *to = &t->refusals[i];
		memcpy(to->text, refusal->text, sizeof(to->text));
		memcpy(to->missing, refusal->missing, sizeof(to->missing));
		to->text[sizeof(to->text) - 1] = to->missing[sizeof(to->missing) - 1] = 0;
		to->limit = refusal->limit;
	}
	t->violated |= refusal->kill != 0;
}

void ending_crash(struct airlock_target *t, const struct crashed *crash)
{
	if (!t->crash)
		t->crash = malloc(sizeof(*t->crash));
	if (!t->crash)
		return;
	memcpy(t->crash, crash, sizeof(*crash));
	t->crash->backtrace[sizeof(t->crash->backtrace) - 1] = 0;
}

/* ---- how it ended ---- */

/* The limit is on address space, so an allocation fails and the program falls over it in its own way: abort, a null
 * pointer. That it had filled most of what it may have tells this from an ordinary crash. */
static bool out_of_memory(const struct airlock_target *t)
{
	uint64_t limit = t->limits[LIMIT_MEMORY];
	return limit != LIMIT_NONE && t->end.why == ENDED_BY_ITSELF && t->end.end.peak_bytes >= limit / 4 * 3;
}

static enum airlock_end classify(const struct airlock_target *t, int *code, int *signal)
{
	const struct end *e = &t->end.end;
	if (!t->ended)
		return AIRLOCK_RUNNING;
	if (t->lost)
		return AIRLOCK_LOST;
	if (t->end.why == ENDED_BY_TRAFFIC) {
		*signal = SIGKILL;
		return AIRLOCK_VIOLATED;
	}
	if (t->end.why == ENDED_BY_VIOLATION || t->violated) {
		if (!t->end.seen || e->code != CLD_EXITED)
			*signal = t->end.seen ? e->status : SIGKILL;
		return AIRLOCK_VIOLATED;
	}
	if (t->end.why == ENDED_BY_WALL || (t->end.why == ENDED_BY_HOST && t->late))
		return AIRLOCK_TIMED_OUT;
	if (t->end.why == ENDED_BY_MEMORY) {
		*signal = SIGKILL;
		return AIRLOCK_OUT_OF_MEMORY;
	}
	if (!t->end.seen) {
		*signal = SIGKILL;
		return AIRLOCK_KILLED;
	}
	if (e->code == CLD_EXITED) {
		*code = e->status;
		return AIRLOCK_EXITED;
	}
	*signal = e->status;
	switch (e->status) {
	case SIGSYS:
		return AIRLOCK_VIOLATED;
	case SIGXCPU:
		return AIRLOCK_TIMED_OUT;
	case SIGKILL:
		if (t->limits[LIMIT_CPU] != LIMIT_NONE &&
			(e->user_usec + e->system_usec) / 1000 >= t->limits[LIMIT_CPU])
			return AIRLOCK_TIMED_OUT;
		return out_of_memory(t) ? AIRLOCK_OUT_OF_MEMORY : AIRLOCK_KILLED;
	case SIGABRT:
	case SIGBUS:
	case SIGSEGV:
		return out_of_memory(t) ? AIRLOCK_OUT_OF_MEMORY : AIRLOCK_CRASHED;
	case SIGILL:
	case SIGTRAP:
	case SIGFPE:
	case SIGXFSZ:
	case SIGQUIT:
		return AIRLOCK_CRASHED;
	default:
		return AIRLOCK_KILLED;
	}
}

/* Which limit it ended by, or else, which one its last refused call ran into. */
static int limit_of(const struct airlock_target *t, const struct airlock_status *s)
{
	const int last = t->refusal_count ? t->refusals[t->refusal_count - 1].limit : -1;
	switch (s->end) {
	case AIRLOCK_TIMED_OUT:
		return t->end.why == ENDED_BY_WALL ? LIMIT_WALL : t->end.why == ENDED_BY_HOST ? -1 : LIMIT_CPU;
	case AIRLOCK_OUT_OF_MEMORY:
		return LIMIT_MEMORY;
	case AIRLOCK_CRASHED:
		return s->signal == SIGXFSZ && t->limits[LIMIT_FILE_SIZE] != LIMIT_NONE ? LIMIT_FILE_SIZE : last;
	default:
		return t->end.why == ENDED_BY_TRAFFIC ? LIMIT_TRAFFIC : last;
	}
}

void ending_status(const struct airlock_target *t, struct airlock_status *status)
{
	struct airlock_status s = {.size = sizeof(s), .limit = -1};
	const struct crashed *crash = t->crash;
	if (!status)
		return;
	s.end = classify(t, &s.code, &s.signal);
	s.requests = t->end.requests;
	s.refused = t->ended && !t->lost ? t->end.refused : t->refused;
	s.user_usec = t->end.end.user_usec;
	s.system_usec = t->end.end.system_usec;
	s.peak_bytes = t->end.end.peak_bytes;
	s.layers = t->layers;
	if (t->refusal_count) {
		const struct refused *last = &t->refusals[t->refusal_count - 1];
		snprintf(s.violation, sizeof(s.violation), "%s", last->text);
		snprintf(s.missing, sizeof(s.missing), "%s", last->missing);
	}
	s.limit = limit_of(t, &s);
	if (s.limit < 0 || s.limit >= LIMIT_COUNT || t->limits[s.limit] == LIMIT_NONE)
		s.limit = -1;
	else
		s.limit_value = t->limits[s.limit];
	if (t->end.why == ENDED_BY_TRAFFIC) {
		snprintf(s.violation, sizeof(s.violation), "limit traffic %llu", (unsigned long long)s.limit_value);
		s.missing[0] = 0;
	}
	/* A process may say that it crashes, and live on. */
	if (crash && t->ended && s.signal && s.signal == crash->signal) {
		s.fault = crash->code;
		s.fault_address = crash->address;
		s.instruction = crash->instruction;
		snprintf(s.backtrace, sizeof(s.backtrace), "%s", crash->backtrace);
	}
	size_t size = status->size < sizeof(s) ? status->size : sizeof(s);
	s.size = size;
	memcpy(status, &s, size);
}

/* ---- a sentence ---- */

static void quantity(int limit, uint64_t value, char *buf, size_t len)
{
	static const char *const bytes[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	unsigned long long n = value;
	unsigned unit = 0;
	if (limit == LIMIT_CPU || limit == LIMIT_WALL) {
		snprintf(buf, len, n % 1000 ? "%llu ms" : "%llu s", n % 1000 ? n : n / 1000);
		return;
	}
	while (unit < 4 && n && n % 1024 == 0) {
		n /= 1024;
		unit++;
	}
	snprintf(buf, len, "%llu %s", n, bytes[unit]);
}

/* ", which the promise rpath would have allowed", after the call alone. */
static void refused_say(const struct airlock_status *s, char *buf, size_t len)
{
	size_t n = strlen(s->violation);
	for (const char *at = s->violation; (at = strstr(at, ": E")); at++)
		n = (size_t)(at - s->violation);
	snprintf(buf, len, s->missing[0] ? "%.*s, which %s%s would have allowed" : "%.*s, which nothing allows", (int)n,
		s->violation, strncmp(s->missing, "promise ", 8) ? "" : "the ", s->missing);
}

/* The innermost function that is not libc's own: nobody looks for the fault in raise(). */
static void place_say(const struct airlock_status *s, char *buf, size_t len)
{
	static const char *const others[] = {
		"(libc.", "(libc-", "(ld-", "(libstdc++", "([vdso])", "(?)", "(libasan", "(libubsan", "(libtsan"};
	const char *best = s->backtrace;
	bool found = false;
	for (const char *at = s->backtrace; *at && !found; at += strspn(at, ", ")) {
		const char *module = at + strcspn(at, "(");
		found = true;
		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			found = found && strncmp(module, others[i], strlen(others[i])) != 0;
		if (found)
			best = at;
		at += strcspn(at, ",");
	}
	if (*best)
		snprintf(buf, len, " in %.*s", (int)strcspn(best, ","), best);
	else if (s->instruction)
		snprintf(buf, len, " by the instruction at 0x%llx", (unsigned long long)s->instruction);
}

static void crash_say(const struct airlock_status *s, char *buf, size_t len)
{
	static const struct {
		int signal, code;
		const char *text;
	} causes[] = {{SIGFPE, FPE_INTDIV, ", a division by zero"}, {SIGFPE, FPE_INTOVF, ", an integer overflow"},
		{SIGSEGV, SEGV_ACCERR, ", which is mapped, but not for that,"},
		{SIGSEGV, SI_KERNEL, " at an address that cannot be"},
		{SIGBUS, BUS_ADRERR, ", behind the end of a file,"}};
	size_t n = (size_t)snprintf(buf, len, "%s", strsignal(s->signal));
	const bool has_address = (s->signal == SIGSEGV || s->signal == SIGBUS) && s->fault > 0 && s->fault != SI_KERNEL;
	if (has_address && n < len)
		n += (size_t)snprintf(buf + n, len - n, " %s 0x%llx",
			s->fault_address == s->instruction ? "by a jump to" : "at address",
			(unsigned long long)s->fault_address);
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]) && n < len; i++)
		if (causes[i].signal == s->signal && causes[i].code == s->fault)
			n += (size_t)snprintf(buf + n, len - n, "%s", causes[i].text);
	if (n < len)
		place_say(s, buf + n, len - n);
}

/* %1: its name, %2: what of it. */
static const char *const by_end[] = {
	[AIRLOCK_RUNNING] = "%s runs",
	[AIRLOCK_EXITED] = "%s ended with status %s",
	[AIRLOCK_CRASHED] = "%s crashed: %s",
	[AIRLOCK_VIOLATED] = "%s was killed for %s",
	[AIRLOCK_TIMED_OUT] = "%s was killed%s: a call took longer than it may",
	[AIRLOCK_OUT_OF_MEMORY] = "%s ran out of memory%s",
	[AIRLOCK_KILLED] = "%s was killed%s",
	[AIRLOCK_LOST] = "%s %s",
};
static const char *const by_limit[LIMIT_COUNT] = {
	[LIMIT_MEMORY] = "%s ran out of the %s of memory that its limit leaves it",
	[LIMIT_CPU] = "%s used up its limit of %s of processor time",
	[LIMIT_WALL] = "%s used up its wall-clock limit of %s",
	[LIMIT_FILE_SIZE] = "%s was ended for a file larger than its limit of %s",
	[LIMIT_TRAFFIC] = "%s used up its traffic limit of %s",
};

PUBLIC const char *airlock_explain(const struct airlock_target *target, char *buf, size_t len)
{
	struct airlock_status s = {.size = sizeof(s), .limit = -1};
	char what[600] = "", refused[500] = "";
	ending_status(target, &s);
	const bool limit = s.limit >= 0 && by_limit[s.limit];
	if (s.violation[0])
		refused_say(&s, refused, sizeof(refused));
	switch (s.end) {
	case AIRLOCK_EXITED:
		snprintf(what, sizeof(what), "%d%s%s", s.code, s.code && refused[0] ? "; refused was " : "",
			s.code ? refused : "");
		break;
	case AIRLOCK_CRASHED:
		crash_say(&s, what, sizeof(what));
		break;
	case AIRLOCK_VIOLATED:
		snprintf(what, sizeof(what), "%s",
			target->violated && refused[0] ? refused
						       : "a call by which code gets out, such as ptrace or unshare");
		break;
	case AIRLOCK_KILLED:
		if (target->end.why == ENDED_BY_HOST)
			snprintf(what, sizeof(what), " by its host");
		else
			snprintf(what, sizeof(what), ": %s", strsignal(s.signal));
		break;
	case AIRLOCK_LOST:
		if (target->failed)
			snprintf(what, sizeof(what), "could not be started: %s",
				target->failure ? target->failure : strerror(-target->failed));
		else
			snprintf(what, sizeof(what), "was lost: its broker is gone, and it with it");
		break;
	default:
		break;
	}
	if (limit)
		quantity(s.limit, s.limit_value, what, sizeof(what));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(buf, len, limit ? by_limit[s.limit] : by_end[s.end], target->name, what);
#pragma GCC diagnostic pop
	return buf;
}

PUBLIC int airlock_refusal(const struct airlock_target *target, unsigned index, char *buf, size_t len)
{
	/* What the broker has told so far is not read before somebody asks. */
	if (!target->inside)
		status_take((struct airlock_target *)(uintptr_t)target, false);
	if (index >= target->refusal_count)
		return -ENOENT;
	snprintf(buf, len, "%s", target->refusals[index].text);
	return 0;
}
