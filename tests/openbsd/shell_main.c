/* SPDX-License-Identifier: ISC */
/* Linked with -Wl,--wrap=main into a Korn shell that does not call pledge(2): promises first what OpenBSD's ksh does. */
#include <airlock/openbsd.h>

#include <stdio.h>

int __real_main(int argc, char **argv, char **envp);
int __wrap_main(int argc, char **argv, char **envp);

int __wrap_main(int argc, char **argv, char **envp)
{
	if (pledge("stdio rpath wpath cpath fattr flock getpw proc exec tty", NULL) < 0) {
		perror("pledge");
		return 1;
	}
	return __real_main(argc, argv, envp);
}
