/* SPDX-License-Identifier: ISC */
/* What a filter should say, from the table alone: no trees, no libseccomp. */
#include "tests/filter_model.h"

#include "tests/bpf_sim.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

uint32_t ask(const struct filter *f, uint32_t arch, int nr, const uint64_t args[6])
{
	struct seccomp_data d = {.nr = nr, .arch = arch};
	uint32_t verdict = 0;
	memcpy(d.args, args, sizeof(d.args));
	if (bpf_sim(f->code, f->len, &d, &verdict, NULL) < 0)
		fail_msg("the filter is not a program that the kernel would take");
	return verdict;
}

struct filter make(struct filter_spec spec)
{
	struct filter f = {.spec = spec};
	int r = filter_compile(&spec, &f.code, &f.len);
	if (r < 0)
		fail_msg("cannot compile: %s", strerror(-r));
	return f;
}

uint64_t set_of(const char *words)
{
	uint64_t set;
	if (promises_parse(words, &set, NULL) < 0)
		fail_msg("bad words %s", words);
	return set;
}

const struct filter_spec modes[MODES] = {
	[BASE] = {.base = true},
	[OWN] = {.base = true, .own_pids = true, .names_direct = true, .empty_path_direct = true},
	[LOADING] = {.base = true, .own_pids = true, .empty_path_direct = true, .loading = true, .count_tasks = true},
	[STRING] = {.base = true, .empty_string = EMPTY_STRING},
	[KILL_MODE] = {.base = true, .kill = true},
	[KILL_LOADING] = {.base = true, .kill = true, .loading = true, .own_pids = true, .empty_string = EMPTY_STRING},
	[NARROW] = {.base = false},
	[NARROW_LOADING] = {.base = false,
		.loading = true,
		.below = PROMISE_BIT(stdio) | PROMISE_BIT(rpath) | PROMISE_BIT(exec)},
	[DIRECT] = {.base = true, .own_pids = true, .empty_path_direct = true, .direct = true},
	[DIRECT_LOADING] = {.base = true, .own_pids = true, .loading = true, .direct = true, .kill = true},
	[DIRECT_NARROW] = {.base = false, .direct = true, .names_direct = true},
	[DIRECT_NARROW_LOADING] = {.base = false, .loading = true, .direct = true},
	[NARROWABLE] = {.base = true, .narrowable = true, .empty_string = EMPTY_STRING},
	[SOCKETS] = {.base = true, .own_pids = true, .sockets = true},
	[NARROWABLE_LOADING] =
		{.base = true, .narrowable = true, .loading = true, .own_pids = true, .names_direct = true},
};

/* What may pass where there are direct trees: looking, and opening for reading. */
static bool looks(int nr)
{
	return nr == SYS_newfstatat || nr == SYS_statx || nr == SYS_faccessat || nr == SYS_faccessat2
#ifdef __x86_64__
	       || nr == SYS_stat || nr == SYS_lstat || nr == SYS_access
#endif
		;
}

static bool reads(int nr, const uint64_t args[6])
{
#ifdef __x86_64__
	if (nr == SYS_open)
		return !(args[1] & (O_ACCMODE | O_CREAT | O_TRUNC | O_PATH | 020000000));
#endif
	return nr == SYS_openat && !(args[2] & (O_ACCMODE | O_CREAT | O_TRUNC | O_PATH | (O_TMPFILE & ~O_DIRECTORY)));
}

bool native(const struct filter_spec *s, int nr, const uint64_t args[6])
{
	return s->base && s->direct &&
	       (nr == SYS_fchdir
			       ? !!(s->promises & PROMISE_BIT(stdio))
			       : s->promises & PROMISE_BIT(rpath) && (looks(nr) || reads(nr, args) || nr == SYS_chdir));
}

/* What a narrowing filter on top of that must hold back, whatever row would let it through. */
static bool held_back(const struct filter_spec *s, int nr, const uint64_t args[6])
{
	if (s->base || !s->direct)
		return false;
	if (nr == SYS_fchdir)
		return !(s->promises & PROMISE_BIT(stdio));
	if (s->promises & PROMISE_BIT(rpath))
		return false;
	return reads(nr, args) || nr == SYS_chdir || looks(nr);
}

/* The first row of the call from the given one on; the table's length when there is none. */
static size_t row_after(int nr, size_t from)
{
	static uint16_t next[4096], first[1024];
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	if (next[0] == 0) { /* once: rows are looked up millions of times */
		if (count >= sizeof(next) / sizeof(next[0]) - 1)
			fail_msg("the table has outgrown this test");
		for (size_t n = 0; n < 1024; n++)
			first[n] = (uint16_t)count;
		for (size_t i = count; i-- > 0;) {
			next[i] = (uint16_t)count;
			if (rows[i].number >= 0 && rows[i].number < 1024) {
				next[i] = first[rows[i].number];
				first[rows[i].number] = (uint16_t)i;
			}
		}
	}
	if (nr < 0 || nr >= 1024)
		return count;
	return from == 0 ? first[nr] : next[from - 1];
}

