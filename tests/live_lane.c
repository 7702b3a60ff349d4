/* SPDX-License-Identifier: ISC */
/* Live tests of the broker's carrier with its real handlers and the real filter: a child confines itself, this process
 * is the broker. What is tested is what arrives, what blocks, what dies; paths are tested elsewhere. */
#include "broker/broker.h"
#include "policy/filter.h"
#include "policy/promises.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define REPORTS 512

/* Shared by broker, target and what it forks. */
static struct shared {
	int line; /* where an expectation failed */
	long got;
	atomic_int done, other;
	double us;
} * shared;

static char top[64], text[256];
static char reports[REPORTS][REPORT_TEXT];
static atomic_uint report_count;
static atomic_int ends, kills;
static struct family family;

/* In the target: ends it where an expectation fails. */
#define EXPECT(yes, value)                                                                                             \
	do {                                                                                                           \
		if (!(yes)) {                                                                                          \
			shared->line = __LINE__;                                                                       \
			shared->got = (long)(value);                                                                   \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

static int sys_open(const char *path, int flags)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, flags, 0644);
	return fd < 0 ? -errno : (int)fd;
}

static const char *in(const char *tail)
{
	static _Thread_local char buf[4][PATH_MAX];
	static _Thread_local unsigned n;
	char *out = buf[n++ % 4];
	snprintf(out, PATH_MAX, "%s/%s", top, tail);
	return out;
}

static void expect_open(const char *path, int flags, int want)
{
	int fd = sys_open(path, flags);
	EXPECT(want < 0 ? fd == want : fd >= 0, fd);
	if (fd >= 0)
		close(fd);
}

/* ---- what targets do ---- */

static void body_open(void)
{
	char c = 0;
	int fd = sys_open(in("open/file"), O_RDONLY | O_CLOEXEC);
	EXPECT(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, fd);
	EXPECT(read(fd, &c, 1) == 1 && c == 'x', c);
	close(fd);
	fd = sys_open(in("open/file"), O_RDONLY | O_NONBLOCK);
	EXPECT(fd >= 0 && fcntl(fd, F_GETFD) == 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK), fd);
	close(fd);
	close(0);
	fd = sys_open(in("open/file"), O_RDONLY);
	EXPECT(fd == 0, fd);
	expect_open(in("secret/file"), O_RDONLY, -ENOENT);
	expect_open(in("secret/file"), O_RDONLY, -ENOENT);
	expect_open(in("secret/other"), O_RDONLY, -ENOENT);
	expect_open(in("open/none"), O_RDONLY, -ENOENT);
	expect_open(in("secret/\n\x01\xff\"x"), O_RDONLY, -ENOENT);
}

static void body_memory(void)
{
	char *map = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(map != MAP_FAILED, errno);
	munmap(map + 8192, 4096);
	const char *path = in("open/file");
	size_t len = strlen(path) + 1;
	char *end = map + 8192 - len;
	memcpy(end, path, len);
	expect_open(end, O_RDONLY, 0); /* the NUL is the last byte before an unmapped page */
	expect_open(strcpy(map + 4096 - 7, path), O_RDONLY, 0); /* crosses into the second page */
	memset(map, 'a', 8192);
	expect_open(end, O_RDONLY, -EFAULT); /* runs into it */
	expect_open(map, O_RDONLY, -ENAMETOOLONG);
	map[4096] = 0;
	expect_open(map, O_RDONLY, -ENAMETOOLONG);
	map[4095] = 0;
	EXPECT(sys_open(map, O_RDONLY) == -ENAMETOOLONG || errno == ENOENT, errno); /* one component too long */
	expect_open(NULL, O_RDONLY, -EFAULT);
	expect_open((const char *)1, O_RDONLY, -EFAULT);
	expect_open((const char *)(~0UL - 4095), O_RDONLY, -EFAULT);
	mprotect(map, 4096, PROT_NONE);
	expect_open(map, O_RDONLY, -EFAULT);
	/* The upper half of an int argument does not count. */
	long fd = syscall(SYS_openat, 0x12345678ffffff9cL, path, 0x100000000L | O_RDONLY, 0);
	EXPECT(fd >= 0, errno);
	/* Results are not written where the target may not write. */
	EXPECT(chdir(in("open")) == 0, errno);
	EXPECT(syscall(SYS_getcwd, map, 4096) < 0 && errno == EFAULT, errno);
	EXPECT(syscall(SYS_getcwd, map + 4096, 4096) > 0, errno);
}

