/* SPDX-License-Identifier: ISC */
/* What the live tests say, one line each: "ok NAME", "not ok NAME" with a "# reason", "skip NAME: reason". */
#ifndef AIRLOCK_TESTS_TAP_H
#define AIRLOCK_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static unsigned tap_failed;
static int tap_fd = 1; /* not standard output where a test looks at that */
static const char *tap_prefix = "";

__attribute__((format(printf, 3, 4))) static inline bool check(bool yes, const char *name, const char *format, ...)
{
	char why[512];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	tap_failed += !yes;
	if (yes)
		dprintf(tap_fd, "ok %s%s\n", tap_prefix, name);
	else
		dprintf(tap_fd, "not ok %s%s\n# %s\n", tap_prefix, name, why);
	return yes;
}
#endif
