/* SPDX-License-Identifier: ISC */
/* The servers of the promise dns: nameservers.c. */
#ifndef AIRLOCK_NAMESERVERS_H
#define AIRLOCK_NAMESERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMESERVERS_MAX 32 /* libc uses three */

struct nameserver {
	uint8_t ip[16]; /* v6, or v4-mapped */
	uint32_t scope; /* of a link-local address; 0: none was said */
};

struct broker;
/* Before the broker confines itself: resolv.conf, O_PATH, which stays the caller's; or -1. */
void nameservers_hold(struct broker *b, int file);
void nameservers_release(struct broker *b);
bool nameserver_is(const struct broker *b, const uint8_t ip[16], uint32_t scope);
/* How many text, which it takes apart, names: as libc has it, 127.0.0.1 when there is none. */
size_t nameservers_parse(char *text, struct nameserver out[NAMESERVERS_MAX]);
#endif
