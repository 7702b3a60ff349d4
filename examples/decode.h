/* SPDX-License-Identifier: ISC */
/* What the example decoder says, and how its host believes no more of it than it must. Both sides include this. */
#ifndef EXAMPLES_DECODE_H
#define EXAMPLES_DECODE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PICTURE_SIDE_MAX 8192
#define PICTURE_FILE_MAX (16 << 20)
#define PICTURE_ANSWER_MAX (sizeof(struct picture) + (24 << 20))

enum picture_format { PICTURE_NONE, PICTURE_PNG, PICTURE_JPEG };

/* The head of an answer; width * height * 3 bytes of RGB follow it. With PICTURE_NONE, error says why. */
struct picture {
	uint32_t format;
	uint32_t width, height;
	uint8_t stolen; /* set by the hole in examples/buggy.c when an attack worked */
	char error[115];
};

/* Called with each comment in the file: a PNG text chunk, a JPEG COM marker. */
typedef void (*picture_comment)(const char *text, size_t len, struct picture *answer);

/* Decodes PNG or JPEG from in to a struct picture and pixels in out. Returns the bytes of out that are meant, or
 * -EMSGSIZE when not even the head fits. Runs on untrusted bytes, so call it in a target. */
ssize_t picture_decode(const void *in, size_t len, void *out, size_t cap, picture_comment comment);

/* Host: whether an answer of len bytes is what a decoder may say. 0 and a private copy of its head, whose error is
 * then printable text; or -EPROTO. */
int picture_check(const void *answer, ssize_t len, struct picture *head);

/* "PNG 96x64, pixels 0123456789abcdef", or the error; returns buf. */
const char *picture_describe(const struct picture *head, const void *pixels, char *buf, size_t len);

/* Host: reads a whole file of at most PICTURE_FILE_MAX bytes. *bytes is the caller's to free. 0 or negative errno. */
int picture_read(const char *path, void **bytes, size_t *len);
int picture_read_fd(int fd, void **bytes, size_t *len);

/* The last component of path. */
const char *picture_name(const char *path);
#endif
