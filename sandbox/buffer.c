/* SPDX-License-Identifier: ISC */
/*
 * Owns the host's buffers, memory that goes along with calls without a copy; and what each target has been lent of them. Runs
 * in the host.
 *
 * A buffer is a memfd that can neither shrink nor grow. Its descriptor goes to the target's broker before the call does, which
 * gives it to the target once. Whether anybody can still change it is not believed of the target but asked of the kernel,
 * which seals it against writing only when nobody has it mapped for that, nor holds pages of it.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

struct airlock_buffer {
	atomic_uint references; /* its owner's, and those of targets that keep it mapped */
	atomic_bool freed;
	uint64_t serial;
	void *data;
	size_t size;
	int fd; /* for writing; once revoked, for reading */
	bool revoked;
	bool apart; /* the host's memory is a copy of it, see buffer_restore() */
};

struct lends_given {
	uint64_t clock;
	struct {
		struct airlock_buffer *buffer; /* the target keeps it mapped for reading; else NULL */
		uint64_t used;
		unsigned calls; /* under way, that it was lent for */
	} slots[LEND_SLOTS];
};

static atomic_uint_fast64_t serials; /* a number is never used twice */

PUBLIC int airlock_buffer_new(struct airlock_buffer **out, size_t len)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (!len || len > SIZE_MAX / 4)
		return fail(-EINVAL, "a buffer of %zu bytes cannot be", len);
	struct airlock_buffer *b = calloc(1, sizeof(*b));
	if (!b)
		return fail(-ENOMEM, "out of memory");
	b->size = (len + page - 1) / page * page;
	b->fd = ipc_memfd_open("airlock-buffer", NULL, b->size, F_SEAL_SHRINK | F_SEAL_GROW);
	/* Whoever has it for reading could not open it for more, had he a name for it. Confined, we may not say so. */
	int r = b->fd < 0                                     ? b->fd
		: !nested_inside() && fchmod(b->fd, 0444) < 0 ? -errno
							      : map_own(b->fd, b->size, &b->data);
	if (r < 0) {
		if (b->fd >= 0)
			close(b->fd);
		free(b);
		return fail(r, "no memory for a buffer: %s", strerror(-r));
	}
	/* A fork of the host would be one more who can change it. */
	madvise(b->data, b->size, MADV_DONTFORK);
	b->serial = atomic_fetch_add(&serials, 1) + 1;
	b->references = 1;
	*out = b;
	return 0;
}

PUBLIC void *airlock_buffer_data(const struct airlock_buffer *buffer)
{
	return buffer->data;
}

PUBLIC size_t airlock_buffer_size(const struct airlock_buffer *buffer)
{
	return buffer->size;
}

static void buffer_drop(struct airlock_buffer *b)
{
	if (atomic_fetch_sub(&b->references, 1) == 1)
		free(b);
}

PUBLIC void airlock_buffer_free(struct airlock_buffer *buffer)
{
	if (!buffer)
		return;
	munmap(buffer->data, buffer->size);
	/* Targets that hold on to it have nothing of it. What was revoked stays as long as they do. */
	if (!buffer->revoked)
		fallocate(buffer->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)buffer->size);
	close(buffer->fd);
	atomic_store(&buffer->freed, true);
	buffer_drop(buffer);
}

/* A descriptor of it for reading alone. */
static int buffer_reader(const struct airlock_buffer *b)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", b->fd);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? fail(-errno, "a buffer cannot be opened for reading alone (%s): %s", path, strerror(errno))
		      : fd;
}

static int buffer_map(struct airlock_buffer *b, int fd, int protection, int how)
{
	return mmap(b->data, b->size, protection, how | MAP_FIXED, fd, 0) == MAP_FAILED ? -errno : 0;
}

/* The host has it back as it was. A target may have sealed it against mappings to come: then the host has what it can go on
 * working in, and nobody else sees that. */
