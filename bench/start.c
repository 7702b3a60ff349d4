/* SPDX-License-Identifier: ISC */
/* What it takes to start: the first target of a policy, from a host of little memory and of a gigabyte; and further ones
 * beside posix_spawn of the same image. bench/rates.c has their number a second. */
#include "bench/common.h"

#include <airlock.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1u << 20)
#define COLD 8
#define FURTHER 40

static ssize_t nothing(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)out;
	(void)len;
	(void)cap;
	return 0;
}
AIRLOCK_FUNCTION(nothing)

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

	for (int i = 0; i < times(COLD, 1); i++) {
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
	for (int i = 0; i < times(FURTHER, 2); i++) {
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

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--exit"))
		return 0;
	if (airlock_init(argc, argv) < 0)
		fail("airlock_init", airlock_message());
	cold();
	further();
	return 0;
}
