/* SPDX-License-Identifier: ISC */
/*
 * This file owns the way from promises to BPF. Runs in the broker, once a policy, and in a confined process that narrows
 * itself; not on the path of a start.
 *
 * Calls that are decided by number alone are a table; those with conditions on arguments are rules; pack.c writes the
 * program. What no rule decides gets the default: a notification in a base filter, EPERM in a narrowing one.
 * The numbers of calls are those of libseccomp's header; of the library itself nothing is used.
 */
#include "policy/filter.h"
#include "policy/pack.h"
#include "policy/promises.h"
#include "policy/trap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "no table of promises for this architecture"
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

#define RULES_MAX 2048 /* the table's rows, and a few */

struct plan {
	const struct filter_spec *spec;
	uint64_t promises;
	uint32_t arch;
	int (*number_of)(uint32_t arch, const char *name); /* on an architecture that is not ours */
	const struct promise_row *rows;
	size_t row_count;
	bool row[PACK_NUMBERS]; /* by arch's number: the promises have a row for it */
	bool lost[PACK_NUMBERS]; /* a row for it is lost() */
	uint32_t verdicts[PACK_NUMBERS]; /* by arch's number */
	struct pack_rule rules[RULES_MAX];
	size_t rule_count;
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
 * passes without asking the broker. */
static const struct native *bare(const struct plan *p, const struct promise_row *row)
{
	bool request = row->kind == ROW_BROKER || row->kind == ROW_LIBC;
	if (p->spec->base || !p->spec->direct || !request || row->conditions[0].kind != CONDITION_NONE)
		return NULL;
	const struct native *n = native_of(row);
	bool own = n && (row->need & n->need) && !(row->need & ~p->promises);
	return own ? NULL : n;
}

/* Whether the base filter makes a request of the row's calls. */
static bool requested(const struct plan *p, const struct promise_row *row)
{
	return row->kind == ROW_BROKER || row->kind == ROW_LIBC || (row->kind == ROW_NAMED && !p->spec->names_direct);
}

/* Whether the base filter beneath may let the row's calls past the broker, which these promises do not cover any more.
 * Another promise that has the broker decide about such a call must not let it through then, since it would not arrive
 * there: recvmsg() takes descriptors under inet, and no more than bytes under stdio. */
static bool lost(const struct plan *p, const struct promise_row *row)
{
	const struct filter_spec *s = p->spec;
	const struct native *n = s->direct ? native_of(row) : NULL;
	bool direct = row->kind == ROW_ALLOW || row->kind == ROW_OWN || row->kind == ROW_TASK ||
		      (row->kind == ROW_NAMED && s->names_direct);
	if (s->base || !direct || (n && n->flags < 0 && !(n->need & ~p->promises)))
		return false;
	return (!s->below || !(row->need & ~s->below)) && (row->need & ~p->promises);
}

static bool told(const struct plan *p)
{
	return p->spec->tells && !p->spec->base;
}

static enum effect effect_of(const struct plan *p, const struct promise_row *row)
{
	bool base = p->spec->base;
	if (!granted(p, row) || bare(p, row) || (told(p) && row->number == SCMP_SYS(rt_sigprocmask)))
		return EFFECT_NONE;
	if (base && p->spec->narrowable && row->kind != ROW_KILL && row->need & ~PROMISE_BIT(stdio))
		return EFFECT_NOTIFY;
	if (base && p->spec->sockets && row->number == SCMP_SYS(socket))
		return EFFECT_NOTIFY;
	switch ((enum row_kind)row->kind) {
	case ROW_ALLOW:
		/* What is executed later may be promised less: then only the broker can tell its process from others. */
		if (base && p->spec->loading && row->need == PROMISE_BIT(prot_exec))
			return EFFECT_NOTIFY;
		return EFFECT_ALLOW;
	case ROW_BROKER:
	case ROW_LIBC:
		/* Decided by registers alone: what the broker could only let go on. */
		if (base && p->spec->trap && row->number == SCMP_SYS(socket) && row->conditions[0].value == AF_UNIX)
			return EFFECT_ALLOW;
		return base ? EFFECT_NOTIFY : EFFECT_ALLOW;
	case ROW_OWN:
		return base && !p->spec->own_pids ? EFFECT_NOTIFY : EFFECT_ALLOW;
	case ROW_TASK:
		return base && p->spec->count_tasks ? EFFECT_NOTIFY : EFFECT_ALLOW;
	case ROW_NAMED:
		return base && !p->spec->names_direct ? EFFECT_NOTIFY : EFFECT_ALLOW;
	case ROW_KILL:
		/* Seen by the broker as every violation is, it ends with a line that says what it was. */
		return base && !p->spec->narrowable && !p->spec->aborts ? EFFECT_KILL : EFFECT_NONE;
	case ROW_ABSENT:
	case ROW_REFUSE:
		break;
	}
	return EFFECT_NONE;
}

/* The call's number on the plan's architecture, or -1. */
static int number_there(const struct plan *p, const struct promise_row *row)
{
	if (p->arch == NATIVE_ARCH)
		return row->number;
	int number = p->number_of(p->arch, row->name);
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
		int nr = number_there(p, &p->rows[i]);
		if (nr >= 0 && nr < PACK_NUMBERS)
			p->lost[nr] = p->lost[nr] || lost(p, &p->rows[i]);
	}
	for (size_t i = 0; i < p->row_count; i++) {
		const struct promise_row *row = &p->rows[i];
		int nr = number_there(p, row);
		if (nr < 0 || nr >= PACK_NUMBERS || row->kind == ROW_ABSENT)
			continue;
		enum effect e = effect_of(p, row);
		bool always = row->conditions[0].kind == CONDITION_NONE && !(requested(p, row) && p->lost[nr]);
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

/* What no rule decides. */
static uint32_t other(const struct plan *p)
{
	return p->spec->base ? SECCOMP_RET_USER_NOTIF : told(p) ? SECCOMP_RET_TRAP : (SECCOMP_RET_ERRNO | EPERM);
}

/* What is asked first; REQUESTED goes on to the base filter, which makes a request of it. */
enum order { KILLED, DIRECT, LOST, REQUESTED };

/* A rule for the call of this native number. */
static int rule(struct plan *p, enum order order, int number, unsigned count, const struct pack_condition *conditions)
{
	int nr = number;
	if (p->arch != NATIVE_ARCH) {
		const struct promise_row row = {.name = syscall_name(number), .number = (int16_t)number};
		nr = row.name ? number_there(p, &row) : -1;
	}
	if (p->rule_count == RULES_MAX)
		return -E2BIG;
	if (nr < 0)
		return 0;
	struct pack_rule *to = &p->rules[p->rule_count++];
	const uint32_t verdict = order == KILLED ? SECCOMP_RET_KILL_PROCESS
				 : order == LOST ? other(p)
						 : SECCOMP_RET_ALLOW;
	*to = (struct pack_rule){.number = (uint32_t)nr, .verdict = verdict, .order = order, .count = count};
	memcpy(to->conditions, conditions, count * sizeof(*conditions));
	return 0;
}

static unsigned conditions_of(const struct promise_row *row, struct pack_condition out[PACK_CONDITIONS])
{
	unsigned count = 0;
	_Static_assert(ROW_CONDITIONS <= PACK_CONDITIONS, "as many as a row has");
	for (size_t i = 0; i < ROW_CONDITIONS; i++) {
		const struct condition *c = &row->conditions[i];
		if (c->kind == CONDITION_MASK)
			out[count++] = (struct pack_condition){PACK_MASK, c->arg, c->mask, c->value};
		else if (c->kind != CONDITION_NONE)
			out[count++] = (struct pack_condition){
				c->kind == CONDITION_NULL ? PACK_EQUAL : PACK_OTHER, c->arg, 0, 0};
	}
	return count;
}

/* Of an open that is not for reading: what a narrowing filter leaves of a row that would let all of them through. */
static int add_requests(struct plan *p, const struct native *n)
{
	static const struct {
		unsigned mask, value;
	} ways[] = {{O_ACCMODE, O_WRONLY}, {O_ACCMODE, O_RDWR}, {O_ACCMODE, O_ACCMODE}, {O_CREAT, O_CREAT},
		{O_TRUNC, O_TRUNC}, {TMPFILE_BIT, TMPFILE_BIT}, {O_PATH, O_PATH}};
	int r = 0;
	for (size_t i = 0; r == 0 && n->flags >= 0 && i < sizeof(ways) / sizeof(ways[0]); i++)
		r = rule(p, REQUESTED, n->number, 1,
			&(struct pack_condition){PACK_MASK, (unsigned)n->flags, ways[i].mask, ways[i].value});
	return r;
}

static int add_natives(struct plan *p)
{
	int r = 0;
	for (size_t i = 0; p->spec->base && p->spec->direct && r == 0 && i < NATIVES; i++) {
		const struct promise_row row = {.name = natives[i].name, .number = (int16_t)natives[i].number};
		int nr = number_there(p, &row);
		if (natives[i].flags >= 0 && nr >= 0 && nr < PACK_NUMBERS && !(natives[i].need & ~p->promises))
			r = rule(p, DIRECT, natives[i].number, 1,
				&(struct pack_condition){PACK_MASK, (unsigned)natives[i].flags, NOT_FOR_READING, 0});
	}
	return r;
}

static int add_rows(struct plan *p)
{
	for (size_t i = 0; i < p->row_count; i++) {
		const struct promise_row *row = &p->rows[i];
		struct pack_condition conditions[PACK_CONDITIONS];
		unsigned count = conditions_of(row, conditions);
		int nr = number_there(p, row), r = 0;
		if (nr < 0 || nr >= PACK_NUMBERS || p->verdicts[nr] != PACK_ASK)
			continue;
		enum effect e = effect_of(p, row);
		if (e == EFFECT_ALLOW)
			r = rule(p, requested(p, row) ? REQUESTED : DIRECT, row->number, count, conditions);
		else if (e == EFFECT_KILL)
			r = rule(p, KILLED, row->number, count, conditions);
		else if (granted(p, row) && bare(p, row))
			r = add_requests(p, bare(p, row));
		else if (lost(p, row))
			r = rule(p, LOST, row->number, count, conditions);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Where SIGSYS is what tells of a violation, it is not blocked: what would do that (SIG_BLOCK and SIG_SETMASK are even) goes
 * to its handler, which does what else was asked. */
static int add_masks(struct plan *p)
{
	const struct pack_condition unblocks = {PACK_MASK, 0, 1, SIG_UNBLOCK}, asks = {PACK_EQUAL, 1, 0, 0};
	int r = told(p) ? rule(p, DIRECT, SCMP_SYS(rt_sigprocmask), 1, &unblocks) : 0;
	return told(p) && r == 0 ? rule(p, DIRECT, SCMP_SYS(rt_sigprocmask), 1, &asks) : r;
}

/* fstat() of glibc, newfstatat(fd, "", st, AT_EMPTY_PATH), where the empty path can be told from others. */
static int add_empty_path(struct plan *p)
{
	static const struct {
		int number;
		unsigned flags; /* position */
	} calls[] = {{SCMP_SYS(newfstatat), 3}, {SCMP_SYS(statx), 2}};
	const struct filter_spec *s = p->spec;
	/* On top of a direct base the row of newfstatat that requests pass by is gone with rpath: fstat() must not be. */
	bool any = s->base ? s->empty_path_direct : s->direct;
	/* Without stdio it is held back from requests, if the base filter beneath might let it past. */
	bool gone = !s->base && !(p->promises & PROMISE_BIT(stdio)) && (!s->below || s->below & PROMISE_BIT(stdio)) &&
		    !(s->direct && p->promises & PROMISE_BIT(rpath));
	if (!gone && (!(p->promises & PROMISE_BIT(stdio)) || (!any && (!s->base || !s->empty_string))))
		return 0;
	for (size_t i = 0; i < 2; i++) {
		/* Exactly: with other flags an empty path may be looked up, or a path that is not empty followed. */
		const struct pack_condition conditions[] = {{PACK_MASK, 0, 0x80000000u, 0},
			{PACK_MASK, calls[i].flags, UINT32_MAX, AT_EMPTY_PATH}, {PACK_EQUAL, 1, 0, s->empty_string}};
		int r = rule(p, gone ? LOST : DIRECT, calls[i].number, any || gone ? 2 : 3, conditions);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool passes(void *arg, int number)
{
	const struct plan *p = arg;
	return p->verdicts[number] == SECCOMP_RET_ALLOW;
}

/* The same filter for the other carrier: what would be a notification, or a narrowing filter's EPERM that nobody hears of,
 * becomes a SIGSYS. */
static int trap_instead(const struct plan *p, struct sock_filter **code, size_t *len)
{
	const uint32_t asks = p->spec->base ? SECCOMP_RET_USER_NOTIF : (SECCOMP_RET_ERRNO | EPERM);
	struct sock_filter front[TRAP_FRONT_MAX];
	if (p->arch != NATIVE_ARCH)
		return -EINVAL;
	size_t n = trap_front(front, p->spec->base, p->arch, passes, (void *)(uintptr_t)p);
	if (n + *len > BPF_MAXINSNS)
		return -E2BIG;
	struct sock_filter *all = calloc(n + *len, sizeof(*all));
	if (!all)
		return -ENOMEM;
	memcpy(all, front, n * sizeof(*all));
	memcpy(all + n, *code, *len * sizeof(*all));
	for (size_t i = n; i < n + *len; i++)
		if (all[i].code == (BPF_RET | BPF_K) && all[i].k == asks)
			all[i].k = SECCOMP_RET_TRAP | TRAP_ASK;
	free(*code);
	*code = all;
	*len += n;
	return 0;
}

int filter_compile_arch(const struct filter_spec *asked, uint32_t arch,
	int (*number_of)(uint32_t arch, const char *name), struct sock_filter **out, size_t *len)
{
	struct filter_spec copy = *asked;
	const struct filter_spec *spec = &copy;
	struct plan *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	/* What the broker could only let go on it must not be asked. */
	if (copy.trap)
		copy.loading = copy.count_tasks = copy.narrowable = false;
	p->spec = spec;
	p->promises = spec->promises;
	if (spec->loading && !spec->base) /* the base filter's notifications decide about these */
		p->promises |= PROMISE_BIT(exec) | PROMISE_BIT(prot_exec);
	p->arch = arch;
	p->number_of = number_of;
	p->rows = promise_rows(&p->row_count);
	plan_make(p);
	int r = add_rows(p);
	if (r == 0)
		r = add_masks(p);
	if (r == 0)
		r = add_natives(p);
	if (r == 0)
		r = add_empty_path(p);
	if (r == 0) {
		struct pack pack = {p->rules, p->rule_count, other(p), arch, p->verdicts, AIRLOCK_SYSCALL,
			spec->base ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW};
		r = pack_program(&pack, out, len);
	}
	if (r == 0 && spec->trap) {
		r = trap_instead(p, out, len);
		if (r < 0)
			free(*out);
	}
	free(p);
	return r;
}

int filter_compile(const struct filter_spec *spec, struct sock_filter **out, size_t *len)
{
	return filter_compile_arch(spec, NATIVE_ARCH, NULL, out, len);
}
