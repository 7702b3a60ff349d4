/* SPDX-License-Identifier: ISC */
/* Of a target that is forked for each job: role_target.c uses it. */
#ifndef AIRLOCK_SANDBOX_ZYGOTE_H
#define AIRLOCK_SANDBOX_ZYGOTE_H

#include <stddef.h>
#include <sys/types.h>

/* What libc's fork() would know. */
struct zygote_libc {
	pid_t *id;
	void *robust;
	size_t robust_len;
};
/* Before the door closes, while there is one thread. -EOPNOTSUPP: this libc keeps no id where it was looked for. */
int zygote_learn(struct zygote_libc *l);
/* Returns in each fork: the descriptor of its shared memory; or -1 when nobody wants it any more. */
int zygote_forks(const struct zygote_libc *l);
#endif
