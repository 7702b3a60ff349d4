/* SPDX-License-Identifier: ISC */
/* Ends: what libc says last. */
#include "checks.h"

#undef NDEBUG
#include <assert.h>
#include <err.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Without a core file, and with what was printed until then. */
static void quietly(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	say("before");
}

static void aborted(void)
{
	quietly();
	abort();
}

static void ignored(void)
{
	sigset_t all;
	quietly();
	signal(SIGABRT, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	abort();
}

static void asserted(void)
{
	quietly();
	assert(work == NULL);
}

static void fell(void)
{
	quietly();
	raise(SIGSEGV);
}

static void failed(void)
{
	quietly();
	errx(42, "the end, with status %d", 42);
}

static void quick(void)
{
	setvbuf(stdout, NULL, _IOFBF, 4096);
	say("is lost");
	_Exit(6);
}

#ifdef __GLIBC__
static void overflown(void)
{
	char small[8];
	volatile size_t len = 40;
	char big[64] = "0123456789012345678901234567890123456789";
	quietly();
	/* _FORTIFY_SOURCE puts this in strcpy()'s place. */
	__builtin___memcpy_chk(small, big, len, sizeof(small));
	say("%c", small[0]);
}

extern void __stack_chk_fail(void) __attribute__((noreturn));
static void smashed(void)
{
	quietly();
	__stack_chk_fail();
}

static void corrupted(void)
{
	quietly();
	char *p = malloc(100);
	volatile int twice = 2;
	for (int i = 0; i < twice; i++)
		free(p);
}
#endif

static sigjmp_buf back;

static void caught(int signal)
{
	siglongjmp(back, signal);
}

static void survived(void)
{
	int s = sigsetjmp(back, 1);
	if (s)
		say("back from %d", s);
	signal(SIGABRT, caught);
	signal(SIGFPE, caught);
	if (s == 0)
		raise(SIGFPE);
	else if (s == SIGFPE)
		abort();
}

const struct libc_check end_checks[] = {
	{"abort", "stdio", NULL, 0, aborted},
	{"abort-ignored", "stdio", NULL, 0, ignored},
	{"assert", "stdio", NULL, 0, asserted},
	{"raise", "stdio", NULL, 0, fell},
	{"errx", "stdio", NULL, 0, failed},
	{"_Exit", "stdio", NULL, 0, quick},
	{"siglongjmp", "stdio", NULL, 0, survived},
#ifdef __GLIBC__
	{"fortify", "stdio", NULL, 0, overflown},
	{"stack-protector", "stdio", NULL, 0, smashed},
	{"double-free", "stdio", NULL, 0, corrupted},
#endif
	{NULL, NULL, NULL, 0, NULL},
};
