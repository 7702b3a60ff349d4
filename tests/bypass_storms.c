/* SPDX-License-Identifier: ISC */
/* Arguments that another thread changes while a call is judged, and floods. Runs in the target. */
#include "tests/bypass.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static struct {
	struct sockaddr_in yes, no, address;
	struct msghdr message;
	struct mmsghdr many[2];
	int one, other, number;
	atomic_bool over;
} s;

static bool unconfined; /* nothing is refused, then */

static void *swap_port(void *arg)
{
	(void)arg;
	for (unsigned i = 0; !s.over; i++)
		__atomic_store_n(&s.address.sin_port, i / 16 % 2 ? s.no.sin_port : s.yes.sin_port, __ATOMIC_RELAXED);
	return NULL;
}

/* The header's pointer, and its length. */
static void *swap_message(void *arg)
{
	(void)arg;
	for (unsigned i = 0; !s.over; i++) {
		void *name = i / 16 % 2 ? &s.no : &s.yes;
		__atomic_store_n(&s.message.msg_name, name, __ATOMIC_RELAXED);
		__atomic_store_n(&s.many[1].msg_hdr.msg_name, name, __ATOMIC_RELAXED);
		__atomic_store_n(&s.message.msg_namelen, i % 3 ? sizeof(s.no) : 0, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *swap_number(void *arg)
{
	(void)arg;
	for (unsigned i = 0; !s.over; i++)
		dup2(i % 2 ? s.one : s.other, s.number);
	return NULL;
}

static void *swap_only(void *arg)
{
	(void)arg;
	for (int i = 0; !s.over; i++) {
		int only = i % 2;
		setsockopt(atomic_load((_Atomic int *)&s.number), SOL_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	}
	return NULL;
}

/* Whether there is anything to be swapped: a name that is allowed. */
static int begin(const struct net *n, pthread_t *thread, void *(*swaps)(void *), bool stream)
{
	s.yes = s.address = stream ? YES(n, tcp) : YES(n, udp);
	s.no = stream ? NO(n, tcp) : NO(n, udp);
	s.over = false;
	unconfined = n->tries < 1000;
	struct sockaddr_in yes = YES(n, udp);
	int e = SEND_TO(sock(AF_INET, SOCK_DGRAM, 0), yes);
	return e ? e : -pthread_create(thread, NULL, swaps, NULL);
}

/* So many times, and longer where nothing was swapped yet: with one processor it takes a while. */
static bool more(int i, int tries, int yes, int no)
{
	static time_t began;
	began = i ? began : time(NULL);
	return i < tries || (no + yes && (!yes || !no) && !unconfined && time(NULL) < began + 10);
}

static int end(pthread_t thread, int yes, int no, int wrong)
{
	s.over = true;
	pthread_join(thread, NULL);
	return wrong ? THROUGH : yes && no ? HELD : -ENODATA; /* both came, or it was no race */
}

/* What the kernel has connected it to is what was judged. */
static int race_connect(const struct net *n)
{
	pthread_t thread;
	int yes = 0, no = 0, wrong = 0, e = begin(n, &thread, swap_port, false), fd = sock(AF_INET, SOCK_DGRAM, 0);
	for (int i = 0; e == 0 && more(i, n->tries, yes, no); i++) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		int got = TO(fd, s.address);
		yes += got == 0;
		no += got == -EACCES;
		wrong += got != 0 && got != -EACCES;
		if (got == 0 && getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
			wrong += peer.sin_port != s.yes.sin_port;
	}
	return e ? e : end(thread, yes, no, wrong);
}

static int race_connect_stream(const struct net *n)
{
	pthread_t thread;
	int yes = 0, no = 0, wrong = 0, e = begin(n, &thread, swap_port, true);
	for (int i = 0; e == 0 && more(i, n->tries / 50, yes, no); i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), got = TO(fd, s.address);
		yes += got == 0;
		no += got == -EACCES;
		wrong += got != 0 && got != -EACCES;
		close(fd);
	}
	return e ? e : end(thread, yes, no, wrong);
}

/* The servers count. */
static int race_message(const struct net *n)
{
	pthread_t thread;
	struct iovec v = {"x", 1};
	int yes = 0, no = 0, e, fd = sock(AF_INET, SOCK_DGRAM, 0);
	s.message = (struct msghdr){&s.yes, sizeof(s.yes), &v, 1, NULL, 0, 0};
	s.many[0].msg_hdr = s.many[1].msg_hdr = s.message;
	e = begin(n, &thread, swap_message, false);
	for (int i = 0; e == 0 && more(i, n->tries / 4, yes, no); i++) {
		int got = i % 2                                        ? done(sendmsg(fd, &s.message, MSG_DONTWAIT))
			  : sendmmsg(fd, s.many, 2, MSG_DONTWAIT) == 2 ? 0
								       : -EACCES;
		yes += got == 0;
		no += got == -EACCES;
	}
	return e ? e : end(thread, yes, no, 0);
}

/* The rule is one for TCP: a datagram socket that has the number by then is not connected by it. */
static int race_number(const struct net *n)
{
	pthread_t thread;
	int yes = 0, no = 0, wrong = 0, e;
	s.one = sock(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	s.other = sock(AF_INET, SOCK_DGRAM, 0);
	s.number = s.other < 0 ? -1 : keep(dup(s.one));
	e = begin(n, &thread, swap_number, true);
	for (int i = 0; e == 0 && more(i, n->tries / 10, yes, no); i++) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		int got = TO(s.number, s.yes);
		yes += got == 0 || got == -EINPROGRESS || got == -EISCONN || got == -EALREADY;
		no += got == -EACCES;
		wrong += getpeername(s.other, (struct sockaddr *)&peer, &len) == 0;
	}
	return e ? e : end(thread, yes, no, wrong);
}

/* [::] may be bound without v4, which a socket hears that is told to at the right moment. */
static int race_only(const struct net *n)
{
	pthread_t thread;
	struct sockaddr_in6 a = v6("::", n->bind6_yes);
	int yes = 0, no = 0, wrong = 0, on = 1, e;
	s.number = -1;
	e = begin(n, &thread, swap_only, false);
	for (int i = 0; e == 0 && more(i, n->tries / 10, yes, no); i++) {
		int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), only = 1;
		socklen_t len = sizeof(only);
		setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		atomic_store((_Atomic int *)&s.number, fd);
		int got = done(bind(fd, (struct sockaddr *)&a, sizeof(a)));
		getsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &only, &len);
		atomic_store((_Atomic int *)&s.number, -1);
		yes += got == 0 && only == 1;
		no += got == -EACCES;
		wrong += got == 0 && only == 0;
		close(fd);
	}
	return e ? e : end(thread, yes, no, wrong);
}

/* ---- floods ---- */

/* No descriptor is left anywhere: many more are made than a process can have. */
static int flood_sockets(const struct net *n)
{
	for (int i = 0; i < n->tries; i++) {
		int fd = socket(AF_INET, i % 2 ? SOCK_STREAM : SOCK_DGRAM, 0);
		if (fd < 0)
			return -errno;
		close(fd);
	}
	return HELD;
}

static int flood_vectors(const struct net *n)
{
	static struct iovec v[65536];
	struct sockaddr_in yes = YES(n, udp);
	struct msghdr h = {&yes, sizeof(yes), v, 65536, NULL, 0, 0};
	int fd = sock(AF_INET, SOCK_DGRAM, 0);
	return fd < 0 ? fd : done(sendmsg(fd, &h, 0));
}

#define WAITING 260 /* more than a target may have that wait */
static atomic_int waiting;

static void *wait_for_peer(void *arg)
{
	const struct net *n = arg;
	struct sockaddr_in full = v4("127.0.0.1", n->tcp_full);
	struct timeval soon = {0, 300000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	waiting++;
	(void)TO(fd, full);
	close(fd);
	return NULL;
}

/* As many connections as there can be wait; what else is asked is answered. */
static int flood_waiting(const struct net *n)
{
	static pthread_t threads[WAITING];
	pthread_attr_t attr;
	struct timespec before, after;
	struct sockaddr_in yes = YES(n, tcp);
	int count = 0, e = TO(sock(AF_INET, SOCK_STREAM, 0), yes);
	if (e)
		return e;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	waiting = 0;
	while (count < WAITING && pthread_create(&threads[count], &attr, wait_for_peer, (void *)(size_t)n) == 0)
		count++;
	for (int i = 0; i < 500 && waiting < count; i++)
		usleep(1000);
	clock_gettime(CLOCK_MONOTONIC, &before);
	int fd = keep(open("/dev/null", O_RDONLY | O_CLOEXEC));
	e = fd < 0 ? fd : TO(sock(AF_INET, SOCK_STREAM, 0), yes);
	clock_gettime(CLOCK_MONOTONIC, &after);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	pthread_attr_destroy(&attr);
	long ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	return e ? e : count < WAITING ? -EAGAIN : ms > 5000 ? -ETIME : HELD;
}

#define RACE "inet:HELD all:EACCES EPERM"
const struct try tries_storms[] = {
	{"race_connect", race_connect, RACE, 0},
	{"race_connect_stream", race_connect_stream, RACE, 0},
	{"race_message", race_message, RACE, 0},
	{"race_number", race_number, RACE, 0},
	{"race_only", race_only, RACE, 0},
	{"flood_sockets", flood_sockets, "inet:HELD all:HELD dns:HELD EPERM", 0},
	{"flood_vectors", flood_vectors, "inet:EMSGSIZE all:EMSGSIZE dns:EMSGSIZE EPERM", 0},
	{"flood_waiting", flood_waiting, RACE, 0},
	{0},
};
