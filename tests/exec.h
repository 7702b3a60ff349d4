/* SPDX-License-Identifier: ISC */
/* What the files of live_exec share: batteries of execs whose results are written down, one line each. Run natively and
 * behind the door, the lines must be the same. */
#ifndef AIRLOCK_TESTS_EXEC_H
#define AIRLOCK_TESTS_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct battery {
	char *out;
	size_t len, cap;
	const char *top; /* the tree, and the working directory */
};

__attribute__((format(printf, 3, 4))) void say(struct battery *b, const char *name, const char *format, ...);
/* Has act(arg) done by a child with nothing open but 0, 1, 2, all signals at their defaults, an empty environment, and
 * standard output read: that, and how the child ended, is the line. What act() returns is a negative errno. */
void child(struct battery *b, const char *name, int (*act)(const void *arg), const void *arg);
/* In a child: execve with this argument vector, or, NULL, with the path alone; the environment says only the pid. */
int run(const char *path, char *const argv[]);
char **little_environment(void);
/* execveat, the same. */
int run_at(int fd, const char *path, int flags);

void exec_ways(struct battery *b);
void exec_kept(struct battery *b);
void exec_errors(struct battery *b);
void exec_scripts(struct battery *b);
void exec_threads(struct battery *b);
void exec_storms(struct battery *b);

/* Checks of their own, which count how many have failed so far: how the broker of a target, at work for seconds, grows; what the library's functions do. */
struct airlock_policy;
struct airlock_target;
extern char exec_top[200], exec_programs[];
int exec_policy(struct airlock_policy **policy);
unsigned exec_growth(struct airlock_target *t, const char *part);
unsigned exec_library(const char *part);

/* Makes the tree, with the programs from where the test itself lies. 0, or -1. */
int exec_tree(const char *top, const char *programs);
void exec_lines_make(const char *top);
void exec_tree_remove(const char *top);
#endif
