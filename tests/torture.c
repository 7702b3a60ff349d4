/* SPDX-License-Identifier: ISC */
/*
 * Torture: `torture [JOBS [THREADS [SEED]]]`. Jobs from several threads through one pool, of which some crash, violate,
 * exit, hang, or spoil their shared memory, while processes of the pool are killed at random (targets, zygotes, inits,
 * brokers: only those below this one), the log's disk is full, descriptors and memory run out now and then, and
 * CLOCK_REALTIME jumps by years in host, brokers and targets (the linker gives this program a clock of its own: the
 * machine's stays as it is). Each call must return once and rightly; in the end nothing may be left of it.
 */
#include "sandbox/airlock.h"
#include "tests/processes.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WALL_MS 20000
#define PAUSE_MS 100 /* a start takes that long, and is tried a few times */
#else
#define WALL_MS 3000 /* a loaded machine is slow */
#define PAUSE_MS 20
#endif
#define NS 1000000000

/* ---- a clock that jumps ---- */

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
time_t __wrap_time(time_t *t);
int __wrap_gettimeofday(struct timeval *t, void *zone);
static atomic_uint jumps;

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
	int r = __real_clock_gettime(clock, t);
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
		t->tv_sec += (time_t)((jumps++ * 2654435761u) >> 3) - (1 << 28);
	return r;
}

time_t __wrap_time(time_t *t)
{
	struct timespec now;
	__wrap_clock_gettime(CLOCK_REALTIME, &now);
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}

int __wrap_gettimeofday(struct timeval *t, void *zone)
{
	struct timespec now;
	(void)zone;
	__wrap_clock_gettime(CLOCK_REALTIME, &now);
	*t = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
	return 0;
}

static double seconds(void)
{
	struct timespec t;
	__real_clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / NS;
}

/* ---- in targets ---- */

static unsigned calls;

/* Its input, and that it was called for the first time. */
static ssize_t echo(const void *in, size_t len, void *out, size_t cap)
{
	if (calls++ || len > cap)
		return -1;
	memcpy(out, in, len);
	return (ssize_t)len;
}
AIRLOCK_FUNCTION(echo)

static ssize_t crash(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	static volatile int *volatile nowhere = (int *)8;
	*nowhere = 1;
	return 0;
}
AIRLOCK_FUNCTION(crash)

static ssize_t leave(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	_exit(7);
}
AIRLOCK_FUNCTION(leave)

/* The policy kills for it. */
static ssize_t violate(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	return socket(AF_INET, SOCK_STREAM, 0);
}
AIRLOCK_FUNCTION(violate)

static ssize_t hang(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	static volatile bool on = true;
	while (on)
		sched_yield();
	return 0;
}
AIRLOCK_FUNCTION(hang)

/* All of the page that it shares with its host, but not what says that it answers. */
static ssize_t spoil(const void *in, size_t len, void *out, size_t cap)
{
	(void)len, (void)cap, (void)out;
	volatile unsigned *page = (unsigned *)(((uintptr_t)in & ~(uintptr_t)4095) - 4096);
	unsigned seed = (unsigned)getpid() * 2654435761u;
	for (int i = 0; i < 300; i++) {
		seed = seed * 1103515245 + 12345;
		page[(seed >> 16) % 1024] = seed >> 8 & 1 ? seed : seed >> 9 & 7;
	}
	_exit(9);
}
AIRLOCK_FUNCTION(spoil)

/* ---- jobs ---- */

enum kind { ECHO, BIG, CRASH, LEAVE, VIOLATE, HANG, SPOIL, KINDS };
static const char *const names[KINDS] = {"echo", "echo", "crash", "leave", "violate", "hang", "spoil"};
static struct {
	atomic_ulong asked, answered, spoiled, scarce;
} counts[KINDS];
static atomic_ulong wrong, started_jobs, cost[AIRLOCK_LOST + 1];
static struct airlock_pool *pool;
static unsigned long jobs;
static unsigned seed0;
static atomic_ulong dying; /* brokers that were about to be killed so far */
static atomic_ulong scarce; /* odd while descriptors or memory are: then there may be errors that say so */

static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

static enum kind pick(uint64_t *state)
{
	const uint32_t r = next_random(state) % 1000;
	if (r == 980) /* each takes the whole limit */
		return next_random(state) % 5 ? ECHO : HANG;
	return r < 800   ? ECHO
	       : r < 880 ? BIG
	       : r < 920 ? CRASH
	       : r < 950 ? LEAVE
	       : r < 980 ? VIOLATE
	       : r < 981 ? HANG
			 : SPOIL;
}

