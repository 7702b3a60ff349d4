/* SPDX-License-Identifier: ISC */
/*
 * This file owns the last step to a filter. libseccomp compares call numbers one by one, spends milliseconds on a few
 * hundred rules, and knows one default for what has no rule; and a filter costs a microsecond an instruction to load,
 * which is much when a process starts in 500. Most calls need no rule: their verdict is in a table by number. The others
 * are asked of libseccomp's program, by following what it does with each number up to the first look at an argument. In
 * front of those parts goes a binary tree over ranges of numbers. Pure; runs where filters are compiled.
 *
 * The new program is written from its end to its beginning, so that the targets of a jump, which all lie ahead of it,
 * are known when it is written.
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

/* Where a jump goes: an instruction of the old program, or one that is written already. */
struct writer {
	const struct pack *p;
	struct sock_filter code[ROOM]; /* filled from the end */
	size_t first; /* of what is written */
	size_t moved[BPF_MAXINSNS]; /* old instruction to new; NOWHERE when not needed */
	bool needed[BPF_MAXINSNS];
	size_t entry[PACK_NUMBERS]; /* old instruction that follows each number; NOWHERE: its verdict is fixed */
	size_t fixed[PACK_NUMBERS]; /* new instruction that returns it */
	size_t enosys, kill, own;
	bool broken;
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

/* One for each verdict; before anything else is written. */
static size_t put_return(struct writer *w, uint32_t verdict)
{
	for (size_t i = w->first; i < ROOM; i++)
		if (w->code[i].k == verdict)
			return i;
	return put(w, BPF_RET | BPF_K, verdict, 0, 0);
}

/* ---- reading the old program ---- */

/* The high word of an int argument is loaded, masked with 0 and found to be 0: nothing to do. */
static bool empty_test(const struct pack *p, size_t at)
{
	const struct sock_filter *f = p->program + at;
	return at + 2 < p->len && f[0].code == (BPF_LD | BPF_W | BPF_ABS) && f[1].code == (BPF_ALU | BPF_AND | BPF_K) &&
	       f[1].k == 0 && f[2].code == (BPF_JMP | BPF_JEQ | BPF_K) && f[2].k == 0;
}

/* Where one really arrives at. */
static size_t resolve(const struct pack *p, size_t at)
{
	while (at < p->len) {
		const struct sock_filter *f = p->program + at;
		size_t next;
		if (f->code == (BPF_JMP | BPF_JA))
			next = at + 1 + f->k;
		else if (empty_test(p, at))
			next = at + 3 + f[2].jt;
		else
			break;
		/* The accumulator would differ: only where it is loaded anew, or no longer matters. */
		if (next >= p->len || (f->code != (BPF_JMP | BPF_JA) && BPF_CLASS(p->program[next].code) != BPF_LD &&
					      BPF_CLASS(p->program[next].code) != BPF_RET))
			break;
		at = next;
	}
	return at;
}

/* The instruction at which number's own part begins: a return, or the first look at an argument. */
static size_t part_of(const struct pack *p, uint32_t number)
{
	uint32_t a = 0;
	for (size_t at = 0; at < p->len;) {
		const struct sock_filter *f = p->program + at;
		bool yes;
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (f->k != offsetof(struct seccomp_data, nr) && f->k != offsetof(struct seccomp_data, arch))
				return resolve(p, at);
			a = f->k == offsetof(struct seccomp_data, nr) ? number : p->arch;
			at++;
			continue;
		case BPF_JMP | BPF_JA:
			at += 1 + (size_t)f->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == f->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > f->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= f->k;
			break;
		case BPF_RET | BPF_K:
			return at;
		default:
			return NOWHERE;
		}
		at += 1 + (size_t)(yes ? f->jt : f->jf);
	}
	return NOWHERE;
}

static int read_parts(struct writer *w)
{
	const struct pack *p = w->p;
	for (uint32_t nr = 0; nr < PACK_NUMBERS; nr++) {
		w->entry[nr] = NOWHERE;
		if (p->verdicts[nr] != PACK_ASK)
			continue;
		w->entry[nr] = part_of(p, nr);
		if (w->entry[nr] >= p->len)
			return -EINVAL;
		w->needed[w->entry[nr]] = true;
	}
	/* Jumps go forward: one pass finds all that is reached. */
	for (size_t i = 0; i < p->len; i++) {
		const struct sock_filter *f = p->program + i;
		size_t a = i + 1, b = i + 1;
		if (!w->needed[i] || BPF_CLASS(f->code) == BPF_RET)
			continue;
		if (BPF_CLASS(f->code) == BPF_JMP) {
			a = f->code == (BPF_JMP | BPF_JA) ? i + 1 + f->k : i + 1 + f->jt;
			b = f->code == (BPF_JMP | BPF_JA) ? a : i + 1 + f->jf;
		}
		a = resolve(p, a);
		b = resolve(p, b);
		if (a >= p->len || b >= p->len)
			return -EINVAL;
		w->needed[a] = w->needed[b] = true;
	}
	return 0;
}

/* ---- writing the new one ---- */

static void write_parts(struct writer *w)
{
	const struct pack *p = w->p;
	/* All returns before anything else: what is at the end is shared by all jumps. */
	for (size_t i = 0; i < p->len; i++)
		if (w->needed[i] && BPF_CLASS(p->program[i].code) == BPF_RET)
			w->moved[i] = put_return(w, p->program[i].k);
	for (size_t i = p->len; i-- > 0;) {
		const struct sock_filter *f = p->program + i;
		if (!w->needed[i] || BPF_CLASS(f->code) == BPF_RET)
			continue;
		if (BPF_CLASS(f->code) == BPF_JMP && f->code != (BPF_JMP | BPF_JA)) {
			w->moved[i] = put_jump(w, f->code, f->k, w->moved[resolve(p, i + 1 + f->jt)],
				w->moved[resolve(p, i + 1 + f->jf)]);
		} else if (f->code == (BPF_JMP | BPF_JA)) {
			follow(w, w->moved[resolve(p, i + 1 + f->k)]);
			w->moved[i] = w->first;
		} else {
			follow(w, w->moved[resolve(p, i + 1)]);
			w->moved[i] = put(w, f->code, f->k, 0, 0);
		}
	}
}

struct range {
	uint32_t from;
	size_t target; /* new */
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
		size_t target = w->entry[nr] == NOWHERE ? w->fixed[nr] : w->moved[w->entry[nr]];
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
	if (p->len > BPF_MAXINSNS)
		return -E2BIG;
	struct writer *w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	struct sock_filter *code = NULL;
	w->p = p;
	w->first = ROOM;
	int r = read_parts(w);
	if (r < 0)
		goto out;
	w->own = put_return(w, p->own_verdict);
	w->kill = put_return(w, SECCOMP_RET_KILL_PROCESS);
	w->enosys = put_return(w, SECCOMP_RET_ERRNO | ENOSYS);
	for (uint32_t nr = 0; nr < PACK_NUMBERS; nr++)
		if (p->verdicts[nr] != PACK_ASK)
			w->fixed[nr] = put_return(w, p->verdicts[nr]);
	write_parts(w);
	write_front(w);
	size_t count = ROOM - w->first;
	r = -E2BIG;
	if (w->broken || count > BPF_MAXINSNS)
		goto out;
	r = -ENOMEM;
	code = malloc(count * sizeof(*code));
	if (!code)
		goto out;
	memcpy(code, w->code + w->first, count * sizeof(*code));
	*out = code;
	*len = count;
	r = 0;
out:
	free(w);
	return r;
}
