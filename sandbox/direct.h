/* SPDX-License-Identifier: ISC */
/* Direct trees: what the kernel itself resolves in a target's own root. Planned by the broker before it confines itself, put
 * in place by the nursery. */
#ifndef AIRLOCK_DIRECT_H
#define AIRLOCK_DIRECT_H

#include "broker/broker.h"

#include <stdbool.h>
#include <stddef.h>

#define DIRECT_MAX 160 /* mounts and links: each costs every cold start some microseconds */

struct direct_entry {
	char *path; /* absolute, canonical, not below a link */
	char *link; /* a symbolic link to this path, or NULL */
	int mount; /* a detached clone; -1 for a link, for a directory that is only to be there, and in the end */
	bool mounted; /* there is or was one */
	unsigned perms; /* what Landlock lets through: PERM_R, or PERM_LOADER for files alone */
	bool directory;
	bool writable; /* not mounted read-only */
	bool covered; /* lies in another entry's tree, where it is by itself */
	bool inside; /* lies in another entry's tree, to be mounted on what is there */
};

struct direct {
	bool on;
	struct direct_entry entries[DIRECT_MAX]; /* sorted by path, so that trees come before what lies in them */
	size_t count;
	dev_t root; /* of the file system that the trees are mounted on */
	/* For people: the path that could not be direct, and why, when the policy asked for one; else empty. */
	char note[400];
};

bool direct_asked(const struct policy *p); /* whether any path is to be direct */
/* Decides whether the policy's `d` rules can be direct, and if so makes the clones. cwd: where targets usually start, or
 * NULL. b's anchors are open. d->on says the result; the only error is -ENOMEM. */
int direct_plan(struct direct *d, const struct broker *b, const char *cwd);
/* Says that it could not be done after all, frees what there is. */
void direct_give_up(struct direct *d, const struct broker *b, const char *why);
/* Into root, an empty tmpfs of the calling process' namespace. 0 or a negative errno. No allocation. */
int direct_place(struct direct *d, int root);
/* Whether path (canonical) is there, as a directory or below one. */
bool direct_holds(const struct direct *d, const char *path);
void direct_mounts_close(struct direct *d);

/* direct_root.c, for direct.c. -E2BIG, -ESTALE (a path leads elsewhere by now), -ENOMEM, or what a clone said. */
int direct_entries_make(struct direct *d, const struct broker *b, const char *cwd);
void direct_entries_free(struct direct *d);
/* Whether path is directory or lies below it. */
bool direct_within(const char *path, const char *directory);
#endif
