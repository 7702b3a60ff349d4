/* SPDX-License-Identifier: ISC */
/*
 * Live tests of targets with cgroups of their own: what their limits hold, that suspending is the freezer's there, and that no
 * directory is left, whoever dies. They need a delegated cgroup, in which nobody else stands (systemd-run --user --scope -p
 * Delegate=yes); without, what stands in for it is tested, and the rest is skipped aloud.
 */
#include "sandbox/airlock.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NET_MS 20000
#define MIB (1 << 20)

static char base[8192]; /* where targets' cgroups are */
static char began[8192]; /* where this process was at first */

static int64_t clock_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- in targets ---- */

static int nice_of(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	(void)argc;
	(void)argv;
	return getpriority(PRIO_PROCESS, 0) + 20;
}
AIRLOCK_ENTRY(nice_of)

static void fill(size_t mib)
{
	unsigned char *m = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; m != MAP_FAILED && i < mib * MIB; i += 4096)
		m[i] = 1;
}

/* No process has more than it may, but all of them together do. */
static int fills(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	(void)argc;
	(void)argv;
	for (int i = 0; i < 3; i++)
		if (fork() == 0) {
			fill(20);
			pause();
		}
	/* It is the largest when there is no more. */
	fill(60);
	pause();
	return 0;
}
AIRLOCK_ENTRY(fills)

/* Counts, and has a timer that sends SIGCONT all the time. */
static int wakes(struct airlock_target *host, int argc, char **argv)
{
	struct airlock_message m = AIRLOCK_MESSAGE_INIT;
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCONT};
	struct itimerspec often = {{0, 100000}, {0, 100000}};
	timer_t timer;
	char byte;
	(void)argc;
	(void)argv;
	m.data = &byte;
	m.cap = 1;
	while (airlock_dispatch(host, -1) != 1)
		;
	if (airlock_recv(host, &m) < 0)
		return 1;
	_Atomic uint64_t *n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	if (n == MAP_FAILED || timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
		timer_settime(timer, 0, &often, NULL) < 0)
		return 2;
	for (;;) {
		(*n)++;
		kill(getpid(), SIGCONT);
	}
	return 0;
}
AIRLOCK_ENTRY(wakes)

/* Has a target of its own, which counts. */
static int nests(struct airlock_target *host, int argc, char **argv)
{
	struct airlock_message m = AIRLOCK_MESSAGE_INIT;
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	struct airlock_policy *p = NULL;
	struct airlock_target *t = NULL;
	char byte;
	(void)argc;
	(void)argv;
	m.data = &byte;
	m.cap = 1;
	while (airlock_dispatch(host, -1) != 1)
		;
	if (airlock_recv(host, &m) < 0 || airlock_policy_new(&p, "stdio recvfd proc") < 0)
		return 1;
	airlock_policy_tolerate(p, AIRLOCK_LAYERS_ALL);
	if (airlock_start(&t, p, "wakes", NULL, &o) < 0 || airlock_send(t, "", 1, m.fd) < 0) {
		fprintf(stderr, "nests: %s\n", airlock_message());
		return 2;
	}
	for (;;)
		pause();
}
AIRLOCK_ENTRY(nests)

/* ---- help ---- */

static struct airlock_policy *made(const char *text)
{
	struct airlock_policy *p = NULL;
	if (airlock_policy_parse(&p, text) < 0) {
		printf("not ok policy\n# %s\n", airlock_message());
		exit(1);
	}
	airlock_policy_tolerate(p, AIRLOCK_LAYERS_ALL & ~(unsigned)airlock_layers());
	return p;
}

static struct airlock_target *start(const struct airlock_policy *p, const char *entry)
{
	struct airlock_target *t = NULL;
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	o.shared = 4096;
	if (airlock_start(&t, p, entry, NULL, &o) < 0)
		printf("# %s\n", airlock_message());
	return t;
}

/* The directory of this process' cgroup. */
static void own_find(char path[8192])
{
	char line[4096], point[2048] = "/sys/fs/cgroup";
	FILE *f = fopen("/proc/self/mountinfo", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " - cgroup2 "))
			sscanf(line, "%*d %*d %*s %*s %2047s", point);
	if (f)
		fclose(f);
	f = fopen("/proc/self/cgroup", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "0::", 3) == 0) {
			line[strcspn(line, "\n")] = 0;
			snprintf(path, 8192, "%s%s", point, line + 3);
		}
	if (f)
		fclose(f);
}

/* Of targets' cgroups; the last one's name. */
static int wards(char name[256])
{
	DIR *d = opendir(base);
	struct dirent *e;
	int n = 0;
	while (d && (e = readdir(d)))
		if (strncmp(e->d_name, "airlock-", 8) == 0) {
			n++;
			snprintf(name, 256, "%s", e->d_name);
		}
	if (d)
		closedir(d);
	return n;
}

static bool none_left(void)
{
	char name[256];
	for (int64_t until = clock_now() + NET_MS; wards(name) && clock_now() < until;)
		poll(NULL, 0, 10);
	return wards(name) == 0;
}

