/* SPDX-License-Identifier: ISC */
/* Unit tests of deciding: paths, addresses, limits, promises, environment. Needs nothing of the kernel. */
#include "policy/policy.h"

#include "policy/promises.h"
#include "tests/policy_random.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <arpa/inet.h>
#include <cmocka.h>

static void rule(struct policy *p, const char *path, const char *letters, bool name)
{
	unsigned perms;
	assert_int_equal(policy_perms_parse(letters, &perms), 0);
	assert_int_equal(policy_unveil(p, path, perms, name), 0);
}

static int judge(const struct policy *p, const char *path, const char *letters)
{
	unsigned perms;
	assert_int_equal(policy_perms_parse(letters, &perms), 0);
	return policy_judge(p, path, perms, NULL);
}

static void test_nothing_is_the_default(void **state)
{
	(void)state;
	struct policy p;
	const struct unveil *found = (void *)1;
	policy_init(&p);
	assert_int_equal(policy_judge(&p, "/", 0, &found), -ENOENT);
	assert_null(found);
	assert_int_equal(judge(&p, "/etc/passwd", "r"), -ENOENT);
	assert_int_equal(policy_judge_address(&p, ADDRESS_TCP, false, (uint8_t[16]){0}, 1), -EACCES);
	assert_int_equal(policy_judge_unix(&p, false, "/x"), -EACCES);
	assert_int_equal(policy_promised(&p, 1, NULL), -EPERM);
	p.everything = p.any_address = true;
	assert_int_equal(judge(&p, "/etc/passwd", "rwxc"), 0);
	assert_int_equal(policy_judge_address(&p, ADDRESS_TCP, false, (uint8_t[16]){0}, 1), 0);
	assert_int_equal(policy_judge_unix(&p, true, "/x"), 0);
	policy_clear(&p);
}

static void test_most_specific_rule_decides(void **state)
{
	(void)state;
	struct policy p;
	policy_init(&p);
	rule(&p, "/data", "r", false);
	rule(&p, "/data/out", "rwc", false);
	rule(&p, "/data/out/secret", "", false);
	rule(&p, "/data/run", "x", false);
	assert_int_equal(judge(&p, "/data", "r"), 0);
	assert_int_equal(judge(&p, "/data/a/b", "r"), 0);
	assert_int_equal(judge(&p, "/data/a/b", "w"), -EACCES);
	assert_int_equal(judge(&p, "/data2", "r"), -ENOENT);
	assert_int_equal(judge(&p, "/dat", "r"), -ENOENT);
	assert_int_equal(judge(&p, "/", ""), -ENOENT);
	assert_int_equal(judge(&p, "/data/out/x", "rwc"), 0);
	assert_int_equal(judge(&p, "/data/output", "w"), -EACCES);
	assert_int_equal(judge(&p, "/data/out-1", "w"), -EACCES);
	assert_int_equal(judge(&p, "/data/out/secret", ""), -ENOENT);
	assert_int_equal(judge(&p, "/data/out/secret/x", "r"), -ENOENT);
	/* No union with the rules above. */
	assert_int_equal(judge(&p, "/data/run/prog", "x"), 0);
	assert_int_equal(judge(&p, "/data/run/prog", "rx"), -EACCES);
	rule(&p, "/", "r", false);
	assert_int_equal(judge(&p, "/data2", "r"), 0);
	assert_int_equal(judge(&p, "/", "r"), 0);
	policy_clear(&p);
}

static void test_name_rule_is_one_path(void **state)
{
	(void)state;
	struct policy p;
	policy_init(&p);
	rule(&p, "/a/f", "rw", true);
	assert_int_equal(judge(&p, "/a/f", "rw"), 0);
	assert_int_equal(judge(&p, "/a/f", "x"), -EACCES);
	assert_int_equal(judge(&p, "/a", ""), -ENOENT);
	assert_int_equal(judge(&p, "/a/f/x", ""), -ENOENT);
	rule(&p, "/a", "r", false);
	assert_int_equal(judge(&p, "/a/f/x", "r"), 0);
	rule(&p, "/", "", true);
	assert_int_equal(judge(&p, "/b", ""), -ENOENT);
	policy_clear(&p);
}

