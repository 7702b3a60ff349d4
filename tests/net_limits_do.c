/* SPDX-License-Identifier: ISC */
/* What live_net_limits.c's targets do. Runs in a target, or in a process that has confined itself. */
#include "tests/net_limits.h"

#include "sandbox/airlock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct ports *ports;
static char bytes[65536];

struct sockaddr_in v4_of(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static int connect_once(int port)
{
	struct sockaddr_in a = v4_of("127.0.0.1", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int e = connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
	close(fd);
	return e;
}

/* How many of so many get through. */
static int burst(int count, int port, int expected)
{
	int through = 0;
	for (int i = 0; i < count; i++) {
		int e = connect_once(port);
		if (e != expected && e != EAGAIN)
			return -e;
		through += e == expected;
	}
	return through;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- connects=10 ---- */

static int connects(void)
{
	double began = now();
	int n = burst(60, ports->refused, ECONNREFUSED), most = 11 + (int)((now() - began) * 10);
	if (n < 10 || n > most)
		return 1;
	usleep(350000);
	n = burst(10, ports->tcp, 0);
	return n >= 3 && n <= 5 + (int)((now() - began) * 10) ? 0 : 2;
}

/* One for all processes. */
static int family(void)
{
	double began = now();
	int n = 0, status;
	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(burst(20, ports->refused, ECONNREFUSED));
		waitpid(pid, &status, 0);
		n += WEXITSTATUS(status);
	}
	return n >= 10 && n <= 11 + (int)((now() - began) * 10) ? 0 : 1;
}

static int send_to(int fd, const char *ip, int port)
{
	struct sockaddr_in a = v4_of(ip, port);
	return sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
}

/* To go on sending to the same ones is to begin nothing. */
static int datagrams(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), late = 0, fresh = 0;
	double began = now();
	for (int i = 0; i < 200; i++)
		if (send_to(fd, "127.0.0.1", i % 2 ? ports->udp : ports->refused))
			return 1;
	for (int i = 1; i <= 60; i++) {
		int e = send_to(fd, "127.0.0.1", 20000 + i);
		late += e == EAGAIN;
		fresh += e == 0;
	}
	return late && fresh >= 8 && fresh <= 9 + (int)((now() - began) * 10) ? 0 : 2;
}

/* Local sockets count, and what only unmakes a connection does not. */
static int others(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/run/airlock-nobody-is-here"};
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	for (int i = 0; i < 100; i++)
		if (connect(fd, &none, sizeof(none)))
			return 1;
	double began = now();
	int through = 0;
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	for (int i = 0; i < 40; i++) {
		if (!connect(fd, (struct sockaddr *)&a, sizeof(a)) || (errno != ENOENT && errno != EAGAIN))
			return 2;
		through += errno == ENOENT;
	}
	/* What is not there is no connection. */
	return through == 40 && burst(30, ports->refused, ECONNREFUSED) <= 11 + (int)((now() - began) * 10) ? 0 : 3;
}

static int none(void)
{
	return burst(5, ports->tcp, 0);
}

/* ---- traffic=1M ---- */

static int client(int domain)
{
	struct sockaddr_in a = v4_of("127.0.0.1", ports->tcp);
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)ports->tcp6)};
	inet_pton(AF_INET6, "::1", &a6.sin6_addr);
	int fd = socket(domain, SOCK_STREAM, 0);
	if (connect(fd, domain == AF_INET ? (void *)&a : (void *)&a6, domain == AF_INET ? sizeof(a) : sizeof(a6)))
		return -1;
	return fd;
}

static int pour(int fd, size_t len)
{
	for (ssize_t n; len; len -= (size_t)n) {
		n = write(fd, bytes, len < sizeof(bytes) ? len : sizeof(bytes));
		if (n <= 0)
			return 1;
	}
	return 0;
}

/* Long enough for a look; whoever is to be ended does not come back from here. */
static int linger(void)
{
	usleep(1500000);
	return 0;
}

static int little(void)
{
	int fd = client(AF_INET);
	return pour(fd, 600000) || linger();
}

static int much(void)
{
	int fd = client(AF_INET);
	return pour(fd, 3000000) || linger();
}

static int much6(void)
{
	int fd = client(AF_INET6);
	return pour(fd, 3000000) || linger();
}

/* Each is gone before anybody looks. */
static int many(void)
{
	for (int i = 0; i < 30; i++) {
		int fd = client(AF_INET);
		if (pour(fd, 60000))
			return 1;
		close(fd);
	}
	return linger();
}

/* The kernel counts anew with each connection that a socket has. */
static int again(void)
{
	struct sockaddr none_at_all = {.sa_family = AF_UNSPEC};
	struct sockaddr_in a = v4_of("127.0.0.1", ports->tcp);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	for (int i = 0; i < 30; i++) {
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) || pour(fd, 60000) ||
			connect(fd, &none_at_all, sizeof(none_at_all)))
			return 1;
	}
	return linger();
}

static int not_waiting(void)
{
	struct sockaddr_in a = v4_of("127.0.0.1", ports->tcp);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS)
		return 1;
	usleep(100000);
	fcntl(fd, F_SETFL, 0);
	return pour(fd, 3000000) || linger();
}

static int udp(void)
{
	struct sockaddr_in a = v4_of("127.0.0.1", ports->udp);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	for (int i = 0; i < 60; i++)
		if (sendto(fd, bytes, 30000, 0, (struct sockaddr *)&a, sizeof(a)) != 30000)
			return 1;
	return linger();
}

