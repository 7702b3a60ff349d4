/* SPDX-License-Identifier: ISC */
/*
 * The target of the race tests: tries each operation on what is swapped, and now and then on what is not, and has
 * hostile threads of its own. Runs behind the door (or, to prove the rows, before it).
 */
#include "tests/race.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PLACES 7

static const char *const places_of[RACE_KINDS + 1][PLACES] = {
	[RACE_STILL] = {"A/hot/D", "A/t"},
	[RACE_LINKED] = {"A/hot/D"},
	[RACE_ABSOLUTE] = {"A/hot/D", "A/hot/../hot/D/dir/.."},
	[RACE_RELATIVE] = {"A/hot/D", "A/hot/D/dir/.."},
	[RACE_RELINK] = {"A/hot/D"},
	[RACE_CHAIN] = {"A/hot/D"},
	[RACE_READ_ONLY] = {"A/hot/D", "A/hot/D/dir/.."},
	[RACE_FINAL] = {"A/hot/F"},
	[RACE_FINAL_READ_ONLY] = {"A/hot/F"},
	[RACE_MOVED] = {"A/m/b", "A/m/b/..", "A/m/b/dir/../..", "..", ".", "dir/../.."},
	[RACE_ROOT] = {"A/t", "A/hot/../t"},
	[RACE_INSIDE] = {"A/hot/D"},
	[RACE_MEMORY] = {"A/t"},
};

static const struct {
	const char *name;
	int value;
} errors[] = {{"EACCES", EACCES}, {"ELOOP", ELOOP}, {"EXDEV", EXDEV}, {"ENODATA", ENODATA}};

/* Kinds that lead to what may be read and no more. */
static bool partly_readable(enum race_kind kind)
{
	return kind == RACE_READ_ONLY || kind == RACE_FINAL_READ_ONLY || kind == RACE_MEMORY;
}

static bool expected(const struct race_row *row, int e, bool only)
{
	if (e == -ENOENT)
		return true;
	/* What leaves A while it is being opened is refused by the broker's own Landlock domain at the latest. */
	if (race->kind == RACE_MOVED && e == -EACCES)
		return true;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		if (errors[i].value != -e || !strstr(row->errors, errors[i].name))
			continue;
		/* Nothing may tell what is hidden. Where R is one of two, what it lacks is told. */
		if (e == -EACCES || e == -EXDEV)
			return partly_readable(race->kind) || (race->kind == RACE_MOVED && !only);
		return !only;
	}
	return false;
}

static void hot(unsigned i, const char *directory, bool only)
{
	struct race_count *c = &race->counts[i];
	int e = race_rows[i].attempt(directory, only);

	c->attempts++;
	c->tries += !only; /* what cannot succeed tells nothing of lock-out */
	if (e > 0) {
		c->escapes++;
	} else if (e == 0) {
		c->good++;
	} else if (!expected(&race_rows[i], e, only)) {
		c->strange++;
		c->errno_seen = -e;
	}
}

static void calm(unsigned i)
{
	struct race_count *c = &race->counts[i];
	char directory[300];

	snprintf(directory, sizeof(directory), "%s/A/calm", race->base);
	race_calm = true;
	int e = race_rows[i].attempt(directory, false);
	/* Without private mounts a directory in the hand is where it is by now: when A is elsewhere, not in A's place. */
	if (e == -ENOENT && race->kind == RACE_ROOT && race->in_place && race_rows[i].relative)
		e = 0;
	c->attempts += race_rows[i].both ? 2 : 1;
	c->calm_tries++;
	c->calm_good += e == 0;
	if (e) {
		c->strange++;
		c->errno_seen = e > 0 ? 0 : -e;
	}
	if (e > 0)
		c->escapes++;
	e = race_rows[i].both ? race_rows[i].attempt(directory, true) : -ENOENT;
	race_calm = false;
	if (e != -ENOENT) {
		c->strange++;
		c->errno_seen = e > 0 ? 0 : -e;
	}
}

static atomic_bool ended;

static void *inside(void *unused)
{
	char a[300], b[300];

	(void)unused;
	snprintf(a, sizeof(a), "%s/A/hot/D", race->base);
	snprintf(b, sizeof(b), "%s/A/hot/L", race->base);
	uint64_t n = 0;
	for (; !atomic_load(&ended) || n % 2; race_spin())
		n += syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2u /* RENAME_EXCHANGE */) == 0;
	atomic_fetch_add(&race->swaps, n);
	return NULL;
}

static void *memory(void *unused)
{
	static const char letters[] = "ASAR";
	size_t at = strlen(race->base) + 1;
	uint64_t n = 0;

	(void)unused;
	for (; !atomic_load(&ended); n++)
		for (unsigned i = 0; i < RACE_PATHS; i++) {
			volatile char *byte = &race_paths[i][at];

			if (!strncmp(&race_paths[i][at + 1], "/t/", 3))
				*byte = letters[n % 4];
		}
	atomic_fetch_add(&race->swaps, n);
	return NULL;
}

