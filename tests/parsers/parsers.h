/* SPDX-License-Identifier: ISC */
/*
 * What the tables of parsers (images.c, archives.c, data.c, texts.c) share: other people's libraries, each of which reads
 * an input that is open already, in a process that by then has nothing but the promise stdio.
 */
#ifndef PARSERS_H
#define PARSERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct parser {
	const char *name, *input; /* a file of inputs.py */
	void *(*prepare)(void); /* before the door closes, what the library opens late otherwise; or NULL */
	bool (*parse)(FILE *in, void *prepared); /* whether the input was to its liking */
};

/* Each ends with a row that has no name. */
extern const struct parser image_parsers[], archive_parsers[], data_parsers[], text_parsers[];

/* What was read goes into a sum that main() prints. */
void digest(const void *bytes, size_t len);
void digest_string(const char *text); /* NULL is allowed */
void digest_number(long long n);

/* The rest of in, and a zero byte after it; the caller's to free. */
char *whole(FILE *in, size_t *len);

#endif
