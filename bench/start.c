/* SPDX-License-Identifier: ISC */
/*
 * What it takes to start: the first target of a policy, from a host of little memory and of a gigabyte; further ones
 * beside posix_spawn of the same image; `airlock run` beside other launchers (its path is the first argument); how long
 * after a crash the host has the status; and the memory of an idle target.
 */
#include "bench/common.h"

#include <airlock.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1u << 20)
#define COLD 8
#define FURTHER 40
#define RUN 25
#define CRASH 20
#define IDLE 10

static ssize_t nothing(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)out;
	(void)len;
	(void)cap;
	return 0;
}
AIRLOCK_FUNCTION(nothing)

/* Where no page is; volatile, so that no compiler knows. */
static char *volatile nowhere = (char *)16;

static ssize_t crash(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)len;
	(void)out;
	*nowhere = 0;
	return (ssize_t)cap;
}
AIRLOCK_FUNCTION(crash)

static struct airlock_policy *policy(void)
{
	struct airlock_policy *p;

	if (airlock_policy_new(&p, "stdio") < 0)
		fail("policy", airlock_message());
	return p;
}

static struct airlock_target *start(struct airlock_policy *p)
{
	struct airlock_target *t;

	if (airlock_start(&t, p, NULL, NULL, NULL) < 0)
		fail("airlock_start", airlock_message());
	return t;
}

static void first_answer(struct airlock_target *t)
{
	if (airlock_call(t, "nothing", "x", 1, NULL, 0) != 0)
		fail("airlock_call", airlock_message());
}

static double spawn(char *const argv[])
{
	posix_spawn_file_actions_t actions;
	uint64_t from = now_ns();
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	int e = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (e)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			fail("waitpid", strerror(errno));
	return status ? -1 : (double)(now_ns() - from);
}

static void cold_once(struct samples *s)
{
	uint64_t from = now_ns();
	struct airlock_policy *p = policy();
	struct airlock_target *t = start(p);

	first_answer(t);
	sample(s, (double)(now_ns() - from));
	airlock_free(t);
	airlock_policy_free(p);
}

static void cold(void)
{
	struct samples small = {0}, large = {0};

	for (int i = 0; i < COLD; i++) {
		char *memory = malloc(10 * MIB);

		if (memory)
			memset(memory, i + 1, 10 * MIB);
		__asm__ volatile("" ::"r"(memory) : "memory");
		cold_once(&small);
		free(memory);
		memory = mmap(
			NULL, 1024ul * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (memory == MAP_FAILED)
			continue;
		cold_once(&large);
		munmap(memory, 1024ul * MIB);
	}
	report("cold airlock_start to the first answer, host of 10 MB", median(&small), "", 0, "3 ms");
	if (large.count)
		report("cold airlock_start to the first answer, host of 1 GB", median(&large), "host of 10 MB",
			median(&small), "3 ms");
}

static void further(void)
{
	struct samples spawned = {0}, answered = {0}, ended = {0}, beyond = {0};
	char *self[] = {"/proc/self/exe", "--exit", NULL};
	char path[PATH_MAX] = "";
	struct airlock_policy *p = policy();
	struct airlock_target *keep = start(p);

	/* posix_spawn's child resolves /proc/self/exe before it is another program: the same image. */
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) > 0)
		self[0] = path;
	first_answer(keep);
	for (int i = 0; i < FURTHER; i++) {
		double native = spawn(self);
		uint64_t from = now_ns();
		struct airlock_target *t = start(p);

		first_answer(t);
		double answer = (double)(now_ns() - from);
		airlock_free(t);
		double all = (double)(now_ns() - from);
		sample(&spawned, native);
		sample(&answered, answer);
		sample(&ended, all);
		sample(&beyond, answer - native);
	}
	double n = median(&spawned);
	report("posix_spawn of the same image, wait", n, "", 0, "");
	report("further target, start to the first answer", median(&answered), "posix_spawn", n, "");
	report("further target, start, answer, end", median(&ended), "posix_spawn", n, "");
	report("further target, first answer beyond posix_spawn", median(&beyond), "", 0, "0.6 ms");
	airlock_free(keep);
	airlock_policy_free(p);
}

