/* SPDX-License-Identifier: ISC */
/*
 * The ratchet, seen from beside it: what a process gives up is gone for its other threads and for requests that wait, its
 * broker gives it up too, fifty times is no problem, and who became somebody else is served as that somebody. Each case
 * runs in a process of its own, which confines itself; this one looks on.
 */
#include "sandbox/airlock.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char top[] = "/tmp/airlock-narrow-XXXXXX";
static int tell[2], go[2]; /* one line from the case, one byte to it */

#define SAY(...)                                                                                                       \
	do {                                                                                                           \
		dprintf(tell[1], __VA_ARGS__);                                                                         \
		_exit(1);                                                                                              \
	} while (0)
#define NEED(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			SAY("line %d: %s: errno %d (%s)", __LINE__, #condition, errno, strerror(errno));               \
	} while (0)

static char *in(const char *name)
{
	static char text[4][128];
	static unsigned next;
	char *path = text[next++ % 4];
	snprintf(path, sizeof(text[0]), "%s/%s", top, name);
	return path;
}

static void step(char byte)
{
	char got;
	NEED(write(tell[1], &byte, 1) == 1);
	NEED(read(go[0], &got, 1) == 1);
}

/* ---- a request that waits ---- */

static int opened, opened_errno;

static void *open_fifo(void *unused)
{
	(void)unused;
	opened = open(in("fifo"), O_RDONLY);
	opened_errno = errno;
	return NULL;
}

static void waits(void)
{
	pthread_t thread;
	NEED(airlock_pledge("stdio rpath", NULL) == 0);
	NEED(pthread_create(&thread, NULL, open_fifo, NULL) == 0);
	nanosleep(&(struct timespec){0, 200000000}, NULL);
	NEED(airlock_pledge("stdio", NULL) == 0);
	step('1'); /* now the other end is opened, by who may */
	NEED(pthread_join(thread, NULL) == 0);
	errno = opened_errno;
	NEED(opened < 0 && (errno == EACCES || errno == EPERM));
}

/* ---- other threads ---- */

static atomic_bool narrowed_now;
static int worst;

static void *look_on(void *unused)
{
	(void)unused;
	for (int i = 0; i < 3000; i++) {
		bool after = narrowed_now;
		int fd = open(in("file"), O_RDONLY);
		if (fd >= 0)
			close(fd);
		if (after && fd >= 0)
			worst++;
	}
	return NULL;
}

static void threads(void)
{
	pthread_t thread[3];
	NEED(airlock_pledge("stdio rpath", NULL) == 0);
	for (int i = 0; i < 3; i++)
		NEED(pthread_create(&thread[i], NULL, look_on, NULL) == 0);
	nanosleep(&(struct timespec){0, 20000000}, NULL);
	NEED(airlock_pledge("stdio", NULL) == 0);
	narrowed_now = true;
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	NEED(worst == 0);
}

/* ---- fifty ---- */

static void fifty(void)
{
	static const char *const words[] = {"rpath", "wpath", "cpath", "dpath", "tmppath", "inet", "mcast", "fattr",
		"chown", "flock", "unix", "dns", "getpw", "sendfd", "recvfd", "tape", "tty", "proc", "exec",
		"prot_exec", "settime", "ps", "vminfo", "id", "pf", "route", "wroute", "audio", "video", "bpf",
		"unveil", "disklabel", "drm", "vmm"};
	const int count = (int)(sizeof(words) / sizeof(words[0]));
	char text[512];
	for (int i = 0; i < 50; i++) {
		strcpy(text, "stdio");
		for (int k = 0; k < count - i; k++)
			strcat(strcat(text, " "), words[k]);
		NEED(airlock_pledge(text, NULL) == 0);
		/* The file opens as long as rpath is there. */
		int fd = open(in("file"), O_RDONLY);
		NEED(i < count ? fd >= 0 : fd < 0 && errno == EPERM);
		if (fd >= 0)
			close(fd);
	}
	NEED(airlock_pledge("stdio rpath", NULL) == -EPERM);
	NEED(airlock_pledge("stdio", NULL) == 0);
}

