/* SPDX-License-Identifier: ISC */
/* Bodies of live_net.c: many sockets, threads, children, and a broker that does not grow by them. */
#include "tests/net.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>

#define SOCKETS 200 /* of each end: 400 and what else there is are below FD_SETSIZE */

void net_loops(void)
{
	struct place p = v4("127.0.0.1", 0);
	int server = listener(&p, SOCK_STREAM, 400), epoll = epoll_create1(0), fds[SOCKETS], peers[SOCKETS], made = 0;
	struct pollfd polls[SOCKETS];
	for (int i = 0; i < SOCKETS; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u32 = (uint32_t)i};
		epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
		int e = connect_place(fds[i], &p);
		made += e == EINPROGRESS || e == 0;
		polls[i] = (struct pollfd){fds[i], POLLOUT, 0};
		peers[i] = accept(server, NULL, NULL);
	}
	note("%d begun, ", made);
	fd_set set;
	FD_ZERO(&set);
	int ready = 0, most = 0;
	for (int i = 0; i < SOCKETS; i++) {
		struct epoll_event event;
		ready += epoll_wait(epoll, &event, 1, 100);
		FD_SET(fds[i], &set);
		most = fds[i] > most ? fds[i] : most;
	}
	struct timeval t = {1, 0};
	note("epoll %d, poll %d, select %d\n", ready, poll(polls, SOCKETS, 100),
		select(most + 1, NULL, &set, NULL, &t));
	ready = 0;
	for (int i = 0; i < SOCKETS; i++) {
		char c;
		ready += socket_error(fds[i]) == 0 && send(fds[i], "x", 1, 0) == 1;
		close(fds[i]);
		bool came = recv(peers[i], &c, 1, 0) == 1;
		ready += came && recv(peers[i], &c, 1, 0) == 0; /* and then its end */
		close(peers[i]);
	}
	note("worked %d\n", ready);
	close(server);
}

static struct place target;

static void *connects(void *arg)
{
	uintptr_t good = 0;
	(void)arg;
	for (int i = 0; i < 63; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | (i % 3 ? SOCK_CLOEXEC : 0), 0);
		char c = 'c';
		int e = connect_place(fd, &target);
		good += e == 0 && send(fd, &c, 1, 0) == 1 && recv(fd, &c, 1, 0) == 0;
		close(fd);
	}
	return (void *)good;
}

static void *accepts(void *arg)
{
	for (int i = 0; i < 16 * 63; i++) {
		char c;
		int fd = accept(*(int *)arg, NULL, NULL);
		recv(fd, &c, 1, 0);
		close(fd);
	}
	return NULL;
}

void net_threads(void)
{
	pthread_t threads[16], accepter;
	target = v4("127.0.0.1", 0);
	int server = listener(&target, SOCK_STREAM, 100);
	uintptr_t sum = 0;
	pthread_create(&accepter, NULL, accepts, &server);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_create(&threads[i], NULL, connects, NULL);
	for (size_t i = 0; i < COUNT(threads); i++) {
		void *good;
		pthread_join(threads[i], &good);
		sum += (uintptr_t)good;
	}
	pthread_join(accepter, NULL);
	note("%d of %d\n", (int)sum, 16 * 63);
}

void net_children(void)
{
	struct place p = v4("127.0.0.1", 0);
	int server = listener(&p, SOCK_STREAM, 100), status = -1, shared, lowest = dup(0);
	volatile int e = -1;
	close(lowest);
	for (int i = 0; i < 3; i++) {
		pid_t pid = vfork();
		if (pid == 0) {
			int fd = socket(AF_INET, SOCK_STREAM, 0);
			e = connect_place(fd, &p);
			_exit(fd == lowest);
		}
		waitpid(pid, &status, 0);
		note("vfork: %s, %d\n", name_of(e), WEXITSTATUS(status));
		close(accept(server, NULL, NULL));
	}
	/* A parent that is gone, and one socket of many processes. */
	shared = socket(AF_INET, SOCK_STREAM, 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (fork() == 0) {
			usleep(50000);
			connect_place(shared, &p);
		}
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	int peer = accept(server, NULL, NULL);
	usleep(20000);
	note("connected by a grandchild: %s, %zd\n", name_of(connect_place(shared, &p)),
		send(shared, "x", 1, MSG_NOSIGNAL));
	close(peer);
	close(shared);
	/* Two processes connect one socket at once: one of them does. */
	int good = 0, told = 0;
	for (int i = 0; i < 20; i++) {
		shared = socket(AF_INET, SOCK_STREAM, 0);
		pid = fork();
		int own = connect_place(shared, &p);
		if (pid == 0)
			_exit(own);
		waitpid(pid, &status, 0);
		int other = WEXITSTATUS(status);
		good += own == 0 || other == 0;
		told += (own == 0 || own == EISCONN || own == EALREADY) &&
			(other == 0 || other == EISCONN || other == EALREADY);
		close(shared);
		close(accept(server, NULL, NULL));
	}
	note("one of two %d, as the kernel says %d\n", good, told);
	close(server);
}

void net_growth(void)
{
	struct place p = v4("127.0.0.1", 0);
	int server = listener(&p, SOCK_STREAM, 100), good = 0, threads = 0, descriptors = 0, kilobytes = 0;
	struct linger hard = {1, 0}; /* leaves no port in TIME_WAIT */
	for (int i = 0; i < 11000; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | (i % 2 ? SOCK_NONBLOCK : 0), 0);
		int e = connect_place(fd, &p);
		good += e == 0 || e == EINPROGRESS;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		int peer = accept(server, NULL, NULL);
		close(fd);
		close(peer);
		if (i == 1000) {
			mark(MARK_COUNT);
			threads = net->threads;
			descriptors = net->descriptors;
			kilobytes = net->kilobytes;
		}
	}
	mark(MARK_COUNT);
	note("%d connected, there is a broker: %d\n", good, net->confined ? net->threads > 0 : 1);
	if (net->threads > threads || net->descriptors > descriptors || net->kilobytes > kilobytes + 1024)
		note("broker: %d threads, were %d; %d descriptors, were %d; %d KiB, were %d\n", net->threads, threads,
			net->descriptors, descriptors, net->kilobytes, kilobytes);
	close(server);
}
