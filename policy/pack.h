/* SPDX-License-Identifier: ISC */
/* Puts the calls whose verdict is known by their number in front of libseccomp's program. Pure. */
#ifndef AIRLOCK_PACK_H
#define AIRLOCK_PACK_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#define PACK_NUMBERS 1024 /* more calls than any kernel has */
#define PACK_ASK 0 /* instead of a verdict: what the program says */

struct pack {
	const struct sock_filter *program; /* as exported, for one architecture */
	size_t len;
	uint32_t arch; /* AUDIT_ARCH_ */
	const uint32_t *verdicts; /* of PACK_NUMBERS: SECCOMP_RET_ words, or PACK_ASK; numbers above: ENOSYS */
	uint32_t own; /* one number above PACK_NUMBERS */
	uint32_t own_verdict;
};

/* A program that decides by p->verdicts, own_verdict for own, and kills the process for another architecture or ABI.
 * *out is the caller's to free. -ENOMEM; -EINVAL for a program that libseccomp would not have written; -E2BIG. */
int pack_program(const struct pack *p, struct sock_filter **out, size_t *len);
#endif
