/* SPDX-License-Identifier: ISC */
/* What live_socket.c's world has, and what its bodies share. A body runs in a process of its own: natively and confined,
 * and then both must note the same; or confined alone, and then it says what must be. */
#ifndef AIRLOCK_TESTS_SOCKET_H
#define AIRLOCK_TESTS_SOCKET_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NOTES 524288
#define MARK_ACCEPT 1 /* from the listeners that are full, for good */
#define MARK_COUNT 2 /* the broker's descriptors, which are not to become more */
#define MARK_SEND 3 /* a datagram to `heard`; where it comes from is `stranger` then */
struct world {
	char top[64]; /* open/ secret/ and sockets in both */
	int tcp, tcp6, udp, udp6; /* ports of servers that echo */
	int forbidden, forbidden_udp; /* ports of servers that count */
	int full; /* the port of a listener whose queue is full */
	int full_fd, slow_fd; /* it, and a local one at open/full, from which a body may accept */
	int heard, stranger; /* ports */
	bool v6;
	atomic_int reached; /* how often a forbidden one was */
	atomic_int wrong; /* expectations that did not come true */
	atomic_int mark; /* what the test's first process shall do for a body; 0 when it is done */
	bool confined;
	size_t used;
	char notes[NOTES];
};
extern struct world *world;

/* A line for both runs. */
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);
/* The errno of a call, 0 when it did not fail; "E..." for a note. */
int errno_of(long result);
const char *name_of(int e);
/* Confined alone: what must be. */
#define MUST(got, want) must(__FILE__, __LINE__, #got, (long)(got), (long)(want))
void must(const char *file, int line, const char *what, long got, long want);

struct sockaddr_in v4(const char *ip, int port);
struct sockaddr_in6 v6(const char *ip, int port);
/* Its path is top/name. */
socklen_t local(struct sockaddr_un *a, const char *name);
/* connect(); 0 or the errno; and of a new socket, which is closed. */
int connect_to(int fd, const void *address, socklen_t len);
int try_connect(int type, const void *address, socklen_t len);
int try_send(int type, const void *address, socklen_t len);
int try_bind(int type, const void *address, socklen_t len);

/* ---- socket_same.c: run twice ---- */
void same_errnos(void);
void same_tcp(void);
void same_udp(void);
void same_local(void);
void same_waiting(void);
void same_messages(void);
void same_descriptors(void);
void same_names(void);

/* (waiting, messages, descriptors: socket_messages.c) */

/* ---- socket_rules.c: confined alone ---- */
void rules_ports(void);
void rules_spellings(void);
void rules_swap(void);
void rules_swap_path(void);
void rules_paths(void);
void rules_ruled(void);
void rules_abstract(void);
void rules_no_abstract(void);
void rules_bind(void);
void rules_nothing(void);
void rules_answer(void);
void rules_unbound(void);

/* ---- socket_promises.c: the same ---- */
void rules_narrowed(void);
void rules_many(void);
void rules_killed(void);
void rules_stdio(void);
void rules_kinds(void);
void rules_dns(void);
void rules_log(void);
#endif
