/* SPDX-License-Identifier: ISC */
/*
 * Unit tests of ipc/: what a peer may do to a control socket, to a shared memory and to a call. Hostile peers are
 * threads or forks of this program that write the bytes themselves.
 */
#include "ipc/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MAGIC 0x4b4c4241u
#define SHARED 65536u
#define FOREVER 1000000 /* far above what any wait here may take, in ms */

static char buffer[IPC_BYTES_MAX + 16];

struct raw {
	uint32_t magic, type, len, fd_count;
	char payload[64];
};

static int open_count(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void pair(int fds[2])
{
	assert_int_equal(ipc_pair(fds), 0);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fds[1], F_GETFD) & FD_CLOEXEC);
}

static void unpair(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

/* What a hostile peer sends: any bytes, and standard input `count` times. */
static void send_raw(int socket, const void *bytes, size_t len, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 64)];
	} control;
	struct iovec iov = {(void *)(uintptr_t)bytes, len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	assert_true(count <= 64);
	if (count) {
		memset(&control, 0, sizeof(control));
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memset(CMSG_DATA(c), 0, sizeof(int) * count);
	}
	assert_int_equal(sendmsg(socket, &h, MSG_NOSIGNAL), (ssize_t)len);
}

/* The record must be refused, no descriptor of it may stay, and the next record must still be understood. */
static void refused(const void *bytes, size_t len, size_t count, size_t fd_max)
{
	struct ipc_message m = {.type = 9};
	int s[2];

	pair(s);
	int before = open_count();
	send_raw(s[1], bytes, len, count);
	assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), fd_max, &m, false), -EPROTO);
	assert_int_equal(open_count(), before);
	assert_int_equal(m.type, 9);
	const struct ipc_message good = {.type = 3, .len = 2, .data = "ok"};
	assert_int_equal(ipc_send(s[1], &good, false), 0);
	assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), 0, &m, false), 1);
	assert_int_equal(m.type, 3);
	unpair(s);
}

