/* SPDX-License-Identifier: ISC */
/* Owns loading now what libc would open later, when it is too late. Runs in the application, before the door closes. */
#include "sandbox/sandbox.h"

#include <errno.h>
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#endif
#include <grp.h>
#include <iconv.h>
#include <locale.h>
#include <netdb.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

/* Fontconfig's, when the program has it. */
extern int FcInit(void) __attribute__((weak));

static void timezone_warm(void)
{
	/* With TZ unset glibc looks at the file again on every localtime(); set, it reads it once. */
	setenv("TZ", ":/etc/localtime", 0);
	tzset();
}

static void locale_warm(void)
{
	mbstate_t state;
	wchar_t c;
	setlocale(LC_ALL, "");
	/* The conversion of the locale's character set is a module, and loaded with the first character; the catalogue of
	 * messages with the first message. */
	memset(&state, 0, sizeof(state));
	(void)mbrtowc(&c, "a", 1, &state);
	(void)strerror(EINVAL);
}

static void iconv_warm(void)
{
	static const char *const charsets[] = {"ISO-8859-1", "ISO-8859-15", "UTF-16", "UTF-32", "WINDOWS-1252"};
	for (size_t i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++) {
		/* Left open: closing the last user of a conversion may unload its module. */
		iconv_t c = iconv_open("UTF-8", charsets[i]);
		(void)c;
	}
}

static void names_warm(void)
{
	(void)getpwuid(getuid());
	(void)getgrgid(getgid());
	struct addrinfo *list = NULL;
	if (getaddrinfo("localhost", NULL, NULL, &list) == 0)
		freeaddrinfo(list);
}

static void libgcc_warm(void)
{
#if __has_include(<execinfo.h>)
	/* The unwinder, which is also what ends a thread in the middle. */
	void *frame;
	(void)backtrace(&frame, 1);
#endif
}

static void fonts_warm(void)
{
	if (FcInit)
		(void)FcInit();
}

static const struct {
	unsigned bit;
	void (*warm)(void);
} list[] = {
	{AIRLOCK_PREWARM_TIMEZONE, timezone_warm},
	{AIRLOCK_PREWARM_LOCALE, locale_warm},
	{AIRLOCK_PREWARM_ICONV, iconv_warm},
	{AIRLOCK_PREWARM_NAMES, names_warm},
	{AIRLOCK_PREWARM_LIBGCC, libgcc_warm},
	{AIRLOCK_PREWARM_FONTS, fonts_warm},
};

__attribute__((visibility("default"))) int airlock_prewarm(unsigned what)
{
	unsigned known = 0;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		known |= list[i].bit;
	if (what & ~known)
		return fail(-EINVAL, "no such thing to warm");
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (what & list[i].bit)
			list[i].warm();
	return 0;
}
