/* SPDX-License-Identifier: ISC */
/* From verdicts by number, and rules with conditions on arguments, to a program. Pure. */
#ifndef AIRLOCK_PACK_H
#define AIRLOCK_PACK_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#define PACK_NUMBERS 1024 /* more calls than any kernel has */
#define PACK_ASK 0 /* instead of a verdict: what the rules of the number say */
#define PACK_CONDITIONS 3
#define PACK_ORDERS 4

struct pack_condition {
	enum { PACK_MASK, PACK_EQUAL, PACK_OTHER } kind; /* low 32 bits under mask; all 64 the same, or not */
	unsigned arg;
	uint32_t mask;
	uint64_t value;
};

struct pack_rule {
	uint32_t number, verdict; /* when all conditions hold */
	unsigned order; /* of a number's rules those with less are asked first; below PACK_ORDERS */
	unsigned count; /* of conditions; 0: always */
	struct pack_condition conditions[PACK_CONDITIONS];
};

struct pack {
	const struct pack_rule *rules;
	size_t rule_count;
	uint32_t other; /* the verdict when none holds */
	uint32_t arch; /* AUDIT_ARCH_ */
	const uint32_t *verdicts; /* of PACK_NUMBERS: SECCOMP_RET_ words, or PACK_ASK; numbers above: ENOSYS */
	uint32_t own; /* one number above PACK_NUMBERS */
	uint32_t own_verdict;
};

/* A program that decides by these, and kills the process for another architecture or ABI. *out is the caller's to free.
 * -ENOMEM, -E2BIG. */
int pack_program(const struct pack *p, struct sock_filter **out, size_t *len);
#endif
