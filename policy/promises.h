/* SPDX-License-Identifier: ISC */
/* The promises: words, bits, and which system calls each allows. One table (promises.inc); everything else that
 * knows a promise or a system call by name asks here. */
#ifndef AIRLOCK_PROMISES_H
#define AIRLOCK_PROMISES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum promise {
#define PROMISE(name, help) PROMISE_##name,
#include "policy/promise_names.inc"
#undef PROMISE
	PROMISE_COUNT
};
#define PROMISE_BIT(name) (UINT64_C(1) << PROMISE_##name)

/* What a process has that has pledged nothing. `error` is no right. */
#define PROMISES_ALL (((UINT64_C(1) << PROMISE_COUNT) - 1) & ~PROMISE_BIT(error))

const char *promise_name(unsigned index); /* NULL past the last */

/* pledge(2)'s rules: words separated by runs of ' ', a leading space or unknown word is -EINVAL and *bad (if not
 * NULL) points into text at the word; longer than 1023 bytes is -ENAMETOOLONG; "" is the empty set. */
int promises_parse(const char *text, uint64_t *set, const char **bad);
/* The words of set, separated by a space; returns buf, always terminated. */
const char *promises_format(uint64_t set, char *buf, size_t len);

/* The name of a native system call, or NULL. The number, or -1. */
const char *syscall_name(int number);
int syscall_number(const char *name);
/* The promises of which one would have allowed the call with these arguments (as the kernel passes them): the first
 * by table order, or PROMISE_COUNT when none ever does. */
unsigned promise_for_syscall(int number, const uint64_t args[6]);
/* The first promise that is missing of those that the call needs, or PROMISE_COUNT when held has them all, or when none
 * ever does. */
unsigned promise_missing(int number, const uint64_t args[6], uint64_t held);

/* The table itself, for those that derive something from all of it; promises.inc says what the kinds mean. */
enum row_kind { ROW_ALLOW, ROW_BROKER, ROW_LIBC, ROW_OWN, ROW_TASK, ROW_NAMED, ROW_KILL, ROW_REFUSE, ROW_ABSENT };
enum condition_kind { CONDITION_NONE, CONDITION_MASK, CONDITION_NULL, CONDITION_POINTER };
struct condition {
	uint8_t kind;
	uint8_t arg;
	uint32_t mask, value; /* MASK: of the argument's low 32 bits */
};
#define ROW_CONDITIONS 3
struct promise_row {
	uint64_t need; /* all of these promises; 0: whatever the promises */
	const char *name;
	int16_t number; /* negative when this architecture does not have the call */
	uint8_t kind;
	struct condition conditions[ROW_CONDITIONS];
};
const struct promise_row *promise_rows(size_t *count);
bool promise_row_matches(const struct promise_row *row, const uint64_t args[6]);
#endif
