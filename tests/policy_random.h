/* SPDX-License-Identifier: ISC */
/* Random policies out of bytes, a second opinion on what they grant, and the properties that narrowing must have. Shared
 * by the unit tests and the fuzz targets. A property that does not hold aborts. */
#ifndef AIRLOCK_TESTS_POLICY_RANDOM_H
#define AIRLOCK_TESTS_POLICY_RANDOM_H

#include "policy/policy.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(x)                                                                                                     \
	do {                                                                                                           \
		if (!(x)) {                                                                                            \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #x);                          \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

struct source {
	const uint8_t *data;
	size_t size;
};

static inline uint64_t xorshift(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline unsigned take(struct source *s, unsigned below)
{
	if (!s->size)
		return 0;
	s->size--;
	return *s->data++ % below;
}

static inline uint64_t take_bits(struct source *s)
{
	uint64_t bits = 0;
	for (int i = 0; i < 5; i++)
		bits = bits << 8 | take(s, 256);
	return bits & 0xfffffffff;
}

/* Few components, so that paths meet often; some sort around '/'. */
static inline void take_path(struct source *s, char path[64])
{
	static const char *const parts[] = {"a", "b", "ab", "a.b", "a b", "a-"};
	unsigned depth = take(s, 4);
	strcpy(path, depth ? "" : "/");
	while (depth--) {
		strcat(path, "/");
		strcat(path, parts[take(s, 6)]);
	}
}

static const char *const random_hosts[] = {"*", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "0.0.0.0/0", "[::]/0",
	"[fd00::]/8", "[fd00::1]", "[::1]", "127.0.0.1", "example.org", "Example.ORG", "localhost",
	"[::ffff:10.1.2.3]"};
#define RANDOM_HOSTS (sizeof(random_hosts) / sizeof(random_hosts[0]))

static inline void take_address(struct source *s, struct policy *p)
{
	char text[80], error[200];
	unsigned bits = take(s, 256), low = take(s, 8), high = low + take(s, 4);
	if ((bits & 7) == 0)
		snprintf(text, sizeof(text), "unix:%s", bits & 8 ? "/a/socket" : "@name");
	else
		snprintf(text, sizeof(text), "%s:%s:%u-%u%s", bits & 16 ? "tcp" : "udp",
			random_hosts[take(s, RANDOM_HOSTS)], low, high, bits & 32 ? "+private" : "");
	REQUIRE(policy_address_add(p, text, bits & 64, error, sizeof(error)) == 0);
}

static inline void take_policy(struct source *s, struct policy *p)
{
	unsigned bits = take(s, 256);
	char path[64];
	policy_init(p);
	p->promises = take_bits(s);
	p->exec_given = bits & 1;
	p->exec_promises = p->exec_given ? take_bits(s) : 0;
	p->everything = (bits & 6) == 6;
	p->any_address = (bits & 24) == 24;
	p->kill = bits & 32;
	p->abort = !p->kill && bits & 128;
	p->locked = bits & 64;
	p->pledged = take(s, 2);
	for (unsigned n = take(s, 8); n > 0; n--) {
		take_path(s, path);
		unsigned perms = take(s, 256);
		REQUIRE(policy_unveil_raw(p, path, perms & 63, perms & 64) == 0);
	}
	for (unsigned n = take(s, 6); n > 0; n--)
		take_address(s, p);
	for (int i = 0; i < LIMIT_COUNT; i++)
		if (take(s, 2))
			p->limits[i] = take(s, 256) + (i == LIMIT_WEIGHT); /* from 1 */
}

/* ---- what a policy grants, found the slow way ---- */

static inline bool slow_above(const char *rule, const char *path)
{
	size_t len = strlen(rule);
	return strcmp(rule, "/") == 0 || (strncmp(rule, path, len) == 0 && (path[len] == '/' || !path[len]));
}

static inline const struct unveil *slow_find(const struct policy *p, const char *path)
{
	const struct unveil *best = NULL;
	for (size_t i = 0; i < p->unveil_count; i++) {
		const struct unveil *rule = &p->unveils[i];
		bool here = strcmp(rule->path, path) == 0;
		if (rule->name ? !here : !slow_above(rule->path, path))
			continue;
		if (here && rule->name)
			return rule;
		if (!best || strlen(rule->path) > strlen(best->path))
			best = rule;
	}
	return best;
}

static inline unsigned slow_perms(const struct policy *p, const char *path)
{
	const struct unveil *rule = slow_find(p, path);
	return rule ? rule->perms : p->everything ? 63u : 0u;
}

static inline bool slow_name(
	const struct policy *p, enum address_kind kind, bool bind, const char *name, uint16_t port, bool private)
{
	for (size_t i = 0; i < p->address_count; i++) {
		const struct address *a = &p->addresses[i];
		if (a->kind != kind || a->bind != bind || port < a->port_low || port > a->port_high || !a->host)
			continue;
		if (strcmp(a->host, "*") == 0 || (strcmp(a->host, name) == 0 && (a->private_ok || !private)))
			return true;
	}
	return p->any_address;
}

/* One bit for each of many addresses. */
static inline void slow_addresses(const struct policy *p, uint8_t out[1600])
{
	static const uint8_t ips[][16] = {{[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 1, [14] = 2, [15] = 3},
		{[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 1, [14] = 9, [15] = 9},
		{[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 200, [14] = 9, [15] = 9},
		{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, {[10] = 0xff, [11] = 0xff, [12] = 8, [15] = 8},
		{[15] = 1}, {0xfd, [15] = 1}, {0xfd, 9, [15] = 9}, {0x20, 1, [15] = 9}};
	static const char *const names[] = {"example.org", "localhost", "example.com"};
	size_t n = 0;
	for (unsigned bits = 0; bits < 4; bits++) {
		enum address_kind kind = bits & 1 ? ADDRESS_TCP : ADDRESS_UDP;
		for (uint16_t port = 0; port < 12; port++) {
			for (size_t i = 0; i < sizeof(ips) / sizeof(ips[0]); i++)
				out[n++] = policy_judge_address(p, kind, bits & 2, ips[i], port) == 0;
			for (size_t i = 0; i < 6; i++)
				out[n++] = slow_name(p, kind, bits & 2, names[i / 2], port, i & 1);
		}
		if (bits & 1) {
			out[n++] = policy_judge_unix(p, bits & 2, "/a/socket") == 0;
			out[n++] = policy_judge_unix(p, bits & 2, "@name") == 0;
		}
	}
	while (n < 1600)
		out[n++] = 0;
}

/* ---- properties ---- */

static inline void check_path(const struct policy *a, const struct policy *b, const struct policy *r, const char *path)
{
	REQUIRE(slow_find(r, path) == policy_find(r, path));
	REQUIRE(slow_find(a, path) == policy_find(a, path));
	REQUIRE(slow_perms(r, path) == (slow_perms(a, path) & slow_perms(b, path)));
	static const uint8_t needs[] = {0, PERM_R, PERM_W, PERM_X, PERM_C, PERM_D, PERM_R | PERM_W, 15};
	for (size_t i = 0; i < sizeof(needs); i++) {
		unsigned need = needs[i];
		int of_r = policy_judge(r, path, need, NULL), of_a = policy_judge(a, path, need, NULL),
		    of_b = policy_judge(b, path, need, NULL);
		REQUIRE(of_r != 0 || (of_a == 0 && of_b == 0));
		REQUIRE(!(need & 15) || of_r == 0 || of_a != 0 || of_b != 0);
		/* What one hides stays hidden; as pledge(2) has it, a name that nothing may be done with is refused. */
		REQUIRE((of_a != -2 && of_b != -2) || of_r == -2 || (r->abort && of_r == -13));
	}
	bool below = false;
	for (size_t i = 0; i < r->unveil_count; i++)
		below = below || (strcmp(r->unveils[i].path, path) != 0 && slow_above(path, r->unveils[i].path));
	REQUIRE(policy_below(r, path) == below);
}

static inline void check_paths(
	const struct policy *a, const struct policy *b, const struct policy *r, const struct policy *from)
{
	char path[80];
	for (size_t i = 0; i < from->unveil_count; i++) {
		check_path(a, b, r, from->unveils[i].path);
		snprintf(path, sizeof(path), "%s/%s", strcmp(from->unveils[i].path, "/") ? from->unveils[i].path : "",
			"a");
		check_path(a, b, r, path);
		strcat(path, "/z");
		check_path(a, b, r, path);
	}
	check_path(a, b, r, "/");
	check_path(a, b, r, "/z");
}

static inline void check_rest(const struct policy *a, const struct policy *b, const struct policy *r)
{
	static uint8_t of_a[1600], of_b[1600], of_r[1600];
	slow_addresses(a, of_a);
	slow_addresses(b, of_b);
	slow_addresses(r, of_r);
	for (size_t i = 0; i < sizeof(of_r); i++)
		REQUIRE(of_r[i] == (of_a[i] && of_b[i]));
	REQUIRE(r->promises == (a->promises & b->promises));
	uint64_t exec_a = a->exec_given ? a->exec_promises : UINT64_MAX;
	uint64_t exec_b = b->exec_given ? b->exec_promises : UINT64_MAX;
	REQUIRE((r->exec_given ? r->exec_promises : UINT64_MAX) == (exec_a & exec_b));
	for (int i = 0; i < LIMIT_COUNT; i++)
		REQUIRE(r->limits[i] == (a->limits[i] < b->limits[i] ? a->limits[i] : b->limits[i]));
	REQUIRE(r->kill == (a->kill || b->kill));
	REQUIRE(r->abort == ((a->abort || b->abort) && !r->kill));
	REQUIRE(r->pledged == (a->pledged || b->pledged));
	/* Every rule of both sides is there. */
	for (unsigned side = 0; side < 2; side++) {
		const struct policy *p = side ? b : a;
		for (size_t i = 0; i < p->unveil_count; i++) {
			const struct unveil *rule = policy_find(r, p->unveils[i].path);
			REQUIRE(rule && strcmp(rule->path, p->unveils[i].path) == 0);
		}
	}
}

#define NARROW_ALL (NARROW_PROMISES | NARROW_EXEC | NARROW_UNVEILS | NARROW_ADDRESSES | NARROW_LIMITS)

static inline bool same_policy(const struct policy *a, const struct policy *b)
{
	if (a->promises != b->promises || a->exec_given != b->exec_given ||
		(a->exec_given && a->exec_promises != b->exec_promises) || a->everything != b->everything ||
		a->locked != b->locked || a->any_address != b->any_address || a->kill != b->kill ||
		a->abort != b->abort || a->pledged != b->pledged || a->tolerate != b->tolerate ||
		a->unveil_count != b->unveil_count || a->address_count != b->address_count ||
		a->env_count != b->env_count || memcmp(a->limits, b->limits, sizeof(a->limits)) != 0)
		return false;
	for (size_t i = 0; i < a->unveil_count; i++) {
		const struct unveil *u = &a->unveils[i], *v = &b->unveils[i];
		if (strcmp(u->path, v->path) != 0 || u->perms != v->perms || u->name != v->name)
			return false;
	}
	for (size_t i = 0; i < a->address_count; i++) {
		const struct address *u = &a->addresses[i], *v = &b->addresses[i];
		if (u->kind != v->kind || u->bind != v->bind || u->private_ok != v->private_ok ||
			u->prefix != v->prefix || u->port_low != v->port_low || u->port_high != v->port_high ||
			!u->host != !v->host || (u->host ? strcmp(u->host, v->host) : memcmp(u->net, v->net, 16)) != 0)
			return false;
	}
	for (size_t i = 0; i < a->env_count; i++)
		if (strcmp(a->env[i], b->env[i]) != 0)
			return false;
	return true;
}

/* *r becomes the intersection of a and b. */
static inline void narrowed(struct policy *r, const struct policy *a, const struct policy *b)
{
	REQUIRE(policy_copy(r, a) == 0);
	REQUIRE(policy_narrow(r, b, NARROW_ALL) == 0);
}

/* The same grants, whatever the form of the addresses. */
static inline void check_same(const struct policy *x, const struct policy *y)
{
	check_paths(x, y, x, x);
	check_paths(x, y, y, y);
	check_rest(x, y, x);
	check_rest(x, y, y);
}

static inline void check_narrow(const uint8_t *data, size_t size)
{
	struct source s = {data, size};
	struct policy a, b, c, ab, ba, ab_c, cb, a_cb, twice;
	take_policy(&s, &a);
	take_policy(&s, &b);
	take_policy(&s, &c);
	narrowed(&ab, &a, &b);
	check_paths(&a, &b, &ab, &a);
	check_paths(&a, &b, &ab, &b);
	check_rest(&a, &b, &ab);

	narrowed(&ba, &b, &a);
	check_same(&ab, &ba);
	narrowed(&twice, &ab, &b);
	check_same(&ab, &twice);
	policy_clear(&twice);
	/* By itself it changes nothing at all. */
	narrowed(&twice, &ab, &ab);
	REQUIRE(same_policy(&ab, &twice));
	policy_clear(&twice);

	narrowed(&ab_c, &ab, &c);
	narrowed(&cb, &c, &b);
	narrowed(&a_cb, &a, &cb);
	check_same(&ab_c, &a_cb);

	/* A part that is not asked for stays; `kill`, `abort` and `pledged` have no part. */
	REQUIRE(policy_copy(&twice, &a) == 0);
	REQUIRE(policy_narrow(&twice, &b, 0) == 0);
	twice.kill = a.kill;
	twice.abort = a.abort;
	twice.pledged = a.pledged;
	REQUIRE(same_policy(&twice, &a));

	struct policy *const all[] = {&a, &b, &c, &ab, &ba, &ab_c, &cb, &a_cb, &twice};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		policy_clear(all[i]);
}

/* ---- more of the same, by the functions that decide in earnest, at random places ---- */

/* Whether every question that is answered with yes by r is so by a. Nothing of narrow.c is used for that. */
static inline void check_not_wider(const struct policy *a, const struct policy *r, uint64_t *seed)
{
	for (int i = 0; i < 24; i++) {
		uint8_t bytes[8];
		char path[64];
		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)(xorshift(seed) >> 24);
		struct source s = {bytes, sizeof(bytes)};
		take_path(&s, path);
		unsigned need = (unsigned)(xorshift(seed) >> 20) & 31;
		const struct unveil *rule = NULL;
		REQUIRE(policy_judge(r, path, need, &rule) != 0 || policy_judge(a, path, need, NULL) == 0);
		REQUIRE(!(policy_perms_at(r, path) & ~policy_perms_at(a, path)));
		REQUIRE(!(policy_perms_below(r, path) & ~policy_perms_below(a, path)));
		uint8_t ip[16] = {[10] = 0xff, [11] = 0xff, [12] = 10};
		uint64_t bits = xorshift(seed);
		for (size_t k = 12; k < 16; k++)
			ip[k] = bits & 1 ? ip[k] : (uint8_t)(bits >> k);
		if (bits & 2)
			memset(ip, 0, 12), ip[0] = bits & 4 ? 0xfd : 0;
		enum address_kind kind = bits & 8 ? ADDRESS_TCP : ADDRESS_UDP;
		uint16_t port = (uint16_t)(bits >> 40) % 12;
		REQUIRE(policy_judge_address(r, kind, bits & 16, ip, port) != 0 ||
			policy_judge_address(a, kind, bits & 16, ip, port) == 0);
		const char *name = bits & 32 ? "/a/socket" : bits & 64 ? "@name" : path;
		REQUIRE(policy_judge_unix(r, bits & 16, name) != 0 || policy_judge_unix(a, bits & 16, name) == 0);
		unsigned missing;
		uint64_t promises = xorshift(seed) & xorshift(seed) & xorshift(seed) & 0xfffffffff;
		REQUIRE(policy_promised(r, promises, &missing) != 0 || policy_promised(a, promises, &missing) == 0);
	}
	for (int i = 0; i < LIMIT_COUNT; i++)
		REQUIRE(r->limits[i] <= a->limits[i]);
	REQUIRE(!a->kill || r->kill);
	REQUIRE(!a->exec_given || (r->exec_given && !(r->exec_promises & ~a->exec_promises)));
}

static inline bool same_unveils(const struct policy *a, const struct policy *b)
{
	bool same = a->everything == b->everything && a->unveil_count == b->unveil_count;
	for (size_t i = 0; same && i < a->unveil_count; i++) {
		const struct unveil *u = &a->unveils[i], *v = &b->unveils[i];
		same = strcmp(u->path, v->path) == 0 && u->perms == v->perms && u->name == v->name;
	}
	return same;
}

static inline bool same_addresses(const struct policy *a, const struct policy *b)
{
	bool same = a->any_address == b->any_address && a->address_count == b->address_count;
	for (size_t i = 0; same && i < a->address_count; i++) {
		char x[200], y[200];
		policy_address_format(&a->addresses[i], x, sizeof(x));
		policy_address_format(&b->addresses[i], y, sizeof(y));
		same = strcmp(x, y) == 0 && a->addresses[i].bind == b->addresses[i].bind;
	}
	return same;
}

/* For every choice of parts: what is asked for becomes what it becomes when all are, the rest is untouched. */
static inline void check_parts(const struct policy *a, const struct policy *b, const struct policy *all)
{
	for (unsigned parts = 0; parts < 64; parts++) {
		struct policy r;
		REQUIRE(policy_copy(&r, a) == 0);
		REQUIRE(policy_narrow(&r, b, parts) == 0);
		REQUIRE(r.promises == (parts & NARROW_PROMISES ? all : a)->promises);
		const struct policy *exec = parts & NARROW_EXEC ? all : a;
		REQUIRE(r.exec_given == exec->exec_given && r.exec_promises == exec->exec_promises);
		REQUIRE(same_unveils(&r, parts & NARROW_UNVEILS ? all : a));
		REQUIRE(same_addresses(&r, parts & NARROW_ADDRESSES ? all : a));
		REQUIRE(memcmp(r.limits, (parts & NARROW_LIMITS ? all : a)->limits, sizeof(r.limits)) == 0);
		REQUIRE(r.locked == (a->locked || parts & NARROW_LOCK));
		REQUIRE(r.tolerate == a->tolerate && r.env_count == a->env_count);
		policy_clear(&r);
	}
}

/* An empty list is nothing: not what there was, and not all. */
static inline void check_nothing(const struct policy *a, uint64_t *seed)
{
	struct policy r, none;
	char path[64];
	policy_init(&none);
	narrowed(&r, a, &none);
	REQUIRE(r.promises == 0 && !r.everything && !r.any_address && r.address_count == 0);
	for (int i = 0; i < 20; i++) {
		uint8_t bytes[4] = {(uint8_t)(xorshift(seed) >> 24), (uint8_t)(xorshift(seed) >> 24),
			(uint8_t)(xorshift(seed) >> 24), (uint8_t)(xorshift(seed) >> 24)};
		struct source s = {bytes, sizeof(bytes)};
		take_path(&s, path);
		for (unsigned need = 1; need < 32; need++)
			REQUIRE(policy_judge(&r, path, need, NULL) != 0);
		REQUIRE(policy_judge_unix(&r, i & 1, "/a/socket") != 0);
	}
	check_not_wider(a, &r, seed);
	check_not_wider(&none, &r, seed);
	policy_clear(&r);
	policy_clear(&none);
}

/* Many narrowings in two orders, some of them twice: never wider at any step, and the same in the end. */
#define SEQUENCE 5
static inline void check_sequence(const uint8_t *data, size_t size, uint64_t seed)
{
	struct source s = {data, size};
	struct policy asked[SEQUENCE], ends[2];
	bool whole = true;
	for (size_t i = 0; i < SEQUENCE; i++)
		take_policy(&s, &asked[i]);
	for (unsigned round = 0; round < 2; round++) {
		unsigned order[2 * SEQUENCE], count = SEQUENCE;
		for (unsigned i = 0; i < SEQUENCE; i++)
			order[i] = i;
		for (unsigned i = SEQUENCE - 1; i > 0; i--) {
			unsigned other = (unsigned)(xorshift(&seed) >> 20) % (i + 1), kept = order[i];
			order[i] = order[other];
			order[other] = kept;
		}
		while (count < 2 * SEQUENCE)
			order[count++] = (unsigned)(xorshift(&seed) >> 20) % SEQUENCE;
		struct policy *now = &ends[round];
		REQUIRE(policy_copy(now, &asked[order[0]]) == 0);
		for (unsigned i = 1; i < count; i++) {
			struct policy before;
			REQUIRE(policy_copy(&before, now) == 0);
			int e = policy_narrow(now, &asked[order[i]], NARROW_ALL);
			REQUIRE(e == 0 || e == -7 /* E2BIG */);
			REQUIRE(e == 0 || same_policy(now, &before));
			whole = whole && e == 0;
			check_not_wider(&before, now, &seed);
			if (e == 0)
				check_not_wider(&asked[order[i]], now, &seed);
			policy_clear(&before);
		}
	}
	if (whole)
		check_same(&ends[0], &ends[1]);
	struct policy all;
	narrowed(&all, &asked[0], &asked[1]);
	check_parts(&asked[0], &asked[1], &all);
	policy_clear(&all);
	check_nothing(&asked[0], &seed);
	for (size_t i = 0; i < SEQUENCE; i++)
		policy_clear(&asked[i]);
	policy_clear(&ends[0]);
	policy_clear(&ends[1]);
}
#endif
