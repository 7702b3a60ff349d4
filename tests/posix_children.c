/* SPDX-License-Identifier: ISC */
/* Children, threads and signals: what each of them has, and what they do to each other. */
#include "tests/posix.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>

volatile sig_atomic_t signals;

long wait_for(pid_t pid)
{
	int status;
	pid_t got;

	while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	return got < 0 ? -errno : WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void on_signal(int number)
{
	(void)number;
	signals++;
}

void handle(int number, int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

void every(unsigned microseconds)
{
	struct itimerval timer = {{0, microseconds}, {0, microseconds}};

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---- children ---- */

static void umasks(void)
{
	umask(027);
	pid_t child = fork();
	if (child == 0) {
		make_file("by child", "", 0);
		int fd = open("masked", O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
		mode_t old = umask(0);
		int two = open("unmasked", O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
		_exit(fd >= 0 && two >= 0 && old == 027 ? 0 : 1);
	}
	want(wait_for(child), 0, "children: one has its parent's umask");
	want(mode_of("masked"), 0640, "children: and uses it");
	want(mode_of("unmasked"), 0666, "children: or another");
	want((long)umask(022), 027, "children: the parent's is the same");
	want((long)umask(07777), 022, "children: umask takes permission bits");
	want((long)umask(022), 0777, "children: and no others");
}

static void orphans(void)
{
	int fds[2];
	char buf[8];

	make_dir("home", 0755);
	if (pipe(fds) != 0)
		die("pipe");
	pid_t child = fork();
	if (child == 0) {
		umask(077);
		if (chdir("home") != 0)
			_exit(1);
		if (fork() == 0) {
			close(fds[0]);
			pause_ms(30); /* its parent is gone */
			int fd = open("orphan", O_CREAT | O_WRONLY, 0666);
			(void)!write(fds[1], fd >= 0 ? "y" : "n", 1);
			_exit(0);
		}
		_exit(0);
	}
	close(fds[1]);
	want(wait_for(child), 0, "children: one that leaves an orphan");
	want(R(read(fds[0], buf, 1)), 1, "children: the orphan tells");
	close(fds[0]);
	want(mode_of("home/orphan"), 0600, "children: its directory and umask were its parent's");
}

static void vforks(void)
{
	struct stat st;
	volatile long made = -1;

	pid_t child = vfork();
	if (child == 0) {
		made = open("by vfork", O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
		_exit(made >= 0 && mkdir("dir by vfork", 0700) == 0 ? 0 : 1);
	}
	want(wait_for(child), 0, "children: one of vfork makes a file");
	want(mode_of("by vfork"), 0640, "children: its mode");
	want(kind_of("dir by vfork"), S_IFDIR, "children: and a directory");
	want(R(fstat((int)made, &st)), -EBADF, "children: its descriptors were its own");
	child = vfork();
	if (child == 0)
		_exit(chdir("dir by vfork") == 0 ? 0 : 1);
	want(wait_for(child), 0, "children: one of vfork changes directory");
	want(kind_of("by vfork"), S_IFREG, "children: the parent stays");
}

static void storm(void)
{
	enum { COUNT = 60 };
	pid_t pids[COUNT];
	long good = 0;
	char name[32];

	for (int i = 0; i < COUNT; i++) {
		pids[i] = fork();
		if (pids[i] != 0)
			continue;
		bool all = true;
		for (int k = 0; k < 5; k++) {
			snprintf(name, sizeof(name), "storm %d.%d", i, k);
			int fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
			all &= fd >= 0 && write(fd, name, strlen(name)) > 0 && close(fd) == 0 &&
			       content_is(name, name) == 1;
		}
		_exit(all ? 0 : 1);
	}
	for (int i = 0; i < COUNT; i++)
		good += wait_for(pids[i]) == 0;
	want(good, COUNT, "children: sixty at once");
	good = 0;
	for (int i = 0; i < COUNT * 5; i++) {
		snprintf(name, sizeof(name), "storm %d.%d", i / 5, i % 5);
		good += size_of(name) == (long)strlen(name);
	}
	want(good, COUNT * 5, "children: all their files");
}

static void under_signals(void)
{
	long good = 0, before = count_open();
	char name[32];
	sigset_t all, old;

	/* A call that waits to be received is interrupted by any signal, as no kernel would: but it can be repeated. */
	handle(SIGALRM, SA_RESTART);
	signals = 0;
	every(500);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "signal %d", i % 7);
		int fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
		struct stat st;
		good += fd >= 0 && stat(name, &st) == 0 && mkdir("signal dir", 0700) == 0 && rmdir("signal dir") == 0;
		if (fd >= 0)
			close(fd);
	}
	every(0);
	want(good, 300, "children: calls under a storm of signals");
	want(count_open(), before, "children: no descriptor is lost in it");
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	int fd = open("signal 0", O_RDONLY | O_CLOEXEC);
	yes(fd >= 0, "children: open with all signals blocked");
	close(fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGALRM, SIG_DFL);
}

void posix_children(void)
{
	fixture("children");
	umasks();
	orphans();
	vforks();
	storm();
	under_signals();
	int fd = open("masked", O_RDONLY | O_CLOEXEC);
	pid_t child = fork();
	if (child == 0)
		_exit(lseek(fd, 5, SEEK_SET) == 5 ? 0 : 1);
	want(wait_for(child), 0, "children: one seeks");
	want(R(lseek(fd, 0, SEEK_CUR)), 5, "children: a descriptor's offset is shared");
	close(fd);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 200 };
static atomic_long made, wrong;
static atomic_bool stop;

static void *creates(void *arg)
{
	char name[32], other[32];
	long id = (long)arg;

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "t%ld.%d", id, i);
		snprintf(other, sizeof(other), "r%ld.%d", id, i);
		int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0 || close(fd) != 0 || rename(name, other) != 0 || access(name, F_OK) == 0 ||
			errno != ENOENT || (i % 2 && unlink(other) != 0))
			wrong++;
	}
	return NULL;
}

static void *wins(void *arg)
{
	char name[32];

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "won %d", i);
		int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (fd >= 0) {
			made++;
			close(fd);
		} else if (errno != EEXIST) {
			wrong++;
		}
		snprintf(name, sizeof(name), "dir %d", i);
		if (mkdir(name, 0700) == 0)
			made++;
		else if (errno != EEXIST)
			wrong++;
	}
	return NULL;
}

