/* SPDX-License-Identifier: ISC */
/* What the bodies of live_net.c share. A body is run natively and behind the door in every way there is, each time as a
 * program of its own whose standard input is the memory that it notes its results in: and all must note the same. */
#ifndef AIRLOCK_TESTS_NET_H
#define AIRLOCK_TESTS_NET_H

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#define NOTES 262144
#define MARK_COUNT 1 /* count the broker's threads, descriptors and memory */
#define MARK_ASK 2 /* a datagram to 127.0.0.1:port, and the answer to it, which is then its length */
struct net {
	size_t used;
	bool confined;
	bool own_network; /* it is in a network that has none but its own sockets */
	atomic_int mark; /* what the test's first process shall do for a body; 0 when it is done */
	int port, answer;
	int threads, descriptors, kilobytes; /* MARK_COUNT; of all brokers, 0 when there is none */
	char abstract[40]; /* a name that is allowed */
	char notes[NOTES];
};
extern struct net *net;

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
__attribute__((format(printf, 1, 2))) void note_text(const char *format, ...);
/* Notes, with its arguments evaluated from the left to the right: they are the calls that are tried. */
#define note(...)                                                                                                      \
	NOTE_PICK(__VA_ARGS__, NOTE10, NOTE9, NOTE8, NOTE7, NOTE6, NOTE5, NOTE4, NOTE3, NOTE2, NOTE1, NOTE0, 0)        \
	(__VA_ARGS__)
#define NOTE_PICK(f, a, b, c, d, e, g, h, i, j, k, n, ...) n
#define NOTE0(f) note_text(f)
#define NOTE1(f, a1)                                                                                                   \
	do {                                                                                                           \
		__auto_type note1 = a1;                                                                                \
		note_text(f, note1);                                                                                   \
	} while (0)
#define NOTE2(f, a1, a2)                                                                                               \
	do {                                                                                                           \
		__auto_type note1 = a1;                                                                                \
		__auto_type note2 = a2;                                                                                \
		note_text(f, note1, note2);                                                                            \
	} while (0)
#define NOTE3(f, a1, a2, a3)                                                                                           \
	do {                                                                                                           \
		__auto_type note1 = a1;                                                                                \
		__auto_type note2 = a2;                                                                                \
		__auto_type note3 = a3;                                                                                \
		note_text(f, note1, note2, note3);                                                                     \
	} while (0)
#define NOTE4(f, a1, a2, a3, a4)                                                                                       \
	do {                                                                                                           \
		__auto_type note1 = a1;                                                                                \
		__auto_type note2 = a2;                                                                                \
		__auto_type note3 = a3;                                                                                \
		__auto_type note4 = a4;                                                                                \
		note_text(f, note1, note2, note3, note4);                                                              \
	} while (0)
#define NOTE5(f, a1, a2, a3, a4, a5)                                                                                   \
	do {                                                                                                           \
		__auto_type note1 = a1;                                                                                \
		__auto_type note2 = a2;                                                                                \
		__auto_type note3 = a3;                                                                                \
		__auto_type note4 = a4;                                                                                \
		__auto_type note5 = a5;                                                                                \
		note_text(f, note1, note2, note3, note4, note5);                                                       \
	} while (0)
#define NOTE6(f, a1, a2, a3, a4, a5, a6)                                                                               \
	do {                                                                                                           \
		__auto_type note1 = a1;                                                                                \
		__auto_type note2 = a2;                                                                                \
		__auto_type note3 = a3;                                                                                \
		__auto_type note4 = a4;                                                                                \
		__auto_type note5 = a5;                                                                                \
		__auto_type note6 = a6;                                                                                \
		note_text(f, note1, note2, note3, note4, note5, note6);                                                \
	} while (0)
#define NOTE7(f, a1, a2, a3, a4, a5, a6, a7)                                                                           \
	do {                                                                                                           \
		__auto_type note1 = a1;                                                                                \
		__auto_type note2 = a2;                                                                                \
		__auto_type note3 = a3;                                                                                \
		__auto_type note4 = a4;                                                                                \
		__auto_type note5 = a5;                                                                                \
		__auto_type note6 = a6;                                                                                \
		__auto_type note7 = a7;                                                                                \
		note_text(f, note1, note2, note3, note4, note5, note6, note7);                                         \
	} while (0)
