/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target for the broker's one reader of a target's registers and memory, and for the decoder of its reports. An
 * input is a system call number (two bytes), six registers (a byte each that says what kind, and one of data), and the
 * memory that pointers lead into, which ends where a page does that cannot be read. The target is this process itself;
 * ioctl is wrapped (see meson.build), so that its request always counts as alive.
 */
#include "broker/carrier.h"
#include "policy/promises.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOM 16384u
static char text[REPORT_TEXT];
#define REQUIRE(x)                                                                                                     \
	do {                                                                                                           \
		if (!(x)) {                                                                                            \
			fprintf(stderr, "not so: %s (%s)\n", #x, text);                                                \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	(void)request;
	return 0;
}

static unsigned char *memory_make(void)
{
	unsigned char *m = mmap(NULL, ROOM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(m != MAP_FAILED && mprotect(m + ROOM, 4096, PROT_NONE) == 0);
	return m;
}

static uint64_t register_of(const uint8_t *at, const unsigned char *start, size_t len)
{
	static const uint64_t edges[] = {0, 1, UINT64_MAX, 0xffffff9c, UINT64_C(0xdeadbeefffffff9c), 1u << 31,
		UINT64_C(1) << 32, UINT64_C(0xffff800000000000)};
	switch (at[0] % 4) {
	case 0:
		return at[1];
	case 1:
		return edges[at[1] % (sizeof(edges) / sizeof(edges[0]))];
	case 2:
		return (uint64_t)(uintptr_t)start + (len ? at[1] * len / 255 : 0);
	default:
		return (uint64_t)at[1] << (at[0] >> 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char *memory;
	static char path[2][PATH_MAX];
	static struct broker broker = {.log = -1};
	static struct family family = {.broker = &broker, .listener = -1, .pidfd = -1, .carrier = &carrier_listener};
	if (size < 14)
		return 0;
	if (!memory)
		memory = memory_make();
	size_t len = size - 14 < ROOM ? size - 14 : ROOM;
	unsigned char *start = memory + ROOM - len;
	memcpy(start, data + 14, len);
	struct state state = {.cwd = -1};
	struct request r = {.family = &family, .state = &state, .tid = getpid(), .missing_promise = PROMISE_COUNT};
	r.nr = data[0] | (data[1] & 1) << 8;
	for (int i = 0; i < 6; i++)
		r.args[i] = register_of(data + 2 + 2 * i, start, len);
	r.op = operation_find(r.nr);
	memset(path, 'x', sizeof(path));
	int e = request_read(&r, path[0], path[1]);
	REQUIRE(e <= 0 && e > -4096);
	for (int i = 0; i < 2; i++)
		REQUIRE(!r.path[i] || (r.path[i] == path[i] && memchr(path[i], 0, PATH_MAX)));
	decode_call(&r, text, sizeof(text));
	REQUIRE(memchr(text, 0, sizeof(text)));
	/* One line that does nothing to a terminal, whatever a target names its files. */
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		REQUIRE(*c >= ' ' && *c != 127 && !(*c == 0xc2 && c[1] < 0xa0));
	return 0;
}
