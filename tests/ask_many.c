/* SPDX-License-Identifier: ISC */
/* Many questions, many askers, and those who would answer for themselves. Runs in the host. */
#include "tests/ask.h"
#include "tests/tap.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

void floods(void)
{
	begin(AIRLOCK_REFUSE);
	struct airlock_target *t = start("flood");
	const char *text = hear(t, false);
	check(strcmp(text, "36 ") == 0 && host.asked == 0, "more than 64 questions are refused at once", "'%s', %u",
		text, host.asked);
	text = hear(t, true);
	check(strcmp(text, "100 0 done") == 0 && host.asked == 64, "and the others are answered", "'%s', %u", text,
		host.asked);
	airlock_free(t);
	begin(AIRLOCK_ALLOW_ONCE);
	t = start("same");
	hear(t, false);
	text = hear(t, true);
	check(strcmp(text, "0 100 done") == 0 && host.asked > 0 && host.asked < 50,
		"one answer is for all threads that wait for it", "'%s', %u", text, host.asked);
	airlock_free(t);
}

void several(void)
{
	struct airlock_target *t[2];
	const struct airlock_target *of[2];
	begin(AIRLOCK_ALLOW_ONCE);
	for (int i = 0; i < 2; i++)
		t[i] = start("stalled");
	for (int i = 0; i < 2; i++) {
		hear(t[1 - i], false);
		hear(t[1 - i], true);
		of[1 - i] = host.of;
	}
	check(of[0] == t[0] && of[1] == t[1] && host.asked == 2, "each target of a policy asks for itself", "%u",
		host.asked);
	for (int i = 0; i < 2; i++)
		airlock_free(t[i]);
}

void hostile(void)
{
	begin(AIRLOCK_REFUSE);
	struct airlock_target *t = start("forges");
	const char *text = hear(t, false); /* it has tried all it can */
	check(host.asked == 0, "nothing was answered yet", "%u", host.asked);
	for (int i = 0; i < 1000 && !strstr(text, "done"); i++)
		text = hear(t, true);
	check(strcmp(text, "13 done") == 0 && host.asked == 1, "a target answers no question of its own", "'%s', %u",
		text, host.asked);
	airlock_free(t);
}

void remembered(void)
{
	begin(AIRLOCK_ALLOW_TARGET);
	struct airlock_target *t = start("narrows");
	/* The second question waits until its asker's process has given the promise up. */
	for (int i = 0; i < WAITS && host.asked == 0; i++)
		if (airlock_dispatch(t, 0) == 0 && host.asked == 0)
			usleep(1000);
	hear(t, false);
	const char *text = hear(t, true);
	check(strcmp(text, "0 13 1 done") == 0 && host.asked == 2, "what was given up is not given back by an answer",
		"'%s', %u", text, host.asked);
	struct pollfd p = {.fd = other_listener, .events = POLLIN};
	check(poll(&p, 1, 0) == 0, "and nothing was connected", "%d", p.revents);
	airlock_free(t);
	text = run("forgets", AIRLOCK_ALLOW_TARGET, NULL, 0);
	check(strcmp(text, "0 done") == 0 && host.asked == REMEMBERED + 45, "of 256 that are remembered, the oldest go",
		"'%s', %u", text, host.asked);
}

void many(void)
{
	const char *text = run("many", AIRLOCK_REFUSE, NULL, 0);
	check(strcmp(text, "done") == 0 && host.asked == MANY, "10000 questions", "'%.60s', %u", text, host.asked);
#if defined(__SANITIZE_ADDRESS__)
	host.rss[1] = host.rss[0]; /* what is freed is kept for a while */
#endif
	check(host.open[1] <= host.open[0] + 2 && host.rss[1] <= host.rss[0] + 1024 && host.rss[0] > 0,
		"neither host nor broker grows by them", "%d to %d descriptors, %ld to %ld KiB", host.open[0],
		host.open[1], host.rss[0], host.rss[1]);
}
