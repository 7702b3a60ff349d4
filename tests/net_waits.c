/* SPDX-License-Identifier: ISC */
/* Bodies of live_net.c: connects that wait for a listener whose queue is full, and what ends them. */
#include "tests/net.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>

static void timeout(int fd, int ms)
{
	struct timeval t = {ms / 1000, (ms % 1000) * 1000};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static struct place target;

/* Lets some of those that wait in. */
static void *let_in(void *arg)
{
	int *server = arg;
	usleep(150000);
	fcntl(*server, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 24; i++) {
		int fd = accept(*server, NULL, NULL);
		if (fd < 0)
			usleep(50000);
		else
			close(fd);
	}
	return NULL;
}

void net_waits(void)
{
	target = v4("127.0.0.1", 0);
	int full = full_listener(&target), fd = socket(AF_INET, SOCK_STREAM, 0);
	/* With a time limit: three ways to have begun. */
	int64_t began = net_ms();
	timeout(fd, 200);
	int e = connect_place(fd, &target);
	note("time limit: %s ", name_of(e));
	e = connect_place(fd, &target);
	note("and again %s, in time %d\n", name_of(e), net_ms() - began >= 390 && net_ms() - began < 5000);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	note("without waiting %s ", name_of(connect_place(fd, &target)));
	note("%s, events %x, error %s\n", name_of(connect_place(fd, &target)), (unsigned)wait_for(fd, POLLOUT, 20),
		name_of(socket_error(fd)));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	note("begun without waiting %s ", name_of(connect_place(fd, &target)));
	fcntl(fd, F_SETFL, 0);
	timeout(fd, 100);
	note("then with a limit %s\n", name_of(connect_place(fd, &target)));
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	note("given up %s, ", said(connect(fd, &none, sizeof(none))));
	note("begun again %s\n", name_of(connect_place(fd, &target)));
	close(fd);
	/* The kernel gives up by itself. */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	int ms = 300, one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &one, sizeof(one));
	began = net_ms();
	note("user timeout: %s, ", name_of(connect_place(fd, &target)));
	note("in time %d\n", net_ms() - began < 6000);
	close(fd);
	/* Its events. */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLOUT | EPOLLIN | EPOLLET, .data.u32 = 5};
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	e = connect_place(fd, &target);
	note("epoll: %s, again %s\n", name_of(e), name_of(connect_place(fd, &target)));
	int quiet = 1;
	while (epoll_wait(epoll, &event, 1, 30) > 0 && quiet < 10)
		quiet++;
	pthread_t thread;
	pthread_create(&thread, NULL, let_in, &full);
	int n = epoll_wait(epoll, &event, 1, 5000);
	note("then %d: %x, error %s, ", n, event.events & EPOLLOUT, name_of(socket_error(fd)));
	note("connect %s %s\n", name_of(connect_place(fd, &target)), name_of(connect_place(fd, &target)));
	/* And one that waits until it is let in. */
	int other = socket(AF_INET, SOCK_STREAM, 0);
	note("waited: %s\n", name_of(connect_place(other, &target)));
	close(other);
	close(fd);
	pthread_join(thread, NULL);
	close(epoll);
	close(full);
	/* One whose listener is gone. */
	struct place p = v4("127.0.0.1", 0);
	full = full_listener(&p);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	close(full);
	note("gone: %s\n", name_of(connect_place(fd, &p)));
	close(fd);
}