static int buffer_restore(struct airlock_buffer *b)
{
	int r = buffer_map(b, b->fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	if (r < 0) {
		b->apart = true;
		r = buffer_map(b, b->fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	}
	madvise(b->data, b->size, MADV_DONTFORK);
	return r;
}

PUBLIC int airlock_buffer_revoke(struct airlock_buffer *buffer)
{
	if (buffer->revoked)
		return 0;
	int reader = buffer_reader(buffer);
	if (reader < 0)
		return reader;
	/* At no moment is there a gap that something else could be mapped in. */
	int r = buffer_map(buffer, reader, PROT_READ, MAP_SHARED);
	if (r == 0 && fcntl(buffer->fd, F_ADD_SEALS, F_SEAL_WRITE) == 0) {
		close(buffer->fd);
		buffer->fd = reader;
		buffer->revoked = true;
		return 0;
	}
	r = r < 0 ? r : -errno;
	close(reader);
	int back = buffer_restore(buffer);
	if (back < 0)
		return fail(back, "the buffer is lost: %s", strerror(-back));
	if (r == -EBUSY)
		return fail(r, "a target holds on to the buffer, and can change it whenever it likes");
	return fail(r,
		r == -EPERM ? "a target has sealed the buffer: nobody can be kept from changing it"
			    : "the buffer cannot be revoked: %s",
		strerror(-r));
}

/* ---- what a target has been lent ---- */

/* Where the buffer is already; else where there is room; else where what was used longest ago makes room. */
static int slot_for(const struct lends_given *l, const struct airlock_lend *lend)
{
	int best = -1;
	for (unsigned i = 0; i < LEND_SLOTS; i++) {
		if (!lend->writable && l->slots[i].buffer == lend->buffer)
			return (int)i;
		if (l->slots[i].calls)
			continue;
		const uint64_t used = l->slots[i].buffer ? l->slots[i].used : 0;
		if (best < 0 || used < (l->slots[best].buffer ? l->slots[best].used : 0))
			best = (int)i;
	}
	return best;
}

static void slot_clear(struct lends_given *l, unsigned slot)
{
	if (l->slots[slot].buffer)
		buffer_drop(l->slots[slot].buffer);
	l->slots[slot].buffer = NULL;
}

static int descriptor_send(struct airlock_target *t, uint64_t id, int fd)
{
	struct lent lent = {.id = id};
	struct ipc_message m = {
		.type = MESSAGE_LEND, .len = sizeof(lent), .data = &lent, .fds = {fd}, .fd_count = fd >= 0};
	int r = ipc_send(t->status, &m, true);
	return r < 0 ? fail(r, "cannot lend a buffer: %s", strerror(-r)) : 0;
}

static int lend_one(struct airlock_target *t, const struct airlock_lend *lend, struct ipc_lend *out)
{
	struct lends_given *l = t->lends;
	struct airlock_buffer *b = lend->buffer;
	if (lend->writable && (b->revoked || b->apart))
		return fail(-EPERM, "the buffer can only be read any more");
	if (b->apart)
		return fail(-EPERM, "a target has sealed the buffer: others would not see what is in it");
	int slot = slot_for(l, lend);
	if (slot < 0)
		return fail(-EAGAIN, "%u buffers are lent to the target already", LEND_SLOTS);
	*out = (struct ipc_lend){b->serial * LEND_SLOTS + (unsigned)slot, b->size, lend->writable != 0, 0};
	if (lend->writable || l->slots[slot].buffer != b) {
		int fd = lend->writable || b->revoked ? b->fd : buffer_reader(b);
		int r = fd < 0 ? fd : descriptor_send(t, out->id, fd);
		if (fd >= 0 && fd != b->fd)
			close(fd);
		if (r < 0)
			return r;
		slot_clear(l, (unsigned)slot);
		if (!lend->writable) {
			l->slots[slot].buffer = b;
			atomic_fetch_add(&b->references, 1);
		}
	}
	l->slots[slot].used = ++l->clock;
	l->slots[slot].calls++;
	return 0;
}

int buffers_lend(struct airlock_target *t, const struct airlock_lend *lends, unsigned count, struct ipc_lend *out)
{
	unsigned n = 0;
	if (count > AIRLOCK_LENDS_MAX)
		return fail(-EINVAL, "at most %d buffers go with one call", AIRLOCK_LENDS_MAX);
	if (count && (!t->broker || t->broker->nested))
		return fail(-EOPNOTSUPP, "a target cannot lend buffers to its own targets");
	if (count && !t->lends && !(t->lends = calloc(1, sizeof(*t->lends))))
		return fail(-ENOMEM, "out of memory");
	for (; n < count; n++) {
		int r = lend_one(t, &lends[n], &out[n]);
		if (r < 0) {
			buffers_returned(t, out, n, false);
			return r;
		}
	}
	/* What the host has freed since the target lets go of, too. */
	for (unsigned i = 0; t->lends && i < LEND_SLOTS && n < IPC_LENDS_MAX; i++) {
		const struct airlock_buffer *b = t->lends->slots[i].buffer;
		if (b && !t->lends->slots[i].calls && atomic_load(&b->freed)) {
			out[n++] = (struct ipc_lend){.id = b->serial * LEND_SLOTS + i};
			slot_clear(t->lends, i);
		}
	}
	return (int)n;
}

void buffers_returned(struct airlock_target *t, const struct ipc_lend *lends, unsigned count, bool attached)
{
	for (unsigned i = 0; i < count; i++) {
		const unsigned slot = LEND_SLOT(lends[i].id);
		if (!lends[i].len)
			continue;
		t->lends->slots[slot].calls--;
		if (attached)
			continue;
		/* Nor may the target ask for it later. */
		if (!t->ended)
			descriptor_send(t, lends[i].id, -1);
		slot_clear(t->lends, slot);
	}
}

void buffers_forget(struct airlock_target *t)
{
	for (unsigned i = 0; t->lends && i < LEND_SLOTS; i++)
		slot_clear(t->lends, i);
	free(t->lends);
}
