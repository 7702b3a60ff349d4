/* SPDX-License-Identifier: ISC */
/*
 * Directory, umask and policy against forks and threads, in a target: each process is answered by its own, whatever its
 * parent, siblings and threads do meanwhile, and also when its parent is gone. base/A/s holds x/name ("x"), y/name ("y")
 * and p/0 to p/999, with a file "me" each.
 */
#include "tests/race.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SYSCALL_AIRLOCK 44040
#define OP_UNVEIL 4

static char x_name[300], y_name[300], x_dir[300], y_dir[300];

static void names(void)
{
	snprintf(x_dir, sizeof(x_dir), "%s/A/s/x", race->base);
	snprintf(y_dir, sizeof(y_dir), "%s/A/s/y", race->base);
	snprintf(x_name, sizeof(x_name), "%s/A/s/x/name", race->base);
	snprintf(y_name, sizeof(y_name), "%s/A/s/y/name", race->base);
}

/* The byte in the file, or a negative errno. */
static int byte_of(const char *path)
{
	char byte = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int n = (int)read(fd, &byte, 1);
	close(fd);
	return n == 1 ? byte : -EIO;
}

static bool judged(bool well, const char *what, int value)
{
	atomic_fetch_add(&race->state.checks, 1);
	if (well)
		return true;
	atomic_fetch_add(&race->state.wrong, 1);
	race_escape("%s: %d (%s)", what, value, value < 0 ? strerror(-value) : "no error");
	return false;
}

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){0, 200000}, NULL);
}

/* Runs check in a grandchild whose parent ends at once. */
static void orphan(void (*check)(int), int argument)
{
	atomic_fetch_add(&race->state.pending, 1);
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		if (!pid) {
			check(argument);
			atomic_fetch_sub(&race->state.pending, 1);
		} else if (pid < 0) {
			judged(false, "a child's fork", -errno);
			atomic_fetch_sub(&race->state.pending, 1);
		}
		_exit(0);
	}
	if (pid < 0) {
		judged(false, "fork", -errno);
		atomic_fetch_sub(&race->state.pending, 1);
		return;
	}
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

static void orphans_end(void)
{
	for (int i = 0; i < 50000 && atomic_load(&race->state.pending); i++)
		pause_briefly();
	judged(!atomic_load(&race->state.pending), "children that never answered", atomic_load(&race->state.pending));
}

/* ---- threads: one changes directory and umask, others use them ---- */

static atomic_bool done;

/* Whatever it was at the fork, it stays. */
static void same_for_child(int unused)
{
	(void)unused;
	int first = byte_of("name");
	judged(first == 'x' || first == 'y', "a child's directory", first);
	for (int i = 0; i < 3; i++) {
		int now = byte_of("name");
		judged(now == first, "a child's directory changed", now);
	}
	mode_t mask = umask(0111);
	judged(mask == 022 || mask == 077, "a child's umask", (int)mask);
	judged(umask(0) == 0111, "its own umask", 0);
}

static void *user_of_both(void *arg)
{
	char path[300];
	struct stat st;

	for (unsigned i = 0; !atomic_load(&done); i++) {
		int byte = byte_of("name");
		judged(byte == 'x' || byte == 'y', "a thread's directory", byte);
		snprintf(path, sizeof(path), "%s/A/s/new%p", race->base, arg);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		judged(fd >= 0 && !fstat(fd, &st) && ((st.st_mode & 0777) == 0644 || (st.st_mode & 0777) == 0600),
			"the mode of what a thread made", fd < 0 ? -errno : (int)(st.st_mode & 0777));
		close(fd);
		unlink(path);
		if (i % 8 == 0)
			orphan(same_for_child, 0);
	}
	return NULL;
}

