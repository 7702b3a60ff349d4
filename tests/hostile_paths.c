/* SPDX-License-Identifier: ISC */
/* Hostile ways around a rule: dots, links, descriptors, and questions whose answer tells what exists. In the target. */
#include "tests/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HIDDEN "stdio:EPERM|ENOENT ENOENT"
#define AT_EMPTY 0x1000
struct stat_buffer {
	char bytes[512];
};

static long at(int dirfd, const char *path, int flags)
{
	return syscall(SYS_openat, dirfd, path, flags, 0600);
}

static int dot_dot(const struct hostile *h)
{
	return opened(at(AT_FDCWD, join(h, "open/../secret/file"), O_RDONLY));
}

static int dot_dot_deep(const struct hostile *h)
{
	return opened(at(AT_FDCWD, join(h, "open/sub/../../secret/file"), O_RDONLY));
}

static int dirfd_dot_dot(const struct hostile *h)
{
	long dir = at(AT_FDCWD, h->open, O_RDONLY | O_DIRECTORY);

	return dir < 0 ? -errno : opened(at((int)dir, "../secret/file", O_RDONLY));
}

static int dirfd_dot_dot_path(const struct hostile *h)
{
	long dir = at(AT_FDCWD, h->open, O_PATH | O_DIRECTORY);

	return dir < 0 ? -errno : opened(at((int)dir, "../secret/file", O_RDONLY));
}

static int dirfd_absolute(const struct hostile *h)
{
	long dir = at(AT_FDCWD, h->open, O_RDONLY | O_DIRECTORY);

	return dir < 0 ? -errno : opened(at((int)dir, h->secret, O_RDONLY));
}

static int dirfd_dot_dot_list(const struct hostile *h)
{
	char buf[4096];
	long dir = at(AT_FDCWD, h->open, O_RDONLY | O_DIRECTORY), up;

	if (dir < 0)
		return -errno;
	up = at((int)dir, "..", O_RDONLY | O_DIRECTORY);
	return up < 0 ? -errno : SYS(SYS_getdents64, up, buf, sizeof(buf));
}

static int proc_fd_dot_dot(const struct hostile *h)
{
	char buf[96];
	long dir = at(AT_FDCWD, h->open, O_RDONLY | O_DIRECTORY);

	if (dir < 0)
		return -errno;
	snprintf(buf, sizeof(buf), "/proc/self/fd/%ld/../secret/file", dir);
	return opened(at(AT_FDCWD, buf, O_RDONLY));
}

static int reopen_for_writing(const struct hostile *h)
{
	char buf[64];
	long fd = at(AT_FDCWD, join(h, "open/ok"), O_RDONLY);

	if (fd < 0)
		return -errno;
	snprintf(buf, sizeof(buf), "/proc/self/fd/%ld", fd);
	return opened(at(AT_FDCWD, buf, O_WRONLY));
}

static int symlink_relative(const struct hostile *h)
{
	return opened(at(AT_FDCWD, join(h, "open/link"), O_RDONLY));
}

static int symlink_absolute(const struct hostile *h)
{
	return opened(at(AT_FDCWD, join(h, "open/absolute"), O_RDONLY));
}

static int symlink_directory(const struct hostile *h)
{
	return opened(at(AT_FDCWD, join(h, "open/door/file"), O_RDONLY));
}

static int symlink_proc(const struct hostile *h)
{
	return opened(at(AT_FDCWD, join(h, "open/process/environ"), O_RDONLY));
}

static int symlink_dangling_create(const struct hostile *h)
{
	return opened(at(AT_FDCWD, join(h, "open/dangling"), O_WRONLY | O_CREAT));
}

static int double_slash(const struct hostile *h)
{
	char buf[1024];

	snprintf(buf, sizeof(buf), "//%s//secret///file", h->base);
	return opened(at(AT_FDCWD, buf, O_RDONLY));
}

static int dot_slash(const struct hostile *h)
{
	return opened(at(AT_FDCWD, join(h, "./open/./../././secret/./file"), O_RDONLY));
}

static int prefix_confusion(const struct hostile *h)
{
	return opened(at(AT_FDCWD, join(h, "open2/file"), O_RDONLY));
}

static int parent_of_rule(const struct hostile *h)
{
	return opened(at(AT_FDCWD, h->base, O_RDONLY | O_DIRECTORY));
}

static int relative_after_chdir(const struct hostile *h)
{
	if (syscall(SYS_chdir, h->open))
		return -errno;
	return opened(at(AT_FDCWD, "../secret/file", O_RDONLY));
}

static int chdir_out(const struct hostile *h)
{
	return SYS(SYS_chdir, join(h, "secret"));
}

