/* SPDX-License-Identifier: ISC */
/* Locales, conversions, patterns, message catalogues. */
#include "checks.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <iconv.h>
#include <langinfo.h>
#include <libintl.h>
#include <locale.h>
#include <nl_types.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

static void look(const char *name)
{
	const char *set = setlocale(LC_ALL, name);
	say("%s: %s", name, set ? set : "-");
	const struct lconv *l = localeconv();
	struct tm day = {.tm_mday = 21, .tm_mon = 2, .tm_year = 126, .tm_wday = 6};
	char text[128];
	strftime(text, sizeof(text), "%A %B %x %X %c %p", &day);
	say("%s %s '%s' '%s' %d", nl_langinfo(CODESET), nl_langinfo(RADIXCHAR), l->thousands_sep, l->currency_symbol,
		(int)MB_CUR_MAX);
	say("%s | %s | %s", text, nl_langinfo(YESEXPR), strerror(ENOENT));
	say("%.2f %d %d %d", 1234567.5, strcoll("Zebra", "apfel") < 0, toupper(0xe4), iswalpha(0xe4) != 0);
	mbstate_t state = {0};
	wchar_t c = 0;
	say("%d %x", (int)mbrtowc(&c, "\xc3\xa4", 2, &state), (unsigned)c);
	say("%d", (int)mblen("\xe4x", 2));
	regex_t r;
	int e = regcomp(&r, "^[[:alpha:]]+[[=a=]]$", REG_EXTENDED | REG_ICASE);
	say("%d %d", e, e ? 0 : regexec(&r, "\xc3\xa4pfeLA", 0, NULL, 0));
	if (!e)
		regfree(&r);
	say("%d", fnmatch("[[:upper:]]*.?", "Xyz.c", 0));
}

static void locales(void)
{
	static const char *const names[] = {"C", "POSIX", "C.UTF-8", "en_US.UTF-8", "nowhere", ""};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		look(names[i]);
	locale_t l = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
	say("%d", l != (locale_t)0);
	if (l) {
		uselocale(l);
		say("%s", nl_langinfo(CODESET));
	}
}

static void installed(void)
{
	const char *list = getenv("LC_TEST");
	char *copy = strdup(list ? list : "");
	for (char *name = strtok(copy, ","); name; name = strtok(NULL, ","))
		look(name);
	/* A stream that becomes wide asks for the conversion of the locale's character set. */
	FILE *f = fopen("/dev/null", "r");
	say("%d", f && fgetwc(f) == WEOF);
}

static void convert(const char *to, const char *from, const char *text)
{
	char in[64], out[128] = "", *i = in, *o = out;
	size_t left = strlen(text), room = sizeof(out) - 1;
	memcpy(in, text, left + 1);
	iconv_t c = iconv_open(to, from);
	if (c == (iconv_t)-1) {
		say("%s from %s: %s", to, from, errno_name(errno));
		return;
	}
	size_t n = iconv(c, &i, &left, &o, &room);
	printf("%s from %s: %d %d", to, from, (int)n, (int)left);
	for (const char *p = out; p < o; p++)
		printf(" %02x", (unsigned char)*p);
	say("%s", "");
	iconv_close(c);
}

static void builtin(void)
{
	convert("UTF-8", "ASCII", "plain");
	convert("UCS-4", "UTF-8", "\xc3\xa4x");
	convert("UTF-8", "UCS-2LE", "ab");
	convert("ASCII//IGNORE", "UTF-8", "a\xc3\xa4z");
	convert("ASCII", "UTF-8", "a\xc3\xa4z");
}

#ifndef LIBC_STATIC
static void modules(void)
{
	convert("ISO-8859-1", "UTF-8", "\xc3\xa4pfel \xc3\x9f");
	convert("UTF-8", "ISO-8859-1", "\xe4pfel");
	convert("UTF-16", "UTF-8", "a\xe2\x82\xac");
	convert("UTF-8", "UTF-16LE", "a\0b");
	convert("UTF-32", "UTF-8", "x");
	convert("WINDOWS-1252", "UTF-8", "\xe2\x82\xac");
	convert("ISO-8859-15", "UTF-8", "\xe2\x82\xac");
	convert("UTF-8", "nonsense", "x");
}
#endif

static void catalogues(void)
{
	setlocale(LC_ALL, "C.UTF-8");
	bindtextdomain("no-such-program", "/usr/share/locale");
	textdomain("no-such-program");
	say("%s %s", gettext("a message"), ngettext("one", "many", 2));
	setenv("LANGUAGE", "de:fr", 1);
	say("%s", gettext("another message"));
	nl_catd c = catopen("no-such-catalogue", NL_CAT_LOCALE);
	say("%d %s", c == (nl_catd)-1, errno_name(errno));
}

const struct libc_check text_checks[] = {
	{"locale", "stdio", NULL, 0, locales},
	{"locale-installed", "stdio", NULL, LIBC_WARM, installed},
	{"iconv-builtin", "stdio", NULL, 0, builtin},
#ifndef LIBC_STATIC
	{"iconv-modules", "stdio", NULL, LIBC_WARM, modules},
#endif
	{"gettext-catopen", "stdio", NULL, 0, catalogues},
	{NULL, NULL, NULL, 0, NULL},
};