#define NOTE8(f, a1, a2, a3, a4, a5, a6, a7, a8)                                                                       \
	do {                                                                                                           \
		__auto_type note1 = a1;                                                                                \
		__auto_type note2 = a2;                                                                                \
		__auto_type note3 = a3;                                                                                \
		__auto_type note4 = a4;                                                                                \
		__auto_type note5 = a5;                                                                                \
		__auto_type note6 = a6;                                                                                \
		__auto_type note7 = a7;                                                                                \
		__auto_type note8 = a8;                                                                                \
		note_text(f, note1, note2, note3, note4, note5, note6, note7, note8);                                  \
	} while (0)
#define NOTE9(f, a1, a2, a3, a4, a5, a6, a7, a8, a9)                                                                   \
	do {                                                                                                           \
		__auto_type note1 = a1;                                                                                \
		__auto_type note2 = a2;                                                                                \
		__auto_type note3 = a3;                                                                                \
		__auto_type note4 = a4;                                                                                \
		__auto_type note5 = a5;                                                                                \
		__auto_type note6 = a6;                                                                                \
		__auto_type note7 = a7;                                                                                \
		__auto_type note8 = a8;                                                                                \
		__auto_type note9 = a9;                                                                                \
		note_text(f, note1, note2, note3, note4, note5, note6, note7, note8, note9);                           \
	} while (0)
#define NOTE10(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10)                                                             \
	do {                                                                                                           \
		__auto_type note1 = a1;                                                                                \
		__auto_type note2 = a2;                                                                                \
		__auto_type note3 = a3;                                                                                \
		__auto_type note4 = a4;                                                                                \
		__auto_type note5 = a5;                                                                                \
		__auto_type note6 = a6;                                                                                \
		__auto_type note7 = a7;                                                                                \
		__auto_type note8 = a8;                                                                                \
		__auto_type note9 = a9;                                                                                \
		__auto_type note10 = a10;                                                                              \
		note_text(f, note1, note2, note3, note4, note5, note6, note7, note8, note9, note10);                   \
	} while (0)
int errno_of(long result); /* 0 when it did not fail */
const char *name_of(int e);
const char *said(long result); /* name_of(errno_of()) */
void mark(int what); /* until it is done */
void mark_awaited(void);
int64_t net_ms(void);

struct place {
	struct sockaddr_storage to;
	socklen_t len;
};
struct place v4(const char *ip, int port);
struct place v6(const char *ip, int port);
struct place path(const char *name);
struct place abstract(const char *suffix);
int connect_place(int fd, const struct place *p); /* 0 or the errno */
int bind_place(int fd, const struct place *p);
struct place own_place(int fd);
/* A listener there, and where it is then. */
int listener(struct place *p, int type, int backlog);
/* One that has all it takes, of which *peers is one connection. */
int full_listener(struct place *p);
/* Both ends. */
void connected(const struct place *at, int type, int pair[2]);
void alarm_in(int ms, int flags); /* SIGALRM, whose handler has these flags, and counts */
extern volatile int alarms;
int wait_for(int fd, short events, int ms); /* revents */
int socket_error(int fd);
void end(pid_t pid);

/* net_calls.c */
void net_socket(void), net_socket_full(void), net_connect_errors(void), net_connect(void), net_options(void),
	net_bind(void);
/* net_waits.c */
void net_waits(void), net_signals(void), net_cancel(void), net_killed(void), net_many_wait(void);
/* net_streams.c */
void net_accept(void), net_close(void), net_streams(void), net_happy(void);
/* net_many.c */
void net_loops(void), net_threads(void), net_children(void), net_growth(void);
/* net_datagrams.c */
void net_udp(void), net_udp_errors(void), net_udp_control(void), net_multicast(void), net_udp_server(void);
/* net_local.c */
void net_local(void), net_abstract(void), net_passing(void);
#endif