/* ---- a second filter, on top of airlock_enter()'s ---- */

static void fifty_filters(void)
{
	struct airlock_policy *policy;
	NEED(airlock_policy_new(&policy, "stdio rpath flock proc tty id") == 0);
	NEED(airlock_policy_tolerate(policy, AIRLOCK_LAYERS_ALL & ~AIRLOCK_LAYER_SECCOMP) == 0);
	NEED(airlock_policy_unveil(policy, top, "r") == 0);
	NEED(airlock_enter(policy) > 0);
	static const char *const steps[] = {
		"stdio rpath flock proc tty", "stdio rpath flock proc", "stdio rpath flock"};
	for (int i = 0; i < 50; i++)
		NEED(airlock_pledge(i < 3 ? steps[i] : i == 3 ? "stdio rpath" : "stdio", NULL) == 0);
	NEED(airlock_pledge("stdio rpath", NULL) == -EPERM);
	NEED(fork() < 0 && errno == EPERM);
	NEED(open(in("file"), O_RDONLY) < 0);
}

/* ---- the broker ---- */

static void broker_too(void)
{
	NEED(airlock_pledge("stdio rpath wpath cpath fattr inet", NULL) == 0);
	int fd = open(in("made"), O_RDWR | O_CREAT, 0600);
	NEED(fd >= 0);
	step('1');
	NEED(airlock_pledge("stdio rpath", NULL) == 0);
	NEED(open(in("file"), O_RDONLY) >= 0);
	step('2');
	NEED(unlink(in("made")) < 0 && errno == EPERM);
	NEED(open(in("file"), O_RDONLY) >= 0);
}

/* A child that has more keeps the broker as it is. */
static void broker_waits(void)
{
	NEED(airlock_pledge("stdio rpath wpath cpath proc", NULL) == 0);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		char byte;
		NEED(read(go[0], &byte, 1) == 1);
		int fd = open(in("child"), O_RDWR | O_CREAT, 0600);
		_exit(fd >= 0 && unlink(in("child")) == 0 ? 0 : 1);
	}
	NEED(airlock_pledge("stdio rpath", NULL) == 0);
	NEED(open(in("file"), O_RDONLY) >= 0);
	char byte = '1';
	NEED(write(tell[1], &byte, 1) == 1);
	int status;
	NEED(waitpid(child, &status, 0) == child);
	NEED(status == 0);
}

/* ---- somebody else ---- */

