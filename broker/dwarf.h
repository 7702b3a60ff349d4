/* SPDX-License-Identifier: ISC */
/* What frames.c and dwarf.c share: bytes of tables and expressions of DWARF. */
#ifndef AIRLOCK_DWARF_H
#define AIRLOCK_DWARF_H

#include "broker/frames.h"

struct cursor {
	const unsigned char *bytes;
	size_t at, len;
	uint64_t address; /* of bytes in the process */
	bool bad;
};
/* n bytes, at most 8; bad when there are fewer. */
uint64_t cursor_fixed(struct cursor *c, size_t n, bool is_signed);
uint64_t cursor_leb(struct cursor *c, bool is_signed);
/* A pointer in one of DW_EH_PE's forms. */
uint64_t cursor_pointer(struct cursor *c, unsigned form);
/* What an expression of len bytes says; cfa, if any, is what it begins with. */
bool expression_value(
	pid_t pid, const unsigned char *code, size_t len, const struct frame *f, const uint64_t *cfa, uint64_t *out);
#endif
