/* SPDX-License-Identifier: ISC */
/* What the bodies of live_net_limits.c have: the ports of its servers, and what they do there, by name. */
#ifndef AIRLOCK_TESTS_NET_LIMITS_H
#define AIRLOCK_TESTS_NET_LIMITS_H

#include <netinet/in.h>

struct ports {
	int tcp, tcp6, udp, refused; /* what is sent there goes nowhere; nobody listens on the last */
};
#define OWN_PORT "9391" /* on which targets listen */
#define LOW 21 /* a port that takes a capability, of 127.0.0.9, and the next is forbidden */

/* Runs the body of that name. Its exit status. */
int body_run(const char *name, const struct ports *p);
struct sockaddr_in v4_of(const char *ip, int port);
#endif
