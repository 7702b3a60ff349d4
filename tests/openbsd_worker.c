/* SPDX-License-Identifier: ISC */
/* pledge(2) and unveil(2) of a program's own code, called in an airlock worker: they narrow what its policy left, and a
 * violation ends the worker by SIGABRT. Runs as host and as targets. */
#include "sandbox/airlock.h"
#include "sandbox/openbsd.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAITS 20000
/* An entry's answer: the line where it was surprised, up to 255. */
#define HOLDS(what)                                                                                                    \
	do {                                                                                                           \
		if (!(what))                                                                                           \
			return __LINE__ & 255;                                                                         \
	} while (0)

static int says(int r, int error)
{
	return error ? r == -1 && errno == error : r == 0;
}

static int narrows(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	(void)argc;
	(void)argv;
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	HOLDS(open("/usr/bin/id", O_RDONLY) < 0 && errno == ENOENT);
	HOLDS(says(pledge(" stdio", NULL), EINVAL));
	HOLDS(says(pledge((const char *)8, NULL), EFAULT));
	HOLDS(says(unveil("/etc/passwd", "r"), 0));
	HOLDS(open("/etc/group", O_RDONLY) < 0 && errno == ENOENT);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	HOLDS(says(unveil("/etc/passwd", "rw"), 0));
	HOLDS(open("/etc/passwd", O_RDWR) < 0 && errno == EACCES);
	HOLDS(says(unveil("/etc", "r"), 0));
	HOLDS(open("/etc/group", O_RDONLY) >= 0);
	HOLDS(says(unveil("/usr", "r"), 0)); /* of which there is nothing here */
	HOLDS(open("/usr/bin/id", O_RDONLY) < 0 && errno == ENOENT);
	HOLDS(says(unveil(NULL, NULL), 0));
	HOLDS(says(unveil("/etc", "r"), EPERM));
	HOLDS(says(pledge("stdio rpath unveil", "stdio"), 0));
	HOLDS(says(pledge("stdio rpath wpath", NULL), EPERM));
	HOLDS(says(pledge(NULL, "stdio rpath"), EPERM));
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	HOLDS(says(pledge("stdio", NULL), 0));
	HOLDS(says(pledge("stdio rpath", NULL), EPERM));
	return 0;
}
AIRLOCK_ENTRY(narrows)

static int violates_by_path(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	(void)argc;
	(void)argv;
	HOLDS(says(pledge("stdio", NULL), 0));
	open("/etc/passwd", O_RDONLY);
	return 1;
}
AIRLOCK_ENTRY(violates_by_path)

static int violates_directly(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	(void)argc;
	(void)argv;
	HOLDS(says(pledge("stdio rpath", NULL), 0));
	setsid();
	return 1;
}
AIRLOCK_ENTRY(violates_directly)

static int lives_on(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	(void)argc;
	(void)argv;
	HOLDS(says(pledge("stdio error", NULL), 0));
	HOLDS(open("/etc/passwd", O_RDONLY) < 0 && errno == ENOSYS);
	return 0;
}
AIRLOCK_ENTRY(lives_on)

static void worker(const char *entry, int signal)
{
	struct airlock_policy *p = NULL;
	struct airlock_target *t = NULL;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	int r = airlock_policy_new(&p, "stdio rpath wpath cpath unveil proc inet error");
	if (r == 0)
		r = airlock_policy_unveil(p, "/etc", "r");
	if (r == 0)
		r = airlock_start(&t, p, entry, NULL, NULL);
	if (r == 0)
		r = airlock_wait(t, &s, WAITS);
	char why[400];
	check(r >= 0 && (signal ? s.signal == signal : s.end == AIRLOCK_EXITED && s.code == 0), entry, "%d, %s", r,
		r < 0 ? airlock_message() : airlock_explain(t, why, sizeof(why)));
	airlock_free(t);
	airlock_policy_free(p);
}

int main(int argc, char **argv)
{
	if (airlock_init(argc, argv) < 0) {
		printf("not ok worker\n# %s\n", airlock_message());
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	tap_prefix = "openbsd in a worker: ";
	worker("narrows", 0);
	worker("lives_on", 0);
	worker("violates_by_path", SIGABRT);
	worker("violates_directly", SIGABRT);
	return tap_failed ? 1 : 0;
}
