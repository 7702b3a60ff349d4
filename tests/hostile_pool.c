/* SPDX-License-Identifier: ISC */
/*
 * What forks of one zygote try on each other, on it, on its init and on forks that are yet to come. They share a user, a
 * pid namespace and a broker; each attempt says how many of its tries must get through, which is none, and a job beside it
 * says what it felt.
 */
#include "tests/pool.h"

#include "tests/processes.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DOOR 44040 /* AIRLOCK_SYSCALL */
#define PIDS 400 /* numbers that are tried: the namespace is young */
#define FD_GO 20 /* a pipe that "victim" reads */
#define FD_FILE 21

/* ---- in targets ---- */

#define UNUSED (void)in, (void)len, (void)out, (void)cap

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

/* Until there is a byte to read; then what befell it meanwhile. */
static ssize_t victim(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len;
	char byte;
	for (int sig = 1; sig < 32; sig++)
		signal(sig, on_signal);
	while (read(FD_GO, &byte, 1) < 0)
		;
	struct rlimit files = {0, 0};
	getrlimit(RLIMIT_NOFILE, &files);
	return snprintf(out, cap, "%d signals, limit %s", (int)signals, files.rlim_cur > 3 ? "kept" : "gone");
}
AIRLOCK_FUNCTION(victim)

static int own(int fd, int operation, pid_t pid)
{
	struct {
		int type, pid;
	} who = {1, pid};
	return operation == F_SETOWN ? fcntl(fd, F_SETOWN, pid) : fcntl(fd, 15 /* F_SETOWN_EX */, &who);
}

/* Each way to reach a process by its number; how many got through. */
static int reach(pid_t pid, int fd)
{
	const struct rlimit low = {3, 3};
	unsigned long one = 1;
	int through = 0;
	through += kill(pid, SIGUSR1) == 0;
	through += kill(pid, SIGKILL) == 0;
	through += kill(pid, 0) == 0;
	through += kill(pid, SIGSTOP) == 0;
	through += kill(-pid, SIGUSR1) == 0;
	through += syscall(SYS_tgkill, pid, pid, SIGUSR1) == 0;
	through += syscall(SYS_tkill, pid, SIGUSR1) == 0;
	through += syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &(siginfo_t){.si_code = SI_QUEUE}) == 0;
	through += syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGUSR1, &(siginfo_t){.si_code = SI_QUEUE}) == 0;
	through += syscall(SYS_pidfd_open, pid, 0) >= 0;
	through += setpriority(PRIO_PROCESS, (id_t)pid, 19) == 0;
	through += syscall(SYS_sched_setaffinity, pid, sizeof(one), &one) == 0;
	through += syscall(SYS_sched_setscheduler, pid, SCHED_BATCH, &(struct sched_param){0}) == 0;
	through += syscall(SYS_ioprio_set, 1, pid, 3 << 13) == 0;
	through += syscall(SYS_prlimit64, pid, RLIMIT_NOFILE, &low, NULL) == 0;
	through += syscall(SYS_setpgid, pid, 0) == 0;
	through += own(fd, F_SETOWN, pid) == 0;
	through += own(fd, F_SETOWN, -pid) == 0;
	through += own(fd, 15, pid) == 0;
	return through;
}

static ssize_t reach_all(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len;
	int pair[2], through = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return -errno;
	for (pid_t pid = 1; pid < PIDS; pid++)
		if (pid != getpid())
			through += reach(pid, pair[0]);
	return snprintf(out, cap, "%d", through);
}
AIRLOCK_FUNCTION(reach_all)

