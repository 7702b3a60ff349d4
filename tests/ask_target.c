/* SPDX-License-Identifier: ISC */
/* What the targets of live_ask.c do. Runs in them. */
#include "tests/ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static struct airlock_target *up;
static char said[4096];
static int other, spare;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	size_t at = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + at, sizeof(said) - at, format, args);
	va_end(args);
}

static void tell(void)
{
	while (airlock_send(up, said, strlen(said), -1) == -EAGAIN)
		usleep(1000);
	said[0] = 0;
}

static struct sockaddr_in at(int number)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int result(int r)
{
	return r < 0 ? errno : 0;
}

static int connects(int number)
{
	struct sockaddr_in to = at(number);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int e = result(connect(s, (struct sockaddr *)&to, sizeof(to)));
	close(s);
	return e;
}

/* ---- as calls ---- */

static ssize_t ask_connect(const void *in, size_t len, void *out, size_t cap)
{
	struct ask_call c;
	(void)out, (void)cap;
	if (len != sizeof(c))
		return -EINVAL;
	memcpy(&c, in, sizeof(c));
	return -connects(c.port);
}
AIRLOCK_FUNCTION(ask_connect)

static enum airlock_decision allows(void *arg, struct airlock_target *t, const struct airlock_question *q)
{
	(void)arg, (void)t, (void)q;
	return AIRLOCK_ALLOW_TARGET;
}

/* A target of its own: its policy may not ask, nor is the outer host asked. */
static ssize_t ask_nested(const void *in, size_t len, void *out, size_t cap)
{
	struct airlock_policy *p = NULL;
	struct airlock_target *t = NULL;
	(void)out, (void)cap;
	if (airlock_policy_new(&p, "stdio inet") < 0 || airlock_policy_ask(p, allows, NULL) != -EPERM)
		return -1000;
	int r = airlock_start(&t, p, NULL, NULL, NULL);
	if (r == 0)
		r = (int)airlock_call(t, "ask_connect", in, len, NULL, 0);
	airlock_free(t);
	airlock_policy_free(p);
	return r;
}
AIRLOCK_FUNCTION(ask_nested)

/* ---- as a program ---- */

static void twice(void)
{
	int first = connects(port);
	say("%d %d ", first, connects(port));
}

static void *connect_thread(void *arg)
{
	*(int *)arg = connects(*(int *)arg);
	return NULL;
}

