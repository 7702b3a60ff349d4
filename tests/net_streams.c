/* SPDX-License-Identifier: ISC */
/* Bodies of live_net.c: servers, what peers see of an end, data that is no ordinary data, and happy eyeballs. */
#include "tests/net.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

void net_accept(void)
{
	struct place p = v4("127.0.0.1", 0), from = {.len = sizeof(from.to)};
	int server = listener(&p, SOCK_STREAM, 2), c[8];
	alarm_in(60, 0);
	note("interrupted %s\n", said(accept(server, NULL, NULL)));
	alarm_in(60, SA_RESTART);
	pid_t pid = fork();
	if (pid == 0) {
		usleep(150000);
		connect_place(socket(AF_INET, SOCK_STREAM, 0), &p);
		usleep(100000);
		_exit(0);
	}
	int fd = accept4(server, (struct sockaddr *)&from.to, &from.len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	note("restarted %s after %d, %d %#x, length %u\n", said(fd), alarms, fcntl(fd, F_GETFD),
		(unsigned)fcntl(fd, F_GETFL), from.len);
	close(fd);
	waitpid(pid, NULL, 0);
	note("bad flags %s, bad address %s\n", said(accept4(server, NULL, NULL, 0x1000)),
		said(syscall(SYS_accept, c[0] = dup(0), (void *)8, (void *)8)));
	/* The queue overflows. */
	for (size_t i = 0; i < COUNT(c); i++) {
		c[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect_place(c[i], &p);
	}
	usleep(20000);
	for (size_t i = 0; i < COUNT(c); i++)
		note("%x ", (unsigned)wait_for(c[i], POLLOUT, 0));
	note("queued\n");
	for (size_t i = 0; i < COUNT(c); i++)
		close(c[i]);
	close(server);
	/* Several processes accept from one. */
	p = v4("127.0.0.1", 0);
	server = listener(&p, SOCK_STREAM, 50);
	pid_t children[4];
	for (size_t i = 0; i < COUNT(children); i++)
		if ((children[i] = fork()) == 0)
			for (;;) {
				int peer = accept(server, NULL, NULL);
				char ch;
				while (recv(peer, &ch, 1, 0) == 1)
					send(peer, &ch, 1, MSG_NOSIGNAL);
				close(peer);
			}
	int sum = 0;
	for (int i = 0; i < 100; i++) {
		char ch = 'e';
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect_place(fd, &p) == 0 && send(fd, &ch, 1, 0) == 1 && recv(fd, &ch, 1, 0) == 1)
			sum++;
		close(fd);
	}
	for (size_t i = 0; i < COUNT(children); i++)
		end(children[i]);
	note("served %d\n", sum);
	close(server);
}

/* Peers see the end at once: nobody else holds a socket longer than its owner. */
void net_close(void)
{
	struct place p = v4("127.0.0.1", 0);
	int server = listener(&p, SOCK_STREAM, 50), late = 0, taken = 0, epoll = epoll_create1(0);
	struct linger hard = {1, 0};
	for (int i = 0; i < 400; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | (i & 1 ? SOCK_NONBLOCK : 0), 0);
		connect_place(fd, &p);
		int peer = accept(server, NULL, NULL);
		char c;
		if (i & 2)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(fd);
		ssize_t n = recv(peer, &c, 1, MSG_DONTWAIT);
		late += i & 2 ? !(n < 0 && errno == ECONNRESET) : n != 0;
		close(peer);
	}
	note("late ends: %d\n", late);
	close(server);
	for (int i = 0; i < 100; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		taken += bind_place(fd, &p) != 0;
		listen(fd, 1);
		close(fd);
	}
	note("a port not free at once: %d\n", taken);
	/* A registration ends with the last descriptor. */
	int left = 0;
	for (int i = 0; i < 50; i++) {
		struct place q = v4("127.0.0.1", 0);
		int pair[2];
		connected(&q, SOCK_STREAM, pair);
		struct epoll_event event = {.events = EPOLLIN};
		epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &event);
		if (send(pair[1], "x", 1, 0) == 1)
			close(pair[0]);
		left += epoll_wait(epoll, &event, 1, 0);
		close(pair[1]);
	}
	note("events of what is closed: %d\n", left);
	/* Where a child has it, too, the end comes with the child's. */
	struct place q = v4("127.0.0.1", 0);
	int pair[2];
	char c;
	connected(&q, SOCK_STREAM, pair);
	pid_t pid = fork();
	if (pid == 0) {
		usleep(100000);
		_exit(0);
	}
	close(pair[0]);
	note("held by a child %s, ", said(recv(pair[1], &c, 1, MSG_DONTWAIT)));
	note("then %zd\n", recv(pair[1], &c, 1, 0));
	waitpid(pid, NULL, 0);
	close(pair[1]);
	close(epoll);
}

