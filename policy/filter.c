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

/* In which the target's own root is looked at, when there are direct trees. What is opened to be written, made or only
 * named (O_PATH) stays a request, as does openat2, whose flags a filter cannot see. */
#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)
#define NOT_FOR_READING (O_ACCMODE | O_CREAT | O_TRUNC | TMPFILE_BIT | O_PATH)
#define NATIVE(call, flags, promise)                                                                                   \
	{                                                                                                              \
#call, __SNR_##call, flags, PROMISE_BIT(promise)                                                       \
	}
static const struct native {
	const char *name;
	int number;
	int flags; /* position of open's flags, or -1 */
	uint64_t need;
} natives[] = {
	NATIVE(open, 1, rpath),
	NATIVE(openat, 2, rpath),
	NATIVE(stat, -1, rpath),
	NATIVE(lstat, -1, rpath),
	NATIVE(newfstatat, -1, rpath),
	NATIVE(statx, -1, rpath),
	NATIVE(access, -1, rpath),
	NATIVE(faccessat, -1, rpath),
	NATIVE(faccessat2, -1, rpath),
	NATIVE(chdir, -1, rpath),
	NATIVE(fchdir, -1, stdio),
};
#define NATIVES (sizeof(natives) / sizeof(natives[0]))

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

static const struct native *native_of(const struct promise_row *row)
{
	for (size_t i = 0; i < NATIVES; i++)
		if (natives[i].number == row->number && row->number >= 0)
			return &natives[i];
	return NULL;
}

/* Whether the row is there for these promises. In a narrowing filter under which programs are executed it is enough that
 * the base filter makes a request of the call: the broker knows whose it is, and what a loader needs. */
static bool granted(const struct plan *p, const struct promise_row *row)
{
	bool request = row->kind == ROW_BROKER || row->kind == ROW_LIBC;
	return !(row->need & ~p->promises) || (request && p->spec->loading && !p->spec->base);
}

/* A row of a narrowing filter that would let through, on the strength of another promise, what the base filter below it
 * passes without asking the broker. (wpath looks as rpath does, but opens nothing for reading.) */
static const struct native *bare(const struct plan *p, const struct promise_row *row)
{
	bool request = row->kind == ROW_BROKER || row->kind == ROW_LIBC;
	if (p->spec->base || !p->spec->direct || !request || row->conditions[0].kind != CONDITION_NONE)
		return NULL;
	const struct native *n = native_of(row);
	uint64_t looks = n && n->flags < 0 ? PROMISE_BIT(wpath) : 0;
	bool own = n && (row->need & (n->need | looks)) && !(row->need & ~p->promises);
	return own ? NULL : n;
}

static enum effect effect_of(const struct plan *p, const struct promise_row *row)
{
	bool base = p->spec->base;
	if (!granted(p, row) || bare(p, row))
		return EFFECT_NONE;
	switch ((enum row_kind)row->kind) {
	case ROW_ALLOW:
		/* What is executed later may be promised less: then only the broker can tell its process from others. */
		if (base && p->spec->loading && row->need == PROMISE_BIT(prot_exec))
			return EFFECT_NOTIFY;
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
	for (size_t i = 0; s->base && s->direct && i < NATIVES; i++) {
		const struct promise_row row = {.name = natives[i].name, .number = (int16_t)natives[i].number};
		int nr = number_there(p, &row);
		if (nr >= 0 && nr < PACK_NUMBERS && natives[i].flags < 0 && !(natives[i].need & ~p->promises))
			p->verdicts[nr] = SECCOMP_RET_ALLOW;
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

/* Of an open that is not for reading: what a narrowing filter leaves of a row that would let all of them through. */
static int add_requests(const struct plan *p, scmp_filter_ctx ctx, const struct native *n)
{
	static const struct {
		unsigned mask, value;
	} ways[] = {{O_ACCMODE, O_WRONLY}, {O_ACCMODE, O_RDWR}, {O_ACCMODE, O_ACCMODE}, {O_CREAT, O_CREAT},
		{O_TRUNC, O_TRUNC}, {TMPFILE_BIT, TMPFILE_BIT}, {O_PATH, O_PATH}};
	int r = 0;
	for (size_t i = 0; r == 0 && n->flags >= 0 && i < sizeof(ways) / sizeof(ways[0]); i++)
		r = rule(p, ctx, SCMP_ACT_ALLOW, n->number, 1,
			&(struct scmp_arg_cmp){(unsigned)n->flags, SCMP_CMP_MASKED_EQ, ways[i].mask, ways[i].value});
	return r;
}

static int add_natives(const struct plan *p, scmp_filter_ctx ctx)
{
	int r = 0;
	for (size_t i = 0; p->spec->base && p->spec->direct && r == 0 && i < NATIVES; i++) {
		const struct promise_row row = {.name = natives[i].name, .number = (int16_t)natives[i].number};
		int nr = number_there(p, &row);
		if (natives[i].flags >= 0 && nr >= 0 && nr < PACK_NUMBERS && !(natives[i].need & ~p->promises))
			r = rule(p, ctx, SCMP_ACT_ALLOW, natives[i].number, 1,
				&(struct scmp_arg_cmp){
					(unsigned)natives[i].flags, SCMP_CMP_MASKED_EQ, NOT_FOR_READING, 0});
	}
	return r;
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
		else if (granted(p, row) && bare(p, row))
			r = add_requests(p, ctx, bare(p, row));
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
	/* On top of a direct base the row of newfstatat that requests pass by is gone with rpath: fstat() must not be. */
	bool any = s->base ? s->empty_path_direct : s->direct;
	if (!(p->promises & PROMISE_BIT(stdio)) || (!any && (!s->base || !s->empty_string)))
		return 0;
	for (size_t i = 0; i < 2; i++) {
		/* Exactly: with other flags an empty path may be looked up, or a path that is not empty followed. */
		struct scmp_arg_cmp conditions[] = {{0, SCMP_CMP_MASKED_EQ, 0x80000000u, 0},
			{calls[i].flags, SCMP_CMP_MASKED_EQ, 0xffffffffu, AT_EMPTY_PATH},
			{1, SCMP_CMP_EQ, s->empty_string, 0}};
		int r = rule(p, ctx, SCMP_ACT_ALLOW, calls[i].number, any ? 2 : 3, conditions);
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
		r = add_natives(p, ctx);
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
