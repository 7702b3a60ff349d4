/* SPDX-License-Identifier: ISC */
/* Every call that takes a path, by a number. */
#ifndef AIRLOCK_TESTS_UNVEIL_H
#define AIRLOCK_TESTS_UNVEIL_H

enum call {
	OPEN,
	OPEN_W,
	OPEN_RW_CREAT,
	OPEN_EXCL,
	OPEN_TRUNC,
	OPEN_DIR,
	OPEN_NOFOLLOW,
	OPEN_PATH,
	OPEN_PATH_NOFOLLOW,
	OPEN_TMPFILE,
	OPEN_ACC3,
	OPEN2,
	OPEN2_BENEATH,
	OPEN2_ROOT,
	OPEN2_NOSYM,
	OPEN2_CACHED,
	STAT,
	LSTAT,
	STATX,
	STAT_EMPTY,
	ACCESS_F,
	ACCESS_R,
	ACCESS_W,
	ACCESS_X,
	ACCESS_NOFOLLOW,
	READLINK,
	MKDIR,
	RMDIR,
	UNLINK,
	RENAME_FROM,
	RENAME_TO,
	RENAME_EXCH,
	RENAME_NOREPL,
	LINK_FROM,
	LINK_TO,
	LINK_FOLLOW,
	SYMLINK_TO,
	CHMOD,
	CHMOD_NOFOLLOW,
	CHOWN,
	UTIMES,
	TRUNCATE,
	GETXATTR,
	SETXATTR,
	LISTXATTR,
	REMOVEXATTR,
	WATCH,
	CHDIR,
	STATFS,
	MKNOD,
	MKFIFO,
	CHROOT,
	EXECVE,
	CALLS
};

extern const char *const call_names[CALLS];
extern char spare[300]; /* beside a path, those that need two use this one, which is there */
extern unsigned calls_made;
/* The errno, or 0. Relative to "open", a directory where things may be made. */
int call(enum call c, const char *path);
#endif
