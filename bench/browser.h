/* SPDX-License-Identifier: ISC */
/* The browsers' way to broker an open, to measure beside ours: see bench/browser.c. */
#ifndef AIRLOCK_BENCH_BROWSER_H
#define AIRLOCK_BENCH_BROWSER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct browser;
/* Forks a broker that allows what is under the rules, and a client that runs run(job) for each browser_run(). */
struct browser *browser_start(char (*rules)[PATH_MAX], size_t count, ssize_t (*run)(const void *job), size_t job_size);
ssize_t browser_run(struct browser *b, const void *job);
void browser_stop(struct browser *b);
#endif