static void test_message_carries_bytes_and_descriptors(void **unused)
{
	(void)unused;
	struct ipc_message m, sent = {.type = 7, .len = 5, .data = "hello", .fds = {0, 1, 2}, .fd_count = 3};
	int s[2];

	pair(s);
	int before = open_count();
	assert_int_equal(ipc_send(s[0], &sent, true), 0);
	assert_int_equal(ipc_recv(s[1], buffer, sizeof(buffer), 3, &m, true), 1);
	assert_int_equal(m.type, 7);
	assert_int_equal(m.len, 5);
	assert_memory_equal(m.data, "hello", 5);
	assert_int_equal(m.fd_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(fcntl(m.fds[i], F_GETFD) & FD_CLOEXEC);
	int kept = m.fds[1];
	m.fds[1] = -1;
	ipc_message_close(&m);
	assert_int_equal(open_count(), before + 1);
	close(kept);
	unpair(s);
}

static void test_message_of_the_greatest_size_passes(void **unused)
{
	(void)unused;
	static char big[IPC_BYTES_MAX + 1];
	struct ipc_message m, sent = {.type = 1, .len = IPC_BYTES_MAX, .data = big, .fd_count = IPC_FDS_MAX};
	int s[2];

	pair(s);
	big[IPC_BYTES_MAX - 1] = 'z';
	assert_int_equal(ipc_send(s[0], &sent, true), 0);
	assert_int_equal(ipc_recv(s[1], buffer, sizeof(buffer), IPC_FDS_MAX, &m, true), 1);
	assert_int_equal(m.len, IPC_BYTES_MAX);
	assert_memory_equal(m.data, big, IPC_BYTES_MAX);
	assert_int_equal(m.fd_count, IPC_FDS_MAX);
	ipc_message_close(&m);
	sent.len++;
	assert_int_equal(ipc_send(s[0], &sent, true), -EMSGSIZE);
	sent.len = 0;
	sent.fd_count = IPC_FDS_MAX + 1;
	assert_int_equal(ipc_send(s[0], &sent, true), -EMSGSIZE);
	unpair(s);
}

static void test_message_malformed_is_refused(void **unused)
{
	(void)unused;
	struct raw r = {MAGIC, 1, 4, 0, "abcd"};
	static char huge[IPC_BYTES_MAX + 4096];

	refused(&r, 1, 0, 0);
	refused(&r, 15, 0, 0);
	refused(&r, 16, 0, 0); /* the payload it speaks of is missing */
	refused(&r, 19, 0, 0);
	refused(&r, 21, 0, 0); /* more than it speaks of */
	r.magic++;
	refused(&r, 20, 0, 0);
	r.magic--;
	r.len = UINT32_MAX;
	refused(&r, 20, 0, 0);
	r.len = UINT32_MAX - 15;
	refused(&r, 16, 0, 0);
	memcpy(huge, &r, sizeof(r));
	((struct raw *)huge)->len = IPC_BYTES_MAX;
	refused(huge, sizeof(huge), 0, 0); /* truncated by the kernel */
	refused(huge, sizeof(huge), 3, 16);
}

static void test_message_with_wrong_descriptors_is_refused(void **unused)
{
	(void)unused;
	struct raw r = {MAGIC, 1, 4, 1, "abcd"};

	refused(&r, 20, 0, 16); /* fewer than it says */
	refused(&r, 20, 2, 16); /* more than it says */
	refused(&r, 20, 1, 0); /* more than wanted */
	r.fd_count = 3;
	refused(&r, 20, 3, 2);
	r.fd_count = 17;
	refused(&r, 20, 17, 16); /* more than there is room for */
	r.fd_count = 64;
	refused(&r, 20, 64, 16);
	refused(&r, 5, 16, 16); /* short, with descriptors */
}

static void test_message_when_the_table_is_full_is_refused(void **unused)
{
	(void)unused;
	struct rlimit old, few;
	const struct ipc_message sent = {.type = 1, .fds = {0, 0, 0, 0}, .fd_count = 4};
	struct ipc_message m;
	int s[2];

	pair(s);
	int before = open_count();
	assert_int_equal(ipc_send(s[1], &sent, false), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)s[1] + 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	int r = ipc_recv(s[0], buffer, sizeof(buffer), 4, &m, false);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(r, -EPROTO);
	assert_int_equal(open_count(), before);
	unpair(s);
}

static void test_message_of_no_length_is_not_the_end(void **unused)
{
	(void)unused;
	struct ipc_message m;
	int s[2];

	refused("", 0, 0, 0);
	refused("", 0, 2, 16);
	pair(s);
	assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), 0, &m, false), -EAGAIN);
	for (int i = 0; i < 2; i++)
		send_raw(s[1], "", 0, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), 0, &m, true), -EPROTO);
	const struct ipc_message empty = {.type = 4};
	assert_int_equal(ipc_send(s[1], &empty, false), 0);
	assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), 0, &m, true), 1);
	assert_int_equal(m.len, 0);
	assert_int_equal(ipc_send(s[1], &empty, false), 0);
	close(s[1]);
	assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), 0, &m, true), 1);
	assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), 0, &m, true), 0);
	assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), 0, &m, false), 0);
	close(s[0]);
}

static void test_message_end_with_unread_records(void **unused)
{
	(void)unused;
	const struct ipc_message sent = {.type = 4};
	struct ipc_message m;
	int s[2];

	pair(s);
	assert_int_equal(ipc_send(s[0], &sent, false), 0);
	close(s[1]);
	assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), 0, &m, true), 0);
	close(s[0]);
}

static void test_message_never_raises_sigpipe(void **unused)
{
	(void)unused;
	const struct ipc_message sent = {.type = 4};
	int s[2];

	assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_DFL);
	pair(s);
	close(s[1]);
	assert_int_equal(ipc_send(s[0], &sent, true), -EPIPE);
	assert_int_equal(ipc_send(s[0], &sent, false), -EPIPE);
	close(s[0]);
}

static void test_message_full_says_so(void **unused)
{
	(void)unused;
	static char big[32768];
	const struct ipc_message sent = {.type = 4, .len = sizeof(big), .data = big};
	int s[2], r, sent_count = 0;

	pair(s);
	while ((r = ipc_send(s[0], &sent, false)) == 0 && sent_count < 100000)
		sent_count++;
	assert_int_equal(r, -EAGAIN);
	unpair(s);
}

