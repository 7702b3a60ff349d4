/* SPDX-License-Identifier: ISC */
/* Owns what unwinding begins with: the process' memory, registers that a signal saved, where a module's tables are. Runs in
 * unwind.c's helper. */
#include "broker/frames.h"

#include <elf.h>
#include <string.h>
#include <sys/uio.h>
#include <ucontext.h>

bool frame_read(pid_t pid, uint64_t address, void *bytes, size_t len)
{
	struct iovec local = {bytes, len}, remote = {(void *)(uintptr_t)address, len};
	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

/* ---- signals ---- */

#if defined(__x86_64__)
static const unsigned char way_out[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05}; /* mov $15, %rax; syscall */
#define CONTEXT 0 /* from the stack pointer, when the handler has returned */
static void context_take(struct frame *f, const ucontext_t *u)
{
	static const int from[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
		REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
	for (size_t i = 0; i < FRAME_REGISTERS; i++)
		f->r[i] = (uint64_t)u->uc_mcontext.gregs[from[i]];
	f->pc = (uint64_t)u->uc_mcontext.gregs[REG_RIP];
}
#elif defined(__aarch64__)
static const unsigned char way_out[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4}; /* mov x8, #139; svc #0 */
#define CONTEXT 128
static void context_take(struct frame *f, const ucontext_t *u)
{
	for (size_t i = 0; i < 31; i++)
		f->r[i] = u->uc_mcontext.regs[i];
	f->r[FRAME_SP] = u->uc_mcontext.sp;
	f->pc = u->uc_mcontext.pc;
}
#endif

bool frame_context(pid_t pid, uint64_t address, struct frame *f)
{
	ucontext_t u;
	if (!frame_read(pid, address, &u, offsetof(ucontext_t, uc_mcontext) + sizeof(u.uc_mcontext)))
		return false;
	context_take(f, &u);
	f->exact = true;
	return f->pc != 0;
}

bool frame_interrupted(pid_t pid, struct frame *f)
{
	unsigned char code[sizeof(way_out)];
	return frame_read(pid, f->pc, code, sizeof(code)) && memcmp(code, way_out, sizeof(code)) == 0 &&
	       frame_context(pid, f->r[FRAME_SP] + CONTEXT, f);
}

bool frame_called(pid_t pid, struct frame *f)
{
#if defined(__x86_64__)
	if (!frame_read(pid, f->r[FRAME_SP], &f->pc, sizeof(f->pc)))
		return false;
	f->r[FRAME_SP] += sizeof(f->pc);
#elif defined(__aarch64__)
	(void)pid;
	f->pc = f->r[30];
#endif
	f->exact = false;
	return true;
}

/* ---- modules ---- */

bool elf_read(pid_t pid, uint64_t base, struct elf *e)
{
	static Elf64_Phdr headers[64];
	Elf64_Ehdr head;
	uint64_t unwind_at = 0;
	bool loaded = false;
	*e = (struct elf){0};
	if (!frame_read(pid, base, &head, sizeof(head)) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
		head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof(*headers))
		return false;
	unsigned count = head.e_phnum < 64 ? head.e_phnum : 64;
	if (!frame_read(pid, base + head.e_phoff, headers, count * sizeof(*headers)))
		return false;
	for (const Elf64_Phdr *p = headers; p < headers + count; p++) {
		if (p->p_type == PT_LOAD && !loaded) {
			e->bias = base - (p->p_vaddr - p->p_offset);
			loaded = true;
		} else if (p->p_type == PT_GNU_EH_FRAME) {
			unwind_at = p->p_vaddr;
		}
	}
	e->header = loaded && unwind_at ? e->bias + unwind_at : 0;
	return loaded;
}