/* One way a job, as the first ends it. in: which. */
static ssize_t reach_memory(const void *in, size_t len, void *out, size_t cap)
{
	char there[8];
	struct iovec here = {there, 8}, far = {(void *)(uintptr_t)&signals, 8};
	unsigned long one = 1;
	int through = 0;
	const char way = len ? *(const char *)in : 0;
	for (pid_t pid = 1; pid < PIDS; pid++) {
		if (pid == getpid())
			continue;
		if (way == 'r')
			through += syscall(SYS_process_vm_readv, pid, &here, 1, &far, 1, 0) > 0;
		if (way == 'w')
			through += syscall(SYS_process_vm_writev, pid, &here, 1, &far, 1, 0) > 0;
		if (way == 'a')
			through += syscall(SYS_ptrace, 16 /* ATTACH */, pid, 0, 0) == 0;
		if (way == 's')
			through += syscall(SYS_ptrace, 0x4206 /* SEIZE */, pid, 0, 0) == 0;
		if (way == 'c')
			through += syscall(SYS_kcmp, getpid(), pid, 0, 0, 0) == 0;
		if (way == 'm')
			through += syscall(SYS_migrate_pages, pid, 8, &one, &one) >= 0;
	}
	return snprintf(out, cap, "%d", through);
}
AIRLOCK_FUNCTION(reach_memory)

/* Those that name a group or everybody. */
static ssize_t reach_group(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len;
	int through = 0;
	/* All that would end it, too, it is deaf to. */
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_IGN);
	for (int sig = 0; sig < 32; sig++) {
		through += kill(0, sig) == 0;
		through += kill(-1, sig) == 0;
	}
	through += kill(INT_MIN, SIGUSR1) == 0;
	through += setpriority(PRIO_PGRP, 0, 19) == 0;
	through += setpriority(PRIO_USER, 0, 19) == 0;
	through += syscall(SYS_ioprio_set, 2, 0, 3 << 13) == 0;
	through += syscall(SYS_ioprio_set, 3, 0, 3 << 13) == 0;
	return snprintf(out, cap, "%d", through);
}
AIRLOCK_FUNCTION(reach_group)

/* The zygote's own words to the broker, and its clone(). */
static ssize_t pose(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len;
	int through = 0;
	pid_t id = 0;
	for (int i = 0; i < 50; i++) {
		through += syscall(DOOR, 8, getpid()) >= 0;
		through += syscall(DOOR, 8, 1) >= 0;
		through += syscall(DOOR, 9, ENOMEM) >= 0;
		for (unsigned long made = 0; made < 3; made++) {
			long pid = syscall(SYS_clone, CLONE_PARENT | CLONE_CHILD_SETTID | SIGCHLD, 0, made, &id, &id);
			if (pid == 0)
				_exit(0);
			through += pid > 0;
		}
		long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		if (pid == 0)
			_exit(0);
		through += pid > 0;
		pid = syscall(SYS_fork);
		if (pid == 0)
			_exit(0);
		through += pid > 0;
	}
	return snprintf(out, cap, "%d", through);
}
AIRLOCK_FUNCTION(pose)

/* Everything of its own that a later fork might have got from it. in: the directory. */
static ssize_t spoil(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	char dir[256] = "";
	memcpy(dir, in, len < 255 ? len : 255);
	const struct rlimit none = {3, 3};
	umask(0777);
	if (chdir(dir) < 0)
		return -errno;
	airlock_unveil(dir, "r");
	airlock_unveil(NULL, NULL);
	airlock_pledge("stdio", NULL);
	setrlimit(RLIMIT_NOFILE, &none);
	signal(SIGSEGV, SIG_IGN);
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	nice(19);
	for (int fd = 0; fd < 64; fd++)
		close(fd);
	return 0;
}
AIRLOCK_FUNCTION(spoil)

/* What a fork finds. */
static ssize_t unspoiled(const void *in, size_t len, void *out, size_t cap)
{
	char path[300] = "", cwd[256] = "?";
	memcpy(path, in, len < 255 ? len : 255);
	strcat(path, "/made");
	const mode_t mask = umask(022);
	if (!getcwd(cwd, sizeof(cwd)))
		snprintf(cwd, sizeof(cwd), "none");
	int fd = open(path, O_CREAT | O_WRONLY, 0644);
	sigset_t now;
	sigprocmask(SIG_SETMASK, NULL, &now);
	struct rlimit files = {0, 0};
	getrlimit(RLIMIT_NOFILE, &files);
	const ssize_t n = snprintf(out, cap, "%o %s %s %d %s", (unsigned)mask, cwd, fd < 0 ? strerror(errno) : "opened",
		sigismember(&now, SIGUSR1), files.rlim_cur > 3 ? "kept" : "gone");
	if (fd >= 0) {
		unlink(path);
		close(fd);
	}
	return n;
}
AIRLOCK_FUNCTION(unspoiled)

