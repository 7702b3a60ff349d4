/* SPDX-License-Identifier: ISC */
/* What the bodies of live_net.c use. Runs natively and in targets. */
#include "tests/net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

void note_text(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	if (net->used + 500 < NOTES)
		net->used += (size_t)vsnprintf(net->notes + net->used, 500, format, args);
	va_end(args);
}

const char *name_of(int e)
{
	const char *name = e ? strerrorname_np(e) : "0";
	return name ? name : "?";
}

int errno_of(long result)
{
	return result < 0 ? errno : 0;
}

const char *said(long result)
{
	return name_of(errno_of(result));
}

void mark_awaited(void)
{
	for (int i = 0; i < 2000 && net->mark; i++)
		usleep(2000);
}

void mark(int what)
{
	net->mark = what;
	mark_awaited();
}

int64_t net_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct place v4(const char *ip, int port)
{
	struct place p = {.len = sizeof(struct sockaddr_in)};
	struct sockaddr_in *a = (struct sockaddr_in *)&p.to;
	a->sin_family = AF_INET;
	a->sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, ip, &a->sin_addr);
	return p;
}

struct place v6(const char *ip, int port)
{
	struct place p = {.len = sizeof(struct sockaddr_in6)};
	struct sockaddr_in6 *a = (struct sockaddr_in6 *)&p.to;
	a->sin6_family = AF_INET6;
	a->sin6_port = htons((uint16_t)port);
	inet_pton(AF_INET6, ip, &a->sin6_addr);
	return p;
}

struct place path(const char *name)
{
	struct place p = {.len = sizeof(struct sockaddr_un)};
	p.to.ss_family = AF_UNIX;
	strcpy(((struct sockaddr_un *)&p.to)->sun_path, name);
	return p;
}

struct place abstract(const char *suffix)
{
	struct place p = {.to.ss_family = AF_UNIX};
	int len = sprintf(((struct sockaddr_un *)&p.to)->sun_path + 1, "%s%s", net->abstract, suffix);
	p.len = (socklen_t)(sizeof(sa_family_t) + 1 + (size_t)len);
	return p;
}

int connect_place(int fd, const struct place *p)
{
	return errno_of(connect(fd, (const struct sockaddr *)&p->to, p->len));
}

int bind_place(int fd, const struct place *p)
{
	return errno_of(bind(fd, (const struct sockaddr *)&p->to, p->len));
}

struct place own_place(int fd)
{
	struct place p = {.len = sizeof(p.to)};
	getsockname(fd, (struct sockaddr *)&p.to, &p.len);
	return p;
}

int listener(struct place *p, int type, int backlog)
{
	int fd = socket(p->to.ss_family, type, 0);
	if (fd < 0 || bind_place(fd, p) || listen(fd, backlog)) {
		note("no listener: %s\n", name_of(errno));
		exit(20);
	}
	*p = own_place(fd);
	return fd;
}

int full_listener(struct place *p)
{
	int fd = listener(p, SOCK_STREAM, 0);
	for (int i = 0; i < 3; i++)
		connect_place(socket(p->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), p);
	usleep(20000);
	return fd;
}

void connected(const struct place *at, int type, int pair[2])
{
	struct place p = *at;
	int server = listener(&p, type, 5);
	pair[0] = socket(p.to.ss_family, type, 0);
	int e = connect_place(pair[0], &p);
	pair[1] = e ? -1 : accept(server, NULL, NULL);
	close(server);
	if (pair[1] < 0) {
		note("not connected: %s\n", name_of(e ? e : errno));
		exit(21);
	}
}

volatile int alarms;

static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

void alarm_in(int ms, int flags)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
	struct itimerval t = {.it_value = {ms / 1000, (ms % 1000) * 1000}};
	sigaction(SIGALRM, &action, NULL);
	alarms = 0;
	setitimer(ITIMER_REAL, &t, NULL);
}

int wait_for(int fd, short events, int ms)
{
	struct pollfd p = {fd, events, 0};
	int n = poll(&p, 1, ms);
	return n < 0 ? -1 : p.revents;
}

int socket_error(int fd)
{
	int e = -1;
	socklen_t len = sizeof(e);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
	return e;
}

void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
