/* SPDX-License-Identifier: ISC */
/* The table of promises on the running kernel. First its own verdict on every row at every edge: filters are loaded in
 * which each verdict has become an errno that nothing else gives, so that thousands of calls can be tried, through the
 * kernel's entry and its compiler, of which none happens. Then the direct calls of every promise really happen under it,
 * and do not without it. Rows that are added are tried by themselves. */
#include "tests/filter_model.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- verdicts as errors ---- */

enum { MARK_ALLOWED = 3001, MARK_NOTIFIED, MARK_KILLED, MARK_UNHEARD, MARK_FORBIDDEN };

static unsigned mark_of(uint32_t verdict)
{
	static const struct {
		uint32_t verdict;
		unsigned mark;
	} marks[] = {{ALLOWED, MARK_ALLOWED}, {NOTIFIED, MARK_NOTIFIED}, {KILLED, MARK_KILLED}, {UNHEARD, MARK_UNHEARD},
		{FORBIDDEN, MARK_FORBIDDEN}};
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (marks[i].verdict == verdict)
			return marks[i].mark;
	return 0;
}

struct wrong {
	int nr;
	uint64_t args[6];
	unsigned got, want;
	size_t tried;
};

static void load(const struct sock_filter *code, size_t len)
{
	struct sock_fprog program = {(unsigned short)len, (struct sock_filter *)(uintptr_t)code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		_exit(99);
}

/* The filter with marks for verdicts, and exit_group() past it. */
static void load_marked(const struct filter *f)
{
	const struct sock_filter front[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1), BPF_STMT(BPF_RET | BPF_K, ALLOWED)};
	const size_t n = sizeof(front) / sizeof(front[0]);
	struct sock_filter *code = calloc(f->len + n, sizeof(*code));
	if (!code)
		_exit(97);
	memcpy(code, front, sizeof(front));
	memcpy(code + n, f->code, f->len * sizeof(*code));
	for (size_t i = n; i < f->len + n; i++) {
		if (BPF_CLASS(code[i].code) != BPF_RET)
			continue;
		unsigned mark = mark_of(code[i].k);
		if (!mark)
			_exit(96);
		code[i].k = SECCOMP_RET_ERRNO | mark;
	}
	load(code, f->len + n);
}

static bool try_call(struct wrong *w, int nr, const uint64_t args[6], uint32_t want)
{
	w->nr = nr; /* if it does not come back */
	memcpy(w->args, args, sizeof(w->args));
	long r = syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	unsigned got = r == -1 ? (unsigned)errno : 0;
	w->tried++;
	if (got == mark_of(want))
		return true;
	w->got = got;
	w->want = mark_of(want);
	return false;
}

/* Made before: under a marked filter there is no memory to be had. */
static struct vectors *edges;
static struct wrong *shared;

/* The way out; and what the kernel puts into processes for probes, and since 6.14 lets past every filter. */
static bool not_asked(int nr)
{
	return nr == SYS_exit_group || nr == syscall_number("uretprobe") || nr == syscall_number("uprobe");
}

static bool try_all(struct wrong *w, const struct filter_spec *spec)
{
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	const uint64_t ones[6] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
		       none[6] = {0};
	for (size_t i = 0; i < count; i++) {
		if (rows[i].number < 0 || not_asked(rows[i].number))
			continue;
		const struct vectors v = edges[i];
		for (size_t k = 0; k < v.count; k++) {
			uint64_t high[6];
			uint32_t want = expected(spec, v.nr, v.args[k]);
			garble(&v, v.args[k], k % 2 ? 0xffffffff : 0x7f000001, high);
			if (!try_call(w, v.nr, v.args[k], want) || !try_call(w, v.nr, high, want))
				return false;
		}
	}
	/* Numbers that nobody knows. No number with the x32 bit is asked here: they are killed. */
	for (int nr = 0; nr < 1200; nr++) {
		if (not_asked(nr))
			continue;
		if (!try_call(w, nr, ones, expected(spec, nr, ones)) ||
			!try_call(w, nr, none, expected(spec, nr, none)))
			return false;
	}
#ifdef __x86_64__
	for (int nr = 0; nr < 600; nr++)
		if (!try_call(w, nr | 0x40000000, none, KILLED))
			return false;
#endif
	return try_call(w, AIRLOCK_SYSCALL, ones, spec->base ? NOTIFIED : ALLOWED) &&
	       try_call(w, AIRLOCK_SYSCALL + 1, ones, UNHEARD);
}

static void check_filter(struct filter_spec spec)
{
	struct filter f = make(spec);
	int status;
	*shared = (struct wrong){0};
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		load_marked(&f);
		syscall(SYS_exit_group, try_all(shared, &spec) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0) {
		print_error("status %x, after %zu calls\n", status, shared->tried);
		complain(&spec, shared->nr, shared->args, shared->got, shared->want);
	}
	assert_true(shared->tried > 30000);
	free(f.code);
}

