/* SPDX-License-Identifier: ISC */
/*
 * What a connection costs that the broker makes: socket+connect+close to a listener on loopback, natively and inside a
 * target, connect alone, and datagrams that name whom they are for. Then ten thousand in a row, and what they leave in
 * the broker: memory and descriptors.
 */
#include "bench/common.h"

#include <airlock.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#define ROUNDS 15
#define MANY 10000

struct job {
	bool alone; /* connect without socket and close */
	bool datagrams;
	int count;
	uint16_t port; /* in network order */
};

static int once(const struct job *j, struct samples *s)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = j->port};
	/* With a reset at its end, so that no port waits. */
	const struct linger reset = {1, 0};
	uint64_t from = now_ns();
	int fd = socket(AF_INET, (j->datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (j->alone || j->datagrams)
		from = now_ns();
	int e = j->datagrams ? (int)sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to))
			     : connect(fd, (struct sockaddr *)&to, sizeof(to));
	if (e < 0)
		e = -errno;
	if (j->alone || j->datagrams)
		sample(s, (double)(now_ns() - from));
	if (!j->datagrams)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	if (!j->alone && !j->datagrams)
		sample(s, (double)(now_ns() - from));
	return e;
}

static ssize_t run(const void *in, size_t len, void *out, size_t cap)
{
	static struct samples s;
	struct job j;

	if (len != sizeof(j) || cap < sizeof(double))
		return -EINVAL;
	memcpy(&j, in, sizeof(j));
	s.count = 0;
	for (int i = 0; i < j.count; i++) {
		int e = once(&j, &s);
		if (e < 0)
			return e;
	}
	double ns = median(&s);
	memcpy(out, &ns, sizeof(ns));
	return sizeof(ns);
}
AIRLOCK_FUNCTION(run)

static void measure(struct samples *s, struct airlock_target *t, const struct job *j)
{
	double ns = 0;
	ssize_t r = t ? airlock_call(t, "run", j, sizeof(*j), &ns, sizeof(ns)) : run(j, sizeof(*j), &ns, sizeof(ns));

	if (r < 0)
		fail("a connection", strerror((int)-r));
	if (s)
		sample(s, ns);
}

static int listener(int type, uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || (type == SOCK_STREAM && listen(fd, 4096) < 0) ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		fail("a listener", strerror(errno));
	*port = a.sin_port;
	return fd;
}

/* Takes what comes, in a process of its own. */
static pid_t server(int stream, int datagrams)
{
	char buf[16];
	pid_t pid = fork();
	if (pid)
		return pid;
	if (fork()) {
		for (int fd; (fd = accept(stream, NULL, NULL)) >= 0 || errno == ECONNABORTED;)
			if (fd >= 0)
				close(fd);
		_exit(0);
	}
	while (recv(datagrams, buf, sizeof(buf), 0) >= 0)
		;
	_exit(0);
}

/* The newest process that calls itself a broker of this program's; ours, unless two of these run. */
static int broker(void)
{
	char name[300], text[300];
	struct dirent *entry;
	int found = -1;
	DIR *d = opendir("/proc");

	while (d && (entry = readdir(d)) != NULL) {
		int pid = (int)strtol(entry->d_name, NULL, 10);
		snprintf(name, sizeof(name), "/proc/%s/cmdline", entry->d_name);
		FILE *f = pid > found ? fopen(name, "re") : NULL;
		size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
		text[n] = 0;
		if (f)
			fclose(f);
		if (strstr(text, "connect: airlock broker"))
			found = pid;
	}
	if (d)
		closedir(d);
	return found;
}

static void sizes(int pid, long *kib, int *descriptors)
{
	char name[64];
	char text[128];
	snprintf(name, sizeof(name), "/proc/%d/statm", pid);
	FILE *f = fopen(name, "re");
	char *resident = f && fgets(text, sizeof(text), f) ? strchr(text, ' ') : NULL;
	if (!resident)
		fail(name, "cannot be read");
	fclose(f);
	long pages = strtol(resident, NULL, 10);
	*kib = pages * (sysconf(_SC_PAGESIZE) / 1024);
	snprintf(name, sizeof(name), "/proc/%d/fd", pid);
	DIR *d = opendir(name);
	*descriptors = 0;
	while (d && readdir(d))
		++*descriptors;
	if (d)
		closedir(d);
	*descriptors -= d ? 2 : 0;
}

int main(int argc, char **argv)
{
	struct samples native = {0}, brokered = {0}, alone_native = {0}, alone = {0}, send_native = {0}, send = {0};
	struct airlock_policy *policy;
	struct airlock_target *t;
	char rule[2][64];
	uint16_t port[2];

	if (airlock_init(argc, argv) < 0)
		fail("start", airlock_message());
	setpgid(0, 0);
	int stream = listener(SOCK_STREAM, &port[0]), datagrams = listener(SOCK_DGRAM, &port[1]);
	pid_t pid = server(stream, datagrams);
	snprintf(rule[0], sizeof(rule[0]), "tcp:127.0.0.1:%u", ntohs(port[0]));
	snprintf(rule[1], sizeof(rule[1]), "udp:127.0.0.1:%u", ntohs(port[1]));
	if (airlock_policy_new(&policy, "stdio inet") < 0 || airlock_policy_connect(policy, rule[0]) < 0 ||
		airlock_policy_connect(policy, rule[1]) < 0 || airlock_start(&t, policy, NULL, NULL, NULL) < 0)
		fail("a target", airlock_message());
	const struct job both = {false, false, 300, port[0]}, connects = {true, false, 300, port[0]},
			 sends = {false, true, 300, port[1]}, many = {false, false, times(MANY, 100), port[0]};
	for (int round = 0; round < times(ROUNDS, 1); round++) {
		measure(&native, NULL, &both);
		measure(&brokered, t, &both);
		measure(&alone_native, NULL, &connects);
		measure(&alone, t, &connects);
		measure(&send_native, NULL, &sends);
		measure(&send, t, &sends);
	}
	double n = median(&native), a = median(&alone_native), d = median(&send_native);
	report("socket+connect+close to loopback, native", n, "", 0, "");
	report("socket+connect+close to loopback, brokered", median(&brokered), "native", n, "3 x");
	report("connect to loopback, native", a, "", 0, "");
	report("connect to loopback, brokered", median(&alone), "native", a, "");
	report("sendto with an address, native", d, "", 0, "");
	report("sendto with an address, brokered", median(&send), "native", d, "");
	long before, after;
	int descriptors, later, of = broker();
	if (of > 0) {
		sizes(of, &before, &descriptors);
		measure(NULL, t, &many);
		sizes(of, &after, &later);
		printf("the broker after %d connections\t%ld KiB\t%+ld KiB, %+d descriptors\t\n", MANY, after,
			after - before, later - descriptors);
	}
	airlock_free(t);
	airlock_policy_free(policy);
	fflush(stdout);
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM); /* both of the servers */
	waitpid(pid, NULL, 0);
	return 0;
}
