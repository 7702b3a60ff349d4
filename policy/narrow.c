/* SPDX-License-Identifier: ISC */
/* Owns the intersection of policies, the one way in which a policy changes once it is in force. Pure; runs in the broker,
 * where `asked` comes from the target. What is not asked for is never taken to mean "as before": two sandboxes were
 * broken that way (CVE-2023-5978, CVE-2026-45254). */
#include "policy/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- paths ---- */

struct unveils {
	struct unveil *list;
	size_t count;
};

static int unveils_add(struct unveils *u, const char *path, unsigned perms, bool name)
{
	if (u->count == POLICY_UNVEILS_MAX)
		return -E2BIG;
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	u->list[u->count++] = (struct unveil){copy, (uint8_t)perms, name};
	return 0;
}

/* Takes the rules of one path, of which there are at most two, off the list that starts at *i. */
static void rules_at(const struct policy *p, size_t *i, const char *path, bool *name, bool *tree)
{
	for (; *i < p->unveil_count && strcmp(p->unveils[*i].path, path) == 0; ++*i)
		*(p->unveils[*i].name ? name : tree) = true;
}

/* Both lists are sorted: one pass over the two. At a path where one side has a name rule and the other a directory's, two
 * rules result, since what lies below is then granted by another rule of the first side than the path is. */
