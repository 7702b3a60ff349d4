/* SPDX-License-Identifier: ISC */
/* Hostile attempts to execute what has no `x`, with the promise exec: nothing is unveiled for it, so nothing may run. Runs in
 * the target. */
#include "tests/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO "EACCES|ENOENT|EPERM"
#define EXEC "exec"
#define FORKS "exec proc"
#define WRITES "exec wpath cpath"
#ifdef __aarch64__
#define LOADER "/lib/ld-linux-aarch64.so.1"
#else
#define LOADER "/lib64/ld-linux-x86-64.so.2"
#endif

static const char script[] = "#!/bin/sh\necho hostile got a shell\n";

static int execute(const char *path)
{
	char *argv[] = {(char *)path, "-c", "echo hostile got a shell", NULL}, *env[] = {NULL};

	return SYS(SYS_execve, path, argv, env);
}

static int execute_fd(long fd, const char *how)
{
	char path[64], *argv[] = {"x", NULL};

	if (fd < 0)
		return -errno;
	if (!how)
		return SYS(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH);
	snprintf(path, sizeof(path), how, (int)fd);
	return execute(path);
}

static long filled(long fd)
{
	return fd >= 0 && write((int)fd, script, sizeof(script) - 1) < 0 ? -1 : fd;
}

/* PATH(name, path): h may be used in it. */
#define PATH(name, path)                                                                                               \
	static int name(const struct hostile *h)                                                                       \
	{                                                                                                              \
		(void)h;                                                                                               \
		return execute(path);                                                                                  \
	}
#define DESCRIPTOR(name, fd, how)                                                                                      \
	static int name(const struct hostile *h)                                                                       \
	{                                                                                                              \
		(void)h;                                                                                               \
		return execute_fd(fd, how);                                                                            \
	}

PATH(shell, "/bin/sh")
PATH(shell_itself, "/usr/bin/dash")
PATH(shell_by_dots, "/nowhere/../bin/sh")
PATH(shell_by_root, "/proc/self/root/bin/sh")
PATH(shell_by_init, "/proc/1/root/bin/sh")
PATH(shell_by_cwd, "/proc/self/cwd/../../../bin/sh")
PATH(loader, LOADER)
PATH(itself, "/proc/self/exe")
PATH(itself_by_number, "/proc/thread-self/exe")
PATH(beneath_rule, join(h, "open/program"))
PATH(by_link, join(h, "open/door/file"))
PATH(by_process_link, join(h, "open/process/exe"))
PATH(beside_rule, join(h, "open2/file"))
PATH(memory_file, "/proc/self/mem")
PATH(device, "/dev/null")
DESCRIPTOR(memfd, filled(syscall(SYS_memfd_create, "x", 0)), NULL)
DESCRIPTOR(memfd_exec, filled(syscall(SYS_memfd_create, "x", 0x10)), NULL)
DESCRIPTOR(memfd_sealed, filled(syscall(SYS_memfd_create, "x", 0x8)), NULL)
DESCRIPTOR(memfd_by_proc, filled(syscall(SYS_memfd_create, "x", 0x8)), "/proc/self/fd/%d")
DESCRIPTOR(memfd_by_dev, filled(syscall(SYS_memfd_create, "x", 0x8)), "/dev/fd/%d")
DESCRIPTOR(unnamed, filled(syscall(SYS_openat, AT_FDCWD, h->open, O_TMPFILE | O_RDWR, 0700)), NULL)
DESCRIPTOR(input, filled(0), NULL)
DESCRIPTOR(input_by_proc, filled(0), "/proc/self/fd/%d")
DESCRIPTOR(opened_file, syscall(SYS_openat, AT_FDCWD, join(h, "open/program"), O_RDONLY), NULL)
DESCRIPTOR(opened_path, syscall(SYS_openat, AT_FDCWD, join(h, "open/program"), O_PATH), NULL)
DESCRIPTOR(opened_by_proc, syscall(SYS_openat, AT_FDCWD, join(h, "open/program"), O_RDONLY), "/proc/self/fd/%d")
DESCRIPTOR(opened_directory, syscall(SYS_openat, AT_FDCWD, h->open, O_RDONLY), "/proc/self/fd/%d/program")

static int beneath_directory(const struct hostile *h)
{
	char *argv[] = {"x", NULL};
	long fd = syscall(SYS_openat, AT_FDCWD, h->open, O_RDONLY | O_DIRECTORY);

	return fd < 0 ? -errno : SYS(SYS_execveat, fd, "program", argv, NULL, 0);
}

static int above_directory(const struct hostile *h)
{
	char *argv[] = {"sh", "-c", "echo hostile got a shell", NULL};
	long fd = syscall(SYS_openat, AT_FDCWD, h->open, O_RDONLY | O_DIRECTORY);

	return fd < 0 ? -errno : SYS(SYS_execveat, fd, "../../../../bin/sh", argv, NULL, 0);
}

/* "" is taken for the descriptor only with the flag, and the flag for what the broker alone may ask. */
static int descriptor_with_path(const struct hostile *h)
{
	char *argv[] = {"sh", "-c", "echo hostile got a shell", NULL};

	(void)h;
	return SYS(SYS_execveat, 0, "/bin/sh", argv, NULL, AT_EMPTY_PATH);
}

static int loader_with_program(const struct hostile *h)
{
	char *argv[] = {"ld.so", (char *)join(h, "open/program"), NULL};

	return SYS(SYS_execve, LOADER, argv, NULL);
}

