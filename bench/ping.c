/* SPDX-License-Identifier: ISC */
/*
 * airlock_call() beside what two processes with a word of shared memory can do at best: a ping-pong of futex calls
 * (both sleep each time) and one that spins. "busy": one call after the other. "idle": a millisecond of nothing before
 * each, so that the other side sleeps, and the processor too. Then 16 MiB beside memcpy.
 */
#include "bench/common.h"

#include <errno.h>
#include <airlock.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 12
#define BUSY 1000
#define IDLE 40
#define BIG (16u << 20)

static ssize_t echo(const void *in, size_t len, void *out, size_t cap)
{
	if (len > cap)
		return -1;
	memcpy(out, in, len);
	return (ssize_t)len;
}
AIRLOCK_FUNCTION(echo)

/* Takes the bytes as they are: what is measured is the way, not the work. */
static ssize_t take(const void *in, size_t len, void *out, size_t cap)
{
	(void)out;
	(void)cap;
	return ((const char *)in)[len - 1] == 'x' ? 0 : -EINVAL;
}
AIRLOCK_FUNCTION(take)

struct page {
	_Atomic uint32_t word; /* 0: the caller's turn, 1: the other's */
	char data[16];
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	while (atomic_load(word) == value)
		syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void turn(struct page *p, uint32_t to)
{
	atomic_store(&p->word, to);
	syscall(SYS_futex, &p->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static struct page *peer(bool spins, pid_t *pid)
{
	struct page *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap", strerror(errno));
	*pid = fork();
	if (*pid < 0)
		fail("fork", strerror(errno));
	if (*pid)
		return p;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		if (!spins)
			futex_wait(&p->word, 0);
		while (atomic_load_explicit(&p->word, memory_order_acquire) == 0)
			;
		p->data[0]++;
		if (spins)
			atomic_store(&p->word, 0);
		else
			turn(p, 0);
	}
}

static void ping(struct page *p, bool spins)
{
	p->data[1]++;
	if (spins) {
		atomic_store(&p->word, 1);
		while (atomic_load_explicit(&p->word, memory_order_acquire) == 1)
			;
	} else {
		turn(p, 1);
		futex_wait(&p->word, 1);
	}
}

static void call(struct airlock_target *t)
{
	char in[16] = "0123456789abcde", out[16];

	if (airlock_call(t, "echo", in, sizeof(in), out, sizeof(out)) != sizeof(out))
		fail("airlock_call", airlock_message());
}

static void idle(void)
{
	nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void small(struct airlock_target *t)
{
	struct samples bare = {0}, bare_idle = {0}, called = {0}, called_idle = {0}, spun = {0};
	pid_t pid, spinner;
	struct page *p = peer(false, &pid), *q;

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < BUSY; i++) {
			uint64_t from = now_ns();
			ping(p, false);
			sample(&bare, (double)(now_ns() - from));
		}
		for (int i = 0; i < BUSY; i++) {
			uint64_t from = now_ns();
			call(t);
			sample(&called, (double)(now_ns() - from));
		}
		/* Made anew each round: a spinning process left alone would take a processor from the others. */
		q = peer(true, &spinner);
		ping(q, true);
		for (int i = 0; i < BUSY; i++) {
			uint64_t from = now_ns();
			ping(q, true);
			sample(&spun, (double)(now_ns() - from));
		}
		kill(spinner, SIGKILL);
		waitpid(spinner, NULL, 0);
		munmap(q, sizeof(*q));
	}
	/* Rounds of their own: an idle caller and its target are gathered on one processor, and a busy pair would start
	 * there. */
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < IDLE; i++) {
			idle();
			uint64_t from = now_ns();
			ping(p, false);
			sample(&bare_idle, (double)(now_ns() - from));
		}
		for (int i = 0; i < IDLE; i++) {
			idle();
			uint64_t from = now_ns();
			call(t);
			sample(&called_idle, (double)(now_ns() - from));
		}
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	double futex = median(&bare), futex_idle = median(&bare_idle);
	report("shared memory ping-pong, futex, busy", futex, "", 0, "");
	report("shared memory ping-pong, futex, idle", futex_idle, "", 0, "");
	report("shared memory ping-pong, spinning", median(&spun), "futex", futex, "");
	report("airlock_call, 16 bytes each way, busy", median(&called), "futex", futex, "2 us");
	report("airlock_call, 16 bytes each way, idle", median(&called_idle), "futex, idle", futex_idle, "1.5 x");
}

static void large(struct airlock_target *t)
{
	struct samples copied = {0}, taken = {0}, echoed = {0};
	char *from = malloc(BIG), *to = malloc(BIG);

	if (!from || !to)
		fail("malloc", strerror(errno));
	memset(from, 'x', BIG);
	memset(to, 'y', BIG);
	for (int round = -1; round < 15; round++) {
		uint64_t t0 = now_ns();
		memcpy(to, from, BIG);
		__asm__ volatile("" ::"r"(to) : "memory");
		uint64_t t1 = now_ns();
		if (airlock_call(t, "take", from, BIG, NULL, 0) != 0)
			fail("airlock_call", airlock_message());
		uint64_t t2 = now_ns();
		if (airlock_call(t, "echo", from, BIG, to, BIG) != BIG)
			fail("airlock_call", airlock_message());
		uint64_t t3 = now_ns();
		if (round < 0)
			continue; /* the first touch of every page */
		sample(&copied, (double)(t1 - t0));
		sample(&taken, (double)(t2 - t1));
		sample(&echoed, (double)(t3 - t2));
	}
	double once = median(&copied);
	report("memcpy, 16 MiB", once, "", 0, "");
	report("airlock_call, 16 MiB in", median(&taken), "memcpy", once, "2 x");
	report("airlock_call, 16 MiB in, copied by the target, 16 MiB out", median(&echoed), "three memcpy", 3 * once,
		"2 x");
	free(from);
	free(to);
}

int main(int argc, char **argv)
{
	struct airlock_policy *policy;
	struct airlock_target *target;

	if (airlock_init(argc, argv) < 0 || airlock_policy_new(&policy, "stdio") < 0 ||
		airlock_start(&target, policy, NULL, NULL, NULL) < 0)
		fail("start", airlock_message());
	small(target);
	large(target);
	airlock_free(target);
	airlock_policy_free(policy);
	return 0;
}