static void *replaces(void *arg)
{
	(void)arg;
	while (!stop) {
		make_file("fresh", "whole", 0600);
		if (rename("fresh", "always") != 0)
			wrong++;
	}
	return NULL;
}

static void *exchanges(void *arg)
{
	(void)arg;
	while (!stop)
		if (RAW(renameat2, AT_FDCWD, "left", AT_FDCWD, "right", 2) != 0)
			wrong++;
	return NULL;
}

static void together(void *(*run)(void *))
{
	pthread_t threads[THREADS];

	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)i) != 0)
			die("thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

void posix_threads(void)
{
	pthread_t thread;
	long good = 0;
	struct stat st;

	fixture("threads");
	together(creates);
	want(wrong, 0, "threads: create, rename and unlink in one directory");
	long before = count_open();
	wrong = 0;
	together(wins);
	want(made, 2L * ROUNDS, "threads: of four that create, one wins");
	want(wrong, 0, "threads: the others hear that it exists");
	want(count_open(), before, "threads: no descriptor is lost");
	make_file("always", "whole", 0600);
	stop = false;
	if (pthread_create(&thread, NULL, replaces, NULL) != 0)
		die("thread");
	for (int i = 0; i < 500; i++)
		good += content_is("always", "whole") == 1 && stat("always", &st) == 0;
	stop = true;
	pthread_join(thread, NULL);
	want(good, 500, "threads: a file that is replaced all the time is always there");
	want(wrong, 0, "threads: and is always replaced");
	make_dir("left", 0700);
	make_dir("right", 0700);
	make_file("left/file", "left", 0600);
	make_file("right/file", "right", 0600);
	stop = false;
	if (pthread_create(&thread, NULL, exchanges, NULL) != 0)
		die("thread");
	good = 0;
	for (int i = 0; i < 500; i++)
		good += content_is("left/file", "left") >= 0 && stat("right/file", &st) == 0;
	stop = true;
	pthread_join(thread, NULL);
	want(good, 500, "threads: directories that change places are always there");
	want(wrong, 0, "threads: and always change places");
}
