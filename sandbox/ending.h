/* SPDX-License-Identifier: ISC */
/* What ending.c and target.c know of a target's end. In the host. */
#ifndef AIRLOCK_SANDBOX_ENDING_H
#define AIRLOCK_SANDBOX_ENDING_H

#include "sandbox/sandbox.h"

struct refused {
	char text[320];
	char missing[REFUSAL_MISSING];
	int limit;
};

/* What the broker told, bounded and terminated here. */
void ending_refusal(struct airlock_target *t, const struct refusal *refusal);
void ending_crash(struct airlock_target *t, const struct crashed *crash);
/* As far as status->size has room. NULL: not wanted. */
void ending_status(const struct airlock_target *t, struct airlock_status *status);

/* target.c: takes in what waits on the status socket; never blocks. Up to the first question, which is answered or left:
 * whether it was answered. There may always be another. */
bool status_take(struct airlock_target *t, bool answers);
#endif
