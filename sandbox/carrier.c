/* SPDX-License-Identifier: ISC */
/*
 * This file owns the target's half of the second carrier: the SIGSYS handler that makes a message of a call and a result of
 * the answer. It runs in the confined process, at any instruction of it, in any thread.
 *
 * For a process that runs under somebody else's seccomp listener (a container's whose engine has an agent, a program's that
 * supervises itself), the kernel gives no second one (EBUSY). There what would be a notification is a SIGSYS. The handler
 * protects nothing: it is the target's own code and memory, and what it says the broker judges as ever. It is there so that
 * programs work, and is written for that: no state that two threads, a nested signal or a child could disturb, no libc, no
 * memory that is not on its stack; every signal is blocked while it runs. Each request has a pair of sockets of its own, so
 * that nobody gets another's answer, and neither end of it is left when the call returns.
 *
 * What keeps the wire whole is policy/trap.c's list: the calls that would close the socket or block SIGSYS come here as well,
 * and do what the program meant without that.
 */
#include "sandbox/carrier.h"

#include "broker/carrier.h"
#include "policy/trap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SO_PASSPIDFD /* 6.5 */
#define SO_PASSPIDFD 76
#endif
#define SYSTEM_CALL 1 /* si_code SYS_SECCOMP */
#define RESTART 512 /* the kernel's ERESTARTSYS */
#define GO_ON (-RESTART - 1) /* no errno */
#define RESTORER 0x04000000u
#define BIT(signal) (UINT64_C(1) << ((signal)-1))
#define NEVER (BIT(SIGSYS) | BIT(SIGKILL) | BIT(SIGSTOP))
#define HIGHEST 1024 /* numbers: more make a table that each fork copies */
#define POLL_NS 1000000
#define POLLS 100 /* between two looks whether the broker lives */
#if defined(__has_attribute) && __has_attribute(no_stack_protector)
#define INSIDE __attribute__((no_sanitize_address, no_sanitize_thread, no_stack_protector))
#else
#define INSIDE __attribute__((no_sanitize_address, no_sanitize_thread))
#endif

/* The one instruction that the filter knows; and the way out of the handler, in the form that unwinders know. */
long airlock_carrier_call(long nr, long a, long b, long c, long d, long e, long f);
extern const char airlock_carrier_place[];
void airlock_carrier_return(void);
#if defined(__x86_64__)
#define CALL_BYTES 2
#define REGISTER(u, n)                                                                                                 \
	((u)->uc_mcontext.gregs[(n) == 0   ? REG_RDI                                                                   \
				: (n) == 1 ? REG_RSI                                                                   \
				: (n) == 2 ? REG_RDX                                                                   \
				: (n) == 3 ? REG_R10                                                                   \
				: (n) == 4 ? REG_R8                                                                    \
					   : REG_R9])
#define RESULT(u) ((u)->uc_mcontext.gregs[REG_RAX])
#define COUNTER(u) ((u)->uc_mcontext.gregs[REG_RIP])
__asm__(".pushsection .text\n"
	".hidden airlock_carrier_call\n.hidden airlock_carrier_place\n.hidden airlock_carrier_return\n"
	".globl airlock_carrier_call\n.globl airlock_carrier_place\n.globl airlock_carrier_return\n"
	".type airlock_carrier_call, @function\n"
	"airlock_carrier_call:\n"
	"	.cfi_startproc\n"
	"	mov %rdi, %rax\n	mov %rsi, %rdi\n	mov %rdx, %rsi\n	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n	mov %r9, %r8\n	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"airlock_carrier_place:\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".type airlock_carrier_return, @function\n"
	"	nop\n" /* unwinders look one byte before */
	"airlock_carrier_return:\n"
	"	mov $15, %rax\n	syscall\n"
	".popsection\n");
