/* SPDX-License-Identifier: ISC */
/* What a program asked to execute, and how it gets it: program.c finds the file, words.c makes a script's arguments,
 * ops_exec.c has it done, become.c looks at the result. */
#ifndef AIRLOCK_PROGRAM_H
#define AIRLOCK_PROGRAM_H

#include "broker/script.h"
#include "broker/trace.h"

struct program {
	int fd; /* open for reading; -1: the one that the host starts */
	struct stat st;
	char path[PATH_MAX]; /* canonical; of an interpreter that is held, as the script names it */
	char comm[16]; /* the name that the kernel would give the process; empty when it gives that anyway */
};

/* What comes before the caller's second argument, when it is a script that runs. */
struct words {
	char lines[SCRIPT_DEPTH][SCRIPT_LINE + 1];
	char name[PATH_MAX + 32]; /* of the script */
	bool unreachable; /* it has no name after the exec */
	const char *list[2 * SCRIPT_DEPTH + 1];
	size_t count;
};

/* What r (execve, execveat) asks for; of a script the interpreter, with w filled. 0: out->fd is the caller's to close.
 * Negative errno otherwise, r->missing_perms and the like set. */
int program_find(struct request *r, struct program *out, struct words *w);
/* The regular file that path, as the caller sees it, leads to, if it has `x`: *fd open for reading, its canonical path. */
int program_open(struct request *r, const char *path, char canonical[PATH_MAX], int *fd);
/* Whether the caller may (still) execute it. */
bool program_allowed(const struct request *r, const struct program *p);

/* loading.c: the one execveat() of a held thread's that is let through. approved: whether r is that; it counts once. */
void exec_approve(struct family *f, pid_t tid, int fd);
void exec_disapprove(struct family *f, pid_t tid);
bool exec_approved(struct request *r);

/* The arguments of a script's interpreter, in the memory of the thread that t holds. */
struct placed {
	uint64_t path, arguments; /* addresses: an empty string, the pointers */
	uint64_t mapped, mapped_len; /* to be unmapped, if the exec fails */
	int slot; /* of family.words, or -1 */
};
int words_place(const struct request *r, struct trace *t, const struct words *w, struct placed *p);
/* Whether the new program, stopped in its exec, was given them: who shares the memory may have changed them, and an
 * interpreter that runs for scripts' sake alone is to run nothing else. */
bool words_kept(const struct request *r, const struct trace *t, const struct words *w);
/* The exec is over, or failed; in any case before the thread is let go. */
void words_release(struct family *f, struct placed *p);

struct run {
	struct trace trace;
	struct placed words;
	const struct words *script; /* NULL: the program is none */
	uint64_t environment;
	int fd; /* the target's number of the program */
};
/* become.c: the thread is stopped in its exec, nothing of the new program has run. It is let go when that is loaded, or killed.
 * r is of a thread that is held. first: it is the host's own start. */
void exec_enter(struct request *r, struct run *x, const struct program *p, bool first);
#endif
