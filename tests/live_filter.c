/* SPDX-License-Identifier: ISC */
/* The filter of stdio on the running kernel, without a listener: what it allows works, what is a way out kills. */
#include "policy/filter.h"
#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static void confine(const char *promises, bool base)
{
	struct filter_spec spec = {.base = base, .own_pids = true};
	struct sock_filter *code;
	size_t len;
	if (promises_parse(promises, &spec.promises, NULL) < 0 || filter_compile(&spec, &code, &len) < 0)
		_exit(98);
	struct sock_fprog program = {(unsigned short)len, code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_seccomp, 1, 0, &program) < 0)
		_exit(99);
}

static int live_as(const char *promises, bool base, int (*body)(void))
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		confine(promises, base);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int live(int (*body)(void))
{
	return live_as("stdio", true, body);
}

static int live_work(void)
{
	int p[2];
	char c = 'x';
	struct timespec now;
	if (pipe(p) < 0 || write(p[1], &c, 1) != 1 || read(p[0], &c, 1) != 1)
		return 1;
	char *volatile block = malloc(10 << 20);
	if (!block)
		return 2;
	memset(block, 1, 10 << 20);
	free(block);
	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || getppid() < 0)
		return 3;
	/* Nobody listens: ENOSYS instead of a notification. */
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != ENOSYS)
		return 4;
	if (syscall(SYS_clone3, NULL, 0) >= 0 || errno != ENOSYS)
		return 5;
	/* A process that is confined can narrow itself. */
	struct filter_spec spec = {.promises = 0, .base = false};
	struct sock_filter *code;
	size_t len;
	if (filter_compile(&spec, &code, &len) < 0)
		return 6;
	struct sock_fprog program = {(unsigned short)len, code};
	if (syscall(SYS_seccomp, 1, 0, &program) < 0)
		return 7;
	if (syscall(SYS_getppid) >= 0 || errno != EPERM)
		return 8;
	return 42;
}

static int live_ptrace(void)
{
	return (int)syscall(SYS_ptrace, 0, 0, 0, 0);
}

static int live_listener(void)
{
	struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	struct sock_fprog program = {1, &allow};
	if (syscall(SYS_seccomp, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER, NULL) >= 0 || errno != EFAULT)
		return 1;
	return (int)syscall(SYS_seccomp, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

#ifdef __x86_64__
static int live_i386(void)
{
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory");
	return 0;
}

static int live_x32(void)
{
	return syscall(0x40000000 | SYS_getpid) < 0;
}

/* Of the calls that are x32's own. */
static int live_x32_own(void)
{
	return syscall(0x40000000 | 520) < 0;
}

/* i386's exit(), by which a process would end as it likes. */
static int live_i386_exit(void)
{
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(1L), "b"(0L) : "memory");
	return 0;
}
#endif

/* Numbers that no kernel knows, or none of those that this was written for. A tracer's -1 is one of them. */
static int live_unknown(void)
{
	static const long numbers[] = {470, 512, 600, 1023, 1024, 4096, 0x3fffffff, -1};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (syscall(numbers[i], 0, 0, 0) >= 0 || errno != ENOSYS)
			return 1 + (int)i;
	return 42;
}

static void assert_killed(int status)
{
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void test_live(void **state)
{
	(void)state;
	int status = live(live_work);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	assert_killed(live(live_ptrace));
	assert_killed(live(live_listener));
}

/* Whatever was promised, and in narrowing filters, which have no listener, as well. */
static void test_foreign_entries_and_unknown_numbers(void **state)
{
	(void)state;
	static const char *const sets[] = {"", "stdio", "stdio rpath wpath cpath proc exec inet unix id"};
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		for (unsigned base = 0; base < 2; base++) {
			int status = live_as(sets[i], base, live_unknown);
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), 42);
#ifdef __x86_64__
			assert_killed(live_as(sets[i], base, live_x32));
			assert_killed(live_as(sets[i], base, live_x32_own));
			assert_killed(live_as(sets[i], base, live_i386));
			assert_killed(live_as(sets[i], base, live_i386_exit));
#endif
		}
	}
}

static double milliseconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Says what a start pays; asserts nothing about it. */
static void test_cost(void **state)
{
	(void)state;
	struct filter_spec spec = {
		.promises = PROMISE_BIT(stdio), .base = true, .own_pids = true, .empty_path_direct = true};
	struct sock_filter *code;
	size_t len;
	double t0 = milliseconds();
	assert_int_equal(filter_compile(&spec, &code, &len), 0);
	double t1 = milliseconds();
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct sock_fprog program = {(unsigned short)len, code};
		double before = milliseconds();
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_seccomp, 1, 0, &program) < 0)
			_exit(255);
		_exit((int)((milliseconds() - before) * 100));
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), 255);
	print_message("stdio: %zu instructions, compiled in %.2f ms, loaded in %.2f ms\n", len, t1 - t0,
		WEXITSTATUS(status) / 100.0);
	free(code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_foreign_entries_and_unknown_numbers),
		cmocka_unit_test(test_cost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
