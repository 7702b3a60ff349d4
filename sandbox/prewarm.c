/* SPDX-License-Identifier: ISC */
/* Owns loading now what libc would open later, when it is too late. Runs in the application, before the door closes. */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <iconv.h>
#include <locale.h>
#include <netdb.h>
#include <pwd.h>
#include <grp.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int airlock_prewarm(unsigned what)
{
	if (what & ~(AIRLOCK_PREWARM_TIMEZONE | AIRLOCK_PREWARM_LOCALE | AIRLOCK_PREWARM_ICONV | AIRLOCK_PREWARM_NAMES))
		return fail(-EINVAL, "no such thing to warm");
	if (what & AIRLOCK_PREWARM_TIMEZONE) {
		/* With TZ unset glibc looks at the file again on every localtime(); set, it reads it once. */
		setenv("TZ", ":/etc/localtime", 0);
		tzset();
	}
	if (what & AIRLOCK_PREWARM_LOCALE)
		setlocale(LC_ALL, "");
	if (what & AIRLOCK_PREWARM_ICONV) {
		static const char *const charsets[] = {"ISO-8859-1", "ISO-8859-15", "UTF-16", "UTF-32", "WINDOWS-1252"};
		for (size_t i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++) {
			/* Left open: closing the last user of a conversion may unload its module. */
			iconv_t c = iconv_open("UTF-8", charsets[i]);
			(void)c;
		}
	}
	if (what & AIRLOCK_PREWARM_NAMES) {
		(void)getpwuid(getuid());
		(void)getgrgid(getgid());
		struct addrinfo *list = NULL;
		if (getaddrinfo("localhost", NULL, NULL, &list) == 0)
			freeaddrinfo(list);
	}
	return 0;
}