uint32_t expected(const struct filter_spec *s, int nr, const uint64_t args[6])
{
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	uint64_t promises = s->promises;
	bool known = false, named = false, allow = false, asks = false, lost = false, kill = false;
	if (nr == AIRLOCK_SYSCALL)
		return s->base ? NOTIFIED : ALLOWED;
	if (s->loading && !s->base)
		promises |= PROMISE_BIT(exec) | PROMISE_BIT(prot_exec);
	for (size_t i = row_after(nr, 0); i < count; i = row_after(nr, i + 1)) {
		const struct promise_row *r = &rows[i];
		if (r->kind == ROW_ABSENT)
			continue;
		known = true;
		bool request = r->kind == ROW_BROKER || r->kind == ROW_LIBC;
		/* What the filter beneath may have let past, on a promise that is gone. */
		bool direct = r->kind == ROW_ALLOW || r->kind == ROW_OWN || r->kind == ROW_TASK ||
			      (r->kind == ROW_NAMED && s->names_direct);
		if (!s->base && direct && (r->need & ~promises) && (!s->below || !(r->need & ~s->below)) &&
			!(s->direct && looks(nr) && promises & PROMISE_BIT(rpath)) && promise_row_matches(r, args))
			lost = true;
		/* Under a narrowing filter with programs to come what reaches the broker is the broker's. */
		bool there = (r->need & promises) == r->need || (request && s->loading && !s->base);
		if (r->kind == ROW_REFUSE || !there)
			continue;
		bool matches = promise_row_matches(r, args);
		named = named || (s->base && !s->narrowable) || r->kind != ROW_KILL;
		if (request && held_back(s, nr, args))
			continue;
		/* With programs to come, which may be promised less, the broker decides. */
		if (s->base && s->loading && r->kind == ROW_ALLOW && r->need == PROMISE_BIT(prot_exec))
			continue;
		/* What may be given up later is not let past the broker at all. */
		if (s->base && s->narrowable && r->kind != ROW_KILL && (r->need & ~PROMISE_BIT(stdio)))
			continue;
		/* The broker makes them. */
		if (s->base && s->sockets && nr == SYS_socket)
			continue;
		if (r->kind == ROW_KILL)
			kill = kill || (s->base && !s->narrowable && matches);
		else if (!s->base && (request || (r->kind == ROW_NAMED && !s->names_direct)))
			asks = asks || matches;
		else if (r->kind == ROW_ALLOW || !s->base)
			allow = allow || matches;
		else if (r->kind == ROW_OWN)
			allow = allow || (s->own_pids && matches);
		else if (r->kind == ROW_TASK)
			allow = allow || (!s->count_tasks && matches);
		else if (r->kind == ROW_NAMED)
			allow = allow || (s->names_direct && matches);
	}
	if (!known)
		return UNHEARD;
	/* The empty path, which it lets past under stdio. */
	if (!s->base && !(promises & PROMISE_BIT(stdio)) && (!s->below || s->below & PROMISE_BIT(stdio)) &&
		!(s->direct && promises & PROMISE_BIT(rpath)) && (nr == SYS_newfstatat || nr == SYS_statx) &&
		(uint32_t)args[nr == SYS_newfstatat ? 3 : 2] == AT_EMPTY_PATH && (int32_t)args[0] >= 0)
		lost = true;
	allow = allow || (asks && !lost);
	if (native(s, nr, args))
		return ALLOWED;
	if ((s->base || s->direct) && (nr == SYS_newfstatat || nr == SYS_statx) && (promises & PROMISE_BIT(stdio)) &&
		(uint32_t)args[nr == SYS_newfstatat ? 3 : 2] == AT_EMPTY_PATH && (int32_t)args[0] >= 0 &&
		((s->base ? s->empty_path_direct : s->direct) ||
			(s->base && s->empty_string && args[1] == s->empty_string)))
		return ALLOWED;
	if (s->loading && (nr == SYS_execve || nr == SYS_execveat))
		named = true;
	if (kill || (s->base && s->kill && !named))
		return KILLED;
	return allow ? ALLOWED : s->base ? NOTIFIED : FORBIDDEN;
}

void complain(const struct filter_spec *s, int nr, const uint64_t *args, uint32_t got, uint32_t want)
{
	char words[512];
	fail_msg("[%s] base %d kill %d own %d loading %d narrowable %d direct %d: %s(%llx, %llx, %llx, %llx): %x, not "
		 "%x",
		promises_format(s->promises, words, sizeof(words)), s->base, s->kill, s->own_pids, s->loading,
		s->narrowable, s->direct, syscall_name(nr) ? syscall_name(nr) : "?", (unsigned long long)args[0],
		(unsigned long long)args[1], (unsigned long long)args[2], (unsigned long long)args[3], got, want);
}