static void family(void)
{
	pthread_t thread;
	int e = port, status = 0;
	say("%d ", connects(port));
	pthread_create(&thread, NULL, connect_thread, &e);
	pthread_join(thread, NULL);
	pid_t child = fork();
	if (child == 0)
		_exit(connects(port));
	waitpid(child, &status, 0);
	say("%d %d ", e, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void nonblocking(void)
{
	struct sockaddr_in to = at(port);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = -1;
	socklen_t len = sizeof(error);
	int e = result(connect(s, (struct sockaddr *)&to, sizeof(to)));
	struct pollfd p = {.fd = s, .events = POLLOUT};
	poll(&p, 1, 5000);
	getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len);
	say("%d %d ", e == EINPROGRESS ? 0 : e, error);
}

static void datagrams(void)
{
	struct sockaddr_in to[2] = {at(port), at(other)};
	struct iovec v = {"x", 1};
	struct mmsghdr many[2];
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	memset(many, 0, sizeof(many));
	for (int i = 0; i < 2; i++)
		many[i].msg_hdr = (struct msghdr){
			.msg_name = &to[i], .msg_namelen = sizeof(to[i]), .msg_iov = &v, .msg_iovlen = 1};
	say("%d ", result((int)sendto(s, "x", 1, 0, (struct sockaddr *)&to[0], sizeof(to[0]))));
	say("%d ", result((int)sendmsg(s, &many[0].msg_hdr, 0)));
	int n = sendmmsg(s, many, 2, 0);
	say("%d ", n < 0 ? -errno : n);
}

static void binds(void)
{
	struct sockaddr_in any = at(0), given = at(other);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	say("%d ", result(bind(s, (struct sockaddr *)&any, sizeof(any))));
	say("%d ", result(listen(s, 1)));
	say("%d ", result(listen(s, 2)));
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	say("%d ", result(bind(s, (struct sockaddr *)&given, sizeof(given))));
	say("%d ", result(listen(s, 1)));
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	say("%d ", result(listen(s, 1)));
	close(s);
}

/* One thread waits for an answer; the other goes on, and the first's is told when it comes. */
static void stalled(void)
{
	pthread_t thread;
	int e = port;
	pthread_create(&thread, NULL, connect_thread, &e);
	for (int i = 0; i < OTHERS; i++) {
		int fd = open(READABLE, O_RDONLY | O_CLOEXEC);
		say("%d ", fd < 0 ? errno : 0);
		close(fd);
	}
	tell();
	pthread_join(thread, NULL);
	say("%d ", e);
}

static atomic_int signals;

static void on_alarm(int signal)
{
	(void)signal;
	signals++;
}

static void interrupted(int flags)
{
	struct sigaction a = {.sa_handler = on_alarm, .sa_flags = flags};
	struct itimerval soon = {.it_value = {.tv_usec = 100000}};
	sigaction(SIGALRM, &a, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	int e = connects(port);
	say("%d %d ", e, signals);
	if (e == EINTR)
		say("%d ", connects(port));
}

static pthread_barrier_t barrier;
static atomic_int refused_now, allowed;

static void *flood_thread(void *arg)
{
	int number = *(int *)arg;
	pthread_barrier_wait(&barrier);
	int e = connects(number);
	refused_now += e == EACCES;
	allowed += e == 0;
	return NULL;
}

static void flood(bool same)
{
	pthread_t threads[FLOOD];
	int numbers[FLOOD];
	pthread_barrier_init(&barrier, NULL, FLOOD + 1);
	for (int i = 0; i < FLOOD; i++) {
		numbers[i] = same ? port : 1 + i;
		pthread_create(&threads[i], NULL, flood_thread, &numbers[i]);
	}
	pthread_barrier_wait(&barrier);
	/* What is refused at once comes without any answer: the host gives none before it hears of that. */
	for (int i = 0; i < 5000 && !same && refused_now < FLOOD - 64; i++)
		usleep(2000);
	if (same)
		usleep(500000);
	say("%d ", refused_now);
	tell();
	for (int i = 0; i < FLOOD; i++)
		pthread_join(threads[i], NULL);
	say("%d %d ", refused_now, allowed);
}

/* Answers of its own making, to every descriptor and number. */
static void forges(void)
{
	pthread_t thread;
	int e = port;
	pthread_create(&thread, NULL, connect_thread, &e);
	usleep(100000);
	for (uint32_t type = 8; type < 16; type++) {
		for (uint64_t id = 0; id < 4; id++) {
			const uint32_t head[] = {0x4b4c4241u, type, 16, 0};
			const uint32_t decision[] = {2, 0};
			char record[32];
			memcpy(record, head, sizeof(head));
			memcpy(record + 16, &id, sizeof(id));
			memcpy(record + 24, decision, sizeof(decision));
			for (int fd = 3; fd < 64; fd++)
				(void)!send(fd, record, sizeof(record), MSG_DONTWAIT | MSG_NOSIGNAL);
		}
	}
	tell(); /* an empty record: now it may be answered */
	pthread_join(thread, NULL);
	say("%d ", e);
}

/* What was allowed for the target is not for who gave up the promise; nor is what is answered after that. */
static void narrows(void)
{
	pthread_t thread;
	int e = other;
	say("%d ", connects(port));
	pthread_create(&thread, NULL, connect_thread, &e);
	usleep(200000);
	int narrowed = airlock_pledge("stdio rpath", NULL);
	tell();
	pthread_join(thread, NULL);
	say("%d %d ", narrowed, e);
	struct sockaddr_in to = at(port);
	say("%d ", result(connect(spare, (struct sockaddr *)&to, sizeof(to))));
}

/* More addresses than are remembered; connecting a datagram socket always works. */
static void forgets(void)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0), bad = 0;
	for (int i = 1; i <= REMEMBERED + 44; i++) {
		struct sockaddr_in to = at(i);
		bad += connect(s, (struct sockaddr *)&to, sizeof(to)) < 0;
	}
	for (int i = REMEMBERED + 44; i >= 44; i--) {
		struct sockaddr_in to = at(i);
		bad += connect(s, (struct sockaddr *)&to, sizeof(to)) < 0;
	}
	say("%d ", bad);
}

static int asker(struct airlock_target *starter, int argc, char **argv)
{
	const char *what = argc > 0 ? argv[0] : "";
	up = starter;
	port = argc > 1 ? atoi(argv[1]) : 0;
	other = argc > 2 ? atoi(argv[2]) : 0;
	spare = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (strcmp(what, "twice") == 0)
		twice();
	else if (strcmp(what, "family") == 0)
		family();
	else if (strcmp(what, "nonblocking") == 0)
		nonblocking();
	else if (strcmp(what, "datagrams") == 0)
		datagrams();
	else if (strcmp(what, "binds") == 0)
		binds();
	else if (strcmp(what, "stalled") == 0)
		stalled();
	else if (strcmp(what, "interrupted") == 0)
		interrupted(0);
	else if (strcmp(what, "restarted") == 0)
		interrupted(SA_RESTART);
	else if (strcmp(what, "flood") == 0)
		flood(false);
	else if (strcmp(what, "same") == 0)
		flood(true);
	else if (strcmp(what, "forges") == 0)
		forges();
	else if (strcmp(what, "narrows") == 0)
		narrows();
	else if (strcmp(what, "forgets") == 0)
		forgets();
	for (int i = 0; strcmp(what, "many") == 0 && i < MANY; i++)
		if (connects(1 + i % 999) != EACCES)
			say("%d ", i);
	say("done");
	tell();
	return 0;
}
AIRLOCK_ENTRY(asker)
