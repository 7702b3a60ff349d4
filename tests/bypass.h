/* SPDX-License-Identifier: ISC */
/*
 * Attempts to get past the rules about addresses, as tables. They run in the target, all of a table in one process, and are
 * compiled into the judge (live_bypass.c) and into a program of their own for the command. An attempt returns 0 when it got
 * through, a negative errno when it was refused, HELD when it could be tried and had no effect, or when what it did is
 * what the rules allow. What must come out is said in words, one clause for each situation, the first that applies counts:
 * "inet:EACCES all+worker:EINVAL|EACCES EPERM". Conditions: a policy (stdio inet dns unix all send), a way (inplace worker run
 * nested executed), root user. Outcomes: errno names, HELD, ANY (not a matter for this situation).
 */
#ifndef AIRLOCK_TESTS_BYPASS_H
#define AIRLOCK_TESTS_BYPASS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <stdbool.h>
#include <unistd.h>

#define HELD 1
#define THROUGH 0
#define RANGE_LOW 47000u /* ports that may be bound on any address, up to ten more */

/* What the rules allow (yes) and what counts whoever comes (no). */
struct net {
	int tcp_yes, tcp_no, udp_yes, udp_no; /* ports on 127.0.0.1; those of yes are counted ones on other addresses */
	int tcp6_yes, tcp6_no, udp6_yes, udp6_no; /* on ::1 */
	int bind_yes; /* what may be bound, on 127.0.0.1 */
	int bind6_yes; /* and for datagrams on [::], but not on 0.0.0.0 */
	int tcp_full; /* allowed, and nobody accepts */
	int tries; /* of a race */
	int listener, datagram, local; /* numbers of passed descriptors; -1 */
	char top[64]; /* yes and no: local datagram sockets, and the same with .stream */
	char name_yes[40], name_no[40]; /* abstract, without the first NUL */
};

struct
try {
	const char *name;
	int (*run)(const struct net *n);
	const char *expect;
	int proven; /* natively: 1 gets through, 2 reaches a server that counts besides */
};
extern const struct try tries_calls[], tries_names[], tries_sockets[], tries_netlink[], tries_local[], tries_storms[];
/* Every table in order; NULL past the last. */
const struct try *try_at(unsigned index);
/* Runs all that begin with prefix and writes a line "NAME RESULT" for each to fd, on which it waits for a byte back. */
void tries_run(const struct net *n, int out, int back, const char *prefix);

/* ---- for the attempts ---- */
int done(long result); /* 0 or the negative errno */
struct sockaddr_in v4(const char *ip, int port);
struct sockaddr_in6 v6(const char *ip, int port);
#define YES(n, kind) v4("127.0.0.1", (n)->kind##_yes)
#define NO(n, kind) v4("127.0.0.1", (n)->kind##_no)
socklen_t local(struct sockaddr_un *a, const struct net *n, const char *name);
socklen_t abstract(struct sockaddr_un *a, const char *name);
/* A socket that is closed when the attempt is over, or a negative errno. */
int sock(int domain, int type, int protocol);
int keep(long fd); /* the same for a descriptor that a call has just made */
int to(int fd, const void *address, size_t len); /* connect() */
int send_to(int fd, const void *address, size_t len);
int message_to(int fd, const void *address, size_t len, void *control, size_t control_len);
#define TO(fd, a) to(fd, &(a), sizeof(a))
#define SEND_TO(fd, a) send_to(fd, &(a), sizeof(a))
#endif
