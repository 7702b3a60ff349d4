/* SPDX-License-Identifier: ISC */
/* Arguments at the edges of the table's conditions, for the tests of filters. */
#include "tests/filter_model.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define VALUES_MAX 1200

static void add_value(uint64_t *out, size_t *n, uint64_t value)
{
	for (size_t i = 0; i < *n; i++)
		if (out[i] == value)
			return;
	if (*n < VALUES_MAX)
		out[(*n)++] = value;
}

static void edges_of(const struct promise_row *row, unsigned arg, uint64_t *out, size_t *n)
{
	for (size_t k = 0; k < ROW_CONDITIONS; k++) {
		const struct condition *c = &row->conditions[k];
		const uint64_t v[] = {c->value, c->value + 1, c->value - 1u, c->value | UINT64_C(1) << 32,
			c->value ^ c->mask, c->value | ~c->mask, c->value ^ 0x40, c->value ^ 0x80000000};
		for (size_t j = 0; c->kind == CONDITION_MASK && c->arg == arg && j < sizeof(v) / sizeof(v[0]); j++)
			add_value(out, n, v[j]);
	}
}

static size_t values_for(int nr, unsigned arg, uint64_t *out)
{
	size_t count, n = 0;
	const struct promise_row *rows = promise_rows(&count);
	const uint64_t common[] = {0, 1, UINT64_MAX, 0xffffffff, UINT64_C(1) << 32, 0x80000000, AT_FDCWD, 0x1000,
		0x1001, 0x1800, EMPTY_STRING, EMPTY_STRING & 0xffffffff};
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		add_value(out, &n, common[i]);
	for (size_t i = 0; i < count; i++)
		if (rows[i].number == nr)
			edges_of(&rows[i], arg, out, &n);
	return n;
}

static void add_vector(struct vectors *v, const uint64_t args[6])
{
	if ((v->count & (v->count + 1)) == 0 || !v->args) {
		v->args = realloc(v->args, (2 * v->count + 2) * sizeof(*v->args));
		assert_non_null(v->args);
	}
	memcpy(v->args[v->count++], args, sizeof(*v->args));
}

/* Each row's own arguments, with one argument at a time at every edge. */
struct vectors vectors_for(int nr)
{
	struct vectors set = {.nr = nr}, *v = &set;
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	uint64_t values[VALUES_MAX];
	unsigned seen = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t args[6] = {0};
		bool conditions = false;
		if (rows[i].number != nr)
			continue;
		for (size_t k = 0; k < ROW_CONDITIONS; k++) {
			const struct condition *c = &rows[i].conditions[k];
			if (c->kind == CONDITION_MASK)
				args[c->arg] |= c->value;
			else if (c->kind == CONDITION_POINTER)
				args[c->arg] = EMPTY_STRING;
			if (c->kind == CONDITION_NULL || c->kind == CONDITION_POINTER)
				v->wide[c->arg] = true;
			conditions = conditions || c->kind != CONDITION_NONE;
		}
		add_vector(v, args);
		for (unsigned arg = 0; arg < (conditions || v->count == 1 ? 6 : 0); arg++) {
			uint64_t vary[6];
			memcpy(vary, args, sizeof(vary));
			size_t n = 0; /* the first rows meet every edge of the call's, the others their own */
			if (seen < 3)
				n = values_for(nr, arg, values);
			else
				edges_of(&rows[i], arg, values, &n);
			for (size_t k = 0; k < n; k++) {
				vary[arg] = values[k];
				add_vector(v, vary);
			}
		}
		seen++;
	}
	if (v->count == 0)
		add_vector(v, (const uint64_t[6]){0});
	if (nr == SYS_newfstatat || nr == SYS_statx) {
		v->wide[1] = true;
		for (uint64_t fd = 0; fd < 4; fd++) {
			unsigned flags = nr == SYS_statx ? 2 : 3;
			uint64_t args[6] = {fd == 3 ? (uint64_t)AT_FDCWD : fd, EMPTY_STRING};
			args[flags] = AT_EMPTY_PATH;
			add_vector(v, args);
			args[flags] |= 0x100;
			add_vector(v, args);
		}
	}
	return set;
}

