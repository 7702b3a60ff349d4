/* SPDX-License-Identifier: ISC */
/*
 * How browsers broker an open, written as fast as that design lets it be: the filter traps openat, a SIGSYS handler
 * makes a fresh socketpair for the reply (so that threads and nested signals need no lock), sends path and flags with
 * one end of it over SEQPACKET, and receives the descriptor by SCM_RIGHTS. The broker is one thread in one process, and
 * compares the path with its rules in order, by prefix. Nothing is allocated, nothing is logged.
 */
#include "bench/browser.h"
#include "bench/common.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define ARGUMENT(u, n) ((u)->uc_mcontext.gregs[(n) == 0 ? REG_RDI : (n) == 1 ? REG_RSI : (n) == 2 ? REG_RDX : REG_R10])
#define RESULT(u) ((u)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#define ARGUMENT(u, n) ((u)->uc_mcontext.regs[n])
#define RESULT(u) ((u)->uc_mcontext.regs[0])
#endif

struct request {
	int flags;
	char path[512];
};

struct browser {
	pid_t broker, client;
	int jobs; /* socket to the client */
	size_t job_size;
};

static int to_broker; /* in the client */

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static ssize_t send_with(int socket, const void *data, size_t len, int fd)
{
	union control control;
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		h.msg_control = &control;
		h.msg_controllen = sizeof(control);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(socket, &h, MSG_NOSIGNAL);
}

static ssize_t receive_with(int socket, void *data, size_t len, int *fd)
{
	union control control;
	struct iovec iov = {data, len};
	struct msghdr h = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

	*fd = -1;
	ssize_t n = recvmsg(socket, &h, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&h) : NULL;
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n;
}

static long ask(const char *path, int flags)
{
	struct request r = {.flags = flags};
	size_t len = strnlen(path, sizeof(r.path) - 1);
	int reply[2], fd, result;

	memcpy(r.path, path, len);
	r.path[len] = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reply) < 0)
		return -errno;
	send_with(to_broker, &r, offsetof(struct request, path) + len + 1, reply[1]);
	close(reply[1]);
	ssize_t n = receive_with(reply[0], &result, sizeof(result), &fd);
	close(reply[0]);
	if (n != sizeof(result))
		return -EIO;
	return result < 0 ? result : fd;
}

static void trapped(int signal, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	int saved = errno;

	(void)signal;
	if (info->si_syscall == SYS_openat)
		RESULT(u) = ask((const char *)ARGUMENT(u, 1), (int)ARGUMENT(u, 2));
	else
		RESULT(u) = -ENOSYS;
	errno = saved;
}

static bool allowed(const struct request *r, char (*rules)[PATH_MAX], const size_t *lengths, size_t count)
{
	size_t len = strlen(r->path);

	if ((r->flags & O_ACCMODE) != O_RDONLY || r->path[0] != '/' || strstr(r->path, "/../"))
		return false;
	/* Most specific first, which is the last that our own test tree names. */
	for (size_t i = count; i-- > 0;)
		if (len > lengths[i] && r->path[lengths[i]] == '/' && !memcmp(r->path, rules[i], lengths[i]))
			return true;
	return false;
}

_Noreturn static void broker(int socket, char (*rules)[PATH_MAX], size_t count)
{
	size_t *lengths = calloc(count, sizeof(*lengths));
	struct request r;
	int reply;

	if (!lengths)
		_exit(1);
	for (size_t i = 0; i < count; i++)
		lengths[i] = strlen(rules[i]);
	for (;;) {
		ssize_t n = receive_with(socket, &r, sizeof(r), &reply);

		if (n <= (ssize_t)offsetof(struct request, path))
			_exit(0);
		r.path[sizeof(r.path) - 1] = 0;
		int fd = allowed(&r, rules, lengths, count) ? open(r.path, r.flags) : -1;
		int result = fd < 0 ? -EACCES : 0;
		send_with(reply, &result, sizeof(result), fd);
		if (fd >= 0)
			close(fd);
		close(reply);
	}
}

static void confine(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
	struct sigaction sa = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER};

	if (sigaction(SIGSYS, &sa, NULL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		fail("seccomp", strerror(errno));
}

_Noreturn static void client(int jobs, ssize_t (*run)(const void *), size_t job_size)
{
	void *job = malloc(job_size);

	confine();
	while (job && recv(jobs, job, job_size, 0) == (ssize_t)job_size) {
		ssize_t r = run(job);

		send(jobs, &r, sizeof(r), MSG_NOSIGNAL);
	}
	_exit(0);
}

struct browser *browser_start(char (*rules)[PATH_MAX], size_t count, ssize_t (*run)(const void *), size_t job_size)
{
	struct browser *b = calloc(1, sizeof(*b));
	int requests[2], jobs[2];

	if (!b || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, requests) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, jobs) < 0)
		fail("socketpair", strerror(errno));
	b->broker = fork();
	if (!b->broker) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(requests[0]);
		broker(requests[1], rules, count);
	}
	b->client = fork();
	if (!b->client) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		to_broker = requests[0];
		close(jobs[0]);
		client(jobs[1], run, job_size);
	}
	if (b->broker < 0 || b->client < 0)
		fail("fork", strerror(errno));
	close(requests[0]);
	close(requests[1]);
	close(jobs[1]);
	b->jobs = jobs[0];
	b->job_size = job_size;
	return b;
}

ssize_t browser_run(struct browser *b, const void *job)
{
	ssize_t r;

	if (send(b->jobs, job, b->job_size, MSG_NOSIGNAL) != (ssize_t)b->job_size ||
		recv(b->jobs, &r, sizeof(r), 0) != sizeof(r) || r < 0)
		fail("the browsers' scheme", "no answer");
	return r;
}

void browser_stop(struct browser *b)
{
	close(b->jobs);
	kill(b->client, SIGKILL);
	kill(b->broker, SIGKILL);
	waitpid(b->client, NULL, 0);
	waitpid(b->broker, NULL, 0);
	free(b);
}
