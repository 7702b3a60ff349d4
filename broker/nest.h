/* SPDX-License-Identifier: ISC */
/* Targets that a target starts: what it asks its broker for by AIRLOCK_OP_NEST, and how ops_nest.c hands that on to whoever
 * owns brokers and targets, above this folder. */
#ifndef AIRLOCK_NEST_H
#define AIRLOCK_NEST_H

#include "broker/broker.h"

/* (AIRLOCK_OP_NEST, struct nest_ask *, its size). Both sides are of one machine, but not of one build. */
#define NEST_VERSION 1
#define NEST_FDS 56
enum nest_what {
	NEST_BROKER, /* text: a policy; program: a path, or 0 for the image. Answer: the control socket */
	NEST_START, /* text: the words, data: what the starter understands, fds: the asker's descriptors. Answer: 0 */
};
struct nest_ask {
	uint32_t version, what;
	uint64_t text, text_len;
	uint64_t program;
	uint64_t data, data_len;
	int32_t control;
	uint32_t fd_count;
	int32_t fds[NEST_FDS];
};
#define NEST_POLICY_MAX (1u << 20)
#define NEST_WORDS_MAX (2u << 20)
#define NEST_DATA_MAX 4096

/* The same, copied. Whoever is given one may take what it holds, putting -1 or NULL in its place. */
struct nest {
	enum nest_what what;
	char *text; /* NUL terminated */
	size_t text_len;
	char data[NEST_DATA_MAX];
	size_t data_len;
	int control; /* copies of the asker's descriptors, of whatever kind */
	int fds[NEST_FDS];
	size_t fd_count;
	int cwd; /* the asker's */
	mode_t umask;
	const struct policy *now; /* what the asker has; borrowed */
	/* NEST_BROKER */
	struct policy *policy; /* what the asker has and asks for */
	struct anchor *anchors; /* of policy */
	bool program_asked; /* else what the asker runs, of the broker's own image only if exe is NULL */
	int program;
	char path[PATH_MAX]; /* its */
	bool guest; /* without program_asked: what the asker runs is not the broker's image */
	int pidfd; /* the asking process */
	int pidns; /* its namespace */
	uint64_t processes; /* the asker's limit, or LIMIT_NONE */
};
struct nest_ops {
	unsigned (*layer_find)(const char *word);
	struct answer (*serve)(void *arg, struct nest *n);
};
struct answer op_nest(struct request *r);
/* What n holds, as the caller's own, to nest_free(); NULL: no memory. */
struct nest *nest_take(struct nest *n);
void nest_free(struct nest *n);

/* Held by who forks a broker that has threads: what else they may hold belongs to families, which the child drops. */
void report_hold(bool hold); /* report.c: the log */
void exec_hold(bool hold); /* become.c: filters, and libseccomp */

/* Whether so many processes more fit into what targets further out may have in all: those of nested ones count, too. */
bool nest_room(const struct broker *b, uint64_t more);
/* The tasks in a pid namespace and below, without its init; -EOPNOTSUPP before Linux 6.11. */
int64_t nest_count(const struct broker *b, int pidns);
#endif
