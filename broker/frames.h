/* SPDX-License-Identifier: ISC */
/* Call frames of another process, for unwind.c's helper. Everything here reads bytes that the process chose: it allocates
 * nothing, makes no system call but process_vm_readv and pread, and gives up where it does not understand. */
#ifndef AIRLOCK_FRAMES_H
#define AIRLOCK_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#if defined(__x86_64__)
#define FRAME_REGISTERS 17 /* DWARF's numbers; the last is the return address */
#define FRAME_SP 7
#define FRAME_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define FRAME_REGISTERS 32
#define FRAME_SP 31
#define FRAME_MACHINE EM_AARCH64
#endif

struct frame {
	uint64_t pc;
	uint64_t r[FRAME_REGISTERS];
	bool exact; /* pc is where it stands, not where a call returns to */
};

bool frame_read(pid_t pid, uint64_t address, void *bytes, size_t len);
/* From a frame to its caller's, by the .eh_frame_hdr at this address of the process. false: there is none. */
bool frame_step(pid_t pid, uint64_t header, struct frame *f);
/* The same by all descriptions (.eh_frame) at this address, for programs that have no table of them: static ones. */
#define SEARCHED (1024 * 1024)
struct searched {
	uint64_t address; /* of what is here; 0: nothing yet */
	unsigned char bytes[SEARCHED];
};
bool frame_search(pid_t pid, uint64_t address, uint64_t len, struct searched *all, struct frame *f);
/* As a ucontext_t at address has it. */
bool frame_context(pid_t pid, uint64_t address, struct frame *f);
/* The same from the way out of a signal handler, for which not every libc has a table. */
bool frame_interrupted(pid_t pid, struct frame *f);
/* As if the function at pc had just been called: to its caller. */
bool frame_called(pid_t pid, struct frame *f);
/* What unwinding and symbols need to know of a module that is mapped at base. */
struct elf {
	uint64_t bias; /* from its own addresses to the process' */
	uint64_t header; /* of .eh_frame_hdr in the process, or 0 */
};
bool elf_read(pid_t pid, uint64_t base, struct elf *e);
/* The function that address, of the module's own, lies in, by the symbols of the file. false: none. */
#define SYMBOL_NAME 128
/* Where the module has a section, by its own addresses. */
bool section_find(int fd, const char *name, uint64_t *address, uint64_t *len);
bool function_find(int fd, uint64_t address, char name[SYMBOL_NAME], uint64_t *offset);
#endif