/* What a call may say, besides that somebody killed its target. */
static bool right(enum kind kind, ssize_t n, const struct airlock_status *s)
{
	switch (kind) {
	case CRASH:
		return n == -EPIPE && s->end == AIRLOCK_CRASHED && s->signal == SIGSEGV;
	case LEAVE:
		return n == -EPIPE && s->end == AIRLOCK_EXITED && s->code == 7;
	case VIOLATE:
		return n == -EPIPE && s->end == AIRLOCK_VIOLATED && strstr(s->violation, "promise inet");
	case HANG:
		return n == -ETIMEDOUT && s->end == AIRLOCK_TIMED_OUT;
	case SPOIL: /* whatever it claims; it says no more than that it is over */
		return true;
	default:
		return false;
	}
}

static bool of_scarcity(ssize_t n)
{
	return n == -EMFILE || n == -ENFILE || n == -ENOMEM || n == -EAGAIN || n == -ECHILD || n == -ETOOMANYREFS;
}

static void job(unsigned long id, uint64_t *state, char *in, char *out)
{
	const enum kind kind = pick(state);
	const size_t len = kind == BIG ? 20000 + next_random(state) % 100000 : 16;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	const unsigned long was_scarce = scarce, were_dying = dying;
	snprintf(in, 16, "%lu", id);
	memset(out, 0, 16);
	counts[kind].asked++;
	const ssize_t n = airlock_pool_call(pool, names[kind], in, len, out, len, &s);
	counts[kind].answered++;
	cost[s.end <= AIRLOCK_LOST ? s.end : AIRLOCK_LOST]++;
	if (n == (ssize_t)len && kind <= BIG && !memcmp(in, out, len))
		return;
	if (right(kind, n, &s))
		return;
	/* Once its broker is gone a call is refused by ENOSYS, and the function may say so before it is gone, too. */
	if (kind == VIOLATE && n == -1 && dying != were_dying) {
		counts[kind].spoiled++;
		return;
	}
	/* Killed from outside, or with its zygote or broker. */
	if (n == -EPIPE && (s.end == AIRLOCK_LOST || (s.end == AIRLOCK_KILLED && s.signal == SIGKILL))) {
		counts[kind].spoiled++;
		return;
	}
	/* A limit of the host is not an error of the job; it is told as what it is. */
	if (of_scarcity(n) && (was_scarce % 2 || scarce != was_scarce)) {
		counts[kind].scarce++;
		nanosleep(&(struct timespec){0, 2000000}, NULL); /* else most jobs would be spent on that */
		return;
	}
	if (wrong++ < 10)
		printf("# job %lu (%s): %zd, end %d, code %d, signal %d: %s | %s\n", id, names[kind], n, s.end, s.code,
			s.signal, airlock_message(), s.violation);
}

static void *worker(void *arg)
{
	uint64_t state = seed0 + (uint64_t)(uintptr_t)arg * 7919;
	char *in = calloc(1, 1 << 17), *out = calloc(1, 1 << 17);
	for (unsigned long id; (id = started_jobs++) < jobs;)
		job(id, &state, in, out);
	free(in);
	free(out);
	return NULL;
}

/* ---- what is done to it ---- */

static atomic_bool over;
static atomic_ulong kills[4], shortages;
static const char *const victims[] = {": airlock target", ": airlock zygote", ": airlock init", ": airlock broker"};

static const char *title(pid_t pid, char *buf, size_t len)
{
	snprintf(buf, len, "/proc/%d/cmdline", pid);
	int fd = open(buf, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, len - 1);
	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	return buf;
}

/* Targets live for milliseconds: they are found by their init, whose children but the first, the zygote, they are. */
static bool kill_target(uint64_t *state)
{
	static pid_t init;
	char path[64], text[1024] = "";
	if (!init || !strstr(title(init, text, sizeof(text)), victims[2])) {
		processes_look();
		init = process_titled(victims[2]);
	}
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", init, init);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	pid_t pids[64];
	unsigned count = 0;
	char *at = text, *end;
	for (long pid; count < 64 && (pid = strtol(at, &end, 10)) > 1 && end != at; at = end)
		pids[count++] = (pid_t)pid;
	return count > 1 && kill(pids[1 + next_random(state) % (count - 1)], SIGKILL) == 0;
}

