/* SPDX-License-Identifier: ISC */
/* What a filter begins with where requests go by SIGSYS: the second carrier's part, see sandbox/carrier.c. Pure. */
#ifndef AIRLOCK_TRAP_H
#define AIRLOCK_TRAP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What stands in a compiled filter for what only the process that loads it knows: the address behind the system call
 * instruction of its handler, and the number of its socket. */
#define TRAP_PLACE UINT64_C(0xa17c10c0a17c10c1)
#define TRAP_SOCKET 0xa17c10c2u

/* si_errno of the SIGSYS: a request for the broker; what the handler does itself. */
#define TRAP_ASK 0
#define TRAP_OWN 1

#define TRAP_FRONT_MAX 240 /* jumps over all of it reach 255 */
/* Writes what goes before a program, which it falls through to; its length. passes says of a call's number whether the
 * program lets it through whatever its arguments. A narrowing filter (base false) only lets through what the handler
 * itself calls. */
size_t trap_front(struct sock_filter code[TRAP_FRONT_MAX], bool base, uint32_t arch,
	bool (*passes)(void *arg, int number), void *arg);
/* Puts place and socket where the two stand. */
void trap_fit(struct sock_filter *code, size_t len, uint64_t place, uint32_t socket);
#endif
