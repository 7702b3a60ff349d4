/* SPDX-License-Identifier: ISC */
/*
 * This file owns the instructions of filters. A filter costs a microsecond an instruction to load, which is much when a
 * process starts in 500, and each call runs through it: so numbers are found by a binary tree over ranges, most of them
 * have a verdict at once, and of the rules of the others those that begin alike share their beginning. Pure; runs where
 * filters are compiled.
 *
 * This is not left to libseccomp, which compares numbers one by one, knows one default for what has no rule, and is wrong
 * at times: to save an instruction 2.5 takes two comparisons for the same one when they are of different arguments, and
 * with the rules of all promises for aarch64 let an ICMP socket of any type pass.
 *
 * The program is written from its end to its beginning, so that the targets of a jump, which all lie ahead of it, are
 * known when it is written.
 */
#include "policy/pack.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define X32_BIT 0x40000000u
#define NOWHERE SIZE_MAX
#define ROOM (2 * BPF_MAXINSNS)
#define NEAR 200
/* Of one number: the options of setsockopt() are the most. */
#define RULES 512

struct writer {
	const struct pack *p;
	struct sock_filter code[ROOM]; /* filled from the end */
	size_t first; /* of what is written */
	size_t entry[PACK_NUMBERS]; /* where a number's rules begin; NOWHERE: its verdict is fixed */
	size_t fixed[PACK_NUMBERS]; /* the instruction that returns it */
	size_t enosys, kill, own;
	bool broken;
	uint16_t of[PACK_NUMBERS]; /* the number's first rule, counted from 1; 0: none */
	uint16_t next[]; /* that of the rule's number which comes next */
};

static size_t put(struct writer *w, unsigned code, uint32_t k, size_t jt, size_t jf)
{
	if (w->first == 0) {
		w->broken = true;
		return 0;
	}
	w->code[--w->first] = (struct sock_filter){(uint16_t)code, (uint8_t)jt, (uint8_t)jf, k};
	return w->first;
}

/* Makes the next instruction written continue at target. */
static void follow(struct writer *w, size_t target)
{
	if (target != w->first)
		put(w, BPF_JMP | BPF_JA, (uint32_t)(target - w->first), 0, 0);
}

static size_t put_jump(struct writer *w, unsigned code, uint32_t k, size_t yes, size_t no)
{
	/* Conditional jumps reach 255 instructions; two may have to be added, which moves the other target further. */
	if (no - w->first > 254) {
		follow(w, no);
		no = w->first;
	}
	if (yes - w->first > 255) {
		follow(w, yes);
		yes = w->first;
	}
	return put(w, code, k, yes - w->first, no - w->first);
}

/* An instruction that returns the verdict, of those that are written or a new one; not further away than that, since a
 * jump that does not reach costs an instruction too. */
static size_t put_return(struct writer *w, uint32_t verdict, size_t away)
{
	for (size_t i = w->first; i < ROOM && i < w->first + away; i++)
		if (w->code[i].code == (BPF_RET | BPF_K) && w->code[i].k == verdict)
			return i;
	return put(w, BPF_RET | BPF_K, verdict, 0, 0);
}

/* ---- rules ---- */

#define LOW(arg) (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (arg))
#define HIGH(arg) (LOW(arg) + 4)
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half of an argument comes first");

static int condition_order(const struct pack_condition *a, const struct pack_condition *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->arg != b->arg)
		return a->arg < b->arg ? -1 : 1;
	if (a->mask != b->mask)
		return a->mask > b->mask ? -1 : 1;
	return a->value < b->value ? -1 : a->value > b->value;
}

static int rule_order(const void *x, const void *y)
{
	const struct pack_rule *a = *(const struct pack_rule *const *)x, *b = *(const struct pack_rule *const *)y;
	for (unsigned i = 0; i < a->count && i < b->count; i++) {
		int order = condition_order(&a->conditions[i], &b->conditions[i]);
		if (order)
			return order;
	}
	return a->count < b->count ? -1 : a->count > b->count;
}

/* What loads the bits that c is about, in front of its comparison. */
static size_t put_load(struct writer *w, const struct pack_condition *c)
{
	if (c->kind == PACK_MASK && c->mask != UINT32_MAX)
		put(w, BPF_ALU | BPF_AND | BPF_K, c->mask, 0, 0);
	return put(w, BPF_LD | BPF_W | BPF_ABS, c->kind == PACK_MASK ? LOW(c->arg) : HIGH(c->arg), 0, 0);
}

/* Compares what is loaded: on to yes or no. */
static size_t put_test(struct writer *w, const struct pack_condition *c, size_t yes, size_t no)
{
	if (c->kind == PACK_MASK)
		return put_jump(w, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)c->value, yes, no);
	size_t same = c->kind == PACK_EQUAL ? yes : no, other = c->kind == PACK_EQUAL ? no : yes;
	put_jump(w, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)c->value, same, other);
	size_t low = put(w, BPF_LD | BPF_W | BPF_ABS, LOW(c->arg), 0, 0);
	return put_jump(w, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(c->value >> 32), low, other);
}

/* The rules, sorted, which have their first depth conditions in common and those hold: on to otherwise when no rule does.
 * At most PACK_CONDITIONS deep. */
