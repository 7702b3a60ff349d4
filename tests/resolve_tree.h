/* SPDX-License-Identifier: ISC */
/*
 * Tests of the broker's way from paths to objects, without a target: requests are made by hand, the target's memory and
 * descriptors are the test's own. Numbers beside cases are those of docs (path resolution).
 */
#ifndef AIRLOCK_TESTS_RESOLVE_TREE_H
#define AIRLOCK_TESTS_RESOLVE_TREE_H

#include "broker/broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <limits.h>
#include <sys/stat.h>

#define SLOW (-100000) /* what a call gives that has to wait */

extern char top[64]; /* the scratch tree */
extern char paths[2][PATH_MAX + 16]; /* the paths of the last call, expanded */
extern struct broker b;
extern struct family f;
extern struct state s;
extern struct request r; /* of the last call */

/* Runs the tests in a tree of their own, with plain anchors and, where that is allowed, with private mounts. */
int tree_run(const struct CMUnitTest *tests, size_t count);

/* "~/x" is x in the scratch tree; the result stays in paths[i]. */
char *expand(int i, const char *path);
void file(const char *path, const char *bytes);
void directory(const char *path);
void link_to(const char *path, const char *target);

/* ---- calls: what the target would get, a value, a descriptor or a negative errno ---- */

int said(struct answer a);
int open_at(int dirfd, const char *path, int flags, mode_t mode);
int open_how(int dirfd, const char *path, uint64_t flags, uint64_t resolve_);
int stat_at(int dirfd, const char *path, int flags, struct stat *st);
int statx_(const char *path, struct statx *x);
int access_(const char *path, int mode);
int readlink_(const char *path, void *buf, size_t len);
int mkdir_(const char *path, mode_t mode);
int unlink_(const char *path, int flags);
int rename_(const char *from, const char *to, int flags);
int chdir_(const char *path);
int getcwd_(void *buf, size_t len);
int umask_(mode_t mask);

/* The first bytes of what the open gave, or the errno as text. */
const char *content(int fd);
#define READS(path, want) assert_string_equal(content(open_at(AT_FDCWD, path, O_RDONLY, 0)), want)
#define OPENS(path, flags, want) assert_string_equal(content(open_at(AT_FDCWD, path, flags, 0644)), want)
#endif
