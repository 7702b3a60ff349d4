/* SPDX-License-Identifier: ISC */
/* What live_buffers' targets do with buffers that they are lent: what they are asked for, and what they are not to. */
#include "tests/buffers.h"

#include "broker/broker.h"
#include "policy/filter.h"
#include "sandbox/airlock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- honest ---- */

static ssize_t lent_sum(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len;
	uint64_t sum = 0;
	for (unsigned i = 0;; i++) {
		size_t n;
		const uint64_t *words = airlock_lent(i, &n, NULL);
		if (!words)
			break;
		for (size_t k = 0; k < n / sizeof(*words); k++)
			sum += words[k];
	}
	if (cap < sizeof(sum))
		return -1;
	memcpy(out, &sum, sizeof(sum));
	return sizeof(sum);
}
AIRLOCK_FUNCTION(lent_sum)

static ssize_t lent_fill(const void *in, size_t len, void *out, size_t cap)
{
	(void)out, (void)cap;
	size_t n;
	int writable;
	void *bytes = airlock_lent(0, &n, &writable);
	if (!bytes || !writable || len != 1)
		return -1;
	memset(bytes, *(const unsigned char *)in, n);
	return 0;
}
AIRLOCK_FUNCTION(lent_fill)

/* Nothing of the data is touched: what a call with a buffer costs besides. */
static ssize_t lent_first(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	/* Nor need its length be wanted. */
	const unsigned char *bytes = airlock_lent(0, NULL, NULL);
	return bytes ? -(ssize_t)bytes[0] : -1000;
}
AIRLOCK_FUNCTION(lent_first)

/* Its mapping outlives the call. */
static unsigned char *kept;
static size_t kept_len;
static ssize_t lent_keep(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	int writable;
	void *bytes = airlock_lent(0, &kept_len, &writable);
	if (!bytes)
		return -1;
	void *p = mremap(bytes, 0, kept_len, MREMAP_MAYMOVE); /* of shared memory: one more of it */
	if (p == MAP_FAILED)
		return -errno;
	kept = p;
	return 0;
}
AIRLOCK_FUNCTION(lent_keep)

static ssize_t scribble(const void *in, size_t len, void *out, size_t cap)
{
	(void)out, (void)cap;
	if (!kept || len != 1)
		return -1;
	memset(kept, *(const unsigned char *)in, kept_len);
	return 0;
}
AIRLOCK_FUNCTION(scribble)

/* Reads what it is lent until it changes. */
static ssize_t lent_watch(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	size_t n;
	int writable;
	const volatile unsigned char *bytes = airlock_lent(0, &n, &writable);
	if (!bytes)
		return -1;
	unsigned char first = bytes[n - 1];
	while (bytes[n - 1] == first)
		usleep(200);
	return -(ssize_t)bytes[n - 1];
}
AIRLOCK_FUNCTION(lent_watch)

/* ---- hostile ---- */

static int attach(uint64_t id)
{
	long fd;
	while ((fd = syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_ATTACH, id)) < 0 && errno == EAGAIN)
		;
	return (int)fd;
}

static struct {
	int fd;
	size_t len;
	void *memory;
	pthread_t thread;
	int works;
	atomic_bool stop;
	atomic_uint_fast64_t writes;
} grabbed = {.fd = -1};

static void *writer(void *arg)
{
	static unsigned char bytes[1 << 16];
	(void)arg;
	for (unsigned char c = 0; !atomic_load(&grabbed.stop); c++) {
		memset(bytes, c, sizeof(bytes));
		const struct iovec parts[2] = {{bytes, sizeof(bytes) / 2}, {bytes, sizeof(bytes) / 2}};
		if (pwritev(grabbed.fd, parts, 2, 0) > 0)
			grabbed.writes++;
	}
	return NULL;
}

static void *mapper(void *arg)
{
	(void)arg;
	for (unsigned char c = 0; !atomic_load(&grabbed.stop); c++) {
		void *p = mmap(NULL, grabbed.len, PROT_READ | PROT_WRITE, MAP_SHARED, grabbed.fd, 0);
		if (p == MAP_FAILED)
			continue;
		memset(p, c, 4096);
		grabbed.writes++;
		munmap(p, grabbed.len);
	}
	return NULL;
}

