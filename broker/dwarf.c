/* SPDX-License-Identifier: ISC */
/* Owns reading the bytes of unwind tables, and evaluating the expressions in them. Runs in unwind.c's helper, on bytes that a
 * process may have made. */
#include "broker/dwarf.h"

#include <string.h>

#define STACK 16 /* of an expression */

uint64_t cursor_fixed(struct cursor *c, size_t n, bool is_signed)
{
	uint64_t v = 0;
	if (c->bad || c->len - c->at < n) {
		c->bad = true;
		return 0;
	}
	memcpy(&v, c->bytes + c->at, n); /* both architectures are little-endian */
	c->at += n;
	if (is_signed && n < 8 && v >> (8 * n - 1))
		v |= ~UINT64_C(0) << (8 * n);
	return v;
}

uint64_t cursor_leb(struct cursor *c, bool is_signed)
{
	uint64_t v = 0, byte = 0x80;
	unsigned shift = 0;
	for (; (byte & 0x80) && !c->bad; shift += 7) {
		byte = cursor_fixed(c, 1, false);
		if (shift < 64)
			v |= (byte & 0x7f) << shift;
	}
	if (is_signed && (byte & 0x40) && shift < 64)
		v |= ~UINT64_C(0) << shift;
	return v;
}

uint64_t cursor_pointer(struct cursor *c, unsigned form)
{
	uint64_t from = (form & 0x70) == 0x10 ? c->address + c->at : 0, v;
	switch (form & 0x0f) {
	case 0x0:
	case 0x4:
	case 0xc:
		v = cursor_fixed(c, 8, false);
		break;
	case 0x3:
	case 0xb:
		v = cursor_fixed(c, 4, (form & 0x0f) == 0xb);
		break;
	case 0x2:
	case 0xa:
		v = cursor_fixed(c, 2, (form & 0x0f) == 0xa);
		break;
	case 0x1:
	case 0x9:
		v = cursor_leb(c, (form & 0x0f) == 0x9);
		break;
	default:
		c->bad = true;
		v = 0;
	}
	if ((form & 0x70) != 0 && (form & 0x70) != 0x10)
		c->bad = true;
	return from + v;
}

/* ---- expressions: those of procedure linkage tables and of signal frames ---- */

struct stack {
	uint64_t v[STACK];
	size_t n;
	bool bad;
};

static void push(struct stack *s, uint64_t v)
{
	if (s->n < STACK)
		s->v[s->n++] = v;
	else
		s->bad = true;
}

static uint64_t pop(struct stack *s)
{
	if (s->n)
		return s->v[--s->n];
	s->bad = true;
	return 0;
}

static void binary(struct stack *s, unsigned op)
{
	uint64_t b = pop(s), a = pop(s), v = 0;
	switch (op) {
	case 0x1a:
		v = a & b;
		break;
	case 0x1c:
		v = a - b;
		break;
	case 0x1e:
		v = a * b;
		break;
	case 0x21:
		v = a | b;
		break;
	case 0x22:
		v = a + b;
		break;
	case 0x24:
		v = b < 64 ? a << b : 0;
		break;
	case 0x2a:
		v = (int64_t)a >= (int64_t)b;
		break;
	default:
		s->bad = true;
	}
	push(s, v);
}

bool expression_value(
	pid_t pid, const unsigned char *code, size_t len, const struct frame *f, const uint64_t *cfa, uint64_t *out)
{
	struct cursor c = {.bytes = code, .len = len};
	struct stack s = {.n = 0};
	if (cfa)
		push(&s, *cfa);
	while (c.at < c.len && !c.bad && !s.bad) {
		unsigned op = (unsigned)cursor_fixed(&c, 1, false);
		uint64_t v = 0;
		if (op >= 0x30 && op <= 0x4f) {
			push(&s, op - 0x30);
		} else if (op >= 0x70 && op <= 0x8f) {
			v = cursor_leb(&c, true);
			s.bad |= op - 0x70 >= FRAME_REGISTERS;
			push(&s, s.bad ? 0 : f->r[op - 0x70] + v);
		} else if (op == 0x06) {
			s.bad |= !frame_read(pid, pop(&s), &v, sizeof(v));
			push(&s, v);
		} else if (op >= 0x08 && op <= 0x0f) {
			push(&s, cursor_fixed(&c, (size_t)1 << ((op - 8) / 2), op & 1));
		} else if (op == 0x10 || op == 0x11) {
			push(&s, cursor_leb(&c, op == 0x11));
		} else if (op == 0x12) {
			v = pop(&s);
			push(&s, v);
			push(&s, v);
		} else if (op == 0x23) {
			push(&s, pop(&s) + cursor_leb(&c, false));
		} else {
			binary(&s, op);
		}
	}
	*out = pop(&s);
	return !c.bad && !s.bad;
}
