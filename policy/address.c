/* SPDX-License-Identifier: ISC */
/* Owns the rules about addresses: reading them and deciding by them. Pure; runs in the host and, for each request that
 * names an address, in the broker. */
#include "policy/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 253
#define LABEL_BYTES 63
#define PRIVATE "+private"

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

struct problem {
	char *error;
	size_t len;
};

void policy_addresses_free(struct address *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i].host);
	free(list);
}

bool policy_address_is_name(const struct address *a)
{
	return a->kind != ADDRESS_UNIX && a->host && strcmp(a->host, "*") != 0;
}

bool policy_net_is_v4(const uint8_t net[16], uint8_t prefix)
{
	return prefix >= 96 && memcmp(net, v4_mapped, sizeof(v4_mapped)) == 0;
}

/* Whether the first prefix bits are the same. A v6 network does not cover v4-mapped addresses: who writes [::]/0 speaks
 * of v6, and a socket that connects to ::ffff:10.0.0.1 reaches 10.0.0.1. */
bool policy_net_covers(const uint8_t net[16], uint8_t prefix, const uint8_t ip[16])
{
	if (policy_net_is_v4(net, prefix) != policy_net_is_v4(ip, 128))
		return false;
	unsigned bytes = prefix / 8, bits = prefix % 8;
	if (prefix > 128 || memcmp(net, ip, bytes) != 0)
		return false;
	return bits == 0 || ((net[bytes] ^ ip[bytes]) >> (8 - bits)) == 0;
}

/* A decimal number up to max, the whole of text[0..len). */
static int number(const char *text, size_t len, unsigned max, unsigned *value)
{
	unsigned n = 0;
	if (len == 0 || len > 5)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	if (n > max)
		return -EINVAL;
	*value = n;
	return 0;
}

static int ports(const char *text, size_t len, struct address *a, struct problem e)
{
	const char *dash = memchr(text, '-', len);
	size_t first = dash ? (size_t)(dash - text) : len;
	unsigned low = 0, high = 0;
	int r = number(text, first, 65535, &low);
	high = low;
	if (r == 0 && dash)
		r = number(dash + 1, len - first - 1, 65535, &high);
	if (r < 0 || low > high)
		return policy_error(
			e.error, e.len, "bad port '%.*s'; use 443, or 5432-5440, up to 65535", (int)len, text);
	a->port_low = (uint16_t)low;
	a->port_high = (uint16_t)high;
	return 0;
}

/* text is an address or ADDRESS/BITS without brackets. 1: not an address. */
static int network(const char *text, bool v6, struct address *a, struct problem e)
{
	char buf[INET6_ADDRSTRLEN + 8];
	unsigned char ip[16];
	unsigned bits = v6 ? 128 : 32;
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	if (len >= sizeof(buf))
		return 1;
	memcpy(buf, text, len);
	buf[len] = 0;
	if (inet_pton(v6 ? AF_INET6 : AF_INET, buf, ip) != 1)
		return 1;
	if (slash && number(slash + 1, strlen(slash + 1), bits, &bits) < 0)
		return policy_error(e.error, e.len, "bad network '%s'; the bits go up to %d", text, v6 ? 128 : 32);
	if (!v6) {
		memcpy(a->net, v4_mapped, sizeof(v4_mapped));
		memcpy(a->net + sizeof(v4_mapped), ip, 4);
		bits += 96;
	} else {
		memcpy(a->net, ip, sizeof(ip));
	}
	a->prefix = (uint8_t)bits;
	for (unsigned i = bits; i < 128; i++)
		if (a->net[i / 8] & (0x80 >> i % 8))
			return policy_error(e.error, e.len, "bad network '%s': it has bits set behind the first %u",
				text, v6 ? bits : bits - 96);
	return 0;
}

/* A name's rules, and lower case in place. What a resolver would read as a number in disguise (127.1, 0x7f000001) is no
 * name. */
static bool name(char *text)
{
	size_t label = 0, len = strlen(text);
	bool digits = true;
	if (len == 0 || len > NAME_BYTES)
		return false;
	const char *last = text;
	for (char *c = text; *c; c++) {
		if (*c == '.') {
			if (label == 0)
				return false;
			label = 0;
			digits = true;
			last = c + 1;
			continue;
		}
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
		bool digit = *c >= '0' && *c <= '9';
		if (!digit && !(*c >= 'a' && *c <= 'z') && *c != '_' && !(*c == '-' && label))
			return false;
		digits = digits && digit;
		if (++label > LABEL_BYTES)
			return false;
	}
	return label && !digits && strncmp(last, "0x", 2) != 0;
}

/* text is HOST; takes nothing, sets a->host or a->net. */
static int host(char *text, struct address *a, struct problem e)
{
	size_t len = strlen(text);
	if (*text == '[') {
		char inner[80];
		const char *close = strchr(text, ']');
		/* [ADDRESS], [ADDRESS]/BITS or [ADDRESS/BITS] */
		if (!close || (close[1] && close[1] != '/') ||
			(close[1] && memchr(text, '/', (size_t)(close - text))) || len >= sizeof(inner))
			return policy_error(
				e.error, e.len, "bad address '%s'; use [2001:db8::1] or [2001:db8::]/32", text);
		snprintf(inner, sizeof(inner), "%.*s%s", (int)(close - text - 1), text + 1, close + 1);
		int r = network(inner, true, a, e);
		return r == 1 ? policy_error(e.error, e.len, "bad address '%s'; no v6 address is in the brackets", text)
			      : r;
	}
	if (strchr(text, ':'))
		return policy_error(e.error, e.len, "bad address '%s'; a v6 address goes in brackets: [::1]", text);
	int r = network(text, false, a, e);
	if (r != 1)
		return r;
	if (strcmp(text, "*") != 0 && !name(text))
		return policy_error(e.error, e.len, "bad host '%s'; use a name, an address, a network or *", text);
	a->host = strdup(text);
	return a->host ? 0 : -ENOMEM;
}

