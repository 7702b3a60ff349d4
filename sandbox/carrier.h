/* SPDX-License-Identifier: ISC */
/* The second carrier, from inside: requests by SIGSYS and a socket. See carrier.c. */
#ifndef AIRLOCK_CARRIER_INSIDE_H
#define AIRLOCK_CARRIER_INSIDE_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether this process runs under somebody else's listener, so that it can have none of its own. By trying, in a child
 * that ends. */
bool carrier_needed(void);
/* Makes the socket and sets the handler; *broker is the broker's end, close-on-exec. 0, or a negative errno. */
int carrier_begin(int *broker);
/* Completes a filter that was compiled with `trap`, for this process. */
void carrier_fit(struct sock_filter *code, size_t len);
/* Whether requests of this process go by it. */
bool carrier_used(void);
#endif
