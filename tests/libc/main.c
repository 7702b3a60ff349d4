/* SPDX-License-Identifier: ISC */
/* libc_NAME list              what there is, one check a line: name, promises, rules, flags
 * libc_NAME native CHECK      runs it as it is (which may be under `airlock run`)
 * libc_NAME pledge CHECK      does airlock_pledge() first; only where the program is linked with airlock
 * libc_NAME openbsd CHECK     the same with pledge(): what is refused ends it
 * The directory of its own is in $WORK. $CONFINED says that it is confined from outside. */
#include "checks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef LIBC_AIRLOCK
#include "sandbox/airlock.h"
#include "sandbox/openbsd.h"
#endif

const char *work;

static const struct libc_check *const groups[] = {
#ifdef LIBC_CXX
	cxx_checks,
#else
	io_checks,
	text_checks,
	time_checks,
	names_checks,
	system_checks,
	process_checks,
	thread_checks,
	file_checks,
	end_checks,
	hostile_checks,
#endif
};

const char *errno_name(int e)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {{EPERM, "EPERM"}, {ENOENT, "ENOENT"}, {EACCES, "EACCES"}, {EINVAL, "EINVAL"}, {EBADF, "EBADF"},
		{ENOTTY, "ENOTTY"}, {ENOSYS, "ENOSYS"}, {EEXIST, "EEXIST"}, {ELOOP, "ELOOP"}, {ENOTDIR, "ENOTDIR"},
		{EISDIR, "EISDIR"}, {ERANGE, "ERANGE"}, {ESRCH, "ESRCH"}, {EAGAIN, "EAGAIN"}, {EILSEQ, "EILSEQ"}};
	static char number[16];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == e)
			return names[i].name;
	snprintf(number, sizeof(number), "%d", e);
	return number;
}

#ifdef LIBC_AIRLOCK
/* Hostile ones are shown no more than their rules in place, too; else the promises alone show everything. */
static int unveil_rules(const char *rules, bool openbsd)
{
	char *copy = strdup(rules ? rules : ""), *save = NULL;
	int r = copy ? 0 : -ENOMEM;
	for (char *rule = r ? NULL : strtok_r(copy, " ", &save); rule && r == 0; rule = strtok_r(NULL, " ", &save)) {
		char *path = strchr(rule, ':');
		if (!path || *rule == '!')
			continue;
		*path++ = 0;
		path = strcmp(path, "@") == 0 ? (char *)(uintptr_t)work : path;
		r = openbsd ? unveil(path, rule) : airlock_unveil(path, rule);
	}
	free(copy);
	return r;
}

/* What is to be refused must not end the process. */
static const char *promises(const struct libc_check *c)
{
	static char text[128];
	snprintf(text, sizeof(text), "%s%s", c->promises, c->flags & (LIBC_HOSTILE | LIBC_REFUSED) ? " error" : "");
	return text;
}
#endif

/* Whether it is known how. */
static int confine(const char *how, const struct libc_check *c)
{
	if (strcmp(how, "native") == 0 && (c->flags & LIBC_HARMFUL) && !getenv("CONFINED")) {
		fprintf(stderr, "%s would do harm\n", c->name);
		return -1;
	}
	if (strcmp(how, "native") == 0)
		return 0;
#ifdef LIBC_AIRLOCK
	bool openbsd = strcmp(how, "openbsd") == 0;
	if (openbsd || strcmp(how, "pledge") == 0) {
		int r = 0;
		if (c->flags & LIBC_WARM)
			r = airlock_prewarm(AIRLOCK_PREWARM_ICONV | AIRLOCK_PREWARM_LIBGCC | AIRLOCK_PREWARM_FONTS);
		if (r == 0 && (c->flags & LIBC_HOSTILE))
			r = unveil_rules(c->rules, openbsd);
		if (r == 0)
			r = openbsd ? pledge(promises(c), NULL) : airlock_pledge(c->promises, NULL);
		if (r < 0)
			fprintf(stderr, "cannot pledge: %s\n", airlock_message());
		return r;
	}
#endif
	fprintf(stderr, "what is %s?\n", how);
	return -1;
}

static int list(void)
{
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (const struct libc_check *c = groups[g]; c->name; c++)
			printf("%s|%s|%s|%u\n", c->name, c->promises, c->rules ? c->rules : "", c->flags);
	return 0;
}

int main(int argc, char **argv)
{
#ifdef LIBC_AIRLOCK
	if (argc < 2 || strcmp(argv[1], "openbsd") != 0)
		airlock_init(argc, argv);
#endif
	if (argc == 2 && strcmp(argv[1], "list") == 0)
		return list();
	work = getenv("WORK");
	if (argc != 3 || !work) {
		fprintf(stderr, "list, or how to run a check, and which\n");
		return 2;
	}
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (const struct libc_check *c = groups[g]; c->name; c++) {
			if (strcmp(c->name, argv[2]) != 0)
				continue;
			if (confine(argv[1], c) < 0)
				return 2;
			/* What is refused is told on the standard error of before: here libc's own words are looked
			 * at. */
			dup2(1, 2);
			c->run();
			return 0;
		}
	fprintf(stderr, "no check is called %s\n", argv[2]);
	return 2;
}
