/* SPDX-License-Identifier: ISC */
/*
 * This file owns refusals: what is refused without a handler, how it is counted, told and logged. It runs in the broker,
 * on lanes and slow workers. Everything in a text that a target chose is escaped and bounded.
 */
#include "broker/abort.h"
#include "broker/broker.h"
#include "broker/limits.h"
#include "broker/nest.h"
#include "broker/zygote.h"
#include "policy/promises.h"
#include "ipc/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINE 4096 /* PIPE_BUF: a pipe that has room takes it whole */
#define TOKENS 256 /* different refusals told at once */
#define TOKENS_A_SECOND 32

static const char no_promise[] = "no promise allows this";
const char limit_processes[] = "limit processes";
static const char not_brokered[] = "not brokered by this version";

struct answer op_refused(struct request *r)
{
	const struct policy *p = policy_of(r);
	unsigned promise = promise_for_syscall(r->nr, r->args);
	if (promise >= PROMISE_COUNT)
		r->why = no_promise;
	else if ((promise = promise_missing(r->nr, r->args, p->promises)) < PROMISE_COUNT)
		r->missing_promise = promise;
	else
		r->why = not_brokered;
	return answer_error(EPERM);
}

/* Whether this refusal is news. One system call instruction in libc makes all calls of a kind, so what was asked is a
 * part of the place. */
