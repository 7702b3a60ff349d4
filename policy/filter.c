/* SPDX-License-Identifier: ISC */
/*
 * This file owns the way from promises to BPF. Runs in the broker, once a policy, and in a confined process that narrows
 * itself; not on the path of a start.
 *
 * Calls that are decided by number alone are a table; those with conditions on arguments are libseccomp's, which turns
 * their rules into a program; pack.c joins the two. What no rule decides gets the default: a notification in a base
 * filter, EPERM in a narrowing one.
 */
#include "policy/filter.h"
#include "policy/pack.h"
#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL /* 6.3 */
#define MFD_NOEXEC_SEAL 8u
#endif

enum effect { EFFECT_NONE, EFFECT_ALLOW, EFFECT_NOTIFY, EFFECT_KILL };

struct plan {
	const struct filter_spec *spec;
	uint64_t promises;
	uint32_t arch;
	const struct promise_row *rows;
	size_t row_count;
	bool row[PACK_NUMBERS]; /* by arch's number: the promises have a row for it */
	uint32_t verdicts[PACK_NUMBERS]; /* by arch's number */
};

static enum effect effect_of(const struct plan *p, const struct promise_row *row)
{
	bool base = p->spec->base;
	if (row->need & ~p->promises)
		return EFFECT_NONE;
	switch ((enum row_kind)row->kind) {
	case ROW_ALLOW:
		return EFFECT_ALLOW;
	case ROW_BROKER:
	case ROW_LIBC:
		return base ? EFFECT_NOTIFY : EFFECT_ALLOW;
	case ROW_OWN:
		return base && !p->spec->own_pids ? EFFECT_NOTIFY : EFFECT_ALLOW;
	case ROW_TASK:
		return base && p->spec->count_tasks ? EFFECT_NOTIFY : EFFECT_ALLOW;
	case ROW_NAMED:
		return base && !p->spec->names_direct ? EFFECT_NOTIFY : EFFECT_ALLOW;
	case ROW_KILL:
		return base ? EFFECT_KILL : EFFECT_NONE;
	case ROW_ABSENT:
	case ROW_REFUSE:
		break;
	}
	return EFFECT_NONE;
}

/* The call's number on the plan's architecture, or -1. */
static int number_there(const struct plan *p, const struct promise_row *row)
{
	if (p->arch == seccomp_arch_native())
		return row->number;
	int number = seccomp_syscall_resolve_name_arch(p->arch, row->name);
	if (number >= 0)
		return number;
	return row->number >= 424 ? row->number : -1; /* from pidfd_send_signal on all architectures agree */
}

static void plan_make(struct plan *p)
{
	const struct filter_spec *s = p->spec;
	for (size_t nr = 0; nr < PACK_NUMBERS; nr++)
		p->verdicts[nr] = SECCOMP_RET_ERRNO | ENOSYS;
	for (size_t i = 0; i < p->row_count; i++) {
		const struct promise_row *row = &p->rows[i];
		int nr = number_there(p, row);
		if (nr < 0 || nr >= PACK_NUMBERS || row->kind == ROW_ABSENT)
			continue;
		enum effect e = effect_of(p, row);
		bool always = row->conditions[0].kind == CONDITION_NONE;
		bool loads = s->loading && (row->number == SCMP_SYS(execve) || row->number == SCMP_SYS(execveat));
		p->row[nr] = p->row[nr] || e != EFFECT_NONE || loads;
		if (e == EFFECT_ALLOW && always)
			p->verdicts[nr] = SECCOMP_RET_ALLOW;
		else if (e == EFFECT_KILL && always)
			p->verdicts[nr] = SECCOMP_RET_KILL_PROCESS;
		else if (p->verdicts[nr] == (SECCOMP_RET_ERRNO | ENOSYS))
			p->verdicts[nr] = PACK_ASK;
	}
	for (size_t nr = 0; nr < PACK_NUMBERS; nr++)
		if (s->base && s->kill && p->verdicts[nr] == PACK_ASK && !p->row[nr])
			p->verdicts[nr] = SECCOMP_RET_KILL_PROCESS;
}

static int rule(const struct plan *p, scmp_filter_ctx ctx, uint32_t action, int number, unsigned count,
	const struct scmp_arg_cmp *conditions)
{
	int r = seccomp_rule_add_array(ctx, action, number, count, conditions);
	/* -EFAULT: it cannot translate a number that it has no name for. */
	if (r == -EEXIST || (r == -EFAULT && p->arch != seccomp_arch_native()))
		return 0;
	return r;
}

static unsigned conditions_of(const struct promise_row *row, struct scmp_arg_cmp out[ROW_CONDITIONS])
{
	unsigned count = 0;
	for (size_t i = 0; i < ROW_CONDITIONS; i++) {
		const struct condition *c = &row->conditions[i];
		struct scmp_arg_cmp *to = &out[count];
		if (c->kind == CONDITION_NONE)
			continue;
		if (c->kind == CONDITION_MASK)
			*to = (struct scmp_arg_cmp){c->arg, SCMP_CMP_MASKED_EQ, c->mask, c->value};
		else
			*to = (struct scmp_arg_cmp){
				c->arg, c->kind == CONDITION_NULL ? SCMP_CMP_EQ : SCMP_CMP_NE, 0, 0};
		count++;
	}
	return count;
}

