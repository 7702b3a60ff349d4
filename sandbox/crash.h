/* SPDX-License-Identifier: ISC */
/* A worker's report of its own crash: role_target.c begins it. */
#ifndef AIRLOCK_SANDBOX_CRASH_H
#define AIRLOCK_SANDBOX_CRASH_H

/* Handlers for what the program has none for. */
void crash_begin(void);
#endif
