/* SPDX-License-Identifier: ISC */
/* What the workers of live_endings.c do: they crash, in all ways, and lie about it. Runs in targets. */
#include "sandbox/airlock.h"
#include "tests/endings.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define SYSTEM_CALL 44040
#define CRASHED 11

static volatile uint64_t sink;

static __attribute__((noinline)) uint64_t deeper(uint64_t n)
{
	volatile char room[512];
	room[0] = (char)n;
	return n ? deeper(n + 1) + (uint64_t)room[0] : 0;
}

__attribute__((noinline)) void write_to(uint64_t address)
{
	*(volatile int *)(uintptr_t)address = 1;
	sink++;
}

__attribute__((noinline)) static void jump_to(uint64_t address)
{
	((void (*)(void))(uintptr_t)address)();
	sink++;
}

static void *thread_writes(void *arg)
{
	write_to(*(uint64_t *)arg);
	return NULL;
}

static void *thread_deeper(void *arg)
{
	sink = deeper(1);
	return arg;
}

/* The broker waits for a writer, and the thread for the broker. */
static void *thread_waits(void *arg)
{
	sink = open("fifo", O_RDONLY);
	return arg;
}

static void in_thread(void *(*body)(void *), uint64_t number)
{
	pthread_t t;
	if (pthread_create(&t, NULL, body, &number) == 0)
		pthread_join(t, NULL);
}

static void own_exit(int signal)
{
	_exit(64 + signal);
}

static sigjmp_buf back;
static void own_jump(int signal)
{
	(void)signal;
	siglongjmp(back, 1);
}

static void own_crash(int signal)
{
	(void)signal;
	write_to(16);
}

/* As a handler of ours would, with what it likes. */
static long lie(int signal, uint64_t address, uint64_t instruction)
{
	static siginfo_t info;
	static ucontext_t context;
	info.si_signo = signal;
	info.si_code = SEGV_MAPERR;
	info.si_addr = (void *)(uintptr_t)address;
#if defined(__x86_64__)
	context.uc_mcontext.gregs[REG_RIP] = (long long)instruction;
	context.uc_mcontext.gregs[REG_RSP] = (long long)(uintptr_t)&context;
	context.uc_mcontext.gregs[REG_RBP] = (long long)(uintptr_t)&context;
#else
	context.uc_mcontext.pc = instruction;
	context.uc_mcontext.sp = (uintptr_t)&context;
#endif
	return syscall(SYSTEM_CALL, CRASHED, &info, &context, 0, 0);
}

static void lie_much(uint64_t times)
{
	const uint64_t places[] = {0, 1, (uint64_t)(uintptr_t)&sink, ~UINT64_C(0), UINT64_C(1) << 63, 4096};
	const size_t n = sizeof(places) / sizeof(places[0]);
	for (uint64_t i = 0; i < times; i++)
		syscall(SYSTEM_CALL, CRASHED, places[i % n], places[i / n % n], places[i % 5], places[i % 3]);
}

/* Frames that lead round in a circle, or nowhere. */
static void stack_forged(uint64_t number)
{
	static uint64_t stack[4096];
	for (size_t i = 0; i < 4096; i++)
		stack[i] = number == 1   ? (uint64_t)(uintptr_t)&stack[i]
			   : number == 2 ? (uint64_t)(uintptr_t)write_to + 4
					 : ~UINT64_C(0) - i;
	uint64_t *top = number == 4 ? (uint64_t *)(uintptr_t)24 : stack + 2048;
#if defined(__x86_64__)
	__asm__ volatile("mov %0, %%rsp\n	mov %0, %%rbp\n	movl $1, 8" : : "r"(top) : "memory");
#elif defined(__aarch64__)
	__asm__ volatile("mov sp, %0\n	mov x29, %0\n	mov x0, 8\n	str x0, [x0]" : : "r"(top) : "x0", "memory");
#endif
}

