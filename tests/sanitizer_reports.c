/* SPDX-License-Identifier: ISC */
/* A program that sanitizer_reports.sh builds with sanitizers: the worker of the host does what they report, and the host says
 * how it ended. */
#include "airlock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int sink;

ssize_t parse(const void *in, size_t len, void *out, size_t cap);
__attribute__((noinline)) ssize_t parse(const void *in, size_t len, void *out, size_t cap)
{
	const char *what = in;
	(void)out;
	(void)cap;
	if (!strcmp(what, "heap")) {
		unsigned char *volatile p = malloc(len);
		p[len] = 1;
		sink = p[len];
		free(p);
	} else if (!strcmp(what, "null")) {
		*(volatile int *)8 = 1;
	} else if (!strcmp(what, "overflow")) {
		int n = 2147483647;
		n += (int)len;
		sink = n;
	} else if (!strcmp(what, "abort")) {
		abort();
	}
	sink++;
	return 7;
}
AIRLOCK_FUNCTION(parse)

static int leaves(struct airlock_target *host, int argc, char **argv)
{
	char *volatile p = malloc(100);
	(void)host;
	(void)argc;
	(void)argv;
	p = NULL;
	return p != NULL;
}
AIRLOCK_ENTRY(leaves)

/* PROGRAM WORD [OPTION]: one call, or the entry. */
int main(int argc, char **argv)
{
	struct airlock_policy *p;
	struct airlock_target *t;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	char line[700];
	airlock_init(argc, argv);
	if (argc < 2 || airlock_policy_new(&p, "stdio") < 0)
		return 2;
	const int entry = !strcmp(argv[1], "leaves");
	if (airlock_start(&t, p, entry ? argv[1] : NULL, NULL, NULL) < 0) {
		puts(airlock_message());
		return 2;
	}
	ssize_t n = entry ? -1 : airlock_call(t, "parse", argv[1], strlen(argv[1]) + 1, line, sizeof(line));
	if (n >= 0)
		airlock_kill(t);
	airlock_wait(t, &s, 60000);
	printf("returned %zd end %d code %d signal %d address %llx refused %llu\n%s\n%s\n", n, s.end, s.code, s.signal,
		(unsigned long long)s.fault_address, (unsigned long long)s.refused, s.backtrace,
		airlock_explain(t, line, sizeof(line)));
	airlock_free(t);
	airlock_policy_free(p);
	return 0;
}