static void kill_one(uint64_t *state)
{
	char buf[512];
	/* One in twenty kills meets what all depend on. */
	const uint32_t r = next_random(state) % 100;
	const int want = r < 92 ? 0 : r < 95 ? 1 : r < 98 ? 2 : 3;
	if (want == 0) {
		kills[0] += kill_target(state);
		return;
	}
	const size_t n = processes_look();
	for (size_t i = 0, at = n ? next_random(state) % n : 0; i < n; i++, at = (at + 1) % n) {
		const pid_t pid = process_at(at);
		if (pid <= 1 || !strstr(title(pid, buf, sizeof(buf)), victims[want]))
			continue;
		dying += want == 3;
		if (kill(pid, SIGKILL) == 0)
			kills[want]++;
		return;
	}
}

static void set_limit(int resource, rlim_t value)
{
	struct rlimit l;
	getrlimit(resource, &l);
	l.rlim_cur = value < l.rlim_max ? value : l.rlim_max;
	setrlimit(resource, &l);
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static size_t statm(pid_t pid, int field)
{
	char path[64], text[256] = "";
	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	if (fd >= 0)
		close(fd);
	char *at = text;
	size_t value = 0;
	for (int i = 0; i <= field; i++)
		value = strtoul(at, &at, 10);
	return value * 4096;
}

/* For a moment there are no more descriptors, or no more room. */
static void shortage(uint64_t *state)
{
	struct rlimit files, room;
	getrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_AS, &room);
	scarce++;
	if (next_random(state) % 2)
		set_limit(RLIMIT_NOFILE, 8 + next_random(state) % 24);
	else if (room.rlim_cur == RLIM_INFINITY)
		set_limit(RLIMIT_AS, statm(getpid(), 0) + (next_random(state) % 64 << 20));
	nanosleep(&(struct timespec){0, 3000000}, NULL);
	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_AS, &room);
	/* Calls that met it may be on their way back. */
	nanosleep(&(struct timespec){0, 20000000}, NULL);
	scarce++;
	shortages++;
}

static void *tormentor(void *arg)
{
	uint64_t state = seed0 + 17;
	(void)arg;
	for (unsigned round = 1; !over; round++) {
		kill_one(&state);
		if (round % 16 == 0)
			shortage(&state);
		nanosleep(&(struct timespec){0, (long)(next_random(&state) % PAUSE_MS) * 1000000}, NULL);
	}
	return NULL;
}

/* A disk without room: a tiny one where we may mount it, else the device that says so. */
static int full_disk(void)
{
	static char zeros[65536];
	char dir[] = "/tmp/airlock-torture-XXXXXX", path[64];
	int fd = -1;
	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mkdtemp(dir)) {
		snprintf(path, sizeof(path), "%s/log", dir);
		if (mount("none", dir, "tmpfs", 0, "size=16k") == 0)
			fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
		while (fd >= 0 && write(fd, zeros, sizeof(zeros)) > 0)
			;
		umount2(dir, MNT_DETACH);
		rmdir(dir);
	}
	return fd >= 0 ? fd : open("/dev/full", O_WRONLY | O_CLOEXEC);
}

static unsigned shared_mappings(void)
{
	char line[512];
	unsigned n = 0;
	FILE *f = fopen("/proc/self/maps", "re");
	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "memfd:airlock") != NULL;
	if (f)
		fclose(f);
	return n;
}

static void run_workers(unsigned threads)
{
	pthread_t thread[64];
	started_jobs = 0;
	for (unsigned i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, worker, (void *)(uintptr_t)(i + 1));
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
}

static struct airlock_policy *new_policy(int log)
{
	struct airlock_policy *p = NULL;
	if (airlock_policy_parse(&p, "pledge stdio\non-violation kill") < 0 || airlock_policy_log(p, log) < 0)
		check(false, "policy", "%s", airlock_message());
	return p;
}

/* Without kills a broker must neither grow nor gather descriptors. */
static void quiet(unsigned threads)
{
	char path[64];
	const unsigned long many = jobs;
	jobs = 500;
	run_workers(threads);
	processes_look();
	const pid_t broker = process_titled(": airlock broker");
	const size_t before = statm(broker, 1);
	jobs = 1500;
	run_workers(threads);
	processes_look();
	check(process_titled(": airlock broker") == broker, "without kills the broker lives", "another");
	const size_t after = statm(broker, 1);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* their records of it grow */
	check(after < before + (1 << 20), "and does not grow", "%zu KiB, then %zu", before >> 10, after >> 10);
#else
	(void)before, (void)after;
#endif
	snprintf(path, sizeof(path), "/proc/%d/fd", broker);
	DIR *d = opendir(path);
	unsigned n = 0;
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	check(n < 120, "and gathers no descriptors", "%u", n);
	jobs = many;
}

