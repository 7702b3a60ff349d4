/* SPDX-License-Identifier: ISC */
/*
 * What decides about addresses beside the rules that say them in numbers: rules with the name of a host, which stand for
 * what that name resolves to, and the host program, which can be asked about the rest.
 */
#ifndef AIRLOCK_NAMES_H
#define AIRLOCK_NAMES_H

#include "broker/broker.h"

/* The decision takes a while: it is made on a slow worker, by the same call once more with r->slow. */
#define DECIDED_LATER (-512)

/* A place on the net that somebody wants to use. */
struct contact {
	enum address_kind kind; /* TCP or UDP */
	bool bind; /* else connect, or send to */
	uint16_t port;
	uint8_t ip[16]; /* v6, or v4-mapped */
};

/* Before the broker confines itself: the process that will fork resolvers, if any rule has a name. Without a title its
 * arguments stay as they are. */
int names_start(struct broker *b, const char *title);
void names_forget(struct broker *b); /* after a fork of the broker: what is under way is another's */
int names_descriptor(const struct broker *b); /* the one that such a fork keeps; or -1 */
/* 0 when a rule with a name allows it (then r->rule is set), -EACCES, -EINTR, or DECIDED_LATER. */
int names_judge(struct request *r, const struct contact *to);
/* Whether a TCP rule with a name allows it now; port 0: any port of it. */
bool names_known(const struct request *r, const uint8_t ip[16], uint16_t port);
/* What r's rules with names stand for, as /etc/hosts has it; *text is the caller's to free, and not empty.
 * look: as far as it is known now. 0, -EINTR, -ENOMEM, or DECIDED_LATER. */
int names_hosts(struct request *r, bool look, char **text, size_t *len);

/* ---- hosts.c ---- */
/* /etc/hosts, which r->path[which] names, as it is for r: a descriptor, a negative errno, LIBC_NONE where no rule has a name,
 * or LIBC_LATER. held: O_PATH of the machine's own file where a promise gives it, or -1. */
int hosts_open(struct request *r, int which, int held, int flags, bool look);

/* ---- ask.c ---- */
/* What no rule covers: 0 when the host allows it, -EACCES when it does not or is not to be asked, or DECIDED_LATER. */
int ask_judge(struct request *r, const struct contact *to);

/* A question to the host, about what a request names; the host's answer comes with its id. */
struct question {
	uint64_t id;
	int32_t bind, pid;
	char address[ADDRESS_TEXT];
	char program[320]; /* "" when not known or longer */
};
enum { DECISION_REFUSE, DECISION_ONCE, DECISION_TARGET };
/* An answer; one that nobody asked for is nothing. On a thread that may not wait. */
void ask_answer(struct family *f, uint64_t id, uint32_t decision);
/* The caller's socket was bound because the host said so; whether it was. */
void ask_bound(struct request *r, int fd);
bool ask_has_bound(struct request *r, int fd);
void ask_stop(struct family *f); /* once nothing is served any more */
#endif