static bool news(struct family *f, const struct request *r)
{
	uint64_t place = r->place * UINT64_C(0x9e3779b97f4a7c15) + r->missing_perms * 64 + r->missing_promise;
	struct instance *const one = r->state->instance;
	if (one)
		place ^= one->number * UINT64_C(0x9e3779b97f4a7c15);
	/* A limit is one thing to tell, whatever ran into it. */
	const bool limit = r->why && f->budget && r->why == f->budget->why;
	if (limit)
		place = 0;
	const char *what = limit             ? r->why
			   : r->address[0]   ? r->address
			   : r->canonical[0] ? r->canonical
			   : r->path[0]      ? r->path[0]
					     : "";
	for (const char *c = what; *c; c++)
		place = (place ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	bool fresh = true;
	const size_t size = sizeof(f->seen) / sizeof(*f->seen);
	pthread_mutex_lock(&f->lock);
	size_t count = f->seen_count < size ? f->seen_count : size;
	for (size_t i = 0; i < count && fresh; i++)
		fresh = f->seen[i].nr != r->nr || f->seen[i].place != place;
	/* An instance lives shortly: what it may tell is not filled up again, and not taken from its siblings. */
	if (fresh && one) {
		fresh = one->report_tokens > 0;
		one->report_tokens -= fresh;
	} else if (fresh) {
		int64_t now = ipc_clock_ms(CLOCK_MONOTONIC_COARSE);
		int64_t more = f->report_time ? (now - f->report_time) * TOKENS_A_SECOND / 1000 : TOKENS;
		if (more > 0) {
			f->report_tokens = more + f->report_tokens > TOKENS ? TOKENS
									    : f->report_tokens + (unsigned)more;
			f->report_time = now;
		}
		fresh = f->report_tokens > 0;
		f->report_tokens -= fresh;
	}
	if (fresh) {
		f->seen[f->seen_count % size].nr = r->nr;
		f->seen[f->seen_count++ % size].place = place;
	}
	pthread_mutex_unlock(&f->lock);
	return fresh;
}

/* Whether a word of the policy would have allowed it. */
static bool rule_lifts(const struct request *r)
{
	return r->missing_promise < PROMISE_COUNT || (!r->why && (r->missing_address || r->missing_perms));
}

static int limit_hit(const struct request *r)
{
	const bool budget = r->why && r->family->budget && r->why == r->family->budget->why;
	return budget ? LIMIT_CONNECTS : r->why == limit_processes ? LIMIT_PROCESSES : -1;
}

/* What would have allowed it: "promise inet", "unveil /etc/shadow r", or why nothing would. */
static void rule_text(const struct request *r, char *buf, size_t len)
{
	char perms[8];
	buf[0] = 0;
	if (r->missing_promise < PROMISE_COUNT) {
		snprintf(buf, len, "promise %s", promise_name(r->missing_promise));
	} else if (r->why) {
		snprintf(buf, len, "%s", r->why);
	} else if (r->missing_address) {
		snprintf(buf, len, r->missing_address == MISSING_BIND ? "bind " : "connect ");
		decode_escape(buf, len, r->address);
	} else if (r->missing_perms) {
		snprintf(buf, len, "unveil ");
		decode_escape(buf, len - 8, r->canonical[0] ? r->canonical : r->path[0] ? r->path[0] : "?");
		size_t used = strlen(buf);
		snprintf(buf + used, len - used, " %s", policy_perms_format(r->missing_perms, perms));
	}
}

/* A promise is missing, or none would do. What is refused for another reason is an errno on OpenBSD, too. */
static bool violates(const struct request *r, int error)
{
	return error == EPERM && (r->missing_promise < PROMISE_COUNT || (r->why && !strcmp(r->why, no_promise)));
}

enum violation violation_of(const struct request *r, int error)
{
	const struct policy *p = policy_of(r);
	/* A process that has only unveiled so far has promised nothing that it could break; and a loader, which looks into
	 * whatever directory the environment names, is not its program. */
	if (!p->abort || !violates(r, error) || request_loading(r) || (!p->pledged && !(PROMISES_ALL & ~p->promises)))
		return VIOLATION_ERRNO;
	return p->promises & PROMISE_BIT(error) ? VIOLATION_ENOSYS : VIOLATION_ABORT;
}

/* Where violations abort, what is merely not unveiled is as on OpenBSD: ENOENT or EACCES, and not a word. A loader that finds
 * no library says so itself. */
static bool quiet(const struct request *r)
{
	return policy_of(r)->abort &&
	       (request_loading(r) || (r->missing_promise == PROMISE_COUNT && !r->why && !r->missing_address));
}

static void count_refused(const struct request *r)
{
	atomic_fetch_add_explicit(&r->family->refused, 1, memory_order_relaxed);
	if (r->state->instance)
		atomic_fetch_add_explicit(&r->state->instance->refused, 1, memory_order_relaxed);
}

bool report_refusal(struct request *r, int error)
{
	struct family *f = r->family;
	/* The loader looks in many places for each library; that says nothing about the policy. */
	if (request_loading(r) && (error == ENOENT || error == EACCES))
		return false;
	count_refused(r);
	/* What unveil(2) hides is not there, as far as a program of OpenBSD's is concerned, and its user is told nothing. */
	if (f->broker->narrowable && policy_of(r)->abort && r->missing_perms)
		return false;
	bool fatal = violates(r, error) && policy_of(r)->kill;
	if (!f->on_report || quiet(r) || (!news(f, r) && !fatal))
		return false;
	struct report report = {.pid = r->tid,
		.tid = r->tid,
		.nr = r->nr,
		.place = r->place,
		.error = error,
		.kill = fatal,
		.instance = r->state->instance};
	char call[REPORT_TEXT / 2 + 16], rule[REPORT_TEXT / 2 - 32];
	decode_call(r, call, sizeof(call));
	rule_text(r, rule, sizeof(rule));
	snprintf(report.text, sizeof(report.text), "%s: %s, %s", call, decode_errno(error), rule);
	report.limit = limit_hit(r);
	if (rule_lifts(r))
		snprintf(report.missing, sizeof(report.missing), "%s", rule);
	f->on_report(f->arg, &report);
	return fatal;
}

/* ---- violations that end their process ---- */

/* "prog[123]: ", by the name that ps shows: the program's file, or what it calls itself. */
static size_t who(const struct request *r, pid_t process, char *buf, size_t len)
{
	char path[32], name[32] = "";
	snprintf(path, sizeof(path), "%d/comm", (int)process);
	int fd = openat(r->family->broker->proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
	if (fd >= 0)
		close(fd);
	name[n > 0 ? n - 1 : 0] = 0; /* its newline */
	buf[0] = 0;
	/* Without a /proc to ask, as it was called at its start. */
	const char *exe = r->family->broker->exe ? r->family->broker->exe : "?", *slash = strrchr(exe, '/');
	decode_escape(buf, len, name[0] ? name : slash ? slash + 1 : exe);
	size_t at = strlen(buf);
	return at + (size_t)snprintf(buf + at, len - at, "[%d]: ", (int)process);
}

void report_abort(struct request *r, pid_t process, const char *frames, const char *note)
{
	struct family *f = r->family;
	struct report report = {.pid = process,
		.tid = r->tid,
		.nr = r->nr,
		.place = r->place,
		.error = EPERM,
		.abort = true,
		.instance = r->state->instance};
	char line[1600], call[600], rule[REPORT_TEXT / 2 - 32];
	count_refused(r);
	decode_call(r, call, sizeof(call));
	rule_text(r, rule, sizeof(rule));
	size_t at = who(r, process, line, 160);
	if (r->missing_promise < PROMISE_COUNT)
		at += (size_t)snprintf(
			line + at, sizeof(line) - at, "pledge \"%s\": %s", promise_name(r->missing_promise), call);
	else
		at += (size_t)snprintf(line + at, sizeof(line) - at, "pledge \"\": %s: %s", call, rule);
	snprintf(line + at, sizeof(line) - at, "%s%s%s\n", frames[0] ? " in " : "", frames, note);
	report.line = line;
	report.limit = -1;
	if (rule_lifts(r))
		snprintf(report.missing, sizeof(report.missing), "%s", rule);
	snprintf(report.text, sizeof(report.text), "%.*s: %s, %s", (int)sizeof(report.text) / 2, call,
		decode_errno(EPERM), rule);
	if (f->broker->log >= 0)
		report_log(r, &(struct answer){.kind = ANSWER_ERROR, .error = EPERM, .fd = -1});
	if (f->on_report)
		f->on_report(f->arg, &report);
}

void report_abort_note(struct request *r, pid_t process, const char *note)
{
	struct report report = {.pid = process,
		.tid = r->tid,
		.nr = r->nr,
		.error = EPERM,
		.abort = true,
		.instance = r->state->instance};
	char line[300];
	size_t at = who(r, process, line, 160);
	snprintf(line + at, sizeof(line) - at, "%s\n", note);
	report.line = line;
	if (r->family->on_report)
		r->family->on_report(r->family->arg, &report);
}

/* ---- the log ---- */

/* text as a JSON string's inside; it is escaped already, so only quotes and backslashes are left to care for. Of what is
 * too long, no half character is left. */
static size_t json(char *buf, size_t at, size_t len, const char *key, const char *text)
{
	at += (size_t)snprintf(buf + at, len - at, ",\"%s\":\"", key);
	for (; *text && at + 4 < len; text++) {
		if (*text == '"' || *text == '\\')
			buf[at++] = '\\';
		buf[at++] = *text;
	}
	while (*text && (unsigned char)buf[at - 1] >= 0x80)
		at--;
	buf[at++] = '"';
	buf[at] = 0;
	return at;
}

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

void report_hold(bool hold)
{
	if (hold)
		pthread_mutex_lock(&log_lock);
	else
		pthread_mutex_unlock(&log_lock);
}

/* Writes a line if that cannot block; what cannot be written is counted, and told with the next line that can. */
static void log_write(int fd, const char *line, size_t len)
{
	static uint64_t dropped;
	struct pollfd p = {fd, POLLOUT, 0};
	pthread_mutex_lock(&log_lock);
	if (dropped && poll(&p, 1, 0) == 1 && (p.revents & POLLOUT)) {
		char note[64];
		int n = snprintf(note, sizeof(note), "{\"dropped\":%llu}\n", (unsigned long long)dropped);
		if (write(fd, note, (size_t)n) == n)
			dropped = 0;
	}
	/* O_NONBLOCK would change the host's descriptor too. A pipe that polls writable has PIPE_BUF bytes of room. */
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT) || write(fd, line, len) != (ssize_t)len)
		dropped++;
	pthread_mutex_unlock(&log_lock);
}

