/* SPDX-License-Identifier: ISC */
/* Hostile attempts to change files, names and attributes of what is not the target's. Runs in the target. */
#include "tests/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
/* Refused for the want of a promise, or because what is asked for is hidden. */
#define NO "EPERM|ENOENT"
#define HIDDEN "stdio:EPERM|ENOENT ENOENT"

static int creat_private(const struct hostile *h)
{
	return opened(syscall(SYS_creat, join(h, "secret/new"), 0666));
}

static int create_at_root(const struct hostile *h)
{
	(void)h;
	return opened(syscall(SYS_openat, AT_FDCWD, "/airlock-hostile", O_WRONLY | O_CREAT | O_EXCL, 0666));
}

static int create_beside(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, join(h, "open/../new"), O_WRONLY | O_CREAT, 0666));
}

static int create_in_rule(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, join(h, "open/new"), O_WRONLY | O_CREAT, 0666));
}

static int temporary_file(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, join(h, "secret"), O_TMPFILE | O_RDWR, 0600));
}

static int temporary_file_in_rule(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, h->open, O_TMPFILE | O_RDWR, 0600));
}

static int open_for_writing(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, join(h, "open/ok"), O_WRONLY));
}

/* O_RDONLY that empties the file. */
static int open_truncate(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, join(h, "open/ok"), O_RDONLY | O_TRUNC));
}

static int open_accmode_three(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, join(h, "open/ok"), 3));
}

static int openat2_create(const struct hostile *h)
{
	struct open_how how = {.flags = O_WRONLY | O_CREAT, .mode = 0666};

	return opened(syscall(SYS_openat2, AT_FDCWD, join(h, "secret/new"), &how, sizeof(how)));
}

static int mkdir_out(const struct hostile *h)
{
	return SYS(SYS_mkdir, join(h, "secret/newdir"), 0777);
}

static int mkdir_in_rule(const struct hostile *h)
{
	return SYS(SYS_mkdirat, AT_FDCWD, join(h, "open/newdir"), 0777);
}

static int rmdir_out(const struct hostile *h)
{
	return SYS(SYS_rmdir, join(h, "secret/dir"));
}

static int unlink_out(const struct hostile *h)
{
	return SYS(SYS_unlink, h->secret);
}

static int unlinkat_in_rule(const struct hostile *h)
{
	return SYS(SYS_unlinkat, AT_FDCWD, join(h, "open/ok"), 0);
}

static int rename_out(const struct hostile *h)
{
	return SYS(SYS_rename, h->secret, join(h, "secret/moved"));
}

static int rename_into_rule(const struct hostile *h)
{
	return SYS(SYS_renameat, AT_FDCWD, h->secret, AT_FDCWD, join(h, "open/moved"));
}

static int rename_from_rule(const struct hostile *h)
{
	return SYS(SYS_renameat2, AT_FDCWD, join(h, "open/ok"), AT_FDCWD, join(h, "secret/moved"), 0);
}

static int rename_exchange(const struct hostile *h)
{
	return SYS(SYS_renameat2, AT_FDCWD, join(h, "open/ok"), AT_FDCWD, h->secret, 2);
}

static int link_into_rule(const struct hostile *h)
{
	return SYS(SYS_link, h->secret, join(h, "open/hard"));
}

static int linkat_in_rule(const struct hostile *h)
{
	return SYS(SYS_linkat, AT_FDCWD, join(h, "open/ok"), AT_FDCWD, join(h, "open/hard"), 0);
}

static int linkat_descriptor(const struct hostile *h)
{
	return SYS(SYS_linkat, 0, "", AT_FDCWD, join(h, "open/hard"), AT_EMPTY_PATH);
}

static int symlink_in_rule(const struct hostile *h)
{
	return SYS(SYS_symlink, h->secret, join(h, "open/soft"));
}

static int symlinkat_out(const struct hostile *h)
{
	return SYS(SYS_symlinkat, "x", AT_FDCWD, join(h, "secret/soft"));
}

static int chmod_out(const struct hostile *h)
{
	return SYS(SYS_chmod, h->secret, 0600);
}

static int chmod_in_rule(const struct hostile *h)
{
	return SYS(SYS_fchmodat, AT_FDCWD, join(h, "open/ok"), 0600);
}

static int fchmodat2_out(const struct hostile *h)
{
	return SYS(SYS_fchmodat2, AT_FDCWD, h->secret, 0600, 0);
}

