/* SPDX-License-Identifier: ISC */
/* The ratchet of filters: one for fewer promises never says more than one for more of them, and a narrowing filter on top
 * of a base filter never says more than a base filter for what is left, nor less than was promised. For random sets of
 * promises in all the ways in which a filter is wanted, over all numbers and the edges of every condition. In a model of
 * BPF; nothing here knows what a filter should say. */
#include "tests/filter_model.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define NUMBERS 600
static struct vectors all_vectors[NUMBERS];

static int set_up(void **state)
{
	(void)state;
	for (int nr = 0; nr < NUMBERS; nr++)
		all_vectors[nr] = vectors_for(nr);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int nr = 0; nr < NUMBERS; nr++)
		vectors_free(&all_vectors[nr]);
	return 0;
}

/* As the kernel ranks what several filters say: the lowest wins. */
static unsigned rank(uint32_t verdict)
{
	switch (verdict & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
		return 3;
	case SECCOMP_RET_USER_NOTIF:
		return 2;
	case SECCOMP_RET_ERRNO:
		return 1;
	case SECCOMP_RET_KILL_PROCESS:
		return 0;
	default:
		fail_msg("a verdict that no filter should say: %x", verdict);
		return 0;
	}
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Few or many of them. */
static uint64_t random_set(uint64_t *seed)
{
	uint64_t set = next_random(seed);
	for (uint64_t n = next_random(seed) % 3; n > 0; n--)
		set = next_random(seed) & 1 ? set & next_random(seed) : set | next_random(seed);
	return set & EVERY;
}

/* Calls judge for every number that there is, and those that there are not, with what each row's edges are. */
static void every_call(bool (*judge)(void *arg, int nr, const uint64_t args[6]), void *arg)
{
	const uint64_t ones[6] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
		       none[6] = {0};
	static const int strange[] = {-1, -2, INT32_MIN, INT32_MAX, AIRLOCK_SYSCALL, AIRLOCK_SYSCALL - 1,
		AIRLOCK_SYSCALL + 1, 1023, 1024, 65536, 0x3fffffff};
	for (int nr = 0; nr < NUMBERS; nr++) {
		for (size_t k = 0; k < all_vectors[nr].count; k++) {
			uint64_t args[6];
			if (!judge(arg, nr, all_vectors[nr].args[k]))
				return;
			garble(&all_vectors[nr], all_vectors[nr].args[k], 0xffffffff, args);
			if (k % 5 == 0 && !judge(arg, nr, args))
				return;
		}
		if (!judge(arg, nr, ones) || !judge(arg, nr | 0x40000000, none) || !judge(arg, -nr, ones))
			return;
	}
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++)
		if (!judge(arg, strange[i], ones) || !judge(arg, strange[i], none))
			return;
}

/* ---- fewer promises, the same filter otherwise ---- */

struct pair {
	struct filter narrow, wide;
	size_t asked;
};

static bool not_more(void *arg, int nr, const uint64_t args[6])
{
	struct pair *p = arg;
	uint32_t narrow = ask(&p->narrow, NATIVE, nr, args), wide = ask(&p->wide, NATIVE, nr, args);
	p->asked++;
	if (rank(narrow) > rank(wide)) {
		char words[512];
		print_error("wide: [%s]\n", promises_format(p->wide.spec.promises, words, sizeof(words)));
		complain(&p->narrow.spec, nr, args, narrow, wide);
	}
	return true;
}

static void check_pair(const struct filter_spec *mode, uint64_t narrow, uint64_t wide)
{
	struct pair p = {.asked = 0};
	struct filter_spec spec = *mode;
	spec.promises = narrow & wide;
	p.narrow = make(spec);
	spec.promises = wide;
	p.wide = make(spec);
	every_call(not_more, &p);
	assert_true(p.asked > 10000);
	free(p.narrow.code);
	free(p.wide.code);
}

static void test_fewer_promises_never_say_more(void **state)
{
	(void)state;
	uint64_t seed = 0x9e3779b97f4a7c15;
	for (unsigned round = 0; round < 8; round++)
		for (size_t m = 0; m < MODES; m++)
			check_pair(&modes[m], random_set(&seed), random_set(&seed));
	/* One promise fewer than all, and one more than none. */
	for (unsigned i = 0; i < PROMISE_COUNT; i++) {
		check_pair(&modes[i % MODES], EVERY & ~(UINT64_C(1) << i), EVERY);
		check_pair(&modes[(i + 5) % MODES], 0, UINT64_C(1) << i);
	}
}

