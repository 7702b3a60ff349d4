/* SPDX-License-Identifier: ISC */
/* Owns this thread's last failure, in one line. Runs in every role. */
#include "sandbox/sandbox.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last[512];

int fail(int error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(last, sizeof(last), format, args);
	va_end(args);
	return error;
}

__attribute__((visibility("default"))) const char *airlock_message(void)
{
	return last;
}
