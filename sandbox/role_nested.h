/* SPDX-License-Identifier: ISC */
/* What broker_nested.c, in the outer broker, and role_nested.c, in its fork, share. */
#ifndef AIRLOCK_ROLE_NESTED_H
#define AIRLOCK_ROLE_NESTED_H

#include "broker/nest.h"
#include "sandbox/role_broker.h"

struct nested {
	struct nested *next;
	struct child *child; /* whose target asked; NULL: it is gone */
	struct nest *nest; /* until it is forked */
	int control; /* likewise: the nested broker's end of its host's socket */
	ino_t host_end; /* the other end, by which START is addressed */
	int link, far_link;
	unsigned budget;
	struct policy policy; /* what it was made for */
	pid_t pid;
	int pidfd;
	bool ending;
	int64_t deadline; /* to be killed, if it has not ended by then */
	struct watch watch;
};

/* role_nested.c: in the fork */
/* It begins when there is something to read from go, which are both ends of a pipe. */
_Noreturn void nested_become(struct nested *n, pid_t parent, const int go[2]);
/* broker_nested.c */
void nested_forget(unsigned share);

#endif
