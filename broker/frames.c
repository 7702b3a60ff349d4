/* SPDX-License-Identifier: ISC */
/*
 * Owns the way from a call frame to its caller's, by the tables that every program and library carries for exceptions
 * (.eh_frame: DWARF's call frame information). They are mapped with the code, so they are read from the process itself.
 * Runs in unwind.c's helper, on bytes that the process may have made: what is not as it should be ends the walk.
 */
#include "broker/dwarf.h"

#include <string.h>

#define BYTES 4096 /* of one CIE or FDE */
#define SAVED 4 /* rows that are remembered */

#if defined(__x86_64__)
#define ADDRESS(a) (a)
#elif defined(__aarch64__)
#define ADDRESS(a) ((a)&UINT64_C(0xffffffffffff)) /* a signed return address */
#endif

/* ---- the tables ---- */

struct entry {
	unsigned char bytes[BYTES];
	struct cursor c;
};

static bool entry_read(pid_t pid, uint64_t address, struct entry *e)
{
	uint32_t len;
	if (!frame_read(pid, address, &len, sizeof(len)) || len < 4 || len > sizeof(e->bytes) ||
		!frame_read(pid, address + 4, e->bytes, len))
		return false;
	e->c = (struct cursor){.bytes = e->bytes, .len = len, .address = address + 4};
	return true;
}

/* The binary search table of .eh_frame_hdr, in the one form that linkers write. */
static bool table_find(pid_t pid, uint64_t header, uint64_t pc, uint64_t *found)
{
	struct {
		unsigned char version, pointer, count, table;
		int32_t frames;
		uint32_t entries;
	} head;
	int32_t pair[2], best = 0;
	if (!frame_read(pid, header, &head, sizeof(head)) || head.version != 1 || head.count != 0x03 ||
		head.table != 0x3b || (head.pointer & 0x0f) != 0x0b)
		return false;
	uint32_t low = 0, high = head.entries;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (!frame_read(pid, header + sizeof(head) + UINT64_C(8) * middle, pair, sizeof(pair)))
			return false;
		if (header + (uint64_t)(int64_t)pair[0] <= pc) {
			best = pair[1];
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	*found = header + (uint64_t)(int64_t)best;
	return low > 0;
}

enum rule_kind { RULE_SAME, RULE_UNDEFINED, RULE_OFFSET, RULE_VALUE, RULE_REGISTER, RULE_MEMORY_AT, RULE_EXPRESSION };
struct rule {
	enum rule_kind kind;
	int64_t value;
	const unsigned char *code;
	size_t len;
};

struct row {
	struct rule cfa; /* RULE_OFFSET: register `base` and value; RULE_EXPRESSION */
	uint64_t base;
	struct rule r[FRAME_REGISTERS];
};

struct common {
	uint64_t code, ra, data; /* data: of two's complement */
	unsigned form;
	bool augmented, signal;
};

static bool common_parse(struct cursor *c, struct common *out)
{
	char text[8] = "";
	size_t n = 0;
	*out = (struct common){.code = 1};
	if (cursor_fixed(c, 4, false) != 0)
		return false;
	unsigned version = (unsigned)cursor_fixed(c, 1, false);
	while (!c->bad && n < sizeof(text) && (text[n] = (char)cursor_fixed(c, 1, false)))
		n++;
	if ((version != 1 && version != 3) || n == sizeof(text))
		return false;
	out->code = cursor_leb(c, false);
	out->data = cursor_leb(c, true);
	out->ra = version == 1 ? cursor_fixed(c, 1, false) : cursor_leb(c, false);
	if (text[0] == 'z') {
		uint64_t len = cursor_leb(c, false), end = c->at + len;
		for (size_t i = 1; i < n && !c->bad; i++) {
			if (text[i] == 'R')
				out->form = (unsigned)cursor_fixed(c, 1, false);
			else if (text[i] == 'L')
				cursor_fixed(c, 1, false);
			else if (text[i] == 'P')
				cursor_pointer(c, (unsigned)cursor_fixed(c, 1, false) & 0x0f);
			else if (text[i] == 'S')
				out->signal = true;
			else if (text[i] != 'B')
				return false;
		}
		if (end > c->len || len > c->len)
			return false;
		c->at = end;
		out->augmented = true;
	} else if (n) {
		return false;
	}
	return !c->bad && out->ra < FRAME_REGISTERS;
}

/* ---- what they say ---- */

struct machine {
	struct row row, first, saved[SAVED];
	size_t depth;
	const struct common *common;
	uint64_t at, pc;
};

static void rule_set(struct machine *m, struct cursor *c, uint64_t reg, struct rule rule)
{
	if (rule.kind == RULE_MEMORY_AT || rule.kind == RULE_EXPRESSION) {
		rule.len = cursor_leb(c, false);
		rule.code = c->bytes + c->at;
		if (c->bad || rule.len > c->len - c->at) {
			c->bad = true;
			return;
		}
		c->at += rule.len;
	}
	if (reg < FRAME_REGISTERS)
		m->row.r[reg] = rule;
}

static void cfa_set(struct machine *m, struct cursor *c, unsigned op)
{
	const bool sf = op == 0x12 || op == 0x13;
	if (op == 0x0c || op == 0x0d || op == 0x12)
		m->row.base = cursor_leb(c, false);
	if (op == 0x0f) {
		uint64_t len = cursor_leb(c, false);
		m->row.cfa = (struct rule){.kind = RULE_EXPRESSION, .code = c->bytes + c->at, .len = len};
		c->bad |= len > c->len - c->at;
		c->at += c->bad ? 0 : len;
		return;
	}
	m->row.cfa.kind = RULE_OFFSET;
	if (op != 0x0d)
		m->row.cfa.value = (int64_t)(cursor_leb(c, sf) * (sf ? m->common->data : 1));
}

static void row_keep(struct machine *m, struct cursor *c, bool back)
{
	if (back ? m->depth == 0 : m->depth == SAVED)
		c->bad = true;
	else if (back)
		m->row = m->saved[--m->depth];
	else
		m->saved[m->depth++] = m->row;
}

static void extended(struct machine *m, struct cursor *c, unsigned op)
{
	static const struct {
		unsigned char op, kind, operand; /* operand: 'u' and 's' are factored, 'r' a register, 0 none */
	} rules[] = {{0x05, RULE_OFFSET, 'u'}, {0x11, RULE_OFFSET, 's'}, {0x07, RULE_UNDEFINED, 0},
		{0x08, RULE_SAME, 0}, {0x09, RULE_REGISTER, 'r'}, {0x10, RULE_MEMORY_AT, 0}, {0x16, RULE_EXPRESSION, 0},
		{0x14, RULE_VALUE, 'u'}, {0x15, RULE_VALUE, 's'}};
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].op != op)
			continue;
		uint64_t reg = cursor_leb(c, false);
		struct rule rule = {.kind = (enum rule_kind)rules[i].kind};
		if (rules[i].operand)
			rule.value = (int64_t)(cursor_leb(c, rules[i].operand == 's') *
					       (rules[i].operand == 'r' ? 1 : m->common->data));
		rule_set(m, c, reg, rule);
		return;
	}
	c->bad = true;
}