static void test_message_waits_on_a_nonblocking_socket(void **unused)
{
	(void)unused;
	const struct ipc_message sent = {.type = 4};
	struct ipc_message m;
	int s[2];

	pair(s);
	assert_int_equal(fcntl(s[0], F_SETFL, O_NONBLOCK), 0);
	pid_t child = fork();
	if (!child) {
		usleep(20000);
		_exit(-ipc_send(s[1], &sent, true));
	}
	assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), 0, &m, true), 1);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	unpair(s);
}

static void test_memfd_is_sealed(void **unused)
{
	(void)unused;
	int fd = ipc_memfd("test", "bytes", 6, true);
	void *p;
	char got[6];

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pread(fd, got, 6, 0), 6);
	assert_memory_equal(got, "bytes", 6);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 100), -1);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_true(ipc_map(fd, 6, true, &p) < 0);
	assert_int_equal(ipc_map(fd, 7, false, &p), -EPROTO);
	assert_int_equal(ipc_map(fd, 6, false, &p), 0);
	assert_memory_equal(p, "bytes", 6);
	munmap(p, 6);
	close(fd);
	assert_int_equal(ipc_memfd("test", NULL, 0, false), -EINVAL);
	assert_int_equal(ipc_memfd("test", NULL, SIZE_MAX, false), -EINVAL);
}

static void test_memfd_writable_is_shared(void **unused)
{
	(void)unused;
	void *a, *b;
	int fd = ipc_memfd("test", NULL, 8192, false);

	assert_true(fd >= 0);
	assert_int_equal(ipc_map(fd, 8192, true, &a), 0);
	assert_int_equal(ipc_map(fd, 8192, true, &b), 0);
	((char *)a)[8191] = 'x';
	assert_int_equal(((char *)b)[8191], 'x');
	munmap(a, 8192);
	munmap(b, 8192);
	close(fd);
}

static void unmappable(int fd)
{
	void *p = &fd;

	if (fd < 0)
		return;
	assert_int_equal(ipc_map(fd, 4096, true, &p), -EPROTO);
	assert_ptr_equal(p, &fd);
	close(fd);
}

