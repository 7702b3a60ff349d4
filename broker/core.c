/* SPDX-License-Identifier: ISC */
/*
 * Owns the core file of a worker's crash: ELF, as debuggers read it. Runs in the broker, on a slow worker, which holds the
 * other threads of the process by ptrace meanwhile; what reads the process and writes the file is a helper, forked for this
 * one core (core_file.c): it can read that process, and write to that descriptor, and do nothing else. The process makes its
 * memory what it likes: the worst is a file that says something wrong.
 */
#include "broker/core.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define TIME_MS 10000
#define STOP_MS 500 /* for a thread to stop */
#define SLICE_MS 20

static void pause_ms(long ms)
{
	struct timespec t = {0, ms * 1000000};
	nanosleep(&t, NULL);
}

#if defined(__x86_64__)
static void registers_take(struct elf_prstatus *s, const ucontext_t *u, uint64_t thread_pointer)
{
	static const int from[] = {REG_R15, REG_R14, REG_R13, REG_R12, REG_RBP, REG_RBX, REG_R11, REG_R10, REG_R9,
		REG_R8, REG_RAX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RAX, REG_RIP, REG_CSGSFS, REG_EFL, REG_RSP};
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
		s->pr_reg[i] = (elf_greg_t)u->uc_mcontext.gregs[from[i]];
	s->pr_reg[15] = ~(elf_greg_t)0; /* in no system call */
	s->pr_reg[17] &= 0xffff;
	s->pr_reg[20] = (elf_greg_t)((uint64_t)u->uc_mcontext.gregs[REG_CSGSFS] >> 48);
	s->pr_reg[21] = thread_pointer;
}
#elif defined(__aarch64__)
static void registers_take(struct elf_prstatus *s, const ucontext_t *u, uint64_t thread_pointer)
{
	(void)thread_pointer;
	memcpy(s->pr_reg, u->uc_mcontext.regs, 31 * sizeof(uint64_t));
	s->pr_reg[31] = u->uc_mcontext.sp;
	s->pr_reg[32] = u->uc_mcontext.pc;
	s->pr_reg[33] = u->uc_mcontext.pstate;
}
#endif

/* A thread that is traced stopped, or is dead and was waited for: before that its process' parent cannot. */
static bool thread_wait(pid_t tid, int *status, int patience)
{
	for (int ms = 0; ms < patience; ms++) {
		pid_t n = waitpid(tid, status, __WALL | WNOHANG);
		if (n != 0)
			return n == tid;
		pause_ms(1);
	}
	return false;
}

/* Whether it stopped; *pending is the signal that it was about to take. */
static bool thread_stop(struct family *f, pid_t tid, int *pending)
{
	int status;
	bool stopped = false;
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	/* It does not while the broker has a call of it, save by an answer; one may just be on its way to a worker. */
	for (int ms = 0; ms < STOP_MS && !stopped; ms += SLICE_MS) {
		slow_interrupt(f, tid);
		stopped = thread_wait(tid, &status, SLICE_MS);
	}
	if (!stopped) {
		/* What does not stop is not let go again either. It is the end of a process that has crashed. */
		kill(tid, SIGKILL);
		thread_wait(tid, &status, STOP_MS);
		return false;
	}
	if (WIFSTOPPED(status))
		*pending = status >> 16 ? 0 : WSTOPSIG(status);
	return WIFSTOPPED(status);
}

static void thread_go(pid_t tid, int pending)
{
	int status;
	if (ptrace(PTRACE_DETACH, tid, NULL, (void *)(long)pending) < 0) /* killed meanwhile */
		thread_wait(tid, &status, STOP_MS);
}

/* The others stand still and are looked at. */
static size_t threads_stop(struct core_threads *c, struct family *f, pid_t tid, int pending[CORE_THREADS])
{
	char name[32];
	snprintf(name, sizeof(name), "%d/task", (int)tid);
	int fd = openat(f->broker->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !dir)
		close(fd);
	for (struct dirent *e; dir && c->count < CORE_THREADS && (e = readdir(dir));) {
		const pid_t other = (pid_t)strtol(e->d_name, NULL, 10);
		struct elf_prstatus *s = &c->thread[c->count];
		struct iovec regs = {s->pr_reg, sizeof(s->pr_reg)};
		if (other <= 0 || other == tid || ptrace(PTRACE_SEIZE, other, NULL, NULL) < 0 ||
			!thread_stop(f, other, &pending[c->count]))
			continue;
		memset(s, 0, sizeof(*s));
		ptrace(PTRACE_GETREGSET, other, (void *)NT_PRSTATUS, &regs);
		regs = (struct iovec){&c->numbers[c->count], sizeof(c->numbers[0])};
		c->has_numbers[c->count] = ptrace(PTRACE_GETREGSET, other, (void *)NT_PRFPREG, &regs) == 0;
		s->pr_pid = other;
		c->count++;
	}
	if (dir)
		closedir(dir);
	return c->count;
}

/* The helper's end: its own, or its time's, or its process'. */
static void await(const struct request *r, pid_t helper)
{
	int status;
	for (int ms = 0; ms < TIME_MS && request_alive(r) && !atomic_load(&r->family->stopping); ms += 5) {
		if (waitpid(helper, &status, WNOHANG) != 0)
			return;
		pause_ms(5);
	}
	kill(helper, SIGKILL);
	while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
}

void core_write(const struct request *r, const siginfo_t *info)
{
	struct family *f = r->family;
	struct core_threads *c;
	int pending[CORE_THREADS] = {0};
	ucontext_t u;
	struct stat st;
	if (memory_read(r, r->args[2], &u, offsetof(ucontext_t, uc_mcontext) + sizeof(u.uc_mcontext)) < 0)
		return;
	/* Another fork's core may go there, to a reader that stands still. */
	while (atomic_exchange(&f->cores, true)) {
		if (!request_alive(r) || atomic_load(&f->stopping))
			return;
		pause_ms(5);
	}
	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	/* One file has room for one core: the first. */
	if (c != MAP_FAILED && fstat(f->core, &st) == 0 && !(S_ISREG(st.st_mode) && st.st_size > 0)) {
		c->pid = r->tid;
		c->info = *info;
		c->count = 1;
		memset(&c->thread[0], 0, sizeof(c->thread[0]));
		c->thread[0].pr_info.si_signo = c->thread[0].pr_cursig = (short)info->si_signo;
		c->thread[0].pr_pid = r->tid;
		registers_take(&c->thread[0], &u, r->args[3]);
#if defined(__x86_64__) /* others have them elsewhere */
		c->has_numbers[0] = memory_read(r, (uint64_t)(uintptr_t)u.uc_mcontext.fpregs, &c->numbers[0],
					    sizeof(c->numbers[0])) == 0;
#endif
		/* For those who are not privileged, the kernel's word on this is a secret. */
		if (memory_read(r, r->args[4], c->auxv, sizeof(c->auxv)) < 0)
			memset(c->auxv, 0, sizeof(c->auxv));
		threads_stop(c, f, r->tid, pending);
		const pid_t broker = getpid();
		pid_t helper = fork();
		if (helper == 0)
			core_help(c, f->broker, f->core, broker);
		if (helper > 0)
			await(r, helper);
		for (size_t i = 1; i < c->count; i++)
			thread_go(c->thread[i].pr_pid, pending[i]);
	}
	if (c != MAP_FAILED)
		munmap(c, sizeof(*c));
	atomic_store(&f->cores, false);
}
