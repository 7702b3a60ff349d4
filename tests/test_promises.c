/* SPDX-License-Identifier: ISC */
/* The words of pledge(2), the names of system calls, and the hints that the table gives. No kernel feature. */
#include "policy/filter.h"
#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <cmocka.h>

static void test_words_are_the_36_of_openbsd(void **state)
{
	(void)state;
	assert_int_equal(PROMISE_COUNT, 36);
	assert_null(promise_name(PROMISE_COUNT));
	for (unsigned i = 0; i < PROMISE_COUNT; i++) {
		uint64_t set;
		assert_int_equal(promises_parse(promise_name(i), &set, NULL), 0);
		assert_true(set == UINT64_C(1) << i);
	}
	assert_string_equal(promise_name(PROMISE_unix), "unix");
}

static void test_parse_follows_pledge(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int result;
		uint64_t set;
		int bad; /* where */
	} cases[] = {
		{"", 0, 0, 0},
		{"stdio", 0, PROMISE_BIT(stdio), 0},
		{"stdio rpath", 0, PROMISE_BIT(stdio) | PROMISE_BIT(rpath), 0},
		{"rpath   stdio  ", 0, PROMISE_BIT(stdio) | PROMISE_BIT(rpath), 0},
		{"stdio stdio", 0, PROMISE_BIT(stdio), 0},
		{" stdio", -EINVAL, 0, 0},
		{" ", -EINVAL, 0, 0},
		{"stdio\trpath", -EINVAL, 0, 0},
		{"stdio,rpath", -EINVAL, 0, 0},
		{"stdio abort", -EINVAL, 0, 6},
		{"stdi", -EINVAL, 0, 0},
		{"stdiox", -EINVAL, 0, 0},
		{"STDIO", -EINVAL, 0, 0},
		{"rpath stdio  rpth", -EINVAL, 0, 13},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t set = 12345;
		const char *bad = NULL;
		assert_int_equal(promises_parse(cases[i].text, &set, &bad), cases[i].result);
		if (cases[i].result == 0) {
			assert_true(set == cases[i].set);
		} else {
			assert_true(set == 12345);
			assert_ptr_equal(bad, cases[i].text + cases[i].bad);
		}
	}
	char text[1100];
	uint64_t set;
	memset(text, ' ', sizeof(text));
	memcpy(text, "stdio", 5);
	text[1023] = '\0';
	assert_int_equal(promises_parse(text, &set, NULL), 0);
	text[1023] = ' ';
	text[1024] = '\0';
	assert_int_equal(promises_parse(text, &set, NULL), -ENAMETOOLONG);
}

static void test_format_reads_back(void **state)
{
	(void)state;
	char buf[512];
	uint64_t seed = 1, set;
	for (int i = 0; i < 1000; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		uint64_t want = (seed >> 11) & ((UINT64_C(1) << PROMISE_COUNT) - 1);
		assert_int_equal(promises_parse(promises_format(want, buf, sizeof(buf)), &set, NULL), 0);
		assert_true(set == want);
	}
	assert_string_equal(promises_format(0, buf, sizeof(buf)), "");
	assert_string_equal(promises_format(PROMISE_BIT(unix) | PROMISE_BIT(stdio), buf, sizeof(buf)), "stdio unix");
	for (size_t len = 1; len < 12; len++) {
		memset(buf, 'x', sizeof(buf));
		promises_format(~UINT64_C(0), buf, len);
		assert_int_equal(strlen(buf), len - 1);
		assert_int_equal(buf[len], 'x');
	}
}

static void test_every_call_has_a_name(void **state)
{
	(void)state;
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	for (size_t i = 0; i < count; i++) {
		if (rows[i].number >= 0) {
			assert_string_equal(syscall_name(rows[i].number), rows[i].name);
			assert_int_equal(syscall_number(rows[i].name), rows[i].number);
		}
	}
	assert_int_equal(syscall_number("airlock"), AIRLOCK_SYSCALL);
	assert_string_equal(syscall_name(AIRLOCK_SYSCALL), "airlock");
	assert_int_equal(syscall_number("openatt"), -1);
	assert_null(syscall_name(-1));
	assert_null(syscall_name(400));
	assert_null(syscall_name(471));
#ifdef __x86_64__
	for (int nr = 0; nr <= 336; nr++) {
		if (!syscall_name(nr))
			print_error("number %d has no name\n", nr);
		assert_non_null(syscall_name(nr));
	}
	assert_int_equal(syscall_number("futex_wait"), 455);
#endif
	for (int nr = 424; nr <= 469; nr++)
		assert_non_null(syscall_name(nr));
}

