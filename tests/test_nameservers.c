/* SPDX-License-Identifier: ISC */
/* Unit tests of what resolv.conf is read for. Needs nothing of the kernel. */
#include "broker/nameservers.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The servers of text, as addresses with blanks between. */
static const char *servers(const char *text)
{
	static char found[4096];
	struct nameserver list[NAMESERVERS_MAX];
	char *copy = strdup(text), ip[INET6_ADDRSTRLEN];
	size_t count = nameservers_parse(copy, list), at = 0;
	found[0] = 0;
	for (size_t i = 0; i < count; i++) {
		inet_ntop(AF_INET6, list[i].ip, ip, sizeof(ip));
		at += (size_t)snprintf(found + at, sizeof(found) - at, "%s%s", i ? " " : "", ip);
		if (list[i].scope)
			at += (size_t)snprintf(found + at, sizeof(found) - at, "%%%u", list[i].scope);
	}
	free(copy);
	return found;
}

static void test_texts(void **state)
{
	(void)state;
	static const struct {
		const char *text, *servers;
	} texts[] = {
		{"", "::ffff:127.0.0.1"},
		{"\n\n#nameserver 1.2.3.4\n;nameserver 1.2.3.4\n", "::ffff:127.0.0.1"},
		{"nameserver 1.2.3.4", "::ffff:1.2.3.4"},
		{"nameserver\t1.2.3.4 # ours\nnameserver ::1;\n", "::ffff:1.2.3.4 ::1"},
		{"nameserver 1.2.3.4\r\n", "::ffff:1.2.3.4"},
		{"domain a.b\nsearch a b\noptions rotate\nnameserver 1.2.3.4\n", "::ffff:1.2.3.4"},
		{"nameservers 1.2.3.4\nnameserver1.2.3.4\nNAMESERVER 1.2.3.4\n", "::ffff:127.0.0.1"},
		{"nameserver one.example\nnameserver\nnameserver \n", "::ffff:127.0.0.1"},
		/* libc does not see this one, and takes its own. */
		{" nameserver 1.2.3.4\n", "::ffff:1.2.3.4 ::ffff:127.0.0.1"},
		{"nameserver 127.1\nnameserver 0x7f.2\n", "::ffff:127.0.0.1 ::ffff:127.0.0.2"},
		{"nameserver 0.0.0.0\nnameserver ::\n", "::ffff:127.0.0.1 ::1"},
		{"nameserver ::ffff:9.9.9.9\n", "::ffff:9.9.9.9"},
		{"nameserver fe80::1%7\nnameserver fe80::1%no-such-one\n", "fe80::1%7 fe80::1%4294967295"},
		{"nameserver 1.2.3.4%7\n", "::ffff:127.0.0.1"},
		{"options a\nnameserver 1.2.3.4 5.6.7.8\n", "::ffff:1.2.3.4"},
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(servers(texts[i].text), texts[i].servers) != 0)
			fail_msg("%s: %s, not %s", texts[i].text, servers(texts[i].text), texts[i].servers);
}

/* However many and however long they are. */
static void test_many(void **state)
{
	(void)state;
	struct nameserver list[NAMESERVERS_MAX];
	char *text = malloc(100000);
	size_t at = 0;
	for (int i = 0; i < 2000; i++)
		at += (size_t)snprintf(text + at, 100000 - at, " nameserver 10.0.%d.%d\n", i / 200, i % 200);
	assert_int_equal(nameservers_parse(text, list), NAMESERVERS_MAX);
	memset(text, 'a', 99999);
	memcpy(text, "nameserver ", 11);
	text[99999] = 0;
	assert_int_equal(nameservers_parse(text, list), 1);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
