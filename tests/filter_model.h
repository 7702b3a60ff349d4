/* SPDX-License-Identifier: ISC */
/* Filters in a model of BPF, and what they should say: what the tests of filters share. */
#ifndef AIRLOCK_TESTS_FILTER_MODEL_H
#define AIRLOCK_TESTS_FILTER_MODEL_H

#include "policy/filter.h"
#include "policy/promises.h"

#include <errno.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ALLOWED SECCOMP_RET_ALLOW
#define NOTIFIED SECCOMP_RET_USER_NOTIF
#define KILLED SECCOMP_RET_KILL_PROCESS
#define UNHEARD (SECCOMP_RET_ERRNO | ENOSYS)
#define FORBIDDEN (SECCOMP_RET_ERRNO | EPERM)
#define EVERY ((UINT64_C(1) << PROMISE_COUNT) - 1)
#define EMPTY_STRING 0x7f0012345678u

#ifdef __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#define FOREIGN AUDIT_ARCH_AARCH64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#define FOREIGN AUDIT_ARCH_X86_64
#endif

struct filter {
	struct filter_spec spec;
	struct sock_filter *code;
	size_t len;
};

/* The ways in which a filter is wanted. */
enum {
	BASE,
	OWN,
	LOADING,
	STRING,
	KILL_MODE,
	KILL_LOADING,
	NARROW,
	NARROW_LOADING,
	DIRECT,
	DIRECT_LOADING,
	DIRECT_NARROW,
	DIRECT_NARROW_LOADING,
	NARROWABLE,
	SOCKETS,
	NARROWABLE_LOADING,
	MODES
};
extern const struct filter_spec modes[MODES];

struct filter make(struct filter_spec spec);
uint32_t ask(const struct filter *f, uint32_t arch, int nr, const uint64_t args[6]);
uint64_t set_of(const char *words);
/* Whether a call is the kernel's own business where there are direct trees. */
bool native(const struct filter_spec *s, int nr, const uint64_t args[6]);
/* What a filter should say, from the table alone: no trees, no libseccomp. */
uint32_t expected(const struct filter_spec *s, int nr, const uint64_t args[6]);
/* The number that a native call has on the other architecture, or -1. */
int foreign_number(int nr);

/* ---- arguments at the edges of the table's conditions ---- */
struct vectors {
	int nr;
	uint64_t (*args)[6];
	size_t count;
	bool wide[6]; /* a pointer: its high word means something */
};
/* Every row's own arguments, with one argument at a time at every edge. By the native number; freed by vectors_free(). */
struct vectors vectors_for(int nr);
void vectors_free(struct vectors *v);
/* args with the high halves of all ints changed, which the kernel drops. */
void garble(const struct vectors *v, const uint64_t args[6], uint64_t high, uint64_t out[6]);
/* The same for one row, thoroughly: each condition's value, its neighbours, every bit of it toggled, the negative ints, the
 * pointers with one half zero, and two conditions at once. */
struct vectors edges_for(const struct promise_row *row);

/* Fails the test. */
void complain(const struct filter_spec *s, int nr, const uint64_t *args, uint32_t got, uint32_t want);
#endif
