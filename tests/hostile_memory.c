/* SPDX-License-Identifier: ISC */
/* Hostile attempts to run code of its own, and other programs. Runs in the target. */
#include "tests/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NO "EPERM"

static int mapped(void *p)
{
	return p == MAP_FAILED ? -errno : 0;
}

static int map_executable(const struct hostile *h)
{
	(void)h;
	return mapped(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static int map_write_execute(const struct hostile *h)
{
	(void)h;
	return mapped(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static int map_executable_high_bits(const struct hostile *h)
{
	(void)h;
	return SYS(SYS_mmap, 0, 4096, 0x100000000 | PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int protect_executable(const struct hostile *h)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)h;
	return SYS(SYS_mprotect, p, 4096, PROT_READ | PROT_EXEC);
}

static int protect_key_executable(const struct hostile *h)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)h;
	return SYS(SYS_pkey_mprotect, p, 4096, PROT_READ | PROT_EXEC, -1);
}

static int protect_text_writable(const struct hostile *h)
{
	static unsigned char data[8192] __attribute__((aligned(4096)));

	(void)h;
	return SYS(SYS_mprotect, data, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int map_memfd_executable(const struct hostile *h)
{
	long fd = syscall(SYS_memfd_create, "x", 0x8); /* MFD_NOEXEC_SEAL does not stop mmap */

	(void)h;
	if (fd < 0 || write((int)fd, "\xc3", 1) != 1)
		return -errno;
	return mapped(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, (int)fd, 0));
}

static int map_file_executable(const struct hostile *h)
{
	long fd = syscall(SYS_openat, AT_FDCWD, join(h, "open/ok"), O_RDONLY);

	return fd < 0 ? -errno : mapped(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, (int)fd, 0));
}

/* The loader's rights must end where the program begins. */
static int open_library(const struct hostile *h)
{
	(void)h;
	return opened(syscall(SYS_openat, AT_FDCWD, "/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY));
}

static int open_loader_cache(const struct hostile *h)
{
	(void)h;
	return opened(syscall(SYS_openat, AT_FDCWD, "/etc/ld.so.cache", O_RDONLY));
}

static int execute(const char *path)
{
	char *argv[] = {(char *)path, "-c", "echo hostile got a shell", NULL}, *env[] = {NULL};

	return SYS(SYS_execve, path, argv, env);
}

static int exec_shell(const struct hostile *h)
{
	(void)h;
	return execute("/bin/sh");
}

static int exec_self(const struct hostile *h)
{
	(void)h;
	return execute("/proc/self/exe");
}

static int exec_in_rule(const struct hostile *h)
{
	return execute(join(h, "open/program"));
}

static int execveat_directory(const struct hostile *h)
{
	char *argv[] = {"sh", "-c", "echo hostile got a shell", NULL};

	(void)h;
	return SYS(SYS_execveat, AT_FDCWD, "/bin/sh", argv, NULL, 0);
}

static int exec_descriptor(long fd)
{
	char *argv[] = {"x", NULL};

	return fd < 0 ? -errno : SYS(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH);
}

static int exec_memfd(const struct hostile *h)
{
	static const char script[] = "#!/bin/sh\necho hostile got a shell\n";
	long fd = syscall(SYS_memfd_create, "x", 0);

	(void)h;
	if (fd < 0 || write((int)fd, script, sizeof(script) - 1) < 0)
		return -errno;
	return exec_descriptor(fd);
}

static int exec_stdin(const struct hostile *h)
{
	(void)h;
	return exec_descriptor(0);
}

static int exec_opened(const struct hostile *h)
{
	return exec_descriptor(syscall(SYS_openat, AT_FDCWD, join(h, "open/program"), O_RDONLY));
}

static int read_implies_exec(const struct hostile *h)
{
	(void)h;
	return SYS(SYS_personality, 0x0400000);
}

static int remap_pages(const struct hostile *h)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)h;
	/* remap_file_pages: an old way to change what a mapping shows. */
	return SYS(SYS_remap_file_pages, p, 4096, 0, 0, 0);
}

const struct attempt attempts_memory[] = {
	{"map_executable", map_executable, NO, 0, 0, 1},
	{"map_write_execute", map_write_execute, NO, 0, 0, 1},
	{"map_executable_high_bits", map_executable_high_bits, NO, 0, 0, 1},
	{"protect_executable", protect_executable, NO, 0, 0, 1},
	{"protect_key_executable", protect_key_executable, NO, 0, 0, 1},
	{"protect_text_writable", protect_text_writable, NO, 0, 0, 1},
	{"map_memfd_executable", map_memfd_executable, NO, 0, 0, 1},
	{"map_file_executable", map_file_executable, "stdio:EPERM|ENOENT EPERM", 0, 0, 1},
	{"open_library", open_library, "stdio:EPERM|ENOENT ENOENT", 0, 0, 1},
	{"open_loader_cache", open_loader_cache, "stdio:EPERM|ENOENT ENOENT", 0, 0, 1},
	{"exec_shell", exec_shell, "EPERM|ENOENT", 0, 0, 0},
	{"exec_self", exec_self, "EPERM|ENOENT", 0, 0, 0},
	{"exec_in_rule", exec_in_rule, "EPERM|ENOENT", 0, 0, 0},
	{"exec_in_rule_promised", exec_in_rule, "EPERM|ENOENT|EACCES|ENOSYS", "exec", 0, 0},
	{"execveat_directory", execveat_directory, "EPERM|ENOENT", 0, 0, 0},
	{"exec_memfd", exec_memfd, NO, 0, 0, 0},
	{"exec_memfd_promised", exec_memfd, "EPERM|EACCES|ENOSYS|ENOENT", "exec", 0, 0},
	{"exec_stdin", exec_stdin, NO, 0, 0, 0},
	{"exec_opened", exec_opened, "stdio:EPERM|ENOENT EPERM", 0, 0, 0},
	{"read_implies_exec", read_implies_exec, NO, 0, 0, 1},
	{"remap_file_pages", remap_pages, "EPERM", 0, 0, 0},
	{0},
};
