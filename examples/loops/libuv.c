/* SPDX-License-Identifier: ISC */
/* libuv: the same workers in a loop of libuv, which watches by edges or levels as it likes. */
#include "examples/loops/jobs.h"

#include <stdio.h>
#include <uv.h>

static void ready(uv_poll_t *watch, int status, int events)
{
	(void)status, (void)events;
	if (job_ready(watch->data))
		uv_poll_stop(watch); /* the loop ends when nothing is watched */
}

int main(int argc, char **argv)
{
	struct airlock_policy *policy;
	struct job jobs[JOBS] = {{NULL}};
	uv_poll_t watched[JOBS];
	uv_loop_t *loop = uv_default_loop();

	if (airlock_init(argc, argv) < 0 || airlock_policy_new(&policy, "stdio") < 0) {
		fprintf(stderr, "libuv: %s\n", airlock_message());
		return 1;
	}
	if (jobs_start(jobs, policy) != 0)
		return 1;
	for (int i = 0; i < JOBS; i++) {
		watched[i].data = &jobs[i];
		if (uv_poll_init(loop, &watched[i], airlock_fd(jobs[i].target)) < 0 ||
			uv_poll_start(&watched[i], UV_READABLE, ready) < 0)
			return 1;
	}
	uv_run(loop, UV_RUN_DEFAULT);
	for (int i = 0; i < JOBS; i++)
		uv_close((uv_handle_t *)&watched[i], NULL);
	uv_run(loop, UV_RUN_DEFAULT);
	uv_loop_close(loop);
	int bad = jobs_end(jobs);
	airlock_policy_free(policy);
	return bad;
}
