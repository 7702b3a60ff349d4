/* SPDX-License-Identifier: ISC */
/*
 * worker FILE...: decodes PNG and JPEG files with libpng and libjpeg, each file in a fresh target that can do nothing
 * but compute. The host opens the files, and survives whatever they do to the libraries.
 *
 * Prints one line for each file: decoded, rejected (the library said no) or stopped (the target came to its end).
 * Exits with 0 when every file was read and every target that was stopped could be explained.
 */
#include "examples/decode.h"
#include <airlock.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs in the target. */
static ssize_t decode(const void *in, size_t len, void *out, size_t cap)
{
	return picture_decode(in, len, out, cap, NULL);
}
AIRLOCK_FUNCTION(decode)

static int decode_file(const struct airlock_policy *policy, const char *path, void *answer)
{
	struct airlock_options options = AIRLOCK_OPTIONS_INIT;
	struct airlock_target *target;
	struct picture head;
	char line[512];
	void *bytes;
	size_t len;
	ssize_t n;
	int r;

	r = picture_read(path, &bytes, &len);
	if (r < 0) {
		fprintf(stderr, "worker: %s: %s\n", path, strerror(-r));
		return 1;
	}
	options.name = "decoder";
	r = airlock_start(&target, policy, NULL, NULL, &options);
	if (r < 0) {
		fprintf(stderr, "worker: %s\n", airlock_message());
		free(bytes);
		return 1;
	}
	n = airlock_call(target, "decode", bytes, len, answer, PICTURE_ANSWER_MAX);
	free(bytes);
	r = picture_check(answer, n, &head);
	if (r == 0)
		printf("%-16s %-9s %s\n", picture_name(path), head.format == PICTURE_NONE ? "rejected" : "decoded",
			picture_describe(&head, (char *)answer + sizeof(head), line, sizeof(line)));
	else
		printf("%-16s %-9s %s\n", picture_name(path), "stopped",
			n >= 0 ? "its answer makes no sense" : airlock_explain(target, line, sizeof(line)));
	airlock_free(target);
	return 0;
}

int main(int argc, char **argv)
{
	struct airlock_policy *policy;
	void *answer;
	int failed = 0;

	if (airlock_init(argc, argv) < 0 || airlock_policy_new(&policy, "stdio") < 0) {
		fprintf(stderr, "worker: %s\n", airlock_message());
		return 1;
	}
	airlock_policy_limit(policy, AIRLOCK_LIMIT_MEMORY, 512 << 20);
	airlock_policy_limit(policy, AIRLOCK_LIMIT_WALL, 10000);
	answer = malloc(PICTURE_ANSWER_MAX);
	if (answer == NULL)
		return 1;
	for (int i = 1; i < argc; i++)
		failed |= decode_file(policy, argv[i], answer);
	free(answer);
	airlock_policy_free(policy);
	return failed;
}