static int home(void)
{
	char path[300];

	snprintf(path, sizeof(path), race->kind == RACE_MOVED || race->kind == RACE_AWAY ? "%s/A/m/b" : "%s/A/calm",
		race->base);
	if (chdir(path))
		return -1;
	race_home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return race_home < 0 ? -1 : 0;
}

/* A directory that left A is judged by where it is now. In O it is not there for the target; in R it may be read. */
int race_away(void)
{
	static const struct {
		const char *name;
		int flags; /* of open; -1: another call */
	} calls[] = {{"late", O_RDONLY}, {"late", O_PATH}, {"late", O_RDWR}, {"victim", O_WRONLY | O_TRUNC},
		{"file", O_RDONLY | O_TRUNC}, {"new", O_WRONLY | O_CREAT}, {"dir/new", O_WRONLY | O_CREAT},
		{"dir/../late", O_RDWR}, {"dir", O_RDWR | O_TMPFILE}, {"../onlyfile", O_RDONLY}, {"mkdir", -1},
		{"unlink", -1}, {"rename", -1}, {"chmod", -1}, {"setxattr", -1}, {"stat", -1}, {"chdir", -1}};
	char path[300];
	struct stat st;
	int fds[3] = {AT_FDCWD};

	for (int i = 1; i < 3; i++) {
		snprintf(path, sizeof(path), i == 1 ? "%s/A/m/b" : "%s/A/hot/D", race->base);
		fds[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fds[i] < 0)
			return -errno;
	}
	atomic_store(&race->begun, true);
	while (!atomic_load(&race->swapping))
		nanosleep(&(struct timespec){0, 100000}, NULL);
	struct race_count *c = &race->counts[0];
	for (int i = 0; i < 3; i++) {
		for (size_t k = 0; k < sizeof(calls) / sizeof(*calls); k++) {
			const char *name = calls[k].name;
			bool looks = calls[k].flags == O_RDONLY || calls[k].flags == O_PATH || !strcmp(name, "stat") ||
				     !strcmp(name, "chdir");
			int r = -1;
			if (calls[k].flags != -1)
				r = openat(fds[i], name, calls[k].flags | O_CLOEXEC, 0666);
			else if (!strcmp(name, "mkdir"))
				r = mkdirat(fds[i], "new2", 0777);
			else if (!strcmp(name, "unlink"))
				r = unlinkat(fds[i], "victim", 0);
			else if (!strcmp(name, "rename"))
				r = renameat(fds[i], "file", fds[i], "file2");
			else if (!strcmp(name, "chmod"))
				r = fchmodat(fds[i], "file", 0600, 0);
			else if (!strcmp(name, "stat"))
				r = fstatat(fds[i], "late", &st, 0);
			else if (!strcmp(name, "setxattr"))
				r = i ? -1 : setxattr("file", "user.race", "x", 1, 0);
			else if (i == 0)
				r = chdir("dir");
			int e = errno;
			c->tries++;
			c->good += r < 0;
			if (r >= 0 && !(i == 2 && looks)) {
				c->escapes++;
				race_escape("%s in %s", name,
					i ? i == 1 ? "a descriptor's" : "a descriptor's, in R" : "its own");
			} else if (r < 0 && calls[k].flags != -1 && e != ENOENT && e != (i == 2 ? EACCES : ENOENT)) {
				c->strange++;
				c->errno_seen = e;
			}
			if (r > 2)
				close(r);
		}
	}
	return 0;
}

int race_target(void)
{
	char directory[300];
	pthread_t thread;
	bool threaded = race->kind == RACE_INSIDE || race->kind == RACE_MEMORY;

	if (home())
		return -errno;
	if (race->kind >= RACE_AWAY)
		return race->kind == RACE_AWAY ? race_away() : race_states();
	atomic_store(&race->begun, true);
	bool outside = !threaded && race->kind != RACE_STILL && race->kind != RACE_LINKED;
	while (outside && !atomic_load(&race->swapping))
		nanosleep(&(struct timespec){0, 100000}, NULL);
	if (threaded && pthread_create(&thread, NULL, race->kind == RACE_INSIDE ? inside : memory, NULL))
		return -1;
	uint64_t tries = 0;
	for (unsigned round = 0; tries < race->tries; round++) {
		const char *const *places = places_of[race->kind];
		unsigned count = 0;

		while (count < PLACES && places[count])
			count++;
		const char *place = places[round / 4 % count];
		bool only = round % 4 == 3;
		if (place[0] == 'A')
			snprintf(directory, sizeof(directory), "%s/%s", race->base, place);
		else
			snprintf(directory, sizeof(directory), "%s", place);
		for (unsigned i = 0; i < race_row_count && tries < race->tries; i++) {
			if (!race_row_works(i) || (race->only_row >= 0 && (int)i != race->only_row) ||
				(race_rows[i].rare && round / 4 % race_rows[i].rare) || (only && !race_rows[i].both))
				continue;
			hot(i, directory, only);
			tries++;
			if (round % 4 == 2 && race->confined)
				calm(i);
		}
	}
	atomic_store(&ended, true);
	if (threaded)
		pthread_join(thread, NULL);
	atomic_store(&ended, false);
	return 0;
}
