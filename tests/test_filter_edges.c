/* SPDX-License-Identifier: ISC */
/* Every condition of the table at its edges, on both architectures: its value and the neighbours, every bit toggled, what
 * the high half of an int holds, negative ints, pointers with one half zero, two conditions at once. In a model of BPF,
 * against the table. A row that is added is tried by itself. */
#include "tests/filter_model.h"

#include <stdlib.h>

/* Rows with the same promises share their filters. */
static uint64_t needs[128];
static size_t need_count;

static int set_up(void **state)
{
	(void)state;
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	for (size_t i = 0; i < count; i++) {
		size_t k = 0;
		while (k < need_count && needs[k] != rows[i].need)
			k++;
		if (k < need_count)
			continue;
		if (need_count == sizeof(needs) / sizeof(needs[0]))
			return -1;
		needs[need_count++] = rows[i].need;
	}
	return 0;
}

static const uint32_t highs[] = {1, 0xffffffff, 0x80000000, 0xdead00ff};

static size_t try_row(const struct filter *f, uint32_t arch, int nr, const struct vectors *v)
{
	for (size_t k = 0; k < v->count; k++) {
		uint64_t args[6];
		uint32_t want = expected(&f->spec, v->nr, v->args[k]), got = ask(f, arch, nr, v->args[k]);
		if (got != want)
			complain(&f->spec, v->nr, v->args[k], got, want);
		garble(v, v->args[k], highs[k % 4], args);
		got = ask(f, arch, nr, args);
		if (got != want)
			complain(&f->spec, v->nr, args, got, want);
	}
	return v->count;
}

static size_t try_rows(const struct filter_spec *mode, uint64_t need, uint64_t promises, uint32_t arch)
{
	size_t count, tried = 0;
	const struct promise_row *rows = promise_rows(&count);
	struct filter f = {.spec = *mode};
	f.spec.promises = promises;
	assert_int_equal(filter_compile_arch(&f.spec, arch, seccomp_syscall_resolve_name_arch, &f.code, &f.len), 0);
	for (size_t i = 0; i < count; i++) {
		int nr = arch == NATIVE ? rows[i].number : foreign_number(rows[i].number);
		if (rows[i].need != need || rows[i].number < 0 || nr < 0 ||
			rows[i].conditions[0].kind == CONDITION_NONE)
			continue;
		struct vectors v = edges_for(&rows[i]);
		tried += try_row(&f, arch, nr, &v);
		vectors_free(&v);
	}
	free(f.code);
	return tried;
}

/* With the promises alone, with stdio, with all, with all but one of them. */
static size_t try_needs(uint32_t arch, const struct filter_spec *list, size_t count, unsigned stride)
{
	size_t tried = 0;
	for (size_t i = 0; i < need_count; i++) {
		const uint64_t lowest = needs[i] & ~(needs[i] - 1);
		const uint64_t sets[] = {
			needs[i], needs[i] | PROMISE_BIT(stdio), EVERY, EVERY & ~lowest, needs[i] & ~lowest};
		for (size_t m = 0; m < count; m++)
			for (size_t s = 0; s < 5; s++)
				if (s == 2 || (i + m + s) % stride == 0)
					tried += try_rows(&list[m], needs[i], sets[s], arch);
	}
	return tried;
}

static void test_edges_here(void **state)
{
	(void)state;
	size_t tried = try_needs(NATIVE, modes, MODES, 6);
	print_message("%zu calls at the edges\n", tried);
	assert_true(tried > 100000);
}

static void test_edges_on_the_other_architecture(void **state)
{
	(void)state;
	size_t tried = try_needs(FOREIGN, modes, MODES, 11);
	print_message("%zu calls at the edges\n", tried);
	assert_true(tried > 50000);
}

/* Each condition decides: there is an edge at which it alone changes the verdict of a filter that has no other row. */
static void test_no_condition_is_idle(void **state)
{
	(void)state;
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < ROW_CONDITIONS; k++) {
			const struct condition *c = &rows[i].conditions[k];
			if (c->kind == CONDITION_MASK) {
				assert_true(c->mask != 0 && (c->value & ~c->mask) == 0);
				assert_true(c->arg < 6);
			}
		}
		struct vectors v = edges_for(&rows[i]);
		size_t held = 0;
		for (size_t j = 0; j < v.count; j++)
			held += promise_row_matches(&rows[i], v.args[j]);
		assert_true(promise_row_matches(&rows[i], v.args[0]));
		assert_true(rows[i].conditions[0].kind == CONDITION_NONE || held < v.count);
		vectors_free(&v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges_here),
		cmocka_unit_test(test_edges_on_the_other_architecture),
		cmocka_unit_test(test_no_condition_is_idle),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
