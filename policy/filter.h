/* SPDX-License-Identifier: ISC */
/* From promises to an array of BPF instructions, here and nowhere else. */
#ifndef AIRLOCK_FILTER_H
#define AIRLOCK_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number of a call that no kernel has, by which a confined process speaks to its broker: (operation, pointer,
 * length). It arrives as every request does, so its sender cannot be forged and no descriptor can be lost. */
#define AIRLOCK_SYSCALL 44040

struct filter_spec {
	uint64_t promises;
	/* Of narrowing filters: the promises of the base filter beneath, as far as it lets their calls past the broker; 0 is
	 * all. What it lets past, and these promises would have the broker decide, is held back here. */
	uint64_t below;
	/* Base filter: what is not allowed outright becomes a notification (brokered or refused with a report).
	 * Narrowing filter (base false): EPERM for every call these promises do not let through, brokered or direct;
	 * brokered calls of these promises are ALLOWed, so that the base filter's notification decides. */
	bool base;
	/* Known calls that no promise of the set has a row for kill the process. A call with a row whose conditions do not
	 * hold stays a notification, which the broker refuses, and kills for. */
	bool kill;
	/* The process is in a pid namespace of its own: the numbers it can signal are its family's, and calls that name a
	 * process by number may pass. Else they are notifications. */
	bool own_pids;
	/* Addresses in messages (sendmsg, sendmmsg, sendto) lead nowhere that the policy forbids: either the process'
	 * root and network are empty and the broker makes no sockets for it, or nothing narrows its addresses and paths.
	 * Else these calls are notifications, also when promised: a filter cannot read the address. Of a narrowing filter:
	 * that the base filter beneath is so. */
	bool names_direct;
	/* The broker makes sockets, in the network that the targets are not in: socket() is a notification, whatever its
	 * arguments. Base filters only. */
	bool sockets;
	/* newfstatat and statx with flags == AT_EMPTY_PATH and a descriptor that is not negative may pass whatever the
	 * path: sound only where the process' root is empty and its descriptors lead nowhere. */
	bool empty_path_direct;
	/* Else they may pass when the path pointer is this address, of a sealed empty string; 0 for none. */
	uint64_t empty_string;
	/* Every call that is neither of stdio's nor always there is a notification, also when promised and decided on
	 * registers alone, which the broker then lets go on. So it sees each violation of a process that pledges less and
	 * less, and nothing has to be held back by a second filter as long as stdio is kept. Base filters only. */
	bool narrowable;
	/* Violations end the process, and are told: so the broker sees each, also those that would be the process' end at once
	 * (ROW_KILL). */
	bool aborts;
	/* Of narrowing filters: what would be EPERM is a SIGSYS, for a handler that tells the broker (sandbox/tell.c); and so
	 * is blocking signals, since SIGSYS must not be. */
	bool tells;
	/* clone, fork and vfork that make a process or thread become notifications, to be counted. */
	bool count_tasks;
	/* Programs are to be loaded: mmap, mprotect with PROT_EXEC and execveat are notifications, which the broker lets
	 * continue until the entry point and refuses after, even without prot_exec. A narrowing filter then lets through
	 * whatever the base filter makes a request of, since the broker knows how its caller was narrowed. */
	bool loading;
	/* Direct trees: the process' own root holds what it may read, and nothing else. So calls that only look (opening for
	 * reading, without O_PATH, the stat and access families, chdir, fchdir) pass in a base filter that has rpath. A
	 * narrowing filter on top of such a base may not let them through on the strength of another promise: what used to
	 * be the broker's decision is none any more. */
	bool direct;
	/* For the second carrier (sandbox/carrier.c): what would be a notification is a SIGSYS, and in a narrowing filter so
	 * is what would be EPERM. trap_fit() completes it. Without `loading`, `count_tasks` and `narrowable`: a handler
	 * cannot be told to go on. */
	bool trap;
};

/* *out is the caller's to free. Allocates; runs on the trusted side, or in a process that narrows itself while it still
 * has stdio. -ENOMEM or -EINVAL. */
int filter_compile(const struct filter_spec *spec, struct sock_filter **out, size_t *len);
/* The same for the architecture of an AUDIT_ARCH_ token, for tests of the table where it does not run: number_of says what
 * numbers calls have there, as seccomp_syscall_resolve_name_arch() does. What it does not know is unknown, but for calls from
 * pidfd_send_signal on. */
int filter_compile_arch(const struct filter_spec *spec, uint32_t arch,
	int (*number_of)(uint32_t arch, const char *name), struct sock_filter **out, size_t *len);
#endif
