/* SPDX-License-Identifier: ISC */
/* Reads what hostile.h says an attempt must come to, and compares. Runs in the judge. */
#include "tests/hostile_judge.h"
#include "tests/hostile.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static bool applies(const char *conditions, size_t len, const struct situation *s)
{
	while (len) {
		size_t n = 0;

		while (n < len && conditions[n] != '+')
			n++;
		bool yes = (n == strlen(s->mode) && !strncmp(conditions, s->mode, n)) ||
			   (n == 5 && !strncmp(conditions, s->rpath ? "rpath" : "stdio", 5)) ||
			   (n == 4 && !strncmp(conditions, s->root ? "root" : "user", 4));
		if (!yes)
			return false;
		conditions += n < len ? n + 1 : n;
		len -= n < len ? n + 1 : n;
	}
	return true;
}

const char *expect_clause(const char *expect, const struct situation *s, char *buf, size_t len)
{
	while (*expect) {
		size_t n = strcspn(expect, " ");
		const char *colon = memchr(expect, ':', n);

		if (!colon || applies(expect, (size_t)(colon - expect), s)) {
			const char *from = colon ? colon + 1 : expect;

			snprintf(buf, len, "%.*s", (int)(expect + n - from), from);
			return buf;
		}
		expect += n + (expect[n] == ' ');
	}
	return "";
}

static bool word_met(const char *word, size_t len, struct outcome o)
{
	const char *name = NULL;

	switch (o.kind) {
	case OUTCOME_RESULT:
		name = o.value == HELD ? "HELD" : o.value < 0 ? strerrorname_np(-o.value) : NULL;
		break;
	case OUTCOME_SIGNAL:
		if (len == 4 && !strncmp(word, "KILL", 4))
			return o.value == SIGSYS || o.value == SIGKILL;
		if (len == 7 && !strncmp(word, "TIMEOUT", 7))
			return o.value == SIGXCPU || o.value == SIGKILL;
		if (len > 3 && !strncmp(word, "SIG", 3)) {
			word += 3;
			len -= 3;
			name = sigabbrev_np(o.value);
		}
		break;
	case OUTCOME_VIOLATED:
		name = "KILL";
		break;
	case OUTCOME_TIMED_OUT:
		name = "TIMEOUT";
		break;
	default:
		break;
	}
	return name && strlen(name) == len && !strncmp(word, name, len);
}

bool expect_met(const char *clause, struct outcome o)
{
	while (*clause) {
		size_t n = strcspn(clause, "|");

		if (word_met(clause, n, o))
			return true;
		clause += n + (clause[n] == '|');
	}
	return false;
}

const char *outcome_text(struct outcome o, char *buf, size_t len)
{
	const char *name = NULL;

	if (o.kind == OUTCOME_RESULT)
		name = o.value == 0 ? "GOT THROUGH" : o.value == HELD ? "HELD" : strerrorname_np(-o.value);
	else if (o.kind == OUTCOME_SIGNAL)
		name = sigabbrev_np(o.value);
	static const char *const kinds[] = {"no answer", "result", "signal", "violated", "timed out", "exit"};
	if (name)
		snprintf(buf, len, "%s%s", o.kind == OUTCOME_SIGNAL ? "SIG" : "", name);
	else
		snprintf(buf, len, "%s %d", kinds[o.kind], o.value);
	return buf;
}
