/* SPDX-License-Identifier: ISC */
/* The filters of the second carrier, in a model of BPF: what they say is what the first carrier's say, by SIGSYS instead of a
 * notification, but for what keeps the wire whole; and the handler's instruction passes nothing that is of worth. */
#include "tests/bpf_sim.h"
#include "tests/filter_model.h"

#include "policy/trap.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define WIRE 1000u
#define PLACE UINT64_C(0x7f1234567890)
#define ASKS (SECCOMP_RET_TRAP | TRAP_ASK)
#define OWN_TRAP (SECCOMP_RET_TRAP | TRAP_OWN)

static const char *const sets[] = {"", "stdio", "rpath", "stdio rpath wpath cpath proc",
	"stdio unix inet sendfd recvfd", "stdio rpath proc exec prot_exec tty id", "stdio dns getpw route"};
#define SETS (sizeof(sets) / sizeof(sets[0]))

static struct filter trapping(struct filter_spec spec)
{
	spec.trap = true;
	struct filter f = make(spec);
	trap_fit(f.code, f.len, PLACE, WIRE);
	return f;
}

static uint32_t ask_from(const struct filter *f, uint64_t place, int nr, const uint64_t args[6])
{
	struct seccomp_data d = {.nr = nr, .arch = NATIVE, .instruction_pointer = place};
	uint32_t verdict = 0;
	memcpy(d.args, args, sizeof(d.args));
	assert_int_equal(bpf_sim(f->code, f->len, &d, &verdict, NULL), 0);
	return verdict;
}

/* Whether the handler has a part in the call, wherever it comes from. */
static bool guarded(int nr, const uint64_t a[6])
{
	const bool first = (uint32_t)a[0] == WIRE, second = (uint32_t)a[1] == WIRE;
	switch (nr) {
	case SYS_close:
	case SYS_dup:
	case SYS_fcntl:
	case SYS_ioctl:
	case SYS_setsockopt:
		return first;
#ifdef SYS_dup2
	case SYS_dup2:
#endif
	case SYS_dup3:
		return first || second;
	}
	return false;
}

/* Whether it performs the call, where that is allowed. */
static bool performed(int nr, const uint64_t a[6])
{
	switch (nr) {
	case SYS_close_range:
		return (uint32_t)a[0] <= WIRE && (uint32_t)a[1] >= WIRE;
	case SYS_rt_sigprocmask:
		return a[1] != 0;
	case SYS_rt_sigaction:
		return a[1] != 0 || (uint32_t)a[0] == SIGSYS;
	case SYS_rt_sigsuspend:
		return true;
	case SYS_ppoll:
		return a[3] != 0;
	case SYS_pselect6:
		return a[5] != 0;
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		return a[4] != 0;
	}
	return false;
}

/* What the handler's own instruction passes besides. */
static bool own(int nr, const uint64_t a[6])
{
	switch (nr) {
	case SYS_sendmsg:
		return (uint32_t)a[0] == WIRE;
	case SYS_recvmsg:
	case SYS_rt_sigpending:
		return true;
	case SYS_socketpair:
		return (uint32_t)a[0] == AF_UNIX;
	case SYS_fcntl:
		return (uint32_t)a[1] == F_DUPFD || (uint32_t)a[1] == F_DUPFD_CLOEXEC;
	case SYS_rt_sigaction:
		return a[1] == 0;
	}
	return false;
}

/* What the broker decides on registers alone, and could only let go on. (What asks about the network it makes itself.) */
static bool by_registers(uint64_t promises, int nr, const uint64_t args[6])
{
	size_t count;
	if ((uint32_t)args[0] == AF_NETLINK)
		return false;
	const struct promise_row *row = promise_rows(&count);
	for (; nr == SYS_socket && count > 0; count--, row++)
		if (row->number == nr && row->need && !(row->need & ~promises) && promise_row_matches(row, args))
			return true;
	return false;
}

static void compare(const struct filter *trap, const struct filter *plain, int nr, const uint64_t args[6])
{
	const bool base = plain->spec.base;
	const uint32_t asks = base ? NOTIFIED : FORBIDDEN;
	const uint32_t was = ask(plain, NATIVE, nr, args);
	uint32_t want = was == asks ? ASKS : was;
	if (base && guarded(nr, args))
		want = OWN_TRAP;
	else if (base && was == asks && by_registers(trap->spec.promises, nr, args))
		want = ALLOWED;
	else if (base && nr == SYS_shutdown)
		want = ASKS;
	else if (base && performed(nr, args) && was == ALLOWED && nr != SYS_rt_sigaction)
		want = OWN_TRAP;
	else if (base && performed(nr, args) && nr == SYS_rt_sigaction && (trap->spec.promises & PROMISE_BIT(stdio)))
		want = OWN_TRAP;
	uint32_t got = ask_from(trap, 0x400000, nr, args);
	if (got != want)
		complain(&trap->spec, nr, args, got, want);
	/* Half of the address is not the address. */
	got = ask_from(trap, PLACE ^ UINT64_C(1) << 40, nr, args);
	if (got != want)
		complain(&trap->spec, nr, args, got, want);
	assert_true(got != NOTIFIED);
	got = ask_from(trap, PLACE, nr, args);
	bool passes = got == ALLOWED && was != ALLOWED && want != ALLOWED;
	if (passes && !own(nr, args))
		complain(&trap->spec, nr, args, got, want);
	if (base && guarded(nr, args) && got != OWN_TRAP)
		complain(&trap->spec, nr, args, got, OWN_TRAP);
}

