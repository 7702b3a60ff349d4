/* SPDX-License-Identifier: ISC */
/* poll: several workers in a loop of poll(2). */
#include "examples/loops/jobs.h"

#include <poll.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct airlock_policy *policy;
	struct job jobs[JOBS] = {{NULL}};
	struct pollfd watched[JOBS];
	int left = JOBS;

	if (airlock_init(argc, argv) < 0 || airlock_policy_new(&policy, "stdio") < 0) {
		fprintf(stderr, "poll: %s\n", airlock_message());
		return 1;
	}
	if (jobs_start(jobs, policy) != 0)
		return 1;
	for (int i = 0; i < JOBS; i++)
		watched[i] = (struct pollfd){.fd = airlock_fd(jobs[i].target), .events = POLLIN};
	while (left > 0 && poll(watched, JOBS, -1) > 0)
		for (int i = 0; i < JOBS; i++)
			if (watched[i].revents && job_ready(&jobs[i])) {
				watched[i].fd = -1; /* poll(2) leaves it out */
				left--;
			}
	int bad = jobs_end(jobs);
	airlock_policy_free(policy);
	return bad;
}