static void *drain(void *arg)
{
	char buf[65536];
	size_t sum = 0;
	ssize_t n;
	while ((n = recv(*(int *)arg, buf, sizeof(buf), 0)) > 0)
		sum += (size_t)n;
	return (void *)(uintptr_t)sum;
}

static void *feed(void *arg)
{
	static char data[65536];
	for (int i = 0; i < 80; i++) {
		if (send(*(int *)arg, data, sizeof(data), MSG_NOSIGNAL) < 0)
			break;
	}
	return NULL;
}

/* One call each way moves all of it, however much that is. */
static void large(void)
{
	struct place p = v4("127.0.0.1", 0);
	pthread_t thread;
	void *sum;
	int pair[2];
	size_t len = 3 << 20;
	char *data = calloc(2, len);
	struct iovec v[3] = {{data, len / 3}, {data + len, 1}, {data + 5, len}};
	struct msghdr h = {.msg_iov = v, .msg_iovlen = 3};
	connected(&p, SOCK_STREAM, pair);
	pthread_create(&thread, NULL, drain, &pair[1]);
	note("sendmsg %zd ", sendmsg(pair[0], &h, 0));
	note("writev %zd\n", writev(pair[0], v, 3));
	shutdown(pair[0], SHUT_WR);
	pthread_join(thread, &sum);
	note("came %zu\n", (size_t)(uintptr_t)sum);
	pthread_create(&thread, NULL, feed, &pair[1]);
	note("recvmsg all %zd, flags %x\n", recvmsg(pair[0], &h, MSG_WAITALL), (unsigned)h.msg_flags);
	close(pair[0]);
	pthread_join(thread, NULL);
	close(pair[1]);
	free(data);
}

