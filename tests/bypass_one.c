/* SPDX-License-Identifier: ISC */
/* All attempts to get past the rules about addresses as a program of its own, without the library: NET PREFIX, the first as
 * the judge wrote it. */
#include "tests/bypass.h"

#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct net n;
	if (argc != 3 || strlen(argv[1]) != 2 * sizeof(n))
		return 99;
	for (size_t i = 0; i < sizeof(n); i++) {
		char byte[3] = {argv[1][2 * i], argv[1][2 * i + 1], 0};
		((unsigned char *)&n)[i] = (unsigned char)strtoul(byte, NULL, 16);
	}
	tries_run(&n, 1, 0, argv[2]);
	return 0;
}
