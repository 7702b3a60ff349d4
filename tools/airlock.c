/* SPDX-License-Identifier: ISC */
/* Owns the command line's first word, and `airlock check`. Runs in the host. */
#include "tools/tools.h"

#include <airlock.h>
#include <stdio.h>
#include <string.h>

static int usage(FILE *to)
{
	fputs("usage: airlock run [options] [--] PROGRAM [ARG...]   run it under a policy\n"
	      "       airlock check                                 say which layers this machine gives\n"
	      "options of run:\n"
	      "  -p PROMISES      words, separated by spaces or commas (default: stdio)\n"
	      "  -x PROMISES      promises of programs that PROGRAM executes\n"
	      "  -v PERMS:PATH    unveil, e.g. -v r:/usr/share -v rwc:out\n"
	      "  -c ADDRESS       allow connect      -b ADDRESS  allow bind\n"
	      "  -l NAME=VALUE    limit: memory=512M processes=16 files=64 cpu=10s wall=30s file-size=1G\n"
	      "                   connects=100 (a second) traffic=1G\n"
	      "  -e NAME[=VALUE]  pass or set an environment variable\n"
	      "  -P FILE          read a policy file; options add to it\n"
	      "  --on-violation errno|kill   --tolerate LAYER,...   --log FILE\n",
		to);
	return to == stdout ? 0 : STATUS_FAILED;
}

int command_check(void)
{
	int layers = airlock_layers();
	int missing = 0;
	if (layers < 0) {
		fprintf(stderr, "airlock: %s\n", airlock_message());
		return STATUS_FAILED;
	}
	for (unsigned bit = 1; airlock_layer_name(bit); bit <<= 1) {
		const char *why = (unsigned)layers & bit ? NULL : airlock_layer_missing(bit);
		missing += (AIRLOCK_LAYERS_ALL & bit) && !((unsigned)layers & bit);
		printf("%-14s %s%s%s\n", airlock_layer_name(bit), (unsigned)layers & bit ? "yes" : "no",
			why ? ": " : "", why ? why : "");
	}
	return missing ? 1 : 0;
}

int main(int argc, char **argv)
{
	int r = airlock_init(argc, argv);
	if (r < 0) {
		fprintf(stderr, "airlock: %s\n", airlock_message());
		return STATUS_FAILED;
	}
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "run") == 0)
		return command_run(argc - 1, argv + 1);
	if (strcmp(argv[1], "check") == 0 && argc == 2)
		return command_check();
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return usage(stdout);
	if (strcmp(argv[1], "--version") == 0) {
		puts("airlock " AIRLOCK_VERSION);
		return 0;
	}
	fprintf(stderr, "airlock: unknown command '%s'\n", argv[1]);
	return usage(stderr);
}
