/* SPDX-License-Identifier: ISC */
/* What live_carrier.c and its hostile part share. */
#ifndef AIRLOCK_TESTS_CARRIER_TRIES_H
#define AIRLOCK_TESTS_CARRIER_TRIES_H

#include <stddef.h>
#include <sys/types.h>

#define SHOWN "/etc/passwd"
#define HIDDEN "/etc/shadow"
#define WIRE 1023 /* where the handler has its socket, with a limit of 1024 */

int opens(const char *path); /* 0 or a negative errno */

extern const struct carrier_try {
	int (*run)(void);
	const char *promises; /* fewer than its parent's, the neighbour's */
	const char *name;
} attempts[];
extern const size_t attempt_count;
extern pid_t neighbour; /* of the same family, with more rights than who attacks */
extern int foreign_reply_end[2];
int shut_copy(void);

#endif