static void test_loader_rule_is_hidden(void **state)
{
	(void)state;
	struct policy p;
	const struct unveil *found;
	policy_init(&p);
	assert_int_equal(policy_unveil(&p, "/lib", PERM_LOADER, false), 0);
	assert_int_equal(policy_judge(&p, "/lib/libc.so.6", PERM_R, &found), -ENOENT);
	assert_int_equal(found->perms, PERM_LOADER);
	assert_int_equal(policy_judge(&p, "/lib", 0, NULL), -ENOENT);
	policy_clear(&p);
}

static void test_unveil_makes_paths_canonical(void **state)
{
	(void)state;
	static const char *const same[] = {"/a/b", "//a//b", "/a/./b/", "/./a/b/.", "/a/b///"};
	char long_path[POLICY_PATH_BYTES + 2];
	struct policy p;
	policy_init(&p);
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		rule(&p, same[i], "r", false);
	assert_int_equal(p.unveil_count, 1);
	assert_string_equal(p.unveils[0].path, "/a/b");
	rule(&p, "//./", "r", false);
	assert_string_equal(p.unveils[0].path, "/");
	rule(&p, "/.../..b", "r", false);
	assert_string_equal(p.unveils[1].path, "/.../..b");
	assert_int_equal(policy_unveil(&p, "/a/../b", PERM_R, false), -EINVAL);
	assert_int_equal(policy_unveil(&p, "/a/..", PERM_R, false), -EINVAL);
	assert_int_equal(policy_unveil(&p, "a", PERM_R, false), -EINVAL);
	assert_int_equal(policy_unveil(&p, "", PERM_R, false), -EINVAL);
	assert_int_equal(policy_unveil(&p, "/a", 64, false), -EINVAL);
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[0] = '/';
	long_path[sizeof(long_path) - 1] = 0;
	assert_int_equal(policy_unveil(&p, long_path, PERM_R, false), -ENAMETOOLONG);
	long_path[sizeof(long_path) - 2] = 0;
	assert_int_equal(policy_unveil(&p, long_path, PERM_R, false), 0);
	policy_clear(&p);
}

