/* SPDX-License-Identifier: ISC */
/* glib: the same workers in a GLib main loop, as GTK programs have. */
#include "examples/loops/jobs.h"

#include <glib-unix.h>
#include <stdio.h>

static GMainLoop *loop;
static int left = JOBS;

static gboolean ready(gint fd, GIOCondition condition, gpointer data)
{
	(void)fd, (void)condition;
	if (!job_ready(data))
		return G_SOURCE_CONTINUE;
	if (--left == 0)
		g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
	struct airlock_policy *policy;
	struct job jobs[JOBS] = {{NULL}};

	/* Before anything of GLib, which starts threads. */
	if (airlock_init(argc, argv) < 0 || airlock_policy_new(&policy, "stdio") < 0) {
		fprintf(stderr, "glib: %s\n", airlock_message());
		return 1;
	}
	if (jobs_start(jobs, policy) != 0)
		return 1;
	loop = g_main_loop_new(NULL, FALSE);
	for (int i = 0; i < JOBS; i++)
		g_unix_fd_add(airlock_fd(jobs[i].target), G_IO_IN | G_IO_HUP, ready, &jobs[i]);
	g_main_loop_run(loop);
	g_main_loop_unref(loop);
	int bad = jobs_end(jobs);
	airlock_policy_free(policy);
	return bad;
}