static char fifo[300];

static void *open_fifo(void *arg)
{
	(void)arg;
	open(fifo, O_RDONLY);
	return NULL;
}

/* As many slow workers as it gets, and more; for as long as it lives. */
static ssize_t occupy(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	char byte;
	memcpy(fifo, in, len < 255 ? len : 255);
	strcat(fifo, "/closed");
	for (int i = 0; i < 100; i++) {
		pthread_t thread;
		pthread_attr_t attr;
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 65536);
		pthread_create(&thread, &attr, open_fifo, NULL);
	}
	while (read(FD_GO, &byte, 1) < 0)
		;
	return 0;
}
AIRLOCK_FUNCTION(occupy)

static ssize_t through_fifo(const void *in, size_t len, void *out, size_t cap)
{
	char path[300] = "";
	memcpy(path, in, len < 255 ? len : 255);
	strcat(path, "/open");
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -errno : read(fd, out, cap);
	return n;
}
AIRLOCK_FUNCTION(through_fifo)

/* More different refusals than there is room for, and requests without end. */
static ssize_t flood(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	char path[64];
	for (int i = 0; i < 3000; i++) {
		snprintf(path, sizeof(path), "/nothing/%d", i);
		open(path, O_RDONLY);
		syscall(1000 + i, 0, 0, 0, 0);
	}
	return 0;
}
AIRLOCK_FUNCTION(flood)

static ssize_t refused_once(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? -errno : 0;
}
AIRLOCK_FUNCTION(refused_once)

/* A descriptor that the policy passes is the same for all forks, with its offset. */
static ssize_t next_byte(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)cap;
	return read(FD_FILE, out, 1);
}
AIRLOCK_FUNCTION(next_byte)