/* The host pours in. */
static int accepts(void)
{
	struct sockaddr_in a = v4_of("127.0.0.1", atoi(OWN_PORT));
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 100))
		return 1;
	for (int i = 0; i < 30; i++) {
		int peer = accept(fd, NULL, NULL);
		while (read(peer, bytes, sizeof(bytes)) > 0)
			;
		close(peer);
	}
	return linger();
}

/* One that it starts itself uses up what is its own. */
static int nests(void)
{
	struct airlock_policy *p;
	struct airlock_target *t;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	char text[200], udp_port[16], tcp_port[16], *argv[] = {"many", tcp_port, "0", udp_port, "0", NULL};
	snprintf(text, sizeof(text), "pledge stdio inet\nconnect tcp:127.0.0.1:%d\n", ports->tcp);
	snprintf(tcp_port, sizeof(tcp_port), "%d", ports->tcp);
	snprintf(udp_port, sizeof(udp_port), "%d", ports->udp);
	if (airlock_policy_parse(&p, text) || airlock_start(&t, p, "net_body", argv, NULL))
		return 1;
	airlock_wait(t, &status, 5000);
	return linger();
}

static int forks(void)
{
	if (fork() == 0)
		for (;;)
			pause();
	return much();
}

/* ---- what the log is to bear ---- */

static int logged(void)
{
	struct sockaddr_in a = v4_of("127.0.0.1", ports->udp), b = v4_of("127.0.0.1", ports->refused);
	struct sockaddr_un u = {.sun_family = AF_UNIX};
	struct iovec v = {bytes, 10};
	struct mmsghdr many_of[3] = {{.msg_hdr = {&a, sizeof(a), &v, 1, NULL, 0, 0}},
		{.msg_hdr = {&a, sizeof(a), &v, 1, NULL, 0, 0}}, {.msg_hdr = {&b, sizeof(b), &v, 1, NULL, 0, 0}}};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_DGRAM, 0);
	connect_once(ports->tcp);
	connect_once(ports->refused);
	sendmmsg(fd, many_of, 3, 0);
	for (int first = 0; first < 256; first++) {
		for (size_t i = 0; i < sizeof(u.sun_path); i++)
			u.sun_path[i] = (char)(i * 7 + (size_t)first);
		(void)!connect(local, (struct sockaddr *)&u, sizeof(u));
		(void)!bind(local, (struct sockaddr *)&u, sizeof(u) - (socklen_t)(first % 100));
		u.sun_path[0] = first % 2 ? '/' : 0;
		sendto(local, "x", 1, 0, (struct sockaddr *)&u, sizeof(u));
		char path[5000];
		memset(path, first ? first : '"', sizeof(path) - 1);
		path[first % 3 ? 4000 : 100] = 0;
		path[0] = '/';
		rename(path, path);
		open(path, O_RDONLY);
	}
	socket(AF_PACKET, SOCK_RAW, 0);
	return 0;
}

/* ---- ports that take a capability ---- */

static int bind_at(const char *ip, int port)
{
	struct sockaddr_in a = v4_of(ip, port);
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1, value = 0;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	int e = bind(fd, (struct sockaddr *)&a, sizeof(a)) ? errno : 0;
	if (e == 0) {
		len = sizeof(value);
		if (getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, &len) || !value || listen(fd, 1))
			e = 1;
		len = sizeof(a);
		if (getsockname(fd, (struct sockaddr *)&a, &len) || ntohs(a.sin_port) != port)
			e = 1;
	}
	close(fd);
	return e;
}

static int low(void)
{
	return bind_at("127.0.0.9", LOW);
}

static int low_others(void)
{
	return bind_at("127.0.0.9", LOW + 1) == EACCES && bind_at("127.0.0.8", LOW) == EACCES &&
			       bind_at("0.0.0.0", LOW) == EACCES
		       ? 0
		       : 1;
}

/* By one that it starts itself: it has no binder. */
static int low_nested(void)
{
	struct airlock_policy *p;
	struct airlock_target *t;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	char text[200], *argv[] = {"low", "0", "0", "0", "0", NULL};
	snprintf(text, sizeof(text), "pledge stdio inet\nbind tcp:127.0.0.9:%d\n", LOW);
	if (airlock_policy_parse(&p, text) || airlock_start(&t, p, "net_body", argv, NULL))
		return 1;
	airlock_wait(t, &status, 5000);
	return status.end == AIRLOCK_EXITED ? status.code : 1;
}

static const struct {
	const char *name;
	int (*run)(void);
} bodies[] = {{"connects", connects}, {"family", family}, {"datagrams", datagrams}, {"others", others}, {"none", none},
	{"little", little}, {"much", much}, {"much6", much6}, {"many", many}, {"again", again},
	{"not_waiting", not_waiting}, {"udp", udp}, {"accepts", accepts}, {"nests", nests}, {"forks", forks},
	{"logged", logged}, {"low", low}, {"low_others", low_others}, {"low_nested", low_nested}};

int body_run(const char *name, const struct ports *p)
{
	ports = p;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		if (!strcmp(bodies[i].name, name))
			return bodies[i].run();
	return 99;
}

static int net_body(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	if (argc < 5)
		return 98;
	struct ports p = {atoi(argv[1]), atoi(argv[2]), atoi(argv[3]), atoi(argv[4])};
	return body_run(argv[0], &p);
}
AIRLOCK_ENTRY(net_body)