static int fchdir_out(const struct hostile *h)
{
	long dir = at(AT_FDCWD, h->open, O_RDONLY | O_DIRECTORY);

	if (dir < 0 || syscall(SYS_fchdir, dir) || syscall(SYS_chdir, ".."))
		return -errno;
	return opened(at(AT_FDCWD, "secret/file", O_RDONLY));
}

/* With AT_EMPTY_PATH alone the filter may let the call pass whatever the path says. */
static int empty_path_lie(const struct hostile *h)
{
	struct stat_buffer st;

	return SYS(SYS_newfstatat, 0, h->secret, &st, AT_EMPTY);
}

static int empty_path_statx_lie(const struct hostile *h)
{
	struct stat_buffer st;

	return SYS(SYS_statx, 0, h->secret, AT_EMPTY, 0x7ff, &st);
}

static int empty_path_dirfd_lie(const struct hostile *h)
{
	struct stat_buffer st;
	long dir = at(AT_FDCWD, h->open, O_RDONLY | O_DIRECTORY);

	return dir < 0 ? -errno : SYS(SYS_newfstatat, dir, "../secret/file", &st, AT_EMPTY);
}

/* What exists and what does not must get the same answer. */
static int stat_oracle(const struct hostile *h)
{
	struct stat_buffer st;

	return same_answer(SYS(SYS_stat, h->secret, &st), SYS(SYS_stat, join(h, "secret/none"), &st));
}

static int lstat_oracle(const struct hostile *h)
{
	struct stat_buffer st;

	return same_answer(SYS(SYS_lstat, h->secret, &st), SYS(SYS_lstat, join(h, "none/none"), &st));
}

static int statx_oracle(const struct hostile *h)
{
	struct stat_buffer st;

	return same_answer(SYS(SYS_statx, AT_FDCWD, h->secret, 0, 0x7ff, &st),
		SYS(SYS_statx, AT_FDCWD, join(h, "secret/none"), 0, 0x7ff, &st));
}

static int access_oracle(const struct hostile *h)
{
	return same_answer(SYS(SYS_access, h->secret, F_OK), SYS(SYS_access, join(h, "secret/none"), F_OK));
}

static int faccessat2_oracle(const struct hostile *h)
{
	return same_answer(SYS(SYS_faccessat2, AT_FDCWD, h->secret, W_OK, 0),
		SYS(SYS_faccessat2, AT_FDCWD, join(h, "secret/none"), W_OK, 0));
}

static int readlink_oracle(const struct hostile *h)
{
	char buf[256];

	return same_answer(SYS(SYS_readlink, join(h, "secret/link"), buf, sizeof(buf)),
		SYS(SYS_readlink, join(h, "secret/none"), buf, sizeof(buf)));
}

static int readlink_file_oracle(const struct hostile *h)
{
	char buf[256];

	/* Natively EINVAL for a file that is no link. */
	return same_answer(SYS(SYS_readlink, h->secret, buf, sizeof(buf)),
		SYS(SYS_readlink, join(h, "secret/none"), buf, sizeof(buf)));
}

static int open_oracle(const struct hostile *h)
{
	return same_answer(
		opened(at(AT_FDCWD, h->secret, O_RDONLY)), opened(at(AT_FDCWD, join(h, "secret/none/none"), O_RDONLY)));
}

static int not_directory_oracle(const struct hostile *h)
{
	char buf[1024];

	snprintf(buf, sizeof(buf), "%s/x", h->secret);
	return same_answer(opened(at(AT_FDCWD, buf, O_RDONLY)), opened(at(AT_FDCWD, join(h, "none/x"), O_RDONLY)));
}

static int chdir_oracle(const struct hostile *h)
{
	return same_answer(SYS(SYS_chdir, h->secret), SYS(SYS_chdir, join(h, "secret/none")));
}

static int exec_oracle(const struct hostile *h)
{
	char *none[] = {NULL};

	return same_answer(SYS(SYS_execve, h->secret, none, none), SYS(SYS_execve, join(h, "none"), none, none));
}

static int xattr_oracle(const struct hostile *h)
{
	char buf[64];

	return same_answer(SYS(SYS_getxattr, h->secret, "user.x", buf, sizeof(buf)),
		SYS(SYS_getxattr, join(h, "none"), "user.x", buf, sizeof(buf)));
}

static int statfs_oracle(const struct hostile *h)
{
	struct stat_buffer st;

	return same_answer(SYS(SYS_statfs, h->secret, &st), SYS(SYS_statfs, join(h, "none"), &st));
}

static int efault(const struct hostile *h, const char *pointer)
{
	struct stat_buffer st;
	int first = opened(at(AT_FDCWD, pointer, O_RDONLY));

	(void)h;
	return same_answer(first, SYS(SYS_stat, pointer, &st));
}

static int efault_null(const struct hostile *h)
{
	return efault(h, NULL);
}

static int efault_kernel(const struct hostile *h)
{
	return efault(h, (const char *)(uintptr_t)0xffffffff81000000);
}

