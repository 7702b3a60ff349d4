/* SPDX-License-Identifier: ISC */
/* What live_direct.c lets its workers try. */
#ifndef AIRLOCK_DIRECT_TRIES_H
#define AIRLOCK_DIRECT_TRIES_H

#include <stdbool.h>
#include <stddef.h>

extern char base[64]; /* the directory of all trees */
const char *at(const char *rest); /* a path in it; good for three more calls */

struct attempt {
	const char *name;
	int (*attempt)(void);
	int must[4]; /* one of; 0 is success, the rest of the list is 0, too */
	bool succeeds;
};
extern const struct attempt attempts[];
extern const size_t attempt_count;
int try_device(void);
int try_file(void);
int try_secret(void);
#endif
