/* SPDX-License-Identifier: ISC */
/* What libc does behind one's back, as a table of checks. Each prints what it saw; libc.sh runs it natively and behind the
 * door, and compares. Runs in the program under test, with any libc. */
#ifndef AIRLOCK_TESTS_LIBC_H
#define AIRLOCK_TESTS_LIBC_H

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LIBC_WARM 1 /* dlopen()s a library of libc's: in place after airlock_prewarm(), elsewhere with prot_exec */
#define LIBC_IN_PLACE 2 /* only in place: in a namespace of its own it sees something else */
#define LIBC_HOSTILE 4 /* an attempt: natively it prints YES, behind the door it must not */
#define LIBC_REFUSED 8 /* the call is refused, as it is on OpenBSD: it prints REFUSED, and there is a report */
#define LIBC_RUN 16 /* only under `airlock run` */
#define LIBC_TTY 64 /* on a terminal; only lines that begin with "=" count */
#define LIBC_PRELOAD 128 /* with libgcc_s preloaded */
#define LIBC_HARMFUL 32 /* and natively it would do harm: it is not run natively */

struct libc_check {
	const char *name, *promises;
	const char *
		rules; /* PERMS:PATH..., "@" for the directory of its own; NULL: none. !TEXT: a refusal that is expected */
	unsigned flags;
	void (*run)(void);
};

extern const struct libc_check io_checks[], text_checks[], time_checks[], names_checks[], system_checks[],
	process_checks[], thread_checks[], file_checks[], end_checks[], hostile_checks[], cxx_checks[];

/* One line. */
#define say(...) ((void)printf(__VA_ARGS__), (void)putchar(10))
/* The directory of its own, empty at the start: where the check stands. */
extern const char *work;
/* "ENOENT", or the number. */
const char *errno_name(int e);

#ifdef __cplusplus
}
#endif
#endif
