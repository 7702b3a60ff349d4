/* SPDX-License-Identifier: ISC */
/* What the system is asked about: limits, ids, memory, random numbers, names. */
#include "checks.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif
#if defined(__GLIBC__) && !defined(LIBC_STATIC)
#define HAVE_CRYPT 1
extern char *crypt(const char *, const char *); /* not every libc's headers have it */
#endif

/* What changes from one moment to the next. */
static int moves(int name)
{
	return name == _SC_AVPHYS_PAGES;
}

static void configuration(void)
{
	for (int name = 0; name < 260; name++) {
		errno = 0;
		long n = sysconf(name);
		if (!moves(name))
			say("%d %ld %s", name, n, errno_name(errno));
	}
	say("%d", sysconf(_SC_AVPHYS_PAGES) > 0);
	char text[256] = "";
	say("%d %d", (int)confstr(_CS_PATH, text, sizeof(text)), text[0] == '/');
#ifdef __GLIBC__
	say("%d %d %s", get_nprocs(), get_nprocs_conf(), gnu_get_libc_version());
	say("%d %d", get_phys_pages() > 0, getpagesize());
#endif
}

static void paths(void)
{
	static const int names[] = {
		_PC_LINK_MAX, _PC_NAME_MAX, _PC_PATH_MAX, _PC_PIPE_BUF, _PC_CHOWN_RESTRICTED, _PC_NO_TRUNC};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		say("%ld %ld", pathconf(".", names[i]), fpathconf(0, names[i]));
}

static int limit_of(int i, struct rlimit *l)
{
#ifdef __GLIBC__
	return getrlimit((__rlimit_resource_t)i, l);
#else
	return getrlimit(i, l);
#endif
}

static void identity(void)
{
	struct utsname u;
	struct rlimit l = {0, 0};
	struct rusage usage;
	char host[256];
	gid_t groups[64];
	uid_t r, e, s;
	int r0 = uname(&u);
	say("%d %s %s %s", r0, u.sysname, u.release, u.machine);
	r0 = gethostname(host, sizeof(host));
	say("%d %d", r0, host[0] != 0);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (i != RLIMIT_LOCKS) /* where airlock keeps whose state a process has */
			say("%d %d", i, limit_of(i, &l)), say("%llu", (unsigned long long)l.rlim_cur);
	say("%d %d", getrusage(RUSAGE_SELF, &usage), getrusage(RUSAGE_CHILDREN, &usage));
	say("%d %d %d %d", (int)getuid(), (int)geteuid(), (int)getgid(), (int)getegid());
	r0 = getresuid(&r, &e, &s);
	say("%d %d", r0, r == e && e == s);
	say("%d", getgroups(64, groups));
	say("%d %d %d", getpid() > 0, getpgid(0) == getpgrp(), getsid(0) >= 0);
	cpu_set_t set;
	r0 = sched_getaffinity(0, sizeof(set), &set);
	say("%d %d", r0, CPU_COUNT(&set));
	say("%d %d", sched_getscheduler(0), sched_get_priority_max(SCHED_FIFO));
	say("%d", sched_getcpu() >= 0);
	prctl(PR_SET_NAME, "renamed");
	prctl(PR_GET_NAME, host);
	say("%s", host);
	mode_t mask = umask(022);
	say("%o %o", (unsigned)mask, (unsigned)umask(mask));
}

static void random_numbers(void)
{
	unsigned char a[32] = "", b[32] = "";
	say("%d %d", (int)getrandom(a, 32, 0), getentropy(b, 32));
	say("%d", memcmp(a, b, 32) != 0);
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 36)
	arc4random_buf(a, sizeof(a));
	say("%d %d", arc4random() != arc4random() || arc4random() != arc4random(), arc4random_uniform(10) < 10);
#endif
#endif
	srandom(42);
	srand(42);
	srand48(42);
	say("%ld %ld %d %f", random(), random(), rand(), drand48());
#ifdef HAVE_CRYPT
	const char *c = crypt("password", "$6$saltstring");
	say("%.20s", c ? c : "-");
#endif
}

static void memory(void)
{
	char *parts[64];
	for (size_t i = 0; i < 64; i++) {
		parts[i] = malloc((i + 1) * 40000);
		memset(parts[i], (int)i, (i + 1) * 40000);
	}
	for (size_t i = 0; i < 64; i += 2)
		free(parts[i]);
#ifdef __GLIBC__
	say("%d", malloc_trim(0) >= 0);
	struct mallinfo2 info = mallinfo2();
	say("%d", info.uordblks > 0);
	mallopt(M_ARENA_MAX, 2);
#endif
	for (size_t i = 1; i < 64; i += 2)
		parts[i] = realloc(parts[i], 3000000);
	for (size_t i = 1; i < 64; i += 2)
		free(parts[i]);
	void *p = NULL;
	say("%d %d", posix_memalign(&p, 4096, 100000), (int)((uintptr_t)p & 4095));
	char *m = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say("%d %d %d %d", m != MAP_FAILED, madvise(m, 1 << 20, MADV_DONTNEED), mprotect(m, 4096, PROT_READ),
		mlock(m, 4096));
	m = mremap(m, 1 << 20, 1 << 21, MREMAP_MAYMOVE);
	say("%d %d", m != MAP_FAILED, msync(m, 4096, MS_SYNC));
	errno = 0;
	p = malloc(SIZE_MAX / 4);
	say("%d %d", p == NULL, errno == ENOMEM);
}

const struct libc_check system_checks[] = {
	{"sysconf", "stdio", NULL, 0, configuration},
	{"pathconf", "stdio rpath", "r:@ r:/sys r:/proc", 0, paths},
	{"identity", "stdio", NULL, 0, identity},
	{"random", "stdio", NULL, 0, random_numbers},
	{"malloc", "stdio", NULL, 0, memory},
	{NULL, NULL, NULL, 0, NULL},
};