static char *contents(const char *name, const char *file)
{
	static char text[256];
	char path[16384];
	snprintf(path, sizeof(path), "%s/%s/%s", base, name, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = 0;
	return text;
}

static const char *value(const char *name, const char *file)
{
	char *text = contents(name, file);
	text[strcspn(text, "\n")] = 0;
	return text;
}

/* ---- without ---- */

static void weight_by_nice(void)
{
	static const struct {
		const char *name, *text;
		int low, high;
	} rows[] = {{"limit weight 100", "pledge stdio proc\nlimit weight 100\n", 0, 0},
		{"limit weight 50", "pledge stdio proc\nlimit weight 50\n", 2, 4},
		{"limit weight 1", "pledge stdio proc\nlimit weight 1\n", 19, 19}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct airlock_status s = AIRLOCK_STATUS_INIT;
		struct airlock_policy *p = made(rows[i].text);
		struct airlock_target *t = start(p, "nice_of");
		int own = getpriority(PRIO_PROCESS, 0);
		airlock_wait(t, &s, NET_MS);
		int nice = s.code - 20;
		check(s.end == AIRLOCK_EXITED && nice >= rows[i].low && nice <= rows[i].high, rows[i].name,
			"nice %d, own %d", nice, own);
		airlock_free(t);
		airlock_policy_free(p);
	}
	struct airlock_policy *p = NULL;
	check(airlock_policy_parse(&p, "limit weight 0\n") == -EINVAL &&
			airlock_policy_parse(&p, "limit weight 10001\n") == -EINVAL,
		"a weight is 1 to 10000", "%s", airlock_message());
}

/* ---- with ---- */

static void limits(void)
{
	char name[256] = "", wanted[32];
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	struct airlock_policy *p = made("pledge stdio proc\nlimit memory 96M\nlimit processes 8\nlimit weight 50\n");
	struct airlock_target *t = start(p, NULL);
	int n = wards(name);
	airlock_wait(t, &s, 0);
	check(n == 1 && (s.layers & AIRLOCK_LAYER_DELEGATION), "a target has a cgroup of its own", "%d in %s", n, base);
	snprintf(wanted, sizeof(wanted), "%d", 96 * MIB);
	check(strcmp(value(name, "memory.max"), wanted) == 0, "memory.max", "%s", value(name, "memory.max"));
	check(strcmp(value(name, "pids.max"), "9") == 0, "pids.max", "%s", value(name, "pids.max"));
	check(strcmp(value(name, "cpu.weight"), "50") == 0, "cpu.weight", "%s", value(name, "cpu.weight"));
	check(strcmp(value(name, "cgroup.events"), "populated 1") == 0, "it is in there", "%s",
		value(name, "cgroup.events"));
	airlock_trim(t);
	airlock_free(t);
	check(none_left(), "which is gone with it", "%s is left", name);
	t = start(p, "fills");
	int r = airlock_wait(t, &s, NET_MS);
	check(r == 0 && s.end == AIRLOCK_OUT_OF_MEMORY && s.limit == AIRLOCK_LIMIT_MEMORY,
		"the whole target's memory is limited", "%d end %d signal %d limit %d", r, s.end, s.signal, s.limit);
	airlock_free(t);
	struct airlock_policy *nice = made("pledge stdio proc\nlimit weight 50\n");
	t = start(nice, "nice_of");
	airlock_wait(t, &s, NET_MS);
	check(s.code - 20 == getpriority(PRIO_PROCESS, 0), "a weight is not a nice value, too", "nice %d", s.code - 20);
	airlock_free(t);
	airlock_policy_free(nice);
	airlock_policy_free(p);
	check(none_left(), "none is left", "%s", base);
}

static struct airlock_target *waking(const struct airlock_policy *p, const char *entry, _Atomic uint64_t **n)
{
	struct airlock_target *t = start(p, entry);
	int fd = memfd_create("counter", MFD_CLOEXEC);
	if (!t || ftruncate(fd, 4096) < 0)
		return t;
	*n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	airlock_send(t, "", 1, fd);
	close(fd);
	for (int64_t until = clock_now() + NET_MS; !**n && clock_now() < until;)
		poll(NULL, 0, 2);
	return t;
}

/* The broker waits for that itself, but not for long. */
static void await_frozen(void)
{
	char name[256] = "";
	wards(name);
	for (int64_t until = clock_now() + NET_MS;
		!strstr(contents(name, "cgroup.events"), "frozen 1") && clock_now() < until;)
		poll(NULL, 0, 5);
}

static uint64_t progress(_Atomic uint64_t *n, int ms)
{
	uint64_t from = *n;
	poll(NULL, 0, ms);
	return *n - from;
}

static void freezer(void)
{
	_Atomic uint64_t *n = NULL;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	struct airlock_policy *p = made("pledge stdio recvfd proc\nlimit processes 8\n");
	struct airlock_target *t = waking(p, "wakes", &n);
	int r = airlock_suspend(t);
	await_frozen();
	uint64_t went = progress(n, 500);
	check(r == 0 && went == 0, "no timer wakes what is frozen", "%d %s, %llu", r, airlock_message(),
		(unsigned long long)went);
	check(airlock_resume(t) == 0 && progress(n, 200) > 0, "and it goes on", "%s", airlock_message());
	airlock_suspend(t);
	airlock_kill(t);
	r = airlock_wait(t, &s, NET_MS);
	check(r == 0 && s.end == AIRLOCK_KILLED, "what is frozen can be killed", "%d end %d", r, s.end);
	airlock_free(t);
	t = waking(p, "wakes", &n);
	airlock_suspend(t);
	airlock_free(t);
	airlock_policy_free(p);
	check(none_left(), "and freed", "%s", base);
}

/* How many processes are in it. */
static size_t members(const char *name)
{
	size_t n = 0;
	for (const char *at = contents(name, "cgroup.procs"); (at = strchr(at, '\n')); at++)
		n++;
	return n;
}

/* A target's own targets are under its limits, and stand still with it. */
static void nested(void)
{
	char name[256] = "";
	_Atomic uint64_t *n = NULL;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	struct airlock_policy *p = made("pledge stdio recvfd sendfd proc\nlimit memory 512M\nlimit weight 50\n");
	struct airlock_target *t = waking(p, "nests", &n);
	int count = wards(name);
	/* Two inits, two first processes, and the broker of the inner ones. */
	check(count == 1 && members(name) == 5, "what a target starts is in its cgroup", "%d, %zu: %s", count,
		members(name), contents(name, "cgroup.procs"));
	int r = airlock_suspend(t);
	await_frozen();
	uint64_t went = progress(n, 300);
	check(r == 0 && went == 0, "and stands still with it", "%d %s, %llu", r, airlock_message(),
		(unsigned long long)went);
	check(airlock_resume(t) == 0 && progress(n, 300) > 0, "and goes on", "%s", airlock_message());
	airlock_suspend(t);
	int64_t from = clock_now();
	airlock_kill(t);
	r = airlock_wait(t, &s, NET_MS);
	check(r == 0 && s.end == AIRLOCK_KILLED, "and ends with it, frozen as it is", "%d end %d, %d ms", r, s.end,
		(int)(clock_now() - from));
	airlock_free(t);
	airlock_policy_free(p);
	check(none_left(), "and leaves nothing", "%s", base);
}

/* A host that is killed, with one target that runs and one that is frozen. */
static void host_dies(bool broker)
{
	int fds[2];
	char byte, name[256];
	pid_t of_broker = 0;
	if (pipe(fds) < 0)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		_Atomic uint64_t *n;
		struct airlock_policy *p = made("pledge stdio recvfd proc\nlimit processes 8\n");
		struct airlock_target *one = start(p, NULL), *two = waking(p, "wakes", &n);
		airlock_suspend(two);
		(void)!write(fds[1], one && two ? "y" : "n", 1);
		pause();
	}
	bool told = read(fds[0], &byte, 1) == 1 && byte == 'y';
	int there = wards(name);
	/* Its name has the number of the broker. */
	sscanf(name, "airlock-%d-", &of_broker);
	if (broker && of_broker > 1)
		kill(of_broker, SIGKILL);
	else
		kill(pid, SIGKILL);
	check(told && there == 2 && none_left(),
		broker ? "a broker that is killed leaves no cgroup" : "nor does a host", "%d %d", told, there);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!(airlock_layers() & AIRLOCK_LAYER_DELEGATION)) {
		const char *why = airlock_layer_missing(AIRLOCK_LAYER_DELEGATION);
		check(why && *why, "why there are none is said", "%s", "nothing");
		weight_by_nice();
		printf("skip targets' cgroups: %s\n", why);
		return tap_failed > 0;
	}
	own_find(began);
	/* The first start may move this process. */
	struct airlock_policy *p = made("pledge stdio\nlimit weight 99\n"), *none = made("pledge stdio\n");
	struct airlock_target *t = start(p, NULL);
	airlock_free(start(none, NULL));
	int64_t from = clock_now();
	for (int i = 0; i < 20; i++)
		airlock_free(start(p, NULL));
	int64_t between = clock_now();
	for (int i = 0; i < 20; i++)
		airlock_free(start(none, NULL));
	printf("# a start and an end take %.1f ms with a cgroup, %.1f without\n", (double)(between - from) / 20,
		(double)(clock_now() - between) / 20);
	airlock_policy_free(none);
	own_find(base);
	*strrchr(base, '/') = 0;
	char *leaf = strrchr(began, '/');
	if (strcmp(leaf, "/airlock") == 0)
		*leaf = 0;
	check(strcmp(base, began) == 0, "targets' cgroups are below where the host began", "%s, %s", base, began);
	airlock_free(t);
	airlock_policy_free(p);
	check(none_left(), "nothing is left of many", "%s", base);
	limits();
	freezer();
	nested();
	host_dies(true);
	host_dies(false);
	return tap_failed > 0;
}