static void *fifo_reader(void *arg)
{
	(void)arg;
	int fd = sys_open(in("open/fifo"), O_RDONLY);
	shared->done = fd >= 0 ? 1 : -fd;
	return NULL;
}

static void body_fifo(void)
{
	pthread_t thread;
	EXPECT(pthread_create(&thread, NULL, fifo_reader, NULL) == 0, errno);
	for (int i = 0; i < 500; i++)
		expect_open(in("open/file"), O_RDONLY, 0);
	EXPECT(!shared->done, shared->done);
	int fd = sys_open(in("open/fifo"), O_WRONLY);
	EXPECT(fd >= 0, fd);
	pthread_join(thread, NULL);
	EXPECT(shared->done == 1, shared->done);
}

/* Still waiting when its family is stopped. */
static void body_stop(void)
{
	fifo_reader(NULL);
	EXPECT(shared->done == EINTR || shared->done == ENOSYS, shared->done);
	int fd = sys_open(in("open/file"), O_RDONLY);
	EXPECT(fd == -ENOSYS, fd);
}

static void body_fifo_kill(void)
{
	/* Twice as many as there are workers in all: those of the dead must come back. */
	for (int round = 0; round < 3; round++) {
		pid_t pids[45];
		for (int i = 0; i < 45; i++) {
			pids[i] = fork();
			EXPECT(pids[i] >= 0, errno);
			if (!pids[i]) {
				shared->other = -sys_open(in("open/fifo"), O_RDONLY); /* EAGAIN would show */
				_exit(0);
			}
		}
		struct timespec pause = {0, 150000000};
		nanosleep(&pause, NULL);
		EXPECT(shared->other == 0, shared->other);
		for (int i = 0; i < 45; i++) {
			EXPECT(kill(pids[i], SIGKILL) == 0, errno);
			EXPECT(waitpid(pids[i], NULL, 0) == pids[i], errno);
		}
		nanosleep(&pause, NULL);
		expect_open(in("open/file"), O_RDONLY, 0);
	}
}

static void body_emfile(void)
{
	int fd, count = 0;
	while ((fd = sys_open(in("open/file"), O_RDONLY)) >= 0)
		count++;
	EXPECT(fd == -EMFILE && count > 10, fd);
	close(5);
	EXPECT((fd = sys_open(in("open/file"), O_RDONLY)) == 5, fd);
}

static void *opener(void *arg)
{
	for (int i = 0; i < 1000; i++)
		expect_open(in(arg ? "open/file" : "secret/file"), O_RDONLY, arg ? 0 : -ENOENT);
	return NULL;
}

static void body_threads(void)
{
	pthread_t threads[8];
	for (long i = 0; i < 8; i++)
		EXPECT(pthread_create(&threads[i], NULL, opener, (void *)(i & 1)) == 0, errno);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
}

static void body_forks(void)
{
	/* All at once, each opening; and a few thousand in turn. */
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 40; i++) {
			pid_t pid = fork();
			EXPECT(pid >= 0, errno);
			if (!pid) {
				expect_open(in("open/file"), O_RDONLY, 0);
				expect_open(in("secret/file"), O_RDONLY, -ENOENT);
				_exit(0);
			}
		}
		int status;
		while (wait(&status) > 0)
			EXPECT(status == 0, status);
	}
}

