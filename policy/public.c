/* SPDX-License-Identifier: ISC */
/*
 * Owns the question whether an address is one of the public internet. Whoever owns a name can point it at any address, and
 * the machine that connects reaches what its owner cannot: itself, its neighbours, the cloud's metadata. So what a name
 * stands for counts only when it is globally reachable unicast, by IANA's registries of special-purpose addresses. Pure;
 * runs in the broker.
 */
#include "policy/policy.h"

#include <string.h>

/* More specific rows first: the first that covers an address has the say. */
static const struct {
	uint8_t net[4];
	uint8_t prefix;
	const char *name;
} special4[] = {
	{{0}, 8, "this network"},
	{{10}, 8, "private"},
	{{100, 64}, 10, "shared by a carrier"},
	{{127}, 8, "loopback"},
	{{168, 63, 129, 16}, 32, "a cloud's host"}, /* Azure's agent: in no registry, and on no internet */
	{{169, 254}, 16, "link-local"}, /* and nearly every cloud's metadata */
	{{172, 16}, 12, "private"},
	/* The registry calls two of these globally reachable (.9 and .10): anycast that ends at the nearest gateway, which
	 * opens ports on demand. */
	{{192, 0, 0}, 24, "for protocols"},
	{{192, 0, 2}, 24, "for documentation"},
	{{192, 88, 99}, 24, "a relay of 6to4"},
	{{192, 168}, 16, "private"},
	{{198, 18}, 15, "for benchmarks"},
	{{198, 51, 100}, 24, "for documentation"},
	{{203, 0, 113}, 24, "for documentation"},
	{{224}, 4, "multicast"},
	{{255, 255, 255, 255}, 32, "broadcast"},
	{{240}, 4, "reserved"},
};

#define NO_V4 0xff
static const struct {
	uint8_t net[12];
	uint8_t prefix;
	uint8_t v4; /* where the v4 address is that it leads to; NO_V4: nowhere */
	const char *name;
} special6[] = {
	{{[10] = 0xff, [11] = 0xff}, 96, 12, "v4-mapped"},
	{{0}, 96, 12, "v4-compatible"}, /* :: and ::1 are in 0.0.0.0/8 so */
	{{0, 0x64, 0xff, 0x9b}, 96, 12, "NAT64"},
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48, NO_V4, "a NAT64 of one's own"},
	{{1}, 64, NO_V4, "discarded"},
	{{0x20, 0x01, 0, 0}, 32, NO_V4, "Teredo"},
	{{0x20, 0x01, 0, 2}, 48, NO_V4, "for benchmarks"},
	{{0x20, 0x01}, 23, NO_V4, "for protocols"}, /* as 192.0.0.0/24 */
	{{0x20, 0x01, 0x0d, 0xb8}, 32, NO_V4, "for documentation"},
	{{0x20, 0x02}, 16, 2, "6to4"},
	{{0x3f, 0xff}, 20, NO_V4, "for documentation"},
	{{0x5f}, 16, NO_V4, "for segment routing"},
	{{0xfc}, 7, NO_V4, "unique local"},
	{{0xfe, 0x80}, 10, NO_V4, "link-local"},
	{{0xfe, 0xc0}, 10, NO_V4, "site-local"},
	{{0xff}, 8, NO_V4, "multicast"},
};

static bool covers(const uint8_t *net, uint8_t prefix, const uint8_t *ip)
{
	unsigned bytes = prefix / 8, bits = prefix % 8;
	return memcmp(net, ip, bytes) == 0 && (bits == 0 || ((net[bytes] ^ ip[bytes]) >> (8 - bits)) == 0);
}

static const char *special_v4(const uint8_t ip[4])
{
	for (size_t i = 0; i < sizeof(special4) / sizeof(special4[0]); i++)
		if (covers(special4[i].net, special4[i].prefix, ip))
			return special4[i].name;
	return NULL;
}

const char *policy_address_special(const uint8_t ip[16])
{
	for (size_t i = 0; i < sizeof(special6) / sizeof(special6[0]); i++)
		if (covers(special6[i].net, special6[i].prefix, ip))
			return special6[i].v4 == NO_V4 ? special6[i].name : special_v4(ip + special6[i].v4);
	return ip[0] >> 5 == 1 ? NULL : "not assigned"; /* 2000::/3 is all that is */
}

bool policy_address_public(const uint8_t ip[16])
{
	return !policy_address_special(ip);
}