static void somebody_else(void)
{
	int fd;
	NEED(airlock_pledge("stdio rpath wpath cpath id unveil", NULL) == 0);
	NEED((fd = open(in("secret"), O_RDONLY)) >= 0);
	NEED(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	NEED(open(in("secret"), O_RDONLY) < 0 && errno == EACCES);
	NEED(open(in("locked/file"), O_RDONLY) < 0 && errno == EACCES);
	NEED(unlink(in("secret")) < 0 && errno == EACCES);
	NEED((fd = open(in("free/mine"), O_RDWR | O_CREAT | O_EXCL, 0600)) >= 0);
	struct stat st;
	NEED(fstat(fd, &st) == 0 && st.st_uid == 65534 && st.st_gid == 65534);
	NEED(setresuid(0, 0, 0) < 0 && errno == EPERM);
	NEED(seteuid(0) < 0 && errno == EPERM);
	NEED(airlock_unveil(in("free"), "rwc") == 0);
	NEED(open(in("file"), O_RDONLY) < 0 && errno == ENOENT);
	NEED(airlock_pledge("stdio rpath", NULL) == 0);
	NEED(open(in("free/mine"), O_RDONLY) >= 0);
}

/* ---- looking on ---- */

/* The filters of the broker of the process, by its name. -1 when it is not found. */
static int broker_filters(void)
{
	char command[256];
	snprintf(command, sizeof(command),
		"for p in /proc/[0-9]*; do [ \"$({ tr '\\0' ' ' <$p/cmdline; } 2>/dev/null | cut -c1-27)\" = "
		"'live_narrow: airlock broker' ] && grep -s Seccomp_filters $p/status; done | sort -n -k2 | tail -n1");
	FILE *f = popen(command, "r");
	int filters = -1;
	if (f && fscanf(f, "Seccomp_filters: %d", &filters) != 1)
		filters = -1;
	if (f)
		pclose(f);
	return filters;
}

static int seen[2];

static void look(const char *name, int at)
{
	if (strcmp(name, "its broker gives it up") == 0)
		seen[at > 1] = broker_filters();
	if (strcmp(name, "a request that waits is judged again") == 0) {
		int fd = open(in("fifo"), O_WRONLY | O_NONBLOCK);
		(void)!write(fd, "x", fd >= 0);
		nanosleep(&(struct timespec){0, 50000000}, NULL);
		if (fd >= 0)
			close(fd);
	}
}

static void run(const char *name, void (*body)(void))
{
	char text[600] = "", byte;
	int status = -1, at = 0;
	if (pipe(tell) < 0 || pipe(go) < 0)
		exit(2);
	pid_t child = fork();
	if (child == 0) {
		close(tell[0]);
		close(go[1]);
		alarm(60);
		int null = open("/dev/null", O_WRONLY);
		dup2(null, 2);
		body();
		_exit(0);
	}
	close(tell[1]);
	close(go[0]);
	while (read(tell[0], &byte, 1) == 1) {
		if (byte >= '1' && byte <= '9' && !text[0]) {
			look(name, ++at);
			(void)!write(go[1], "x", 1);
		} else if (strlen(text) + 1 < sizeof(text)) {
			text[strlen(text)] = byte;
		}
	}
	close(tell[0]);
	close(go[1]);
	waitpid(child, &status, 0);
	bool good = status == 0;
	if (good && strcmp(name, "its broker gives it up") == 0) {
		good = seen[0] > 0 && seen[1] == seen[0] + 1;
		snprintf(text, sizeof(text), "filters of the broker: %d, then %d", seen[0], seen[1]);
	}
	check(good, name, "status %x %s", status, text);
}

static bool world(void)
{
	int fd;
	bool made = mkdtemp(top) && chmod(top, 0755) == 0 && mkfifo(in("fifo"), 0600) == 0 &&
		    (fd = open(in("file"), O_WRONLY | O_CREAT, 0644)) >= 0 && write(fd, "x", 1) == 1 &&
		    close(fd) == 0 && (fd = open(in("secret"), O_WRONLY | O_CREAT, 0600)) >= 0 && close(fd) == 0 &&
		    mkdir(in("locked"), 0700) == 0 && mkdir(in("free"), 0777) == 0 && chmod(in("free"), 01777) == 0;
	return made && (fd = open(in("locked/file"), O_WRONLY | O_CREAT, 0644)) >= 0 && close(fd) == 0;
}

static void world_end(void)
{
	static const char *const names[] = {"fifo", "file", "secret", "made", "child", "locked/file", "free/mine"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in(names[i]));
	rmdir(in("locked"));
	rmdir(in("free"));
	rmdir(top);
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!world()) {
		perror(top);
		return 2;
	}
	run("a request that waits is judged again", waits);
	run("what is given up is gone for all threads", threads);
	run("fifty pledges, and the next cannot widen", fifty);
	run("fifty pledges on a filter that is not made for it", fifty_filters);
	run("its broker gives it up", broker_too);
	run("its broker keeps what a child has", broker_waits);
	if (geteuid() == 0)
		run("who became somebody else is served as that", somebody_else);
	else
		puts("skip who became somebody else is served as that: this is not root");
	world_end();
	return tap_failed > 0;
}