static void test_hints(void **state)
{
	(void)state;
	static const struct {
		int number;
		uint64_t args[6];
		unsigned promise;
	} cases[] = {
		{SYS_openat, {AT_FDCWD, 1, O_RDONLY}, PROMISE_rpath},
		{SYS_openat, {AT_FDCWD, 1, O_WRONLY}, PROMISE_wpath},
		{SYS_openat, {AT_FDCWD, 1, O_RDWR}, PROMISE_wpath},
		{SYS_openat, {AT_FDCWD, 1, O_WRONLY | O_CREAT}, PROMISE_cpath},
		{SYS_openat, {AT_FDCWD, 1, O_TMPFILE | O_RDWR}, PROMISE_cpath},
		{SYS_newfstatat, {AT_FDCWD, 1, 1, 0}, PROMISE_rpath},
		{SYS_statx, {AT_FDCWD, 1, 0, 0xfff}, PROMISE_rpath},
		{SYS_renameat2, {0}, PROMISE_cpath},
		{SYS_unlinkat, {0}, PROMISE_cpath},
		{SYS_mknodat, {0}, PROMISE_dpath},
		{SYS_fchmodat, {0}, PROMISE_fattr},
		{SYS_fchownat, {0}, PROMISE_fattr},
		{SYS_chdir, {0}, PROMISE_rpath},
		{SYS_fchdir, {0}, PROMISE_stdio},
		{SYS_socket, {2, 1, 0}, PROMISE_inet},
		{SYS_socket, {10, 1 | SOCK_CLOEXEC, 6}, PROMISE_inet},
		{SYS_socket, {1, 1, 0}, PROMISE_unix},
		{SYS_socket, {2, 3, 0}, PROMISE_COUNT},
		{SYS_socket, {2, 1, 262}, PROMISE_COUNT},
		{SYS_sendmsg, {0}, PROMISE_sendfd},
		{SYS_recvmsg, {0}, PROMISE_recvfd},
		{SYS_kill, {1, 9}, PROMISE_proc},
		{SYS_clone, {0x11}, PROMISE_proc},
		{SYS_clone, {0x3d0f00}, PROMISE_stdio},
		{SYS_clone, {CLONE_NEWUSER}, PROMISE_COUNT},
		{SYS_execve, {0}, PROMISE_exec},
		{SYS_mmap, {0, 4096, 5}, PROMISE_prot_exec},
		{SYS_mmap, {0, 4096, 3}, PROMISE_stdio},
		{SYS_ioctl, {0, 0x5413}, PROMISE_stdio},
		{SYS_ioctl, {0, 0x5402}, PROMISE_tty},
		{SYS_ioctl, {0, 0x5412}, PROMISE_COUNT},
		{SYS_prlimit64, {0, 7, 1}, PROMISE_proc},
		{SYS_prlimit64, {0, 10, 1}, PROMISE_COUNT},
		{SYS_setuid, {0}, PROMISE_id},
		{SYS_clock_settime, {0}, PROMISE_settime},
		{SYS_flock, {0}, PROMISE_flock},
		{SYS_getdents64, {0}, PROMISE_rpath},
		{SYS_ptrace, {0}, PROMISE_COUNT},
		{SYS_mount, {0}, PROMISE_COUNT},
		{SYS_clone3, {0}, PROMISE_COUNT},
		{-1, {0}, PROMISE_COUNT},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned got = promise_for_syscall(cases[i].number, cases[i].args);
		if (got != cases[i].promise)
			print_error("case %zu: got %s\n", i, got < PROMISE_COUNT ? promise_name(got) : "none");
		assert_int_equal(got, cases[i].promise);
	}
}

static void test_what_is_missing(void **state)
{
	(void)state;
	static const struct {
		int number;
		uint64_t args[6], held;
		unsigned missing;
	} cases[] = {
		{SYS_ioctl, {0, 0x5410}, PROMISE_BIT(tty), PROMISE_proc}, /* TIOCSPGRP */
		{SYS_ioctl, {0, 0x5410}, PROMISE_BIT(proc), PROMISE_tty},
		{SYS_ioctl, {0, 0x5410}, PROMISE_BIT(proc) | PROMISE_BIT(tty), PROMISE_COUNT},
		{SYS_ioctl, {0, 0x80045430}, PROMISE_BIT(tty) | PROMISE_BIT(rpath), PROMISE_wpath}, /* TIOCGPTN */
		{SYS_ioctl, {0, 0x80045430}, 0, PROMISE_rpath},
		{SYS_ioctl, {0, 0x5412}, UINT64_MAX, PROMISE_COUNT}, /* TIOCSTI */
		{SYS_openat, {0, 0, O_RDWR | O_CREAT}, PROMISE_BIT(stdio), PROMISE_cpath},
		{SYS_fchownat, {0}, PROMISE_BIT(chown), PROMISE_COUNT},
		{SYS_fchownat, {0}, 0, PROMISE_fattr},
		{SYS_setpriority, {0, 7}, PROMISE_BIT(stdio), PROMISE_proc},
		{SYS_setpriority, {0, 7}, PROMISE_BIT(id), PROMISE_COUNT},
		{SYS_mount, {0}, 0, PROMISE_COUNT},
		{-1, {0}, 0, PROMISE_COUNT},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned got = promise_missing(cases[i].number, cases[i].args, cases[i].held);
		if (got != cases[i].missing)
			print_error("case %zu: got %s\n", i, got < PROMISE_COUNT ? promise_name(got) : "none");
		assert_int_equal(got, cases[i].missing);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_are_the_36_of_openbsd),
		cmocka_unit_test(test_parse_follows_pledge),
		cmocka_unit_test(test_format_reads_back),
		cmocka_unit_test(test_every_call_has_a_name),
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_what_is_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
