/* SPDX-License-Identifier: ISC */
/* What ops_message.c and control.c share: what is kept of a call that sends or receives messages while it waits. */
#ifndef AIRLOCK_MESSAGE_H
#define AIRLOCK_MESSAGE_H

#include "broker/socket.h"

#include <sys/uio.h>

#define MESSAGE_FDS 253 /* SCM_MAX_FD */
#define MESSAGE_CONTROL 8192

/* As the kernel reads it: glibc's and musl's struct msghdr. */
struct header {
	uint64_t name;
	int32_t name_len;
	uint32_t unused;
	uint64_t vectors, vector_count;
	uint64_t control, control_len;
	uint32_t flags, unused2;
};
struct header_of_many {
	struct header header;
	uint32_t len, unused;
};

struct message {
	struct job job; /* first */
	bool receives, single, many; /* single: sendto, recvfrom */
	bool waits; /* neither the socket nor the call say that it must not */
	bool timed; /* recvmmsg: not beyond until */
	int flags;
	unsigned index, count; /* of many */
	uint64_t where; /* their headers, in the target */
	struct timespec until;
	/* the one at index */
	bool ready; /* all of it has been copied */
	bool named;
	struct header header;
	struct iovec vectors[1024]; /* in the target */
	size_t vector_count;
	char *data;
	size_t len, done;
	size_t before, left; /* of a stream: bytes that have gone by before data, and that are to follow */
	_Alignas(16) char control[MESSAGE_CONTROL];
	size_t control_len;
	int fds[MESSAGE_FDS];
	unsigned fd_count;
	struct family *family;
	size_t passing; /* of the family's, ours */
};

/* Copies the control data of m->header, and takes the descriptors in it. 0, or the negative errno the target sees. */
int control_take(struct request *r, struct message *m);
void control_drop(struct message *m); /* closes them */
/* Of what was received: whether descriptors came, which are closed. */
bool control_came(struct msghdr *h);
#endif
