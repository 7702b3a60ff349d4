/* SPDX-License-Identifier: ISC */
/* Live tests of a broker that may have few descriptors: a target with hundreds of threads that wait in calls on sockets leaves
 * enough of them for others. */
#include "sandbox/airlock.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIMIT 512 /* of descriptors, in all processes here */
#define MOST (LIMIT / 4 / 2) /* calls that wait, by docs/DESIGN.md */
#define CONNECTS 150
#define THREADS 600
#define NET_S 60

/* ---- in the target ---- */

struct crowd {
	int began, refused, others; /* threads: in all, whose call was EAGAIN, was something else */
};
static atomic_int refused, others;
static struct sockaddr_in full;
static int silent;

static void *connects(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)arg;
	if (fd < 0 || connect(fd, (struct sockaddr *)&full, sizeof(full)) == 0 || errno != EAGAIN)
		others++;
	else
		refused++;
	return NULL;
}

static void *receives(void *arg)
{
	char byte;
	struct iovec v = {&byte, 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
	(void)arg;
	if (recvmsg(silent, &h, 0) >= 0 || errno != EAGAIN)
		others++;
	else
		refused++;
	return NULL;
}

/* All wait that may; argv[1] is a port where nobody accepts. */
static int flood(struct airlock_target *host, int argc, char **argv)
{
	struct crowd c = {0};
	pthread_t thread;
	pthread_attr_t attr;
	time_t until = time(NULL) + NET_S;
	if (argc != 2)
		return 1;
	full = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argv[1])),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	while (c.began < THREADS && pthread_create(&thread, &attr, c.began < CONNECTS ? connects : receives, NULL) == 0)
		c.began++;
	do {
		usleep(5000);
		c.refused = refused;
		c.others = others;
	} while (c.began - c.refused - c.others > MOST && time(NULL) < until);
	airlock_send(host, &c, sizeof(c), -1);
	pause();
	return 0;
}
AIRLOCK_ENTRY(flood)

static ssize_t reaches(const void *in, size_t len, void *out, size_t cap)
{
	struct sockaddr_in open_port;
	(void)out;
	(void)cap;
	if (len != sizeof(open_port))
		return -EINVAL;
	memcpy(&open_port, in, len);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int e = fd < 0 || null < 0 || connect(fd, (struct sockaddr *)&open_port, sizeof(open_port)) < 0 ? -errno : 0;
	close(fd);
	close(null);
	return e;
}
AIRLOCK_FUNCTION(reaches)

/* ---- the host ---- */

static struct sockaddr_in listener(int *fd, int backlog)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0 || bind(*fd, (struct sockaddr *)&a, len) < 0 || listen(*fd, backlog) < 0)
		exit(1);
	getsockname(*fd, (struct sockaddr *)&a, &len);
	return a;
}

int main(int argc, char **argv)
{
	struct airlock_policy *p = NULL;
	struct airlock_target *t = NULL, *others_of_it[8] = {NULL};
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	struct crowd c = {0};
	struct airlock_message m = AIRLOCK_MESSAGE_INIT;
	const struct rlimit files = {LIMIT, LIMIT};
	char port[16];
	int fds[2];
	airlock_init(argc, argv);
	setrlimit(RLIMIT_NOFILE, &files);
	struct sockaddr_in nobody = listener(&fds[0], 0), somebody = listener(&fds[1], 100);
	for (int i = 0; i < 3; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(fd, (struct sockaddr *)&nobody, sizeof(nobody));
	}
	snprintf(port, sizeof(port), "%d", ntohs(nobody.sin_port));
	char *words[] = {"flood", port, NULL};
	if (airlock_policy_parse(&p, "pledge stdio inet\nconnect tcp:127.0.0.0/8:0-65535\n") < 0 ||
		airlock_start(&t, p, "flood", words, &o) < 0) {
		check(false, "a target starts", "%s", airlock_message());
		return 1;
	}
	m.data = &c;
	m.cap = sizeof(c);
	int r = airlock_dispatch(t, (NET_S + 10) * 1000);
	if (r == 1)
		r = airlock_recv(t, &m);
	int wait = c.began - c.refused - c.others;
	check(r == 0 && c.began > 3 * MOST && wait > 0 && wait <= MOST && !c.others, "a part of the calls waits",
		"%d: %d of %d threads refused, %d otherwise (%s)", r, c.refused, c.began, c.others, airlock_message());
	/* Others of its policy do not notice. */
	size_t made = 0, work = 0, count = sizeof(others_of_it) / sizeof(others_of_it[0]);
	for (size_t i = 0; i < count; i++) {
		made += airlock_start(&others_of_it[i], p, NULL, NULL, &o) == 0;
		ssize_t n = others_of_it[i]
				    ? airlock_call(others_of_it[i], "reaches", &somebody, sizeof(somebody), NULL, 0)
				    : -ECHILD;
		work += n == 0;
		if (n < 0)
			printf("# another target: %s, %s\n", strerror((int)-n), airlock_message());
	}
	check(made == count && work == count, "and others start and connect", "%zu of %zu started, %zu work", made,
		count, work);
	for (size_t i = 0; i < count; i++)
		airlock_free(others_of_it[i]);
	airlock_free(t);
	airlock_policy_free(p);
	return tap_failed != 0;
}
