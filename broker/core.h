/* SPDX-License-Identifier: ISC */
/* What core.c hands to its helper, core_file.c. */
#ifndef AIRLOCK_CORE_H
#define AIRLOCK_CORE_H

#include "broker/crash.h"

#include <elf.h>
#include <sys/procfs.h>

#define CORE_THREADS 64
struct core_threads {
	pid_t pid; /* the thread that crashed, which is the first below */
	siginfo_t info;
	Elf64_auxv_t auxv[CRASH_AUXV];
	size_t count;
	struct elf_prstatus thread[CORE_THREADS];
	elf_fpregset_t numbers[CORE_THREADS];
	bool has_numbers[CORE_THREADS];
};
/* The helper's whole life. Their memory is read, and out written to. */
_Noreturn void core_help(struct core_threads *t, const struct broker *b, int out, pid_t broker);
#endif
