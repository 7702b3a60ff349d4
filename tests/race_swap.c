/* SPDX-License-Identifier: ISC */
/* Owns those who swap things under the broker from outside of the door: processes of the host's own user. */
#include "tests/race.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

const char *const race_names[RACE_ALL] = {"nobody", "nobody, but a link", "a directory and an absolute link",
	"a directory and a relative link", "a link made and unmade", "a chain of links",
	"a directory and a link to what is read-only", "files and links", "files and links to what is read-only",
	"a directory moved out", "the rule's own directory", "from inside", "in memory",
	"directories gone with the target in them", "threads that share a directory and a umask",
	"narrowing while others open and fork", "more changes than are remembered", "a thousand processes",
	"a thousand processes and few descriptors"};

static const char *const names[] = {"file", "victim", "prog", "dir", "link"};
#define NAMES (sizeof(names) / sizeof(*names))

void race_spin(void)
{
	static _Thread_local uint32_t random = 0x2545f491;

	random = random * 1664525u + 1013904223u;
	for (volatile unsigned spin = random >> (random >> 12 & 1 ? 23 : 16); spin; spin--)
		;
}

static void exchange(const char *a, const char *b)
{
	syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

/* The target may have removed or replaced one of the two: a file and a link again. */
static void repair(const char *name, const char *other, const char *link_to, unsigned i)
{
	struct stat st, st2;
	bool there = !lstat(name, &st), there2 = !lstat(other, &st2);

	if (there && there2 && S_ISLNK(st.st_mode) != S_ISLNK(st2.st_mode))
		return;
	if (i == 4) /* "link" is one anyway */
		return;
	if (!there2 && !symlink(link_to, other))
		there2 = true;
	if (!there) {
		int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

		if (fd >= 0 && write(fd, RACE_HONEST, sizeof(RACE_HONEST) - 1) < 0)
			perror(name);
		close(fd);
	}
}

static void final(const struct race_shared *s, unsigned round)
{
	unsigned i = round % NAMES;
	char name[32], other[32], link_to[300];

	snprintf(name, sizeof(name), "A/hot/F/%s", names[i]);
	snprintf(other, sizeof(other), "A/hot/F/.%s", names[i]);
	snprintf(
		link_to, sizeof(link_to), "%s/%s/t/%s", s->base, s->kind == RACE_FINAL_READ_ONLY ? "R" : "S", names[i]);
	if (syscall(SYS_renameat2, AT_FDCWD, name, AT_FDCWD, other, RENAME_EXCHANGE))
		repair(name, other, link_to, i);
}

static void relink(const struct race_shared *s, unsigned round)
{
	char target[300];

	snprintf(target, sizeof(target), "%s/S/t", s->base);
	if (round % 2) {
		unlink("A/hot/D");
		rename("A/hot/X", "A/hot/D");
		/* It takes its time to make and unmake links, in which there is nothing to be opened honestly. */
		for (int i = 0; i < 16; i++)
			race_spin();
	} else {
		rename("A/hot/D", "A/hot/X");
		if (symlink(target, "A/hot/D") && errno != EEXIST)
			perror("A/hot/D");
	}
}

static void once(const struct race_shared *s, unsigned round)
{
	switch (s->kind) {
	case RACE_ABSOLUTE:
	case RACE_RELATIVE:
	case RACE_READ_ONLY:
		exchange("A/hot/D", "A/hot/L");
		break;
	case RACE_CHAIN:
		exchange(round % 3 ? "A/hot/D" : "A/hot/c2", round % 3 ? "A/hot/L" : "A/hot/c3");
		break;
	case RACE_RELINK:
		relink(s, round);
		break;
	case RACE_FINAL:
	case RACE_FINAL_READ_ONLY:
		final(s, round);
		break;
	case RACE_MOVED:
		exchange("A/m/b", "O/b");
		break;
	case RACE_ROOT:
		exchange("A", "A2");
		break;
	default:
		break;
	}
}

static void away(struct race_shared *s)
{
	static const char *const to[] = {"O/b", "R/b"};
	char late[32];

	if (rename("O/b", "O/b.old") || rename("A/m/b", "O/b") || rename("A/hot/D", "R/b"))
		perror("away");
	for (size_t i = 0; i < 2; i++) {
		snprintf(late, sizeof(late), "%s/late", to[i]);
		int fd = open(late, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0 || write(fd, RACE_SECRET, sizeof(RACE_SECRET) - 1) < 0)
			perror(late);
		close(fd);
	}
	s->away_sum = race_world_sum_of(s, "O/b") + race_world_sum_of(s, "R/b");
}

pid_t race_swapper(struct race_shared *s, enum race_kind kind)
{
	if (kind == RACE_STILL || kind == RACE_LINKED || kind == RACE_INSIDE || kind == RACE_MEMORY || kind > RACE_AWAY)
		return 0;
	pid_t pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Its directory is base: there it finds what it swaps, also while A is a link. */
	if (chdir(s->base))
		_exit(1);
	unsigned round = 0;
	while (!atomic_load(&s->begun))
		nanosleep(&(struct timespec){0, 100000}, NULL);
	if (kind == RACE_AWAY)
		away(s);
	atomic_store(&s->swapping, true);
	if (kind == RACE_AWAY)
		_exit(0);
	while (!atomic_load(&s->stop)) {
		once(s, round++);
		race_spin();
	}
	/* As it began, so that a missing tree is a finding and not an accident. */
	while (round % 2 && (kind != RACE_CHAIN && kind != RACE_FINAL && kind != RACE_FINAL_READ_ONLY))
		once(s, round++);
	atomic_fetch_add(&s->swaps, round);
	_exit(0);
}