static int made_itself(const struct hostile *h)
{
	const char *path = join(h, "open/made");
	long fd = filled(syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT, 0755));

	return fd < 0 ? -errno : execute(path);
}

static int by_vfork(const struct hostile *h)
{
	volatile int error = 0;
	pid_t pid = vfork();

	(void)h;
	if (!pid) {
		error = execute("/bin/sh");
		_exit(1);
	}
	return pid < 0 ? -errno : error;
}

static void *thread_main(void *arg)
{
	*(int *)arg = execute("/bin/sh");
	return NULL;
}

static int by_thread(const struct hostile *h)
{
	pthread_t thread;
	int error = 0;

	(void)h;
	if (pthread_create(&thread, NULL, thread_main, &error))
		return -EAGAIN;
	pthread_join(thread, NULL);
	return error;
}

/* Whether what is hidden is there, and what it is. */
static int hidden_or_missing(const struct hostile *h)
{
	return same_answer(execute(h->secret), execute(join(h, "secret/none")));
}

static int hidden_kinds(const struct hostile *h)
{
	return same_answer(execute(join(h, "secret/dir")), execute(join(h, "secret/none")));
}

static int checked(const struct hostile *h)
{
	char *argv[] = {"x", NULL};

	return same_answer(SYS(SYS_execveat, AT_FDCWD, h->secret, argv, NULL, 0x10000),
		SYS(SYS_execveat, AT_FDCWD, join(h, "secret/none"), argv, NULL, 0x10000));
}

/* A child that is traced by its parent when it executes something. */
static int traced_child(const struct hostile *h)
{
	pid_t pid = fork();
	int status;

	(void)h;
	if (!pid) {
		if (syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0))
			_exit(2);
		execute("/bin/sh");
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFSIGNALED(status) || WEXITSTATUS(status) == 2 ? -EPERM : 0;
}

static int map_library(const struct hostile *h)
{
	long fd = syscall(SYS_openat, AT_FDCWD, join(h, "open/program"), O_RDONLY);

	if (fd < 0)
		return -errno;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, (int)fd, 0) == MAP_FAILED ? -errno : 0;
}

const struct attempt attempts_exec[] = {
	{"exec_of_shell", shell, NO, EXEC, 0, 0},
	{"exec_of_shell_itself", shell_itself, NO, EXEC, 0, 0},
	{"exec_by_dots", shell_by_dots, NO, EXEC, 0, 0},
	{"exec_by_root", shell_by_root, NO, EXEC, 0, 0},
	{"exec_by_init", shell_by_init, NO, EXEC, 0, 0},
	{"exec_by_cwd", shell_by_cwd, NO, EXEC, 0, 0},
	{"exec_of_loader", loader, NO, EXEC, 0, 0},
	{"exec_of_loader_with_program", loader_with_program, NO, EXEC, 0, 0},
	{"exec_of_itself", itself, NO, EXEC, 0, 0},
	{"exec_of_itself_by_thread", itself_by_number, NO, EXEC, 0, 0},
	{"exec_beneath_rule", beneath_rule, NO, EXEC, 0, 0},
	{"exec_by_link", by_link, NO, EXEC, 0, 0},
	{"exec_by_process_link", by_process_link, NO, EXEC, 0, 0},
	{"exec_beside_rule", beside_rule, NO, EXEC, 0, 0},
	{"exec_of_memory", memory_file, NO, EXEC, 0, 0},
	{"exec_of_device", device, NO, EXEC, 0, 0},
	{"exec_of_memfd", memfd, NO, EXEC, 0, 0},
	{"exec_of_memfd_exec", memfd_exec, NO, EXEC, 0, 0},
	{"exec_of_memfd_sealed", memfd_sealed, NO, EXEC, 0, 0},
	{"exec_of_memfd_by_proc", memfd_by_proc, NO, EXEC, 0, 0},
	{"exec_of_memfd_by_dev", memfd_by_dev, NO, EXEC, 0, 0},
	{"exec_of_unnamed", unnamed, NO, WRITES, 0, 0},
	{"exec_of_input", input, NO, EXEC, 0, 0},
	{"exec_of_input_by_proc", input_by_proc, NO, EXEC, 0, 0},
	{"exec_of_descriptor", opened_file, NO, EXEC, 0, 0},
	{"exec_of_descriptor_path", opened_path, NO, EXEC, 0, 0},
	{"exec_of_descriptor_by_proc", opened_by_proc, NO, EXEC, 0, 0},
	{"exec_beneath_descriptor_by_proc", opened_directory, NO, EXEC, 0, 0},
	{"exec_beneath_descriptor", beneath_directory, NO, EXEC, 0, 0},
	{"exec_above_descriptor", above_directory, NO, EXEC, 0, 0},
	{"exec_with_descriptor_and_path", descriptor_with_path, NO, EXEC, 0, 0},
	{"exec_of_made", made_itself, NO, WRITES, 0, 0},
	{"exec_by_vfork", by_vfork, NO, FORKS, 0, 0},
	{"exec_by_thread", by_thread, NO, EXEC, 0, 0},
	{"exec_hidden_or_missing", hidden_or_missing, NO, EXEC, 0, 0},
	{"exec_hidden_kinds", hidden_kinds, NO, EXEC, 0, 0},
	{"exec_check_hidden", checked, "ENOENT|EPERM|EACCES", EXEC, 0, 0},
	{"exec_traced", traced_child, "EPERM", FORKS, 0, 0},
	{"exec_map_library", map_library, "stdio:EPERM|ENOENT EPERM", EXEC, 0, 0},
	{0},
};
