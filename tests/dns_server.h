/* SPDX-License-Identifier: ISC */
/* A nameserver that says what a test wants, and lies in all the ways that one can. Names under "test": see dns_server.c. */
#ifndef AIRLOCK_TESTS_DNS_SERVER_H
#define AIRLOCK_TESTS_DNS_SERVER_H

#include <sys/types.h>

#define DNS_NAMES 64
struct dns_count {
	char name[64];
	unsigned a, other; /* questions for it, by type */
};
struct dns_counts {
	unsigned used;
	struct dns_count of[DNS_NAMES];
};
/* Serves 127.0.0.1 port 53, UDP and TCP, in a process of its own, until that is killed; it listens when this returns. Its
 * id, or -1. counts: shared memory. */
pid_t dns_serve(struct dns_counts *counts);
struct dns_count *dns_count(struct dns_counts *counts, const char *name);
#endif
