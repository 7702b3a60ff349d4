/* SPDX-License-Identifier: ISC */
/* Owns the guess at what a misspelt word was meant to be. Pure; runs wherever a policy is read. */
#include "policy/policy.h"

#include <string.h>

#define WORD_MAX 32

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that make b of a; both at most WORD_MAX bytes. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	for (size_t i = 0; i <= a_len; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= b_len; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		for (size_t j = 1; j <= b_len; j++) {
			unsigned same = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
			d[i][j] = min(min(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + same);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
				d[i][j] = min(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[a_len][b_len];
}

const char *policy_nearest(const char *word, const char *const *words)
{
	size_t len = strnlen(word, WORD_MAX + 1);
	/* A third of the word may be wrong: of one or two letters nothing can be guessed but their case. */
	unsigned best = (unsigned)len / 3 + 1;
	const char *nearest = NULL;
	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (; *words; words++) {
		size_t other = strnlen(*words, WORD_MAX + 1);
		if (other > WORD_MAX)
			continue;
		unsigned d = distance(word, len, *words, other);
		if (d < best) {
			best = d;
			nearest = *words;
		}
	}
	return nearest;
}