static const uint64_t more[] = {0, 1, 3, 8, WIRE - 1, WIRE, WIRE + 1, WIRE | UINT64_C(5) << 32, UINT32_MAX, UINT64_MAX,
	UINT64_C(1) << 32, 0x7fff12345678, SIGSYS, SIGABRT, AF_UNIX, AF_INET, AF_NETLINK, F_DUPFD, F_DUPFD_CLOEXEC,
	SOCK_DGRAM, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK};
#define MORE (sizeof(more) / sizeof(more[0]))

static void compare_all(struct filter_spec spec)
{
	struct filter trap = trapping(spec);
	/* What cannot be with it is not compared. */
	spec.loading = spec.count_tasks = spec.narrowable = false;
	struct filter plain = make(spec);
	assert_true(trap.len <= BPF_MAXINSNS);
	for (int nr = -1; nr < 1100; nr++) {
		uint64_t args[6] = {0};
		compare(&trap, &plain, nr, args);
		for (size_t arg = 0; arg < 6; arg++)
			for (size_t i = 0; i < MORE; i++) {
				memset(args, 0, sizeof(args));
				args[arg] = more[i];
				compare(&trap, &plain, nr, args);
				args[(arg + 1) % 6] = more[(i + 5) % MORE];
				compare(&trap, &plain, nr, args);
			}
	}
	const uint64_t none[6] = {0};
	compare(&trap, &plain, AIRLOCK_SYSCALL, none);
	free(trap.code);
	free(plain.code);
}

static void test_base(void **state)
{
	(void)state;
	for (size_t i = 0; i < SETS; i++) {
		compare_all((struct filter_spec){.promises = set_of(sets[i]), .base = true});
		compare_all((struct filter_spec){.promises = set_of(sets[i]),
			.base = true,
			.own_pids = true,
			.names_direct = true,
			.count_tasks = true,
			.loading = true,
			.narrowable = true});
	}
}

/* A narrowing filter on top: never a trap for what the handler performs, which would be its end. */
static void test_narrow(void **state)
{
	(void)state;
	for (size_t i = 0; i < SETS; i++) {
		struct filter_spec spec = {.promises = set_of(sets[i])};
		struct filter f = trapping(spec), plain = make(spec);
		for (int nr = 0; nr < 1024; nr++)
			for (size_t k = 0; k < MORE * MORE; k++) {
				const uint64_t args[6] = {more[k % MORE], more[k / MORE], 0, more[k % MORE],
					more[k % MORE], more[k % MORE]};
				uint32_t was = ask(&plain, NATIVE, nr, args), got = ask_from(&f, PLACE, nr, args);
				if (performed(nr, args) && got != ALLOWED && got != FORBIDDEN)
					complain(&spec, nr, args, got, FORBIDDEN);
				if (performed(nr, args) && was == ALLOWED && got != ALLOWED)
					complain(&spec, nr, args, got, was);
				if (got == ALLOWED && was != ALLOWED && !own(nr, args))
					complain(&spec, nr, args, got, was);
				got = ask_from(&f, 0x400000, nr, args);
				if (got != (was == FORBIDDEN ? ASKS : was))
					complain(&spec, nr, args, got, ASKS);
			}
		free(f.code);
		free(plain.code);
	}
}

/* Another architecture's handler is not known. */
static void test_foreign(void **state)
{
	struct sock_filter *code = NULL;
	size_t len = 0;
	struct filter_spec spec = {.base = true, .trap = true};
	(void)state;
	assert_int_equal(filter_compile_arch(&spec, FOREIGN, seccomp_syscall_resolve_name_arch, &code, &len), -EINVAL);
	struct filter f = trapping((struct filter_spec){.base = true, .promises = set_of("stdio")});
	struct seccomp_data d = {.nr = SYS_read, .arch = FOREIGN, .instruction_pointer = PLACE};
	uint32_t verdict = 0;
	assert_int_equal(bpf_sim(f.code, f.len, &d, &verdict, NULL), 0);
	assert_int_equal(verdict, KILLED);
	free(f.code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base), cmocka_unit_test(test_narrow), cmocka_unit_test(test_foreign)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
