/* SPDX-License-Identifier: ISC */
/* What starter.c and forker.c share. */
#ifndef AIRLOCK_STARTER_H
#define AIRLOCK_STARTER_H

#include "sandbox/sandbox.h"

/* Gives descriptors their numbers and closes all others. from[i] becomes to[i]. */
int descriptors_place(int *from, const int *to, size_t count);
/* Forks init, whose number, or a negative errno, is returned; it starts when something is written to the pipe go. go[1]: -1
 * if this process has not got that end. */
pid_t starter_init(const struct starting *s, const int go[2], unsigned flags, int *pidfd);
#endif