static void body_limit(void)
{
	pid_t pids[64];
	int n = 0;
	while (n < 64 && (pids[n] = fork()) >= 0) {
		if (!pids[n]) {
			struct timespec long_time = {20, 0};
			nanosleep(&long_time, NULL);
			_exit(0);
		}
		n++;
	}
	EXPECT(errno == EAGAIN && n == 7, n); /* eight with this one */
	for (int i = 0; i < n; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	pid_t pid = fork();
	EXPECT(pid >= 0, errno);
	if (!pid)
		_exit(0);
	EXPECT(waitpid(pid, NULL, 0) == pid, errno);
}

static void body_orphan(void)
{
	EXPECT(chdir(in("open/sub")) == 0, errno);
	for (int i = 0; i < 20; i++) {
		shared->done = 0;
		pid_t pid = fork();
		EXPECT(pid >= 0, errno);
		if (!pid) {
			umask(027);
			if (fork() == 0) {
				/* Its parent is gone before its first request. */
				while (shared->other == 0)
					sched_yield();
				int fd = sys_open("here", O_RDONLY);
				shared->done = fd < 0 ? -fd : (int)umask(0) == 027 ? 1000 : 1001;
				_exit(0);
			}
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		shared->other = 1;
		while (!shared->done)
			sched_yield();
		EXPECT(shared->done == 1000, shared->done);
		shared->other = 0;
		EXPECT(umask(022) == 022, 0); /* the child's is its own */
	}
}

static void body_states(void)
{
	/* More states than the table holds at once. */
	for (int i = 0; i < 2000; i++) {
		mode_t was = umask((mode_t)i & 0777);
		EXPECT(i == 0 || was == ((mode_t)(i - 1) & 0777), was);
	}
}

static void handled(int signal)
{
	(void)signal;
	shared->done++;
}

static void body_signals(void)
{
	struct sigaction action = {.sa_handler = handled};
	sigaction(SIGUSR1, &action, NULL);
	EXPECT(kill(getpid(), SIGUSR1) == 0 && raise(SIGUSR1) == 0, errno);
	EXPECT(syscall(SYS_tkill, gettid(), SIGUSR1) == 0, errno);
	EXPECT(shared->done == 3, shared->done);
	EXPECT(kill(getppid(), 0) < 0 && errno == EPERM, errno);
	EXPECT(kill(0, 0) < 0 && errno == EPERM, errno);
	EXPECT(kill(-1, 0) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_tkill, getppid(), 0) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 && errno == EPERM, errno);
}

static void body_signals_proc(void)
{
	EXPECT(kill(getppid(), 0) < 0 && errno == EPERM, errno);
	EXPECT(kill(-1, 0) < 0 && errno == EPERM, errno);
	EXPECT(kill(0, 0) < 0 && errno == EPERM, errno); /* the test's own group */
	EXPECT(kill(999999999, 0) < 0 && errno == ESRCH, errno);
	pid_t pid = fork();
	EXPECT(pid >= 0, errno);
	if (!pid) {
		pause();
		_exit(0);
	}
	int status = 0;
	EXPECT(kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM, status);
}

static void body_refused(void)
{
	EXPECT(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_fchmodat, AT_FDCWD, in("open/file"), 0777) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_fork) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_execve, "/bin/true", NULL, NULL) < 0 && errno == EPERM, errno);
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED, 0);
	EXPECT(syscall(SYS_mount, "a", "b", "c", 0, NULL) < 0 && errno == EPERM, errno);
}

static void body_fatal(void)
{
	syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	EXPECT(0, errno);
}

static int narrow(const char *asked, unsigned parts)
{
	long r = syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_NARROW, asked, strlen(asked), parts);
	return r < 0 ? -errno : (int)r;
}

static void body_narrow(void)
{
	int r;
	EXPECT(syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_QUERY, 0, 0, 0) == 0, errno);
	EXPECT((r = narrow("pledge stdio rpath inet\n", NARROW_PROMISES)) == -EPERM, r);
	EXPECT((r = narrow("pledge stdio rpth\n", NARROW_PROMISES)) == -EINVAL, r);
	EXPECT(syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_NARROW, 1, 100, 0) < 0 && errno == EFAULT, errno);
	EXPECT(syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_NARROW, text, 1UL << 40, 0) < 0 && errno == E2BIG, errno);
	snprintf(text, sizeof(text), "unveil %s/secret r\n", top);
	EXPECT((r = narrow(text, NARROW_UNVEILS)) == -EPERM, r);
	expect_open(in("open/file"), O_RDONLY, 0);
	pid_t pid = fork();
	EXPECT(pid >= 0, errno);
	if (!pid) {
		snprintf(text, sizeof(text), "unveil %s/open/sub r\n", top);
		EXPECT((r = narrow(text, NARROW_UNVEILS)) == 0, r);
		expect_open(in("open/sub/here"), O_RDONLY, 0);
		expect_open(in("open/sub/here"), O_WRONLY, -EACCES);
		expect_open(in("open/file"), O_RDONLY, -ENOENT);
		snprintf(text, sizeof(text), "unveil %s/open r\n", top);
		EXPECT((r = narrow(text, NARROW_UNVEILS)) == -EPERM, r);
		EXPECT((r = narrow("pledge stdio\n", NARROW_PROMISES)) == 0, r);
		expect_open(in("open/sub/here"), O_RDONLY, -EPERM);
		_exit(0);
	}
	int status = 1;
	waitpid(pid, &status, 0);
	if (status)
		_exit(1);
	expect_open(in("open/file"), O_RDONLY, 0);
	expect_open(in("open/sub/here"), O_WRONLY, 0);
}

