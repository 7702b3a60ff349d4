/* SPDX-License-Identifier: ISC */
/* Which addresses are public: the edges of each range that is not, and every spelling of a v4 address in v6. */
#include "policy/policy.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Each address: whether it is public. */
static const struct {
	const char *text;
	bool is;
} edges[] = {
	/* first and last of each range, and the neighbours */
	{"0.0.0.0", false}, {"0.0.0.1", false}, {"0.255.255.255", false}, {"1.0.0.0", true}, {"9.255.255.255", true},
	{"10.0.0.0", false}, {"10.255.255.255", false}, {"11.0.0.0", true}, {"100.63.255.255", true},
	{"100.64.0.0", false}, {"100.100.100.200", false}, {"100.127.255.255", false}, {"100.128.0.0", true},
	{"126.255.255.255", true}, {"127.0.0.0", false}, {"127.0.0.1", false}, {"127.255.255.255", false},
	{"128.0.0.0", true}, {"168.63.129.15", true}, {"168.63.129.16", false}, {"168.63.129.17", true},
	{"169.253.255.255", true}, {"169.254.0.0", false}, {"169.254.169.254", false}, {"169.254.255.255", false},
	{"169.255.0.0", true}, {"172.15.255.255", true}, {"172.16.0.0", false}, {"172.31.255.255", false},
	{"172.32.0.0", true}, {"191.255.255.255", true}, {"192.0.0.0", false}, {"192.0.0.9", false},
	{"192.0.0.10", false}, {"192.0.0.192", false}, {"192.0.0.255", false}, {"192.0.1.0", true},
	{"192.0.1.255", true}, {"192.0.2.0", false}, {"192.0.2.255", false}, {"192.0.3.0", true},
	{"192.88.98.255", true}, {"192.88.99.0", false}, {"192.88.99.255", false}, {"192.88.100.0", true},
	{"192.167.255.255", true}, {"192.168.0.0", false}, {"192.168.255.255", false}, {"192.169.0.0", true},
	{"198.17.255.255", true}, {"198.18.0.0", false}, {"198.19.255.255", false}, {"198.20.0.0", true},
	{"198.51.99.255", true}, {"198.51.100.0", false}, {"198.51.100.255", false}, {"198.51.101.0", true},
	{"203.0.112.255", true}, {"203.0.113.0", false}, {"203.0.113.255", false}, {"203.0.114.0", true},
	{"223.255.255.255", true}, {"224.0.0.0", false}, {"239.255.255.255", false}, {"240.0.0.0", false},
	{"255.255.255.254", false}, {"255.255.255.255", false}, {"8.8.8.8", true}, {"93.184.216.34", true},
	/* v6: what is not in 2000::/3 */
	{"::", false}, {"::1", false}, {"::2", false}, {"64::1", false},
	{"64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", false}, {"100::", false}, {"100::1", false},
	{"100::ffff:ffff:ffff:ffff", false}, {"100:0:0:1::", false}, {"200::1", false}, {"400::1", false},
	{"1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false}, {"2000::", true}, {"2000::1", true},
	{"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true}, {"3fff::", false},
	{"3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", false}, {"3fff:1000::", true},
	{"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true}, {"4000::", false}, {"5efe::1", false}, {"5f00::", false},
	{"5f00:ffff::1", false}, {"5f01::1", false}, {"fbff::1", false}, {"fc00::", false}, {"fd00:ec2::254", false},
	{"fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false}, {"fe00::1", false}, {"fe7f::1", false}, {"fe80::", false},
	{"fe80::1", false}, {"febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false}, {"fec0::", false},
	{"feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false}, {"ff00::", false}, {"ff02::1", false},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
	/* and within it */
	{"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true}, {"2001::", false},
	{"2001:0:ffff:ffff:ffff:ffff:ffff:ffff", false}, {"2001:1::1", false}, {"2001:2::", false},
	{"2001:2:0:ffff:ffff:ffff:ffff:ffff", false}, {"2001:2:1::", false}, {"2001:10::", false},
	{"2001:20::1", false}, {"2001:30::1", false}, {"2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false},
	{"2001:200::", true}, {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", true}, {"2001:db8::", false},
	{"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", false}, {"2001:db9::", true},
	{"2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true}, {"2002:5db8:d822::1", true}, {"2002:7f00:1::", false},
	{"2002:a00:1::", false}, {"2002:a9fe:a9fe::1", false}, {"2002:c0a8:101::1", false}, {"2002::", false},
	{"2002:ffff:ffff::", false}, {"2003::", true}, {"2606:2800:220:1::1", true}, {"2a00:1450:4001:800::200e", true},
	/* v4 in v6 */
	{"::fffe:255.255.255.255", false}, {"::ffff:0.0.0.0", false}, {"::ffff:127.0.0.1", false},
	{"::ffff:169.254.169.254", false}, {"::ffff:93.184.216.34", true}, {"::1:0:0:0", false}, {"::127.0.0.1", false},
	{"::10.0.0.1", false}, {"::93.184.216.34", true}, {"::0.255.255.255", false}, {"::1:0:0", false},
	{"64:ff9b::127.0.0.1", false}, {"64:ff9b::7f00:1", false}, {"64:ff9b::169.254.169.254", false},
	{"64:ff9b::93.184.216.34", true}, {"64:ff9b::", false}, {"64:ff9b::ffff:ffff", false},
	{"64:ff9b::1:5db8:d822", false}, {"64:ff9b:0:ffff:ffff:ffff:ffff:ffff", false}, {"64:ff9b:1::", false},
	{"64:ff9b:1::93.184.216.34", false}, {"64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false}, {"64:ff9b:2::1", false},
	{"::ffff:0:93.184.216.34", false}, /* translated */
};

static void bytes(const char *text, uint8_t ip[16])
{
	memset(ip, 0, 16);
	if (strchr(text, ':')) {
		assert_int_equal(inet_pton(AF_INET6, text, ip), 1);
		return;
	}
	ip[10] = ip[11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, text, ip + 12), 1);
}

static void the_edges(void **state)
{
	uint8_t ip[16];
	unsigned wrong = 0;
	(void)state;
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		bytes(edges[i].text, ip);
		if (policy_address_public(ip) != edges[i].is) {
			print_error("%s is %s\n", edges[i].text, edges[i].is ? "public" : "not public");
			wrong++;
		}
		assert_true(!policy_address_special(ip) == policy_address_public(ip));
	}
	assert_int_equal(wrong, 0);
}

/* However a v4 address is spelled in v6, it is what it is. */
static void every_spelling(void **state)
{
	uint8_t v4[16], v6[16];
	(void)state;
	for (unsigned high = 0; high < 65536; high++) {
		const uint8_t quad[4] = {(uint8_t)(high >> 8), (uint8_t)high, 129, 16};
		bytes("::ffff:0.0.0.0", v4);
		memcpy(v4 + 12, quad, 4);
		bool is = policy_address_public(v4);
		bytes("64:ff9b::", v6);
		memcpy(v6 + 12, quad, 4);
		assert_true(policy_address_public(v6) == is);
		bytes("::", v6);
		memcpy(v6 + 12, quad, 4);
		assert_true(policy_address_public(v6) == is);
		bytes("2002::1", v6);
		memcpy(v6 + 2, quad, 4);
		assert_true(policy_address_public(v6) == is);
	}
}

/* How much of the v4 space is public, by a list of its own: a range that grows or shrinks changes the sum. */
static void how_many(void **state)
{
	/* In /24s, of 2^24: 0/8 10/8 127/8, 100.64/10, 169.254/16, 172.16/12, three of 192.0.x and 192.88.99, 192.168/16,
	 * 198.18/15, two more for documentation, and the last eighth. One address of 168.63.129 is not of a whole /24. */
	const unsigned without = 3 * 65536 + 16384 + 256 + 4096 + 3 + 256 + 512 + 2 + 2 * 16 * 65536;
	unsigned is_public = 0;
	uint8_t ip[16];
	(void)state;
	bytes("::ffff:0.0.0.0", ip);
	for (unsigned net = 0; net < 1u << 24; net++) {
		ip[12] = (uint8_t)(net >> 16);
		ip[13] = (uint8_t)(net >> 8);
		ip[14] = (uint8_t)net;
		ip[15] = 1;
		is_public += policy_address_public(ip);
	}
	assert_int_equal(is_public, (1u << 24) - without);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_edges), cmocka_unit_test(every_spelling), cmocka_unit_test(how_many)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