static int unveils_meet(struct unveils *u, const struct policy *a, const struct policy *b)
{
	for (size_t i = 0, k = 0; i < a->unveil_count || k < b->unveil_count;) {
		bool of_b = i == a->unveil_count ||
			    (k < b->unveil_count && strcmp(b->unveils[k].path, a->unveils[i].path) < 0);
		const char *path = of_b ? b->unveils[k].path : a->unveils[i].path;
		bool name = false, tree = false;
		int r = policy_canonical(path) ? 0 : -EINVAL;
		rules_at(a, &i, path, &name, &tree);
		rules_at(b, &k, path, &name, &tree);
		if (r == 0 && name)
			r = unveils_add(u, path, policy_perms_at(a, path) & policy_perms_at(b, path), true);
		if (r == 0 && tree)
			r = unveils_add(u, path, policy_perms_below(a, path) & policy_perms_below(b, path), false);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- addresses ---- */

struct addresses {
	struct address *list;
	size_t count;
};

/* A name that needs +private has it; what is no name needs none. */
static bool reaches_private(const struct address *a)
{
	return a->private_ok || !policy_address_is_name(a);
}

/* What both grant, its host borrowed from them; false when that is nothing. */
static bool meet(const struct address *a, const struct address *b, struct address *out)
{
	if (a->kind != b->kind || a->bind != b->bind)
		return false;
	*out = *a;
	if (a->kind == ADDRESS_UNIX)
		return a->host && b->host && strcmp(a->host, b->host) == 0;
	out->port_low = a->port_low > b->port_low ? a->port_low : b->port_low;
	out->port_high = a->port_high < b->port_high ? a->port_high : b->port_high;
	if (out->port_low > out->port_high)
		return false;
	bool a_any = a->host && !policy_address_is_name(a), b_any = b->host && !policy_address_is_name(b);
	/* The more specific host. */
	const struct address *host = a_any ? b : a;
	if (!a_any && !b_any) {
		if (!a->host != !b->host || (a->host && strcmp(a->host, b->host) != 0))
			return false;
		if (a->host) {
			host = a;
		} else if (b->prefix >= a->prefix) {
			host = b;
			if (!policy_net_covers(a->net, a->prefix, b->net) ||
				policy_net_is_v4(a->net, a->prefix) != policy_net_is_v4(b->net, b->prefix))
				return false;
		} else if (!policy_net_covers(b->net, b->prefix, a->net) ||
			   policy_net_is_v4(a->net, a->prefix) != policy_net_is_v4(b->net, b->prefix)) {
			return false;
		}
	}
	out->host = host->host;
	memcpy(out->net, host->net, sizeof(out->net));
	out->prefix = host->prefix;
	out->private_ok = policy_address_is_name(out) ? reaches_private(a) && reaches_private(b)
						      : a->private_ok && b->private_ok;
	return true;
}

/* Whether a grants all that b does. */
static bool covers(const struct address *a, const struct address *b)
{
	struct address m;
	if (!meet(a, b, &m) || m.port_low != b->port_low || m.port_high != b->port_high ||
		m.private_ok != b->private_ok)
		return false;
	if (b->host)
		return m.host && strcmp(m.host, b->host) == 0;
	return !m.host && m.prefix == b->prefix && memcmp(m.net, b->net, sizeof(m.net)) == 0;
}

/* Adds a rule, host copied; the list is kept free of rules that others cover, so that narrowing again does not grow it. */
static int addresses_add(struct addresses *l, struct address rule)
{
	size_t kept = 0;
	for (size_t i = 0; i < l->count; i++)
		if (covers(&l->list[i], &rule))
			return 0;
	if (rule.host && !(rule.host = strdup(rule.host)))
		return -ENOMEM;
	for (size_t i = 0; i < l->count; i++) {
		if (covers(&rule, &l->list[i]))
			free(l->list[i].host);
		else
			l->list[kept++] = l->list[i];
	}
	l->count = kept;
	if (kept == POLICY_ADDRESSES_MAX) {
		free(rule.host);
		return -E2BIG;
	}
	l->list[l->count++] = rule;
	return 0;
}

static int addresses_meet(struct addresses *l, const struct policy *a, const struct policy *b)
{
	int r = 0;
	if (a->any_address || b->any_address) {
		const struct policy *p = a->any_address ? b : a;
		for (size_t i = 0; r == 0 && i < p->address_count; i++)
			r = addresses_add(l, p->addresses[i]);
		return r;
	}
	for (size_t i = 0; r == 0 && i < a->address_count; i++) {
		for (size_t k = 0; r == 0 && k < b->address_count; k++) {
			struct address m;
			if (meet(&a->addresses[i], &b->addresses[k], &m))
				r = addresses_add(l, m);
		}
	}
	return r;
}

/* ---- all of it ---- */

static void narrow_scalars(struct policy *p, const struct policy *asked, unsigned parts)
{
	if (parts & NARROW_PROMISES)
		p->promises &= asked->promises;
	/* Not given, a program that is executed keeps what its starter has: no bound of its own. */
	if ((parts & NARROW_EXEC) && asked->exec_given) {
		p->exec_promises = p->exec_given ? p->exec_promises & asked->exec_promises : asked->exec_promises;
		p->exec_given = true;
	}
	if (parts & NARROW_LIMITS)
		for (int i = 0; i < LIMIT_COUNT; i++)
			if (asked->limits[i] < p->limits[i])
				p->limits[i] = asked->limits[i];
	if (parts & NARROW_LOCK)
		p->locked = true;
	p->kill = p->kill || asked->kill;
	p->abort = (p->abort || asked->abort) && !p->kill;
	p->pledged = p->pledged || asked->pledged;
}

int policy_narrow(struct policy *p, const struct policy *asked, unsigned parts)
{
	struct unveils u = {0};
	struct addresses l = {0};
	int r = 0;
	if (parts & NARROW_UNVEILS) {
		u.list = calloc(p->unveil_count + asked->unveil_count + 1, sizeof(*u.list));
		r = u.list ? unveils_meet(&u, p, asked) : -ENOMEM;
	}
	if (r == 0 && (parts & NARROW_ADDRESSES)) {
		l.list = calloc(POLICY_ADDRESSES_MAX, sizeof(*l.list));
		r = l.list ? addresses_meet(&l, p, asked) : -ENOMEM;
	}
	if (r < 0) {
		policy_unveils_free(u.list, u.count);
		policy_addresses_free(l.list, l.count);
		return r;
	}
	if (parts & NARROW_UNVEILS) {
		policy_unveils_free(p->unveils, p->unveil_count);
		p->unveils = u.list;
		p->unveil_count = u.count;
		p->everything = p->everything && asked->everything;
	}
	if (parts & NARROW_ADDRESSES) {
		policy_addresses_free(p->addresses, p->address_count);
		p->addresses = l.list;
		p->address_count = l.count;
		p->any_address = p->any_address && asked->any_address;
	}
	narrow_scalars(p, asked, parts);
	return 0;
}