#elif defined(__aarch64__)
#define CALL_BYTES 4
#define REGISTER(u, n) ((u)->uc_mcontext.regs[n])
#define RESULT(u) ((u)->uc_mcontext.regs[0])
#define COUNTER(u) ((u)->uc_mcontext.pc)
__asm__(".pushsection .text\n"
	".hidden airlock_carrier_call\n.hidden airlock_carrier_place\n.hidden airlock_carrier_return\n"
	".globl airlock_carrier_call\n.globl airlock_carrier_place\n.globl airlock_carrier_return\n"
	".type airlock_carrier_call, @function\n"
	"airlock_carrier_call:\n"
	"	.cfi_startproc\n"
	"	mov x8, x0\n	mov x0, x1\n	mov x1, x2\n	mov x2, x3\n	mov x3, x4\n	mov x4, x5\n	mov "
	"x5, x6\n"
	"	svc 0\n"
	"airlock_carrier_place:\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".type airlock_carrier_return, @function\n"
	"	nop\n"
	"airlock_carrier_return:\n"
	"	mov x8, 139\n	svc 0\n"
	".popsection\n");
#endif
#define CALL6(nr, a, b, c, d, e, f)                                                                                    \
	airlock_carrier_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL4(nr, a, b, c, d) CALL6(nr, a, b, c, d, 0, 0)

/* As the kernel has it. */
struct action {
	uint64_t handler, flags, restorer, mask;
};

/* Set before the filter is there, then only read; but for what the program believes its SIGSYS to be. */
static struct {
	bool used;
	int socket;
	struct action program;
} self = {.socket = -1};

/* ---- asking ---- */

INSIDE static long send_request(const struct carrier_message *m, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {(void *)(uintptr_t)m, m ? sizeof(*m) : 0};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		h.msg_control = &control;
		h.msg_controllen = CMSG_LEN(sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		*(int *)(void *)CMSG_DATA(&control.align) = fd;
	}
	for (;;) {
		long n = CALL4(SYS_sendmsg, self.socket, &h, MSG_NOSIGNAL, 0);
		/* Whoever shares the socket may have made it non-blocking. */
		if (n == -EAGAIN) {
			struct timespec pause = {0, POLL_NS};
			uint32_t word = 0;
			CALL4(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &pause);
		} else if (n != -EINTR) {
			return n;
		}
	}
}

INSIDE static long receive_answer(int socket, struct carrier_answer *a, int *fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {a, sizeof(*a)};
	struct msghdr h = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	long n;
	do
		n = CALL4(SYS_recvmsg, socket, &h, MSG_CMSG_CLOEXEC, 0);
	while (n == -EINTR);
	*fd = -1;
	if (n == sizeof(*a) && h.msg_controllen >= CMSG_LEN(sizeof(int)) && control.align.cmsg_type == SCM_RIGHTS)
		*fd = *(int *)(void *)CMSG_DATA(&control.align);
	return n;
}

/* The answer as the call's result; closes the socket. Whatever end the broker came to, it said no. */
INSIDE static long take_answer(int socket)
{
	struct carrier_answer a, again;
	int fd, none;
	bool came = receive_answer(socket, &a, &fd) == sizeof(a);
	if (came && a.kind == CARRIER_FD_WAIT)
		receive_answer(socket, &again, &none);
	CALL4(SYS_close, socket, 0, 0, 0);
	if (!came)
		return -ENOSYS;
	if (a.kind != CARRIER_FD && a.kind != CARRIER_FD_WAIT)
		return a.kind == CARRIER_GO ? GO_ON : (long)a.value;
	if (fd < 0)
		return -EMFILE; /* it found no number */
	/* The lowest number that is free is the socket's or below it. */
	long lowest = CALL4(SYS_fcntl, fd, a.cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0, 0);
	CALL4(SYS_close, fd, 0, 0, 0);
	return lowest;
}

