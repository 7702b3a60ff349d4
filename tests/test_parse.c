/* SPDX-License-Identifier: ISC */
/* Unit tests of the policy language: reading, errors, writing, and that the two agree. Needs nothing of the kernel. */
#include "policy/promises.h"
#include "tests/policy_random.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static unsigned layer_find(const char *word)
{
	return strcmp(word, "namespaces") == 0 ? 7
	       : strcmp(word, "seccomp") == 0  ? 1
	       : strcmp(word, "pid") == 0      ? 2
	       : strcmp(word, "mount") == 0    ? 4
					       : 0;
}

static const char *layer_name(unsigned bit)
{
	return bit == 1 ? "seccomp" : bit == 2 ? "pid" : bit == 4 ? "mount" : NULL;
}

static void read_policy(struct policy *p, const char *text)
{
	char error[200] = "";
	policy_init(p);
	if (policy_parse(p, text, layer_find, error, sizeof(error)) < 0)
		fail_msg("%s", error);
}

static void test_every_statement(void **state)
{
	(void)state;
	struct policy p;
	read_policy(&p, "# comment\n"
			"pledge  stdio rpath # more\n"
			"\n"
			"pledge\twpath\r\n"
			"exec stdio\n"
			"unveil /etc/ssl/certs/ r\n"
			"unveil ./out rwc\n"
			"unveil /hidden \"\"\n"
			"connect tcp:example.org:443\n"
			"bind tcp:127.0.0.1:8080\n"
			"limit memory 512M\n"
			"limit wall 2s\n"
			"env HOME=/\n"
			"env LANG\n"
			"tolerate pid mount\n"
			"on-violation kill");
	assert_true(p.promises == (PROMISE_BIT(stdio) | PROMISE_BIT(rpath) | PROMISE_BIT(wpath)));
	assert_true(p.exec_given && p.exec_promises == PROMISE_BIT(stdio));
	assert_int_equal(p.unveil_count, 3);
	assert_string_equal(p.unveils[0].path, "./out");
	assert_int_equal(p.unveils[0].perms, PERM_R | PERM_W | PERM_C);
	assert_string_equal(p.unveils[1].path, "/etc/ssl/certs");
	assert_string_equal(p.unveils[2].path, "/hidden");
	assert_int_equal(p.unveils[2].perms, 0);
	assert_int_equal(p.address_count, 2);
	assert_true(!p.addresses[0].bind && p.addresses[1].bind);
	assert_true(p.limits[LIMIT_MEMORY] == 512 << 20 && p.limits[LIMIT_WALL] == 2000);
	assert_true(p.limits[LIMIT_FILES] == LIMIT_NONE);
	assert_int_equal(p.env_count, 2);
	assert_int_equal(p.tolerate, 6);
	assert_true(p.kill && !p.everything && !p.any_address && !p.locked);
	policy_clear(&p);
}

static void test_adds_to_what_is_there(void **state)
{
	(void)state;
	struct policy p;
	read_policy(&p, "pledge stdio\nunveil /a r\nunveil /a rw\non-violation kill\nlimit files 3\nlimit files 4");
	assert_int_equal(policy_parse(&p, "pledge rpath\nunveil /b r\non-violation errno", NULL, NULL, 0), 0);
	assert_true(p.promises == (PROMISE_BIT(stdio) | PROMISE_BIT(rpath)));
	assert_int_equal(p.unveil_count, 2);
	assert_int_equal(p.unveils[0].perms, PERM_R | PERM_W);
	assert_false(p.kill);
	assert_true(p.limits[LIMIT_FILES] == 4);
	policy_clear(&p);
}

static void test_quotes_and_escapes(void **state)
{
	(void)state;
	struct policy p;
	read_policy(&p, "unveil \"/a b\\t\\\"\\\\\\101\\x42#\" r\nunveil /x#y r\n\"env\" \"A=\\n\"");
	assert_string_equal(p.unveils[0].path, "/a b\t\"\\AB#");
	assert_string_equal(p.unveils[1].path, "/x#y");
	assert_string_equal(p.env[0], "A=\n");
	policy_clear(&p);
}

