/* SPDX-License-Identifier: ISC */
/* What a program may that was executed from inside: each argument is something to try, told in one line. "then" executes the
 * rest of the arguments, "many" has that done with a stack full of more. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NARROW 44040

static long map(size_t len, int protection)
{
	void *p = mmap(NULL, len, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : 0;
}

static long make_code(void)
{
	unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

#if defined(__x86_64__)
	static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
#else
	static const unsigned char code[] = {0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6};
#endif
	memcpy(p, code, sizeof(code));
	if (mprotect(p, 4096, PROT_READ | PROT_EXEC))
		return -1;
	__builtin___clear_cache((char *)p, (char *)p + sizeof(code));
	int (*call)(void);
	memcpy(&call, &p, sizeof(call));
	errno = ENOEXEC;
	return call() == 42 ? 0 : -1;
}

static long forks(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid < 0 ? -1 : waitpid(pid, NULL, 0);
}

/* The request, without the filter that the library adds to it. */
static long narrow(const char *promises, int part)
{
	static const char *const words[] = {
#define PROMISE(name, help) #name,
#include "policy/promise_names.inc"
#undef PROMISE
	};
	char text[200], *save;
	unsigned long set = 0;

	snprintf(text, sizeof(text), "%s", promises);
	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strcmp(word, words[i]) == 0)
				set |= 1ul << i;
	return syscall(NARROW, 7 /* pledge */, part, set, set);
}

static long attempt(const char *what)
{
	const char *of = strchr(what, ':') ? strchr(what, ':') + 1 : "";

	if (!strncmp(what, "open:", 5))
		return open(of, O_RDONLY);
	if (!strncmp(what, "write:", 6))
		return open(of, O_WRONLY);
	if (!strncmp(what, "exec:", 5))
		return execl(of, of, (char *)NULL);
	if (!strncmp(what, "pledge:", 7))
		return narrow(of, 1);
	if (!strncmp(what, "exec-pledge:", 12))
		return narrow(of, 2);
	if (!strcmp(what, "fork"))
		return forks();
	if (!strcmp(what, "group"))
		return setpgid(0, 0);
	if (!strcmp(what, "socket"))
		return socket(AF_INET, SOCK_STREAM, 0);
	if (!strcmp(what, "map"))
		return map(4096, PROT_READ | PROT_EXEC);
	if (!strcmp(what, "code"))
		return make_code();
	errno = EINVAL;
	return -1;
}

/* Pointers enough that the new stack ends where they do. */
static char **with_many(int argc, char **argv)
{
	const size_t more = 60000;
	char **list = calloc((size_t)argc + more + 1, sizeof(*list));

	for (int i = 0; i < argc; i++)
		list[i] = argv[i];
	for (size_t i = 0; i < more; i++)
		list[(size_t)argc + i] = "";
	return list;
}

int main(int argc, char **argv)
{
	bool many = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "then")) {
			fflush(stdout);
			execv(argv[i + 1], many ? with_many(argc - i - 1, argv + i + 1) : argv + i + 1);
			printf("then: %s\n", strerrorname_np(errno));
			return 1;
		}
		if (!argv[i][0])
			break;
		many = many || !strcmp(argv[i], "many");
		long r = attempt(argv[i]);
		printf("%.20s %s\n", argv[i], r < 0 ? strerrorname_np(errno) : "yes");
	}
	return 0;
}
