/* SPDX-License-Identifier: ISC */
/* What promises mean on Linux where OpenBSD's meaning is not one of a kernel's: temporary files, what ps(1) and vmstat(8)
 * read, processes that are named by numbers, devices. Each in a process of its own, in place, with these promises alone,
 * and each without the promise that it needs. */
#include "sandbox/airlock.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static char directory[64];
static int marked = -1; /* a file with an attribute, open for writing */

static int result(long r)
{
	return r < 0 ? errno : 0;
}

static char *in_directory(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static int open_here(const char *name, int flags)
{
	int fd = open(in_directory(name), flags, 0600), e = errno;
	if (fd >= 0)
		close(fd);
	return fd < 0 ? e : 0;
}

static int read_some(const char *path)
{
	char text[64];
	int fd = open(path, O_RDONLY), e = errno;
	if (fd < 0)
		return e;
	ssize_t n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0 ? 0 : ENODATA;
}

/* ---- tmppath ---- */

static int make_temporary(void)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/fooXXXXXX", directory);
	int fd = mkstemp(path);
	if (fd < 0)
		return errno;
	return write(fd, "x", 1) == 1 && unlink(path) == 0 && unlink(path) < 0 && errno == ENOENT ? 0 : EIO;
}

static int make_unnamed(void)
{
	FILE *f = tmpfile();
	return f && fputs("x", f) >= 0 && fclose(f) == 0 ? 0 : errno;
}

static int open_existing(void)
{
	return open_here("file", O_RDWR);
}

static int open_link(void)
{
	return open_here("link", O_RDWR | O_CREAT);
}

static int open_upwards(void)
{
	return open_here("../../etc/passwd", O_RDWR | O_CREAT);
}

static int open_fifo(void)
{
	return open_here("fifo", O_RDWR | O_CREAT);
}

static int make_elsewhere(void)
{
	int fd = open("/var/tmp/airlock-promises", O_RDWR | O_CREAT | O_EXCL, 0600);
	return fd < 0 ? errno : 0;
}

static int remove_directory(void)
{
	return result(rmdir(in_directory("empty")));
}

static int make_hidden(void)
{
	int r = airlock_unveil("/usr", "r");
	return r < 0 ? -r : make_temporary();
}

/* ---- ps, vminfo, getloadavg ---- */

static int load_average(void)
{
	double load[3];
	return getloadavg(load, 3) == 3 ? 0 : EIO;
}

static int own_status(void)
{
	return read_some("/proc/self/stat");
}

static int up_time(void)
{
	return read_some("/proc/uptime");
}

static int memory(void)
{
	return read_some("/proc/meminfo");
}

static int swaps(void)
{
	return read_some("/proc/swaps");
}

static int host_status(void)
{
	return read_some("/proc/1/stat");
}

static int gone_status(void)
{
	return read_some("/proc/2147483000/stat");
}

