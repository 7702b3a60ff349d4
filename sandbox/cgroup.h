/* SPDX-License-Identifier: ISC */
/* Cgroups of targets: where they may be (cgroup.c, in the host), and who makes and removes them (warden.c). */
#ifndef AIRLOCK_CGROUP_H
#define AIRLOCK_CGROUP_H

#include "policy/policy.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whether the policy has limits that a cgroup keeps. */
bool cgroup_wanted(const struct policy *p);
/* The directory below which targets under this policy may have cgroups, or a negative errno. p NULL: under any. change: it is
 * to be used; else nothing is moved or written. */
int cgroup_base(const struct policy *p, bool change);
const char *cgroup_why(int error);

/* ---- warden.c, in the broker ---- */
/* Before the broker confines itself; takes base. */
int warden_start(int base, const char *name);
/* A cgroup with the policy's limits that pid is the first of: its number (> 0), or a negative errno. */
int ward_make(const struct policy *p, pid_t pid);
/* pid, and all that it forks from now on, are in it, too: the broker of what its target starts. */
int ward_add(int number, pid_t pid);
/* -ECHILD: there is no warden any more. */
int ward_freeze(int number, bool frozen);
void ward_trim(int number);
/* Nothing is left of it. How often the kernel killed in it for want of memory. */
uint64_t ward_end(int number);
#endif
