/* SPDX-License-Identifier: ISC */
/* The parts of the battery about processes: what is inherited, what interrupts, the working directory, and what /proc and
 * /dev show. Runs natively and in targets. */
#include "tests/view.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

/* And again and again, as the first one may come before there is something to interrupt; 0: no more. */
static void alarm_in(long ms)
{
	struct itimerval t = {{0, ms * 1000}, {0, ms * 1000}};

	setitimer(ITIMER_REAL, &t, NULL);
}

static long result(long r)
{
	return r < 0 ? -errno : r;
}

static void blocking(struct view *v)
{
	struct sigaction plain = {.sa_handler = on_signal}, again = {.sa_handler = on_signal, .sa_flags = SA_RESTART},
			 old;
	int fd;

	sigaction(SIGALRM, &plain, &old);
	alarm_in(150);
	fd = open("fifo", O_RDONLY);
	view_result(v, "a FIFO's open that a signal interrupts", result(fd));
	alarm_in(150);
	fd = open("fifo", O_WRONLY);
	view_result(v, "the same for writing", result(fd));
	alarm_in(0);
	sigaction(SIGALRM, &again, NULL);
	signals = 0;
	pid_t pid = fork();
	if (!pid) {
		struct timespec pause = {0, 400000000};
		nanosleep(&pause, NULL);
		fd = open("fifo", O_WRONLY);
		_exit(write(fd, "x", 1) != 1);
	}
	alarm_in(150);
	fd = open("fifo", O_RDONLY);
	view_result(v, "one that is restarted", fd < 0 ? -errno : 0);
	alarm_in(0);
	view_result(v, "after signals", signals > 0);
	char c = 0;
	view_result(v, "reads", read(fd, &c, 1));
	view_say(v, "blocking, as asked", "%o", fcntl(fd, F_GETFL));
	close(fd);
	waitpid(pid, NULL, 0);
	/* Blocked and ignored signals interrupt nothing. */
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid = fork();
	if (!pid) {
		struct timespec pause = {0, 400000000};
		nanosleep(&pause, NULL);
		_exit(open("fifo", O_WRONLY) < 0);
	}
	alarm_in(100);
	fd = open("fifo", O_RDONLY);
	view_result(v, "with the signal blocked", fd < 0 ? -errno : 0);
	alarm_in(0);
	close(fd);
	waitpid(pid, NULL, 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigaction(SIGALRM, &old, NULL);
	signal(SIGALRM, SIG_IGN);
	pid = fork();
	if (!pid) {
		struct timespec pause = {0, 300000000};
		nanosleep(&pause, NULL);
		_exit(open("fifo", O_WRONLY) < 0);
	}
	alarm_in(100);
	fd = open("fifo", O_RDONLY);
	view_result(v, "with the signal ignored", fd < 0 ? -errno : 0);
	alarm_in(0);
	close(fd);
	waitpid(pid, NULL, 0);
	sigaction(SIGALRM, &old, NULL);
}

static void *in_thread(void *arg)
{
	int *results = arg;
	int fd = open("dir/inner", O_RDONLY);

	results[0] = fd >= 0;
	results[1] = chdir("dir");
	umask(077);
	close(fd);
	return NULL;
}

static void children(struct view *v)
{
	posix_spawn_file_actions_t actions;
	char *const argv[] = {"busy", "0", NULL};
	struct stat st;
	pid_t pid;
	int status, results[2] = {0, 0};
	pthread_t thread;

	pthread_create(&thread, NULL, in_thread, results);
	pthread_join(thread, NULL);
	view_result(v, "a thread opens", results[0]);
	view_result(v, "changes the directory of all", open("inner", O_RDONLY) < 0 ? -errno : 0);
	view_result(v, "and their umask", (long)umask(022));
	chdir(v->top);
	pid = fork();
	if (!pid) {
		chdir("dir");
		_exit(open("inner", O_RDONLY) < 0);
	}
	waitpid(pid, &status, 0);
	view_result(v, "a child goes elsewhere", status);
	view_result(v, "its parent stays", result(stat("file", &st)));
	chdir("dir");
	pid = fork();
	if (!pid) {
		pid = fork();
		if (!pid) {
			struct timespec pause = {0, 50000000};
			nanosleep(&pause, NULL);
			_exit(open("orphan", O_CREAT | O_WRONLY, 0666) < 0);
		}
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	chdir(v->top);
	for (int i = 0; i < 2000 && stat("dir/orphan", &st); i++) {
		struct timespec pause = {0, 10000000};
		nanosleep(&pause, NULL);
	}
	view_result(v, "an orphan keeps its directory", result(stat("dir/orphan", &st)));
	pid = vfork();
	if (!pid)
		_exit(open("file", O_RDONLY) < 0);
	waitpid(pid, &status, 0);
	view_result(v, "a vfork child opens", status);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 40, "spawned", O_CREAT | O_WRONLY, 0666);
	posix_spawn_file_actions_addopen(&actions, 41, "missing", O_RDONLY, 0);
	view_result(
		v, "posix_spawn with an open that fails", -posix_spawn(&pid, "./missing", &actions, NULL, argv, NULL));
	view_result(v, "has done the one before", result(stat("spawned", &st)));
	posix_spawn_file_actions_destroy(&actions);
}

static void full(struct view *v)
{
	struct rlimit old, few;
	int fds[100], n = 0, fd;

	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit){60, old.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &few))
		return;
	while (n < 100 && (fd = open("file", O_RDONLY)) >= 0)
		fds[n++] = fd;
	view_result(v, "the table is full", -errno);
	view_result(v, "creation then", result(open("emfile", O_CREAT | O_WRONLY, 0644)));
	view_result(v, "truncation then", result(open("file", O_WRONLY | O_TRUNC)));
	while (n > 0)
		close(fds[--n]);
	setrlimit(RLIMIT_NOFILE, &old);
	view_result(v, "a file was made", access("emfile", F_OK) ? -errno : 0);
	struct stat st;
	view_result(v, "a file was emptied", stat("file", &st) ? -errno : st.st_size);
}