static void answer_text(const struct answer *a, char *buf, size_t len)
{
	switch (a->kind) {
	case ANSWER_FD:
		snprintf(buf, len, "descriptor");
		break;
	case ANSWER_CONTINUE:
		snprintf(buf, len, "continue");
		break;
	case ANSWER_ERROR:
		snprintf(buf, len, "%s", decode_errno(a->error));
		break;
	default:
		snprintf(buf, len, "%lld", (long long)a->value);
	}
}

/* Which rule, or what word instead. */
static bool allowed_by(const struct request *r, char *text, size_t len)
{
	char rule[600];
	const char *word = r->rule ? (r->rule->bind ? "bind " : "connect ") : r->unveiled ? "unveil " : "";
	if (r->rule)
		policy_address_format(r->rule, rule, sizeof(rule));
	else if (r->unveiled)
		policy_unveil_format(r->unveiled, rule, sizeof(rule));
	else
		snprintf(rule, sizeof(rule), "%s", r->decided ? r->decided : "");
	snprintf(text, len, "%s", word);
	decode_escape(text, len, rule);
	return text[0];
}

void report_log(const struct request *r, const struct answer *a)
{
	char line[LINE], text[1400], answer[32];
	const char *name = r->op ? r->op->name : syscall_name(r->nr);
	size_t at = (size_t)snprintf(line, sizeof(line), "{\"pid\":%d", r->tid);
	snprintf(text, sizeof(text), "%d", r->nr);
	at = json(line, at, sizeof(line), "call", name ? name : text);
	for (int i = 0; i < 2; i++) {
		if (!r->path[i])
			continue;
		text[0] = 0;
		decode_escape(text, 900, r->path[i]);
		at = json(line, at, 2000 + (size_t)i * 800, i ? "path2" : "path", text);
	}
	if (r->address[0]) {
		text[0] = 0;
		decode_escape(text, 900, r->address);
		at = json(line, at, 2900, "address", text);
	}
	if (r->nr == SYS_socket) {
		decode_call(r, text, 200);
		text[strcspn(text, ")")] = 0;
		at = json(line, at, 2900, "socket", text + strcspn(text, "(") + 1);
	}
	answer_text(a, answer, sizeof(answer));
	at = json(line, at, 3000, "answer", answer);
	rule_text(r, text, 900);
	if (a->kind == ANSWER_ERROR && text[0])
		at = json(line, at, sizeof(line) - 300, "to_allow", text);
	else if (r->address[0] && allowed_by(r, text, 600))
		at = json(line, at, sizeof(line) - 300, "rule", text);
	if (r->rule && policy_address_is_name(r->rule))
		at = json(line, at, sizeof(line) - 8, "name", r->rule->host);
	at += (size_t)snprintf(line + at, sizeof(line) - at, "}\n");
	log_write(r->family->broker->log, line, at);
}

void report_message(struct request *r, int64_t result)
{
	struct answer a = result < 0 ? answer_error((int)-result) : answer_value(result);
	bool refused = result < 0 &&
		       (r->missing_promise != PROMISE_COUNT || r->missing_perms || r->why || r->missing_address);
	/* The call says how many messages went before: nobody else will tell of this one. */
	if (refused)
		report_refusal(r, (int)-result);
	if (r->family->broker->log >= 0)
		report_log(r, &a);
	r->address[0] = r->canonical[0] = 0;
	r->rule = NULL;
	r->unveiled = NULL;
	r->decided = r->why = NULL;
	r->missing_promise = PROMISE_COUNT;
	r->missing_perms = 0;
	r->missing_address = MISSING_NONE;
}
