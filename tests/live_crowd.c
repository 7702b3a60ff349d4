/* SPDX-License-Identifier: ISC */
/* Live tests of a broker that may have few descriptors: a target with hundreds of threads that wait in calls on sockets leaves
 * enough of them for others. */
#include "sandbox/airlock.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
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
#define PASSED 16 /* descriptors in one message */
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

/* With descriptors, to somebody who does not read. */
static void *passes(void *arg)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(PASSED * sizeof(int))];
	} control = {.header = {CMSG_LEN(PASSED * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	int fds[PASSED] = {0};
	struct iovec v = {"x", 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	(void)arg;
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	if (sendmsg(silent, &h, 0) >= 0 || errno != ETOOMANYREFS)
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
	(void)host;
	time_t until = time(NULL) + NET_S;
	if (argc != 3)
		return 1;
	const bool passing = strcmp(argv[2], "pass") == 0;
	const int threads = passing ? MOST : THREADS, most = passing ? LIMIT / 4 / PASSED : MOST;
	full = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argv[1])),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int pair[2];
	if (passing && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
		silent = pair[0];
		while (send(silent, pair, sizeof(pair), MSG_DONTWAIT) > 0)
			;
	} else {
		silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	while (c.began < threads && pthread_create(&thread, &attr,
					    passing              ? passes
					    : c.began < CONNECTS ? connects
								 : receives,
					    NULL) == 0)
		c.began++;
	do {
		usleep(5000);
		c.refused = refused;
		c.others = others;
	} while (c.began - c.refused - c.others > most && time(NULL) < until);
	/* Not by the broker, which may have nothing left. */
	(void)!write(1, &c, sizeof(c));
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

static ssize_t holds(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)len;
	return airlock_call_host("hold", NULL, 0, out, cap);
}
AIRLOCK_FUNCTION(holds)

/* ---- the host ---- */

static atomic_bool held, release;

static ssize_t hold(void *arg, const void *in, size_t len, void *out, size_t cap)
{
	(void)arg;
	(void)in;
	(void)len;
	held = true;
	for (int i = 0; !release && i < NET_S * 200; i++)
		usleep(5000);
	memcpy(out, "held", cap < 4 ? cap : 4);
	return 4;
}

static ssize_t held_result;
static void *holds_call(void *pool)
{
	char out[64];
	held_result = airlock_pool_call(pool, "holds", NULL, 0, out, sizeof(out), NULL);
	return NULL;
}

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

static struct airlock_policy *policy;
static struct airlock_target *crowds[16];
static size_t crowd_count;

/* One more target with its threads; false when there is no room for it. */
static bool crowd_in(struct crowd *c, char *port, char *how)
{
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	char *words[] = {"flood", port, how, NULL};
	int ends[2];
	if (crowd_count == sizeof(crowds) / sizeof(crowds[0]) || pipe2(ends, O_CLOEXEC) < 0)
		return false;
	o.stdio[1] = ends[1];
	int r = airlock_start(&crowds[crowd_count], policy, "flood", words, &o);
	close(ends[1]);
	struct pollfd said = {ends[0], POLLIN, 0};
	bool in = r == 0 && poll(&said, 1, (NET_S + 10) * 1000) == 1 && read(ends[0], c, sizeof(*c)) == sizeof(*c);
	crowd_count += r == 0;
	close(ends[0]);
	return in;
}

static void crowds_out(void)
{
	while (crowd_count > 0)
		airlock_free(crowds[--crowd_count]);
}

static void others_work(struct sockaddr_in *somebody)
{
	struct airlock_target *t[8] = {NULL};
	size_t made = 0, work = 0, count = sizeof(t) / sizeof(t[0]);
	for (size_t i = 0; i < count; i++) {
		made += airlock_start(&t[i], policy, NULL, NULL, NULL) == 0;
		ssize_t n = t[i] ? airlock_call(t[i], "reaches", somebody, sizeof(*somebody), NULL, 0) : -ECHILD;
		work += n == 0;
		if (n < 0)
			printf("# another target: %s, %s\n", strerror((int)-n), airlock_message());
	}
	check(made == count && work == count, "and others start and connect", "%zu of %zu started, %zu work", made,
		count, work);
	for (size_t i = 0; i < count; i++)
		airlock_free(t[i]);
}

/* When there is no descriptor left at all, what has begun goes on. */
static void nothing_left(char *port, struct sockaddr_in *somebody)
{
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	const struct airlock_callback callback = {.name = "hold", .function = hold};
	struct airlock_pool *pool;
	struct crowd c;
	pthread_t thread;
	o.target.callbacks = &callback;
	o.target.callback_count = 1;
	if (airlock_pool_new(&pool, policy, &o) < 0 || pthread_create(&thread, NULL, holds_call, pool) != 0) {
		check(false, "a pool", "%s", airlock_message());
		return;
	}
	for (int i = 0; !held && i < NET_S * 200; i++)
		usleep(5000);
	while (crowd_in(&c, port, "wait"))
		;
	int failed = 0;
	for (int i = 0; i < 6; i++)
		failed += airlock_pool_call(pool, "reaches", somebody, sizeof(*somebody), NULL, 0, NULL) != 0;
	printf("# %zu crowds, %d of 6 calls failed\n", crowd_count, failed);
	release = true;
	pthread_join(thread, NULL);
	check(held_result == 4, "a call outlives that others find no descriptor", "%zd", held_result);
	crowds_out();
	ssize_t n = airlock_pool_call(pool, "reaches", somebody, sizeof(*somebody), NULL, 0, NULL);
	check(n == 0, "and all goes on when there are some again", "%zd: %s", n, airlock_message());
	airlock_pool_free(pool);
}

int main(int argc, char **argv)
{
	struct crowd c = {0};
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
	if (airlock_policy_parse(&policy, "pledge stdio inet rpath unix sendfd\nconnect tcp:127.0.0.0/8:0-65535\n") <
		0) {
		check(false, "a policy", "%s", airlock_message());
		return 1;
	}
	bool in = crowd_in(&c, port, "wait");
	int wait = c.began - c.refused - c.others;
	check(in && c.began > 3 * MOST && wait > 0 && wait <= MOST && !c.others, "a part of the calls waits",
		"%d of %d threads refused, %d otherwise (%s)", c.refused, c.began, c.others, airlock_message());
	others_work(&somebody);
	crowds_out();
	in = crowd_in(&c, port, "pass");
	wait = c.began - c.refused - c.others;
	check(in && c.began == MOST && wait > 0 && wait <= LIMIT / 4 / PASSED && !c.others,
		"a part of the descriptors is on its way", "%d of %d threads refused, %d otherwise", c.refused, c.began,
		c.others);
	others_work(&somebody);
	crowds_out();
	nothing_left(port, &somebody);
	airlock_policy_free(policy);
	return tap_failed != 0;
}
