/* SPDX-License-Identifier: ISC */
/* What waits, what is interrupted, and messages: run natively and confined, with the same outcome. */
#include "tests/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t alarms, pipes;

static void on_alarm(int signal)
{
	alarms += signal == SIGALRM;
	pipes += signal == SIGPIPE;
}

/* And again and again, as the first one may come before there is something to interrupt. */
static void alarm_in(int ms, int flags)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
	struct itimerval t = {{0, ms * 1000}, {0, ms * 1000}};
	sigaction(SIGALRM, &action, NULL);
	alarms = 0;
	setitimer(ITIMER_REAL, &t, NULL);
}

/* Stops them. Whether there was one. */
static bool alarmed(void)
{
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	return alarms > 0;
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A process that accepts from one of the full listeners after a while. */
static pid_t accept_in(int fd, int ms)
{
	pid_t pid = fork();
	if (pid == 0) {
		usleep((useconds_t)ms * 1000);
		for (int i = 0; i < 20; i++) {
			close(accept(fd, NULL, NULL));
			usleep(100000);
		}
		_exit(0);
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int waiting_socket(const struct sockaddr_un *a, int ms)
{
	struct timeval t = {0, ms * 1000};
	int fd = socket(a->sun_family, SOCK_STREAM, 0);
	if (ms)
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	return fd;
}

static void refill(void)
{
	struct sockaddr_un a;
	socklen_t len = local(&a, "open/full");
	for (int i = 0; i < 3; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect_to(fd, &a, len); /* stays in the queue */
		close(fd);
	}
}

void same_waiting(void)
{
	struct sockaddr_un a;
	struct sockaddr_in b = v4("127.0.0.1", world->full);
	socklen_t len = local(&a, "open/full");
	int64_t began = now_ms();
	int fd = waiting_socket(&a, 0);
	alarm_in(100, 0);
	int e = connect_to(fd, &a, len);
	note("local, no restart: %s after alarms: %d\n", name_of(e), alarmed());
	alarm_in(100, SA_RESTART);
	pid_t pid = accept_in(world->slow_fd, 400);
	e = connect_to(fd, &a, len);
	note("local, restart: %s after alarms: %d\n", name_of(e), alarmed());
	end(pid);
	refill();
	close(fd);
	fd = waiting_socket(&a, 200);
	note("local, time limit: %s\n", name_of(connect_to(fd, &a, len)));
	alarm_in(60, SA_RESTART);
	e = connect_to(fd, &a, len);
	note("local, time limit and restart: %s after alarms: %d\n", name_of(e), alarmed());
	close(fd);

	fd = socket(AF_INET, SOCK_STREAM, 0);
	alarm_in(100, 0);
	e = connect_to(fd, &b, sizeof(b));
	note("tcp, no restart: %s after alarms: %d\n", name_of(e), alarmed());
	fcntl(fd, F_SETFL, O_NONBLOCK);
	note("tcp, still at it: %s\n", name_of(connect_to(fd, &b, sizeof(b))));
	fcntl(fd, F_SETFL, 0);
	struct timeval t = {0, 250000};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	note("tcp, time limit: %s\n", name_of(connect_to(fd, &b, sizeof(b))));
	alarm_in(60, SA_RESTART);
	e = connect_to(fd, &b, sizeof(b));
	note("tcp, time limit and restart: %s after alarms: %d\n", name_of(e), alarmed());
	close(fd);

	int pair[2];
	char c;
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	struct iovec v = {&c, 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
	note("nothing there: %s\n", name_of(errno_of(recvmsg(pair[0], &h, MSG_DONTWAIT))));
	alarm_in(100, 0);
	e = errno_of(recvmsg(pair[0], &h, 0));
	note("recvmsg, no restart: %s after alarms: %d\n", name_of(e), alarmed());
	pid = fork();
	if (pid == 0) {
		usleep(300000);
		_exit(write(pair[1], "y", 1) != 1);
	}
	alarm_in(100, SA_RESTART);
	e = errno_of(recvmsg(pair[0], &h, 0));
	note("recvmsg, restart: %s %c after alarms: %d\n", name_of(e), c, alarmed());
	end(pid);
	long took = (long)(now_ms() - began);
	note("in time: %d\n", took < 25000);
}

/* ---- messages without names and descriptors: stdio's ---- */

static void *reader(void *arg)
{
	char buf[65536];
	size_t sum = 0;
	ssize_t n;
	while ((n = read(*(int *)arg, buf, sizeof(buf))) > 0)
		sum += (size_t)n;
	return (void *)(uintptr_t)sum;
}

static void headers(int type)
{
	int pair[2];
	char buf[64];
	socketpair(AF_UNIX, type, 0, pair);
	static struct iovec many[1025];
	for (int i = 0; i < 1025; i++)
		many[i] = (struct iovec){"z", i < 4};
	struct iovec two[2] = {{"ab", 2}, {"cdef", 4}}, bad = {(void *)8, 5}, huge = {buf, (size_t)-1},
		     in[3] = {{buf, 3}, {buf + 3, 0}, {buf + 3, 20}};
	const struct {
		const char *name;
		struct msghdr h;
	} sends[] = {{"two parts", {.msg_iov = two, .msg_iovlen = 2}}, {"no parts", {.msg_iovlen = 0}},
		{"1024 parts", {.msg_iov = many, .msg_iovlen = 1024}},
		{"1025 parts", {.msg_iov = many, .msg_iovlen = 1025}}, {"bad part", {.msg_iov = &bad, .msg_iovlen = 1}},
		{"bad parts", {.msg_iov = (void *)8, .msg_iovlen = 1}},
		{"negative part", {.msg_iov = &huge, .msg_iovlen = 1}},
		{"name of no length", {.msg_name = buf, .msg_iov = two, .msg_iovlen = 2}},
		{"negative name", {.msg_name = buf, .msg_namelen = (socklen_t)-1, .msg_iov = two, .msg_iovlen = 2}},
		{"length of no name", {.msg_namelen = 5, .msg_iov = two, .msg_iovlen = 2}},
		{"length of no control", {.msg_controllen = 64, .msg_iov = two, .msg_iovlen = 1}},
		{"bad control", {.msg_control = (void *)8, .msg_controllen = 64, .msg_iov = two, .msg_iovlen = 1}},
		{"control of no length", {.msg_control = (void *)8, .msg_iov = two, .msg_iovlen = 2}}};
	for (size_t i = 0; i < sizeof(sends) / sizeof(sends[0]); i++) {
		ssize_t n = sendmsg(pair[0], &sends[i].h, MSG_DONTWAIT);
		note("%d %s: %zd %s\n", type, sends[i].name, n, name_of(errno_of(n)));
		memset(buf, '.', sizeof(buf));
		struct msghdr h = {.msg_name = buf + 40, .msg_namelen = 20, .msg_iov = in, .msg_iovlen = 3};
		n = recvmsg(pair[1], &h, MSG_DONTWAIT);
		note("back: %zd %s %.30s name %d control %zu flags %x\n", n, name_of(errno_of(n)), buf,
			(int)h.msg_namelen, h.msg_controllen, (unsigned)h.msg_flags);
	}
	struct msghdr h = {.msg_iov = &bad, .msg_iovlen = 1};
	note("send for bad %zd\n", send(pair[0], "12345", 5, 0));
	note("into bad memory %s\n", name_of(errno_of(recvmsg(pair[1], &h, MSG_DONTWAIT))));
	note("bad header %s %s\n", name_of(errno_of(syscall(SYS_recvmsg, pair[1], 8, MSG_DONTWAIT))),
		name_of(errno_of(syscall(SYS_sendmsg, pair[1], 8, MSG_DONTWAIT))));
	note("no descriptor %s, no socket %s\n", name_of(errno_of(syscall(SYS_recvmsg, -1, &h, 0))),
		name_of(errno_of(syscall(SYS_recvmsg, 2, &h, 0))));
	close(pair[0]);
	close(pair[1]);
}

static void large(void)
{
	int pair[2];
	pthread_t thread;
	void *sum;
	size_t bytes = 700000;
	char *data = malloc(bytes);
	memset(data, 'd', bytes);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	pthread_create(&thread, NULL, reader, &pair[1]);
	struct iovec v = {data, bytes};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
	note("%zu bytes: %zd\n", bytes, sendmsg(pair[0], &h, 0));
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	close(pair[0]);
	pthread_join(thread, &sum);
	note("arrived: %zu\n", (size_t)(uintptr_t)sum);
	close(pair[1]);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
	ssize_t n = sendmsg(pair[0], &h, 0);
	note("some, without waiting: %d, then %s\n", n > 1000 && n < (ssize_t)bytes,
		name_of(errno_of(sendmsg(pair[0], &h, 0))));
	struct iovec all = {data, 5000};
	h.msg_iov = &all;
	fcntl(pair[1], F_SETFL, 0);
	note("all of 5000: %zd\n", recvmsg(pair[1], &h, MSG_WAITALL));
	note("looked at: %zd\n", recvmsg(pair[1], &h, MSG_PEEK | MSG_DONTWAIT));
	close(pair[1]);
	struct sigaction action = {.sa_handler = on_alarm};
	sigaction(SIGPIPE, &action, NULL);
	pipes = 0;
	n = sendmsg(pair[0], &h, 0);
	note("broken: %s, told %d\n", name_of(errno_of(n)), pipes);
	n = sendmsg(pair[0], &h, MSG_NOSIGNAL);
	note("broken: %s, told %d\n", name_of(errno_of(n)), pipes);
	close(pair[0]);
	free(data);
}

static void many(void)
{
	int pair[2];
	char in[4][8] = {{0}};
	struct iovec v[4], w[4] = {{"one", 3}, {"two", 3}, {"three", 5}, {"long-long-long", 14}};
	struct mmsghdr s[4], r[4];
	memset(s, 0, sizeof(s));
	memset(r, 0, sizeof(r));
	for (int i = 0; i < 4; i++) {
		v[i] = (struct iovec){in[i], 8};
		s[i].msg_hdr.msg_iov = &w[i];
		r[i].msg_hdr.msg_iov = &v[i];
		s[i].msg_hdr.msg_iovlen = r[i].msg_hdr.msg_iovlen = 1;
	}
	socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
	note("sendmmsg %d: %u %u %u %u\n", sendmmsg(pair[0], s, 4, 0), s[0].msg_len, s[1].msg_len, s[2].msg_len,
		s[3].msg_len);
	note("recvmmsg %d: %u %u\n", recvmmsg(pair[1], r, 2, 0, NULL), r[0].msg_len, r[1].msg_len);
	note("the rest %d: %u %u, flags %x\n", recvmmsg(pair[1], r, 4, MSG_WAITFORONE, NULL), r[0].msg_len,
		r[1].msg_len, (unsigned)r[1].msg_hdr.msg_flags);
	note("%.8s %.8s\n", in[0], in[1]);
	note("none left %s\n", name_of(errno_of(recvmmsg(pair[1], r, 4, MSG_DONTWAIT, NULL))));
	struct timespec t = {0, 2000000000}, short_time = {0, 1};
	note("bad time %s\n", name_of(errno_of(recvmmsg(pair[1], r, 4, 0, &t))));
	sendmmsg(pair[0], s, 3, 0);
	note("short time %d\n", recvmmsg(pair[1], r, 4, 0, &short_time));
	close(pair[0]);
	close(pair[1]);
}

void same_messages(void)
{
	headers(SOCK_STREAM);
	headers(SOCK_DGRAM);
	headers(SOCK_SEQPACKET);
	large();
	many();
}

/* ---- with sendfd and recvfd ---- */

static ssize_t pass(int to, const int *fds, size_t count, size_t len)
{
	_Alignas(16) char control[CMSG_SPACE(300 * sizeof(int))] = {0};
	struct iovec v = {"f", 1};
	struct msghdr h = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = len ? len : CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	return sendmsg(to, &h, 0);
}

void same_descriptors(void)
{
	_Alignas(16) char control[CMSG_SPACE(300 * sizeof(int))];
	int pair[2], p[2], got[300], fds[300], bad[2] = {1, 999};
	char c;
	struct iovec v = {&c, 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	if (pipe(p))
		_exit(5);
	note("pass %zd\n", pass(pair[0], p, 2, 0));
	note("take %zd, %zu\n", recvmsg(pair[1], &h, MSG_CMSG_CLOEXEC), h.msg_controllen);
	memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&h)), 2 * sizeof(int));
	note("%d %d %zd\n", fcntl(got[0], F_GETFD), fcntl(got[1], F_GETFD), write(got[1], "w", 1));
	note("read %zd\n", read(p[0], &c, 1));
	for (int i = 0; i < 300; i++)
		fds[i] = p[0];
	note("253: %zd\n", pass(pair[0], fds, 253, 0));
	note("254: %s\n", name_of(errno_of(pass(pair[0], fds, 254, 0))));
	note("one that is not open: %s\n", name_of(errno_of(pass(pair[0], bad, 2, 0))));
	note("too long: %s\n", name_of(errno_of(pass(pair[0], fds, 2, 4000))));
	note("too short: %s\n", name_of(errno_of(pass(pair[0], fds, 2, 3))));
}