/* A stranger in the family makes more states than are kept, so that they are collected all the time. */
static pid_t churner(void)
{
	pid_t pid = fork();

	for (unsigned i = 0; !pid && atomic_load(&race->state.churn); i++) {
		umask(i & 0777);
		judged(!chdir(i >> 9 & 1 ? x_dir : y_dir), "chdir of a stranger", -errno);
	}
	if (!pid)
		_exit(0);
	return pid;
}

static void threads(void)
{
	pthread_t thread[2];
	char tags[2];

	atomic_store(&race->state.churn, true);
	pid_t stranger = churner();

	umask(022);
	if (!judged(!chdir(x_dir), "chdir", -errno))
		return;
	atomic_store(&done, false);
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, user_of_both, &tags[i]);
	for (unsigned i = 0; i < race->tries; i++) {
		judged(!chdir(i % 2 ? x_dir : y_dir), "chdir", -errno);
		mode_t old = umask(i % 2 ? 022 : 077);
		judged(old == (i % 2 ? 077 : 022), "umask tells the old one", (int)old);
		int byte = byte_of("name");
		judged(byte == (i % 2 ? 'x' : 'y'), "where chdir led", byte);
	}
	atomic_store(&done, true);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	orphans_end();
	atomic_store(&race->state.churn, false);
	judged(stranger > 0 && waitpid(stranger, NULL, 0) == stranger, "the stranger's end", 0);
}

/* ---- narrowing ---- */

static atomic_bool narrowed;

static void narrow_for_child(int was_narrow)
{
	int first = byte_of(y_name);
	judged(first == 'y' || first == -ENOENT, "a child and what may be hidden", first);
	judged(!was_narrow || first == -ENOENT, "a child is wider than its parent", first);
	for (int i = 0; i < 3; i++) {
		int now = byte_of(y_name);
		judged(now == first, "a child's policy changed", now);
	}
	int other = byte_of(x_name);
	judged(other == 'x', "a child and what is left", other);
}

static void *forker(void *unused)
{
	(void)unused;
	bool after = false;
	for (int i = 0; i < 12 || !after; i++) {
		after = atomic_load(&narrowed);
		orphan(narrow_for_child, after);
	}
	return NULL;
}

static void *opener(void *unused)
{
	bool hidden = false;
	(void)unused;
	while (!atomic_load(&done)) {
		bool after = atomic_load(&narrowed);
		int byte = byte_of(y_name);
		judged(byte == -ENOENT || (byte == 'y' && !after && !hidden), "what a thread gave up came back", byte);
		hidden |= byte == -ENOENT;
	}
	return NULL;
}

static void narrow_one(unsigned i)
{
	pthread_t a, b;

	atomic_store(&done, false);
	pthread_create(&a, NULL, forker, NULL);
	pthread_create(&b, NULL, opener, NULL);
	nanosleep(&(struct timespec){0, (long)(i % 8) * 300000}, NULL);
	long r = syscall(SYSCALL_AIRLOCK, OP_UNVEIL, x_dir, "r", 0);
	judged(!r, "narrowing", -errno);
	atomic_store(&narrowed, true);
	pthread_join(a, NULL);
	atomic_store(&done, true);
	pthread_join(b, NULL);
	orphans_end();
	_exit(0);
}

static void narrowing(void)
{
	for (unsigned i = 0; i < 1 + race->tries / 50; i++) {
		pid_t pid = fork();
		if (!pid)
			narrow_one(i);
		if (!judged(pid > 0, "fork", -errno))
			return;
		int status = 0;
		waitpid(pid, &status, 0);
		judged(!status, "how a process that narrowed itself ended", status);
		int byte = byte_of(y_name);
		judged(byte == 'y', "its parent", byte);
	}
}

/* ---- more states than the broker keeps ---- */

static void mask_of_child(int mask)
{
	mode_t now = umask(0);
	judged(now == (mode_t)mask, "a child's umask, when its parent changed its own at once", (int)now);
	int byte = byte_of("name");
	judged(byte == 'x', "a child's directory, when its parent went elsewhere at once", byte);
}

