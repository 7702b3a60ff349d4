/* SPDX-License-Identifier: ISC */
/* Live tests of the broker's carrier with its real handlers and the real filter: a child confines itself, this process
 * is the broker. What is tested is what arrives, what blocks, what dies; paths are tested elsewhere. */
#include "broker/broker.h"
#include "policy/filter.h"
#include "policy/promises.h"
#include "tests/lane.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define REPORTS 512

struct shared *shared;
char top[64], text[256];
static char reports[REPORTS][REPORT_TEXT];
static atomic_uint report_count;
static atomic_int ends, kills;
static struct family family;

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
	for (int i = 0; i < 4000 && !ends; i++)
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
	return check(status == want && ends == 1 && stop < 5 && after == before && good, name,
		"status %#x, %s line %d, got %ld; ends %d; stop took %.3f s; descriptors %d, before %d; %llu requests, "
		"%llu refused",
		status, shared->file ? shared->file : "", shared->line, shared->got, ends, stop, after, before,
		(unsigned long long)requests, (unsigned long long)refused);
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
