/* SPDX-License-Identifier: ISC */
/*
 * parse_in_place list                      the rows that were built, NAME:INPUT
 * parse_in_place NAME native|stdio INPUT   opens the input, gives up everything but stdio (or not), parses, prints a sum
 *                                          of what was read; then says what comes of opening another file
 *
 * Runs natively and confines itself in place; parsers.sh compares the two.
 */
#include "tests/parsers/parsers.h"

#include <airlock.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct parser *const tables[] = {image_parsers, archive_parsers, data_parsers, text_parsers};

static uint64_t sum = 14695981039346656037u;
static size_t summed;

void digest(const void *bytes, size_t len)
{
	const unsigned char *b = bytes;
	for (size_t i = 0; i < len; i++)
		sum = (sum ^ b[i]) * 1099511628211u;
	summed += len;
}

void digest_string(const char *text)
{
	digest(text ? text : "(null)", text ? strlen(text) + 1 : 7);
}

void digest_number(long long n)
{
	char text[32];
	snprintf(text, sizeof(text), "%lld", n);
	digest_string(text);
}

char *whole(FILE *in, size_t *len)
{
	size_t room = 65536, n;
	char *bytes = malloc(room + 1);
	*len = 0;
	while (bytes && (n = fread(bytes + *len, 1, room - *len, in)) > 0) {
		*len += n;
		if (*len == room) {
			char *more = realloc(bytes, (room *= 2) + 1);
			if (!more)
				free(bytes);
			bytes = more;
		}
	}
	if (!bytes) {
		fputs("parse_in_place: out of memory\n", stderr);
		exit(2);
	}
	bytes[*len] = 0;
	return bytes;
}

static const struct parser *find(const char *name)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct parser *p = tables[t]; p->name; p++)
			if (!name)
				printf("%s:%s\n", p->name, p->input);
			else if (strcmp(p->name, name) == 0)
				return p;
	return NULL;
}

int main(int argc, char **argv)
{
	if (airlock_init(argc, argv) < 0) {
		fprintf(stderr, "parse_in_place: %s\n", airlock_message());
		return 2;
	}
	if (argc == 2 && strcmp(argv[1], "list") == 0)
		return find(NULL) != NULL;
	const struct parser *p = argc == 4 ? find(argv[1]) : NULL;
	if (!p) {
		fputs("usage: parse_in_place list | NAME native|stdio INPUT\n", stderr);
		return 2;
	}
	FILE *in = fopen(argv[3], "re");
	if (!in) {
		fprintf(stderr, "parse_in_place: %s: %s\n", argv[3], strerror(errno));
		return 2;
	}
	void *prepared = p->prepare ? p->prepare() : NULL;
	if (strcmp(argv[2], "stdio") == 0 && airlock_pledge("stdio", NULL) < 0) {
		fprintf(stderr, "parse_in_place: %s\n", airlock_message());
		return 2;
	}
	bool good = p->parse(in, prepared);
	printf("%s: %zu bytes, sum %016llx\n", good ? "parsed" : "rejected", summed, (unsigned long long)sum);
	int later = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	printf("later: %s\n", later < 0 ? strerror(errno) : "opened");
	return 0;
}
