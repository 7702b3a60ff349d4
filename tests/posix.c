/* SPDX-License-Identifier: ISC */
/*
 * posix DIR OTHER [GROUP...]: the suite of posix.h, in a new directory DIR/posix; this file owns its fixtures and its
 * words. OTHER is a second directory, of DIR's file system or not. Runs as any program: natively or as a target.
 */
#include "tests/posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int base;
const char *base_path, *other_path;
bool is_root;
unsigned posix_failed;

static const struct posix_group groups[] = {
	{"matrix", posix_matrix},
	{"names", posix_names},
	{"rename", posix_rename},
	{"modes", posix_modes},
	{"open", posix_open},
	{"openat2", posix_openat2},
	{"descriptors", posix_descriptors},
	{"directories", posix_directories},
	{"times", posix_times},
	{"stat", posix_stat},
	{"cwd", posix_cwd},
	{"fifo", posix_fifo},
	{"children", posix_children},
	{"threads", posix_threads},
	{"xattr", posix_xattr},
};

static const struct {
	int value;
	const char *name;
} errnos[] = {
#define E(name)                                                                                                        \
	{                                                                                                              \
		name, #name                                                                                            \
	}
	E(EPERM),
	E(ENOENT),
	E(EINTR),
	E(EIO),
	E(ENXIO),
	E(E2BIG),
	E(ENOEXEC),
	E(EBADF),
	E(ECHILD),
	E(EAGAIN),
	E(ENOMEM),
	E(EACCES),
	E(EFAULT),
	E(EBUSY),
	E(EEXIST),
	E(EXDEV),
	E(ENODEV),
	E(ENOTDIR),
	E(EISDIR),
	E(EINVAL),
	E(ENFILE),
	E(EMFILE),
	E(ENOTTY),
	E(ETXTBSY),
	E(EFBIG),
	E(ENOSPC),
	E(ESPIPE),
	E(EROFS),
	E(EMLINK),
	E(EPIPE),
	E(ERANGE),
	E(ENAMETOOLONG),
	E(ENOSYS),
	E(ENOTEMPTY),
	E(ELOOP),
	E(ENODATA),
	E(EOVERFLOW),
	E(EOPNOTSUPP),
#undef E
};

const char *errno_name(long value, char buf[32])
{
	for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++)
		if (value == -errnos[i].value)
			return errnos[i].name;
	snprintf(buf, 32, "%ld", value);
	return buf;
}

bool want(long got, long wanted, const char *format, ...)
{
	char name[256], one[32], two[32];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	if (got == wanted) {
		printf("ok %s\n", name);
	} else {
		posix_failed++;
		printf("not ok %s: %s, wanted %s\n", name, errno_name(got, one), errno_name(wanted, two));
	}
	return got == wanted;
}

bool yes(bool good, const char *format, ...)
{
	char name[256];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	posix_failed += !good;
	printf("%s %s\n", good ? "ok" : "not ok", name);
	return good;
}

void without(const char *why, const char *format, ...)
{
	char name[256];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	printf("skip %s: %s\n", name, why);
}

void die(const char *what)
{
	char buf[32];
	long e = -(long)errno;

	printf("not ok fixture %s: %s\n", what, errno_name(e, buf));
	fflush(stdout);
	_exit(2);
}

void make_file(const char *path, const char *content, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content) || fchmod(fd, mode) != 0 ||
		close(fd) != 0)
		die(path);
}

void make_dir(const char *path, mode_t mode)
{
	mode_t old = umask(0);

	if (mkdir(path, mode) != 0)
		die(path);
	umask(old);
}

void make_link(const char *to, const char *path)
{
	if (symlink(to, path) != 0)
		die(path);
}

/* By descriptors, so that no depth of directories is too deep for a path. */
static void empty_dir(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		die(name);
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, entry->d_name, 0) == 0)
			continue;
		empty_dir(fd, entry->d_name);
		if (unlinkat(fd, entry->d_name, AT_REMOVEDIR) != 0)
			die(entry->d_name);
		rewinddir(dir);
	}
	closedir(dir);
}

void remove_tree(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return;
	if (S_ISDIR(st.st_mode)) {
		if (rmdir(path) == 0)
			return;
		empty_dir(AT_FDCWD, path);
		if (rmdir(path) != 0)
			die(path);
	} else if (unlink(path) != 0) {
		die(path);
	}
}

void fixture(const char *path)
{
	if (fchdir(base) != 0)
		die("base");
	remove_tree(path);
	make_dir(path, 0755);
	if (chdir(path) != 0)
		die(path);
}

long mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) != 0 ? -(long)errno : (long)(st.st_mode & 07777);
}

long links_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) != 0 ? -(long)errno : (long)st.st_nlink;
}

long size_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) != 0 ? -(long)errno : (long)st.st_size;
}

long kind_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) != 0 ? -(long)errno : (long)(st.st_mode & S_IFMT);
}

long content_is(const char *path, const char *content)
{
	char buf[4096];
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
	long error = -(long)errno;

	if (fd >= 0)
		close(fd);
	return n < 0 ? error : (size_t)n == strlen(content) && memcmp(buf, content, (size_t)n) == 0;
}

long count_open(void)
{
	long count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

void pause_ms(unsigned ms)
{
	struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

static bool chosen(const char *name, char *const argv[])
{
	bool none = !argv[0];

	for (; *argv; argv++)
		if (strcmp(*argv, name) == 0)
			return true;
	return none;
}

int main(int argc, char *argv[])
{
	if (argc < 3) {
		fprintf(stderr, "usage: posix DIR OTHER [GROUP...]\n");
		return 2;
	}
	base_path = argv[1];
	other_path = argv[2];
	is_root = geteuid() == 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(022);
	if (chdir(base_path) != 0)
		die(base_path);
	remove_tree("posix");
	make_dir("posix", 0755);
	base = open("posix", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		die("posix");
	long before = count_open();
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (!chosen(groups[i].name, argv + 3))
			continue;
		if (fchdir(base) != 0)
			die("base");
		umask(022);
		groups[i].run();
	}
	want(count_open(), before, "end: no descriptor is left open");
	return posix_failed != 0;
}
