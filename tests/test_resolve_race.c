/* SPDX-License-Identifier: ISC */
/* The tree changes while paths are resolved: no try may end outside of it. */
#include "tests/resolve_tree.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

static _Atomic bool racing;

static void *swap_component(void *arg)
{
	char a[128], c[128];
	snprintf(a, sizeof(a), "%s/race/c", top);
	snprintf(c, sizeof(c), "%s/race/link", top);
	while (racing)
		syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, c, RENAME_EXCHANGE);
	return arg;
}

static void *move_directory(void *arg)
{
	char a[128], c[128];
	snprintf(a, sizeof(a), "%s/race/p/q", top);
	snprintf(c, sizeof(c), "%s/secret/q", top);
	while (racing) {
		(void)!rename(a, c);
		(void)!rename(c, a);
	}
	return arg;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void race(void *(*mover)(void *), const char *path, const char *good)
{
	unsigned long tries = 0, ok = 0, escapes = 0;
	pthread_t thread;
	racing = true;
	assert_int_equal(pthread_create(&thread, NULL, mover, NULL), 0);
	for (double end = now() + 1; now() < end;)
		for (int i = 0; i < 100; i++, tries++) {
			const char *got = content(open_at(AT_FDCWD, path, O_RDONLY, 0));
			ok += strcmp(got, good) == 0;
			escapes += strcmp(got, "SECRET") == 0;
		}
	racing = false;
	pthread_join(thread, NULL);
	print_message("%lu tries, %lu ok, %lu escapes\n", tries, ok, escapes);
	assert_true(ok > 0);
	assert_int_equal(escapes, 0);
}

static void test_race_symlink_swap(void **state) /* 4 */
{
	(void)state;
	directory("~/race/c");
	file("~/race/c/f", "good");
	link_to("~/race/link", "~/secret");
	race(swap_component, "~/race/c/f", "good");
}

static void test_race_directory_move(void **state) /* 5 */
{
	(void)state;
	directory("~/race/p");
	directory("~/race/p/q");
	file("~/race/f", "good");
	race(move_directory, "~/race/p/q/../../f", "good");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_race_symlink_swap),
		cmocka_unit_test(test_race_directory_move),
	};
	return tree_run(tests, sizeof(tests) / sizeof(tests[0]));
}
