/* SPDX-License-Identifier: ISC */
/* The parser that bench/parser.c measures in three builds of the same source: parser/decoder.c. */
#ifndef AIRLOCK_BENCH_DECODER_H
#define AIRLOCK_BENCH_DECODER_H

/* A PNG or JPEG of len bytes to rows of red, green, blue in out, of cap bytes. The bytes written, or -1. */
int decode(const unsigned char *in, int len, unsigned char *out, int cap);
/* The same, compiled with STBI_NO_SIMD. */
int decode_plain(const unsigned char *in, int len, unsigned char *out, int cap);
#endif
