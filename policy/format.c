/* SPDX-License-Identifier: ISC */
/* Owns the writing of the policy language: whole policies for the broker, single rules for messages. Pure; runs in the
 * host and the broker. */
#include "policy/internal.h"

#include "policy/promises.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text that grows, or, with fixed, is cut. */
struct text {
	char *bytes;
	size_t len, cap;
	bool fixed, failed;
};

static void add_byte(struct text *t, char c)
{
	if (t->len + 1 >= t->cap) {
		char *grown = t->fixed ? NULL : realloc(t->bytes, t->cap ? t->cap * 2 : 512);
		if (!grown) {
			t->failed = true;
			return;
		}
		t->cap = t->cap ? t->cap * 2 : 512;
		t->bytes = grown;
	}
	t->bytes[t->len++] = c;
	t->bytes[t->len] = 0;
}

static void add(struct text *t, const char *word)
{
	while (*word)
		add_byte(t, *word++);
}

static void add_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_format(struct text *t, const char *format, ...)
{
	char buf[128];
	va_list ap;
	va_start(ap, format);
	vsnprintf(buf, sizeof(buf), format, ap);
	va_end(ap);
	add(t, buf);
}

static bool control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

/* The word so that it is read back as one: in quotes where it must be. */
static void add_word(struct text *t, const char *word)
{
	bool bare = *word && *word != '#';
	for (const char *c = word; bare && *c; c++)
		bare = *c != ' ' && *c != '"' && *c != '\\' && !control(*c);
	if (bare) {
		add(t, word);
		return;
	}
	add_byte(t, '"');
	for (; *word; word++) {
		if (*word == '"' || *word == '\\') {
			add_byte(t, '\\');
			add_byte(t, *word);
		} else if (control(*word)) {
			add_format(t, "\\%03o", (unsigned)(unsigned char)*word);
		} else {
			add_byte(t, *word);
		}
	}
	add_byte(t, '"');
}

static void add_host(struct text *t, const struct address *a)
{
	char buf[INET6_ADDRSTRLEN] = "";
	if (a->host) {
		add(t, a->host);
		return;
	}
	bool v4 = policy_net_is_v4(a->net, a->prefix);
	unsigned bits = v4 ? a->prefix - 96u : a->prefix, all = v4 ? 32 : 128;
	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->net + 12 : a->net, buf, sizeof(buf));
	add_format(t, v4 ? "%s" : "[%s]", buf);
	if (bits != all)
		add_format(t, "/%u", bits);
}

static void add_address(struct text *t, const struct address *a)
{
	if (a->kind == ADDRESS_UNIX) {
		/* Quoted as one word with its kind. */
		struct text whole = {0};
		add(&whole, "unix:");
		add(&whole, a->host);
		if (whole.failed)
			t->failed = true;
		else
			add_word(t, whole.bytes);
		free(whole.bytes);
		return;
	}
	add(t, a->kind == ADDRESS_TCP ? "tcp:" : "udp:");
	add_host(t, a);
	add_format(t, ":%u", a->port_low);
	if (a->port_high != a->port_low)
		add_format(t, "-%u", a->port_high);
	if (a->private_ok)
		add(t, "+private");
}

static void add_unveil(struct text *t, const struct unveil *rule)
{
	char perms[8];
	add_word(t, rule->path);
	add_byte(t, ' ');
	add_word(t, policy_perms_format(rule->perms, perms));
}

const char *policy_unveil_format(const struct unveil *rule, char *buf, size_t len)
{
	struct text t = {.bytes = buf, .cap = len, .fixed = true};
	if (len)
		*buf = 0;
	add_unveil(&t, rule);
	return buf;
}

const char *policy_address_format(const struct address *rule, char *buf, size_t len)
{
	struct text t = {.bytes = buf, .cap = len, .fixed = true};
	if (len)
		*buf = 0;
	add_address(&t, rule);
	return buf;
}

static void add_promises(struct text *t, const char *statement, uint64_t set)
{
	add(t, statement);
	for (unsigned i = 0; i < PROMISE_COUNT; i++) {
		if (set & (UINT64_C(1) << i)) {
			add_byte(t, ' ');
			add(t, promise_name(i));
		}
	}
	add_byte(t, '\n');
}

static void add_rules(struct text *t, const struct policy *p)
{
	for (size_t i = 0; i < p->unveil_count; i++) {
		add(t, "unveil ");
		add_unveil(t, &p->unveils[i]);
		add(t, p->unveils[i].name ? " name\n" : "\n");
	}
	for (size_t i = 0; i < p->address_count; i++) {
		add(t, p->addresses[i].bind ? "bind " : "connect ");
		add_address(t, &p->addresses[i]);
		add_byte(t, '\n');
	}
	for (int i = 0; i < LIMIT_COUNT; i++)
		if (p->limits[i] != LIMIT_NONE)
			add_format(t, "limit %s %llu%s\n", policy_limit_name((enum policy_limit)i),
				(unsigned long long)p->limits[i], i == LIMIT_CPU || i == LIMIT_WALL ? "ms" : "");
	for (size_t i = 0; i < p->env_count; i++) {
		add(t, "env ");
		add_word(t, p->env[i]);
		add_byte(t, '\n');
	}
}

/* -EINVAL when a layer has no word: left out, it would be required, and nobody would know why. */
static int add_layers(struct text *t, unsigned layers, const char *(*layer_name)(unsigned))
{
	for (unsigned bit = 1; bit; bit <<= 1) {
		const char *name = layers & bit && layer_name ? layer_name(bit) : NULL;
		if (layers & bit && !name)
			return -EINVAL;
		if (name)
			add_format(t, "tolerate %s\n", name);
	}
	return 0;
}

int policy_format(const struct policy *p, const char *(*layer_name)(unsigned), char **out)
{
	struct text t = {0};
	if (p->promises >> PROMISE_COUNT || (p->exec_given && p->exec_promises >> PROMISE_COUNT))
		return -EINVAL;
	add_promises(&t, "pledge", p->promises);
	if (p->exec_given)
		add_promises(&t, "exec", p->exec_promises);
	add_rules(&t, p);
	int r = add_layers(&t, p->tolerate, layer_name);
	if (p->kill)
		add(&t, "on-violation kill\n");
	else if (p->abort)
		add(&t, "on-violation abort\n");
	if (p->everything)
		add(&t, "state everything\n");
	if (p->locked)
		add(&t, "state locked\n");
	if (p->any_address)
		add(&t, "state any-address\n");
	if (p->pledged)
		add(&t, "state pledged\n");
	if (r < 0 || t.failed) {
		free(t.bytes);
		return r < 0 ? r : -ENOMEM;
	}
	*out = t.bytes;
	return 0;
}
