/* SPDX-License-Identifier: ISC */
/*
 * Owns where the lines about violations go. In place that is the standard error that the program had when it confined
 * itself; where that is closed or /dev/null, as a daemon's, its terminal, or else the system's log. Runs in the host
 * between vfork and the broker's exec (so it touches its stack alone), and the writing in the broker.
 */
#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

/* A program that closed its standard error may have anything at that number: a database, a client. Nobody gets lines who
 * did not ask for them. (Descriptors of this library are close-on-exec.) */
bool lines_taken(int fd)
{
	struct stat st;
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	int flags = fcntl(fd, F_GETFL), own = fcntl(fd, F_GETFD);
	if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_RDONLY || (own & FD_CLOEXEC) ||
		fstat(fd, &st) < 0)
		return false;
	switch (st.st_mode & S_IFMT) {
	case S_IFCHR:
		return isatty(fd);
	case S_IFIFO:
		return true;
	case S_IFREG:
		return (flags & O_ACCMODE) == O_WRONLY || (flags & O_APPEND);
	case S_IFSOCK: /* the journal's are of this kind */
		return getsockname(fd, (struct sockaddr *)&address, &len) == 0 && address.ss_family == AF_UNIX;
	default:
		return false;
	}
}

static int log_open(void)
{
	struct sockaddr_un log = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&log, sizeof(log)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

void lines_settle(void)
{
	if (lines_taken(STDERR_FILENO))
		return;
	int fd = open("/dev/tty", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		fd = log_open();
	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd == STDERR_FILENO)
		fcntl(fd, F_SETFD, 0);
	else if (fd >= 0)
		dup2(fd, STDERR_FILENO);
}

bool line_write(int fd, const char *line, int ms)
{
	struct pollfd p = {fd, POLLOUT, 0};
	char text[2048];
	int type = 0;
	socklen_t type_len = sizeof(type);
	bool socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0;
	bool log = socket && type == SOCK_DGRAM;
	int n = snprintf(text, sizeof(text), "%s%s", log ? "<11>" : "", line); /* user, error */
	size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
	/* What takes no line in time gets none: a reader that stands still must not stop the broker. */
	if (poll(&p, 1, ms) != 1 || !(p.revents & POLLOUT))
		return false;
	if (socket)
		return send(fd, text, log ? len - 1 : len, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
	/* A pipe that polls writable has room for this. */
	return write(fd, text, len) > 0;
}

/* Whoever reads a pipe waits for its last writer: what=$(daemon 2>&1) would wait for ours after the daemon has closed it.
 * So such a standard error is let go of, and borrowed from the process that a line is about, if it still has it. */
static struct stat borrowed;

void lines_let_go(void)
{
	struct stat st;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool waited_for = fstat(STDERR_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
	struct sockaddr_un peer = {0};
	socklen_t len = sizeof(peer) - 1;
	/* The log's is our own. */
	if (waited_for && S_ISSOCK(st.st_mode) && getpeername(STDERR_FILENO, (struct sockaddr *)&peer, &len) == 0 &&
		strcmp(peer.sun_path, "/dev/log") == 0)
		waited_for = false;
	if (waited_for && null >= 0) {
		borrowed = st;
		dup2(null, STDERR_FILENO);
	}
	if (null >= 0)
		close(null);
}

static int borrow(pid_t process, pid_t tid)
{
	struct stat st;
	/* Of a process whose first thread has ended only the others have descriptors. */
	int pidfd = (int)syscall(SYS_pidfd_open, tid, O_EXCL); /* PIDFD_THREAD, 6.9 */
	if (pidfd < 0)
		pidfd = (int)syscall(SYS_pidfd_open, process, 0);
	int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, STDERR_FILENO, 0);
	if (pidfd >= 0)
		close(pidfd);
	if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_dev != borrowed.st_dev || st.st_ino != borrowed.st_ino)) {
		close(fd);
		fd = -1;
	}
	return fd >= 0 ? fd : log_open();
}

bool line_about(const struct report *r, const char *line, int ms)
{
	if (!borrowed.st_ino)
		return line_write(STDERR_FILENO, line, ms);
	int fd = borrow(r->pid, r->tid);
	bool said = fd >= 0 && line_write(fd, line, ms);
	if (fd >= 0)
		close(fd);
	return said;
}
