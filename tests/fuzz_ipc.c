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

/* In memory of its own size, so that a sanitizer sees a read beyond it. */
static struct ipc_call *page(const uint8_t *data, size_t size)
{
	struct ipc_call *c = aligned_alloc(64, ipc_call_total(SHARED));

	REQUIRE(c);
	memset(c, 0, sizeof(*c));
	if (size)
		memcpy(c, data, size < sizeof(*c) ? size : sizeof(*c));
	atomic_store(&c->spin, 0);
	return c;
}

static void target(const uint8_t *data, size_t size)
{
	struct ipc_call *c = page(data, size);
	struct ipc_serving v = {.page = c, .shared = SHARED};
	struct ipc_work w;

	/* Else it would wait, with reason. */
	atomic_store(&c->entry[0].state, IPC_CALL_ASKED);
	int r = ipc_call_wait(&v, &w);
	REQUIRE(r == 0 || r == -EPROTO || (r == -EPIPE && atomic_load(&c->stop)));
	if (r == 0) {
		const char *from = (const char *)c, *to = from + ipc_call_total(SHARED);
		REQUIRE(w.lend_count <= IPC_LENDS_MAX && strlen(w.name) <= IPC_CALL_NAME_MAX);
		REQUIRE((const char *)w.in >= from && (const char *)w.in <= to &&
			w.in_len <= (size_t)(to - (const char *)w.in));
		REQUIRE((const char *)w.out >= from && (const char *)w.out <= to &&
			w.cap <= (size_t)(to - (const char *)w.out));
		ipc_call_reply(&v, (int64_t)w.in_len);
		REQUIRE(atomic_load(&c->entry[0].state) == IPC_CALL_ANSWERED);
	}
	free(c);
}

/* The answer to what the host reads again and again: a few bytes for each step say what the target writes, and where. */
static void target_writes(struct ipc_call *c, struct ipc_ring *r, const uint8_t *step)
{
	struct ipc_entry *e = &c->entry[step[0] % IPC_CALL_ENTRIES];
	uint32_t number = r->oldest + step[1] % 4;

	if (step[1] & 0x40)
		e = &c->entry[r->oldest % IPC_CALL_ENTRIES];
	atomic_store(&e->result, (int64_t)(int8_t)step[2] * 0x10203040506070);
	atomic_store(&e->in_at, ~(uint64_t)step[2]);
	atomic_store(&e->out_at, ~(uint64_t)step[2]);
	atomic_store(&c->back_len, (uint64_t)step[2] << (step[3] & 63));
	atomic_store(&c->back_cap, (uint64_t)step[3] << (step[2] & 63));
	atomic_store(&c->dead, step[2] == 255);
	atomic_store(&e->state, step[1] & 0x80 ? step[2] * 0x01010101u : number << 2 | step[3] % 4);
}

static void host(const uint8_t *data, size_t size)
{
	struct ipc_call *c = page(NULL, 0);
	struct ipc_ring r = {.page = c, .shared = SHARED};
	struct ipc_slot *s[IPC_CALL_ENTRIES];
	char name[IPC_CALL_NAME_MAX + 1], bytes[4096] = "";
	const void *in;
	size_t len, cap, n = 0;

	for (; size >= 5; data += 5, size -= 5) {
		const struct ipc_request q = {
			.name = "f", .in = bytes, .in_len = data[4] * 16u, .cap = data[4] * 8u, .timeout_ms = -1};
		if (n < IPC_CALL_ENTRIES && data[4] % 3 && ipc_ring_publish(&r, &q, &s[n]) == 0)
			n++;
		target_writes(c, &r, data);
		int e = ipc_ring_look(&r);
		REQUIRE(e == 0 || e == 1 || e == -EPROTO);
		REQUIRE(e != -EPROTO || r.broken);
		if (e == 1 && ipc_ring_back(&r, name, &in, &len, &cap) == 0) {
			REQUIRE(len <= IPC_BACK_MAX && cap <= IPC_BACK_MAX && strlen(name) <= IPC_CALL_NAME_MAX);
			REQUIRE((const char *)in >= (char *)c &&
				(const char *)in + IPC_BACK_MAX <= (char *)c + ipc_call_in_offset());
		}
		if (e == 1 && data[4] & 1)
			REQUIRE(ipc_ring_back_done(&r, bytes, (int64_t)(data[4] * 16u)) == 0);
		if (n && (e < 0 || data[4] & 2)) {
			struct ipc_slot *last = s[--n];
			e = ipc_ring_await(&r, last, 1, gone, NULL);
			REQUIRE(e <= 1 && (e != 0 || last->answered));
			REQUIRE(last->out_at <= ipc_call_total(SHARED) &&
				last->cap <= ipc_call_total(SHARED) - last->out_at);
			ipc_ring_free(&r, last);
		}
		REQUIRE(r.live <= IPC_CALL_ENTRIES && r.ready <= r.live);
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
		target(data + 1, size - 1);
		break;
	default:
		host(data + 1, size - 1);
	}
	return 0;
}
