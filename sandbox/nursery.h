/* SPDX-License-Identifier: ISC */
/*
 * What all targets of a policy share and is therefore made once, by the broker, before it confines itself: the user
 * namespace, and a set of empty namespaces with an empty root, held as descriptors.
 */
#ifndef AIRLOCK_NURSERY_H
#define AIRLOCK_NURSERY_H

#include <stdbool.h>
#include <stddef.h>

/* The calling, single-threaded process enters a new user and a new mount namespace, its mounts made private. With
 * CAP_SETUID and CAP_SETGID every id that exists in its present namespace stays what it is (*mapped_all), else only its
 * own uid and gid do, and setgroups is denied. Of the capabilities it then has over the new namespace it keeps
 * SYS_ADMIN, SYS_CHROOT, SYS_PTRACE, SYS_RESOURCE, SETPCAP and, if the host had them effective, DAC_OVERRIDE,
 * DAC_READ_SEARCH, FOWNER, CHOWN, FSETID; the bounding set shrinks to those. Its working directory becomes "/". 0, or a
 * negative errno with error set and nothing changed, save with -EIO: then the process must end. */
int nursery_user(bool *mapped_all, char *error, size_t len);

/* What these functions say when they fail, for the caller to return: r, with error set. user.c. */
int nursery_failed(char *error, size_t len, int r, const char *format, ...) __attribute__((format(printf, 4, 5)));
int nursery_missing(unsigned bit, int r, char *error, size_t len); /* a layer */
/* The calling process' mounts become its own. */
int nursery_private(void);

struct direct;
struct nursery {
	int net, ipc, uts, cgroup, mnt; /* namespace descriptors, close-on-exec; -1 when missing and tolerated */
	unsigned layers; /* AIRLOCK_LAYER_ bits made: NETWORK, IPC, UTS, CGROUP, MOUNT and ROOT */
};

/* Makes the shared namespaces. In the root of mnt, a read-only tmpfs, only the given files exist: each file_fds[i]
 * (O_PATH, opened after nursery_user(): of this mount namespace) read-only at file_paths[i] (absolute, no "..").
 * 0, or a negative errno with error set and *n closed. */
int nursery_make(struct nursery *n, const int *file_fds, const char *const *file_paths, size_t count, unsigned tolerate,
	char *error, size_t len);
/* In two parts: the namespaces are made while the caller does something else, in a thread that may still run. What needs a
 * single thread is done before or after. NULL is for nursery_end() to tell of. */
struct birth;
struct birth *nursery_begin(
	const int *file_fds, const char *const *file_paths, size_t count, struct direct *direct, unsigned tolerate);
int nursery_end(struct birth *b, struct nursery *n, char *error, size_t len);
/* The same with direct trees in the root instead, whose root is then set. */
int nursery_make_direct(struct nursery *n, struct direct *direct, unsigned tolerate, char *error, size_t len);
void nursery_close(struct nursery *n);
/* Turns the calling process' own mount namespace into such a root, without files: for probes. */
int nursery_root_probe(void);
#endif