static int narrow_path(const char *tail, const char *perms)
{
	snprintf(text, sizeof(text), "unveil %s/%s %s\n", top, tail, perms);
	return narrow(text, NARROW_UNVEILS);
}

/* As unveil(2): where everything was visible, each unveil adds a path, until it is locked. */
static void body_add(void)
{
	int r;
	expect_open(in("secret/file"), O_RDONLY, 0);
	EXPECT((r = narrow_path("open/sub", "r")) == 0, r);
	expect_open(in("open/sub/here"), O_RDONLY, 0);
	expect_open(in("open/file"), O_RDONLY, -ENOENT);
	expect_open(in("secret/file"), O_RDONLY, -ENOENT);
	EXPECT((r = narrow_path("secret/file", "r")) == 0, r);
	expect_open(in("open/sub/here"), O_RDONLY, 0);
	expect_open(in("secret/file"), O_RDONLY, 0);
	expect_open(in("secret"), O_RDONLY, -ENOENT);
	EXPECT((r = narrow("", NARROW_LOCK)) == 0, r);
	EXPECT((r = narrow_path("open/file", "r")) == -EPERM, r);
	expect_open(in("open/file"), O_RDONLY, -ENOENT);
	EXPECT((r = narrow("", NARROW_LOCK)) == 0, r);
}

static void body_killed(void)
{
	/* Death at every moment of a request. */
	for (int i = 0; i < 200; i++) {
		pid_t pid = fork();
		EXPECT(pid >= 0, errno);
		if (!pid) {
			for (;;)
				close(sys_open(in("open/file"), O_RDONLY));
		}
		struct timespec pause = {0, 1000 * (long)(i * 7 % 300)};
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		EXPECT(waitpid(pid, NULL, 0) == pid, errno);
	}
	expect_open(in("open/file"), O_RDONLY, 0);
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void body_speed(void)
{
	char path[PATH_MAX];
	strcpy(path, in("open/file"));
	double best = 1e9;
	for (int round = 0; round < 10; round++) {
		double start = seconds();
		for (int i = 0; i < 1000; i++)
			close(sys_open(path, O_RDONLY));
		double us = (seconds() - start) * 1e3;
		best = us < best ? us : best;
	}
	shared->us = best;
}

/* ---- the broker's side ---- */

#define FEW 1 /* descriptors, for the target */
#define STOP 2 /* the family while the target lives */
#define LOG 4 /* to a pipe that nobody reads */

static void on_report(void *arg, const struct report *r)
{
	unsigned n = atomic_fetch_add(&report_count, 1);
	if (n < REPORTS)
		strcpy(reports[n], r->text);
	if (r->kill) {
		kills++;
		kill(*(pid_t *)arg, SIGKILL);
	}
}

static void on_end(void *arg)
{
	(void)arg;
	ends++;
}

static bool reported(const char *wanted)
{
	for (unsigned i = 0; i < report_count && i < REPORTS; i++) {
		if (strstr(reports[i], wanted))
			return true;
	}
	return false;
}

static void child(int to_broker, int from_broker, struct sock_fprog *program, bool few, void (*body)(void))
{
	char c;
	if (few) {
		struct rlimit files = {64, 64};
		setrlimit(RLIMIT_NOFILE, &files);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, program);
	if (listener < 0 || write(to_broker, &listener, sizeof(listener)) != sizeof(listener))
		_exit(2);
	if (read(from_broker, &c, 1) != 1)
		_exit(3);
	close(listener);
	close(to_broker);
	close(from_broker);
	body();
	_exit(0);
}

/* Every line is a whole one, whatever a target calls its files, and a full log delays nobody. */
static bool log_good(int fd)
{
	static char buf[1 << 17];
	ssize_t n = read(fd, buf, sizeof(buf) - 1);
	if (n <= 0)
		return false;
	buf[n] = 0;
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n")) {
		size_t len = strlen(line);
		if (strncmp(line, "{\"pid\":", 7) != 0 || line[len - 1] != '}')
			return false;
		for (size_t i = 0; i < len; i++) {
			if ((unsigned char)line[i] < 0x20)
				return false;
		}
	}
	return true;
}