void net_signals(void)
{
	struct place p = v4("127.0.0.1", 0);
	int full = full_listener(&p);
	fcntl(full, F_SETFL, O_NONBLOCK);
	for (int limit = 0; limit < 2; limit++)
		for (int restart = 0; restart < 2; restart++) {
			int fd = socket(AF_INET, SOCK_STREAM, 0);
			if (limit)
				timeout(fd, 400);
			pid_t pid = 0;
			if (restart && !limit && (pid = fork()) == 0) {
				usleep(300000);
				for (int i = 0; i < 60; i++) {
					close(accept(full, NULL, NULL));
					usleep(50000);
				}
				_exit(0);
			}
			alarm_in(100, restart ? SA_RESTART : 0);
			int e = connect_place(fd, &p);
			note("limit %d, restart %d: %s after %d, ", limit, restart, name_of(e), alarms);
			fcntl(fd, F_SETFL, O_NONBLOCK);
			note("then %s\n", name_of(connect_place(fd, &p)));
			close(fd);
			if (pid) {
				end(pid);
				close(full);
				p = v4("127.0.0.1", 0);
				full = full_listener(&p);
				fcntl(full, F_SETFL, O_NONBLOCK);
			}
		}
	/* A signal that is ignored, and one that is blocked, end nothing. */
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	sigset_t set;
	timeout(fd, 250);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	alarm_in(80, 0);
	pid_t self = getpid(), pid = fork();
	if (pid == 0) {
		usleep(60000);
		kill(self, SIGUSR1);
		_exit(0);
	}
	note("ignored and blocked: %s after %d, ", name_of(connect_place(fd, &p)), alarms);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	note("then %d\n", alarms);
	waitpid(pid, NULL, 0);
	/* Stopped and continued. */
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	timeout(fd, 300);
	pid = fork();
	if (pid == 0) {
		usleep(50000);
		kill(self, SIGSTOP);
		usleep(100000);
		kill(self, SIGCONT);
		_exit(0);
	}
	int e = connect_place(fd, &p);
	note("stopped meanwhile: %s\n", name_of(e == EINTR ? EINPROGRESS : e));
	waitpid(pid, NULL, 0);
	close(fd);
	close(full);
}

static atomic_int cleaned;

static void clean(void *arg)
{
	close(*(int *)arg);
	cleaned++;
}

static void *waiter(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	(void)arg;
	pthread_cleanup_push(clean, &fd);
	connect_place(fd, &target);
	pthread_cleanup_pop(1);
	return (void *)7;
}

void net_cancel(void)
{
	pthread_t threads[8];
	void *result[8];
	target = v4("127.0.0.1", 0);
	int full = full_listener(&target);
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, waiter, NULL);
	usleep(100000);
	for (int i = 0; i < 8; i++)
		pthread_cancel(threads[i]);
	int64_t began = net_ms();
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], &result[i]);
	note("cancelled: %d %d, cleaned %d, soon %d\n", result[0] == PTHREAD_CANCELED, result[7] == PTHREAD_CANCELED,
		cleaned, net_ms() - began < 3000);
	close(full);
	usleep(20000);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	note("its port %s\n", name_of(bind_place(fd, &target)));
}

void net_killed(void)
{
	pid_t children[20];
	int threads = 0, descriptors = 0;
	target = v4("127.0.0.1", 0);
	int full = full_listener(&target);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < COUNT(children); i++)
			if ((children[i] = fork()) == 0) {
				alarm(20);
				connect_place(socket(AF_INET, SOCK_STREAM, 0), &target);
				_exit(0);
			}
		usleep(100000);
		int64_t began = net_ms();
		for (size_t i = 0; i < COUNT(children); i++)
			end(children[i]);
		note("killed, soon %d\n", net_ms() - began < 3000);
		usleep(200000);
		mark(MARK_COUNT);
		if (round == 0) {
			threads = net->threads;
			descriptors = net->descriptors;
			/* Others than root cannot look at its descriptors. */
			note("there is a broker: %d\n",
				!net->confined || (threads > 0 && (descriptors > 0 || geteuid() != 0)));
		}
	}
	if (net->descriptors > descriptors || net->threads > threads + (int)COUNT(children))
		note("broker: %d descriptors, were %d; %d threads, were %d\n", net->descriptors, descriptors,
			net->threads, threads);
	close(full);
}

#define WAITERS 300
static void *limited(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	(void)arg;
	timeout(fd, 4000);
	int e = connect_place(fd, &target);
	close(fd);
	return (void *)(uintptr_t)e;
}

/* More than any number of threads that a broker might have for them. */
void net_many_wait(void)
{
	pthread_t threads[WAITERS];
	pthread_attr_t attr;
	int made = 0, others = 0;
	target = v4("127.0.0.1", 0);
	int full = full_listener(&target);
	struct place open = v4("127.0.0.1", 0);
	int server = listener(&open, SOCK_STREAM, 10);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < WAITERS; i++)
		made += pthread_create(&threads[made], &attr, limited, NULL) == 0;
	usleep(300000);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int64_t began = net_ms();
	note("another listener: %s ", name_of(connect_place(fd, &open)));
	note("soon %d\n", net_ms() - began < 3500);
	for (int i = 0; i < made; i++) {
		void *e;
		pthread_join(threads[i], &e);
		if ((uintptr_t)e != EINPROGRESS && !others++)
			note("the first that is not EINPROGRESS: %s\n", name_of((int)(uintptr_t)e));
	}
	note("%d waited, %d otherwise\n", made, others);
	close(fd);
	close(server);
	close(full);
}
