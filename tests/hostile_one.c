/* SPDX-License-Identifier: ISC */
/* One hostile attempt as a program of its own, without the library: NAME "BASE STRANGER HOST PORT". It runs under the
 * command, linked dynamically and statically, and says on standard output what came of it. */
#include "tests/hostile.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct attempt *a = argc == 3 ? attempt_find(argv[1]) : NULL;
	struct hostile h;
	char line[64];
	int n;

	if (!a || attempt_setup(&h, argv[2]))
		return 99;
	n = snprintf(line, sizeof(line), "result %d\n", a->run(&h));
	return write(1, line, (size_t)n) == n ? 0 : 98;
}
