/* SPDX-License-Identifier: ISC */
/* What goes wrong when a program is to be executed: a battery for live_exec. */
#include "tests/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *argument[] = {"x", NULL};
static char *nothing[] = {NULL};

static int path_is(const void *arg)
{
	return syscall(SYS_execve, arg, argument, nothing) < 0 ? -errno : 0;
}

static int bad_argv(const void *arg)
{
	return syscall(SYS_execve, arg, 8, nothing) < 0 ? -errno : 0;
}

static int bad_envp(const void *arg)
{
	return syscall(SYS_execve, arg, argument, 8) < 0 ? -errno : 0;
}

static int bad_string(const void *arg)
{
	char *argv[] = {"x", (char *)16, NULL};

	return syscall(SYS_execve, arg, argv, nothing) < 0 ? -errno : 0;
}

/* The pointers' array ends where memory does, with and without its NULL. */
static int edge(const void *arg)
{
	char **page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(page + 512, 4096);
	page[510] = "edge";
	page[511] = arg ? "over" : NULL;
	return syscall(SYS_execve, "./script", page + 510, nothing) < 0 ? -errno : 0;
}

static int path_at_edge(const void *arg)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(page + 4096, 4096);
	memcpy(page + 4096 - 8, "./probe", 8);
	if (arg)
		page[4095] = 'x';
	return syscall(SYS_execve, page + 4096 - 8, argument, nothing) < 0 ? -errno : 0;
}

static int in_use(const void *arg)
{
	(void)arg;
	if (open("busy", O_WRONLY) < 0)
		return -EBADF;
	return run("./busy", NULL);
}

/* Nobody can write to what runs. */
static int write_to_running(const void *arg)
{
	char *argv[] = {"busy", "pause", NULL};
	int fds[2], fd;

	(void)arg;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid_t pid = fork();
	if (!pid)
		_exit(-run("./busy", argv));
	close(fds[1]);
	(void)!read(fds[0], &fd, 1); /* ends with the exec */
	fd = open("busy", O_WRONLY);
	int e = fd < 0 ? -errno : 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return e;
}

static int flags_are(const void *arg)
{
	return run_at(AT_FDCWD, "./probe", *(const int *)arg);
}

static int descriptor_is(const void *arg)
{
	return run_at(*(const int *)arg, "", AT_EMPTY_PATH);
}

static int beneath_file(const void *arg)
{
	return run_at(open("probe", O_RDONLY), arg, 0);
}

static int name_too_long(const void *arg)
{
	size_t len = *(const size_t *)arg;
	char *path = malloc(len + 1);

	memset(path, 'a', len);
	path[len] = 0;
	return path_is(path);
}

void exec_errors(struct battery *b)
{
	static const char *const paths[] = {"", ".", "..", "/", "./plain", "./dir", "./fifo", "./garbage", "./empty",
		"./nul", "./nowhere", "./dangling", "./loop", "./loop/x", "./probe/", "./probe/x", "./dir/nowhere",
		"./dir/nowhere/x", "./elf-foreign", "./elf-short", "./elf-head", "./elf-interp", "./elf-huge",
		"./script-plain", "./script-not-x", "./nested-5", "./nested-6", "./nested-7", "./nested-missing",
		"/dev/null", "/proc/self/fd/99", "/dev/fd/99", "/proc/self/fd/0/x"};
	static const size_t lengths[] = {255, 256, 4095, 4096, 5000};
	static const int flags[] = {0, 1, 0x800, 0x2000, 0x40000000}, descriptors[] = {-1, 99, AT_FDCWD, 1};
	char name[80];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		snprintf(name, sizeof(name), "path '%s'", paths[i]);
		child(b, name, path_is, paths[i]);
	}
	child(b, "no path", path_is, NULL);
	child(b, "bad path", path_is, (const void *)16);
	for (size_t i = 0; i < 4; i++) {
		static const char *const at_fault[] = {"./probe", "./script", "./nowhere", "./garbage"};

		snprintf(name, sizeof(name), "bad arguments, %s", at_fault[i]);
		child(b, name, bad_argv, at_fault[i]);
		snprintf(name, sizeof(name), "bad environment, %s", at_fault[i]);
		child(b, name, bad_envp, at_fault[i]);
		snprintf(name, sizeof(name), "bad string, %s", at_fault[i]);
		child(b, name, bad_string, at_fault[i]);
	}
	child(b, "arguments at the edge", edge, NULL);
	child(b, "arguments over the edge", edge, "");
	child(b, "path at the edge", path_at_edge, NULL);
	child(b, "path over the edge", path_at_edge, "");
	child(b, "open for writing", in_use, NULL);
	child(b, "writing to what runs", write_to_running, NULL);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		snprintf(name, sizeof(name), "path of %zu bytes", lengths[i]);
		child(b, name, name_too_long, &lengths[i]);
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		snprintf(name, sizeof(name), "flags %x", (unsigned)flags[i]);
		child(b, name, flags_are, &flags[i]);
	}
	for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++) {
		snprintf(name, sizeof(name), "descriptor %d", descriptors[i]);
		child(b, name, descriptor_is, &descriptors[i]);
	}
	child(b, "beneath a file", beneath_file, "probe");
	child(b, "beneath a file, empty", beneath_file, "");
}
