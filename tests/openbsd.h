/* SPDX-License-Identifier: ISC */
/*
 * What the tests of pledge(2) and unveil(2) share: programs that know nothing of airlock but sandbox/openbsd.h. Each case
 * runs in a child of its own, and says what it returns, how it ends, and what stands on its standard error.
 */
#ifndef AIRLOCK_TESTS_OPENBSD_H
#define AIRLOCK_TESTS_OPENBSD_H

#include "sandbox/openbsd.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* A row of a table says only what it needs. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define BY_SIGNAL(s) (256 + (s)) /* else an exit status */
#define ABORTS BY_SIGNAL(6)
#define SKIP 77 /* its exit status when the kernel or the user cannot; the reason stands on standard error */

struct attempt {
	const char *name;
	void (*run)(void); /* returning is exit status 0 */
	int ends;
	const char *line; /* a part of what it says; NULL: it says nothing */
};

/* Runs it in a child, checks it and says so; prefix goes before its name. Whether it was fine. */
bool attempt_run(const char *prefix, const struct attempt *a);
#define ATTEMPTS(prefix, table) attempts_run(prefix, table, sizeof(table) / sizeof((table)[0]))
void attempts_run(const char *prefix, const struct attempt *table, size_t count);

/* In a case: what a call gives. The first surprise ends it with status 99. */
#define UNTOUCHED 4242
#define GIVES(call, value) expect_value(__LINE__, #call, (long)(call), (long)(value))
#define HOLDS(what) expect_value(__LINE__, #what, !!(what), 1)
#define FAILS(call, error)                                                                                             \
	do {                                                                                                           \
		const long got_ = (long)(call);                                                                        \
		expect_error(__LINE__, #call, got_, errno, error);                                                     \
	} while (0)
/* pledge(2) or unveil(2): an errno, or 0, which leaves errno alone. */
#define SAYS(call, error)                                                                                              \
	do {                                                                                                           \
		errno = UNTOUCHED;                                                                                     \
		const int got_ = (call);                                                                               \
		expect_call(__LINE__, #call, got_, errno, error);                                                      \
	} while (0)
void expect_value(int line, const char *what, long got, long want);
void expect_error(int line, const char *what, long got, int error, int want);
void expect_call(int line, const char *what, int got, int error, int want);
_Noreturn void skip_case(const char *why);

int child_ends(pid_t child); /* waits for it: an exit status, or BY_SIGNAL() */
pid_t case_fork(void); /* that fork(2) failed is a surprise */

/* This program's own file; and how to run it as a helper: argv is {"NAME", "--helper", what, ...}. */
extern const char *program;
extern const char *world; /* a directory of its own for each case, once it asks: world_make() */
const char *world_make(void);
const char *in_world(const char *name); /* WORLD/name, good until eight calls later */
void file_make(const char *path, const char *text, unsigned mode);
char *unended(char *end, const char *text); /* text without its NUL, right before end; where it begins */
size_t descriptors(void); /* that this process has open */
bool is_root(void);

/* helpers that a case executes: its exit status is the answer */
struct helper {
	const char *name;
	int (*run)(int argc, char **argv);
};
extern const struct helper helpers[]; /* the last one has no name */
/* Runs "program --helper what arg" in a child by execv; how it ends. */
int helper_ends(const char *what, const char *arg);

/* unveil(2) by tables: see openbsd_steps.c */
enum step_op {
	STEP_END,
	PLEDGE, /* (promises, exec promises) */
	UNVEIL, /* (path, permissions) */
	LOCK,
	OPEN, /* b: "r", "w", "rw", "c" (O_CREAT | O_WRONLY), "rc", "t" (O_TRUNC | O_WRONLY), "d" (O_DIRECTORY), "n" (O_NOFOLLOW) */
	OPENAT, /* the same, relative to the directory that HOLD opened */
	HOLD, /* opens the directory a, for later */
	FCHDIR,
	CHDIR,
	STAT,
	LSTAT,
	STATAT, /* as OPENAT */
	ACCESS, /* b: of "rwx", or "f" */
	READLINK,
	REALPATH,
	OPENDIR,
	LISTS, /* a has the entry b */
	GETCWD, /* it is a */
	MKDIR,
	RMDIR,
	UNLINK,
	RENAME, /* a to b */
	LINK,
	SYMLINK, /* b is the new name */
	MKFIFO,
	CHMOD,
	CHOWN,
	UTIMES,
	TRUNCATE,
	STATFS,
	PATHCONF,
	EXEC,
	CONNECT, /* to the socket a */
	BIND,
	FORK_STEP, /* what follows is done by a child */
};
struct step {
	enum step_op op;
	const char *a, *b; /* "@x": in the case's own world */
	int error; /* 0: succeeds */
};
#define STEPS_MAX 24
struct walk {
	const char *name;
	struct step steps[STEPS_MAX];
	int ends;
	const char *line;
};
#define WALKS(prefix, table) walks_run(prefix, table, sizeof(table) / sizeof((table)[0]))
void walks_run(const char *prefix, const struct walk *table, size_t count);

/* Its arguments are "[WORD]" (only cases whose name has it), or a helper's; then the programs' own cases. */
int openbsd_main(int argc, char **argv, void (*cases)(void));
#endif