/* The bits may be asked for; they do not come. */
static int fchmod_setuid(const struct hostile *h)
{
	struct stat st;

	(void)h;
	if (syscall(SYS_fchmod, 0, 06777) || syscall(SYS_fstat, 0, &st))
		return -errno;
	return st.st_mode & 06000 ? 0 : HELD;
}

static int chown_out(const struct hostile *h)
{
	return SYS(SYS_chown, h->secret, 1, 1);
}

static int fchownat_in_rule(const struct hostile *h)
{
	return SYS(SYS_fchownat, AT_FDCWD, join(h, "open/ok"), 1, 1, 0);
}

static int fchown_stdin(const struct hostile *h)
{
	(void)h;
	return SYS(SYS_fchown, 0, 1, 1);
}

static int truncate_out(const struct hostile *h)
{
	return SYS(SYS_truncate, h->secret, 0);
}

static int truncate_in_rule(const struct hostile *h)
{
	return SYS(SYS_truncate, join(h, "open/ok"), 0);
}

static int utimes_out(const struct hostile *h)
{
	struct timeval times[2] = {{1, 0}, {1, 0}};

	return SYS(SYS_utimes, h->secret, times);
}

static int utimensat_in_rule(const struct hostile *h)
{
	struct timespec times[2] = {{1, 0}, {1, 0}};

	return SYS(SYS_utimensat, AT_FDCWD, join(h, "open/ok"), times, 0);
}

static int setxattr_out(const struct hostile *h)
{
	return SYS(SYS_setxattr, h->secret, "user.hostile", "x", 1, 0);
}

static int fsetxattr_stdin(const struct hostile *h)
{
	(void)h;
	return SYS(SYS_fsetxattr, 0, "security.capability", "x", 1, 0);
}

static int removexattr_out(const struct hostile *h)
{
	return SYS(SYS_removexattr, h->secret, "user.hostile");
}

static int mknod_fifo(const struct hostile *h)
{
	return SYS(SYS_mknod, join(h, "open/fifo"), S_IFIFO | 0666, 0);
}

static int mknod_device(const struct hostile *h)
{
	return SYS(SYS_mknodat, AT_FDCWD, join(h, "open/device"), S_IFCHR | 0666, 0x103);
}

static int handle_of_hidden(const struct hostile *h)
{
	char handle[136] = {120, 0, 0, 0};
	int mount;

	return SYS(SYS_name_to_handle_at, AT_FDCWD, h->secret, handle, &mount, 0);
}

static int handle_open(const struct hostile *h)
{
	char handle[136] = {8, 0, 0, 0, 1, 0, 0, 0, 2};

	(void)h;
	return SYS(SYS_open_by_handle_at, 0, handle, O_RDONLY);
}

static int inotify_hidden(const struct hostile *h)
{
	long fd = syscall(SYS_inotify_init1, IN_NONBLOCK);

	return fd < 0 ? -errno : SYS(SYS_inotify_add_watch, fd, join(h, "secret"), IN_ALL_EVENTS);
}

static int fanotify(const struct hostile *h)
{
	(void)h;
	return SYS(SYS_fanotify_init, 0, O_RDONLY);
}

