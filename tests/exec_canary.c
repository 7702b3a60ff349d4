/* SPDX-License-Identifier: ISC */
/* What must never run: a program, and as a library what must never be mapped. EXEC_LIBRARY says what else its constructor
 * does, where it may be one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *what, long result)
{
	char line[200];
	int n = snprintf(line, sizeof(line), "%s %s\n", what, result < 0 ? strerrorname_np(errno) : "yes");

	(void)!write(1, line, (size_t)n);
}

static void maps(const char *what, const char *library)
{
	char name[80];
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	snprintf(name, sizeof(name), "%s maps anonymous code:", what);
	tell(name, p == MAP_FAILED ? -1 : 0);
	int fd = open(library, O_RDONLY | O_CLOEXEC);
	snprintf(name, sizeof(name), "%s opens a library:", what);
	tell(name, fd);
	if (fd >= 0)
		close(fd);
}

__attribute__((constructor)) static void constructed(void)
{
	const char *mode = getenv("EXEC_LIBRARY"), *library = getenv("EXEC_LIBC");

	if (!mode)
		return;
	(void)!write(1, "CANARY library\n", 15);
	if (!strcmp(mode, "maps"))
		maps("loading", library);
	if (!strcmp(mode, "fork")) {
		pid_t pid = fork();

		tell("loading forks:", pid);
		if (!pid) {
			maps("child", library);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	/* Both go on as the program. */
	if (!strcmp(mode, "twice"))
		if (fork() > 0)
			wait(NULL);
}

int main(void)
{
	puts("CANARY program");
	return 0;
}
