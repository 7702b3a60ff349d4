/* SPDX-License-Identifier: ISC */
/*
 * pledge(2) and unveil(2) for programs written for OpenBSD: install as they are, link with -lairlock, and either include
 * this file or compile with -include airlock/openbsd.h. No other function of airlock needs to be called. Both return 0,
 * or -1 and errno, as OpenBSD 7.8 does; airlock(3), "OPENBSD PROGRAMS", says what differs.
 */
#ifndef AIRLOCK_OPENBSD_H
#define AIRLOCK_OPENBSD_H

#ifdef __cplusplus
extern "C" {
#endif

/* Gives up what is not promised, for all threads and all processes forked later, for good. NULL leaves a set as it is.
 * EINVAL (a word that is none, a leading blank), EPERM (more than before), EFAULT, ENAMETOOLONG (1024 bytes or more). A
 * call that is not promised prints a line and ends the process with SIGABRT, or fails with ENOSYS under "error". */
int pledge(const char *promises, const char *execpromises);

/* From the first call on nothing is visible but what was unveiled. permissions: of "rwxc". unveil(NULL, NULL) ends it.
 * ENOENT (its directory is missing), EINVAL, EPERM (ended, or no access), E2BIG, EFAULT, ENAMETOOLONG. */
int unveil(const char *path, const char *permissions);

#ifdef __cplusplus
}
#endif
#endif
