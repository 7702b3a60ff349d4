/* SPDX-License-Identifier: ISC */
/* What a peer may do to a control socket. Hostile peers are this program, which writes the bytes itself. */
#include "ipc/ipc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAGIC 0x4b4c4241u

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
	/* What the peer said before is not lost: for who waits, for who does not, and for who just looks. */
	for (int i = 0; i < 3; i++) {
		const struct ipc_message last = {.type = 5};
		pair(s);
		assert_int_equal(ipc_send(s[0], &sent, false), 0);
		assert_int_equal(ipc_send(s[1], &last, false), 0);
		close(s[1]);
		if (i == 2)
			assert_true(ipc_waits(s[0], 5));
		assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), 0, &m, i == 0), 1);
		assert_int_equal(m.type, 5);
		assert_int_equal(ipc_recv(s[0], buffer, sizeof(buffer), 0, &m, i == 0), 0);
		assert_int_equal(ipc_peek(s[0], buffer, 1), 0);
		close(s[0]);
	}
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
