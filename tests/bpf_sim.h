/* SPDX-License-Identifier: ISC */
/* A model of classic BPF as seccomp runs it. For tests; runs in the test. */
#ifndef AIRLOCK_BPF_SIM_H
#define AIRLOCK_BPF_SIM_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

/* Runs the program on d. 0 and *verdict (a SECCOMP_RET_ word), or -EINVAL for an instruction that seccomp refuses, a
 * jump out of the program, a load out of struct seccomp_data, or an end without a return. steps may be NULL. */
int bpf_sim(const struct sock_filter *program, size_t len, const struct seccomp_data *d, uint32_t *verdict,
	unsigned *steps);
#endif
