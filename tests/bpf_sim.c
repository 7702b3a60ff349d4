/* SPDX-License-Identifier: ISC */
/* This file owns a model of classic BPF with the instructions that the kernel lets seccomp use, so that a filter can be
 * asked about any call on any machine. Runs in tests. */
#include "tests/bpf_sim.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct machine {
	uint32_t a, x, scratch[BPF_MEMWORDS];
	const struct seccomp_data *d;
};

static bool alu(struct machine *m, const struct sock_filter *f)
{
	uint32_t v = BPF_SRC(f->code) == BPF_X ? m->x : f->k;
	switch (BPF_OP(f->code)) {
	case BPF_ADD:
		m->a += v;
		return true;
	case BPF_SUB:
		m->a -= v;
		return true;
	case BPF_MUL:
		m->a *= v;
		return true;
	case BPF_DIV:
		if (v)
			m->a /= v;
		return v != 0;
	case BPF_OR:
		m->a |= v;
		return true;
	case BPF_AND:
		m->a &= v;
		return true;
	case BPF_XOR:
		m->a ^= v;
		return true;
	case BPF_LSH:
		if (v < 32)
			m->a <<= v;
		return v < 32;
	case BPF_RSH:
		if (v < 32)
			m->a >>= v;
		return v < 32;
	case BPF_NEG:
		m->a = -m->a;
		return true;
	default:
		return false;
	}
}

static bool load(struct machine *m, const struct sock_filter *f)
{
	uint32_t v;
	switch (f->code & ~BPF_CLASS(f->code)) {
	case BPF_W | BPF_ABS:
		if (BPF_CLASS(f->code) != BPF_LD || f->k % 4 || f->k > sizeof(*m->d) - 4)
			return false;
		memcpy(&v, (const char *)m->d + f->k, 4);
		break;
	case BPF_IMM:
		v = f->k;
		break;
	case BPF_MEM:
		if (f->k >= BPF_MEMWORDS)
			return false;
		v = m->scratch[f->k];
		break;
	case BPF_W | BPF_LEN:
		v = sizeof(*m->d);
		break;
	default:
		return false;
	}
	if (BPF_CLASS(f->code) == BPF_LD)
		m->a = v;
	else
		m->x = v;
	return true;
}

/* How far to jump, or -1. */
static int64_t jump(const struct machine *m, const struct sock_filter *f)
{
	uint32_t v = BPF_SRC(f->code) == BPF_X ? m->x : f->k;
	bool yes;
	switch (BPF_OP(f->code)) {
	case BPF_JA:
		return f->k;
	case BPF_JEQ:
		yes = m->a == v;
		break;
	case BPF_JGT:
		yes = m->a > v;
		break;
	case BPF_JGE:
		yes = m->a >= v;
		break;
	case BPF_JSET:
		yes = m->a & v;
		break;
	default:
		return -1;
	}
	return yes ? f->jt : f->jf;
}

int bpf_sim(
	const struct sock_filter *program, size_t len, const struct seccomp_data *d, uint32_t *verdict, unsigned *steps)
{
	struct machine m = {.d = d};
	int64_t far;
	unsigned count = 0;
	for (size_t at = 0; at < len; at++) {
		const struct sock_filter *f = &program[at];
		count++;
		switch (BPF_CLASS(f->code)) {
		case BPF_LD:
		case BPF_LDX:
			if (!load(&m, f))
				return -EINVAL;
			break;
		case BPF_ST:
		case BPF_STX:
			if (f->k >= BPF_MEMWORDS)
				return -EINVAL;
			m.scratch[f->k] = BPF_CLASS(f->code) == BPF_ST ? m.a : m.x;
			break;
		case BPF_ALU:
			if (!alu(&m, f))
				return -EINVAL;
			break;
		case BPF_JMP:
			far = jump(&m, f);
			if (far < 0)
				return -EINVAL;
			at += (size_t)far;
			break;
		case BPF_RET:
			*verdict = BPF_RVAL(f->code) == BPF_A ? m.a : f->k;
			if (steps)
				*steps = count;
			return 0;
		case BPF_MISC:
			if (BPF_MISCOP(f->code) == BPF_TAX)
				m.x = m.a;
			else if (BPF_MISCOP(f->code) == BPF_TXA)
				m.a = m.x;
			else
				return -EINVAL;
			break;
		}
	}
	return -EINVAL;
}
