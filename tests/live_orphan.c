/* SPDX-License-Identifier: ISC */
/* Live tests of targets whose broker is killed while they ask it something: none may see that as an error of its call, and
 * make an answer of it that the host believes. */
#include "sandbox/airlock.h"
#include "tests/processes.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 40

/* In the target: until a request that is always allowed fails. */
static ssize_t asks(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)len;
	(void)cap;
	int e = 0;
	for (unsigned long i = 0; !e; i++) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		e = fd < 0 ? errno : 0;
		close(fd);
		((volatile char *)out)[0] = 1; /* the host may go on */
	}
	memcpy(out, &e, sizeof(e));
	return sizeof(e);
}
AIRLOCK_FUNCTION(asks)

static ssize_t works(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)len;
	(void)out;
	(void)cap;
	return 0;
}
AIRLOCK_FUNCTION(works)

static void *kills(void *arg)
{
	const pid_t *broker = arg;
	struct timespec t = {0, 3000000 + 100000 * (*broker % 7)};
	nanosleep(&t, NULL);
	kill(*broker, SIGKILL);
	return NULL;
}

int main(int argc, char **argv)
{
	int wrong = 0, lost = 0, error = 0;
	airlock_init(argc, argv);
	processes_begin();
	for (int i = 0; i < ROUNDS; i++) {
		struct airlock_policy *p;
		struct airlock_target *t = NULL;
		pthread_t thread;
		char out[64];
		if (airlock_policy_new(&p, "stdio rpath") < 0 || airlock_start(&t, p, NULL, NULL, NULL) < 0) {
			check(false, "a target", "%s", airlock_message());
			return 1;
		}
		airlock_call(t, "works", NULL, 0, NULL, 0);
		processes_look();
		pid_t broker = process_titled(": airlock broker");
		pthread_create(&thread, NULL, kills, &broker);
		ssize_t n = airlock_call(t, "asks", NULL, 0, out, sizeof(out));
		pthread_join(thread, NULL);
		lost += n == -EPIPE;
		wrong += n > 0;
		if (n > 0)
			memcpy(&error, out, sizeof(error));
		airlock_free(t);
		airlock_policy_free(p);
	}
	check(lost == ROUNDS, "calls of targets whose broker is killed end with it",
		"%d of %d did; %d saw an error, %s", lost, ROUNDS, wrong, strerror(error));
	processes_kill();
	return tap_failed != 0;
}