static ssize_t grab(const void *in, size_t len, void *out, size_t cap)
{
	(void)out, (void)cap;
	struct grab g;
	if (len != sizeof(g))
		return -EINVAL;
	memcpy(&g, in, sizeof(g));
	if (g.what & GRAB_LET_GO) {
		atomic_store(&grabbed.stop, true);
		if (grabbed.works)
			pthread_join(grabbed.thread, NULL);
		if (grabbed.memory)
			munmap(grabbed.memory, grabbed.len);
		if (grabbed.fd >= 0)
			close(grabbed.fd);
		grabbed.fd = -1;
		grabbed.memory = NULL;
		return 0;
	}
	grabbed.fd = attach(g.lends[0].id);
	if (grabbed.fd < 0)
		return -errno;
	grabbed.len = g.lends[0].len;
	if (g.what & GRAB_MAP) {
		grabbed.memory = mmap(NULL, grabbed.len, PROT_READ | PROT_WRITE, MAP_SHARED, grabbed.fd, 0);
		if (grabbed.memory == MAP_FAILED)
			return -errno;
		kept = grabbed.memory;
		kept_len = grabbed.len;
	}
	if ((g.what & GRAB_SEAL) && fcntl(grabbed.fd, F_ADD_SEALS, F_SEAL_SEAL) < 0)
		return -errno;
	if ((g.what & GRAB_FUTURE) && fcntl(grabbed.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0)
		return -errno;
	if (g.what & (GRAB_WRITER | GRAB_MAPPER)) {
		atomic_store(&grabbed.stop, false);
		int e = pthread_create(&grabbed.thread, NULL, g.what & GRAB_WRITER ? writer : mapper, NULL);
		if (e)
			return -e;
		grabbed.works = 1;
		while (!grabbed.writes)
			usleep(100);
	}
	if (!(g.what & (GRAB_FD | GRAB_WRITER | GRAB_MAPPER))) {
		close(grabbed.fd);
		grabbed.fd = -1;
	}
	return 0;
}
AIRLOCK_FUNCTION(grab)

/* What can still be done through what was kept, once the host has revoked the buffer: a bit each. */
static ssize_t after(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	ssize_t done = 0;
	void *p = mmap(NULL, grabbed.len, PROT_READ | PROT_WRITE, MAP_SHARED, grabbed.fd, 0);
	if (p != MAP_FAILED) {
		memset(p, 'X', 1);
		done |= 1;
	}
	done |= pwrite(grabbed.fd, "X", 1, 0) >= 0 ? 2 : 0;
	done |= fallocate(grabbed.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 ? 4 : 0;
	done |= ftruncate(grabbed.fd, 0) == 0 ? 8 : 0;
	done |= ftruncate(grabbed.fd, (off_t)grabbed.len * 2) == 0 ? 16 : 0;
	p = mmap(NULL, grabbed.len, PROT_READ, MAP_SHARED, grabbed.fd, 0);
	if (p != MAP_FAILED)
		done |= mprotect(p, grabbed.len, PROT_READ | PROT_WRITE) == 0 ? 32 : 0;
	return -done;
}
AIRLOCK_FUNCTION(after)

static void attempt(struct attempts *a, int succeeded, const char *what)
{
	if (succeeded) {
		a->succeeded |= UINT64_C(1) << a->made;
		snprintf(a->last, sizeof(a->last), "%s", what);
	}
	a->made++;
}

/* A buffer that is lent for reading alone. */
static ssize_t attack_reading(const void *in, size_t len, void *out, size_t cap)
{
	struct grab g;
	struct attempts a = {0};
	char path[64];
	if (len != sizeof(g) || cap < sizeof(a))
		return -EINVAL;
	memcpy(&g, in, sizeof(g));
	const size_t n = g.lends[0].len;
	int fd = attach(g.lends[0].id);
	if (fd < 0)
		return -errno;
	unsigned char *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	attempt(&a, mprotect(p, n, PROT_READ | PROT_WRITE) == 0, "mprotect");
	attempt(&a, mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED, "mmap");
	attempt(&a, pwrite(fd, "X", 1, 0) >= 0, "pwrite");
	attempt(&a, ftruncate(fd, 0) == 0, "ftruncate to nothing");
	attempt(&a, ftruncate(fd, (off_t)n * 2) == 0, "ftruncate to more");
	attempt(&a, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)n) == 0, "punch a hole");
	attempt(&a, fallocate(fd, 0, 0, (off_t)n * 2) == 0, "grow");
	attempt(&a, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0, "seal against writing");
	attempt(&a, fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == 0, "seal against sealing");
	attempt(&a, fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0, "seal against writing from now on");
	attempt(&a, madvise(p, n, MADV_REMOVE) == 0, "madvise");
	attempt(&a, fchmod(fd, 0666) == 0, "fchmod");
	void *more = mremap(p, 0, n, MREMAP_MAYMOVE);
	attempt(&a, more != MAP_FAILED && mprotect(more, n, PROT_READ | PROT_WRITE) == 0, "mprotect after mremap");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	attempt(&a, open(path, O_RDWR) >= 0, "open by /proc");
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	attempt(&a, open(path, O_RDWR) >= 0, "open by /dev/fd");
	attempt(&a, syscall(SYS_openat, fd, "", O_RDWR, 0) >= 0, "openat");
	attempt(&a, attach(g.lends[0].id) >= 0, "ask again");
	/* Reading into it. */
	int pipes[2];
	if (pipe(pipes) == 0 && write(pipes[1], "X", 1) == 1)
		attempt(&a, read(pipes[0], p, 1) == 1, "read into it");
	memcpy(out, &a, sizeof(a));
	return sizeof(a);
}
AIRLOCK_FUNCTION(attack_reading)

/* Numbers that were never lent to it: around those that were, and far away. How many it got. */
static ssize_t guess(const void *in, size_t len, void *out, size_t cap)
{
	(void)out, (void)cap;
	uint64_t base, got = 0;
	if (len != sizeof(base))
		return -EINVAL;
	memcpy(&base, in, sizeof(base));
	for (uint64_t i = 0; i < 4096; i++)
		got += attach(base - 2048 + i) >= 0;
	for (int bit = 0; bit < 64; bit++)
		got += (attach(UINT64_C(1) << bit) >= 0) + (attach(~(UINT64_C(1) << bit)) >= 0);
	return -(ssize_t)(got + (attach(0) >= 0));
}
AIRLOCK_FUNCTION(guess)

static ssize_t hello(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	return -7;
}
AIRLOCK_FUNCTION(hello)
