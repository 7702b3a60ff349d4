/* SPDX-License-Identifier: ISC */
/* The list of the hostile attempts and what they share. Runs in the target and, for lookups, in the judge. */
#include "tests/hostile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct attempt *const tables[] = {attempts_files, attempts_paths, attempts_change, attempts_attr,
	attempts_sockets, attempts_process, attempts_exec, attempts_memory, attempts_kernel, attempts_limits};

const struct attempt *attempt_at(unsigned index)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct attempt *a = tables[t]; a->name; a++)
			if (!index--)
				return a;
	return NULL;
}

const struct attempt *attempt_find(const char *name)
{
	const struct attempt *a;

	for (unsigned i = 0; (a = attempt_at(i)); i++)
		if (!strcmp(a->name, name))
			return a;
	return NULL;
}

int attempt_setup(struct hostile *h, char *arguments)
{
	char *save = NULL, *base = strtok_r(arguments, " ", &save), *stranger = strtok_r(NULL, " ", &save);
	char *host = strtok_r(NULL, " ", &save), *port = strtok_r(NULL, " ", &save);

	if (!port)
		return -1;
	h->base = base;
	h->stranger = atoi(stranger);
	h->host = atoi(host);
	h->port = atoi(port);
	snprintf(h->secret, sizeof(h->secret), "%s/secret/file", base);
	snprintf(h->open, sizeof(h->open), "%s/open", base);
	return 0;
}

const char *join(const struct hostile *h, const char *tail)
{
	static char ring[4][1024];
	static unsigned next;
	char *buf = ring[next++ % 4];

	snprintf(buf, sizeof(ring[0]), "%s/%s", h->base, tail);
	return buf;
}

int refused(long result)
{
	return result < 0 ? -errno : 0;
}

int opened(long fd)
{
	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
}

int same_answer(int first, int second)
{
	return first == second && first < 0 ? first : 0;
}
