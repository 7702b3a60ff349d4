/* SPDX-License-Identifier: ISC */
/* Unit tests of narrowing: single cases, then its properties over random policies. Needs nothing of the kernel. */
#include "tests/policy_random.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void policy_of(struct policy *p, const char *text)
{
	char error[200] = "";
	policy_init(p);
	if (policy_parse(p, text, NULL, error, sizeof(error)) < 0)
		fail_msg("%s", error);
}

/* a narrowed by b is expected, in words. */
static void expect(const char *a, const char *b, unsigned parts, const char *expected)
{
	struct policy p, q;
	char *text;
	policy_of(&p, a);
	policy_of(&q, b);
	assert_int_equal(policy_narrow(&p, &q, parts), 0);
	assert_int_equal(policy_format(&p, NULL, &text), 0);
	assert_string_equal(text, expected);
	free(text);
	policy_clear(&p);
	policy_clear(&q);
}

static void test_paths(void **state)
{
	(void)state;
	unsigned u = NARROW_UNVEILS;
	expect("unveil /a rw", "unveil /a/b rc", u, "pledge\nunveil /a \"\"\nunveil /a/b r\n");
	expect("unveil / r\nunveil /a/b rw", "unveil /a rwx", u,
		"pledge\nunveil / \"\"\nunveil /a r\nunveil /a/b rw\n");
	expect("unveil /a rwx", "", u, "pledge\nunveil /a \"\"\n");
	expect("", "unveil /a rwx", u, "pledge\nunveil /a \"\"\n");
	expect("state everything", "unveil /a rd", u, "pledge\nunveil /a rd\n");
	expect("unveil /a rd", "state everything", u, "pledge\nunveil /a rd\n");
	expect("state everything", "state everything", u, "pledge\nstate everything\n");
	expect("unveil /a rd", "unveil /a r", u, "pledge\nunveil /a r\n");
	expect("unveil /a rl", "unveil /a r", u, "pledge\nunveil /a r\n");
	expect("unveil /a r", "unveil /a/f rw", 0, "pledge\nunveil /a r\n");
}

static void test_name_and_directory_at_one_path(void **state)
{
	(void)state;
	/* What lies below /a/f is granted by "/" on one side, by /a/f on the other. */
	expect("unveil / r\nunveil /a/f rw name", "unveil /a/f rw", NARROW_UNVEILS,
		"pledge\nunveil / \"\"\nunveil /a/f rw name\nunveil /a/f r\n");
	expect("unveil /a/f rw name", "unveil / r", NARROW_UNVEILS, "pledge\nunveil / \"\"\nunveil /a/f r name\n");
}

static void test_paths_that_are_not_resolved_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"unveil x r", "unveil /a/../b r", "unveil ./x r"};
	for (size_t i = 0; i < 3; i++) {
		struct policy p, q, before;
		policy_of(&p, "unveil / r\npledge stdio\nconnect tcp:*:1");
		policy_of(&q, bad[i]);
		assert_int_equal(policy_copy(&before, &p), 0);
		assert_int_equal(policy_narrow(&p, &q, ~0u), -EINVAL);
		assert_true(same_policy(&p, &before));
		assert_int_equal(policy_narrow(&q, &p, ~0u), -EINVAL);
		policy_clear(&p);
		policy_clear(&q);
		policy_clear(&before);
	}
}

static void test_too_many_rules_change_nothing(void **state)
{
	(void)state;
	struct policy p, q, before;
	char path[32];
	policy_init(&p);
	policy_init(&q);
	for (int i = 0; i < 600; i++) {
		snprintf(path, sizeof(path), "/a%d", i);
		assert_int_equal(policy_unveil(&p, path, PERM_R, false), 0);
		path[1] = 'b';
		assert_int_equal(policy_unveil(&q, path, PERM_R, false), 0);
	}
	assert_int_equal(policy_copy(&before, &p), 0);
	assert_int_equal(policy_narrow(&p, &q, ~0u), -E2BIG);
	assert_true(same_policy(&p, &before));
	policy_clear(&p);
	policy_clear(&q);
	policy_clear(&before);
}