/* unix:PATH or unix:@NAME */
static int local(const char *text, struct address *a, struct problem e)
{
	size_t len = strlen(text);
	if (len == 0 || (len == 1 && *text == '@'))
		return policy_error(e.error, e.len, "an address of kind unix needs a path, or a @name");
	if (len > POLICY_PATH_BYTES)
		return policy_error(e.error, e.len, "the path of a local address is too long");
	if (*text == '/' && !policy_canonical(text))
		return policy_error(e.error, e.len,
			"bad local address '%.200s'; write the path without //, /., /.. and last /", text);
	a->host = strdup(text);
	return a->host ? 0 : -ENOMEM;
}

/* HOST:PORT[-PORT][+private] */
static int internet(const char *text, struct address *a, struct problem e)
{
	char copy[NAME_BYTES + 32];
	size_t len = strlen(text);
	if (len >= sizeof(copy))
		return policy_error(e.error, e.len, "the address is too long");
	memcpy(copy, text, len + 1);
	if (len > strlen(PRIVATE) && strcmp(copy + len - strlen(PRIVATE), PRIVATE) == 0) {
		a->private_ok = true;
		copy[len - strlen(PRIVATE)] = 0;
	}
	char *colon = strrchr(copy, ':');
	if (!colon || (*copy == '[' && strchr(colon, ']')))
		return policy_error(e.error, e.len, "the address '%s' has no port; write it as HOST:443", copy);
	*colon = 0;
	int r = ports(colon + 1, strlen(colon + 1), a, e);
	return r < 0 ? r : host(copy, a, e);
}

int policy_address_parse(const char *text, bool bind, struct address *a, char *error, size_t len)
{
	static const char *const kinds[] = {
		[ADDRESS_TCP] = "tcp", [ADDRESS_UDP] = "udp", [ADDRESS_UNIX] = "unix", NULL};
	struct problem e = {error, len};
	char word[32], hint[64];
	size_t kind = strcspn(text, ":");
	*a = (struct address){.bind = bind};
	if (!text[kind])
		return policy_error(
			error, len, "bad address '%.200s'; use tcp:HOST:PORT, udp:HOST:PORT or unix:PATH", text);
	snprintf(word, sizeof(word), "%.*s", kind < sizeof(word) ? (int)kind : 31, text);
	for (unsigned i = 0; kinds[i]; i++) {
		if (strcmp(kinds[i], word) != 0)
			continue;
		a->kind = (enum address_kind)i;
		return i == ADDRESS_UNIX ? local(text + kind + 1, a, e) : internet(text + kind + 1, a, e);
	}
	return policy_error(error, len, "unknown kind of address '%s'%s", word, policy_hint(word, kinds, hint));
}

static bool same(const struct address *a, const struct address *b)
{
	if (a->kind != b->kind || a->bind != b->bind || a->private_ok != b->private_ok || a->port_low != b->port_low ||
		a->port_high != b->port_high || !a->host != !b->host)
		return false;
	return a->host ? strcmp(a->host, b->host) == 0
		       : a->prefix == b->prefix && memcmp(a->net, b->net, sizeof(a->net)) == 0;
}

int policy_address_add(struct policy *p, const char *text, bool bind, char *error, size_t len)
{
	struct address a;
	int r = policy_address_parse(text, bind, &a, error, len);
	if (r == -ENOMEM)
		policy_error(error, len, "out of memory");
	if (r < 0)
		return r;
	for (size_t i = 0; i < p->address_count; i++) {
		if (same(&p->addresses[i], &a)) {
			free(a.host);
			return 0;
		}
	}
	struct address *grown = NULL;
	if (p->address_count < POLICY_ADDRESSES_MAX)
		grown = reallocarray(p->addresses, p->address_count + 1, sizeof(*grown));
	if (!grown) {
		free(a.host);
		bool full = p->address_count == POLICY_ADDRESSES_MAX;
		policy_error(error, len, full ? "more than %d addresses" : "out of memory", POLICY_ADDRESSES_MAX);
		return full ? -E2BIG : -ENOMEM;
	}
	p->addresses = grown;
	grown[p->address_count++] = a;
	return 0;
}

const struct address *policy_address_rule(
	const struct policy *p, enum address_kind kind, bool bind, const uint8_t ip[16], uint16_t port)
{
	for (size_t i = 0; i < p->address_count; i++) {
		const struct address *a = &p->addresses[i];
		if (a->kind == kind && a->bind == bind && port >= a->port_low && port <= a->port_high &&
			(a->host ? !policy_address_is_name(a) : policy_net_covers(a->net, a->prefix, ip)))
			return a;
	}
	return NULL;
}

int policy_judge_address(const struct policy *p, enum address_kind kind, bool bind, const uint8_t ip[16], uint16_t port)
{
	return p->any_address || policy_address_rule(p, kind, bind, ip, port) ? 0 : -EACCES;
}

bool policy_has_names(const struct policy *p)
{
	for (size_t i = 0; i < p->address_count; i++)
		if (policy_address_is_name(&p->addresses[i]))
			return true;
	return false;
}

int policy_judge_unix(const struct policy *p, bool bind, const char *path_or_name)
{
	if (p->any_address)
		return 0;
	for (size_t i = 0; i < p->address_count; i++) {
		const struct address *a = &p->addresses[i];
		if (a->kind == ADDRESS_UNIX && a->bind == bind && strcmp(a->host, path_or_name) == 0)
			return 0;
	}
	return -EACCES;
}
