/* SPDX-License-Identifier: ISC */
/* The ways that a program can try to live on after a violation. */
#include "tests/abort.h"

#include "sandbox/openbsd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SURVIVED 3
#define SETUP 4

static sigjmp_buf back;
static volatile int handled;

__attribute__((noinline)) int abort_open(void)
{
	int fd = open("/etc/passwd", O_RDONLY);
	return fd < 0 ? SURVIVED : 2;
}

static int confine(const char *promises)
{
	return pledge(promises, NULL) ? SETUP : 0;
}

static int violate(const char *promises)
{
	int e = confine(promises);
	if (e)
		return e;
	if (sigsetjmp(back, 1))
		return SURVIVED;
	return abort_open();
}

int abort_plain(void)
{
	return violate("stdio");
}

/* ---- handlers and masks ---- */

static void jump(int s)
{
	(void)s;
	handled = 1;
	siglongjmp(back, 1);
}

static void loop(int s)
{
	(void)s;
	for (;;)
		;
}

static void handler_set(void (*f)(int), int flags)
{
	struct sigaction a = {.sa_handler = f, .sa_flags = flags};
	sigfillset(&a.sa_mask);
	sigaction(SIGABRT, &a, NULL);
}

static void block_all(void)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

static int handler(void)
{
	handler_set(jump, 0);
	return abort_plain();
}

static int reset_handler(void)
{
	handler_set(jump, (int)SA_RESETHAND | SA_NODEFER);
	return abort_plain();
}

static int loops(void)
{
	handler_set(loop, 0);
	return abort_plain();
}

static int ignored(void)
{
	signal(SIGABRT, SIG_IGN);
	return abort_plain();
}

static int blocked(void)
{
	block_all();
	return abort_plain();
}

static int all_of_it(void)
{
	handler_set(jump, SA_NODEFER);
	block_all();
	return abort_plain();
}

static int own_stack(void)
{
	static char stack[65536];
	stack_t s = {.ss_sp = stack, .ss_size = sizeof(stack)};
	sigaltstack(&s, NULL);
	handler_set(jump, SA_ONSTACK);
	return abort_plain();
}

/* ---- threads ---- */

static void *blocks(void *arg)
{
	block_all();
	for (;;)
		pause();
	return arg;
}

static void *races(void *arg)
{
	for (;;) {
		handler_set(jump, SA_NODEFER);
		signal(SIGABRT, SIG_IGN);
		block_all();
	}
	return arg;
}

static void *spawns(void *arg)
{
	pthread_t t;
	handler_set(jump, SA_NODEFER);
	if (pthread_create(&t, NULL, spawns, arg) == 0)
		pthread_detach(t);
	return NULL;
}

static pthread_barrier_t together;
static void *violates(void *arg)
{
	pthread_barrier_wait(&together);
	abort_open();
	return arg;
}

static int threads_begin(unsigned n, void *(*f)(void *))
{
	for (unsigned i = 0; i < n; i++) {
		pthread_t t;
		pthread_attr_t a;
		pthread_attr_init(&a);
		pthread_attr_setstacksize(&a, 65536);
		if (pthread_create(&t, &a, f, NULL))
			return SETUP;
		pthread_attr_destroy(&a);
	}
	return 0;
}

static int blocked_everywhere(void)
{
	block_all();
	return threads_begin(4, blocks) ? SETUP : abort_plain();
}

static int races_begin(unsigned n, void *(*f)(void *))
{
	int e = confine("stdio");
	if (e || threads_begin(n, f))
		return SETUP;
	usleep(20000);
	if (sigsetjmp(back, 1))
		return SURVIVED;
	return abort_open();
}

static int racing_handler(void)
{
	return races_begin(4, races);
}

static int racing_threads(void)
{
	return races_begin(2, spawns);
}

/* With threads there is no Landlock domain, which would not let the kernel write a file on the process' behalf. */
int abort_core(void)
{
	return threads_begin(2, blocks) ? SETUP : abort_plain();
}

int abort_with_threads(void)
{
	return threads_begin(2, blocks) ? SETUP : abort_plain();
}

