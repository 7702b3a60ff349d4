/* SPDX-License-Identifier: ISC */
/* What the rows of the race tests have in common: the table is in race_ops.c, the rows are there, in race_open.c and in
 * race_change.c. In a target. */
#ifndef AIRLOCK_TESTS_RACE_ROWS_H
#define AIRLOCK_TESTS_RACE_ROWS_H

#include "tests/race.h"

#include <sys/stat.h>

/* directory/name in one of the buffers that RACE_MEMORY rewrites, or, where all is calm, in one of others. */
const char *race_in(unsigned slot, const char *directory, const char *name);
/* The same with a name that was never there. */
const char *race_fresh(unsigned slot, const char *directory);
/* Where nobody swaps, for the other end of a call with two paths. */
const char *race_aside(void);
bool race_is_secret(const struct stat *st);
bool race_is_readable(const struct stat *st);
/* What a call told, as attempt() is to return it. */
int race_seen(const struct stat *st, const char *path, bool only);
int race_got(int fd, const char *path, bool only); /* closes fd; -1: as errno says */
int race_result(long r, const char *path, bool only);

#define RACE_ATTEMPT(name) int race_##name(const char *directory, bool only)
RACE_ATTEMPT(open_read);
RACE_ATTEMPT(open_write);
RACE_ATTEMPT(open_truncate);
RACE_ATTEMPT(open_read_truncate);
RACE_ATTEMPT(open_directory);
RACE_ATTEMPT(open_path);
RACE_ATTEMPT(open_nofollow);
RACE_ATTEMPT(open_create);
RACE_ATTEMPT(open_create_there);
RACE_ATTEMPT(open_exclusive);
RACE_ATTEMPT(open_temporary);
RACE_ATTEMPT(open_how);
RACE_ATTEMPT(open_below);
RACE_ATTEMPT(make_directory);
RACE_ATTEMPT(remove_directory);
RACE_ATTEMPT(unlink_file);
RACE_ATTEMPT(rename_out);
RACE_ATTEMPT(rename_in);
RACE_ATTEMPT(rename_within);
RACE_ATTEMPT(rename_exchange);
RACE_ATTEMPT(link_out);
RACE_ATTEMPT(link_out_followed);
RACE_ATTEMPT(link_in);
RACE_ATTEMPT(make_symlink);
RACE_ATTEMPT(make_fifo);
RACE_ATTEMPT(make_regular);
RACE_ATTEMPT(change_mode);
RACE_ATTEMPT(change_owner);
RACE_ATTEMPT(change_times);
RACE_ATTEMPT(change_size);
RACE_ATTEMPT(change_attribute);
RACE_ATTEMPT(remove_attribute);
#endif
