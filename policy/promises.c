/* SPDX-License-Identifier: ISC */
/* This file owns the words and the table of promises, and the questions that are asked of them. Pure; used by host,
 * broker and tools. */
#include "policy/promises.h"
#include "policy/filter.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/hdreg.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mtio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Newer than the headers of Linux 6.1, and than some of libseccomp 2.5, which then gives them numbers that no kernel
 * has. These are the same on every architecture. */
#undef __SNR_cachestat
#define __SNR_cachestat 451
#undef __SNR_fchmodat2
#define __SNR_fchmodat2 452
#undef __SNR_map_shadow_stack
#define __SNR_map_shadow_stack 453
#undef __SNR_futex_wake
#define __SNR_futex_wake 454
#undef __SNR_futex_wait
#define __SNR_futex_wait 455
#undef __SNR_futex_requeue
#define __SNR_futex_requeue 456
#undef __SNR_statmount
#define __SNR_statmount 457
#undef __SNR_listmount
#define __SNR_listmount 458
#undef __SNR_lsm_get_self_attr
#define __SNR_lsm_get_self_attr 459
#undef __SNR_lsm_set_self_attr
#define __SNR_lsm_set_self_attr 460
#undef __SNR_lsm_list_modules
#define __SNR_lsm_list_modules 461
#undef __SNR_mseal
#define __SNR_mseal 462
#undef __SNR_setxattrat
#define __SNR_setxattrat 463
#undef __SNR_getxattrat
#define __SNR_getxattrat 464
#undef __SNR_listxattrat
#define __SNR_listxattrat 465
#undef __SNR_removexattrat
#define __SNR_removexattrat 466
#undef __SNR_open_tree_attr
#define __SNR_open_tree_attr 467
#undef __SNR_file_getattr
#define __SNR_file_getattr 468
#undef __SNR_file_setattr
#define __SNR_file_setattr 469
#ifdef __x86_64__ /* the kernel puts them into the process, for probes */
#undef __SNR_uretprobe
#define __SNR_uretprobe 335
#undef __SNR_uprobe
#define __SNR_uprobe 336
#else
#undef __SNR_uretprobe
#define __SNR_uretprobe (-1)
#undef __SNR_uprobe
#define __SNR_uprobe (-1)
#endif

#ifndef MFD_NOEXEC_SEAL /* 6.3 */
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef SOL_PACKET
#define SOL_PACKET 263
#endif

#define CLONE_THREAD_ALL (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define CLONE_NEW_ALL                                                                                                  \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
/* A child that somebody else would reap, or trace; a descriptor for a process. */
#define CLONE_NEVER (CLONE_PTRACE | CLONE_UNTRACED | CLONE_PARENT | CLONE_PIDFD)

/* Each macro pastes its words itself: `unix` is a macro of the compiler, and would be 1 one level further down. */
#define PROMISE_always 63
#define NEED(index) ((UINT64_C(1) << (index)) & ~(UINT64_C(1) << PROMISE_always))
#define MASK(arg, mask, value)                                                                                         \
	{                                                                                                              \
		CONDITION_MASK, arg, (uint32_t)(mask), (uint32_t)(value)                                               \
	}
#define INT(arg, value) MASK(arg, 0xffffffff, value)
#define NULLPTR(arg)                                                                                                   \
	{                                                                                                              \
		CONDITION_NULL, arg, 0, 0                                                                              \
	}
#define POINTER(arg)                                                                                                   \
	{                                                                                                              \
		CONDITION_POINTER, arg, 0, 0                                                                           \
	}
#define NO_CONDITIONS                                                                                                  \
	{                                                                                                              \
		CONDITION_NONE, 0, 0, 0                                                                                \
	}

