/* SPDX-License-Identifier: ISC */
/* The parts of the battery about names: looking at them, making and removing them, and where links lead. Runs natively and
 * in targets. */
#include "tests/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const forms[] = {"file", "ro", "none", "dir", "link", "dlink", "dangling", "loop", "fifo", "sock",
	"missing", "file/", "file/.", "file/..", "file/x", "dir/", "dir/.", "dir/..", "dir/../", "dir/missing",
	"dir/missing/", "missing/", "missing/.", "missing/..", "missing/x", "link/", "link/.", "dlink/", "dlink/.",
	"dlink/..", "dlink/inner", "dangling/", "dangling/x", "loop/", "loop/x", "chain/20", "chain/41", "chain/20/",
	".", "..", "./", "../", "", "/", "//", "/.", "/..", "/../..", "nodir", "nodir/", "nodir/file", "nodir/missing",
	"nodir/..", "nodir/.", "rodir", "rodir/file", "rodir/missing", "rodir/file/", "acl/..", "dir/sub/../../file",
	"abs", "abs/", "deep/dir/link", "deep/up/file", "deep/up/deep/up/file", "fifolink", "exe", "sock/", "fifo/x",
	"/nonexistent", "/nonexistent/", "/nonexistent/x", "/etc/passwd", "/etc/passwd/", "/etc", "/etc/"};
#define FORMS (sizeof(forms) / sizeof(forms[0]))

static void said(struct view *v, const char *call, const char *path, long r)
{
	char name[400];
	int e = errno;

	snprintf(name, sizeof(name), "%s \"%s\"", call, path);
	view_result(v, name, r < 0 ? -e : r);
}

static void said_stat(struct view *v, const char *call, const char *path, int r, const struct stat *st)
{
	char name[400];

	if (r < 0) {
		said(v, call, path, r);
		return;
	}
	snprintf(name, sizeof(name), "%s \"%s\"", call, path);
	/* In a user namespace with one id, the others are nobody. */
	bool mine = !geteuid() || path[0] != '/';
	view_say(v, name, "mode %o, uid %d, gid %d, nlink %d, size %lld", st->st_mode, mine ? (int)st->st_uid : -1,
		mine ? (int)st->st_gid : -1, S_ISDIR(st->st_mode) ? 0 : (int)st->st_nlink,
		S_ISREG(st->st_mode) || S_ISLNK(st->st_mode) ? (long long)st->st_size : 0);
}

static void look(struct view *v, int dirfd, const char *path)
{
	static const int modes[] = {F_OK, R_OK, W_OK, X_OK, R_OK | W_OK | X_OK, 8};
	struct stat st;
	struct statx stx;
	char call[40], buf[PATH_MAX];
	long r;

	said_stat(v, "stat", path, fstatat(dirfd, path, &st, 0), &st);
	said_stat(v, "lstat", path, fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW), &st);
	said_stat(v, "stat with AT_EMPTY_PATH", path, fstatat(dirfd, path, &st, AT_EMPTY_PATH | AT_NO_AUTOMOUNT), &st);
	said(v, "stat with bad flags", path, fstatat(dirfd, path, &st, 0x40000));
	memset(&stx, 0, sizeof(stx));
	r = statx(dirfd, path, 0, STATX_MODE | STATX_TYPE, &stx);
	said(v, "statx", path, r < 0 ? r : stx.stx_mode);
	said(v, "statx with bad flags", path, statx(dirfd, path, 0x40000, STATX_MODE, &stx));
	said(v, "statx with both syncs", path, statx(dirfd, path, 0x6000, STATX_MODE, &stx));
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (path[0] == '/' && (modes[i] & W_OK))
			continue; /* not unveiled for writing */
		snprintf(call, sizeof(call), "access %d", modes[i]);
		said(v, call, path, syscall(SYS_faccessat, dirfd, path, modes[i]));
		snprintf(call, sizeof(call), "faccessat2 %d nofollow", modes[i]);
		said(v, call, path, syscall(439, dirfd, path, modes[i], AT_SYMLINK_NOFOLLOW));
		snprintf(call, sizeof(call), "faccessat2 %d eaccess", modes[i]);
		said(v, call, path, syscall(439, dirfd, path, modes[i], AT_EACCESS));
	}
	said(v, "faccessat2 with bad flags", path, syscall(439, dirfd, path, F_OK, 0x40000));
	memset(buf, 0, sizeof(buf));
	r = syscall(SYS_readlinkat, dirfd, path, buf, sizeof(buf) - 1);
	said(v, "readlink", path, r);
	if (r > 0)
		view_say(v, "which is", "%s", buf);
	said(v, "readlink, 2 bytes", path, syscall(SYS_readlinkat, dirfd, path, buf, 2));
	said(v, "readlink, 0 bytes", path, syscall(SYS_readlinkat, dirfd, path, buf, 0));
	said(v, "readlink, -1 bytes", path, syscall(SYS_readlinkat, dirfd, path, buf, -1));
}