static void test_the_kernel_says_what_the_table_says(void **state)
{
	(void)state;
	for (size_t m = 0; m < MODES; m++) {
		struct filter_spec spec = modes[m];
		spec.promises = set_of("stdio rpath wpath fattr unix dns proc tty id route audio");
		check_filter(spec);
	}
	for (unsigned i = 0; i < PROMISE_COUNT; i++) {
		struct filter_spec spec = modes[i % MODES];
		spec.promises = UINT64_C(1) << i | (i % 2 ? PROMISE_BIT(stdio) : 0);
		check_filter(spec);
		spec = modes[(i + 3) % MODES];
		spec.promises = EVERY & ~(UINT64_C(1) << i);
		if (i % 4 == 0)
			check_filter(spec);
	}
}

/* ---- direct calls that happen ---- */

/* Their own arguments would have an effect on others, or none but to wait. */
static bool unfit(int nr)
{
	static const char *const names[] = {"exit", "exit_group", "rt_sigreturn", "kill", "tkill", "tgkill",
		"rt_sigqueueinfo", "rt_tgsigqueueinfo", "close", "close_range", "fork", "vfork", "clone", "setsid",
		"settimeofday", "munmap", "brk", "set_tid_address", "mlockall", "arch_prctl", "rseq", "prctl",
		"restart_syscall", "map_shadow_stack", "uretprobe", "uprobe", "seccomp", "sched_setaffinity",
		"setgroups"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (nr == syscall_number(names[i]))
			return true;
	return false;
}

static bool direct(const struct promise_row *row)
{
	return row->need &&
	       (row->kind == ROW_ALLOW || row->kind == ROW_OWN || row->kind == ROW_NAMED || row->kind == ROW_TASK);
}

static void nothing(int signal)
{
	(void)signal;
}

/* The row's call, with what it asks for and else nothing that is anything: descriptors that are not open, pointers to
 * nothing. What waits is interrupted. */
static int call_row(const struct promise_row *row)
{
	uint64_t args[6] = {(uint64_t)-1, (uint64_t)-1, 0, 0, 0, 0};
	size_t count;
	const struct vectors v = edges[row - promise_rows(&count)];
	for (size_t k = 0; k < ROW_CONDITIONS; k++)
		if (row->conditions[k].kind != CONDITION_NONE)
			args[row->conditions[k].arg] = v.args[0][row->conditions[k].arg];
	errno = 0;
	long r = syscall(row->number, args[0], args[1], args[2], args[3], args[4], args[5]);
	return r == -1 ? errno : 0;
}

/* What the call gives in a process of its own: natively, or under a filter for these promises, without a listener: what
 * would be a notification is ENOSYS. -1 when the process ended of it. */
static int outcome(const struct promise_row *row, const struct filter *f)
{
	struct sigaction act = {.sa_handler = nothing};
	struct itimerval soon = {{0, 20000}, {0, 20000}};
	int status;
	int *result = (int *)shared;
	*result = -2;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		sigaction(SIGALRM, &act, NULL);
		setitimer(ITIMER_REAL, &soon, NULL);
		if (f)
			load(f->code, f->len);
		*result = call_row(row);
		syscall(SYS_exit_group, 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? *result : -1;
}

static void test_direct_calls_happen_under_their_promise_alone(void **state)
{
	(void)state;
	size_t count, tried = 0;
	const struct promise_row *rows = promise_rows(&count);
	struct filter with = {.code = NULL}, without = {.code = NULL};
	uint64_t last = 0;
	for (size_t i = 0; i < count; i++) {
		const struct promise_row *row = &rows[i];
		if (!direct(row) || row->number < 0 || unfit(row->number))
			continue;
		if (!with.code || row->need != last) {
			struct filter_spec spec = {.base = true, .own_pids = true, .names_direct = true};
			free(with.code);
			free(without.code);
			spec.promises = last = row->need;
			with = make(spec);
			spec.promises = EVERY & ~row->need;
			without = make(spec);
		}
		int native = outcome(row, NULL);
		if (native == ENOSYS) /* this kernel does not have it */
			continue;
		int under = outcome(row, &with), refused = outcome(row, &without);
		tried++;
		if (under != native)
			fail_msg("%s, row %zu: %d under its promise, %d natively", row->name, i, under, native);
		/* Another promise may allow the same call. */
		uint64_t args[6] = {(uint64_t)-1, (uint64_t)-1, 0, 0, 0, 0};
		for (size_t k = 0; k < ROW_CONDITIONS; k++)
			if (row->conditions[k].kind == CONDITION_MASK)
				args[row->conditions[k].arg] = row->conditions[k].value;
		bool other = expected(&without.spec, row->number, args) == ALLOWED;
		if (refused != (other ? native : ENOSYS))
			fail_msg("%s, row %zu: %d without its promise", row->name, i, refused);
	}
	free(with.code);
	free(without.code);
	print_message("%zu direct calls happened\n", tried);
	assert_true(tried > 300);
}

int main(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	edges = calloc(count, sizeof(*edges));
	if (shared == MAP_FAILED || !edges)
		return 1;
	for (size_t i = 0; i < count; i++)
		edges[i] = edges_for(&rows[i]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_kernel_says_what_the_table_says),
		cmocka_unit_test(test_direct_calls_happen_under_their_promise_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