#define ALLOW(p, c) {NEED(PROMISE_##p), #c, __SNR_##c, ROW_ALLOW, {NO_CONDITIONS}},
#define ALLOW_IF(p, c, ...) {NEED(PROMISE_##p), #c, __SNR_##c, ROW_ALLOW, {__VA_ARGS__}},
#define ALLOW_BOTH(p, q, c, ...) {NEED(PROMISE_##p) | NEED(PROMISE_##q), #c, __SNR_##c, ROW_ALLOW, {__VA_ARGS__}},
#define ALLOW_THREE(p, q, r, c, ...)                                                                                   \
	{NEED(PROMISE_##p) | NEED(PROMISE_##q) | NEED(PROMISE_##r), #c, __SNR_##c, ROW_ALLOW, {__VA_ARGS__}},
#define BROKER(p, c) {NEED(PROMISE_##p), #c, __SNR_##c, ROW_BROKER, {NO_CONDITIONS}},
#define BROKER_IF(p, c, ...) {NEED(PROMISE_##p), #c, __SNR_##c, ROW_BROKER, {__VA_ARGS__}},
#define LIBC(c) {NEED(PROMISE_stdio), #c, __SNR_##c, ROW_LIBC, {NO_CONDITIONS}},
#define LIBC_IF(c, ...) {NEED(PROMISE_stdio), #c, __SNR_##c, ROW_LIBC, {__VA_ARGS__}},
#define OWN(p, c) {NEED(PROMISE_##p), #c, __SNR_##c, ROW_OWN, {NO_CONDITIONS}},
#define OWN_IF(p, c, ...) {NEED(PROMISE_##p), #c, __SNR_##c, ROW_OWN, {__VA_ARGS__}},
#define TASK(p, c) {NEED(PROMISE_##p), #c, __SNR_##c, ROW_TASK, {NO_CONDITIONS}},
#define TASK_IF(p, c, ...) {NEED(PROMISE_##p), #c, __SNR_##c, ROW_TASK, {__VA_ARGS__}},
#define NAMED_IF(p, c, ...) {NEED(PROMISE_##p), #c, __SNR_##c, ROW_NAMED, {__VA_ARGS__}},
#define KILL(c) {0, #c, __SNR_##c, ROW_KILL, {NO_CONDITIONS}},
#define KILL_IF(c, ...) {0, #c, __SNR_##c, ROW_KILL, {__VA_ARGS__}},
#define REFUSE(c) {0, #c, __SNR_##c, ROW_REFUSE, {NO_CONDITIONS}},
#define ABSENT(c) {0, #c, __SNR_##c, ROW_ABSENT, {NO_CONDITIONS}},
#define SOCKOPT_ROW(need, name, level, option) {need, #name, __SNR_##name, ROW_ALLOW, {INT(1, level), INT(2, option)}},
#define SOCKOPT(p, level, option)                                                                                      \
	SOCKOPT_ROW(NEED(PROMISE_##p), setsockopt, level, option)                                                      \
	SOCKOPT_ROW(NEED(PROMISE_##p), getsockopt, level, option)
/* RLIMIT_LOCKS is 1010 in binary. */
#define LIMIT_ROWS(need, bit, value)                                                                                   \
	{need, "setrlimit", __SNR_setrlimit, ROW_ALLOW, {MASK(0, bit, value)}},                                        \
		{need, "prlimit64", __SNR_prlimit64, ROW_ALLOW, {INT(0, 0), MASK(1, bit, value)}},
#define LIMITS(p)                                                                                                      \
	LIMIT_ROWS(NEED(PROMISE_##p), 1, 1)                                                                            \
	LIMIT_ROWS(NEED(PROMISE_##p), 2, 0) LIMIT_ROWS(NEED(PROMISE_##p), 4, 4) LIMIT_ROWS(NEED(PROMISE_##p), 8, 0)
_Static_assert(__RLIMIT_LOCKS == 10, "LIMITS spells its bits");
_Static_assert(PROMISE_COUNT < PROMISE_always, "the last bit stands for no promise");

static const struct promise_row rows[] = {
#include "policy/promises.inc"
};

static const char *const words[PROMISE_COUNT] = {
#define PROMISE(name, help) #name,
#include "policy/promise_names.inc"
#undef PROMISE
};

const char *promise_name(unsigned index)
{
	return index < PROMISE_COUNT ? words[index] : NULL;
}

static unsigned find_word(const char *word, size_t len)
{
	unsigned i = 0;
	while (i < PROMISE_COUNT && (strncmp(words[i], word, len) != 0 || words[i][len] != '\0'))
		i++;
	return i;
}

int promises_parse(const char *text, uint64_t *set, const char **bad)
{
	uint64_t found = 0;
	if (strnlen(text, 1024) == 1024)
		return -ENAMETOOLONG;
	for (const char *word = text; *word;) {
		size_t len = strcspn(word, " ");
		unsigned index = len ? find_word(word, len) : PROMISE_COUNT;
		if (index == PROMISE_COUNT) {
			if (bad)
				*bad = word;
			return -EINVAL;
		}
		found |= UINT64_C(1) << index;
		word += len;
		word += strspn(word, " ");
	}
	*set = found;
	return 0;
}

const char *promises_format(uint64_t set, char *buf, size_t len)
{
	size_t at = 0;
	if (len)
		buf[0] = '\0';
	for (unsigned i = 0; i < PROMISE_COUNT && at < len; i++) {
		if (set >> i & 1) {
			int n = snprintf(buf + at, len - at, "%s%s", at ? " " : "", words[i]);
			at += n > 0 ? (size_t)n : 0;
		}
	}
	return buf;
}

const struct promise_row *promise_rows(size_t *count)
{
	*count = sizeof(rows) / sizeof(rows[0]);
	return rows;
}

bool promise_row_matches(const struct promise_row *row, const uint64_t args[6])
{
	for (size_t i = 0; i < ROW_CONDITIONS; i++) {
		const struct condition *c = &row->conditions[i];
		if ((c->kind == CONDITION_MASK && ((uint32_t)args[c->arg] & c->mask) != c->value) ||
			(c->kind == CONDITION_NULL && args[c->arg] != 0) ||
			(c->kind == CONDITION_POINTER && args[c->arg] == 0))
			return false;
	}
	return true;
}

const char *syscall_name(int number)
{
	if (number == AIRLOCK_SYSCALL)
		return "airlock";
	for (size_t i = 0; number >= 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].number == number)
			return rows[i].name;
	return NULL;
}

int syscall_number(const char *name)
{
	if (strcmp(name, "airlock") == 0)
		return AIRLOCK_SYSCALL;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].number >= 0 && strcmp(rows[i].name, name) == 0)
			return rows[i].number;
	return -1;
}

unsigned promise_missing(int number, const uint64_t args[6], uint64_t held)
{
	unsigned missing = PROMISE_COUNT;
	for (size_t i = 0; number >= 0 && i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct promise_row *row = &rows[i];
		if (row->number != number || !row->need || row->kind == ROW_LIBC || !promise_row_matches(row, args))
			continue;
		if (!(row->need & ~held))
			return PROMISE_COUNT;
		if (missing == PROMISE_COUNT)
			missing = (unsigned)__builtin_ctzll(row->need & ~held);
	}
	return missing;
}

unsigned promise_for_syscall(int number, const uint64_t args[6])
{
	for (size_t i = 0; number >= 0 && i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct promise_row *row = &rows[i];
		if (row->number == number && row->need && row->kind != ROW_LIBC && promise_row_matches(row, args))
			return (unsigned)__builtin_ctzll(row->need);
	}
	return PROMISE_COUNT;
}