static void change(struct view *v, const char *path)
{
	if (!*path || path[0] == '/')
		return; /* not what belongs to others */
	said(v, "mkdir", path, mkdir(path, 0755));
	rmdir("missing"), rmdir("dir/missing"), rmdir("gone"), rmdir("rodir/missing"), rmdir("nodir/missing");
	said(v, "rmdir", path, rmdir(path));
	mkdir("acl", 0755);
	if (strncmp(path, "dir", 3) != 0 && strncmp(path, "rodir", 5) != 0 && strncmp(path, "nodir", 5) != 0)
		return;
	said(v, "unlink", path, unlink(path));
}

void view_names(struct view *v)
{
	struct stat st;
	int dir = open("dir", O_RDONLY | O_DIRECTORY), top = open(".", O_RDONLY | O_DIRECTORY),
	    file = open("file", O_RDONLY);

	for (size_t i = 0; i < FORMS; i++)
		look(v, AT_FDCWD, forms[i]);
	for (size_t i = 0; i < FORMS; i += 5)
		look(v, top, forms[i]);
	look(v, dir, "inner");
	look(v, dir, "../file");
	look(v, dir, "");
	look(v, file, "");
	look(v, file, "x");
	look(v, 999, "file");
	look(v, 999, "");
	look(v, 999, "/");
	look(v, -1, "file");
	said_stat(v, "fstatat of a descriptor", "", fstatat(file, "", &st, AT_EMPTY_PATH), &st);
	said(v, "stat of NULL", "", syscall(SYS_newfstatat, AT_FDCWD, NULL, &st, 0));
	said(v, "stat to NULL", "file", syscall(SYS_newfstatat, AT_FDCWD, "file", NULL, 0));
	said(v, "stat to NULL", "missing", syscall(SYS_newfstatat, AT_FDCWD, "missing", NULL, 0));
	said(v, "readlink to NULL", "link", syscall(SYS_readlinkat, AT_FDCWD, "link", NULL, 10));
	said(v, "readlink to NULL", "file", syscall(SYS_readlinkat, AT_FDCWD, "file", NULL, 10));
	said(v, "access of NULL", "", syscall(SYS_faccessat, AT_FDCWD, NULL, 0));
	close(dir), close(top), close(file);
	for (size_t i = 0; i < FORMS; i++)
		change(v, forms[i]);
	said(v, "unlink", "file/", unlink("file/"));
	said(v, "unlink", "link/", unlink("link/"));
	said(v, "unlink", "dlink/", unlink("dlink/"));
	said(v, "rmdir", "dlink/", rmdir("dlink/"));
	said(v, "rmdir", "dlink", rmdir("dlink"));
	said(v, "unlink", "loop", unlink("loop"));
	said(v, "unlink", "dangling", unlink("dangling"));
	said(v, "unlink", "fifo", unlink("fifo"));
	said(v, "unlink", "sock", unlink("sock"));
	said(v, "unlink", "ro", unlink("ro"));
	said(v, "unlink", "missing", unlink("missing"));
	said(v, "unlink", "dir", unlink("dir"));
	said(v, "unlink", "sticky/file", unlink("sticky/file"));
	said(v, "unlinkat with bad flags", "file", unlinkat(AT_FDCWD, "file", 0x1000));
	said(v, "unlinkat of an empty path", "", unlinkat(AT_FDCWD, "", 0));
}

/* ---- what is made ---- */

static void made(struct view *v, const char *what, const char *path)
{
	struct stat st;
	char name[200];

	snprintf(name, sizeof(name), "%s, %s", what, path);
	if (lstat(path, &st) < 0)
		view_result(v, name, -errno);
	else
		view_say(v, name, "mode %o, uid %d, gid %d", st.st_mode, (int)st.st_uid, (int)st.st_gid);
}