void net_streams(void)
{
	struct place any[] = {v4("127.0.0.1", 0), v6("::1", 0)};
	for (size_t i = 0; i < COUNT(any); i++) {
		char buf[64] = "";
		int pair[2], n = -1, file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), pipes[2];
		connected(&any[i], SOCK_STREAM, pair);
		note("peek: %zd %zd ", send(pair[0], "abcdef", 6, 0), recv(pair[1], buf, 3, MSG_PEEK));
		ioctl(pair[1], FIONREAD, &n);
		note("%s, %d there, ", buf, n);
		note("%zd %s\n", recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT), buf);
		note("cut off: %zd %zd %zd\n", send(pair[0], "123456", 6, 0), recv(pair[1], NULL, 4, MSG_TRUNC),
			recv(pair[1], buf, 9, MSG_DONTWAIT));
		note("urgent: %zd ", send(pair[0], "12!", 3, MSG_OOB));
		note("events %x, ", (unsigned)wait_for(pair[1], POLLPRI | POLLIN, 1000));
		int at = -1;
		ioctl(pair[1], SIOCATMARK, &at);
		note("mark %d, %zd, ", at, recv(pair[1], buf, 10, 0));
		ioctl(pair[1], SIOCATMARK, &at);
		note("mark %d, %zd %c\n", at, recv(pair[1], buf, 1, MSG_OOB), buf[0]);
		note("outq %s %d\n", said(ioctl(pair[0], SIOCOUTQ, &n)), n >= 0);
		if (write(file, "sent by the kernel", 18) == 18)
			lseek(file, 0, SEEK_SET);
		memset(buf, 0, sizeof(buf));
		note("sendfile %zd, came %zd %s\n", sendfile(pair[0], file, NULL, 100),
			recv(pair[1], buf, sizeof(buf), 0), buf);
		struct iovec v[2] = {{"one", 3}, {"two", 3}};
		if (pipe(pipes) == 0 && write(pipes[1], "spliced", 7) == 7) {
			ssize_t in = splice(pipes[0], NULL, pair[0], NULL, 7, 0);
			note("splice %s, writev %zd, readv ", in == 7 ? "7" : said(in), writev(pair[0], v, 2));
		}
		v[0] = (struct iovec){buf, 4};
		v[1] = (struct iovec){buf + 10, 20};
		note("%d\n", readv(pair[1], v, 2) > 3);
		note("shut %s, ", said(shutdown(pair[0], SHUT_WR)));
		while (recv(pair[1], buf, sizeof(buf), 0) > 0)
			;
		note("write %s, back %zd ", said(send(pair[0], "x", 1, MSG_NOSIGNAL)), send(pair[1], "still", 5, 0));
		note("%zd, ", recv(pair[0], buf, sizeof(buf), 0));
		note("again %s %s, not connected %s\n", said(shutdown(pair[0], SHUT_RDWR)), said(shutdown(pair[0], 77)),
			said(shutdown(socket(AF_INET, SOCK_STREAM, 0), SHUT_RD)));
		struct linger hard = {1, 0};
		close(pair[1]);
		close(pair[0]);
		connected(&any[i], SOCK_STREAM, pair);
		setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(pair[0]);
		note("reset: %x ", (unsigned)wait_for(pair[1], POLLIN, 1000));
		note("%s, ", said(recv(pair[1], buf, 1, 0)));
		note("then %zd, send %s\n", recv(pair[1], buf, 1, 0), said(send(pair[1], "x", 1, MSG_NOSIGNAL)));
		signal(SIGPIPE, SIG_IGN);
		struct msghdr h = {.msg_iov = v, .msg_iovlen = 1};
		note("sendmsg %s\n", said(sendmsg(pair[1], &h, 0)));
		close(pair[1]);
		close(file);
		close(pipes[0]);
		close(pipes[1]);
	}
	large();
}

/* v6 and v4 at once: the first that is connected counts. */
void net_happy(void)
{
	for (int kind = 0; kind < 3; kind++) {
		struct place six = v6("::1", 0), four = v4("127.0.0.1", 0);
		int s6 = kind == 1 ? full_listener(&six) : listener(&six, SOCK_STREAM, 5),
		    s4 = listener(&four, SOCK_STREAM, 5);
		if (kind == 2)
			close(s6); /* refused */
		int fds[2] = {socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0),
			socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
		int e[2] = {connect_place(fds[0], &six), 0};
		struct pollfd p[2] = {{fds[0], POLLOUT, 0}, {fds[1], POLLOUT, 0}};
		int n = poll(p, 1, 50), error = n ? socket_error(fds[0]) : -1;
		note("%d: v6 %s, %d, %s; ", kind, name_of(e[0]), n, n ? name_of(error) : "waits");
		e[1] = connect_place(fds[1], &four);
		n = poll(p + 1, 1, 1000);
		note("v4 %s, %d %x\n", name_of(e[1]), n, (unsigned)p[1].revents);
		close(fds[0]);
		note("the winner: %zd\n", send(fds[1], "x", 1, 0));
		close(fds[1]);
		close(s4);
		if (kind != 2)
			close(s6);
	}
}
