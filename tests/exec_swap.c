/* SPDX-License-Identifier: ISC */
/*
 * Execs that race with a thread which puts something else in the place of what was asked for: the path, the descriptor, the
 * link, the arguments. exec_swap GOOD CANARY WRITABLE TRIES: GOOD may be executed, and exits with 7 when its first argument
 * is "exit"; CANARY must never run; WRITABLE is a directory to make links in. Says how the tries ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *good, *canary, *writable, *script;
static char path[512], link_path[512], other[512];
static char *arguments[] = {"given", "exit", "7", NULL};
static atomic_bool stop, ready;

static void *flip_path(void *arg)
{
	(void)arg;
	while (!stop) {
		strcpy(path, canary);
		strcpy(path, good);
	}
	return NULL;
}

static void *flip_link(void *arg)
{
	(void)arg;
	for (unsigned i = 0; !stop; i++) {
		unlink(other);
		if (symlink(i % 2 ? good : canary, other) || rename(other, link_path))
			break;
	}
	return NULL;
}

static void *flip_descriptors(void *arg)
{
	int fd = *(int *)arg;

	ready = true;
	/* The lowest free number is what the program's descriptor gets. */
	while (!stop) {
		for (int i = 3; i < 7; i++)
			dup2(fd, i);
		for (int i = 3; i < 7; i++)
			close(i);
	}
	return NULL;
}

/* The words of a script's interpreter lie at the family's addresses: all that is mapped there is overwritten. */
static void *flip_words(void *arg)
{
	char *page = arg;

	while (!stop)
		for (char *c = page; c < page + 2048; c++)
			if (!strncmp(c, script, strlen(script)))
				memcpy(c, canary, strlen(canary) + 1);
	return NULL;
}

static void *narrow(void *arg)
{
	static const char less[] = "pledge stdio rpath proc\n";

	(void)arg;
	syscall(44040, 1, less, sizeof(less) - 1, 1);
	while (!stop)
		;
	return NULL;
}

static void *exec_too(void *arg)
{
	char *argv[] = {arg, "exit", "7", NULL};

	execve(arg, argv, environ);
	while (!stop)
		;
	return NULL;
}

static int count[5]; /* ran, refused, killed, something else, ran the canary (which exits with 0) */

static void ended(int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 7)
		count[0]++;
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		count[1]++;
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		count[2]++;
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		count[4]++;
	else
		count[3]++;
}

/* The child of vfork(2) shares the memory that the thread writes to. */
static void sharing_memory(void *(*flip)(void *), void *arg, const char *what, int tries)
{
	pthread_t thread;
	int status;

	stop = false;
	pthread_create(&thread, NULL, flip, arg);
	for (int i = 0; i < tries; i++) {
		pid_t pid = vfork();

		if (!pid) {
			execve(what, arguments, environ);
			_exit(1);
		}
		if (waitpid(pid, &status, 0) == pid)
			ended(status);
	}
	stop = true;
	pthread_join(thread, NULL);
}

/* A process of its own for each, whose threads share descriptors too. */
static void sharing_all(void *(*flip)(void *), void *arg, const char *what, int tries)
{
	stop = false;
	for (int i = 0; i < tries; i++) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			pthread_t thread;

			pthread_create(&thread, NULL, flip, arg);
			while (flip == flip_descriptors && !ready)
				;
			for (volatile int spin = i % 50 * 500; spin > 0; spin--)
				;
			execve(what, arguments, environ);
			_exit(1);
		}
		if (waitpid(pid, &status, 0) == pid)
			ended(status);
	}
}

static void report(const char *name)
{
	printf("%s: %s, %s, %s, %s\n", name, count[4] ? "CANARY" : "no canary",
		count[3] ? "something else" : "nothing else", count[0] ? "some ran" : "none ran",
		count[0] + count[1] + count[2] ? "all ended" : "none ended");
	fflush(stdout);
	fprintf(stderr, "# %s: %d ran, %d refused, %d killed, %d otherwise\n", name, count[0], count[1], count[2],
		count[3]);
	memset(count, 0, sizeof(count));
}

static void *words_page(void)
{
	/* One exec of the script makes it. */
	int status;
	pid_t pid = vfork();

	if (!pid) {
		execve(script, arguments, environ);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	for (uint64_t at = UINT64_C(64) << 30; at < UINT64_C(80) << 30; at += UINT64_C(1) << 20) {
		unsigned char resident;

		if (syscall(SYS_mincore, at, 4096, &resident) == 0)
			return (void *)(uintptr_t)at;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	good = argv[1], canary = argv[2], writable = argv[3], script = argv[4];
	int tries = atoi(argv[5]), memfd = (int)syscall(SYS_memfd_create, "x", 8 /* MFD_NOEXEC_SEAL */),
	    file = open(canary, O_RDONLY);
	char copy[65536];
	ssize_t n;

	strcpy(path, good);
	snprintf(link_path, sizeof(link_path), "%s/link", writable);
	snprintf(other, sizeof(other), "%s/other", writable);
	while (memfd >= 0 && (n = read(file, copy, sizeof(copy))) > 0)
		if (write(memfd, copy, (size_t)n) != n)
			return 3;
	if (file < 0 || symlink(good, link_path) || fcntl(file, F_DUPFD, 60) != 60 ||
		(memfd >= 0 && dup2(memfd, 61) != 61))
		return 3;
	close(file);
	close(memfd);
	sharing_memory(flip_path, NULL, path, tries);
	report("path");
	sharing_memory(flip_link, NULL, link_path, tries);
	report("link");
	sharing_all(flip_descriptors, &(int){60}, good, tries);
	report("descriptor of a file");
	sharing_all(flip_descriptors, &(int){61}, good, tries);
	report("descriptor of a memfd");
	sharing_all(narrow, NULL, good, tries / 4);
	report("narrowing");
	sharing_all(exec_too, (void *)(uintptr_t)good, good, tries / 4);
	report("two at once");
	sharing_all(exec_too, (void *)(uintptr_t)canary, good, tries / 4);
	report("two at once, one not allowed");
	void *page = words_page();
	if (page)
		sharing_memory(flip_words, page, script, tries);
	report(page ? "arguments of a script" : "arguments of a script were not found");
	return 0;
}