static int all_at_once(void)
{
	int e = confine("stdio");
	pthread_barrier_init(&together, NULL, 33);
	if (e || threads_begin(32, violates))
		return SETUP;
	pthread_barrier_wait(&together);
	return abort_open();
}

/* The violation is a thread's, while the first one waits. */
static int not_the_first(void)
{
	int e = confine("stdio");
	pthread_barrier_init(&together, NULL, 1);
	if (e || threads_begin(1, violates))
		return SETUP;
	sleep(10);
	return SURVIVED;
}

/* The first thread has ended. */
static int leader_gone(void)
{
	int e = confine("stdio");
	pthread_barrier_init(&together, NULL, 1);
	if (e || threads_begin(1, violates))
		return SETUP;
	syscall(SYS_exit, 0);
	return SETUP;
}

/* ---- processes ---- */

static bool aborted(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static int forked(void)
{
	int status;
	if (confine("stdio proc"))
		return SETUP;
	pid_t pid = fork();
	if (pid == 0)
		_exit(abort_open());
	return waitpid(pid, &status, 0) == pid && aborted(status) ? 0 : SURVIVED;
}

static int vforked(void)
{
	volatile uint64_t guard[64];
	int status;
	volatile int wrong = 0;
	memset((void *)(uintptr_t)guard, 0x5a, sizeof(guard));
	handler_set(jump, 0);
	if (confine("stdio proc"))
		return SETUP;
	/* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork): this is what is tried */
	pid_t pid = vfork();
	if (pid == 0) {
		syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
		_exit(SURVIVED);
	}
	for (size_t i = 0; i < 64; i++)
		wrong |= guard[i] != UINT64_C(0x5a5a5a5a5a5a5a5a);
	struct sigaction a;
	sigaction(SIGABRT, NULL, &a);
	return waitpid(pid, &status, 0) == pid && aborted(status) && !wrong && a.sa_handler == jump ? 0 : SURVIVED;
}

static int another_user(void)
{
	if (confine("stdio id"))
		return SETUP;
	if (geteuid() == 0 && (setresgid(1234, 1234, 1234) || setresuid(1234, 1234, 1234)))
		return SETUP;
	handler_set(jump, 0);
	return sigsetjmp(back, 1) ? SURVIVED : abort_open();
}

static int executed(void)
{
	int status;
	if (pledge("stdio proc exec rpath", "stdio proc"))
		return SETUP;
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/cat", "cat", "/etc/passwd", NULL);
		_exit(SETUP);
	}
	return waitpid(pid, &status, 0) == pid && aborted(status) ? 0 : SURVIVED;
}