static void test_errors_name_line_and_word(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"\n\npledge stdio rpth", "line 3: unknown promise 'rpth'; did you mean 'rpath'?"},
		{"pledge elephant", "line 1: unknown promise 'elephant'"},
		{"exec\nexec stido", "line 2: unknown promise 'stido'; did you mean 'stdio'?"},
		{"plege stdio", "line 1: unknown word 'plege'; did you mean 'pledge'?"},
		{"unveil", "line 1: a path is missing"},
		{"unveil /a", "line 1: the permissions of the path is missing"},
		{"unveil /a rq", "line 1: bad permissions 'rq'; use letters of rwxc and d, or \"\" to hide"},
		{"unveil /a r x", "line 1: 'x' is one word too many"},
		{"unveil /a r name x", "line 1: 'x' is one word too many"},
		{"unveil \"\" r", "line 1: bad path"},
		{"connect", "line 1: an address is missing"},
		{"connect tpc:*:1", "line 1: unknown kind of address 'tpc'; did you mean 'tcp'?"},
		{"bind tcp:*:1 x", "line 1: 'x' is one word too many"},
		{"limit memry 1", "line 1: unknown limit 'memry'; did you mean 'memory'?"},
		{"limit", "line 1: the name of a limit is missing"},
		{"limit cpu", "line 1: the value of the limit is missing"},
		{"limit cpu 10", "line 1: bad value '10' for cpu; use 10s, 200ms, 5m or 1h"},
		{"limit files 10s", "line 1: bad value '10s' for files; use a number"},
		{"limit connects 10s", "line 1: bad value '10s' for connects; use a number"},
		{"limit trafic 1G", "line 1: unknown limit 'trafic'; did you mean 'traffic'?"},
		{"limit traffic 1s", "line 1: bad value '1s' for traffic; use bytes, or 512K, 512M, 2G"},
		{"limit memory x", "line 1: bad value 'x' for memory; use bytes, or 512K, 512M, 2G"},
		{"env", "line 1: a variable is missing"},
		{"env =x", "line 1: bad variable"},
		{"tolerate", "line 1: a layer is missing"},
		{"tolerate pid secomp", "line 1: unknown layer 'secomp'; did you mean 'seccomp'?"},
		{"tolerate namespace", "line 1: unknown layer 'namespace'; did you mean 'namespaces'?"},
		{"on-violation", "line 1: errno, kill or abort is missing"},
		{"on-violation kil", "line 1: unknown answer 'kil' to a violation; did you mean 'kill'?"},
		{"on-violation kill x", "line 1: 'x' is one word too many"},
		{"state all", "line 1: unknown state 'all'"},
		{"env \"A", "line 1: a quote is not closed"},
		{"env \"A\\", "line 1: a bad escape in quotes; use those of C, and no NUL"},
		{"env \"A\\0\"", "line 1: a bad escape in quotes; use those of C, and no NUL"},
		{"env \"A\\x00\"", "line 1: a bad escape in quotes; use those of C, and no NUL"},
		{"env \"A\\400\"", "line 1: a bad escape in quotes; use those of C, and no NUL"},
		{"env \"A\\q\"", "line 1: a bad escape in quotes; use those of C, and no NUL"},
		{"env \"A\"b", "line 1: text follows a closing quote; quote the whole word"},
		{"env A=\"b\"", "line 1: a quote in the word 'A=\"b\"'; put the whole word in quotes, as in C"},
		{"env A=\033b",
			"line 1: a control character in the word 'A=?b'; put the whole word in quotes, as in C"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy p, empty;
		char error[200] = "";
		policy_init(&p);
		policy_init(&empty);
		assert_int_equal(policy_parse(&p, rows[i][0], layer_find, error, sizeof(error)), -EINVAL);
		assert_string_equal(error, rows[i][1]);
		assert_true(same_policy(&p, &empty));
	}
}