void view_make(struct view *v)
{
	static const mode_t masks[] = {0, 022, 027, 077, 0777, 0177, 01000, 07777};
	/* Without set-id bits, which the door takes off. */
	static const mode_t modes[] = {0777, 0666, 0600, 0, 01777, 0444, 010777};
	static const char *const dirs[] = {"dir", "acl", "setgid", "sticky"};
	char what[80], path[80];
	int fd;

	for (size_t m = 0; m < sizeof(masks) / sizeof(masks[0]); m++)
		for (size_t d = 0; d < sizeof(dirs) / sizeof(dirs[0]); d++)
			for (size_t k = 0; k < sizeof(modes) / sizeof(modes[0]); k++) {
				umask(masks[m]);
				snprintf(what, sizeof(what), "mode %o with umask %o", modes[k], masks[m]);
				snprintf(path, sizeof(path), "%s/new", dirs[d]);
				fd = open(path, O_CREAT | O_EXCL | O_RDWR, modes[k]);
				view_result(v, what, fd < 0 ? -errno : 0);
				made(v, what, path);
				if (fd >= 0)
					close(fd);
				unlink(path);
				view_result(v, what, mkdir(path, modes[k]) < 0 ? -errno : 0);
				made(v, what, path);
				snprintf(path, sizeof(path), "%s/new/below", dirs[d]);
				view_result(v, what, mkdir(path, modes[k]) < 0 ? -errno : 0);
				made(v, what, path);
				rmdir(path);
				snprintf(path, sizeof(path), "%s/new", dirs[d]);
				rmdir(path);
				fd = open(dirs[d], O_TMPFILE | O_RDWR, modes[k]);
				if (fd >= 0) {
					struct stat st;
					fstat(fd, &st);
					view_say(
						v, what, "%s, tmpfile %o, gid %d", dirs[d], st.st_mode, (int)st.st_gid);
					close(fd);
				}
			}
	view_result(v, "the last umask", (long)umask(022));
	view_result(v, "and the next", (long)umask(0123456));
	view_result(v, "of which stays", (long)umask(022));
	/* The mask of a child is its own. */
	pid_t pid = fork();
	if (!pid) {
		umask(077);
		(void)!open("child", O_CREAT | O_WRONLY, 0666);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	fd = open("parent", O_CREAT | O_WRONLY, 0666);
	close(fd);
	made(v, "with a child's mask", "child");
	made(v, "and the parent's", "parent");
	/* Read-only of its own mode, but open for writing: */
	fd = open("mode0", O_CREAT | O_RDWR | O_EXCL, 0);
	view_result(v, "write to a file made with mode 0", write(fd, "x", 1));
	close(fd);
	view_result(v, "creation through a dangling link",
		open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0644) < 0 ? -errno : 0);
	fd = open("dangling", O_CREAT | O_WRONLY, 0644);
	view_result(v, "and without O_EXCL", fd < 0 ? -errno : 0);
	made(v, "which makes", "gone");
	view_result(v, "through a link with a slash", open("dangling/", O_CREAT | O_WRONLY, 0644) < 0 ? -errno : 0);
}

/* ---- where links lead ---- */

static void opened(struct view *v, const char *path, int flags, const char *what)
{
	int fd = open(path, flags, 0644);

	said(v, what, path, fd < 0 ? -1 : 0);
	if (fd >= 0)
		close(fd);
}

void view_walk(struct view *v)
{
	static const char *const paths[] = {"sticky/theirs", "sticky/file", "sticky/fifo", "sticky/mine", "other/link",
		"other/theirs", "other/dir", "other/dir/inner", "other/dir/missing", "other/theirdir",
		"other/theirdir/", "other/theirdir/.", "other/theirdir/inner", "other/theirdir/missing", "totheirs",
		"throughtheirs", "other/file", "other/fifo", "other/new"};
	struct stat st;
	char buf[100];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		opened(v, paths[i], O_RDONLY | O_NONBLOCK, "open");
		opened(v, paths[i], O_RDWR | O_NONBLOCK, "open to write");
		opened(v, paths[i], O_RDWR | O_NONBLOCK | O_NOFOLLOW, "open, no follow,");
		opened(v, paths[i], O_RDWR | O_CREAT | O_NONBLOCK, "create");
		opened(v, paths[i], O_RDWR | O_CREAT | O_EXCL, "create, exclusive,");
		said(v, "stat", paths[i], stat(paths[i], &st));
		said(v, "lstat", paths[i], lstat(paths[i], &st));
		said(v, "access", paths[i], access(paths[i], R_OK));
		said(v, "readlink", paths[i], readlink(paths[i], buf, sizeof(buf)));
		said(v, "mkdir", paths[i], mkdir(paths[i], 0755));
		said(v, "chdir", paths[i], chdir(paths[i]));
		said(v, "back to", v->top, chdir(v->top));
	}
	/* Made here, so that they are the follower's own. */
	said(v, "unlink", "other/file", unlink("other/file"));
	said(v, "unlink", "other/link", unlink("other/link"));
}