int abort_role(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(abort_plain());
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* ---- stacks ---- */

static int stack_at(uint64_t sp)
{
	static const char path[] = "/etc/passwd";
	handler_set(loop, 0);
	if (confine("stdio"))
		return SETUP;
#if defined(__x86_64__)
	long r;
	register long flags __asm__("r10") = 0;
	__asm__ volatile(
		"mov %%rsp, %%r12\n\tmov %[sp], %%rsp\n\tsyscall\n\tmov %%r12, %%rsp"
		: "=a"(r)
		: "a"((long)SYS_openat), "D"((long)AT_FDCWD), "S"(path), "d"((long)O_RDONLY), "r"(flags), [sp] "r"(sp)
		: "r12", "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long r __asm__("x0") = AT_FDCWD;
	register const char *p __asm__("x1") = path;
	register long flags __asm__("x2") = O_RDONLY, mode __asm__("x3") = 0, nr __asm__("x8") = SYS_openat;
	__asm__ volatile("mov x19, sp\n\tmov sp, %[sp]\n\tsvc 0\n\tmov sp, x19"
			 : "+r"(r)
			 : "r"(p), "r"(flags), "r"(mode), "r"(nr), [sp] "r"(sp)
			 : "x19", "memory");
#endif
	return SURVIVED;
}

static int tiny_stack(void)
{
	char *pages = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || mprotect(pages + 4096, 4096, PROT_READ | PROT_WRITE))
		return SETUP;
	return stack_at((uint64_t)(uintptr_t)pages + 4096 + 32);
}

static int no_stack(void)
{
	return stack_at(0x1000);
}

/* ---- what is said ---- */

static int odd_name(void)
{
	prctl(PR_SET_NAME, "a\nb\x1b[31m\xc3");
	return abort_plain();
}

static int nothing_allows(void)
{
	if (confine("stdio rpath proc exec id"))
		return SETUP;
	return unshare(0x10000000) ? SURVIVED : 2; /* CLONE_NEWUSER */
}

static int two_paths(void)
{
	if (confine("stdio rpath"))
		return SETUP;
	return rename("/tmp/airlock-a", "/tmp/airlock-b") ? SURVIVED : 2;
}

static int direct_call(void)
{
	if (confine("stdio rpath flock") || confine("stdio rpath"))
		return SETUP;
	int fd = open("/etc/passwd", O_RDONLY);
	struct flock l = {.l_type = F_RDLCK};
	return fcntl(fd, F_SETLK, &l) ? SURVIVED : 2;
}

/* ---- what is no violation ---- */

int abort_refused_first(void)
{
	struct stat st;
	if (unveil("/usr", "r") || confine("stdio rpath"))
		return SETUP;
	for (int i = 0; i < 20; i++)
		if (stat("/etc/passwd", &st) == 0 || errno != ENOENT)
			return SURVIVED;
	return 0;
}

static int hidden(void)
{
	return abort_refused_first();
}

static int promise_error(void)
{
	if (confine("stdio error"))
		return SETUP;
	for (int i = 0; i < 3; i++)
		if (open("/etc/passwd", O_RDONLY) >= 0 || errno != ENOSYS)
			return SURVIVED;
	if (syscall(SYS_ptrace, 0, 0, 0, 0) != -1 || errno != ENOSYS)
		return SURVIVED;
	return 0;
}

static int plain_errnos(void)
{
	if (confine("stdio rpath wpath cpath fattr getpw"))
		return SETUP;
	int null = open("/dev/null", O_RDWR), fd;
	char path[] = "/tmp/abort-XXXXXX";
	struct winsize w;
	fd = mkstemp(path);
	unlink(path);
	if (null < 0 || isatty(null) || fd < 0 || ioctl(fd, TIOCGWINSZ, &w) == 0 || errno != ENOTTY)
		return SURVIVED;
	if (fchown(fd, 12345, (gid_t)-1) == 0 || errno != EPERM)
		return 5;
	if (syscall(900) != -1 || errno != ENOSYS)
		return 6;
	return 0;
}

static int only_unveiled(void)
{
	if (unveil("/", "r"))
		return SETUP;
	if (mount("none", "/tmp", "tmpfs", 0, NULL) == 0 || errno != EPERM)
		return SURVIVED;
	return 0;
}

/* ---- stdio given up ---- */

static int no_stdio(void)
{
	if (confine("stdio rpath") || confine(""))
		return SETUP;
	return syscall(SYS_getppid) > 0 ? 2 : SURVIVED;
}

static int no_stdio_blocked(void)
{
	sigset_t all, old;
	block_all();
	if (confine("stdio rpath") || confine(""))
		return SETUP;
	sigfillset(&all);
	memset(&old, 0, sizeof(old));
	/* All that was asked for is blocked, as far as can be seen, but for the one signal. */
	if (sigprocmask(SIG_SETMASK, &all, &old) || !sigismember(&old, SIGHUP))
		return SURVIVED;
	if (sigprocmask(SIG_BLOCK, NULL, &old) || !sigismember(&old, SIGTERM) || sigismember(&old, SIGSYS))
		return SURVIVED;
	return syscall(SYS_getppid) > 0 ? 2 : SURVIVED;
}

static int no_stdio_handler(void)
{
	signal(SIGSYS, SIG_IGN);
	handler_set(jump, 0);
	return no_stdio();
}

static atomic_int asleep;

static void *sleeps(void *arg)
{
	for (atomic_fetch_add(&asleep, 1);;)
		usleep(1000);
	return arg;
}

static int no_stdio_thread(void)
{
	if (confine("stdio rpath") || threads_begin(3, sleeps))
		return SETUP;
	/* libc blocks all signals in a thread until it runs: what is refused it before that ends it by SIGSYS. */
	while (atomic_load(&asleep) < 3)
		usleep(1000);
	if (confine(""))
		return SETUP;
	return syscall(SYS_getppid) > 0 ? 2 : SURVIVED;
}

static int no_stdio_error(void)
{
	if (confine("stdio rpath error") || confine("error"))
		return SETUP;
	errno = 0;
	return syscall(SYS_getpgid, 0) == -1 && errno == ENOSYS ? 0 : SURVIVED;
}

static int no_stdio_ends(void)
{
	if (confine("stdio rpath") || confine(""))
		return SETUP;
	abort();
}

const struct abort_case abort_cases[] = {
	{"plain", abort_plain, false, "pledge \"rpath\": openat(\"/etc/passwd\", O_RDONLY) in ", 1},
	{"it says where", abort_plain, false, "abort_open+0x", 1},
	{"a handler jumps away", handler, false, "pledge \"rpath\"", 1},
	{"a handler for one time", reset_handler, false, "pledge \"rpath\"", 1},
	{"a handler that loops", loops, false, "pledge \"rpath\"", 1},
	{"ignored", ignored, false, "pledge \"rpath\"", 1},
	{"blocked", blocked, false, "pledge \"rpath\"", 1},
	{"blocked, with a handler", all_of_it, false, "pledge \"rpath\"", 1},
	{"a handler with a stack of its own", own_stack, false, "pledge \"rpath\"", 1},
	{"blocked in all threads", blocked_everywhere, false, "pledge \"rpath\"", 1},
	{"threads set handlers all the time", racing_handler, false, "pledge \"rpath\"", 1},
	{"threads make threads all the time", racing_threads, false, "pledge \"rpath\"", 1 + OR_KILLED},
	{"many threads at once", all_at_once, false, "pledge \"rpath\"", 1},
	{"not the first thread", not_the_first, false, "pledge \"rpath\"", 1},
	{"the first thread has ended", leader_gone, false, "pledge \"rpath\"", 1},
	{"a child", forked, true, "pledge \"rpath\"", 1},
	{"a child that shares its memory", vforked, true, "pledge \"rpath\"", 1},
	{"another user since", another_user, false, "pledge \"rpath\"", 1},
	{"a program that it executed", executed, true, "cat[", 1},
	{"a stack of a few bytes", tiny_stack, false, "pledge \"rpath\"", 1},
	{"no stack", no_stack, false, "pledge \"rpath\"", 1},
	{"a name with control characters", odd_name, false, "a\\x0ab\\x1b[31m", 1},
	{"what no promise allows", nothing_allows, false, "unshare(0x10000000", 1},
	{"two paths", two_paths, false, "pledge \"cpath\": rename", 1},
	{"a call that its kernel decides", direct_call, false, "pledge \"flock\": fcntl(", 1},
	{"hidden is no violation", hidden, true, NULL, 0},
	{"the promise error", promise_error, true, NULL, 0},
	{"what is only refused", plain_errnos, true, NULL, 0},
	{"only unveiled", only_unveiled, true, NULL, 0},
	{"without stdio", no_stdio, false, "pledge \"stdio\": getppid(", 1},
	{"without stdio: it says where", no_stdio, false, "no_stdio+0x", 1},
	{"without stdio, blocked", no_stdio_blocked, false, "pledge \"stdio\": getppid(", 1},
	{"without stdio, SIGSYS ignored", no_stdio_handler, false, "pledge \"stdio\": getppid(", 1},
	{"without stdio, with threads", no_stdio_thread, false, "pledge \"stdio\": ", 1},
	{"without stdio, the promise error", no_stdio_error, true, NULL, 0},
	{"without stdio, abort()", no_stdio_ends, false, NULL, 0},
	{NULL, NULL, false, NULL, 0},
};