static int add_rows(const struct plan *p, scmp_filter_ctx ctx)
{
	for (size_t i = 0; i < p->row_count; i++) {
		const struct promise_row *row = &p->rows[i];
		struct scmp_arg_cmp conditions[ROW_CONDITIONS];
		unsigned count = conditions_of(row, conditions);
		int nr = number_there(p, row), r = 0;
		if (nr < 0 || nr >= PACK_NUMBERS || p->verdicts[nr] != PACK_ASK)
			continue;
		enum effect e = effect_of(p, row);
		if (e == EFFECT_ALLOW)
			r = rule(p, ctx, SCMP_ACT_ALLOW, row->number, count, conditions);
		else if (e == EFFECT_KILL)
			r = rule(p, ctx, SCMP_ACT_KILL_PROCESS, row->number, count, conditions);
		if (r < 0)
			return r;
	}
	return 0;
}

/* fstat() of glibc, newfstatat(fd, "", st, AT_EMPTY_PATH), where the empty path can be told from others. */
static int add_empty_path(const struct plan *p, scmp_filter_ctx ctx)
{
	static const struct {
		int number;
		unsigned flags; /* position */
	} calls[] = {{SCMP_SYS(newfstatat), 3}, {SCMP_SYS(statx), 2}};
	const struct filter_spec *s = p->spec;
	if (!s->base || !(p->promises & PROMISE_BIT(stdio)) || (!s->empty_path_direct && !s->empty_string))
		return 0;
	for (size_t i = 0; i < 2; i++) {
		/* Exactly: with other flags an empty path may be looked up, or a path that is not empty followed. */
		struct scmp_arg_cmp conditions[] = {{0, SCMP_CMP_MASKED_EQ, 0x80000000u, 0},
			{calls[i].flags, SCMP_CMP_MASKED_EQ, 0xffffffffu, AT_EMPTY_PATH},
			{1, SCMP_CMP_EQ, s->empty_string, 0}};
		int r = rule(p, ctx, SCMP_ACT_ALLOW, calls[i].number, s->empty_path_direct ? 2 : 3, conditions);
		if (r < 0)
			return r;
	}
	return 0;
}

/* seccomp_export_bpf() writes to descriptors only; the memory one is newer than Debian 12. */
static int export_filter(scmp_filter_ctx ctx, struct sock_filter **out, size_t *len)
{
	off_t size;
	struct sock_filter *code = NULL;
	int fd = memfd_create("filter", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (fd < 0)
		fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		goto out;
	r = -EINVAL;
	size = lseek(fd, 0, SEEK_END); /* not fstat(), which may be a request */
	if (size <= 0 || (size_t)size % sizeof(*code) != 0)
		goto out;
	size_t count = (size_t)size / sizeof(*code);
	r = -ENOMEM;
	code = calloc(count, sizeof(*code));
	if (!code)
		goto out;
	r = -EIO;
	if (pread(fd, code, (size_t)size, 0) != size)
		goto out;
	*out = code;
	*len = count;
	code = NULL;
	r = 0;
out:
	free(code);
	close(fd);
	return r;
}

static int context_make(uint32_t action, uint32_t arch, scmp_filter_ctx *out)
{
	/* libseccomp would find out what the kernel has by trying, at its first use; inside a narrowed process those
	 * attempts are violations. What is assumed here (notifications, 5.0) nothing of this works without. */
	if (seccomp_api_set(6) < 0 && seccomp_api_set(5) < 0)
		return -EOPNOTSUPP;
	scmp_filter_ctx ctx = seccomp_init(action);
	if (!ctx)
		return -ENOMEM;
	int r = 0;
	if (arch != seccomp_arch_native()) {
		r = seccomp_arch_add(ctx, arch);
		if (r == 0)
			r = seccomp_arch_remove(ctx, seccomp_arch_native());
	}
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r < 0) {
		seccomp_release(ctx);
		return r;
	}
	*out = ctx;
	return 0;
}

int filter_compile_arch(const struct filter_spec *spec, uint32_t arch, struct sock_filter **out, size_t *len)
{
	scmp_filter_ctx ctx = NULL;
	struct sock_filter *program = NULL;
	size_t program_len;
	struct plan *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->spec = spec;
	p->promises = spec->promises;
	if (spec->loading && !spec->base) /* the base filter's notifications decide about these */
		p->promises |= PROMISE_BIT(exec) | PROMISE_BIT(prot_exec);
	p->arch = arch;
	p->rows = promise_rows(&p->row_count);
	plan_make(p);
	int r = context_make(spec->base ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO(EPERM), arch, &ctx);
	if (r == 0)
		r = add_rows(p, ctx);
	if (r == 0)
		r = add_empty_path(p, ctx);
	if (r == 0)
		r = export_filter(ctx, &program, &program_len);
	if (r == 0) {
		struct pack pack = {program, program_len, arch, p->verdicts, AIRLOCK_SYSCALL,
			spec->base ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW};
		r = pack_program(&pack, out, len);
	}
	free(program);
	seccomp_release(ctx);
	free(p);
	return r;
}

int filter_compile(const struct filter_spec *spec, struct sock_filter **out, size_t *len)
{
	return filter_compile_arch(spec, seccomp_arch_native(), out, len);
}

int filter_compile_list(const int *allow, struct sock_filter **out, size_t *len)
{
	scmp_filter_ctx ctx;
	int r = context_make(SCMP_ACT_ERRNO(EPERM), seccomp_arch_native(), &ctx);
	if (r < 0)
		return r;
	for (; r == 0 && *allow != -1; allow++) {
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, *allow, 0);
		if (r == -EEXIST)
			r = 0;
	}
	if (r == 0)
		r = export_filter(ctx, out, len);
	seccomp_release(ctx);
	return r;
}