static int open_descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static bool scene(const char *name, const char *promises, void (*body)(void), const char *extra, int how, int want)
{
	struct broker b = {.root = open("/", O_PATH | O_CLOEXEC),
		.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.in_place = true,
		.log = -1,
		.tag_base = 0x1234567};
	char policy_text[512], error[128] = "";
	struct sock_filter *code = NULL;
	size_t len = 0;
	int up[2], down[2], log[2], before = open_descriptors() - 2, listener = -1, status = -1;
	snprintf(policy_text, sizeof(policy_text), "pledge %s\nunveil %s/open rwc\n%s", promises, top, extra);
	policy_init(&b.policy);
	if (policy_parse(&b.policy, policy_text, NULL, error, sizeof(error)) || broker_anchors_open(&b, false))
		return check(false, name, "policy: %s", error);
	struct filter_spec spec = {.promises = b.policy.promises,
		.base = true,
		.count_tasks = b.policy.limits[LIMIT_PROCESSES] != LIMIT_NONE};
	if (filter_compile(&spec, &code, &len) || pipe2(up, O_CLOEXEC) || pipe2(down, O_CLOEXEC) ||
		pipe2(log, O_CLOEXEC))
		return check(false, name, "filter");
	struct sock_fprog program = {(unsigned short)len, code};
	if (how & LOG)
		b.log = log[1];
	memset(shared, 0, sizeof(*shared));
	report_count = 0;
	ends = kills = 0;
	pid_t pid = fork();
	if (!pid)
		child(up[1], down[0], &program, how & FEW, body);
	if (pid < 0)
		return check(false, name, "fork: %s", strerror(errno));
	close(up[1]);
	if (read(up[0], &listener, sizeof(listener)) != sizeof(listener))
		return check(false, name, "the target did not confine itself");
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	memset(&family, 0, sizeof(family));
	family.broker = &b;
	family.listener = (int)syscall(SYS_pidfd_getfd, pidfd, listener, 0);
	family.pidfd = pidfd;
	family.on_report = on_report;
	family.on_end = on_end;
	family.arg = &pid;
	int err = family_start(&family, pid, open(top, O_PATH | O_CLOEXEC), 022);
	if (err)
		return check(false, name, "family_start: %d", err);
	if (write(down[1], "", 1) != 1)
		return check(false, name, "write");
	double start = seconds();
	if (how & STOP) {
		usleep(200000);
		family_stop(&family);
		ends = 1;
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		struct timespec pause = {0, 2000000};
		nanosleep(&pause, NULL);
		if (seconds() - start > 60)
			kill(pid, SIGKILL);
	}
	for (int i = 0; i < 200 && !ends; i++)
		usleep(5000);
	uint64_t requests = family.requests, refused = family.refused;
	start = seconds();
	if (!(how & STOP))
		family_stop(&family);
	double stop = seconds() - start;
	broker_anchors_close(&b);
	policy_clear(&b.policy);
	free(code);
	close(b.root);
	close(b.proc);
	close(up[0]);
	close(down[0]);
	close(down[1]);
	bool good = !(how & LOG) || log_good(log[0]);
	close(log[0]);
	close(log[1]);
	int after = open_descriptors();
	return check(status == want && ends == 1 && stop < 0.5 && after == before && good, name,
		"status %#x, line %d, got %ld; ends %d; stop took %.3f s; descriptors %d, before %d; %llu requests, "
		"%llu "
		"refused",
		status, shared->line, shared->got, ends, stop, after, before, (unsigned long long)requests,
		(unsigned long long)refused);
}