static void test_canonical(void **state)
{
	(void)state;
	static const char *const good[] = {"/", "/a", "/a/b", "/...", "/.a", "/a.", "/..a/b"};
	static const char *const bad[] = {"", "a", "//", "/a/", "/a//b", "/.", "/..", "/a/.", "/a/../b", "./a", "/./a"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(policy_canonical(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(policy_canonical(bad[i]));
}

static void test_unveil_replaces_also_the_kind(void **state)
{
	(void)state;
	struct policy p;
	policy_init(&p);
	rule(&p, "/a", "rw", false);
	rule(&p, "/a", "r", true);
	assert_int_equal(p.unveil_count, 1);
	assert_true(p.unveils[0].name);
	assert_int_equal(p.unveils[0].perms, PERM_R);
	assert_int_equal(policy_unveil_raw(&p, "/a", PERM_W, false), 0);
	assert_int_equal(p.unveil_count, 2);
	assert_int_equal(judge(&p, "/a", "r"), 0);
	assert_int_equal(judge(&p, "/a/b", "w"), 0);
	assert_int_equal(judge(&p, "/a/b", "r"), -EACCES);
	rule(&p, "/a", "x", false);
	assert_int_equal(p.unveil_count, 1);
	assert_int_equal(judge(&p, "/a", "x"), 0);
	policy_clear(&p);
}

static void test_rules_are_bounded(void **state)
{
	(void)state;
	struct policy p;
	char text[40], error[100];
	policy_init(&p);
	for (int i = 0; i < POLICY_UNVEILS_MAX; i++) {
		snprintf(text, sizeof(text), "/%d", i);
		rule(&p, text, "r", false);
	}
	assert_int_equal(policy_unveil(&p, "/x", PERM_R, false), -E2BIG);
	assert_int_equal(policy_unveil(&p, "/7", PERM_W, false), 0);
	for (int i = 0; i < POLICY_ADDRESSES_MAX; i++) {
		snprintf(text, sizeof(text), "tcp:*:%d", i);
		assert_int_equal(policy_address_add(&p, text, false, error, sizeof(error)), 0);
	}
	assert_int_equal(policy_address_add(&p, "tcp:*:9999", false, error, sizeof(error)), -E2BIG);
	assert_string_equal(error, "more than 256 addresses");
	assert_int_equal(policy_address_add(&p, "tcp:*:1", false, NULL, 0), 0);
	policy_clear(&p);
}

static void test_below(void **state)
{
	(void)state;
	struct policy p;
	policy_init(&p);
	assert_false(policy_below(&p, "/"));
	rule(&p, "/", "r", false);
	assert_false(policy_below(&p, "/"));
	rule(&p, "/a-b/c", "r", false);
	rule(&p, "/a/b/c", "r", true);
	assert_true(policy_below(&p, "/"));
	assert_true(policy_below(&p, "/a"));
	assert_true(policy_below(&p, "/a/b"));
	assert_false(policy_below(&p, "/a/b/c"));
	assert_false(policy_below(&p, "/a/bc"));
	assert_true(policy_below(&p, "/a-b"));
	assert_false(policy_below(&p, "/a-"));
	policy_clear(&p);
}

static void test_find_among_many_agrees_with_the_slow_way(void **state)
{
	(void)state;
	uint64_t seed = 42;
	for (int round = 0; round < 300; round++) {
		struct policy p;
		char path[64];
		policy_init(&p);
		for (int i = 0; i < round; i++) {
			uint64_t bytes = xorshift(&seed);
			struct source s = {(const uint8_t *)&bytes, sizeof(bytes)};
			take_path(&s, path);
			policy_unveil_raw(&p, path, take(&s, 64), take(&s, 4) == 0);
		}
		for (int i = 0; i < 100; i++) {
			uint64_t bytes = xorshift(&seed);
			struct source s = {(const uint8_t *)&bytes, sizeof(bytes)};
			take_path(&s, path);
			assert_ptr_equal(policy_find(&p, path), slow_find(&p, path));
		}
		policy_clear(&p);
	}
}

static void test_perms(void **state)
{
	(void)state;
	unsigned perms = 77;
	char buf[8];
	assert_int_equal(policy_perms_parse("", &perms), 0);
	assert_int_equal(perms, 0);
	assert_int_equal(policy_perms_parse("crwdx", &perms), 0);
	assert_string_equal(policy_perms_format(perms, buf), "rwxcd");
	assert_string_equal(policy_perms_format(63, buf), "rwxcdl");
	assert_int_equal(policy_perms_parse("rr", &perms), 0);
	assert_int_equal(perms, PERM_R);
	assert_int_equal(policy_perms_parse("rq", &perms), -EINVAL);
	assert_int_equal(policy_perms_parse("l", &perms), -EINVAL);
	assert_int_equal(policy_perms_parse("rwxcdr", &perms), -ENAMETOOLONG);
	assert_int_equal(perms, PERM_R);
}

static void test_limits(void **state)
{
	(void)state;
	uint64_t v = 7;
	assert_int_equal(policy_limit_parse(LIMIT_MEMORY, "512M", &v), 0);
	assert_true(v == UINT64_C(512) << 20);
	assert_int_equal(policy_limit_parse(LIMIT_FILE_SIZE, "18446744073709551614", &v), 0);
	assert_true(v == UINT64_MAX - 1);
	assert_int_equal(policy_limit_parse(LIMIT_CPU, "10s", &v), 0);
	assert_true(v == 10000);
	assert_int_equal(policy_limit_parse(LIMIT_WALL, "200ms", &v), 0);
	assert_true(v == 200);
	assert_int_equal(policy_limit_parse(LIMIT_WALL, "2h", &v), 0);
	assert_true(v == 7200000);
	assert_int_equal(policy_limit_parse(LIMIT_TRAFFIC, "3G", &v), 0);
	assert_true(v == UINT64_C(3) << 30);
	assert_int_equal(policy_limit_parse(LIMIT_CONNECTS, "0", &v), 0);
	assert_true(v == 0);
	assert_int_equal(policy_limit_parse(LIMIT_FILES, "16", &v), 0);
	assert_true(v == 16);
	static const struct {
		enum policy_limit limit;
		const char *text;
	} bad[] = {{LIMIT_MEMORY, ""}, {LIMIT_MEMORY, "M"}, {LIMIT_MEMORY, "-1"}, {LIMIT_MEMORY, " 1"},
		{LIMIT_MEMORY, "1 "}, {LIMIT_MEMORY, "1MB"}, {LIMIT_MEMORY, "0x10"},
		{LIMIT_MEMORY, "18446744073709551615"}, {LIMIT_MEMORY, "18446744073709551616"},
		{LIMIT_MEMORY, "16777216T"}, {LIMIT_MEMORY, "10s"}, {LIMIT_CPU, "10"}, {LIMIT_CPU, "10M"},
		{LIMIT_FILES, "16K"}, {LIMIT_CONNECTS, "1K"}, {LIMIT_TRAFFIC, "1s"}, {LIMIT_COUNT, "1"}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(policy_limit_parse(bad[i].limit, bad[i].text, &v), -EINVAL);
	assert_true(v == 16);
	for (int i = 0; i < LIMIT_COUNT; i++)
		assert_int_equal(policy_limit_find(policy_limit_name((enum policy_limit)i)), i);
	assert_int_equal(policy_limit_find("memor"), -1);
	assert_null(policy_limit_name(LIMIT_COUNT));
}

static void test_environment(void **state)
{
	(void)state;
	struct policy p;
	char *big = calloc(1, POLICY_ENV_BYTES + 2);
	policy_init(&p);
	assert_int_equal(policy_env_add(&p, "HOME=/"), 0);
	assert_int_equal(policy_env_add(&p, "HOMER"), 0);
	assert_int_equal(policy_env_add(&p, "HOME"), 0);
	assert_int_equal(policy_env_add(&p, "HOMER=x=y"), 0);
	assert_int_equal(p.env_count, 2);
	assert_string_equal(p.env[0], "HOME");
	assert_string_equal(p.env[1], "HOMER=x=y");
	assert_int_equal(policy_env_add(&p, "=x"), -EINVAL);
	assert_int_equal(policy_env_add(&p, ""), -EINVAL);
	memset(big, 'a', POLICY_ENV_BYTES + 1);
	assert_int_equal(policy_env_add(&p, big), -ENAMETOOLONG);
	free(big);
	policy_clear(&p);
}

static void test_promised_names_the_first_missing(void **state)
{
	(void)state;
	struct policy p;
	unsigned missing = 99;
	policy_init(&p);
	p.promises = PROMISE_BIT(stdio) | PROMISE_BIT(wpath);
	assert_int_equal(policy_promised(&p, PROMISE_BIT(stdio) | PROMISE_BIT(wpath), &missing), 0);
	assert_int_equal(policy_promised(&p, 0, &missing), 0);
	assert_int_equal(missing, 99);
	assert_int_equal(
		policy_promised(&p, PROMISE_BIT(stdio) | PROMISE_BIT(cpath) | PROMISE_BIT(id), &missing), -EPERM);
	assert_int_equal(missing, PROMISE_cpath);
}

static void mapped(const char *text, uint8_t ip[16])
{
	if (inet_pton(AF_INET6, text, ip) == 1)
		return;
	memset(ip, 0, 16);
	ip[10] = ip[11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, text, ip + 12), 1);
}

static void test_addresses_are_judged(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *ip;
		uint16_t port;
		int expected;
	} rows[] = {
		{"tcp:10.1.0.0/16:5432-5440", "10.1.255.255", 5432, 0},
		{"tcp:10.1.0.0/16:5432-5440", "10.1.0.0", 5440, 0},
		{"tcp:10.1.0.0/16:5432-5440", "10.1.0.0", 5441, -EACCES},
		{"tcp:10.1.0.0/16:5432-5440", "10.2.0.0", 5432, -EACCES},
		{"tcp:10.1.0.0/16:5432-5440", "::ffff:10.1.2.3", 5432, 0},
		{"tcp:[::ffff:10.1.0.0]/112:5432", "10.1.2.3", 5432, 0},
		{"tcp:10.1.2.3:1", "10.1.2.3", 1, 0},
		{"tcp:10.1.2.3:1", "10.1.2.2", 1, -EACCES},
		{"tcp:10.1.2.0/23:1", "10.1.3.9", 1, 0},
		{"tcp:10.1.2.0/23:1", "10.1.4.0", 1, -EACCES},
		{"tcp:0.0.0.0/0:1", "8.8.8.8", 1, 0},
		{"tcp:0.0.0.0/0:1", "::1", 1, -EACCES},
		{"tcp:[::]/0:1", "2001:db8::1", 1, 0},
		{"tcp:[::]/0:1", "::ffff:8.8.8.8", 1, -EACCES},
		{"tcp:[2001:db8::]/33:1", "2001:db8:7fff::", 1, 0},
		{"tcp:[2001:db8::/33]:1", "2001:db8:8000::", 1, -EACCES},
		{"tcp:*:1", "8.8.8.8", 1, 0},
		{"tcp:*:1", "::1", 1, 0},
		{"tcp:*:0-65535", "::1", 65535, 0},
		{"udp:*:1", "8.8.8.8", 1, -EACCES},
		{"tcp:example.org:1", "8.8.8.8", 1, -EACCES},
		{"unix:/run/x", "8.8.8.8", 1, -EACCES},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy p;
		char error[200] = "";
		uint8_t ip[16];
		policy_init(&p);
		if (policy_address_add(&p, rows[i].rule, false, error, sizeof(error)) != 0)
			fail_msg("%s: %s", rows[i].rule, error);
		mapped(rows[i].ip, ip);
		if (policy_judge_address(&p, ADDRESS_TCP, false, ip, rows[i].port) != rows[i].expected)
			fail_msg("%s against %s", rows[i].rule, rows[i].ip);
		assert_int_equal(policy_judge_address(&p, ADDRESS_TCP, true, ip, rows[i].port), -EACCES);
		policy_clear(&p);
	}
}

static void test_local_addresses_are_judged(void **state)
{
	(void)state;
	struct policy p;
	policy_init(&p);
	assert_int_equal(policy_address_add(&p, "unix:/run/a+private", false, NULL, 0), 0);
	assert_int_equal(policy_address_add(&p, "unix:@bus:1", true, NULL, 0), 0);
	assert_int_equal(policy_judge_unix(&p, false, "/run/a+private"), 0);
	assert_int_equal(policy_judge_unix(&p, true, "/run/a+private"), -EACCES);
	assert_int_equal(policy_judge_unix(&p, false, "/run/a"), -EACCES);
	assert_int_equal(policy_judge_unix(&p, true, "@bus:1"), 0);
	assert_int_equal(policy_judge_unix(&p, true, "bus:1"), -EACCES);
	policy_clear(&p);
}

static void test_bad_addresses_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "tcp", "tcp:", "tcp:example.org", "tcp:example.org:", "tcp::80",
		"tcp:*:", "tcp:*:65536", "tcp:*:-1", "tcp:*:1-", "tcp:*:2-1", "tcp:*:+1", "tcp:*:1-2-3", "tcp:*: 1",
		"tcp:*:0x1", "tcp:*:000001", "tcp:::1:80", "tcp:[::1:80", "tcp:[::1]80", "tcp:[::1]", "tcp:[::1]x:80",
		"tcp:[]:80", "tcp:[fe80::1%eth0]:80", "tcp:[1.2.3.4]:80", "tcp:[::/8]/8:80", "tcp:[::1]/0:80",
		"tcp:[::]/129:80", "tcp:10.0.0.1/8:80", "tcp:10.0.0.0/33:80", "tcp:10.0.0.0/:80", "tcp:10.0.0.0/+8:80",
		"tcp:10.0.0:80", "tcp:127.1:80", "tcp:2130706433:80", "tcp:0x7f000001:80", "tcp:0x7f.1:80",
		"tcp:010.0.0.1:80", "tcp:256.1.1.1:80", "tcp:a..b:80", "tcp:.a:80", "tcp:a.:80", "tcp:-a:80",
		"tcp:a b:80", "tcp:a*:80", "tcp:\xc3\xa4:80", "tcp:a/8:80", "tcp:*+private:80",
		"tcp:*:80+private+private", "tpc:*:80", "TCP:*:80", "unix:", "unix:@", "unix:/a/../b", "unix:/a//b",
		"[::1]:80"};
	struct policy p;
	policy_init(&p);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char error[200] = "";
		if (policy_address_add(&p, bad[i], false, error, sizeof(error)) != -EINVAL)
			fail_msg("'%s' was not refused", bad[i]);
		assert_true(strlen(error) > 10);
	}
	char error[200];
	policy_address_add(&p, "tpc:*:80", false, error, sizeof(error));
	assert_string_equal(error, "unknown kind of address 'tpc'; did you mean 'tcp'?");
	assert_int_equal(p.address_count, 0);
}

