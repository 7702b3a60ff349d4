/* SPDX-License-Identifier: ISC */
/* What bench/sapi/bench.cc calls in a sandboxee of Sandboxed API: what bench/calls.c calls in a target of airlock. */
#include <stddef.h>
#include <string.h>

int peer_echo(const void *in, size_t len, void *out)
{
	memcpy(out, in, len);
	return (int)len;
}

int peer_take(const void *in, size_t len)
{
	return ((const char *)in)[len - 1] == 'x' ? 0 : -1;
}

/* Where no page is; volatile, so that no compiler knows. */
static char *volatile nowhere = (char *)16;

int peer_crash(int value)
{
	*nowhere = (char)value;
	return value;
}
