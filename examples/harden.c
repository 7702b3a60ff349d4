/* SPDX-License-Identifier: ISC */
/*
 * harden FILE...: the same decoder, hardened in place. The program opens its files, gives up everything else with one
 * call, and only then looks at the first byte of them.
 *
 * Prints the same lines as worker, then one that shows what a later open gets. Exits with 0 when that open failed.
 */
#include "examples/decode.h"
#include <airlock.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int decode_fd(int fd, const char *name, void *answer)
{
	struct picture head;
	char line[512];
	void *bytes;
	size_t len;
	int r;

	r = picture_read_fd(fd, &bytes, &len);
	if (r < 0) {
		fprintf(stderr, "harden: %s: %s\n", name, strerror(-r));
		return 1;
	}
	r = picture_check(answer, picture_decode(bytes, len, answer, PICTURE_ANSWER_MAX, NULL), &head);
	free(bytes);
	if (r < 0) {
		fprintf(stderr, "harden: %s: the decoder's answer makes no sense\n", name);
		return 1;
	}
	printf("%-16s %-9s %s\n", name, head.format == PICTURE_NONE ? "rejected" : "decoded",
		picture_describe(&head, (char *)answer + sizeof(head), line, sizeof(line)));
	return 0;
}

int main(int argc, char **argv)
{
	int *fds, failed = 0, later;
	void *answer;

	if (airlock_init(argc, argv) < 0) {
		fprintf(stderr, "harden: %s\n", airlock_message());
		return 1;
	}
	fds = calloc((size_t)argc, sizeof(*fds));
	answer = malloc(PICTURE_ANSWER_MAX);
	if (fds == NULL || answer == NULL) {
		free(fds);
		free(answer);
		return 1;
	}
	for (int i = 1; i < argc; i++) {
		fds[i] = open(argv[i], O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0) {
			fprintf(stderr, "harden: %s: %s\n", argv[i], strerror(errno));
			exit(1);
		}
	}

	/* From here on this process can use what it holds, and nothing else. */
	if (airlock_pledge("stdio", NULL) < 0) {
		fprintf(stderr, "harden: %s\n", airlock_message());
		exit(1);
	}

	for (int i = 1; i < argc; i++)
		failed |= decode_fd(fds[i], picture_name(argv[i]), answer);

	later = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	printf("%-16s %-9s %s\n", "/etc/passwd", later < 0 ? "refused" : "OPENED",
		later < 0 ? strerror(errno) : "the door is open");
	free(answer);
	free(fds);
	return failed || later >= 0;
}
