/* SPDX-License-Identifier: ISC */
/*
 * Loaded into other people's programs by LD_PRELOAD: code in their process that wants more than they do. When the program
 * ends, with all that it gave up given up, it tries what ATTACK says on the file that TARGET names, and tells how it went.
 * (The broker is not given ATTACK, and so does nothing.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Some close their standard error at their end. */
static int tell = 2;

__attribute__((constructor)) static void keep(void)
{
	if (getenv("ATTACK"))
		tell = fcntl(2, F_DUPFD_CLOEXEC, 90);
}

__attribute__((destructor)) static void attack(void)
{
	const char *how = getenv("ATTACK"), *target = getenv("TARGET");
	char text[200];
	int r = -1;
	if (!how || !target)
		return;
	unsetenv("ATTACK");
	if (strcmp(how, "read") == 0)
		r = open(target, O_RDONLY);
	else if (strcmp(how, "write") == 0)
		r = open(target, O_WRONLY | O_APPEND);
	else if (strcmp(how, "remove") == 0)
		r = unlink(target);
	else if (strcmp(how, "mode") == 0)
		r = chmod(target, 04777);
	else if (strcmp(how, "socket") == 0)
		r = socket(AF_INET, SOCK_STREAM, 0);
	else if (strcmp(how, "fork") == 0 && (r = fork()) == 0)
		_exit(0);
	int n = snprintf(text, sizeof(text), "attack: %s: %s\n", how, r < 0 ? strerror(errno) : "done");
	if (write(tell, text, (size_t)n) != n)
		_exit(3);
}