const struct attempt attempts_change[] = {
	{"creat_private", creat_private, NO, 0, 0, 1},
	{"creat_private_cpath", creat_private, "ENOENT", "wpath cpath", 0, 1},
	{"create_at_root", create_at_root, "ENOENT|EACCES", "wpath cpath", 0, 0},
	{"create_beside", create_beside, "ENOENT|EACCES", "wpath cpath", 0, 1},
	{"create_in_rule", create_in_rule, "stdio:ENOENT EACCES", "wpath cpath", 0, 1},
	{"temporary_file", temporary_file, "stdio:ENOENT|EPERM ENOENT", "wpath cpath", 0, 1},
	{"temporary_file_in_rule", temporary_file_in_rule, "stdio:ENOENT|EPERM EACCES", "wpath cpath", 0, 1},
	{"open_for_writing", open_for_writing, NO, 0, 0, 1},
	{"open_for_writing_wpath", open_for_writing, "stdio:ENOENT EACCES", "wpath", 0, 1},
	{"open_truncate", open_truncate, NO, 0, 0, 1},
	{"open_truncate_wpath", open_truncate, "stdio:ENOENT|EPERM EACCES", "wpath", 0, 1},
	{"open_accmode_three", open_accmode_three, "stdio:ENOENT|EPERM|EINVAL EACCES|EPERM|EINVAL", "wpath", 0, 1},
	{"openat2_create", openat2_create, "ENOENT", "wpath cpath", 0, 1},
	{"mkdir_out", mkdir_out, NO, 0, 0, 1},
	{"mkdir_out_cpath", mkdir_out, "ENOENT", "cpath", 0, 1},
	{"mkdir_in_rule", mkdir_in_rule, "stdio:ENOENT EACCES", "cpath", 0, 1},
	{"rmdir_out_cpath", rmdir_out, "ENOENT", "cpath", 0, 1},
	{"unlink_out", unlink_out, NO, 0, 0, 1},
	{"unlink_out_cpath", unlink_out, "ENOENT", "cpath", 0, 1},
	{"unlinkat_in_rule", unlinkat_in_rule, "stdio:ENOENT EACCES", "cpath", 0, 1},
	{"rename_out", rename_out, NO, 0, 0, 1},
	{"rename_out_cpath", rename_out, "ENOENT", "rpath cpath", 0, 1},
	{"rename_into_rule", rename_into_rule, "ENOENT|EACCES", "rpath cpath", 0, 1},
	{"rename_from_rule", rename_from_rule, "ENOENT|EACCES", "rpath cpath", 0, 1},
	{"rename_exchange", rename_exchange, "ENOENT|EACCES", "rpath cpath", 0, 1},
	{"link_into_rule", link_into_rule, "ENOENT|EACCES|EPERM", "cpath", 0, 1},
	{"linkat_in_rule", linkat_in_rule, "ENOENT|EACCES|EPERM", "cpath", 0, 1},
	{"linkat_descriptor", linkat_descriptor, "ENOENT|EACCES|EPERM", "cpath", 0, 1},
	{"symlink_in_rule", symlink_in_rule, "ENOENT|EACCES|EPERM", "cpath", 0, 1},
	{"symlinkat_out", symlinkat_out, "ENOENT|EACCES|EPERM", "cpath", 0, 1},
	{"chmod_out", chmod_out, NO, 0, 0, 1},
	{"chmod_out_fattr", chmod_out, NO, "fattr", 0, 1},
	{"chmod_in_rule", chmod_in_rule, "ENOENT|EACCES|EPERM", "fattr", 0, 1},
	{"fchmodat2_out", fchmodat2_out, "EPERM|ENOENT|ENOSYS", "fattr", 0, 1},
	{"fchmod_setuid", fchmod_setuid, "EPERM", 0, 0, 1},
	{"fchmod_setuid_fattr", fchmod_setuid, "HELD", "fattr", 0, 1},
	{"chown_out", chown_out, NO, "chown", 0, 1},
	{"fchownat_in_rule", fchownat_in_rule, "ENOENT|EACCES|EPERM", "chown", 0, 1},
	{"fchown_stdin", fchown_stdin, "EPERM", 0, 0, 1},
	{"truncate_out", truncate_out, NO, "wpath", 0, 1},
	{"truncate_in_rule", truncate_in_rule, "ENOENT|EACCES|EPERM", "wpath", 0, 1},
	{"utimes_out", utimes_out, NO, "fattr", 0, 1},
	{"utimensat_in_rule", utimensat_in_rule, "ENOENT|EACCES|EPERM", "fattr", 0, 1},
	{"setxattr_out", setxattr_out, "EPERM|ENOENT", "fattr", 0, 1},
	{"fsetxattr_stdin", fsetxattr_stdin, "EPERM", "fattr", 0, 0},
	{"removexattr_out", removexattr_out, "EPERM|ENOENT", "fattr", 0, 0},
	{"mknod_fifo", mknod_fifo, NO, 0, 0, 1},
	{"mknod_fifo_dpath", mknod_fifo, "ENOENT|EACCES|EPERM", "dpath", 0, 1},
	{"mknod_device", mknod_device, "ENOENT|EACCES|EPERM", "dpath", 0, 1},
	{"handle_of_hidden", handle_of_hidden, "EPERM", 0, 0, 0},
	{"handle_open", handle_open, "EPERM", 0, 0, 0},
	{"inotify_hidden", inotify_hidden, "EPERM|ENOENT", 0, 0, 1},
	{"fanotify", fanotify, "EPERM", 0, 0, 1},
	{0},
};