static void instruction(struct machine *m, struct cursor *c)
{
	unsigned op = (unsigned)cursor_fixed(c, 1, false), low = op & 0x3f;
	uint64_t reg;
	switch (op >> 6) {
	case 1:
		m->at += low * m->common->code;
		return;
	case 2:
		rule_set(m, c, low,
			(struct rule){RULE_OFFSET, (int64_t)(cursor_leb(c, false) * m->common->data), NULL, 0});
		return;
	case 3:
		if (low < FRAME_REGISTERS)
			m->row.r[low] = m->first.r[low];
		return;
	default:
		break;
	}
	switch (op) {
	case 0x00: /* nop */
	case 0x2d: /* aarch64: whether the return address is signed, which ADDRESS() takes off in any case */
		return;
	case 0x01:
		m->at = cursor_pointer(c, m->common->form);
		return;
	case 0x02:
	case 0x03:
	case 0x04:
		m->at += cursor_fixed(c, (size_t)1 << (op - 2), false) * m->common->code;
		return;
	case 0x06:
		reg = cursor_leb(c, false);
		if (reg < FRAME_REGISTERS)
			m->row.r[reg] = m->first.r[reg];
		return;
	case 0x0a:
	case 0x0b:
		row_keep(m, c, op == 0x0b);
		return;
	case 0x0c:
	case 0x0d:
	case 0x0e:
	case 0x0f:
	case 0x12:
	case 0x13:
		cfa_set(m, c, op);
		return;
	case 0x2e:
		cursor_leb(c, false);
		return;
	default:
		extended(m, c, op);
	}
}

/* Up to the row that holds at pc. */
static bool program_run(struct machine *m, struct cursor *c)
{
	while (!c->bad && c->at < c->len) {
		const struct row row = m->row;
		instruction(m, c);
		if (m->at > m->pc) {
			m->row = row;
			break;
		}
	}
	return !c->bad;
}

