/* SPDX-License-Identifier: ISC */
/* What the three loops have in common: texts whose words are counted by workers. A loop watches the descriptor of each job
 * for reading, and calls job_ready(). */
#ifndef JOBS_H
#define JOBS_H

#include <airlock.h>

#include <stdbool.h>

#define JOBS 6

struct job {
	struct airlock_target *target;
	char name[16];
	int texts; /* sent */
	int answers;
	long words;
	int ticket; /* of the call under way */
	bool over;
};

/* Starts them: policy is one that gives nothing but computing. 0, or 1 with a message on standard error. */
int jobs_start(struct job jobs[JOBS], const struct airlock_policy *policy);
/* Takes in all that waits, so that edges are enough. Whether the job is over: then it is watched no more. */
bool job_ready(struct job *job);
/* Prints what they came to. The program's exit status: 0 when all but the one that had to crash counted all words. */
int jobs_end(struct job jobs[JOBS]);
#endif
