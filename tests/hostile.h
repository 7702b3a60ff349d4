/* SPDX-License-Identifier: ISC */
/*
 * What a hostile program tries, as tables. The same attempts are compiled into the judge (hostile.c, which runs them
 * in place and in workers) and into a program of their own (static and dynamic, for the command). They run in the
 * target, with nothing but system calls and what was open already.
 *
 * An attempt returns 0 when it got through, a negative errno when it was refused, HELD when what it tried was allowed
 * to be tried and had no effect. What must come out is said in words, one clause for each situation, the first that
 * applies counts: "stdio:EPERM inplace+user:EACCES|EPERM ENOENT". Conditions: stdio (no other promises, nothing
 * unveiled) or rpath (and one directory), inplace worker run, root user. Outcomes: errno names, HELD, KILL (SIGSYS
 * or SIGKILL), TIMEOUT (a time limit ended it), signal names, ANY (not a matter for this situation).
 */
#ifndef AIRLOCK_TESTS_HOSTILE_H
#define AIRLOCK_TESTS_HOSTILE_H

#include <sys/types.h>

#define HELD 1

struct hostile {
	const char *base; /* holds open/ (unveiled in situation rpath) and secret/ */
	pid_t stranger; /* somebody else's process, as the host numbers it */
	pid_t host; /* the judge */
	int port; /* of the judge's listener on 127.0.0.1 */
	char secret[512]; /* base/secret/file */
	char open[512]; /* base/open */
};

struct attempt {
	const char *name;
	int (*run)(const struct hostile *h);
	const char *expect;
	const char *extra; /* promises on top of the situation's, or NULL */
	const char *limit; /* NAME=VALUE for the command, and the same for a policy; or NULL */
	int proven; /* gets through when nothing confines it (root); the judge proves that first */
};

extern const struct attempt attempts_files[], attempts_paths[], attempts_change[], attempts_attr[], attempts_sockets[],
	attempts_process[], attempts_exec[], attempts_memory[], attempts_kernel[], attempts_limits[];

const struct attempt *attempt_find(const char *name);
/* Every table in order; NULL past the last. */
const struct attempt *attempt_at(unsigned index);
/* arguments: "BASE STRANGER HOST PORT", as made by attempt_arguments. 0 or -1. */
int attempt_setup(struct hostile *h, char *arguments);

/* Helpers of the attempts. */
int refused(long result); /* 0, or the negative errno that syscall() has just left */
#define SYS(...) refused(syscall(__VA_ARGS__))
const char *join(const struct hostile *h, const char *tail); /* base/tail, in a static buffer of four */
int opened(long fd); /* 0 when fd is a descriptor, and closes it */
int same_answer(int first, int second); /* an oracle: 0 when the answers differ, else the answer */
#endif