static int memfd_with(unsigned flags, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | flags);

	if (fd < 0)
		return fd; /* no huge pages here */
	assert_int_equal(ftruncate(fd, 4 << 20), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void test_map_wants_seals(void **unused)
{
	(void)unused;
	void *p;
	int s[2];
	char path[] = "/dev/shm/airlock-test-XXXXXX";

	assert_int_equal(ipc_map(-1, 4096, true, &p), -EPROTO);
	unmappable(memfd_with(0, 0));
	unmappable(memfd_with(MFD_ALLOW_SEALING, 0));
	unmappable(memfd_with(MFD_ALLOW_SEALING, F_SEAL_GROW));
	unmappable(memfd_with(MFD_ALLOW_SEALING, F_SEAL_SHRINK));
	/* Touching this one raises SIGBUS when the machine has no huge page left. */
	unmappable(memfd_with(MFD_HUGETLB | MFD_ALLOW_SEALING, F_SEAL_SHRINK | F_SEAL_GROW));
	unmappable(open("/dev/zero", O_RDWR | O_CLOEXEC));
	unmappable(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	pair(s);
	unmappable(s[0]);
	unmappable(s[1]);
	int fd = mkstemp(path);
	if (fd >= 0) {
		assert_int_equal(ftruncate(fd, 8192), 0);
		unlink(path);
		unmappable(fd);
	}
	assert_int_equal(ipc_map(0, 0, true, &p), -EINVAL);
}

/* ---- calls ---- */

static struct ipc_call *shared_call(void)
{
	size_t total = ipc_call_total(SHARED);
	void *p;

	int fd = ipc_memfd("test", NULL, total, false);
	assert_true(fd >= 0);
	assert_int_equal(ipc_map(fd, total, true, &p), 0);
	close(fd);
	return p;
}

static void unshare_call(struct ipc_call *c)
{
	munmap(c, ipc_call_total(SHARED));
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static bool asked(void *arg)
{
	++*(int *)arg;
	return true;
}

static long ms_since(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static pid_t fork_peer(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

static void reap(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* Answers with in_len + cap; "sleep" answers late. */
static void serve(struct ipc_call *c)
{
	char name[IPC_CALL_NAME_MAX + 1];
	uint64_t in_len, cap;
	int r;

	while ((r = ipc_call_wait(c, SHARED, name, &in_len, &cap)) == 0) {
		if (!strcmp(name, "sleep"))
			usleep(3000);
		memcpy((char *)c + ipc_call_out_offset(SHARED), (char *)c + ipc_call_in_offset(), in_len);
		ipc_call_reply(c, (int64_t)(in_len + cap));
	}
	_exit(r == -EPIPE ? 0 : 1);
}

static void test_call_offsets(void **unused)
{
	(void)unused;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	assert_int_equal(ipc_call_in_offset(), page);
	assert_int_equal(ipc_call_out_offset(1), 2 * page);
	assert_int_equal(ipc_call_out_offset(page), 2 * page);
	assert_int_equal(ipc_call_out_offset(page + 1), 3 * page);
	assert_int_equal(ipc_call_total(page + 1), 5 * page);
	assert_int_equal(ipc_call_total(SIZE_MAX), 0);
	assert_int_equal(ipc_call_total(SIZE_MAX / 2), 0);
	assert_true(sizeof(struct ipc_call) <= page);
}

static void test_call_round_trips(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	pid_t child = fork_peer();
	int64_t result;

	if (!child)
		serve(c);
	for (uint64_t i = 0; i < 20000; i++) {
		memcpy((char *)c + ipc_call_in_offset(), &i, sizeof(i));
		assert_int_equal(ipc_call_request(c, "echo", sizeof(i), i, never, NULL, &result), 0);
		assert_int_equal(result, sizeof(i) + i);
		assert_memory_equal((char *)c + ipc_call_out_offset(SHARED), &i, sizeof(i));
		if (i % 1000 == 0)
			usleep(2000); /* so that both sides sleep at times */
	}
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(ipc_call_request(c, "sleep", 0, i, never, NULL, &result), 0);
		assert_int_equal(result, i);
	}
	ipc_call_dead(c);
	reap(child);
	assert_int_equal(ipc_call_request(c, "echo", 0, 0, never, NULL, &result), -EPIPE);
	unshare_call(c);
}

/* On one processor nothing may depend on spinning. */
static void test_call_on_one_processor(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	cpu_set_t old, one;
	int64_t result;

	assert_int_equal(sched_getaffinity(0, sizeof(old), &old), 0);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &old))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	pid_t child = fork_peer();
	if (!child)
		serve(c);
	for (uint64_t i = 0; i < 2000; i++)
		assert_int_equal(ipc_call_request(c, "echo", 0, i, never, NULL, &result), 0);
	ipc_call_dead(c);
	reap(child);
	assert_int_equal(sched_setaffinity(0, sizeof(old), &old), 0);
	unshare_call(c);
}

static void test_call_name_is_cut_and_terminated(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	char name[IPC_CALL_NAME_MAX + 1];
	uint64_t in_len, cap;

	memset(c->name, 'n', sizeof(c->name));
	atomic_store(&c->state, IPC_CALL_REQUEST);
	assert_int_equal(ipc_call_wait(c, SHARED, name, &in_len, &cap), 0);
	assert_int_equal(strlen(name), IPC_CALL_NAME_MAX);
	unshare_call(c);
}

static void test_call_lengths_beyond_the_area_are_refused(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	char name[IPC_CALL_NAME_MAX + 1];
	uint64_t in_len = 77, cap = 77;
	const uint64_t bad[][2] = {{SHARED + 1, 0}, {0, SHARED + 1}, {UINT64_MAX, 0}, {0, UINT64_MAX}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		atomic_store(&c->in_len, bad[i][0]);
		atomic_store(&c->cap, bad[i][1]);
		atomic_store(&c->state, IPC_CALL_REQUEST);
		assert_int_equal(ipc_call_wait(c, SHARED, name, &in_len, &cap), -EPROTO);
		assert_int_equal(in_len, 77);
		assert_int_equal(cap, 77);
	}
	atomic_store(&c->in_len, SHARED);
	atomic_store(&c->cap, SHARED);
	assert_int_equal(ipc_call_wait(c, SHARED, name, &in_len, &cap), 0);
	unshare_call(c);
}

static atomic_bool stop;

static void *flip_lengths(void *arg)
{
	struct ipc_call *c = arg;

	while (!stop) {
		atomic_store_explicit(&c->in_len, 1, memory_order_relaxed);
		atomic_store_explicit(&c->in_len, UINT64_MAX, memory_order_relaxed);
		atomic_store_explicit(&c->cap, UINT64_MAX, memory_order_relaxed);
		atomic_store_explicit(&c->cap, 1, memory_order_relaxed);
	}
	return NULL;
}

static void test_call_fields_that_change_while_read(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	char name[IPC_CALL_NAME_MAX + 1];
	pthread_t peer;
	int fine = 0;

	stop = false;
	atomic_store(&c->state, IPC_CALL_REQUEST);
	assert_int_equal(pthread_create(&peer, NULL, flip_lengths, c), 0);
	for (int i = 0; i < 200000; i++) {
		uint64_t in_len = 0, cap = 0;
		int r = ipc_call_wait(c, SHARED, name, &in_len, &cap);

		assert_true(r == 0 || r == -EPROTO);
		assert_true(in_len <= SHARED && cap <= SHARED);
		fine += !r;
	}
	stop = true;
	pthread_join(peer, NULL);
	(void)fine;
	unshare_call(c);
}

static void test_call_state_unknown_is_refused(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	char name[IPC_CALL_NAME_MAX + 1];
	uint64_t in_len, cap;
	int64_t result = 5;
	const uint32_t states[] = {IPC_CALL_REQUEST, IPC_CALL_REPLY, IPC_CALL_DEAD + 1, UINT32_MAX};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		atomic_store(&c->state, states[i]);
		assert_int_equal(ipc_call_request(c, "f", 0, 0, never, NULL, &result), -EPROTO);
	}
	atomic_store(&c->state, IPC_CALL_DEAD + 1);
	assert_int_equal(ipc_call_wait(c, SHARED, name, &in_len, &cap), -EPROTO);
	assert_int_equal(result, 5);
	unshare_call(c);
}

struct answer {
	struct ipc_call *call;
	uint32_t state;
};

/* A target that writes what it likes once it was asked. */
static void *answer_with(void *arg)
{
	struct answer *a = arg;

	while (atomic_load(&a->call->state) != IPC_CALL_REQUEST)
		usleep(100);
	usleep(2000);
	atomic_store(&a->call->result, INT64_MIN);
	atomic_store(&a->call->state, a->state);
	return NULL;
}

static void test_call_hostile_answers(void **unused)
{
	(void)unused;
	const struct {
		uint32_t state;
		int expect;
	} rows[] = {{IPC_CALL_IDLE, -EPROTO}, {IPC_CALL_DEAD, -EPIPE}, {99, -EPROTO}, {IPC_CALL_REPLY, 0}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ipc_call *c = shared_call();
		struct answer a = {c, rows[i].state};
		pthread_t peer;
		int64_t result = 5;

		/* It never wakes us: the slice's end has to do. */
		assert_int_equal(pthread_create(&peer, NULL, answer_with, &a), 0);
		assert_int_equal(ipc_call_request(c, "f", 0, 0, never, NULL, &result), rows[i].expect);
		pthread_join(peer, NULL);
		assert_true(result == (rows[i].expect ? 5 : INT64_MIN));
		unshare_call(c);
	}
}

static void *scribble(void *arg)
{
	unsigned seed = 1;

	while (!stop) {
		struct ipc_call *c = arg;

		atomic_store(&c->spin, (uint32_t)rand_r(&seed));
		atomic_store(&c->host_waits, (uint32_t)rand_r(&seed));
		atomic_store(&c->target_waits, (uint32_t)rand_r(&seed));
		atomic_store(&c->state, (uint32_t)rand_r(&seed) % 6);
	}
	return NULL;
}

static void test_call_survives_a_scribbling_target(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	pthread_t peer;
	int64_t result;

	stop = false;
	assert_int_equal(pthread_create(&peer, NULL, scribble, c), 0);
	for (int i = 0; i < 20000; i++) {
		int r = ipc_call_request(c, "f", 0, 0, never, NULL, &result);

		assert_true(r == 0 || r == -EPROTO || r == -EPIPE);
	}
	stop = true;
	pthread_join(peer, NULL);
	unshare_call(c);
}

static void test_call_gone_ends_the_wait(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct timespec from;
	int64_t result = 5;
	int count = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(ipc_call_request(c, "f", 0, 0, asked, &count, &result), -EPIPE);
	assert_int_equal(count, 1);
	assert_int_equal(result, 5);
	assert_in_range(ms_since(&from), 0, 5000);
	unshare_call(c);
}

static void nothing(int signal)
{
	(void)signal;
}

/* A host with a fast interval timer must still come to ask. */
static void test_call_gone_is_asked_despite_signals(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct sigaction sa = {.sa_handler = nothing}, old;
	timer_t timer;
	const struct itimerspec often = {{0, 5000000}, {0, 5000000}};
	int64_t result;
	int count = 0;

	sigaction(SIGALRM, &sa, &old);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
	assert_int_equal(ipc_call_request(c, "f", 0, 0, asked, &count, &result), -EPIPE);
	assert_int_equal(count, 1);
	timer_delete(timer);
	sigaction(SIGALRM, &old, NULL);
	unshare_call(c);
}

/* Whoever learns of the death says so, and the host's call returns at once, not at the end of a slice. */
static void test_call_death_wakes_the_host(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct timespec *died = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t result;
	long best = FOREVER;

	for (int i = 0; i < 5; i++) {
		atomic_store(&c->state, IPC_CALL_IDLE);
		pid_t child = fork_peer();
		if (!child) {
			usleep(5000);
			clock_gettime(CLOCK_MONOTONIC, died);
			ipc_call_dead(c);
			_exit(0);
		}
		assert_int_equal(ipc_call_request(c, "f", 0, 0, never, NULL, &result), -EPIPE);
		long took = ms_since(died);
		best = took < best ? took : best;
		reap(child);
	}
	assert_in_range(best, 0, 20); /* a slice is 50 */
	munmap(died, 4096);
	unshare_call(c);
}

static void test_call_death_wakes_the_target(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	pid_t child = fork_peer();

	if (!child)
		serve(c);
	usleep(5000);
	ipc_call_dead(c);
	reap(child);
	/* A reply that comes too late does not raise the dead. */
	ipc_call_reply(c, 1);
	assert_int_equal(atomic_load(&c->state), IPC_CALL_DEAD);
	unshare_call(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_carries_bytes_and_descriptors),
		cmocka_unit_test(test_message_of_the_greatest_size_passes),
		cmocka_unit_test(test_message_malformed_is_refused),
		cmocka_unit_test(test_message_with_wrong_descriptors_is_refused),
		cmocka_unit_test(test_message_when_the_table_is_full_is_refused),
		cmocka_unit_test(test_message_of_no_length_is_not_the_end),
		cmocka_unit_test(test_message_end_with_unread_records),
		cmocka_unit_test(test_message_never_raises_sigpipe),
		cmocka_unit_test(test_message_full_says_so),
		cmocka_unit_test(test_message_waits_on_a_nonblocking_socket),
		cmocka_unit_test(test_memfd_is_sealed),
		cmocka_unit_test(test_memfd_writable_is_shared),
		cmocka_unit_test(test_map_wants_seals),
		cmocka_unit_test(test_call_offsets),
		cmocka_unit_test(test_call_round_trips),
		cmocka_unit_test(test_call_on_one_processor),
		cmocka_unit_test(test_call_name_is_cut_and_terminated),
		cmocka_unit_test(test_call_lengths_beyond_the_area_are_refused),
		cmocka_unit_test(test_call_fields_that_change_while_read),
		cmocka_unit_test(test_call_state_unknown_is_refused),
		cmocka_unit_test(test_call_hostile_answers),
		cmocka_unit_test(test_call_survives_a_scribbling_target),
		cmocka_unit_test(test_call_gone_ends_the_wait),
		cmocka_unit_test(test_call_gone_is_asked_despite_signals),
		cmocka_unit_test(test_call_death_wakes_the_host),
		cmocka_unit_test(test_call_death_wakes_the_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
