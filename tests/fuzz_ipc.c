/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target for what ipc/ reads of a hostile peer. The first byte of an input chooses: a record (second byte: how
 * many descriptors it carries, third: how many are wanted), or the page of a call, read as the target or as the host.
 */
#include "ipc/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHARED 65536u
#define REQUIRE(x)                                                                                                     \
	do {                                                                                                           \
		if (!(x))                                                                                              \
			abort();                                                                                       \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The lowest free number: the same before and after, if nothing leaks. */
static int lowest_free(void)
{
	int fd = dup(0);

	if (fd >= 0)
		close(fd);
	return fd;
}

static void record(const uint8_t *data, size_t size, size_t fds, size_t fd_max)
{
	static char buffer[IPC_BYTES_MAX + 16];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 32)];
	} control;
	struct iovec iov = {(void *)(uintptr_t)data, size};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	struct ipc_message m = {.type = 0};
	int s[2];

	REQUIRE(ipc_pair(s) == 0);
	if (fds) {
		memset(&control, 0, sizeof(control));
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * fds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fds);
		for (size_t i = 0; i < fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &s[0], sizeof(int));
	}
	int before = lowest_free();
	if (sendmsg(s[1], &h, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size) {
		int r = ipc_recv(s[0], buffer, sizeof(buffer), fd_max, &m, false);

		REQUIRE(r == 1 || r == -EPROTO);
		if (r == 1) {
			REQUIRE(m.len == size - 16 && m.fd_count == fds && fds <= fd_max);
			REQUIRE(memcmp(m.data, data + 16, m.len) == 0);
			ipc_message_close(&m);
		}
		REQUIRE(lowest_free() == before);
		REQUIRE(ipc_recv(s[0], buffer, sizeof(buffer), fd_max, &m, false) == -EAGAIN);
	}
	close(s[0]);
	close(s[1]);
}

static bool gone(void *arg)
{
	(void)arg;
	return true;
}

static void call(const uint8_t *data, size_t size, bool as_host)
{
	/* In a page of its own size, so that a sanitizer sees a read beyond it. */
	struct ipc_call *c = aligned_alloc(64, (sizeof(*c) + 63) / 64 * 64);
	char name[IPC_CALL_NAME_MAX + 1];
	uint64_t in_len = 0, cap = 0;
	int64_t result;

	REQUIRE(c);
	memset(c, 0, sizeof(*c));
	memcpy(c, data, size < sizeof(*c) ? size : sizeof(*c));
	uint32_t state = atomic_load(&c->state);
	atomic_store(&c->spin, 0);
	if (as_host && state != IPC_CALL_IDLE) {
		int r = ipc_call_request(c, "f", 0, 0, gone, NULL, &result);

		REQUIRE(r == (state == IPC_CALL_DEAD ? -EPIPE : -EPROTO));
	} else if (!as_host) {
		/* In these two it would wait, with reason. */
		if (state == IPC_CALL_IDLE || state == IPC_CALL_REPLY) {
			state = IPC_CALL_REQUEST;
			atomic_store(&c->state, state);
		}
		int r = ipc_call_wait(c, SHARED, name, &in_len, &cap);

		REQUIRE(r == 0 || r == -EPROTO || r == -EPIPE);
		REQUIRE(in_len <= SHARED && cap <= SHARED);
		if (!r) {
			REQUIRE(state == IPC_CALL_REQUEST && strlen(name) <= IPC_CALL_NAME_MAX);
			ipc_call_reply(c, (int64_t)in_len);
			REQUIRE(atomic_load(&c->state) == IPC_CALL_REPLY);
		}
	}
	free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	switch (data[0] % 3) {
	case 0:
		record(data + 3, size - 3, data[1] % 33, data[2] % (IPC_FDS_MAX + 1));
		break;
	case 1:
		call(data + 1, size - 1, false);
		break;
	default:
		call(data + 1, size - 1, true);
	}
	return 0;
}
