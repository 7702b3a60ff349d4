/* SPDX-License-Identifier: ISC */
/* The rows of the race tests that open. Runs in a target. */
#include "tests/race_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_with(const char *directory, bool only, int flags)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	const char *path = race_in(0, directory,
		flags & O_DIRECTORY ? only ? "onlydir" : "dir"
		: writes            ? only ? "onlyvictim" : "victim"
		: only              ? "onlyfile"
				    : "file");

	return race_got(open(path, flags | O_CLOEXEC, 0644), path, only);
}

int race_open_read(const char *directory, bool only)
{
	return open_with(directory, only, O_RDONLY);
}

int race_open_write(const char *directory, bool only)
{
	return open_with(directory, only, O_RDWR);
}

int race_open_truncate(const char *directory, bool only)
{
	return open_with(directory, only, O_WRONLY | O_TRUNC);
}

int race_open_read_truncate(const char *directory, bool only)
{
	return open_with(directory, only, O_RDONLY | O_TRUNC);
}

int race_open_directory(const char *directory, bool only)
{
	return open_with(directory, only, O_RDONLY | O_DIRECTORY);
}

int race_open_path(const char *directory, bool only)
{
	return open_with(directory, only, O_PATH);
}

int race_open_nofollow(const char *directory, bool only)
{
	return open_with(directory, only, O_RDONLY | O_NOFOLLOW);
}

int race_open_create(const char *directory, bool only)
{
	(void)only;
	const char *path = race_fresh(0, directory);
	return race_got(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644), path, false);
}

int race_open_create_there(const char *directory, bool only)
{
	(void)only;
	const char *path = race_in(0, directory, "victim");
	return race_got(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), path, false);
}

int race_open_exclusive(const char *directory, bool only)
{
	(void)only;
	const char *path = race_fresh(0, directory);
	return race_got(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), path, false);
}

int race_open_temporary(const char *directory, bool only)
{
	const char *path = race_in(0, directory, only ? "onlydir" : "dir");
	int fd = open(path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return race_result(0, path, only);
}

int race_open_how(const char *directory, bool only)
{
	struct open_how how = {.flags = O_RDWR | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
	const char *path = race_in(0, directory, only ? "onlyvictim" : "victim");

	return race_got((int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)), path, only);
}

/* By a directory's descriptor, and with a "..". */
int race_open_below(const char *directory, bool only)
{
	const char *path = race_in(0, directory, "dir");
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return -errno;
	int fd = openat(dir, only ? "../onlyfile" : "../file", O_RDONLY | O_CLOEXEC), e = errno;
	close(dir);
	errno = e;
	return race_got(fd, path, only);
}