static void test_addresses_are_written_as_words(void **state)
{
	(void)state;
	static const char *const rows[][2] = {{"tcp:Example.ORG:443", "tcp:example.org:443"},
		{"udp:localhost:53-54+private", "udp:localhost:53-54+private"},
		{"tcp:10.1.0.0/16:1", "tcp:10.1.0.0/16:1"}, {"tcp:10.1.0.0/32:1", "tcp:10.1.0.0:1"},
		{"tcp:[2001:DB8::/32]:1", "tcp:[2001:db8::]/32:1"}, {"tcp:[::1]:1", "tcp:[::1]:1"},
		{"tcp:[::ffff:1.2.3.4]:1", "tcp:1.2.3.4:1"}, {"tcp:0.0.0.0/0:1", "tcp:0.0.0.0/0:1"},
		{"tcp:[::]/0:1", "tcp:[::]/0:1"}, {"tcp:*:0-65535", "tcp:*:0-65535"}, {"unix:@a", "unix:@a"},
		{"unix:/a b", "\"unix:/a b\""}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy p;
		char buf[100], small[4];
		policy_init(&p);
		assert_int_equal(policy_address_add(&p, rows[i][0], false, NULL, 0), 0);
		assert_string_equal(policy_address_format(&p.addresses[0], buf, sizeof(buf)), rows[i][1]);
		policy_address_format(&p.addresses[0], small, sizeof(small));
		assert_memory_equal(small, rows[i][1], 3);
		assert_int_equal(small[3], 0);
		policy_clear(&p);
	}
	char buf[100];
	struct unveil u = {(char *)"/a b", PERM_R | PERM_D, true};
	assert_string_equal(policy_unveil_format(&u, buf, sizeof(buf)), "\"/a b\" rd");
	u = (struct unveil){(char *)"/etc", 0, false};
	assert_string_equal(policy_unveil_format(&u, buf, sizeof(buf)), "/etc \"\"");
}