void view_process(struct view *v)
{
	blocking(v);
	children(v);
	full(v);
}

/* ---- the working directory ---- */

static void where(struct view *v, const char *name)
{
	char buf[4200];
	long n = syscall(SYS_getcwd, buf, sizeof(buf));
	size_t len = strlen(v->top);

	if (n < 0)
		view_result(v, name, -errno);
	else
		view_say(v, name, "%s, %ld", !strncmp(buf, v->top, len) ? buf + len : buf,
			n - (long)(strncmp(buf, v->top, len) ? 0 : len));
}

static void go(struct view *v, const char *path)
{
	char name[200];

	snprintf(name, sizeof(name), "chdir(\"%s\")", path);
	view_result(v, name, result(chdir(path)));
	snprintf(name, sizeof(name), "getcwd after \"%s\"", path);
	where(v, name);
	chdir(v->top);
}

void view_cwd(struct view *v)
{
	static const char *const paths[] = {"dir", "dir/", "dir/.", "dir/..", "dir/sub/..", "dlink", "dlink/", "file",
		"file/", "link", "missing", "", ".", "..", "/", "//", "loop", "nodir", "nodir/..", "rodir", "fifo",
		"sock", "dangling", "/etc", "chain/20", "deep/up/dir"};
	struct stat st;
	char buf[8];
	int fd;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		go(v, paths[i]);
	view_result(v, "getcwd of too few bytes", result(syscall(SYS_getcwd, buf, 2)));
	view_result(v, "getcwd of none", result(syscall(SYS_getcwd, buf, 0)));
	view_result(v, "getcwd to NULL", result(syscall(SYS_getcwd, NULL, 4096)));
	view_result(v, "chdir(NULL)", result(syscall(SYS_chdir, NULL)));
	fd = open("dir", O_RDONLY | O_DIRECTORY);
	view_result(v, "fchdir", result(fchdir(fd)));
	where(v, "getcwd after fchdir");
	view_result(v, "relative to it", result(access("inner", F_OK)));
	close(fd);
	view_result(v, "fchdir of a closed one", result(fchdir(fd)));
	chdir(v->top);
	fd = open("file", O_RDONLY);
	view_result(v, "fchdir of a file", result(fchdir(fd)));
	close(fd);
	view_result(v, "fchdir(-1)", result(fchdir(-1)));
	fd = open("nodir", O_RDONLY | O_DIRECTORY);
	view_result(v, "an unsearchable directory", fd < 0 ? -errno : 0);
	/* Moved, it is the same directory. */
	mkdir("moving", 0755);
	mkdir("moving/below", 0755);
	chdir("moving/below");
	view_result(v, "rename of its parent", result(rename("../../moving", "../../moved")));
	where(v, "getcwd in a directory that was moved");
	view_result(v, "a file in it", result(open("new", O_CREAT | O_WRONLY, 0644) < 0 ? -1 : 0));
	view_result(v, "seen by its new name", result(stat("../../moved/below/new", &st)));
	unlink("new");
	/* Removed, it is nothing. */
	view_result(v, "rmdir of the working directory", result(rmdir("../below")));
	where(v, "getcwd in a removed directory");
	view_result(v, "stat .", result(stat(".", &st)));
	view_result(v, "stat ..", result(stat("..", &st)));
	view_result(v, "open .", result(open(".", O_RDONLY) < 0 ? -1 : 0));
	view_result(v, "create in it", result(open("new", O_CREAT | O_WRONLY, 0644)));
	view_result(v, "stat in it", result(stat("new", &st)));
	view_result(v, "mkdir in it", result(mkdir("new", 0755)));
	view_result(v, "chdir .", result(chdir(".")));
	view_result(v, "chdir ..", result(chdir("..")));
	chdir(v->top);
	/* Removed, and one of its name made: another directory. */
	mkdir("again", 0755);
	chdir("again");
	rmdir("../again");
	chdir(v->top);
	mkdir("again", 0755);
	view_result(v, "the one of its name", result(access("again/.", F_OK)));
	/* By descriptor. */
	fd = open("again", O_RDONLY | O_DIRECTORY);
	rmdir("again");
	view_result(v, "stat below a removed descriptor", result(fstatat(fd, "x", &st, 0)));
	view_result(v, "stat . of it", result(fstatat(fd, ".", &st, 0)));
	view_result(v, "stat .. of it", result(fstatat(fd, "..", &st, 0)));
	view_result(v, "create below it", result(openat(fd, "x", O_CREAT | O_WRONLY, 0644)));
	view_result(v, "fchdir to it", result(fchdir(fd)));
	where(v, "getcwd there");
	chdir(v->top);
	close(fd);
}

