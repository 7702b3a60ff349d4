/* SPDX-License-Identifier: ISC */
/*
 * The decoder with a hole: a comment in the file makes it run the attacker's code. Runs in a target.
 *
 * A real hole would be an overflow, and the code a page of gadgets; what it can do then is what this file does with
 * plain C. Each attack tries more than one way. One that works sets `stolen` in the answer, for the host to see; an
 * attacker who knows the host's paths and ports is assumed, so they come in the environment.
 */
#include "examples/buggy.h"
#include "examples/decode.h"

#include <airlock.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *host_path(const char *name, char buf[PATH_MAX])
{
	const char *directory = getenv("CONTAIN_DIRECTORY");

	snprintf(buf, PATH_MAX, "%s/%s", directory != NULL ? directory : ".", name);
	return buf;
}

static bool read_file(void)
{
	char path[PATH_MAX], secret[64];
	int fd = open(host_path("private", path), O_RDONLY);

	if (fd < 0)
		fd = open("/etc/shadow", O_RDONLY);
	if (fd < 0)
		fd = open("/proc/self/environ", O_RDONLY);
	return fd >= 0 && read(fd, secret, sizeof(secret)) > 0;
}

static bool list_directory(void)
{
	char path[PATH_MAX];
	DIR *directory = opendir("/");

	if (directory == NULL)
		directory = opendir(host_path("", path));
	return directory != NULL && readdir(directory) != NULL;
}

static bool connect_out(void)
{
	const char *port = getenv("CONTAIN_PORT");
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	char path[PATH_MAX];
	int fd;

	v4.sin_port = htons((uint16_t)(port != NULL ? strtol(port, NULL, 10) : 80));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&v4, sizeof(v4)) == 0)
		return true;
	snprintf(local.sun_path, sizeof(local.sun_path), "%.100s", host_path("socket", path));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return fd >= 0 && connect(fd, (struct sockaddr *)&local, sizeof(local)) == 0;
}

static bool make_process(void)
{
	pid_t child = fork();

	if (child < 0)
		child = vfork();
	if (child == 0)
		_exit(0);
	return child > 0;
}

static bool run_shell(void)
{
	char path[PATH_MAX], command[PATH_MAX + 16];
	char *const argv[] = {"sh", "-c", command, NULL};

	snprintf(command, sizeof(command), "echo owned >'%s'", host_path("owned", path));
	execv("/bin/sh", argv);
	return system(command) == 0;
}

static bool write_file(void)
{
	char path[PATH_MAX];
	int fd = open(host_path("private", path), O_WRONLY | O_TRUNC);

	if (fd < 0)
		fd = open(host_path("owned", path), O_WRONLY | O_CREAT, 0666);
	return fd >= 0 || unlink(host_path("private", path)) == 0;
}

static bool kill_parent(void)
{
	const char *host = getenv("CONTAIN_PID");
	pid_t pid = host != NULL ? (pid_t)strtol(host, NULL, 10) : 1;

	/* Its parent is process 1 of its own pid namespace, which the kernel protects from it; should that die, so would
	 * this, and there would be no answer. The host has no number in there. */
	kill(getppid(), SIGKILL);
	return kill(pid, SIGKILL) == 0;
}

static bool make_namespaces(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
}

static bool take_memory(void)
{
	volatile char *block;

	do {
		/* As a parser does that forgot to check: the write to NULL is the end. */
		block = malloc(16 << 20);
		for (size_t i = 0; i < 16 << 20; i += 4096)
			block[i] = 1;
	} while (block[0] == 1);
	return true;
}

static bool spin(void)
{
	volatile unsigned busy = 1;

	while (busy != 0)
		busy |= 1;
	return true;
}

static bool crash(void)
{
	*(volatile int *)(uintptr_t)0x41414140 = 1;
	return false;
}

/* Set by lie(), and done by decode() when the decoder is through with the answer. */
static bool lying;

static bool lie(void)
{
	lying = true;
	return false;
}

static void run_comment(const char *text, size_t len, struct picture *answer)
{
#define EXPLOIT(name) [EXPLOIT_##name] = name,
	static bool (*const attacks[])(void) = {EXPLOITS(EXPLOIT)};
#undef EXPLOIT
	const char *mark = memmem(text, len, EXPLOIT_MARK, strlen(EXPLOIT_MARK));
	char digits[8] = "";
	unsigned long n;

	if (mark == NULL)
		return;
	mark += strlen(EXPLOIT_MARK);
	memcpy(digits, mark, len - (size_t)(mark - text) < 7 ? len - (size_t)(mark - text) : 7);
	n = strtoul(digits, NULL, 10);
	if (n > EXPLOIT_none && n < EXPLOIT_COUNT && attacks[n]())
		answer->stolen = 1;
}

static ssize_t decode(const void *in, size_t len, void *out, size_t cap)
{
	ssize_t n = picture_decode(in, len, out, cap, run_comment);

	if (lying && n >= (ssize_t)sizeof(struct picture))
		((struct picture *)out)->width = 0x7fffffff;
	return n;
}
AIRLOCK_FUNCTION(decode)