static void test_long_lines(void **state)
{
	(void)state;
	struct policy p;
	char error[100];
	char *text = malloc(POLICY_LINE_BYTES + 2);
	memset(text, ' ', POLICY_LINE_BYTES + 1);
	text[POLICY_LINE_BYTES + 1] = 0;
	policy_init(&p);
	assert_int_equal(policy_parse(&p, text, NULL, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "line 1: the line is longer than 131072 bytes");
	text[POLICY_LINE_BYTES] = 0;
	assert_int_equal(policy_parse(&p, text, NULL, error, sizeof(error)), 0);
	memset(text, 'a', POLICY_LINE_BYTES);
	memcpy(text, "unveil /", 8);
	memcpy(text + 5000, " r", 3);
	assert_int_equal(policy_parse(&p, text, NULL, error, sizeof(error)), -ENAMETOOLONG);
	assert_string_equal(error, "line 1: the path is too long");
	free(text);
}

static void round_trip(const struct policy *p)
{
	struct policy q;
	char *text, error[200] = "";
	policy_init(&q);
	assert_int_equal(policy_format(p, layer_name, &text), 0);
	if (policy_parse(&q, text, layer_find, error, sizeof(error)) < 0)
		fail_msg("%s in:\n%s", error, text);
	if (!same_policy(p, &q))
		fail_msg("not the same:\n%s", text);
	free(text);
	policy_clear(&q);
}

/* Bytes of all kinds but NUL, in a word of at most max. */
static void random_word(uint64_t *seed, char *word, size_t max)
{
	size_t len = (size_t)(xorshift(seed) >> 16) % max;
	for (size_t i = 0; i < len; i++)
		word[i] = (char)((xorshift(seed) >> 24) % 255 + 1);
	word[len] = 0;
}

static void test_what_is_written_is_read_back(void **state)
{
	(void)state;
	uint64_t seed = 0x9e3779b97f4a7c15;
	uint8_t bytes[200];
	char word[300];
	for (int round = 0; round < 3000; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(xorshift(&seed) >> 24);
		struct source s = {bytes, sizeof(bytes)};
		struct policy p;
		take_policy(&s, &p);
		p.tolerate = round & 7;
		word[0] = '/';
		random_word(&seed, word + round % 2, 40);
		policy_unveil_raw(&p, word, PERM_R, round & 8);
		strcpy(word, "NAME=");
		random_word(&seed, word + 5, sizeof(word) - 5);
		assert_int_equal(policy_env_add(&p, word), 0);
		strcpy(word, "unix:@");
		random_word(&seed, word + 6, 100);
		policy_address_add(&p, word, round & 16, NULL, 0);
		p.limits[LIMIT_MEMORY] = xorshift(&seed) >> 1;
		p.limits[LIMIT_CPU] = xorshift(&seed) >> 1;
		round_trip(&p);
		policy_clear(&p);
	}
}

static void test_the_longest_words_are_read_back(void **state)
{
	(void)state;
	struct policy p;
	char *word = malloc(POLICY_ENV_BYTES + 1);
	policy_init(&p);
	memset(word, 1, POLICY_ENV_BYTES);
	word[POLICY_ENV_BYTES] = 0;
	assert_int_equal(policy_env_add(&p, word), 0);
	word[POLICY_PATH_BYTES] = 0;
	assert_int_equal(policy_unveil_raw(&p, word, PERM_R, false), 0);
	memcpy(word, "unix:@", 6);
	assert_int_equal(policy_address_add(&p, word, false, NULL, 0), 0);
	p.promises = (UINT64_C(1) << PROMISE_COUNT) - 1;
	round_trip(&p);
	free(word);
	policy_clear(&p);
}

static void test_what_has_no_word_is_not_written(void **state)
{
	(void)state;
	struct policy p;
	char *text = NULL;
	policy_init(&p);
	p.tolerate = 8;
	assert_int_equal(policy_format(&p, layer_name, &text), -EINVAL);
	p.tolerate = 0;
	p.promises = UINT64_C(1) << PROMISE_COUNT;
	assert_int_equal(policy_format(&p, layer_name, &text), -EINVAL);
	assert_null(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_statement),
		cmocka_unit_test(test_adds_to_what_is_there),
		cmocka_unit_test(test_quotes_and_escapes),
		cmocka_unit_test(test_errors_name_line_and_word),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_what_is_written_is_read_back),
		cmocka_unit_test(test_the_longest_words_are_read_back),
		cmocka_unit_test(test_what_has_no_word_is_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