static void test_addresses(void **state)
{
	(void)state;
	unsigned n = NARROW_ADDRESSES;
	expect("connect tcp:10.0.0.0/8:1-100", "connect tcp:10.1.0.0/16:50-200", n,
		"pledge\nconnect tcp:10.1.0.0/16:50-100\n");
	expect("connect tcp:10.1.0.0/16:1", "connect tcp:10.0.0.0/8:1", n, "pledge\nconnect tcp:10.1.0.0/16:1\n");
	expect("connect tcp:10.0.0.0/8:1", "connect tcp:11.0.0.0/8:1", n, "pledge\n");
	expect("connect tcp:10.0.0.0/8:1", "bind tcp:10.0.0.0/8:1", n, "pledge\n");
	expect("connect tcp:10.0.0.0/8:1", "connect udp:10.0.0.0/8:1", n, "pledge\n");
	expect("connect tcp:[::]/0:1", "connect tcp:10.0.0.0/8:1", n, "pledge\n");
	expect("connect tcp:10.0.0.0/8:1", "connect tcp:[::]/0:1", n, "pledge\n");
	expect("connect tcp:*:1", "connect tcp:example.org:1+private", n,
		"pledge\nconnect tcp:example.org:1+private\n");
	expect("connect tcp:Example.org:1+private", "connect tcp:example.ORG:1", n,
		"pledge\nconnect tcp:example.org:1\n");
	expect("connect tcp:example.org:1", "connect tcp:example.com:1", n, "pledge\n");
	expect("connect tcp:example.org:1", "connect tcp:0.0.0.0/0:1", n, "pledge\n");
	expect("connect unix:/a", "connect unix:/a\nconnect unix:/b", n, "pledge\nconnect unix:/a\n");
	expect("connect tcp:*:1-9", "connect tcp:*:1-5\nconnect tcp:*:3-9\nconnect tcp:[::1]:4", n,
		"pledge\nconnect tcp:*:1-5\nconnect tcp:*:3-9\n");
	expect("state any-address", "connect tcp:*:1", n, "pledge\nconnect tcp:*:1\n");
	expect("connect tcp:*:1", "state any-address", n, "pledge\nconnect tcp:*:1\n");
	expect("connect tcp:*:1", "", n, "pledge\n");
	expect("connect tcp:*:1", "", ~n & ~NARROW_LOCK, "pledge\nconnect tcp:*:1\n");
}

static void test_rest(void **state)
{
	(void)state;
	expect("pledge stdio rpath", "pledge rpath wpath", NARROW_PROMISES, "pledge rpath\n");
	expect("pledge stdio rpath", "pledge rpath wpath", ~NARROW_PROMISES & ~NARROW_LOCK, "pledge stdio rpath\n");
	expect("exec stdio rpath", "exec rpath", NARROW_EXEC, "pledge\nexec rpath\n");
	expect("exec stdio", "", NARROW_EXEC, "pledge\nexec stdio\n");
	expect("pledge stdio", "exec rpath", NARROW_EXEC, "pledge stdio\nexec rpath\n");
	expect("limit files 5\nlimit cpu 1s", "limit files 9\nlimit cpu 10ms\nlimit wall 1s", NARROW_LIMITS,
		"pledge\nlimit cpu 10ms\nlimit wall 1000ms\nlimit files 5\n");
	expect("limit connects 5\nlimit traffic 1K", "limit connects 9\nlimit traffic 10", NARROW_LIMITS,
		"pledge\nlimit connects 5\nlimit traffic 10\n");
	expect("env A=b", "env C\non-violation kill", 0, "pledge\nenv A=b\non-violation kill\n");
	expect("", "", NARROW_LOCK, "pledge\nstate locked\n");
	expect("state locked", "", 0, "pledge\nstate locked\n");
}

static void test_properties(void **state)
{
	(void)state;
	uint64_t seed = 0x2545f4914f6cdd1d;
	uint8_t bytes[400];
	for (int round = 0; round < 500; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(xorshift(&seed) >> 24);
		check_narrow(bytes, sizeof(bytes));
	}
}

static void test_sequences(void **state)
{
	(void)state;
	uint64_t seed = 0x853c49e6748fea9b;
	uint8_t bytes[600];
	for (int round = 0; round < 300; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(xorshift(&seed) >> 24);
		check_sequence(bytes, sizeof(bytes), seed | 1);
	}
}

/* OpenBSD's own bits behind two of the words: fattr is FATTR and CHOWN, chown is CHOWN and CHOWNUID. So neither has the
 * other in it, and to go from one to the other is to widen. */
static void test_fattr_and_chown_are_no_subsets(void **state)
{
	(void)state;
	static const char *const words[] = {"fattr", "chown", "error", "rpath", "tmppath"};
	for (size_t i = 0; i < 5; i++) {
		for (size_t k = 0; k < 5; k++) {
			struct policy p, q;
			char text[40];
			snprintf(text, sizeof(text), "pledge stdio %s", words[i]);
			policy_of(&p, text);
			snprintf(text, sizeof(text), "pledge stdio %s", words[k]);
			policy_of(&q, text);
			assert_int_equal(!(q.promises & ~p.promises), i == k);
			assert_int_equal(policy_narrow(&p, &q, NARROW_PROMISES), 0);
			assert_int_equal(p.promises == q.promises, i == k);
			policy_clear(&p);
			policy_clear(&q);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_name_and_directory_at_one_path),
		cmocka_unit_test(test_paths_that_are_not_resolved_are_refused),
		cmocka_unit_test(test_too_many_rules_change_nothing),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_fattr_and_chown_are_no_subsets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