static void test_nearest(void **state)
{
	(void)state;
	static const char *const words[] = {"stdio", "rpath", "wpath", "cpath", "on-violation", "id", NULL};
	assert_string_equal(policy_nearest("rpth", words), "rpath");
	assert_string_equal(policy_nearest("stido", words), "stdio");
	assert_string_equal(policy_nearest("STDIO", words), "stdio");
	assert_string_equal(policy_nearest("ID", words), "id");
	assert_string_equal(policy_nearest("onviolation", words), "on-violation");
	assert_null(policy_nearest("x", words));
	assert_null(policy_nearest("", words));
	assert_null(policy_nearest("elephant", words));
	assert_null(policy_nearest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_the_default),
		cmocka_unit_test(test_most_specific_rule_decides),
		cmocka_unit_test(test_name_rule_is_one_path),
		cmocka_unit_test(test_loader_rule_is_hidden),
		cmocka_unit_test(test_unveil_makes_paths_canonical),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_unveil_replaces_also_the_kind),
		cmocka_unit_test(test_rules_are_bounded),
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_find_among_many_agrees_with_the_slow_way),
		cmocka_unit_test(test_perms),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_promised_names_the_first_missing),
		cmocka_unit_test(test_addresses_are_judged),
		cmocka_unit_test(test_local_addresses_are_judged),
		cmocka_unit_test(test_bad_addresses_are_refused),
		cmocka_unit_test(test_addresses_are_written_as_words),
		cmocka_unit_test(test_nearest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