static int child_crashes(uint64_t number, int vforks)
{
	int status = 0;
	pid_t child = vforks ? vfork() : fork();
	if (child == 0) {
		write_to(number);
		_exit(0);
	}
	return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) ? -WTERMSIG(status) : 0;
}

static void fill(uint64_t bytes)
{
	const size_t each = 256 << 10;
	for (uint64_t done = 0; done < bytes; done += each) {
		char *p = malloc(each);
		memset(p, 1, each); /* does not look, as careless programs do */
	}
}

static void file_fill(void)
{
	char bytes[8192] = "";
	/* Descriptor 20 is one that the policy passes. */
	if (write(20, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
		sink++;
	(void)!write(20, bytes, sizeof(bytes));
}

ssize_t act(const void *in, size_t len, void *out, size_t cap);
__attribute__((noinline)) ssize_t act(const void *in, size_t len, void *out, size_t cap)
{
	struct job j;
	(void)out;
	(void)cap;
	if (len != sizeof(j))
		return -1;
	memcpy(&j, in, sizeof(j));
	const char *what = j.what;
#define IS(word) (strcmp(what, word) == 0)
	if (IS("write"))
		write_to(j.number);
	else if (IS("jump"))
		jump_to(j.number);
	else if (IS("abort"))
		abort();
	else if (IS("illegal"))
		__asm__ volatile(
#if defined(__x86_64__)
			"ud2"
#else
			"udf 0"
#endif
		);
	else if (IS("trap"))
		__asm__ volatile(
#if defined(__x86_64__)
			"int3"
#else
			"brk 0"
#endif
		);
	else if (IS("divide"))
		sink = 100 / j.number;
	else if (IS("bus")) {
		char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, 20, 0);
		write_to((uint64_t)(uintptr_t)(p + 4096));
	} else if (IS("constant"))
		write_to((uint64_t)(uintptr_t) "constant");
	else if (IS("raise"))
		raise((int)j.number);
	else if (IS("overflow"))
		sink = deeper(1);
	else if (IS("thread"))
		in_thread(thread_writes, j.number);
	else if (IS("waits")) {
		pthread_t t;
		if (pthread_create(&t, NULL, thread_waits, NULL) == 0)
			poll(NULL, 0, 200); /* it does by then, or else is as any other thread */
		write_to(j.number);
	} else if (IS("threadover"))
		in_thread(thread_deeper, 0);
	else if (IS("handler")) {
		signal(SIGSEGV, own_exit);
		write_to(8);
	} else if (IS("recover")) {
		signal(SIGSEGV, own_jump);
		if (!sigsetjmp(back, 1))
			write_to(8);
	} else if (IS("handlercrash")) {
		signal(SIGSEGV, own_crash);
		write_to(8);
	} else if (IS("blocked")) {
		sigset_t all;
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		write_to(8);
	} else if (IS("forged"))
		stack_forged(j.number);
	else if (IS("vfork") || IS("fork"))
		return child_crashes(j.number, IS("vfork"));
	else if (IS("lieexit")) {
		lie(SIGSEGV, 0x4242, 0x4343);
		exit(0);
	} else if (IS("lieother")) {
		lie(SIGBUS, 0x4242, 0x4343);
		write_to(j.number);
	} else if (IS("lie")) {
		lie(SIGSEGV, 0x4242, 0x4343);
		write_to(j.number);
	} else if (IS("lies")) {
		lie_much(j.number);
		write_to(j.number);
	} else if (IS("open"))
		return open("/etc/passwd", O_RDONLY);
	else if (IS("ptrace"))
		return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	else if (IS("exit"))
		exit((int)j.number);
	else if (IS("spin"))
		for (;;)
			sink++;
	else if (IS("sleep"))
		sleep((unsigned)j.number);
	else if (IS("fill"))
		fill(j.number);
	else if (IS("file"))
		file_fill();
	return 0;
}
AIRLOCK_FUNCTION(act)