static void churn(void)
{
	pid_t pids[64];
	unsigned count = 0;

	for (unsigned i = 0; i < race->tries; i++) {
		mode_t mask = i & 0777;
		umask(mask);
		if (!judged(!chdir(x_dir), "chdir", -errno))
			break;
		pid_t pid = fork();
		if (!pid) {
			mask_of_child((int)mask);
			_exit(0);
		}
		judged(pid > 0, "fork", -errno);
		umask(~i & 0777);
		judged(!chdir(y_dir), "chdir", -errno);
		pids[count++] = pid;
		for (; count == 64 || (i + 1 == race->tries && count); count--)
			waitpid(pids[count - 1], NULL, 0);
	}
	umask(022);
}

/* ---- a thousand processes ---- */

static void one_of_many(int i)
{
	char text[400], expected[64];
	struct stat st;
	mode_t mask = (mode_t)i & 0777;

	int fd = open("me", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int e = fd < 0 ? -errno : -EIO;
	text[n > 0 ? n : 0] = 0;
	judged(n > 0 && atoi(text) == i, "one of many reads what is its own", n > 0 ? atoi(text) : e);
	close(fd);
	fd = open("made", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	judged(fd >= 0 && !fstat(fd, &st) && (st.st_mode & 0777) == (0666 & ~mask), "the mode of what one of many made",
		fd < 0 ? -errno : (int)(st.st_mode & 0777));
	close(fd);
	judged(!unlink("made"), "one of many removes it", -errno);
	snprintf(expected, sizeof(expected), "/p/%d", i);
	char *where = getcwd(text, sizeof(text));
	judged(where && strlen(where) > strlen(expected) && !strcmp(where + strlen(where) - strlen(expected), expected),
		"where one of many stands", where ? 0 : -errno);
}

static void many_child(int i, int gate)
{
	char path[300], byte;

	umask((mode_t)i & 0777);
	snprintf(path, sizeof(path), "%s/A/s/p/%d", race->base, i);
	int e = chdir(path) ? -errno : 0;
	if (judged(!e, "one of many goes to its directory", e))
		one_of_many(i);
	atomic_fetch_add(&race->state.ready, 1);
	if (read(gate, &byte, 1) == 0 && !e) {
		one_of_many(i);
		mode_t mask = umask(0);
		judged(mask == ((mode_t)i & 0777), "the umask of one of many", (int)mask);
	}
	_exit(0);
}

static void many(void)
{
	pid_t *pids = calloc(RACE_MANY_PROCESSES, sizeof(*pids));
	int gate[2], status, n = 0;

	if (!pids || pipe2(gate, O_CLOEXEC) || !judged(!chdir(x_dir), "chdir", -errno))
		return;
	umask(027);
	for (int i = 0; i < RACE_MANY_PROCESSES; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			close(gate[1]);
			many_child(i, gate[0]);
		}
		if (!judged(pids[i] > 0, "fork of one of many", -errno))
			break;
		n++;
	}
	for (int i = 0; i < 300000 && (int)atomic_load(&race->state.ready) < n; i++)
		pause_briefly();
	judged((int)atomic_load(&race->state.ready) == RACE_MANY_PROCESSES, "how many are there at once",
		(int)atomic_load(&race->state.ready));
	close(gate[1]);
	for (int i = 0; i < n; i++)
		judged(waitpid(pids[i], &status, 0) == pids[i] && !status, "how one of many ended", status);
	judged(umask(0) == 027 && byte_of("name") == 'x', "their parent's umask and directory", 0);
	free(pids);
}

int race_states(void)
{
	names();
	switch (race->kind) {
	case RACE_THREADS:
		threads();
		break;
	case RACE_NARROWING:
		narrowing();
		break;
	case RACE_CHURN:
		churn();
		break;
	default:
		many();
		break;
	}
	return 0;
}
