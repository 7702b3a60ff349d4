/* SPDX-License-Identifier: ISC */
/* The rows of the race tests that make, remove and change. Runs in a target. */
#include "tests/race_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- making and removing ---- */

int race_make_directory(const char *directory, bool only)
{
	(void)only;
	const char *path = race_fresh(0, directory);
	return race_result(mkdir(path, 0755), path, false);
}

int race_remove_directory(const char *directory, bool only)
{
	const char *path = only ? race_in(0, directory, "onlydir") : race_fresh(0, directory);

	if (!only && mkdir(path, 0755))
		return -errno;
	return race_result(rmdir(path), path, only);
}

int race_unlink_file(const char *directory, bool only)
{
	const char *path = only ? race_in(0, directory, "onlyvictim") : race_fresh(0, directory);
	int fd = only ? -1 : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (!only && fd < 0)
		return -errno;
	close(fd);
	return race_result(unlink(path), path, only);
}

int race_rename_out(const char *directory, bool only)
{
	const char *path = only ? race_in(0, directory, "onlyvictim") : race_fresh(0, directory);
	int fd = only ? -1 : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (!only && fd < 0)
		return -errno;
	close(fd);
	return race_result(rename(path, race_aside()), path, only);
}

/* A new file takes the place of an old one: content of what is replaced must not be the victim. */
int race_rename_in(const char *directory, bool only)
{
	const char *from = race_aside();
	int fd = open(from, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	(void)only;
	if (fd < 0)
		return -errno;
	if (write(fd, RACE_HONEST, sizeof(RACE_HONEST) - 1) < 0)
		return -errno;
	close(fd);
	const char *to = race_in(0, directory, "victim");
	int e = race_result(rename(from, to), to, false);
	if (e)
		unlink(from);
	return e;
}

int race_rename_within(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyvictim" : "victim");
	const char *to = race_in(1, directory, "victim");

	if (!only) {
		path = race_fresh(0, directory);
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			return -errno;
		close(fd);
	}
	return race_result(rename(path, to), path, only);
}

int race_rename_exchange(const char *directory, bool only)
{
	const char *from = race_aside(), *to = race_in(0, directory, only ? "onlyvictim" : "victim");
	int fd = open(from, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	if (write(fd, RACE_HONEST, sizeof(RACE_HONEST) - 1) < 0)
		return -errno;
	close(fd);
	int e = race_result(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 2u /* RENAME_EXCHANGE */), to, only);
	struct stat st;
	if (e <= 0 && !lstat(from, &st) && (race_is_secret(&st) || race_is_readable(&st)))
		e = race_escape("%s was exchanged", to);
	unlink(from);
	return e;
}

static int link_with(const char *directory, bool only, int flags)
{
	const char *path = race_in(0, directory, only ? "onlyfile" : "file"), *to = race_aside();
	struct stat st;

	if (linkat(AT_FDCWD, path, AT_FDCWD, to, flags))
		return -errno;
	int e = race_result(0, path, only);
	if (!e && !lstat(to, &st) && (race_is_secret(&st) || race_is_readable(&st)))
		e = race_escape("%s was linked", path);
	unlink(to);
	return e;
}

int race_link_out(const char *directory, bool only)
{
	return link_with(directory, only, 0);
}

int race_link_out_followed(const char *directory, bool only)
{
	return link_with(directory, only, AT_SYMLINK_FOLLOW);
}

int race_link_in(const char *directory, bool only)
{
	static char from[300];

	(void)only;
	snprintf(from, sizeof(from), "%s/A/calm/file", race->base);
	const char *to = race_fresh(0, directory);
	int e = race_result(link(from, to), to, false);
	if (!e)
		unlink(to); /* so that it does not reach the most links that a file may have */
	return e;
}

int race_make_symlink(const char *directory, bool only)
{
	(void)only;
	const char *path = race_fresh(0, directory);
	return race_result(symlink("nowhere", path), path, false);
}

int race_make_fifo(const char *directory, bool only)
{
	(void)only;
	const char *path = race_fresh(0, directory);
	return race_result(mknod(path, S_IFIFO | 0600, 0), path, false);
}

int race_make_regular(const char *directory, bool only)
{
	(void)only;
	const char *path = race_fresh(0, directory);
	return race_result(mknod(path, S_IFREG | 0600, 0), path, false);
}

/* ---- attributes ---- */

int race_change_mode(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyvictim" : "victim");

	return race_result(chmod(path, race->next_name++ % 2 ? 0644 : 0664), path, only);
}

int race_change_owner(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyvictim" : "victim");

	return race_result(chown(path, getuid(), getgid()), path, only);
}

int race_change_times(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyvictim" : "victim");

	return race_result(utimensat(AT_FDCWD, path, NULL, 0), path, only);
}

int race_change_size(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyvictim" : "victim");

	return race_result(truncate(path, 3), path, only);
}

int race_change_attribute(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyvictim" : "victim");

	return race_result(setxattr(path, "user.race", "x", 1, 0), path, only);
}

int race_remove_attribute(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlyvictim" : "victim");

	if (!only && setxattr(path, "user.race", "x", 1, 0))
		return -errno;
	return race_result(removexattr(path, only ? RACE_MARK_ATTRIBUTE : "user.race"), path, only);
}
