/* SPDX-License-Identifier: ISC */
/* Owns struct policy as a thing: its life, environment, limits and promises. Pure; runs in the host and the broker. */
#include "policy/internal.h"

#include "policy/promises.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum unit { UNIT_BYTES, UNIT_TIME, UNIT_COUNT };
static const struct {
	const char *name;
	enum unit unit;
} limits[LIMIT_COUNT] = {
	[LIMIT_MEMORY] = {"memory", UNIT_BYTES},
	[LIMIT_CPU] = {"cpu", UNIT_TIME},
	[LIMIT_WALL] = {"wall", UNIT_TIME},
	[LIMIT_PROCESSES] = {"processes", UNIT_COUNT},
	[LIMIT_FILES] = {"files", UNIT_COUNT},
	[LIMIT_FILE_SIZE] = {"file-size", UNIT_BYTES},
	[LIMIT_CONNECTS] = {"connects", UNIT_COUNT},
	[LIMIT_TRAFFIC] = {"traffic", UNIT_BYTES},
	[LIMIT_WEIGHT] = {"weight", UNIT_COUNT},
};

static const struct {
	enum unit unit;
	const char *suffix;
	uint64_t factor;
} suffixes[] = {
	{UNIT_BYTES, "", 1},
	{UNIT_BYTES, "K", UINT64_C(1) << 10},
	{UNIT_BYTES, "M", UINT64_C(1) << 20},
	{UNIT_BYTES, "G", UINT64_C(1) << 30},
	{UNIT_BYTES, "T", UINT64_C(1) << 40},
	/* A time has a unit: nobody can know whether "cpu 10" meant seconds. */
	{UNIT_TIME, "ms", 1},
	{UNIT_TIME, "s", 1000},
	{UNIT_TIME, "m", 60 * 1000},
	{UNIT_TIME, "h", 60 * 60 * 1000},
	{UNIT_COUNT, "", 1},
};

int policy_error(char *error, size_t len, const char *format, ...)
{
	if (!error || !len)
		return -EINVAL;
	va_list ap;
	va_start(ap, format);
	vsnprintf(error, len, format, ap);
	va_end(ap);
	/* The words come from a file or a target: no escape sequences to somebody's terminal, no second line in a log. */
	for (char *c = error; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return -EINVAL;
}

const char *policy_hint(const char *word, const char *const *words, char buf[64])
{
	const char *near = policy_nearest(word, words);
	snprintf(buf, 64, near ? "; did you mean '%s'?" : "%s", near ? near : "");
	return buf;
}

void policy_init(struct policy *p)
{
	memset(p, 0, sizeof(*p));
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		p->limits[i] = LIMIT_NONE;
}

void policy_clear(struct policy *p)
{
	policy_unveils_free(p->unveils, p->unveil_count);
	policy_addresses_free(p->addresses, p->address_count);
	for (size_t i = 0; i < p->env_count; i++)
		free(p->env[i]);
	free(p->env);
	policy_init(p);
}

static int copy_lists(struct policy *to, const struct policy *from)
{
	if (from->unveil_count && !(to->unveils = calloc(from->unveil_count, sizeof(*to->unveils))))
		return -ENOMEM;
	for (; to->unveil_count < from->unveil_count; to->unveil_count++) {
		struct unveil *rule = &to->unveils[to->unveil_count];
		*rule = from->unveils[to->unveil_count];
		if (!(rule->path = strdup(rule->path)))
			return -ENOMEM;
	}
	if (from->address_count && !(to->addresses = calloc(from->address_count, sizeof(*to->addresses))))
		return -ENOMEM;
	for (; to->address_count < from->address_count; to->address_count++) {
		struct address *rule = &to->addresses[to->address_count];
		*rule = from->addresses[to->address_count];
		if (rule->host && !(rule->host = strdup(rule->host)))
			return -ENOMEM;
	}
	if (from->env_count && !(to->env = calloc(from->env_count, sizeof(*to->env))))
		return -ENOMEM;
	for (; to->env_count < from->env_count; to->env_count++)
		if (!(to->env[to->env_count] = strdup(from->env[to->env_count])))
			return -ENOMEM;
	return 0;
}

int policy_copy(struct policy *to, const struct policy *from)
{
	*to = *from;
	to->unveils = NULL;
	to->addresses = NULL;
	to->env = NULL;
	to->unveil_count = to->address_count = to->env_count = 0;
	int r = copy_lists(to, from);
	if (r < 0)
		policy_clear(to);
	return r;
}

int policy_env_add(struct policy *p, const char *assignment)
{
	size_t name = strcspn(assignment, "=");
	if (name == 0)
		return -EINVAL;
	if (strnlen(assignment, POLICY_ENV_BYTES + 1) > POLICY_ENV_BYTES)
		return -ENAMETOOLONG;
	size_t i = 0;
	while (i < p->env_count &&
		(strncmp(p->env[i], assignment, name) != 0 || (p->env[i][name] && p->env[i][name] != '=')))
		i++;
	if (i == POLICY_ENV_MAX)
		return -E2BIG;
	char *copy = strdup(assignment);
	if (!copy)
		return -ENOMEM;
	if (i < p->env_count) {
		free(p->env[i]);
		p->env[i] = copy;
		return 0;
	}
	char **grown = reallocarray(p->env, p->env_count + 1, sizeof(*grown));
	if (!grown) {
		free(copy);
		return -ENOMEM;
	}
	p->env = grown;
	p->env[p->env_count++] = copy;
	return 0;
}

/* The largest number means that there is no limit, which cannot be asked for. A weight is what the kernel takes for one. */
bool policy_limit_fits(enum policy_limit limit, uint64_t value)
{
	return (unsigned)limit < LIMIT_COUNT && value != LIMIT_NONE &&
	       (limit != LIMIT_WEIGHT || (value >= 1 && value <= 10000));
}

int policy_limit_parse(enum policy_limit limit, const char *text, uint64_t *value)
{
	if ((unsigned)limit >= LIMIT_COUNT)
		return -EINVAL;
	uint64_t n = 0;
	const char *at = text;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (unsigned)(*at - '0'), &n))
			return -EINVAL;
	if (at == text)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (suffixes[i].unit != limits[limit].unit || strcmp(suffixes[i].suffix, at) != 0)
			continue;
		if (__builtin_mul_overflow(n, suffixes[i].factor, &n) || !policy_limit_fits(limit, n))
			return -EINVAL;
		*value = n;
		return 0;
	}
	return -EINVAL;
}

int policy_limit_find(const char *name)
{
	for (int i = 0; i < LIMIT_COUNT; i++)
		if (strcmp(limits[i].name, name) == 0)
			return i;
	return -1;
}

const char *policy_limit_name(enum policy_limit limit)
{
	return (unsigned)limit < LIMIT_COUNT ? limits[limit].name : NULL;
}

bool policy_executes(const struct policy *p)
{
	return p->promises & PROMISE_BIT(exec);
}

int policy_promised(const struct policy *p, uint64_t need, unsigned *missing)
{
	uint64_t lacking = need & ~p->promises;
	if (!lacking)
		return 0;
	if (missing)
		*missing = (unsigned)__builtin_ctzll(lacking);
	return -EPERM;
}