static void launchers(char *airlock)
{
	struct samples plain = {0}, run = {0}, bwrap = {0};
	char *plain_argv[] = {"/bin/true", NULL};
	char *run_argv[] = {airlock, "run", "-p", "stdio", "/bin/true", NULL};
	char *bwrap_argv[] = {"/usr/bin/bwrap", "--unshare-all", "--ro-bind", "/", "/", "/bin/true", NULL};
	bool have_bwrap = access(bwrap_argv[0], X_OK) == 0;

	for (int i = 0; i < RUN; i++) {
		double ns = spawn(plain_argv);

		sample(&plain, ns);
		if (airlock && (ns = spawn(run_argv)) < 0) {
			fprintf(stderr, "bench: airlock run -p stdio /bin/true failed\n");
			airlock = NULL;
		} else if (airlock) {
			sample(&run, ns);
		}
		if (have_bwrap && (ns = spawn(bwrap_argv)) >= 0)
			sample(&bwrap, ns);
	}
	double n = median(&plain);
	report("posix_spawn /bin/true, wait", n, "", 0, "");
	if (airlock)
		report("airlock run -p stdio /bin/true", median(&run), "posix_spawn", n, "3 x");
	if (bwrap.count)
		report("bwrap --unshare-all --ro-bind / / /bin/true", median(&bwrap), "posix_spawn", n, "");
}

static void crashes(void)
{
	struct samples answered = {0}, told = {0};
	struct airlock_policy *p = policy();
	struct airlock_target *keep = start(p);
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	for (int i = 0; i < CRASH; i++) {
		struct airlock_status status = AIRLOCK_STATUS_INIT;
		struct airlock_target *t = start(p);

		first_answer(t);
		uint64_t from = now_ns();
		if (airlock_call(t, "crash", "x", 1, NULL, 0) != -EPIPE)
			fail("crash", "the call did not fail");
		sample(&answered, (double)(now_ns() - from));
		if (airlock_wait(t, &status, 5000) < 0 || status.end != AIRLOCK_CRASHED)
			fail("crash", "wrong status");
		sample(&told, (double)(now_ns() - from));
		airlock_free(t);
	}
	report("crash: call to its return", median(&answered), "", 0, "1 ms");
	report("crash: call to the status", median(&told), "", 0, "1 ms");
	airlock_free(keep);
	airlock_policy_free(p);
}

/* The proportional set size in KiB, or 0. */
static long pss_of(const char *pid)
{
	char path[64], line[256];
	long kib = 0;

	snprintf(path, sizeof(path), "/proc/%.16s/smaps_rollup", pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "Pss:", 4) == 0) {
			kib = strtol(line + 4, NULL, 10);
			break;
		}
	if (f)
		fclose(f);
	return kib;
}

/* Of all processes of this image but the host. */
static long pss_of_all(unsigned *count)
{
	char self[PATH_MAX], other[PATH_MAX], path[64];
	DIR *d = opendir("/proc");
	long kib = 0;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self));

	*count = 0;
	for (struct dirent *e; d && (e = readdir(d));) {
		snprintf(path, sizeof(path), "/proc/%.16s/exe", e->d_name);
		if (e->d_name[0] < '1' || e->d_name[0] > '9' || strtol(e->d_name, NULL, 10) == getpid() ||
			readlink(path, other, sizeof(other)) != len || memcmp(self, other, (size_t)len) != 0)
			continue;
		kib += pss_of(e->d_name);
		++*count;
	}
	if (d)
		closedir(d);
	return kib;
}

static void memory(void)
{
	struct airlock_target *t[1 + IDLE];
	struct airlock_policy *p = policy();
	unsigned before, after;

	t[0] = start(p);
	first_answer(t[0]);
	long one = pss_of_all(&before);
	for (int i = 1; i <= IDLE; i++) {
		t[i] = start(p);
		first_answer(t[i]);
	}
	long all = pss_of_all(&after);
	if (one && after > before)
		printf("idle target, with its init and its share of the broker\t%.2f MiB\t%.1f processes\t0.5 MiB\n",
			(double)(all - one) / 1024 / IDLE, (double)(after - before) / IDLE);
	for (int i = 0; i <= IDLE; i++)
		airlock_free(t[i]);
	airlock_policy_free(p);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--exit"))
		return 0;
	if (airlock_init(argc, argv) < 0)
		fail("airlock_init", airlock_message());
	cold();
	further();
	launchers(argc > 1 ? argv[1] : NULL);
	crashes();
	memory();
	return 0;
}