static bool rule_apply(
	pid_t pid, const struct rule *rule, const struct frame *f, uint64_t cfa, uint64_t same, uint64_t *out)
{
	uint64_t at = cfa + (uint64_t)rule->value;
	switch (rule->kind) {
	case RULE_SAME:
		*out = same;
		return true;
	case RULE_OFFSET:
		return frame_read(pid, at, out, sizeof(*out));
	case RULE_VALUE:
		*out = at;
		return true;
	case RULE_REGISTER:
		*out = (uint64_t)rule->value < FRAME_REGISTERS ? f->r[rule->value] : 0;
		return true;
	case RULE_MEMORY_AT:
		return expression_value(pid, rule->code, rule->len, f, &cfa, &at) &&
		       frame_read(pid, at, out, sizeof(*out));
	case RULE_EXPRESSION:
		return expression_value(pid, rule->code, rule->len, f, &cfa, out);
	case RULE_UNDEFINED:
		break;
	}
	*out = 0;
	return true;
}

/* ---- a step ---- */

static bool caller(pid_t pid, const struct machine *m, struct frame *f)
{
	const struct frame from = *f;
	const struct row *row = &m->row;
	uint64_t cfa;
	if (row->cfa.kind == RULE_EXPRESSION) {
		if (!expression_value(pid, row->cfa.code, row->cfa.len, &from, NULL, &cfa))
			return false;
	} else {
		if (row->base >= FRAME_REGISTERS)
			return false;
		cfa = from.r[row->base] + (uint64_t)row->cfa.value;
	}
	for (size_t i = 0; i < FRAME_REGISTERS; i++)
		if (!rule_apply(pid, &row->r[i], &from, cfa, i == FRAME_SP ? cfa : from.r[i], &f->r[i]))
			return false;
	f->pc = row->r[m->common->ra].kind == RULE_UNDEFINED ? 0 : ADDRESS(f->r[m->common->ra]);
	f->exact = m->common->signal;
	return f->pc != 0;
}

/* By the description at address. */
static bool step_by(pid_t pid, uint64_t address, uint64_t pc, struct frame *f)
{
	static struct entry fde, cie; /* the helper has one thread, and little stack */
	static struct machine m;
	static struct common common;
	if (!entry_read(pid, address, &fde))
		return false;
	uint64_t back = cursor_fixed(&fde.c, 4, false);
	if (back == 0 || !entry_read(pid, address + 4 - back, &cie) || !common_parse(&cie.c, &common))
		return false;
	memset(&m, 0, sizeof(m));
	m.common = &common;
	m.pc = pc;
	m.at = cursor_pointer(&fde.c, common.form);
	uint64_t size = cursor_pointer(&fde.c, common.form & 0x0f);
	if (common.augmented)
		fde.c.at += cursor_leb(&fde.c, false);
	if (fde.c.bad || fde.c.at > fde.c.len || pc < m.at || pc - m.at >= size)
		return false;
	if (!program_run(&m, &cie.c))
		return false;
	m.first = m.row;
	return program_run(&m, &fde.c) && caller(pid, &m, f);
}

bool frame_step(pid_t pid, uint64_t header, struct frame *f)
{
	uint64_t address, pc = f->pc - !f->exact;
	return table_find(pid, header, pc, &address) && step_by(pid, address, pc, f);
}

bool frame_search(pid_t pid, uint64_t address, uint64_t len, struct searched *all, struct frame *f)
{
	static struct entry cie;
	struct common common = {.form = 0};
	uint64_t pc = f->pc - !f->exact, known = 0;
	if (len > sizeof(all->bytes) || (all->address != address && !frame_read(pid, address, all->bytes, len)))
		return false;
	all->address = address;
	for (uint64_t at = 0; at + 8 <= len;) {
		uint32_t word[2];
		memcpy(word, all->bytes + at, sizeof(word));
		if (word[0] < 4 || word[0] > len - at - 4)
			return false;
		const uint64_t from = address + at + 4;
		if (word[1] && known != from - word[1]) {
			known = from - word[1];
			if (!entry_read(pid, known, &cie) || !common_parse(&cie.c, &common))
				return false;
		}
		struct cursor c = {.bytes = all->bytes + at + 4, .at = 4, .len = word[0], .address = from};
		const uint64_t begin = cursor_pointer(&c, common.form), size = cursor_pointer(&c, common.form & 0x0f);
		if (word[1] && pc - begin < size && !c.bad)
			return step_by(pid, from - 4, pc, f);
		at += 4 + word[0];
	}
	return false;
}
