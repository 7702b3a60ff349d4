/* SPDX-License-Identifier: ISC */
/* What hostile code does to the second carrier: to its socket, its handler and its broker. An attempt returns 0 when it got
 * nowhere. Runs in a confined child of live_carrier.c, which looks whether others are served as before. */
#include "broker/carrier.h"
#include "tests/carrier_tries.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static struct carrier_message message(long nr, long a, long b, long c)
{
	return (struct carrier_message){.nr = (int32_t)nr,
		.tid = (int32_t)syscall(SYS_gettid),
		.pid = getpid(),
		.held = {-1, -1, -1},
		.args = {(uint64_t)a, (uint64_t)b, (uint64_t)c}};
}

/* The handler's own instruction, found where the handler's first call returns to: its bytes are in this very image. */
extern long airlock_carrier_call(long nr, long a, long b, long c, long d, long e, long f);

static long send_raw(const void *data, size_t len, const int *fds, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	if (count) {
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	return airlock_carrier_call(SYS_sendmsg, WIRE, (long)&h, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0, 0);
}

/* Asks by a message of its own making; the answer's value, the descriptor's number, or INT_MIN for no answer. */
static long ask(struct carrier_message *m, int reply_end, int mine)
{
	struct carrier_answer a;
	if (send_raw(m, sizeof(*m), &reply_end, reply_end >= 0) < 0)
		return INT_MIN;
	struct pollfd p = {mine, POLLIN, 0};
	if (poll(&p, 1, 500) != 1 || recv(mine, &a, sizeof(a), 0) != sizeof(a))
		return INT_MIN;
	return a.kind == CARRIER_VALUE ? (long)a.value : 1000;
}

pid_t neighbour;

static int forged_thread(void)
{
	int pair[2];
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	struct carrier_message m = message(SYS_openat, AT_FDCWD, (long)SHOWN, O_RDONLY);
	m.tid = neighbour;
	long r = ask(&m, pair[1], pair[0]);
	if (r == 1000)
		return 1; /* it opened for us what the neighbour may */
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	m.tid = m.pid = neighbour; /* "I am the first thread": of this process, then */
	r = ask(&m, pair[1], pair[0]);
	return r == 1000 ? 2 : 0;
}

static int forged_credentials(void)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	int pair[2];
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	struct carrier_message m = message(SYS_openat, AT_FDCWD, (long)SHOWN, O_RDONLY);
	m.tid = m.pid = neighbour;
	struct ucred who = {neighbour, getuid(), getgid()};
	struct iovec iov = {&m, sizeof(m)};
	struct msghdr h = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	*c = (struct cmsghdr){CMSG_LEN(sizeof(who)), SOL_SOCKET, SCM_CREDENTIALS};
	memcpy(CMSG_DATA(c), &who, sizeof(who));
	c = CMSG_NXTHDR(&h, c);
	*c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &pair[1], sizeof(int));
	long r = airlock_carrier_call(SYS_sendmsg, WIRE, (long)&h, MSG_NOSIGNAL, 0, 0, 0);
	return r == -EPERM ? 0 : 1;
}

static int bad_messages(void)
{
	char big[65536] = {0};
	int fds[20], pipe_ends[2];
	struct carrier_message m = message(SYS_openat, AT_FDCWD, (long)SHOWN, O_RDONLY);
	if (pipe(pipe_ends) < 0)
		return 1;
	for (int i = 0; i < 20; i++)
		fds[i] = pipe_ends[i % 2];
	for (int i = 0; i < 50; i++) {
		send_raw(&m, sizeof(m) / 2, NULL, 0);
		send_raw(&m, 0, NULL, 0);
		send_raw(big, sizeof(big), NULL, 0);
		send_raw(&m, sizeof(m), NULL, 0);
		send_raw(&m, sizeof(m), fds, 20); /* no socket among them */
		send_raw(&m, sizeof(m) + 1, fds, 1);
	}
	return 0;
}

static int flood(void)
{
	int pair[2];
	struct carrier_message m = message(SYS_openat, AT_FDCWD, (long)SHOWN, O_RDONLY);
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	/* Answers with descriptors that nobody takes. */
	for (int i = 0; i < 20000; i++)
		send_raw(&m, sizeof(m), &pair[1], 1);
	return 0;
}

static int slow_flood(void)
{
	char path[64];
	int pair[2];
	snprintf(path, sizeof(path), "/tmp/airlock-carrier-%d/fifo", getppid());
	struct carrier_message m = message(SYS_openat, AT_FDCWD, (long)path, O_RDONLY);
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	for (int i = 0; i < 2000; i++)
		send_raw(&m, sizeof(m), &pair[1], 1);
	return 0;
}

/* The answer is to go to a socket that somebody else made: the broker is not to write there. */
int foreign_reply_end[2];
static int foreign_reply(void)
{
	struct carrier_message m = message(SYS_getcwd, 0, 0, 0);
	return ask(&m, foreign_reply_end[1], foreign_reply_end[0]) == INT_MIN ? 0 : 1;
}