static int with_child(int (*look)(pid_t))
{
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	if (pid < 0)
		return errno;
	int e = look(pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return e;
}

static int read_child(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	return read_some(path);
}

static int child_status(void)
{
	return with_child(read_child);
}

/* ---- processes by number ---- */

static int nice_self(void)
{
	return result(setpriority(PRIO_PROCESS, 0, 1));
}

static int nice_self_by_number(void)
{
	return result(setpriority(PRIO_PROCESS, (id_t)getpid(), 1));
}

static int nice_host(void)
{
	return result(setpriority(PRIO_PROCESS, (id_t)getppid(), 1));
}

static int nice_user(void)
{
	return result(setpriority(PRIO_USER, 0, 1));
}

static int nice_one(pid_t pid)
{
	return result(setpriority(PRIO_PROCESS, (id_t)pid, 1));
}

static int nice_child(void)
{
	return with_child(nice_one);
}

static int end_by_descriptor(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd < 0 ? errno : result(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
}

static int end_child(void)
{
	return with_child(end_by_descriptor);
}

static int hold_host(void)
{
	return result(syscall(SYS_pidfd_open, getppid(), 0));
}

static int place_self(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return errno;
	return result(sched_setaffinity((pid_t)syscall(SYS_gettid), sizeof(set), &set));
}

static int place_host(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return errno;
	return result(sched_setaffinity(getppid(), sizeof(set), &set));
}

static int own_descriptor(void)
{
	return result(fcntl(marked, F_SETOWN, getpid()));
}

static int own_by_host(void)
{
	return result(fcntl(marked, F_SETOWN, getppid()));
}

/* As nginx does: signals for what comes on a socket pair of its own; and on what was there before it. */
static int signals_for_pair(void)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return errno;
	return result(ioctl(pair[0], FIOASYNC, &(int){1}));
}

static int signals_for_others(void)
{
	return result(ioctl(marked, FIOASYNC, &(int){1}));
}

static int choose_signal(void)
{
	return result(fcntl(marked, F_SETSIG, SIGKILL));
}

static int signal_group(void)
{
	return result(kill(0, 0));
}

static int signal_self(void)
{
	return result(kill(getpid(), 0));
}

static int signal_host(void)
{
	return result(kill(getppid(), 0));
}

static int look_at_robust_list(void)
{
	void *head;
	size_t len;
	return result(syscall(SYS_get_robust_list, getppid(), &head, &len));
}

static int remove_attribute(void)
{
	return fremovexattr(marked, "user.airlock") < 0 && errno != ENODATA && errno != EOPNOTSUPP ? errno : 0;
}

static int terminal_input(void)
{
	return result(ioctl(0, 0x5412 /* TIOCSTI */, "x"));
}

static int new_session(void)
{
	return result(setpgid(0, 0));
}

static int raise_limit(void)
{
	struct rlimit limit;
	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? errno : result(setrlimit(RLIMIT_NOFILE, &limit));
}

static const struct {
	const char *promises, *name;
	int (*call)(void);
	int expected;
} cases[] = {
#define CASE(promises, call, expected)                                                                                 \
	{                                                                                                              \
		promises, #call, call, expected                                                                        \
	}
	CASE("stdio tmppath", make_temporary, 0),
	CASE("stdio", make_temporary, EPERM),
	CASE("stdio tmppath", make_unnamed, 0),
	CASE("stdio tmppath unveil", make_hidden, 0),
	CASE("stdio tmppath", open_existing, EPERM),
	CASE("stdio tmppath", open_link, ELOOP),
	CASE("stdio tmppath", open_upwards, EPERM),
	CASE("stdio tmppath", open_fifo, EACCES),
	CASE("stdio tmppath", make_elsewhere, EPERM),
	CASE("stdio tmppath", remove_directory, EPERM),
	CASE("stdio", load_average, 0),
	CASE("stdio ps", own_status, 0),
	CASE("stdio", own_status, EPERM),
	CASE("stdio ps", up_time, 0),
	CASE("stdio", up_time, EPERM),
	CASE("stdio vminfo", up_time, EPERM),
	CASE("stdio vminfo", memory, 0),
	CASE("stdio ps", memory, EPERM),
	CASE("stdio vminfo", swaps, 0),
	CASE("stdio ps", host_status, ENOENT),
	CASE("stdio ps", gone_status, ENOENT),
	CASE("stdio ps proc", child_status, 0),
	CASE("stdio proc", child_status, EPERM),
	CASE("stdio proc", nice_self, 0),
	CASE("stdio id", nice_self, 0),
	CASE("stdio", nice_self, EPERM),
	CASE("stdio proc", nice_self_by_number, 0),
	CASE("stdio proc", nice_host, EPERM),
	CASE("stdio proc", nice_user, EPERM),
	CASE("stdio proc", nice_child, 0),
	CASE("stdio proc", end_child, 0),
	CASE("stdio proc", hold_host, EPERM),
	CASE("stdio", hold_host, EPERM),
	CASE("stdio", place_self, 0),
	CASE("stdio", place_host, EPERM),
	CASE("stdio proc", place_host, EPERM),
	CASE("stdio proc", own_descriptor, 0),
	CASE("stdio", own_descriptor, EPERM),
	CASE("stdio proc", own_by_host, EPERM),
	CASE("stdio proc", signals_for_pair, 0),
	CASE("stdio", signals_for_pair, EPERM),
	CASE("stdio proc", signals_for_others, EPERM),
	CASE("stdio proc", choose_signal, EPERM),
	CASE("stdio", signal_group, 0),
	CASE("stdio", signal_self, 0),
	CASE("stdio", signal_host, EPERM),
	CASE("stdio proc", signal_host, EPERM),
	CASE("stdio", look_at_robust_list, EPERM),
	CASE("stdio fattr", remove_attribute, 0),
	CASE("stdio", remove_attribute, EPERM),
	CASE("stdio tty proc rpath wpath", terminal_input, EPERM),
	CASE("stdio proc", new_session, 0),
	CASE("stdio", new_session, EPERM),
	CASE("stdio id", raise_limit, 0),
	CASE("stdio proc", raise_limit, 0),
	CASE("stdio", raise_limit, EPERM),
};

static void run(size_t i)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		/* A group of its own, as a daemon has. */
		if (strcmp(cases[i].name, "signal_group") == 0)
			setsid();
		/* What it is refused is told by line; that is not looked at here. */
		int null = open("/dev/null", O_WRONLY);
		dup2(null, 2);
		_exit(airlock_pledge(cases[i].promises, NULL) < 0 ? 255 : cases[i].call());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		status = -1;
	bool good = status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == cases[i].expected;
	char name[128];
	snprintf(name, sizeof(name), "promises [%s] %s", cases[i].promises, cases[i].name);
	check(good, name, "status %x, expected %s", status,
		cases[i].expected ? strerror(cases[i].expected) : "success");
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	snprintf(directory, sizeof(directory), "/tmp/airlock-promises-XXXXXX");
	if (!mkdtemp(directory) || symlink("/etc/passwd", in_directory("link")) || mkfifo(in_directory("fifo"), 0600) ||
		mkdir(in_directory("empty"), 0700)) {
		check(false, "promises", "%s", strerror(errno));
		return 1;
	}
	marked = open(in_directory("file"), O_RDWR | O_CREAT, 0600);
	if (marked >= 0)
		fsetxattr(marked, "user.airlock", "x", 1, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run(i);
	static const char *const names[] = {"link", "fifo", "file"};
	for (size_t i = 0; i < 3; i++)
		unlink(in_directory(names[i]));
	rmdir(in_directory("empty"));
	rmdir(directory);
	return tap_failed > 0;
}