int main(int argc, char **argv)
{
	if (airlock_init(argc, argv) < 0)
		return 1;
	processes_begin();
	setlinebuf(stdout);
	jobs = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
	const unsigned threads = argc > 2 ? (unsigned)atoi(argv[2]) : 4;
	seed0 = argc > 3 ? (unsigned)atoi(argv[3]) : (unsigned)getpid();
	if (threads < 1 || threads > 64)
		return 2;
	const int log = full_disk();
	struct airlock_policy *p = new_policy(log);
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	o.min = 3;
	o.max = threads + 2;
	o.wall_ms = WALL_MS;
	o.target.shared = 1 << 17;
	/* What a first pool leaves for good, as libc's arenas, is no leak. */
	const unsigned long many = jobs;
	const unsigned before = descriptors();
	jobs = 200;
	if (airlock_pool_new(&pool, p, &o) < 0)
		return !check(false, "a pool", "%s", airlock_message());
	run_workers(threads);
	airlock_pool_free(pool);
	airlock_policy_free(p);
	const struct mallinfo2 heap = mallinfo2();
	jobs = many;
	memset(counts, 0, sizeof(counts));
	memset(cost, 0, sizeof(cost));

	p = new_policy(log);
	if (airlock_pool_new(&pool, p, &o) < 0)
		return !check(false, "a pool", "%s", airlock_message());
	pthread_t torment;
	pthread_create(&torment, NULL, tormentor, NULL);
	const double from = seconds();
	run_workers(threads);
	const double took = seconds() - from;
	over = true;
	pthread_join(torment, NULL);
	unsigned long asked = 0, answered = 0, spoiled = 0, of_want = 0;
	for (int i = 0; i < KINDS; i++) {
		asked += counts[i].asked;
		answered += counts[i].answered;
		spoiled += counts[i].spoiled;
		of_want += counts[i].scarce;
	}
	struct airlock_pool_stats s = AIRLOCK_POOL_STATS_INIT;
	airlock_pool_stats(pool, &s);
	printf("# seed %u: %lu jobs by %u threads in %.1f s; %lu crashed, %lu violated, %lu timed out, %lu exited, %lu "
	       "spoiled "
	       "their memory\n",
		seed0, asked, threads, took, (unsigned long)counts[CRASH].asked, (unsigned long)counts[VIOLATE].asked,
		(unsigned long)counts[HANG].asked, (unsigned long)counts[LEAVE].asked,
		(unsigned long)counts[SPOIL].asked);
	printf("# killed: %lu targets, %lu zygotes, %lu inits, %lu brokers, which cost %lu jobs; %lu shortages, which "
	       "cost "
	       "%lu; %llu targets started\n",
		(unsigned long)kills[0], (unsigned long)kills[1], (unsigned long)kills[2], (unsigned long)kills[3],
		spoiled, (unsigned long)shortages, of_want, (unsigned long long)s.started);
	check(asked == jobs && answered == jobs && s.calls == jobs, "each call returns, once",
		"%lu asked, %lu answered, %llu by the pool's count", asked, answered, (unsigned long long)s.calls);
	check(wrong == 0, "and rightly", "%lu did not", (unsigned long)wrong);
	check(s.busy == 0 && s.waiting == 0, "nobody is left in line", "%u busy, %u waiting", s.busy, s.waiting);
	quiet(threads);
	airlock_pool_free(pool);
	airlock_policy_free(p);
	check(processes_shrink_to(0, 0), "no process is left", "%s", processes_text());
	const unsigned after = descriptors();
	check(after == before, "no descriptor is left", "%u before, %u after", before, after);
	check(shared_mappings() == 0, "no shared memory is left", "%u mappings", shared_mappings());
	const struct mallinfo2 now = mallinfo2();
	check(now.uordblks < heap.uordblks + 65536, "no memory is left", "%zu bytes in use, then %zu", heap.uordblks,
		now.uordblks);
	close(log);
	return tap_failed != 0;
}
