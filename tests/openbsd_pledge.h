/* SPDX-License-Identifier: ISC */
/* The parts of the tests of pledge(2). */
#ifndef AIRLOCK_TESTS_OPENBSD_PLEDGE_H
#define AIRLOCK_TESTS_OPENBSD_PLEDGE_H

#include "tests/openbsd.h"

void call_cases(void);
void any_cases(void);
void exec_cases(void);
void thread_cases(void);
void odd_cases(void);

/* helpers of openbsd_pledge_odd.c */
int any_bare(int argc, char **argv);
int any_secure(int argc, char **argv);
int any_deleted(int argc, char **argv);
int any_replaced(int argc, char **argv);
int any_narrows(int argc, char **argv);
int any_violates(int argc, char **argv);

#define NOBODY 65534
void leave_root(void); /* becomes nobody, for good */
#endif
