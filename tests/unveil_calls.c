/* SPDX-License-Identifier: ISC */
/* Every call that takes a path, told to make one. Runs in targets. */
#include "tests/unveil.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

unsigned calls_made;

static int fd_done(long fd)
{
	if (fd < 0)
		return errno;
	close((int)fd);
	return 0;
}

static int done(long r)
{
	return r < 0 ? errno : 0;
}

static int how_open(const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags, .mode = flags & O_CREAT ? 0600 : 0, .resolve = resolve};

	return fd_done(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
}

const char *const call_names[CALLS] = {"open", "open to write", "open to create", "open, exclusively", "open, O_TRUNC",
	"open, O_DIRECTORY", "open, O_NOFOLLOW", "open, O_PATH", "open, O_PATH|O_NOFOLLOW", "open, O_TMPFILE",
	"open, mode 3", "openat2", "openat2 beneath", "openat2 in root", "openat2 without links", "openat2 cached",
	"stat", "lstat", "statx", "stat with AT_EMPTY_PATH", "access", "access R", "access W", "access X",
	"access of a link", "readlink", "mkdir", "rmdir", "unlink", "rename from", "rename to", "exchange",
	"rename without replacing", "link from", "link to", "link of what a link means", "symlink at", "chmod",
	"chmod of a link", "chown", "utimes", "truncate", "getxattr", "setxattr", "listxattr", "removexattr",
	"inotify_add_watch", "chdir", "statfs", "mknod", "mkfifo", "chroot", "execve"};

char spare[300];

static int call_more(enum call c, const char *path);

int call(enum call c, const char *path)
{
	struct stat st;
	struct statx stx;
	char buf[300];

	calls_made++;
	switch (c) {
	case OPEN:
		return fd_done(open(path, O_RDONLY | O_NONBLOCK));
	case OPEN_W:
		return fd_done(open(path, O_WRONLY | O_NONBLOCK));
	case OPEN_RW_CREAT:
		return fd_done(open(path, O_RDWR | O_CREAT | O_NONBLOCK, 0600));
	case OPEN_EXCL:
		return fd_done(open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
	case OPEN_TRUNC:
		return fd_done(open(path, O_RDONLY | O_TRUNC));
	case OPEN_DIR:
		return fd_done(open(path, O_RDONLY | O_DIRECTORY));
	case OPEN_NOFOLLOW:
		return fd_done(open(path, O_RDONLY | O_NOFOLLOW));
	case OPEN_PATH:
		return fd_done(open(path, O_PATH));
	case OPEN_PATH_NOFOLLOW:
		return fd_done(open(path, O_PATH | O_NOFOLLOW));
	case OPEN_TMPFILE:
		return fd_done(open(path, O_TMPFILE | O_RDWR, 0600));
	case OPEN_ACC3:
		return fd_done(open(path, O_ACCMODE));
	case OPEN2:
		return how_open(path, O_RDONLY, 0);
	case OPEN2_BENEATH:
		return how_open(path, O_RDONLY, RESOLVE_BENEATH);
	case OPEN2_ROOT:
		return how_open(path, O_RDONLY, RESOLVE_IN_ROOT);
	case OPEN2_NOSYM:
		return how_open(path, O_RDONLY, RESOLVE_NO_SYMLINKS);
	case OPEN2_CACHED:
		return how_open(path, O_RDONLY, RESOLVE_CACHED);
	case STAT:
		return done(stat(path, &st));
	case LSTAT:
		return done(lstat(path, &st));
	case STATX:
		return done(statx(AT_FDCWD, path, 0, STATX_ALL, &stx));
	case STAT_EMPTY:
		return done(fstatat(AT_FDCWD, path, &st, AT_EMPTY_PATH | AT_NO_AUTOMOUNT));
	case ACCESS_F:
		return done(access(path, F_OK));
	case ACCESS_R:
		return done(access(path, R_OK));
	case ACCESS_W:
		return done(access(path, W_OK));
	case ACCESS_X:
		return done(access(path, X_OK));
	case ACCESS_NOFOLLOW:
		return done(syscall(439, AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW));
	case READLINK:
		return done(readlink(path, buf, sizeof(buf)));
	default:
		return call_more(c, path);
	}
}

static int call_more(enum call c, const char *path)
{
	struct statfs fs;
	char buf[300];
	char *const argv[] = {"x", NULL};
	int fd, e, status;
	pid_t pid;

	switch (c) {
	case MKDIR:
		return done(mkdir(path, 0700));
	case RMDIR:
		return done(rmdir(path));
	case UNLINK:
		return done(unlink(path));
	case RENAME_FROM:
		return done(rename(path, "open/renamed"));
	case RENAME_TO:
		return done(rename(spare, path));
	case RENAME_EXCH:
		return done(syscall(SYS_renameat2, AT_FDCWD, spare, AT_FDCWD, path, 2));
	case RENAME_NOREPL:
		return done(syscall(SYS_renameat2, AT_FDCWD, spare, AT_FDCWD, path, 1));
	case LINK_FROM:
		return done(link(path, "open/linked"));
	case LINK_TO:
		return done(link(spare, path));
	case LINK_FOLLOW:
		return done(linkat(AT_FDCWD, path, AT_FDCWD, "open/linked", AT_SYMLINK_FOLLOW));
	case SYMLINK_TO:
		return done(symlink("x", path));
	case CHMOD:
		return done(chmod(path, 0700));
	case CHMOD_NOFOLLOW:
		return done(syscall(452, AT_FDCWD, path, 0700, AT_SYMLINK_NOFOLLOW));
	case CHOWN:
		return done(chown(path, geteuid(), getegid()));
	case UTIMES:
		return done(utimensat(AT_FDCWD, path, NULL, 0));
	case TRUNCATE:
		return done(truncate(path, 3));
	case GETXATTR:
		return done(getxattr(path, "user.x", buf, sizeof(buf)));
	case SETXATTR:
		return done(setxattr(path, "user.x", "y", 1, 0));
	case LISTXATTR:
		return done(listxattr(path, buf, sizeof(buf)));
	case REMOVEXATTR:
		return done(removexattr(path, "user.x"));
	case WATCH:
		fd = inotify_init1(IN_CLOEXEC);
		e = done(inotify_add_watch(fd, path, IN_MODIFY));
		close(fd);
		return e;
	case CHDIR:
		pid = fork(); /* there may be no way back */
		if (!pid)
			_exit(done(chdir(path)));
		return waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : -1;
	case STATFS:
		return done(statfs(path, &fs));
	case MKNOD:
		return done(mknod(path, S_IFREG | 0600, 0));
	case MKFIFO:
		return done(mkfifo(path, 0600));
	case CHROOT:
		return done(chroot(path));
	case EXECVE:
		return done(execve(path, argv, argv));
	default:
		return -1;
	}
}
