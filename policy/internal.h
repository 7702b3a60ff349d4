/* SPDX-License-Identifier: ISC */
/* What the files of policy/ that know struct policy share among themselves; nobody else includes it. */
#ifndef AIRLOCK_POLICY_INTERNAL_H
#define AIRLOCK_POLICY_INTERNAL_H

#include "policy/policy.h"

/* Writes one printable line to error, which may be NULL; returns -EINVAL. */
int policy_error(char *error, size_t len, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "; did you mean 'WORD'?", or "" when no word is near. */
const char *policy_hint(const char *word, const char *const *words, char buf[64]);

/* Frees what the rule owns, or the whole list. */
void policy_addresses_free(struct address *list, size_t count);
void policy_unveils_free(struct unveil *list, size_t count);

/* Reads "tcp:..." into *a, whose host is then the caller's to free. */
int policy_address_parse(const char *text, bool bind, struct address *a, char *error, size_t len);
/* The prefix of net as it is meant: true for (a part of) the v4-mapped addresses. */
bool policy_net_is_v4(const uint8_t net[16], uint8_t prefix);
bool policy_net_covers(const uint8_t net[16], uint8_t prefix, const uint8_t ip[16]);
#endif