/* ---- a narrowing filter on top of a base filter ---- */

struct stack {
	struct filter base, narrowing, second, whole; /* whole: what base filter there would be for what is left */
	size_t asked;
};

static bool as_if_whole(void *arg, int nr, const uint64_t args[6])
{
	struct stack *s = arg;
	const uint32_t below = ask(&s->base, NATIVE, nr, args), over = ask(&s->narrowing, NATIVE, nr, args),
		       top = ask(&s->second, NATIVE, nr, args), whole = ask(&s->whole, NATIVE, nr, args);
	unsigned got = rank(below) < rank(over) ? rank(below) : rank(over);
	got = got < rank(top) ? got : rank(top);
	s->asked++;
	/* Never more than is left; and what needs no broker then needs none, and is not lost. What would be the end at once
	 * fails, or the broker makes an end of it. */
	/* fstat() must work when rpath is gone, and its empty path cannot be told from others: in direct trees, which the
	 * process sees in its own root, their attributes can still be asked for. */
	if (s->base.spec.direct && (nr == SYS_newfstatat || nr == SYS_statx) &&
		(uint32_t)args[nr == SYS_statx ? 2 : 3] == AT_EMPTY_PATH && (int32_t)args[0] >= 0)
		return true;
	/* Where programs are loaded the broker lets all mappings that are not executable go on, with or without stdio. */
	if (s->base.spec.loading && (nr == SYS_mmap || nr == SYS_mprotect || nr == SYS_pkey_mprotect))
		return true;
	const bool ends = (s->base.spec.kill || s->base.spec.narrowable) && rank(whole) == 0 && got < 3;
	if ((got > rank(whole) && !ends) || (got < 3 && rank(whole) == 3 && !s->base.spec.narrowable)) {
		char words[512];
		print_error("base: [%s] says %x", promises_format(s->base.spec.promises, words, sizeof(words)), below);
		print_error(", narrowing: [%s] says %x",
			promises_format(s->narrowing.spec.promises, words, sizeof(words)), over);
		print_error(", second: [%s] says %x\n", promises_format(s->second.spec.promises, words, sizeof(words)),
			top);
		complain(&s->whole.spec, nr, args, got, rank(whole));
	}
	return true;
}

static void check_stack(const struct filter_spec *mode, uint64_t wide, uint64_t narrow, uint64_t narrower)
{
	struct stack s = {.asked = 0};
	/* It is told what is beneath, or nothing, and then makes the worst of it. */
	struct filter_spec spec = *mode, over = {.below = (wide ^ narrow) & 1 ? 0
							  : mode->narrowable  ? PROMISE_BIT(stdio)
									      : wide,
						 .loading = mode->loading,
						 .direct = mode->direct,
						 .names_direct = mode->names_direct};
	spec.promises = wide;
	s.base = make(spec);
	spec.promises = wide & narrow & narrower;
	spec.narrowable = false; /* what is promised the broker lets go on */
	s.whole = make(spec);
	over.promises = wide & narrow;
	s.narrowing = make(over);
	over.promises = wide & narrow & narrower;
	s.second = make(over);
	every_call(as_if_whole, &s);
	assert_true(s.asked > 10000);
	free(s.base.code);
	free(s.whole.code);
	free(s.narrowing.code);
	free(s.second.code);
}

static void test_filters_stack(void **state)
{
	(void)state;
	uint64_t seed = 0xdeadbeefcafe;
	for (unsigned round = 0; round < 8; round++)
		for (size_t m = 0; m < MODES; m++)
			if (modes[m].base)
				check_stack(&modes[m], random_set(&seed), random_set(&seed),
					random_set(&seed) | next_random(&seed));
	for (unsigned i = 0; i < PROMISE_COUNT; i++) {
		const uint64_t one = UINT64_C(1) << i;
		check_stack(&modes[i % 2 ? OWN : NARROWABLE], EVERY, EVERY & ~one, EVERY);
		check_stack(&modes[i % 2 ? BASE : DIRECT], EVERY, one | PROMISE_BIT(stdio), EVERY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fewer_promises_never_say_more),
		cmocka_unit_test(test_filters_stack),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
