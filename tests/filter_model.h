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
/* Fails the test. */
void complain(const struct filter_spec *s, int nr, const uint64_t *args, uint32_t got, uint32_t want);
#endif
