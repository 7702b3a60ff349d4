/* SPDX-License-Identifier: ISC */
/* Walking call frames: this program's own, also through a signal; and by tables that are nonsense, which must end. */
#include "broker/frames.h"

#include <link.h>
#include <setjmp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

struct module {
	uint64_t pc, base, header;
};

static int look(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct module *m = arg;
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t from = info->dlpi_addr + p->p_vaddr;
		if (p->p_type == PT_LOAD && p->p_offset == 0)
			m->base = from;
		if (p->p_type == PT_LOAD && m->pc >= from && m->pc < from + p->p_memsz)
			return 1;
	}
	return 0;
}

/* The chain of callers holds a return address in this function: [from, to). */
static bool reaches(struct frame *f, uint64_t from, uint64_t to, unsigned *interrupted)
{
	for (int i = 0; i < 40; i++) {
		struct module m = {.pc = f->pc};
		struct elf e;
		if (f->pc >= from && f->pc < to)
			return true;
		if (!dl_iterate_phdr(look, &m) || !elf_read(getpid(), m.base, &e))
			return false;
		if (!(e.header && frame_step(getpid(), e.header, f)) && !frame_interrupted(getpid(), f))
			return false;
		*interrupted += f->exact;
	}
	return false;
}

static struct frame caught;
static void handler(int s, siginfo_t *info, void *context)
{
	ucontext_t own;
	(void)s;
	(void)info;
	(void)context;
	getcontext(&own);
	assert_true(frame_context(getpid(), (uint64_t)(uintptr_t)&own, &caught));
	unsigned interrupted = 0;
	struct frame f = caught;
	/* Out of the handler, through the signal, to whoever raised it. */
	assert_true(reaches(&f, (uint64_t)(uintptr_t)raise, (uint64_t)(uintptr_t)raise + 4096, &interrupted) ||
		    interrupted == 1);
}

static void walks(void **state)
{
	struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	(void)state;
	sigaction(SIGUSR1, &a, NULL);
	raise(SIGUSR1);
	struct frame f = {0};
	ucontext_t own;
	unsigned interrupted = 0;
	getcontext(&own);
	assert_true(frame_context(getpid(), (uint64_t)(uintptr_t)&own, &f));
	uint64_t first = f.pc;
	/* To the code that called this function: cmocka's. */
	struct module here = {.pc = first}, there;
	struct elf e;
	assert_true(dl_iterate_phdr(look, &here));
	assert_true(elf_read(getpid(), here.base, &e) && e.header);
	assert_true(frame_step(getpid(), e.header, &f));
	there = (struct module){.pc = f.pc};
	assert_true(dl_iterate_phdr(look, &there));
	assert_true(there.base != here.base);
	assert_int_equal(interrupted, 0);
}

/* The descriptions one after the other lead where the table of them does. */
static void searches(void **state)
{
	static struct searched all;
	ucontext_t own;
	struct frame f, g;
	struct elf e;
	uint64_t at, len;
	(void)state;
	getcontext(&own);
	assert_true(frame_context(getpid(), (uint64_t)(uintptr_t)&own, &f));
	struct module here = {.pc = f.pc};
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(dl_iterate_phdr(look, &here) && elf_read(getpid(), here.base, &e));
	assert_true(section_find(self, ".eh_frame", &at, &len) && len > 64);
	assert_false(section_find(self, ".eh_fram", &at, &len));
	close(self);
	g = f;
	assert_true(frame_step(getpid(), e.header, &f));
	assert_true(frame_search(getpid(), e.bias + at, len, &all, &g));
	assert_true(f.pc == g.pc && memcmp(f.r, g.r, sizeof(f.r)) == 0);
	g.pc = 4096;
	assert_false(frame_search(getpid(), e.bias + at, len, &all, &g));
	assert_false(frame_search(getpid(), 8, len, &all, &g));
	assert_false(frame_search(getpid(), e.bias + at, ~UINT64_C(0), &all, &g));
}

static uint64_t seed = 88172645463325252;
static uint32_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 11);
}

/* One FDE for all there is, whose fields are as they should be or not, and whose program is noise. */
static void nonsense(void **state)
{
	enum { SIZE = 8192, FDE = 1024, CIE = 512 };
	unsigned char *page = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint64_t at = (uint64_t)(uintptr_t)page;
	static struct searched all;
	unsigned stepped = 0;
	(void)state;
	assert_true(page != MAP_FAILED);
	for (int i = 0; i < 30000; i++) {
		struct frame f = {.pc = at + 100, .exact = true};
		for (size_t k = 0; k < SIZE; k += 4) {
			uint32_t v = draw();
			memcpy(page + k, &v, 4);
		}
		for (size_t k = 0; k < FRAME_REGISTERS; k++)
			f.r[k] = at + (draw() % SIZE & ~7u);
		const unsigned char head[4] = {1, 0x1b, 3, 0x3b};
		const uint32_t count = 1, zero = 0, fde = FDE, len = 40 + draw() % 200, back = FDE + 4 - CIE;
		const int32_t start = -(FDE + 8), size = SIZE;
		const unsigned char cie[] = {1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1};
		memcpy(page, head, 4);
		memcpy(page + 8, &count, 4);
		memcpy(page + 12, &zero, 4);
		memcpy(page + 16, &fde, 4);
		memcpy(page + FDE, &len, 4);
		memcpy(page + FDE + 4, &back, 4);
		memcpy(page + FDE + 8, &start, 4);
		memcpy(page + FDE + 12, &size, 4);
		page[FDE + 16] = 0;
		memcpy(page + CIE, &len, 4);
		memcpy(page + CIE + 4, &zero, 4);
		memcpy(page + CIE + 8, cie, sizeof(cie));
		memset(page + CIE + 8 + sizeof(cie), 0, i % 2 ? 256 : 0);
		if (i % 3 == 0)
			page[draw() % 64 + (draw() % 2 ? FDE : CIE)] = (unsigned char)draw();
		struct frame g = f;
		stepped += frame_step(getpid(), at, &f);
		/* Each time another place: it remembers what it has read. */
		frame_search(getpid(), at + CIE + (unsigned)i % 2, SIZE - CIE - 8, &all, &g);
	}
	/* Else nothing was tried. */
	assert_true(stepped > 100);
	munmap(page, SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks), cmocka_unit_test(searches), cmocka_unit_test(nonsense)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