static int bad_slot(void)
{
	for (long at = 0; at < 64; at++) {
		struct carrier_message m = message(SYS_getcwd, 0, 0, 0);
		m.slot = at < 32 ? (uint64_t)at : UINT64_MAX - (uint64_t)at;
		send_raw(&m, sizeof(m), NULL, 0);
	}
	return 0;
}

/* What the handler's instruction is good for: none of these. */
static int jumping(void)
{
	char buf[64];
	long fd = airlock_carrier_call(SYS_socketpair, AF_INET, SOCK_STREAM, 0, (long)buf, 0, 0);
	if (fd >= 0)
		return 1;
	pid_t child = fork();
	if (child == 0) {
		/* In the handler a trap ends the process; here it is a request as any other, and refused. */
		long r = airlock_carrier_call(SYS_openat, AT_FDCWD, (long)HIDDEN, O_RDONLY, 0, 0, 0);
		_exit(r >= 0);
	}
	int status;
	waitpid(child, &status, 0);
	if (status != 0)
		return 2;
	const long calls[][4] = {{SYS_kill, 1, 0, 0}, {SYS_ptrace, 16, neighbour, 0}, {SYS_dup, WIRE, 0, 0},
		{SYS_shutdown, WIRE, SHUT_RDWR, 0}, {SYS_fcntl, WIRE, F_DUPFD, 0}, {SYS_ioctl, WIRE, 0x5421, (long)buf},
		{SYS_execve, (long)"/bin/true", 0, 0}, {SYS_connect, 0, (long)buf, 16},
		{SYS_process_vm_readv, neighbour, (long)buf, 1}};
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		child = fork();
		if (child == 0)
			_exit(airlock_carrier_call(calls[i][0], calls[i][1], calls[i][2], calls[i][3], 0, 0, 0) >= 0);
		waitpid(child, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status))
			return 3 + (int)i;
	}
	return 0;
}

/* SIGSYS blocked, by a frame of its own: then the next request ends who asked. */
static void frame(int signal, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	(void)signal;
	(void)info;
	sigaddset(&u->uc_sigmask, SIGSYS);
}

static int forged_frame(void)
{
	struct sigaction a = {.sa_sigaction = frame, .sa_flags = SA_SIGINFO};
	int status;
	pid_t child = fork();
	if (child == 0) {
		sigaction(SIGUSR2, &a, NULL);
		raise(SIGUSR2);
		opens(SHOWN);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? 0 : 1;
}

/* A handler of its own gets the traps, and no call is made. */
static void stolen(int signal)
{
	(void)signal;
	_exit(7);
}

static int handler_replaced(void)
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} a = {stolen, SA_NODEFER, NULL, 0};
	int status;
	pid_t child = fork();
	if (child == 0) {
		airlock_carrier_call(SYS_rt_sigaction, SIGSYS, (long)&a, 0, 8, 0, 0);
		opens(SHOWN);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 1 : 0;
}

/* Shuts down a copy of the socket that it sent to itself. */
int shut_copy(void)
{
	int ends[2], fd = -1;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr h = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	*c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	*(int *)(void *)CMSG_DATA(c) = WIRE;
	/* In place the broker sends, and has no such descriptor; a worker sends by itself. */
	if (sendmsg(ends[0], &h, 0) != 1)
		return errno == EPERM || errno == EBADF ? 0 : 1;
	if (recvmsg(ends[1], &h, 0) != 1 || !CMSG_FIRSTHDR(&h))
		return 4;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(fd));
	if (fd < 0 || fd == WIRE)
		return 2;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int how = 0; how < 3; how++)
		if (shutdown(fd, how) == 0 || airlock_carrier_call(SYS_close, -1, 0, 0, 0, 0, 0) == 0)
			return 3;
	return 0;
}

/* Reads what is on its way to others from the one socket that all share. */
static int stolen_answers(void)
{
	char buf[256];
	int fd_space[32];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr h = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = fd_space, .msg_controllen = sizeof(fd_space)};
	for (int i = 0; i < 2000; i++)
		if (airlock_carrier_call(SYS_recvmsg, WIRE, (long)&h, MSG_DONTWAIT, 0, 0, 0) >= 0)
			return 1;
	return 0;
}

const struct carrier_try attempts[] = {
	{forged_thread, "stdio proc", "a message in another thread's name"},
	{forged_credentials, "stdio proc", "a message with another's credentials"},
	{bad_messages, "stdio proc rpath", "half messages, huge ones, strange descriptors"},
	{flood, "stdio rpath", "a flood whose answers nobody reads"},
	{flood, "stdio", "a flood of refusals"},
	{slow_flood, "stdio rpath", "a flood of what blocks"},
	{foreign_reply, "stdio rpath", "an answer to a socket that another made"},
	{bad_slot, "stdio rpath", "an answer to bad addresses"},
	{jumping, "stdio proc", "jumps to the handler's instruction"},
	{forged_frame, "stdio proc rpath", "SIGSYS blocked by a forged frame"},
	{handler_replaced, "stdio proc rpath", "the handler replaced"},
	{shut_copy, "stdio sendfd recvfd", "a copy of the socket shut down"},
	{stolen_answers, "stdio", "answers read off the shared socket"},
};
const size_t attempt_count = sizeof(attempts) / sizeof(attempts[0]);