/* Its shared page, from the first word on, while the host reads it: every word that a state could be. */
static ssize_t scribble(const void *in, size_t len, void *out, size_t cap)
{
	(void)len, (void)cap;
	unsigned char *page = (unsigned char *)((uintptr_t)in & ~(uintptr_t)4095) - 4096;
	unsigned seed = (unsigned)getpid() * 2654435761u;
	for (int i = 0; i < 20000; i++) {
		seed = seed * 1103515245 + 12345;
		*(volatile unsigned *)(page + (seed >> 16) % 1024 * 4) = seed >> 8 & 1 ? seed : seed >> 9 & 7;
		if (i % 64 == 0)
			syscall(SYS_futex, page, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	}
	memset(out, 0, 1);
	return 1;
}
AIRLOCK_FUNCTION(scribble)

/* ---- in the host ---- */

struct beside {
	struct airlock_pool *pool;
	const char *function, *in;
	struct answer answer;
	pthread_t thread;
};

static void *beside_main(void *arg)
{
	struct beside *b = arg;
	b->answer = ask(b->pool, b->function, b->in);
	return NULL;
}

static void start_beside(struct beside *b, struct airlock_pool *pool, const char *function, const char *in)
{
	*b = (struct beside){.pool = pool, .function = function, .in = in};
	pthread_create(&b->thread, NULL, beside_main, b);
	struct airlock_pool_stats s = AIRLOCK_POOL_STATS_INIT;
	do
		airlock_pool_stats(pool, &s);
	while (!s.busy);
	nanosleep(&(struct timespec){0, 100000000}, NULL); /* only how much of it is attacked depends on this */
}

static void attacked(struct airlock_pool *pool, int go, const char *attack)
{
	struct beside b;
	char name[128];
	start_beside(&b, pool, "victim", NULL);
	snprintf(name, sizeof(name), "%s: nothing gets through", attack);
	expect(pool, attack, NULL, "0", name);
	if (write(go, "x", 1) != 1)
		check(false, "go", "no pipe");
	pthread_join(b.thread, NULL);
	snprintf(name, sizeof(name), "%s: a sibling felt nothing", attack);
	check(!strcmp(b.answer.text, "0 signals, limit kept"), name, "%zd %s", b.answer.result, b.answer.text);
}

void hostile_forks(const char *dir)
{
	char text[1024], path[300], other[300];
	int go[2];
	snprintf(path, sizeof(path), "%s/file", dir);
	int file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
	snprintf(path, sizeof(path), "%s/closed", dir);
	snprintf(other, sizeof(other), "%s/open", dir);
	if (pipe2(go, O_CLOEXEC) < 0 || file < 0 || write(file, "abc", 3) != 3 || lseek(file, 0, SEEK_SET) ||
		mkfifo(path, 0666) < 0 || mkfifo(other, 0666) < 0) {
		check(false, "a world for forks", "%s", strerror(errno));
		return;
	}
	chmod(path, 0666);
	chmod(other, 0666);
	snprintf(text, sizeof(text), "pledge stdio rpath wpath cpath\nunveil %s rwc", dir);
	struct airlock_policy *p = NULL;
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	struct airlock_pool *pool = NULL;
	struct beside b;
	if (airlock_policy_parse(&p, text) < 0 || airlock_policy_pass(p, go[0], FD_GO) < 0 ||
		airlock_policy_pass(p, file, FD_FILE) < 0 || airlock_pool_new(&pool, p, &o) < 0) {
		check(false, "a pool for forks", "%s", airlock_message());
		return;
	}
	tap_prefix = "hostile: ";
	const pid_t zygote = pool_process(": airlock zygote");
	attacked(pool, go[1], "reach_all");
	attacked(pool, go[1], "reach_group");
	attacked(pool, go[1], "pose");
	start_beside(&b, pool, "victim", NULL);
	for (const char *way = "rwascm"; *way; way++) {
		char which[2] = {*way}, name[64];
		struct answer a = ask(pool, "reach_memory", which);
		snprintf(name, sizeof(name), "memory of others, way %c", *way);
		check(!strcmp(a.text, "0") || (a.result == -EPIPE && a.status.end == AIRLOCK_VIOLATED), name,
			"%zd \"%s\" end %d", a.result, a.text, a.status.end);
	}
	(void)!write(go[1], "x", 1);
	pthread_join(b.thread, NULL);
	check(!strcmp(b.answer.text, "0 signals, limit kept"), "a sibling felt nothing of that", "%s", b.answer.text);

	struct answer first = ask(pool, "unspoiled", dir);
	struct answer a = ask(pool, "spoil", dir);
	check(a.result == 0, "a fork changes all that is its own", "%zd %s", a.result, airlock_message());
	a = ask(pool, "unspoiled", dir);
	check(!strcmp(a.text, first.text) && strstr(a.text, "opened"), "and nothing that is another's",
		"\"%s\" after \"%s\"", a.text, first.text);

	start_beside(&b, pool, "occupy", dir);
	int writer = open(other, O_RDWR | O_CLOEXEC);
	(void)!write(writer, "y", 1);
	expect(pool, "through_fifo", dir, "y", "slow workers are left for others");
	close(writer);
	(void)!write(go[1], "x", 1);
	pthread_join(b.thread, NULL);

	start_beside(&b, pool, "flood", NULL);
	a = ask(pool, "refused_once", NULL);
	check(strstr(a.status.violation, "promise inet") != NULL, "a flood of refusals hides no sibling's",
		"%zd \"%s\"", a.result, a.status.violation);
	pthread_join(b.thread, NULL);
	check(b.answer.result == 0, "the flood ends", "%zd", b.answer.result);
	a = ask(pool, "refused_once", NULL);
	check(strstr(a.status.violation, "promise inet") != NULL, "nor a later one's", "%zd \"%s\"", a.result,
		a.status.violation);

	unsigned returned = 0;
	for (int i = 0; i < 10; i++) {
		ask(pool, "scribble", "x");
		returned++;
	}
	check(returned == 10, "whatever a fork writes into its shared page, the call returns", "%u", returned);

	expect(pool, "next_byte", NULL, "a", "a passed descriptor");
	expect(pool, "next_byte", NULL, "b", "has one offset for all forks, as airlock(3) says");
	check(pool_process(": airlock zygote") == zygote, "the zygote is the one that it was", "another");
	airlock_pool_free(pool);
	airlock_policy_free(p);
	tap_prefix = "";
	close(go[0]);
	close(go[1]);
	close(file);
	unlink(path);
	unlink(other);
	snprintf(path, sizeof(path), "%s/file", dir);
	unlink(path);
}
