/* SPDX-License-Identifier: ISC */
/*
 * Owns the arguments of a script's interpreter: "/bin/sh -e script" and then the caller's own from the second on. Runs in
 * the broker, on a slow worker that holds the caller still.
 *
 * They must lie in the caller's memory, and there is none in it that is certainly free: what is below its stack pointer may
 * be another's stack. So it is made to map some, which its exec drops with all the rest. But a child of vfork(2) shares its
 * parent's memory, where the mapping would stay: it is made at one of a few addresses that belong to the family, and used
 * again, known by the bytes that it begins with.
 */
#include "broker/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#define ARGUMENTS_MAX (1u << 17) /* pointers that a script's caller may pass */
#define MARK sizeof(((struct family *)0)->words.mark)
#define LOWEST                                                                                                         \
	(UINT64_C(64) << 30) /* beyond programs that are not position-independent, below all that the kernel chooses */

/* The caller's argument pointers, with the final NULL. */
static int arguments_read(const struct request *r, uint64_t address, uint64_t **out, size_t *count)
{
	uint64_t *list = NULL;
	size_t n = 0, room = 0;
	for (bool end = !address; !end;) {
		uint64_t chunk[64];
		/* Not beyond the page: the last pointer may be at its end. */
		size_t part = (4096 - address % 4096) / sizeof(chunk[0]);
		part = part > 64 ? 64 : part ? part : 1;
		int e = memory_read(r, address, chunk, part * sizeof(chunk[0]));
		if (e == 0 && n + part > room) {
			room = (n + part) * 2;
			uint64_t *more = room > 2 * ARGUMENTS_MAX ? NULL : reallocarray(list, room, sizeof(*list));
			e = more ? 0 : -E2BIG;
			list = more ? more : list;
		}
		if (e) {
			free(list);
			return e;
		}
		for (size_t i = 0; i < part && !end; i++) {
			end = !chunk[i];
			list[n++] = chunk[i];
		}
		address += part * sizeof(chunk[0]);
	}
	*out = list;
	*count = n;
	return 0;
}

/* The mark, the strings, a NUL or more; then come the pointers to the strings, and the caller's own. */
static size_t text_length(const struct words *w)
{
	size_t len = MARK;
	for (size_t i = 0; i < w->count; i++)
		len += strlen(w->list[i]) + 1;
	return (len + 8) / 8 * 8;
}

/* All of it, as if it were to lie at address 0. */
static char *build(const struct words *w, const uint64_t *own, size_t own_count, size_t *len)
{
	size_t rest = own_count > 1 ? own_count - 1 : 1, at = MARK, text = text_length(w);
	*len = text + (w->count + rest) * sizeof(uint64_t);
	char *bytes = calloc(1, *len);
	if (!bytes)
		return NULL;
	uint64_t *to = (uint64_t *)(void *)(bytes + text);
	for (size_t i = 0; i < w->count; i++) {
		*to++ = at;
		strcpy(bytes + at, w->list[i]);
		at += strlen(w->list[i]) + 1;
	}
	if (own_count > 1)
		memcpy(to, own + 1, rest * sizeof(*to));
	return bytes;
}

/* A slot that no other exec uses, or -1. */
static int slot_take(struct family *f)
{
	int slot = -1;
	pthread_mutex_lock(&f->lock);
	if (!f->words.base && getrandom(f->words.mark, MARK, 0) == (ssize_t)MARK) {
		uint64_t random;
		memcpy(&random, f->words.mark, sizeof(random));
		f->words.base = LOWEST + random % 16384 * (WORDS_SLOTS * WORDS_SLOT);
	}
	for (int i = 0; f->words.base && i < (int)WORDS_SLOTS && slot < 0; i++)
		if (!(f->words.busy & 1u << i))
			slot = i;
	if (slot >= 0)
		f->words.busy |= 1u << slot;
	pthread_mutex_unlock(&f->lock);
	return slot;
}

void words_release(struct family *f, struct placed *p)
{
	if (p->slot < 0)
		return;
	pthread_mutex_lock(&f->lock);
	f->words.busy &= ~(1u << p->slot);
	pthread_mutex_unlock(&f->lock);
	p->slot = -1;
}

static int64_t map(struct trace *t, uint64_t address, uint64_t len)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (address ? MAP_FIXED_NOREPLACE : 0);
	const uint64_t args[6] = {address, len, PROT_READ | PROT_WRITE, (uint64_t)flags, (uint64_t)-1, 0};
	enum trace_stop stop;
	return trace_call(t, SYS_mmap, args, &stop);
}

/* Where len bytes can be put; negative errno. */
static int64_t room(const struct request *r, struct trace *t, size_t len, struct placed *p)
{
	struct family *f = r->family;
	char mark[MARK];
	p->slot = len <= WORDS_SLOT ? slot_take(f) : -1;
	if (p->slot >= 0) {
		uint64_t at = f->words.base + (uint64_t)p->slot * WORDS_SLOT;
		if (memory_read(r, at, mark, MARK) == 0 && memcmp(mark, f->words.mark, MARK) == 0)
			return (int64_t)at;
		int64_t got = map(t, at, WORDS_SLOT);
		if (got == (int64_t)at) {
			p->mapped = at;
			p->mapped_len = WORDS_SLOT;
			return got;
		}
		words_release(f, p); /* something else lies there */
	}
	int64_t got = map(t, 0, len);
	if (got < 0 && got > -4096)
		return got;
	p->mapped = (uint64_t)got;
	p->mapped_len = len;
	return got;
}

int words_place(const struct request *r, struct trace *t, const struct words *w, struct placed *p)
{
	uint64_t *own = NULL;
	size_t own_count = 0, len;
	int e = arguments_read(r, p->arguments, &own, &own_count);
	if (e < 0)
		return e;
	char *bytes = build(w, own, own_count, &len);
	free(own);
	if (!bytes)
		return -ENOMEM;
	int64_t at = room(r, t, len, p);
	if (at >= 0) {
		uint64_t *pointers = (uint64_t *)(void *)(bytes + text_length(w));
		for (size_t i = 0; i < w->count; i++)
			pointers[i] += (uint64_t)at;
		memcpy(bytes, r->family->words.mark, MARK);
		at = trace_write(t, (uint64_t)at, bytes, len) < 0 ? -EFAULT : at;
	}
	if (at >= 0) {
		p->arguments = (uint64_t)at + text_length(w);
		p->path = p->arguments - 1;
	}
	free(bytes);
	return at < 0 ? (int)at : 0;
}

bool words_kept(const struct request *r, const struct trace *t, const struct words *w)
{
	struct user_regs_struct now;
	char text[sizeof(w->name)];
	uint64_t head[2 * SCRIPT_DEPTH + 2];
	const size_t len = (w->count + 1) * sizeof(head[0]);
	if (trace_registers(t, &now) < 0 || memory_read(r, trace_stack(&now), head, len) < 0 || head[0] < w->count)
		return false;
	for (size_t i = 0; i < w->count; i++)
		if (memory_read_string(r, head[i + 1], text, sizeof(text)) < 0 || strcmp(text, w->list[i]) != 0)
			return false;
	return true;
}
