/* SPDX-License-Identifier: ISC */
/* Writes docs/promises.md from the table of promises: run.sh compares the two. */
#include "policy/promises.h"

#include <stdio.h>
#include <string.h>

/* One line for the manual each. */
static const char *const help[PROMISE_COUNT] = {
#define PROMISE(name, help) help,
#include "policy/promise_names.inc"
#undef PROMISE
};

static bool direct(const struct promise_row *row)
{
	return row->kind == ROW_ALLOW || row->kind == ROW_OWN || row->kind == ROW_TASK || row->kind == ROW_NAMED;
}

static bool brokered(const struct promise_row *row)
{
	return row->kind == ROW_BROKER || row->kind == ROW_LIBC;
}

/* One name for all rows of a call, with a star when there are conditions in each of them. */
static void list(const char *title, uint64_t need, bool (*wanted)(const struct promise_row *))
{
	size_t count, written = 0;
	const struct promise_row *rows = promise_rows(&count);
	for (size_t i = 0; i < count; i++) {
		bool first = true, always = false;
		for (size_t k = 0; k < count; k++) {
			bool same = wanted(&rows[k]) && strcmp(rows[k].name, rows[i].name) == 0 &&
				    (need ? rows[k].need & need : !rows[k].need);
			first = first && !(same && k < i);
			always = always || (same && rows[k].conditions[0].kind == CONDITION_NONE);
		}
		if (!first || !wanted(&rows[i]) || (need ? !(rows[i].need & need) : rows[i].need))
			continue;
		printf("%s%s%s", written++ ? ", " : title, rows[i].name, always ? "" : "*");
	}
	if (written)
		printf(".\n\n");
}

static bool ending(const struct promise_row *row)
{
	return row->kind == ROW_KILL;
}

static bool refused(const struct promise_row *row)
{
	return row->kind == ROW_REFUSE;
}

static bool absent(const struct promise_row *row)
{
	return row->kind == ROW_ABSENT;
}

int main(void)
{
	puts("<!-- SPDX-License-Identifier: ISC -->\n<!-- Written by tests/promise_table.c out of policy/promises.inc. "
	     "-->\n"
	     "# Promises and system calls\n\n"
	     "*Direct* calls the kernel makes, unseen, or asks the broker about no more than who is meant. About "
	     "*brokered*\n"
	     "ones the broker decides, and does what is allowed. A star: on conditions, which `policy/promises.inc` "
	     "has; a call\n"
	     "that names a file, an address or a process is always on conditions. Calls that the architecture does not "
	     "have\n"
	     "have no effect.\n\n## Whatever was promised\n");
	list("Direct: ", 0, direct);
	for (unsigned i = 0; i < PROMISE_COUNT; i++) {
		printf("## %s\n\n%c%s.\n\n", promise_name(i),
			help[i][0] - ('a' <= help[i][0] && help[i][0] <= 'z') * 32, help[i] + 1);
		list("Direct: ", UINT64_C(1) << i, direct);
		list("Brokered: ", UINT64_C(1) << i, brokered);
	}
	puts("## Never\n");
	list("The end of the process: ", 0, ending);
	list("Refused: ", 0, refused);
	list("As if the kernel did not have them: ", 0, absent);
	return 0;
}
