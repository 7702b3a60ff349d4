/* SPDX-License-Identifier: ISC */
/* Owns this thread's last failure, in one line, and how structures that callers give are read. Runs in every role. */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last[512];

int fail(int error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(last, sizeof(last), format, args);
	va_end(args);
	return error;
}

int options_copy(void *to, size_t own, const void *given, const char *init)
{
	size_t size;
	memcpy(&size, given, sizeof(size));
	if (size < sizeof(size) || size > OPTIONS_MAX)
		return fail(-EINVAL, "a size is wrong: use %s", init);
	for (size_t i = own; i < size; i++)
		if (((const unsigned char *)given)[i])
			return fail(-E2BIG, "the program was built for a newer airlock");
	memcpy(to, given, size < own ? size : own);
	memcpy(to, &own, sizeof(own));
	return 0;
}

__attribute__((visibility("default"))) const char *airlock_message(void)
{
	return last;
}