static size_t write_rules(
	struct writer *w, const struct pack_rule **rules, size_t count, unsigned depth, size_t otherwise)
{
	const struct pack_condition *next = NULL; /* what is compared at otherwise, where it is not loaded yet */
	if (count == 0)
		return otherwise;
	if (rules[0]->count == depth) /* the shortest comes first */
		return put_return(w, rules[0]->verdict, NEAR);
	for (size_t end = count; end > 0;) {
		const struct pack_condition *c = &rules[end - 1]->conditions[depth];
		size_t begin = end - 1;
		while (begin > 0 && condition_order(&rules[begin - 1]->conditions[depth], c) == 0)
			begin--;
		/* Who comes from a comparison of the same bits has them; who comes from further conditions has others. */
		bool same = next && next->kind == PACK_MASK && c->kind == PACK_MASK && next->arg == c->arg &&
			    next->mask == c->mask;
		size_t loaded = otherwise;
		if (next && (!same || rules[begin]->count > depth + 1))
			otherwise = put_load(w, next);
		size_t yes = write_rules(w, rules + begin, end - begin, depth + 1, otherwise);
		otherwise = put_test(w, c, yes, same ? loaded : otherwise);
		next = c;
		end = begin;
	}
	return put_load(w, next);
}

static size_t write_number(struct writer *w, uint32_t number)
{
	const struct pack_rule *rules[RULES];
	size_t begin = put_return(w, w->p->other, NEAR);
	for (unsigned order = PACK_ORDERS; order-- > 0;) { /* from the end */
		size_t count = 0;
		for (size_t i = w->of[number]; i; i = w->next[i - 1]) {
			const struct pack_rule *rule = &w->p->rules[i - 1];
			if (rule->order != order)
				continue;
			if (count == RULES) {
				w->broken = true;
				return begin;
			}
			rules[count++] = rule;
		}
		qsort(rules, count, sizeof(struct pack_rule *), rule_order);
		begin = write_rules(w, rules, count, 0, begin);
	}
	return begin;
}

/* ---- numbers ---- */

struct range {
	uint32_t from;
	size_t target;
};

/* The numbers from ranges[0].from on, as a tree. Returns where it begins. */
static size_t write_tree(struct writer *w, const struct range *ranges, size_t count)
{
	if (count == 1)
		return ranges[0].target;
	size_t half = count / 2;
	size_t high = write_tree(w, ranges + half, count - half);
	size_t low = write_tree(w, ranges, half);
	return put_jump(w, BPF_JMP | BPF_JGE | BPF_K, ranges[half].from, high, low);
}

static void write_front(struct writer *w)
{
	const struct pack *p = w->p;
	struct range ranges[PACK_NUMBERS];
	size_t count = 0;
	for (uint32_t nr = 0; nr < PACK_NUMBERS; nr++) {
		size_t target = w->entry[nr] == NOWHERE ? w->fixed[nr] : w->entry[nr];
		if (count == 0 || ranges[count - 1].target != target)
			ranges[count++] = (struct range){nr, target};
	}
	size_t above = w->enosys;
	if (p->arch == AUDIT_ARCH_X86_64) { /* x32's numbers; not -1, a call that a tracer skipped */
		above = put_jump(w, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, w->kill, w->enosys);
		above = put_jump(w, BPF_JMP | BPF_JEQ | BPF_K, UINT32_MAX, w->enosys, above);
	}
	above = put_jump(w, BPF_JMP | BPF_JEQ | BPF_K, p->own, w->own, above);
	size_t low = write_tree(w, ranges, count);
	put_jump(w, BPF_JMP | BPF_JGE | BPF_K, PACK_NUMBERS, above, low);
	put(w, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	put_jump(w, BPF_JMP | BPF_JEQ | BPF_K, p->arch, w->first, w->kill);
	put(w, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
}

int pack_program(const struct pack *p, struct sock_filter **out, size_t *len)
{
	if (p->rule_count > UINT16_MAX)
		return -E2BIG;
	struct writer *w = calloc(1, sizeof(*w) + p->rule_count * sizeof(w->next[0]));
	if (!w)
		return -ENOMEM;
	w->p = p;
	for (size_t i = p->rule_count; i > 0; i--) {
		uint16_t *first = p->rules[i - 1].number < PACK_NUMBERS ? &w->of[p->rules[i - 1].number] : NULL;
		if (!first)
			continue;
		w->next[i - 1] = *first;
		*first = (uint16_t)i;
	}
	w->first = ROOM;
	for (uint32_t nr = PACK_NUMBERS; nr-- > 0;)
		w->entry[nr] = p->verdicts[nr] == PACK_ASK ? write_number(w, nr) : NOWHERE;
	/* Close to the tree. Most have their neighbour's. */
	size_t last = ROOM;
	for (uint32_t nr = 0; nr < PACK_NUMBERS; nr++) {
		if (p->verdicts[nr] == PACK_ASK)
			continue;
		if (last == ROOM || w->code[last].k != p->verdicts[nr])
			last = put_return(w, p->verdicts[nr], NEAR);
		w->fixed[nr] = last;
	}
	w->own = put_return(w, p->own_verdict, NEAR);
	w->kill = put_return(w, SECCOMP_RET_KILL_PROCESS, NEAR);
	w->enosys = put_return(w, SECCOMP_RET_ERRNO | ENOSYS, NEAR);
	write_front(w);
	size_t count = ROOM - w->first;
	int r = w->broken || count > BPF_MAXINSNS ? -E2BIG : 0;
	struct sock_filter *code = r == 0 ? malloc(count * sizeof(*code)) : NULL;
	if (r == 0 && !code)
		r = -ENOMEM;
	if (r == 0) {
		memcpy(code, w->code + w->first, count * sizeof(*code));
		*out = code;
		*len = count;
	}
	free(w);
	return r;
}