static void make(const char *path, const char *content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, content, strlen(content)) < 0)
		abort();
	close(fd);
}

int main(void)
{
	strcpy(top, "/tmp/lane.XXXXXX");
	if (!mkdtemp(top))
		return 1;
	char real[PATH_MAX];
	if (!realpath(top, real) || strlen(real) >= sizeof(top))
		return 1;
	strcpy(top, real);
	struct rlimit files = {1024, 1024};
	setrlimit(RLIMIT_NOFILE, &files);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mkdir(in("open"), 0755) || mkdir(in("open/sub"), 0755) || mkdir(in("secret"), 0755) ||
		mkfifo(in("open/fifo"), 0644))
		return 1;
	make(in("open/file"), "x");
	make(in("open/sub/here"), "x");
	make(in("secret/file"), "x");
	umask(022);

	if (scene("opens", "stdio rpath", body_open, "", 0, 0)) {
		snprintf(text, sizeof(text), "openat(\"%s/secret/file\", O_RDONLY): ENOENT, unveil %s/secret/file r",
			top, top);
		check(reported(text), "refusal is told", "%s", reports[0]);
		check(reported("\\x0a\\x01\\xff\\x22x"), "names are escaped", "%s", reports[2]);
		check(report_count == 3, "one report for each place", "%u", report_count);
	}
	scene("memory", "stdio rpath", body_memory, "", 0, 0);
	scene("fifo delays nobody", "stdio rpath wpath", body_fifo, "", 0, 0);
	scene("stopped while waiting", "stdio rpath", body_stop, "", STOP, 0);
	scene("log", "stdio rpath", body_open, "", LOG, 0);
	scene("full log", "stdio rpath", body_threads, "", LOG, 0);
	scene("fifo opens of the dead are cancelled", "stdio rpath proc", body_fifo_kill, "", 0, 0);
	scene("full descriptor table", "stdio rpath", body_emfile, "", FEW, 0);
	scene("threads", "stdio rpath", body_threads, "", 0, 0);
	scene("forks", "stdio rpath proc", body_forks, "", 0, 0);
#ifdef __SANITIZE_THREAD__
	dprintf(1, "skip limit of processes: the sanitizer's runtime starts threads of its own, which count\n");
#else
	scene("limit of processes", "stdio rpath proc", body_limit, "limit processes 8\n", 0, 0);
#endif
	scene("state follows fork", "stdio rpath proc", body_orphan, "", 0, 0);
	scene("states are collected", "stdio rpath", body_states, "", 0, 0);
	scene("signals", "stdio rpath", body_signals, "", 0, 0);
	scene("signals with proc", "stdio rpath proc", body_signals_proc, "", 0, 0);
	if (scene("refusals", "stdio rpath", body_refused, "", 0, 0)) {
		check(reported("socket(AF_INET, SOCK_STREAM, 0): EPERM, promise inet"), "socket", "%s", reports[0]);
		check(reported("fork(): EPERM, promise proc"), "fork", "%s", reports[2]);
		check(reported("execve(\"/bin/true\"): EPERM, promise exec"), "execve", "%s", reports[3]);
		check(reported("PROT_READ|PROT_EXEC"), "mmap", "%s", reports[4]);
		check(reported("EPERM, no promise allows this"), "mount", "%s", reports[5]);
		check(report_count == 6, "each once", "%u", report_count);
	}
	scene("violation kills", "stdio", body_fatal, "on-violation kill\n", 0, SIGKILL);
	scene("narrowing", "stdio rpath wpath proc unveil", body_narrow, "", 0, 0);
	scene("unveil adds until locked", "stdio rpath unveil", body_add, "state everything\n", 0, 0);
	scene("death in the middle", "stdio rpath proc", body_killed, "", 0, 0);
	if (scene("speed", "stdio rpath", body_speed, "", 0, 0))
		printf("# open and close: %.1f us\n", shared->us);
	snprintf(text, sizeof(text), "rm -rf %s", top);
	return system(text) || tap_failed;
}