/* ---- /proc and /dev ---- */

static void describe(struct view *v, const char *path, int flags)
{
	char name[120], buf[64];
	struct stat st;
	int fd = open(path, flags);

	snprintf(name, sizeof(name), "open(\"%s\", %o)", path, flags);
	if (fd < 0) {
		view_result(v, name, -errno);
		return;
	}
	fstat(fd, &st);
	/* Copies of files of /proc have no O_NOFOLLOW, which nobody can do anything with. */
	view_say(v, name, "type %o, flags %o, reads %s", st.st_mode & S_IFMT, fcntl(fd, F_GETFL) & ~O_NOFOLLOW,
		S_ISREG(st.st_mode) && read(fd, buf, sizeof(buf)) > 0 ? "something" : "nothing");
	close(fd);
}

static void link_of(struct view *v, const char *path)
{
	char name[120], buf[4200] = "";
	ssize_t n = readlink(path, buf, sizeof(buf) - 1);
	size_t len = strlen(v->top);
	struct stat st;

	snprintf(name, sizeof(name), "readlink(\"%s\")", path);
	if (n < 0)
		view_result(v, name, -errno);
	else if (atoi(buf) == (int)getpid())
		view_say(v, name, "its number%s", strchr(buf, '/') ? " and its thread's" : "");
	else
		view_say(v, name, "%s", !strncmp(buf, v->top, len) ? buf + len : strchr(buf, ':') ? "something" : buf);
	snprintf(name, sizeof(name), "stat(\"%s\")", path);
	if (stat(path, &st))
		view_result(v, name, -errno);
	else
		view_say(v, name, "%o", st.st_mode & S_IFMT);
	snprintf(name, sizeof(name), "lstat(\"%s\")", path);
	if (lstat(path, &st))
		view_result(v, name, -errno);
	else
		view_say(v, name, "%o", st.st_mode & (S_IFMT | 0777));
}

