/* SPDX-License-Identifier: ISC */
/*
 * The suite of posix.h by a program that confined itself: DIR and OTHER unveiled, nothing else. What it prints with a
 * listener and under somebody else's (under_listener.c) must be the same. Runs in the confined process.
 *
 *   posix_in_place DIR OTHER [GROUP...]
 */
#include "sandbox/airlock.h"

#include <stdio.h>

int posix_main(int argc, char *argv[]);

int main(int argc, char *argv[])
{
	struct airlock_policy *policy;
	airlock_init(argc, argv);
	if (argc < 3)
		return 2;
	int r = airlock_policy_new(&policy, "stdio rpath wpath cpath dpath fattr chown flock proc");
	for (int i = 1; r == 0 && i < 3; i++)
		r = airlock_policy_unveil(policy, argv[i], "rwc");
	if (r == 0)
		r = airlock_enter(policy);
	if (r < 0) {
		fprintf(stderr, "posix_in_place: %s\n", airlock_message());
		return 125;
	}
	return posix_main(argc, argv);
}
