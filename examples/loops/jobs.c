/* SPDX-License-Identifier: ISC */
/*
 * Workers that count words: half of them by messages, in a program of their own (AIRLOCK_ENTRY), half by calls that are
 * begun and not waited for (AIRLOCK_FUNCTION). The text of one of each makes its worker crash; the others go on.
 */
#include "examples/loops/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS 8

static const char *const texts[] = {
	"the quick brown fox", "jumps", "over the lazy dog and the cat", "", "one two three"};
static const long text_words[] = {4, 1, 7, 0, 3};
#define TEXT(i) ((i) % (int)(sizeof(texts) / sizeof(texts[0])))

/* ---- in the workers ---- */

/* It has a flaw. */
static long count(const char *text, size_t len)
{
	long words = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '!')
			abort();
		words += text[i] != ' ' && (i == 0 || text[i - 1] == ' ');
	}
	return words;
}

static ssize_t words(const void *in, size_t len, void *out, size_t cap)
{
	long n = count(in, len);
	if (cap < sizeof(n))
		return -1;
	memcpy(out, &n, sizeof(n));
	return sizeof(n);
}
AIRLOCK_FUNCTION(words)

static int counter(struct airlock_target *host, int argc, char **argv)
{
	char text[256];
	(void)argc, (void)argv;
	for (;;) {
		struct airlock_message m = AIRLOCK_MESSAGE_INIT;
		m.data = text;
		m.cap = sizeof(text);
		if (airlock_dispatch(host, -1) != 1 || airlock_recv(host, &m) < 0)
			return 0;
		long n = count(text, m.len);
		if (airlock_send(host, &n, sizeof(n), -1) < 0)
			return 1;
	}
}
AIRLOCK_ENTRY(counter)

/* ---- in the host ---- */

static bool calls(const struct job *job)
{
	return job->name[0] == 'c';
}

static bool crashes(const struct job *job)
{
	return strchr(job->name, '!') != NULL;
}

/* One text more. Of the one that crashes, the third is the one that it cannot stand. */
static int send_text(struct job *job)
{
	const char *text = crashes(job) && job->texts == 2 ? "two words!" : texts[TEXT(job->texts)];
	job->texts++;
	if (!calls(job))
		return airlock_send(job->target, text, strlen(text), -1);
	return airlock_call_begin(job->target, "words", text, strlen(text), sizeof(long), NULL);
}

int jobs_start(struct job jobs[JOBS], const struct airlock_policy *policy)
{
	for (int i = 0; i < JOBS; i++) {
		struct job *job = &jobs[i];
		*job = (struct job){NULL};
		snprintf(job->name, sizeof(job->name), "%s-%d%s", i % 2 ? "calls" : "messages", i, i < 2 ? "!" : "");
		struct airlock_options options = AIRLOCK_OPTIONS_INIT;
		options.name = job->name;
		options.shared = 4096;
		int r = airlock_start(&job->target, policy, calls(job) ? NULL : "counter", NULL, &options);
		if (r == 0)
			job->ticket = send_text(job);
		if (r < 0 || job->ticket < 0) {
			fprintf(stderr, "%s: %s\n", job->name, airlock_message());
			return 1;
		}
	}
	return 0;
}

static void answer(struct job *job, long n)
{
	job->words += n;
	job->answers++;
	if (job->texts < TEXTS)
		job->ticket = send_text(job);
	else
		job->over = true;
}

bool job_ready(struct job *job)
{
	long n = 0;
	struct airlock_message m = AIRLOCK_MESSAGE_INIT;
	m.data = &n;
	m.cap = sizeof(n);
	while (!job->over) {
		switch (airlock_dispatch(job->target, 0)) {
		case 1:
			if (airlock_recv(job->target, &m) == 0 && m.len == sizeof(n))
				answer(job, n);
			break;
		case 3:
			if (airlock_call_end(job->target, job->ticket, &n, sizeof(n), 0) == sizeof(n))
				answer(job, n);
			break;
		case 0:
			return false;
		default:
			job->over = true;
		}
	}
	return true;
}

int jobs_end(struct job jobs[JOBS])
{
	int bad = 0;
	long want = 0;
	for (int i = 0; i < TEXTS; i++)
		want += text_words[TEXT(i)];
	for (int i = 0; i < JOBS; i++) {
		struct job *job = &jobs[i];
		char line[1500];
		if (!job->target)
			continue;
		printf("%-12s %d texts, %ld words; %s\n", job->name, job->answers, job->words,
			airlock_explain(job->target, line, sizeof(line)));
		struct airlock_status status = AIRLOCK_STATUS_INIT;
		airlock_wait(job->target, &status, 0);
		if (crashes(job) ? job->answers != 2 || status.end != AIRLOCK_CRASHED
				 : job->answers != TEXTS || job->words != want || status.end != AIRLOCK_RUNNING)
			bad = 1;
		airlock_free(job->target);
	}
	return bad;
}