void vectors_free(struct vectors *v)
{
	free(v->args);
	*v = (struct vectors){0};
}

void garble(const struct vectors *v, const uint64_t args[6], uint64_t high, uint64_t out[6])
{
	for (unsigned arg = 0; arg < 6; arg++)
		out[arg] = v->wide[arg] ? args[arg] : args[arg] ^ high << 32;
}

/* What a condition is tried with; the first holds, if it can on its own. */
static size_t condition_values(const struct condition *c, uint64_t out[48])
{
	size_t n = 0;
	if (c->kind == CONDITION_NULL || c->kind == CONDITION_POINTER) {
		const uint64_t held[] = {EMPTY_STRING, 0, 1, 0xffffffff, UINT64_C(1) << 32, UINT64_C(1) << 63,
			UINT64_C(0xffffffff) << 32, UINT64_MAX, 0x80000000};
		out[n++] = c->kind == CONDITION_NULL ? 0 : EMPTY_STRING;
		for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
			out[n++] = held[i];
		return n;
	}
	const uint64_t whole[] = {c->value, (uint32_t)(c->value + 1), (uint32_t)(c->value - 1), c->value | ~c->mask,
		(uint32_t)~c->value, 0, 0xffffffff, (uint64_t)(int64_t)(int32_t)c->value, UINT64_MAX, INT32_MAX,
		UINT64_C(0xffffffff80000000)};
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		out[n++] = whole[i];
	for (unsigned bit = 0; bit < 32; bit++)
		out[n++] = c->value ^ UINT32_C(1) << bit;
	return n;
}

static void row_arguments(const struct promise_row *row, uint64_t args[6])
{
	memset(args, 0, 6 * sizeof(*args));
	for (size_t k = 0; k < ROW_CONDITIONS; k++) {
		const struct condition *c = &row->conditions[k];
		if (c->kind == CONDITION_MASK)
			args[c->arg] |= c->value;
		else if (c->kind == CONDITION_POINTER)
			args[c->arg] = EMPTY_STRING;
	}
}

struct vectors edges_for(const struct promise_row *row)
{
	struct vectors v = {.nr = row->number};
	uint64_t args[6], first[48], second[48];
	row_arguments(row, args);
	add_vector(&v, args);
	size_t rows;
	const struct promise_row *all = promise_rows(&rows);
	for (size_t i = 0; i < rows; i++)
		for (size_t k = 0; k < ROW_CONDITIONS && all[i].number == row->number; k++)
			if (all[i].conditions[k].kind == CONDITION_NULL ||
				all[i].conditions[k].kind == CONDITION_POINTER)
				v.wide[all[i].conditions[k].arg] = true;
	if (row->number == SYS_newfstatat || row->number == SYS_statx)
		v.wide[1] = true; /* the empty string is compared by its address */
	for (size_t k = 0; k < ROW_CONDITIONS; k++) {
		const struct condition *c = &row->conditions[k];
		if (c->kind == CONDITION_NONE)
			continue;
		size_t n = condition_values(c, first);
		for (size_t i = 0; i < n; i++) {
			uint64_t one[6];
			memcpy(one, args, sizeof(one));
			one[c->arg] = first[i];
			add_vector(&v, one);
			/* A few of another's with each: the first eleven have the edges without the single bits. */
			const struct condition *d = &row->conditions[(k + 1) % ROW_CONDITIONS];
			size_t m = d->kind == CONDITION_NONE || d == c ? 0 : condition_values(d, second);
			for (size_t j = 0; j < m && j < 11; j++) {
				uint64_t two[6];
				memcpy(two, one, sizeof(two));
				two[d->arg] = second[j];
				add_vector(&v, two);
			}
		}
	}
	return v;
}

int foreign_number(int nr)
{
	const char *name = syscall_name(nr);
	int there = name ? seccomp_syscall_resolve_name_arch(FOREIGN, name) : -1;
	return there >= 0 ? there : nr >= 424 ? nr : -1;
}
