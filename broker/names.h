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

/* Before the broker confines itself: the process that will fork resolvers, if any rule has a name. */
int names_start(struct broker *b, const char *title);
/* 0 when a rule with a name allows it (then r->rule is set), -EACCES, or DECIDED_LATER. */
int names_judge(struct request *r, const struct contact *to);

/* What no rule covers: 0 when the host allows it, -EACCES when it does not or is not to be asked, or DECIDED_LATER. */
int ask_judge(struct request *r, const struct contact *to);
#endif