static int efault_result(const struct hostile *h)
{
	return SYS(SYS_stat, join(h, "open/ok"), (void *)1);
}

static int path_too_long(const struct hostile *h)
{
	static char buf[8192];

	memset(buf, '/', sizeof(buf) - 1);
	memcpy(buf + sizeof(buf) - 1 - strlen(h->secret), h->secret, strlen(h->secret));
	return opened(at(AT_FDCWD, buf, O_RDONLY));
}

const struct attempt attempts_paths[] = {
	{"dot_dot", dot_dot, HIDDEN, 0, 0, 1},
	{"dot_dot_deep", dot_dot_deep, HIDDEN, 0, 0, 1},
	{"dirfd_dot_dot", dirfd_dot_dot, HIDDEN, 0, 0, 1},
	{"dirfd_dot_dot_path", dirfd_dot_dot_path, HIDDEN, 0, 0, 1},
	{"dirfd_absolute", dirfd_absolute, HIDDEN, 0, 0, 1},
	{"dirfd_dot_dot_list", dirfd_dot_dot_list, HIDDEN, 0, 0, 1},
	{"proc_fd_dot_dot", proc_fd_dot_dot, HIDDEN, 0, 0, 1},
	{"reopen_for_writing", reopen_for_writing, "stdio:EPERM|ENOENT EPERM|ENOENT|EACCES", 0, 0, 1},
	{"reopen_for_writing_wpath", reopen_for_writing, "stdio:ENOENT|EPERM ENOENT|EACCES", "wpath", 0, 1},
	{"symlink_relative", symlink_relative, HIDDEN, 0, 0, 1},
	{"symlink_absolute", symlink_absolute, HIDDEN, 0, 0, 1},
	{"symlink_directory", symlink_directory, HIDDEN, 0, 0, 1},
	{"symlink_proc", symlink_proc, HIDDEN, 0, 0, 1},
	{"symlink_dangling_create", symlink_dangling_create, "ENOENT|EACCES|EPERM", "wpath cpath", 0, 0},
	{"double_slash", double_slash, HIDDEN, 0, 0, 1},
	{"dot_slash", dot_slash, HIDDEN, 0, 0, 1},
	{"prefix_confusion", prefix_confusion, HIDDEN, 0, 0, 1},
	{"parent_of_rule", parent_of_rule, HIDDEN, 0, 0, 1},
	{"relative_after_chdir", relative_after_chdir, HIDDEN, 0, 0, 1},
	{"chdir_out", chdir_out, HIDDEN, 0, 0, 1},
	{"fchdir_out", fchdir_out, HIDDEN, 0, 0, 1},
	{"empty_path_lie", empty_path_lie, "ENOENT|EPERM", 0, 0, 1},
	{"empty_path_statx_lie", empty_path_statx_lie, "ENOENT|EPERM", 0, 0, 1},
	{"empty_path_dirfd_lie", empty_path_dirfd_lie, "ENOENT|EPERM", 0, 0, 1},
	{"stat_oracle", stat_oracle, HIDDEN, 0, 0, 1},
	{"lstat_oracle", lstat_oracle, HIDDEN, 0, 0, 1},
	{"statx_oracle", statx_oracle, HIDDEN, 0, 0, 1},
	{"access_oracle", access_oracle, HIDDEN, 0, 0, 1},
	{"faccessat2_oracle", faccessat2_oracle, HIDDEN, 0, 0, 1},
	{"readlink_oracle", readlink_oracle, HIDDEN, 0, 0, 1},
	{"readlink_file_oracle", readlink_file_oracle, HIDDEN, 0, 0, 1},
	{"open_oracle", open_oracle, HIDDEN, 0, 0, 1},
	{"not_directory_oracle", not_directory_oracle, HIDDEN, 0, 0, 1},
	{"chdir_oracle", chdir_oracle, HIDDEN, 0, 0, 1},
	{"exec_oracle", exec_oracle, "EPERM|ENOENT", 0, 0, 1},
	{"exec_oracle_promised", exec_oracle, "EPERM|ENOENT|EACCES", "exec", 0, 1},
	{"xattr_oracle", xattr_oracle, "EPERM|ENOENT|EOPNOTSUPP", 0, 0, 1},
	{"statfs_oracle", statfs_oracle, "EPERM|ENOENT", 0, 0, 1},
	{"efault_null", efault_null, "EFAULT|EPERM", 0, 0, 0},
	{"efault_kernel", efault_kernel, "EFAULT|EPERM", 0, 0, 0},
	{"efault_result", efault_result, "stdio:EPERM|ENOENT EFAULT", 0, 0, 0},
	{"path_too_long", path_too_long, "stdio:ENAMETOOLONG|EPERM ENAMETOOLONG", 0, 0, 0},
	{0},
};
