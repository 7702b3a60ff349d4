/* SPDX-License-Identifier: ISC */
/*
 * The ordered table of layers: what a target puts between itself and the machine, and what each needs. Runs inside
 * the process that confines itself (a worker in airlock_init(), pid 2 of `airlock run`, the program itself in place)
 * and, for the probes, in short-lived children of the host.
 */
#ifndef AIRLOCK_LAYERS_H
#define AIRLOCK_LAYERS_H

#include "broker/broker.h"
#include "sandbox/airlock.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a process needs to confine itself; filled by the trusted side. CONFINEMENT_INIT first. */
struct confinement {
	unsigned tolerate; /* AIRLOCK_LAYER_ bits that may be missing */
	unsigned layers; /* out: in force */
	unsigned given; /* layers that the starter has made already: USER, PID, SESSION */
	bool in_place; /* no namespaces, no new session, no root; seccomp with TSYNC */
	bool core; /* it may leave a core: in place, where violations abort */
	bool will_exec; /* a program follows, which resets dumpable: that layer is then neither in force nor asked for */
	uint64_t capabilities; /* in place: those that promises are kept by; the layer is in force without any other */
	unsigned scopes; /* LANDLOCK_SCOPE_ bits of the domain that lets nothing through */
	int net, ipc, uts, cgroup, mnt; /* namespace descriptors of the nursery, or -1; closed by confine() */
	const struct sock_filter
		*filter; /* one for the second carrier lies in memory that can be written: it is completed */
	size_t filter_len; /* instructions */
	int ruleset; /* Landlock: what the kernel lets it do itself (execute, read direct trees); -1: nothing at all */
	const char *cwd; /* where to begin in the nursery's root; NULL or "": "/" */
	uint64_t limits[LIMIT_COUNT]; /* LIMIT_NONE when not set; the whole target's are the broker's */
	int listener; /* out: the seccomp listener, or the broker's end of the second carrier; close-on-exec */
	/* Called last before the filter is loaded, when every other layer holds, with the number that the listener
	 * gets (a guess when the process has other threads). NULL for none. */
	void (*before_filter)(void *arg, int listener);
	void *arg;
	char error[256]; /* out: one line */
};
#define CONFINEMENT_INIT                                                                                               \
	{                                                                                                              \
		.net = -1, .ipc = -1, .uts = -1, .cgroup = -1, .mnt = -1, .ruleset = -1,                               \
		.scopes = LANDLOCK_SCOPE_BOTH, .listener = -1, .limits = {                                             \
			[0 ... LIMIT_COUNT - 1] = LIMIT_NONE                                                           \
		}                                                                                                      \
	}

/* 0, or a negative errno with error set: then the process is half confined and must end. No malloc; async-signal-safe
 * up to the error text. After it nothing may be assumed to be allowed except futex, close and exit. */
int confine(struct confinement *c);

/* One row: in the order of application. */
struct layer {
	unsigned bit;
	const char *name;
	bool in_place; /* asked for in place, too */
	/* 0 in force; 1: not asked for in this process; a negative errno: missing. */
	int (*apply)(struct confinement *c);
	/* Tries it for real in a process that ends afterwards and whose probes of the rows above succeeded or failed;
	 * it shares memory with a host that waits. 0 or a negative errno, whose reason layer_why() finds. */
	int (*probe)(void);
};
extern const struct layer layers_table[];
extern const size_t layers_count;

/* Whether other threads share our memory and signals. */
bool single_threaded(void);
/* probe.c: the reason for which this layer failed with this errno here, one line with the remedy. Static text or buf. */
const char *layer_why(unsigned bit, int error, char *buf, size_t len);
#endif