/* Without descriptors the broker writes the result here, and nobody wakes us. */
INSIDE static long ask_slowly(struct carrier_message *m)
{
	const struct timespec pause = {0, POLL_NS};
	struct carrier_slot slot = {-ENOSYS, 0};
	m->slot = (uint64_t)(uintptr_t)&slot;
	if (send_request(m, -1) < 0)
		return -ENOSYS;
	for (unsigned i = 1; !__atomic_load_n(&slot.done, __ATOMIC_ACQUIRE); i++) {
		CALL4(SYS_futex, &slot.done, FUTEX_WAIT_PRIVATE, 0, &pause);
		/* An empty message means nothing to a broker, and cannot be sent to a dead one. */
		if (i % POLLS == 0 && send_request(NULL, -1) < 0)
			return -ENOSYS;
	}
	return slot.value;
}

INSIDE static long ask(struct carrier_message *m)
{
	int pair[2] = {-1, -1};
	long r = CALL4(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	m->held[0] = pair[0];
	m->held[1] = pair[1];
	m->held[2] = self.socket;
	if (r < 0)
		return ask_slowly(m);
	r = send_request(m, pair[1]);
	/* Else the broker's end would seem open for ever. */
	CALL4(SYS_close, pair[1], 0, 0, 0);
	if (r >= 0)
		return take_answer(pair[0]);
	CALL4(SYS_close, pair[0], 0, 0, 0);
	return -ENOSYS;
}

/* The broker lets it go on, if its registers are about this very thread: 0 says the same, and the filter knows it. */
INSIDE static long go_on(const struct carrier_message *m)
{
	const long own = CALL4(SYS_gettid, 0, 0, 0, 0);
	switch (m->nr) {
	case SYS_sched_setaffinity:
	case SYS_sched_setscheduler:
	case SYS_sched_setparam:
	case SYS_sched_setattr:
		return (int)m->args[0] == own ? CALL4(m->nr, 0, m->args[1], m->args[2], 0) : -EPERM;
	case SYS_setpriority:
	case SYS_ioprio_set:
		return (int)m->args[1] == own ? CALL4(m->nr, m->args[0], 0, m->args[2], 0) : -EPERM;
	default:
		return -EPERM;
	}
}

/* Whether a call that a signal interrupted is repeated after it, as the kernel would find. */
INSIDE static bool repeats(uint64_t blocked)
{
	uint64_t pending = 0;
	struct action a = {0, 0, 0, 0};
	CALL4(SYS_rt_sigpending, &pending, sizeof(pending), 0, 0);
	pending &= ~blocked;
	if (!pending)
		return true;
	CALL4(SYS_rt_sigaction, __builtin_ctzll(pending) + 1, NULL, &a, sizeof(a.mask));
	return a.handler <= 1 || (a.flags & SA_RESTART);
}

/* ---- what the handler does itself ---- */

/* Whether words of 8 bytes at p can be read, or written: the kernel looks, and blocking more of what is all blocked changes
 * nothing. */
INSIDE static bool readable(uint64_t p, unsigned words)
{
	for (unsigned i = 0; i < words; i++)
		if (CALL4(SYS_rt_sigprocmask, SIG_BLOCK, p + 8 * i, NULL, 8) < 0)
			return false;
	return true;
}

INSIDE static bool writable(uint64_t p, unsigned words)
{
	for (unsigned i = 0; i < words; i++)
		if (CALL4(SYS_rt_sigprocmask, SIG_BLOCK, NULL, p + 8 * i, 8) < 0)
			return false;
	return true;
}

INSIDE static uint64_t word(uint64_t p, unsigned i)
{
	uint64_t v;
	__builtin_memcpy(&v, (const void *)(uintptr_t)(p + 8 * i), 8);
	return v;
}

INSIDE static void word_set(uint64_t p, unsigned i, uint64_t v)
{
	__builtin_memcpy((void *)(uintptr_t)(p + 8 * i), &v, 8);
}

INSIDE static long own_mask(const uint64_t args[6], uint64_t *mask)
{
	const uint64_t before = *mask;
	if (args[3] != 8)
		return -EINVAL;
	if (!readable(args[1], 1))
		return -EFAULT;
	uint64_t set = word(args[1], 0);
	switch ((int)args[0]) {
	case SIG_BLOCK:
		*mask |= set;
		break;
	case SIG_UNBLOCK:
		*mask &= ~set;
		break;
	case SIG_SETMASK:
		*mask = set;
		break;
	default:
		return -EINVAL;
	}
	*mask &= ~NEVER;
	if (args[2] && !writable(args[2], 1))
		return -EFAULT;
	if (args[2])
		word_set(args[2], 0, before);
	return 0;
}

INSIDE static long own_action(const uint64_t args[6])
{
	struct action a, before = self.program;
	if (args[3] != 8)
		return -EINVAL;
	if (args[1]) {
		if (!readable(args[1], 4))
			return -EFAULT;
		a = (struct action){word(args[1], 0), word(args[1], 1), word(args[1], 2), word(args[1], 3) & ~NEVER};
	}
	if ((int)args[0] != SIGSYS)
		return CALL4(SYS_rt_sigaction, args[0], &a, args[2], 8);
	if (args[1])
		self.program = a;
	if (args[2] && !writable(args[2], 4))
		return -EFAULT;
	if (args[2]) {
		word_set(args[2], 0, before.handler);
		word_set(args[2], 1, before.flags);
		word_set(args[2], 2, before.restorer);
		word_set(args[2], 3, before.mask);
	}
	return 0;
}

/* Waits with a mask, at its position. */
INSIDE static long own_wait(long nr, uint64_t args[6], unsigned at)
{
	if (!readable(args[at], 1))
		return -EFAULT;
	uint64_t mask = word(args[at], 0) & ~NEVER;
	args[at] = (uint64_t)(uintptr_t)&mask;
	return CALL6(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

/* Its last argument points to a pointer to the mask and the mask's size. */
INSIDE static long own_pselect(uint64_t args[6])
{
	if (!readable(args[5], 2))
		return -EFAULT;
	uint64_t mask = 0, pair[2] = {word(args[5], 0), word(args[5], 1)};
	if (pair[0]) {
		if (!readable(pair[0], 1))
			return -EFAULT;
		mask = word(pair[0], 0) & ~NEVER;
		pair[0] = (uint64_t)(uintptr_t)&mask;
	}
	args[5] = (uint64_t)(uintptr_t)pair;
	return CALL6(SYS_pselect6, args[0], args[1], args[2], args[3], args[4], args[5]);
}

/* The socket's number stays; all others of the range go. */
INSIDE static long own_close_range(const uint64_t args[6])
{
	const uint32_t first = (uint32_t)args[0], last = (uint32_t)args[1], own = (uint32_t)self.socket;
	long r = 0;
	if (first < own)
		r = CALL4(SYS_close_range, first, own - 1, args[2], 0);
	if (r >= 0 && last > own)
		r = CALL4(SYS_close_range, own + 1, last, args[2], 0);
	return r;
}

INSIDE static long own(long nr, uint64_t args[6], uint64_t *mask)
{
	switch (nr) {
	case SYS_rt_sigprocmask:
		return own_mask(args, mask);
	case SYS_rt_sigaction:
		return own_action(args);
	case SYS_rt_sigsuspend:
		return own_wait(nr, args, 0);
	case SYS_ppoll:
		return own_wait(nr, args, 3);
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		return own_wait(nr, args, 4);
	case SYS_pselect6:
		return own_pselect(args);
	case SYS_close_range:
		return own_close_range(args);
	default:
		/* close, dup and their like, of a number that the program does not know to be there */
		return -EBADF;
	}
}

/* Somebody sent it by hand. */
INSIDE static void sent(int signal, siginfo_t *info, void *context)
{
	const struct action a = self.program;
	if (a.handler > 1)
		((void (*)(int, siginfo_t *, void *))(uintptr_t)a.handler)(signal, info, context);
	else if (a.handler == 0) /* a call that traps where SIGSYS is blocked: the kernel ends the process by it */
		CALL4(-2, 0, 0, 0, 0);
}

INSIDE static void trapped(int signal, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	uint64_t *mask = (uint64_t *)(void *)&u->uc_sigmask;
	struct carrier_message m;
	if (info->si_code != SYSTEM_CALL) {
		sent(signal, info, context);
		return;
	}
	m.nr = info->si_syscall;
	for (int i = 0; i < 6; i++)
		m.args[i] = (uint64_t)REGISTER(u, i);
	if (info->si_errno == TRAP_OWN) {
		RESULT(u) = own(m.nr, m.args, mask);
		return;
	}
	m.tid = (int32_t)CALL4(SYS_gettid, 0, 0, 0, 0);
	m.pid = (int32_t)CALL4(SYS_getpid, 0, 0, 0, 0);
	m.place = (uint64_t)COUNTER(u);
	m.stands = (uint64_t)(uintptr_t)airlock_carrier_place;
	m.mask = *mask;
	m.slot = 0;
	long r = ask(&m);
	if (r == GO_ON)
		r = go_on(&m);
	if (r != -RESTART)
		RESULT(u) = r;
	else if (repeats(*mask))
		COUNTER(u) -= CALL_BYTES; /* the registers are still what they were */
	else
		RESULT(u) = -EINTR;
}

/* ---- setting up ---- */

static int number_choose(int fd)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	int top = files.rlim_cur > HIGHEST ? HIGHEST : (int)files.rlim_cur;
	while (--top > STDERR_FILENO) {
		if (fcntl(top, F_GETFD) < 0 && errno == EBADF)
			return dup3(fd, top, O_CLOEXEC) < 0 ? -errno : top;
	}
	return -EMFILE;
}

static int handler_set(void)
{
	const struct action a = {(uint64_t)(uintptr_t)trapped, SA_SIGINFO | SA_ONSTACK | RESTORER,
		(uint64_t)(uintptr_t)airlock_carrier_return, ~UINT64_C(0)};
	const uint64_t unblock = BIT(SIGSYS);
	if (CALL4(SYS_rt_sigaction, SIGSYS, &a, &self.program, sizeof(a.mask)) < 0)
		return -EINVAL;
	return (int)CALL4(SYS_rt_sigprocmask, SIG_UNBLOCK, &unblock, NULL, sizeof(unblock));
}

int carrier_begin(int *broker)
{
	int pair[2], on = 1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	int r = setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
	setsockopt(pair[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on));
	/* The broker's first message: by what it knows a copy of this socket. */
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	if (r == 0 && (getsockopt(pair[0], SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ||
			      send(pair[0], &cookie, sizeof(cookie), MSG_NOSIGNAL) != sizeof(cookie)))
		r = -errno;
	if (r == 0)
		r = self.socket = number_choose(pair[0]);
	close(pair[0]);
	if (r >= 0)
		r = handler_set();
	if (r < 0) {
		close(pair[1]);
		return r;
	}
	self.used = true;
	*broker = pair[1];
	return 0;
}

void carrier_fit(struct sock_filter *code, size_t len)
{
	if (self.used)
		trap_fit(code, len, (uint64_t)(uintptr_t)airlock_carrier_place, (uint32_t)self.socket);
}

bool carrier_used(void)
{
	return self.used;
}

static int try_listener(void *arg)
{
	static struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	struct sock_fprog program = {1, &allow};
	(void)arg;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	syscall(SYS_exit, fd < 0 && errno == EBUSY);
	return 0;
}

bool carrier_needed(void)
{
	static char stack[16384] __attribute__((aligned(16)));
	int status = 0;
	/* No filter, no listener. */
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER)
		return false;
	pid_t pid = clone(try_listener, stack + sizeof(stack), CLONE_VFORK | CLONE_VM | SIGCHLD, NULL);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}