void view_proc(struct view *v)
{
	static const char *const files[] = {"/proc/self/status", "/proc/self/stat", "/proc/self/maps",
		"/proc/self/cmdline", "/proc/self/comm", "/proc/self/limits", "/proc/self/statm",
		"/proc/thread-self/status", "/proc/thread-self/stat", "/proc/meminfo", "/proc/cpuinfo", "/proc/uptime",
		"/proc/loadavg", "/proc/version", "/proc/filesystems", "/proc/stat", "/proc/sys/kernel/pid_max",
		"/proc/sys/kernel/osrelease", "/proc/sys/kernel/hostname", "/proc/self/missing", "/proc/missing",
		"/proc/self/fd/999", "/proc/self/fd/x", "/proc/self/fd/-1", "/proc/self/fd/03", "/dev/fd/999",
		"/proc/self/status/", "/proc/self/status/x", "/proc/self/fdinfo/999", "/proc/0", "/proc/999999999",
		"/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random", "/dev/null/", "/dev/nonexistent",
		"/dev/fd/x", "/proc/mounts", "/proc/self/mounts", "/proc/self/mountinfo"};
	static const char *const links[] = {"/proc/self/cwd", "/proc/self/root", "/proc/self/fd/30", "/proc/self/fd/31",
		"/proc/self/fd/32", "/proc/self/fd/33", "/dev/fd/30", "/proc/self/fd/999", "/proc/thread-self/fd/30",
		"/proc/self", "/proc/thread-self", "/proc/self/status", "/proc/mounts", "/dev/fd", "/dev/stdin",
		"/dev/null"};
	char path[80], buf[64] = "";
	struct stat st, other;
	int fds[2], fd;

	fd = open("file", O_RDWR);
	dup2(fd, 30);
	close(fd);
	fd = open("dir", O_RDONLY | O_DIRECTORY);
	dup2(fd, 31);
	close(fd);
	view_result(v, "a pipe", pipe(fds));
	dup2(fds[0], 32);
	fd = open("deleted", O_CREAT | O_RDWR, 0600);
	unlink("deleted");
	dup2(fd, 33);
	close(fd);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		describe(v, files[i], O_RDONLY);
		if (strncmp(files[i], "/dev/", 5) != 0) /* whose devices are opened through a descriptor */
			describe(v, files[i], O_RDONLY | O_NOFOLLOW);
		describe(v, files[i], O_RDONLY | O_DIRECTORY);
		view_result(v, files[i], access(files[i], R_OK) ? -errno : 0);
		view_result(v, files[i], lstat(files[i], &st) ? -errno : (long)(st.st_mode & S_IFMT));
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		link_of(v, links[i]);
	for (int n = 30; n < 34; n++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", n);
		describe(v, path, O_RDONLY | O_NONBLOCK);
		describe(v, path, O_RDONLY | O_NOFOLLOW);
		describe(v, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
		describe(v, path, O_RDONLY | O_CREAT | O_EXCL);
		if (n == 30)
			describe(v, path, O_WRONLY);
		snprintf(path, sizeof(path), "/dev/fd/%d", n);
		describe(v, path, O_RDONLY | O_NONBLOCK);
		view_result(v, path, stat(path, &st) || fstat(n, &other) ? -errno : st.st_ino == other.st_ino);
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), n);
		view_result(v, "by its number", stat(path, &st) ? -errno : st.st_ino == other.st_ino);
		snprintf(path, sizeof(path), "/proc/self/task/%d/fd/%d", (int)gettid(), n);
		view_result(v, "by its thread's", stat(path, &st) ? -errno : st.st_ino == other.st_ino);
	}
	describe(v, "/proc/self/fd/31/inner", O_RDONLY);
	describe(v, "/proc/self/cwd/file", O_RDONLY);
	describe(v, "/proc/self/cwd/dir/../file", O_RDONLY);
	describe(v, "/proc/self/fd/31/../file", O_RDONLY);
	describe(v, "/proc/self/fd/30/x", O_RDONLY);
	describe(v, "/proc/self/cwd", O_RDONLY);
	describe(v, "/proc/self/cwd/", O_RDONLY);
	describe(v, "/proc/self/../self/status", O_RDONLY);
	describe(v, "/dev/../proc/self/status", O_RDONLY);
	describe(v, "/proc/./self//status", O_RDONLY);
	/* The numbers are the process' own. */
	fd = open("/proc/self/stat", O_RDONLY);
	view_result(v, "/proc/self/stat reads", read(fd, buf, sizeof(buf) - 1) > 0);
	close(fd);
	view_result(v, "and begins with its number", atoi(buf) == (int)getpid());
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)getpid());
	fd = open(path, O_RDONLY);
	view_result(v, "by its number", fd < 0 ? -errno : 0);
	close(fd);
	pid_t pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	static const char *const of_child[] = {"stat", "status", "cmdline", "comm"};
	for (size_t i = 0; i < sizeof(of_child) / sizeof(of_child[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, of_child[i]);
		fd = open(path, O_RDONLY);
		snprintf(path, sizeof(path), "a child's %s", of_child[i]);
		memset(buf, 0, sizeof(buf));
		view_result(v, path, fd < 0 ? -errno : read(fd, buf, sizeof(buf) - 1) > 0);
		if (i == 0)
			view_result(v, "which begins with its number", atoi(buf) == (int)pid);
		if (fd >= 0)
			close(fd);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int n = 30; n < 34; n++)
		close(n);
	fd = open("/dev/full", O_WRONLY);
	view_result(v, "write to /dev/full", result(write(fd, "x", 1)));
	close(fd);
	fd = open("/dev/null", O_RDWR | O_CREAT | O_TRUNC, 0666);
	view_result(v, "/dev/null as a shell opens it", fd < 0 ? -errno : fcntl(fd, F_GETFL));
	close(fd);
}
