/* SPDX-License-Identifier: ISC */
/* Every generated filter over every call number and the edges of every condition, in a model of BPF, against the table. */
#include "tests/filter_model.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

static struct vectors all_vectors[512];
static size_t vector_sets;

static int set_up(void **state)
{
	(void)state;
	for (int nr = 0; nr < 480; nr++)
		all_vectors[vector_sets++] = vectors_for(nr);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < vector_sets; i++)
		vectors_free(&all_vectors[i]);
	return 0;
}

/* What holds for every filter. */
static void check_frame(const struct filter *f)
{
	const uint64_t none[6] = {0},
		       ones[6] = {~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0)};
	static const uint32_t foreign[] = {AUDIT_ARCH_I386, FOREIGN, AUDIT_ARCH_ARM, AUDIT_ARCH_RISCV64, 0, 0xffffffff};
	for (int nr = -2; nr < 600; nr++)
		for (size_t a = 0; a < sizeof(foreign) / sizeof(foreign[0]); a++)
			assert_int_equal(ask(f, foreign[a], nr, none), KILLED);
	assert_int_equal(ask(f, FOREIGN, AIRLOCK_SYSCALL, none), KILLED);
#ifdef __x86_64__
	for (int nr = 0; nr < 1200; nr++)
		assert_int_equal(ask(f, NATIVE, nr | 0x40000000, none), KILLED);
	assert_int_equal(ask(f, NATIVE, -2, none), KILLED);
#endif
	assert_int_equal(ask(f, NATIVE, -1, none), UNHEARD);
	for (int nr = 0; nr <= 1100; nr++) {
		if (!syscall_name(nr)) {
			assert_int_equal(ask(f, NATIVE, nr, none), UNHEARD);
			assert_int_equal(ask(f, NATIVE, nr, ones), UNHEARD);
		}
	}
	static const int unheard[] = {SYS_clone3, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
		SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_mount_setattr, 457, 458, 467, 470, 471, 512, 1023, 1024,
		AIRLOCK_SYSCALL - 1, AIRLOCK_SYSCALL + 1, 0x3fffffff};
	for (size_t i = 0; i < sizeof(unheard) / sizeof(unheard[0]); i++)
		assert_int_equal(ask(f, NATIVE, unheard[i], ones), UNHEARD);
	assert_int_equal(ask(f, NATIVE, AIRLOCK_SYSCALL, ones), f->spec.base ? NOTIFIED : ALLOWED);
	assert_int_equal(ask(f, NATIVE, SYS_exit_group, ones), ALLOWED);
	assert_int_equal(ask(f, NATIVE, SYS_close, ones), ALLOWED);
	assert_true(f->len < 1300);
}

static void check_against_table(const struct filter *f)
{
	for (size_t i = 0; i < vector_sets; i++) {
		const struct vectors *v = &all_vectors[i];
		for (size_t k = 0; k < v->count; k++) {
			uint32_t want = expected(&f->spec, v->nr, v->args[k]), got = ask(f, NATIVE, v->nr, v->args[k]);
			if (got != want)
				complain(&f->spec, v->nr, v->args[k], got, want);
			/* The kernel drops the high half of an int: it must not change the verdict. */
			uint64_t garbage[6];
			garble(v, v->args[k], 0xdead00ff, garbage);
			got = ask(f, NATIVE, v->nr, garbage);
			if (got != want)
				complain(&f->spec, v->nr, garbage, got, want);
		}
	}
}

static uint64_t random_set(uint64_t *seed)
{
	uint64_t set = EVERY;
	for (int i = 0; i < 2; i++) {
		*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		set &= *seed >> 20;
	}
	return set;
}

static void test_filters_say_what_the_table_says(void **state)
{
	(void)state;
	uint64_t seed = 7, sets[2 * PROMISE_COUNT + 12];
	size_t count = 0;
	sets[count++] = 0;
	sets[count++] = EVERY;
	sets[count++] = set_of("stdio rpath wpath cpath inet unix dns proc exec tty");
	for (unsigned i = 0; i < PROMISE_COUNT; i++) {
		sets[count++] = UINT64_C(1) << i;
		sets[count++] = UINT64_C(1) << i | PROMISE_BIT(stdio);
	}
	while (count < sizeof(sets) / sizeof(sets[0]))
		sets[count++] = random_set(&seed);
	for (size_t m = 0; m < MODES; m++) {
		for (size_t i = 0; i < count; i++) {
			/* Every mode with a quarter of the sets; each set in some modes. */
			if (i > 3 && (i + m) % 4)
				continue;
			struct filter_spec spec = modes[m];
			spec.promises = sets[i];
			struct filter f = make(spec);
			check_frame(&f);
			check_against_table(&f);
			free(f.code);
		}
	}
}

static void test_a_wider_promise_allows_no_less(void **state)
{
	(void)state;
	uint64_t seed = 99;
	for (unsigned i = 0; i < 16; i++) {
		struct filter_spec spec = modes[i % MODES];
		spec.promises = random_set(&seed);
		struct filter narrow = make(spec);
		spec.promises |= random_set(&seed) | UINT64_C(1) << (i * 2 % PROMISE_COUNT);
		struct filter wide = make(spec);
		for (size_t s = 0; s < vector_sets; s++) {
			const struct vectors *v = &all_vectors[s];
			for (size_t k = 0; k < v->count; k++)
				if (ask(&narrow, NATIVE, v->nr, v->args[k]) == ALLOWED &&
					ask(&wide, NATIVE, v->nr, v->args[k]) != ALLOWED)
					complain(&wide.spec, v->nr, v->args[k], 0, ALLOWED);
		}
		free(narrow.code);
		free(wide.code);
	}
}

/* The table on the other architecture: same calls, same verdicts, other numbers; no calls that it does not have. */
static void test_the_other_architecture(void **state)
{
	(void)state;
	static const char *const sets[] = {"", "stdio", "stdio rpath wpath cpath inet unix proc exec tty id"};
	const uint64_t none[6] = {0};
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	for (size_t s = 0; s < 3; s++) {
		struct filter f = {.spec = {.promises = set_of(sets[s]), .base = true, .own_pids = true}};
		assert_int_equal(
			filter_compile_arch(&f.spec, FOREIGN, seccomp_syscall_resolve_name_arch, &f.code, &f.len), 0);
		bool there[1200] = {false};
		for (size_t i = 0; i < count; i++) {
			int nr = seccomp_syscall_resolve_name_arch(FOREIGN, rows[i].name);
			if (nr < 0)
				nr = foreign_number(rows[i].number);
			if (nr < 0)
				continue;
			there[nr] = there[nr] || rows[i].kind != ROW_ABSENT;
			if (rows[i].number < 0)
				continue;
			for (size_t v = 0; v < all_vectors[rows[i].number].count; v++)
				assert_int_equal(ask(&f, FOREIGN, nr, all_vectors[rows[i].number].args[v]),
					expected(&f.spec, rows[i].number, all_vectors[rows[i].number].args[v]));
		}
		for (int nr = 0; nr < 1200; nr++) {
			assert_int_equal(ask(&f, NATIVE, nr, none), KILLED);
			if (!there[nr])
				assert_int_equal(ask(&f, FOREIGN, nr, none), UNHEARD);
		}
		free(f.code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters_say_what_the_table_says),
		cmocka_unit_test(test_a_wider_promise_allows_no_less),
		cmocka_unit_test(test_the_other_architecture),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
