/* SPDX-License-Identifier: ISC */
/* Hostile ways to modes, owners, times, attributes, names and watches that the rule does not give: by links, by
 * descriptors that are only for reading, by /proc, and by the answers alone. Runs in the target. */
#include "tests/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#define FATTR "fattr"
#define ALL "fattr chown wpath cpath dpath"
/* With nothing unveiled the file cannot be opened; with a rule that reads, it may not be changed. */
#define READ_ONLY "stdio:EPERM|ENOENT EACCES"
#define HIDDEN "stdio:EPERM|ENOENT ENOENT"

static const struct timespec then[2] = {{1, 0}, {1, 0}};

static long reading(const struct hostile *h)
{
	return syscall(SYS_openat, AT_FDCWD, join(h, "open/ok"), O_RDONLY, 0);
}

/* The descriptor's name in /proc, or NULL and errno. */
static const char *name_of(long fd)
{
	static char name[40];

	snprintf(name, sizeof(name), "/proc/self/fd/%ld", fd);
	return fd < 0 ? NULL : name;
}
#define BY_NAME(h, call)                                                                                               \
	const char *name = name_of(reading(h));                                                                        \
	return name ? call : -errno

static int mode_through_link(const struct hostile *h)
{
	return SYS(SYS_fchmodat, AT_FDCWD, join(h, "open/link"), 0600);
}

static int mode_by_name(const struct hostile *h)
{
	BY_NAME(h, SYS(SYS_fchmodat, AT_FDCWD, name, 0600));
}

static int mode_by_empty_path(const struct hostile *h)
{
	long fd = reading(h);

	return fd < 0 ? -errno : SYS(SYS_fchmodat2, fd, "", 0600, 0x1000);
}

static int mode_by_descriptor(const struct hostile *h)
{
	long fd = reading(h);

	return fd < 0 ? -errno : SYS(SYS_fchmod, fd, 0600);
}

static int mode_of_here(const struct hostile *h)
{
	(void)h;
	return SYS(SYS_fchmodat2, AT_FDCWD, "", 0700, 0x1000);
}

static int mode_of_proc(const struct hostile *h)
{
	(void)h;
	return SYS(SYS_fchmodat, AT_FDCWD, "/proc/sys/kernel/ostype", 0444);
}

/* Of a file that it holds open for writing: only the bits that are no gain. */
static int mode_set_id(const struct hostile *h)
{
	struct stat st;

	(void)h;
	if (syscall(SYS_fchmodat, AT_FDCWD, "/proc/self/fd/0", 06755) || syscall(SYS_fstat, 0, &st))
		return -errno;
	return st.st_mode & 06000 ? 0 : HELD;
}

static int owner_through_link(const struct hostile *h)
{
	return SYS(SYS_fchownat, AT_FDCWD, join(h, "open/absolute"), 1, 1, 0);
}

static int owner_by_name(const struct hostile *h)
{
	BY_NAME(h, SYS(SYS_fchownat, AT_FDCWD, name, 1, 1, 0));
}

static int owner_by_descriptor(const struct hostile *h)
{
	long fd = reading(h);

	return fd < 0 ? -errno : SYS(SYS_fchown, fd, -1, 1);
}

/* No rule shows it: the promise chown is not about it. */
static int owner_of_stdin(const struct hostile *h)
{
	(void)h;
	return SYS(SYS_fchown, 0, 1, 1);
}

static int times_through_link(const struct hostile *h)
{
	return SYS(SYS_utimensat, AT_FDCWD, join(h, "open/door/file"), then, 0);
}

static int times_by_name(const struct hostile *h)
{
	BY_NAME(h, SYS(SYS_utimensat, AT_FDCWD, name, then, 0));
}

static int size_through_link(const struct hostile *h)
{
	return SYS(SYS_truncate, join(h, "open/link"), 0);
}

static int size_by_name(const struct hostile *h)
{
	BY_NAME(h, SYS(SYS_truncate, name, 0));
}

static int attribute_by_name(const struct hostile *h)
{
	BY_NAME(h, SYS(SYS_setxattr, name, "user.hostile", "x", 1, 0));
}

static int attribute_by_descriptor(const struct hostile *h)
{
	long fd = reading(h);

	return fd < 0 ? -errno : SYS(SYS_fsetxattr, fd, "user.hostile", "x", 1, 0);
}

/* cap_setuid+ep, for whoever executes the file. */
static int attribute_capability(const struct hostile *h)
{
	static const unsigned char caps[20] = {1, 0, 0, 2, 0x80};

	(void)h;
	return SYS(SYS_fsetxattr, 0, "security.capability", caps, sizeof(caps), 0);
}

static int attribute_trusted(const struct hostile *h)
{
	(void)h;
	return SYS(SYS_setxattr, "/proc/self/fd/0", "trusted.overlay.opaque", "y", 1, 0);
}

static int attribute_of_hidden(const struct hostile *h)
{
	char buf[64];

	return SYS(SYS_listxattr, join(h, "open/link"), buf, sizeof(buf));
}

static int link_through_link(const struct hostile *h)
{
	return SYS(SYS_linkat, AT_FDCWD, join(h, "open/link"), AT_FDCWD, join(h, "open/hard"), AT_SYMLINK_FOLLOW);
}

static int link_descriptor_out(const struct hostile *h)
{
	BY_NAME(h, SYS(SYS_linkat, AT_FDCWD, name, AT_FDCWD, join(h, "secret/hard"), AT_SYMLINK_FOLLOW));
}

static int link_descriptor_in_rule(const struct hostile *h)
{
	BY_NAME(h, SYS(SYS_linkat, AT_FDCWD, name, AT_FDCWD, join(h, "open/hard"), AT_SYMLINK_FOLLOW));
}

static int link_through_directory(const struct hostile *h)
{
	return SYS(SYS_symlinkat, "x", AT_FDCWD, join(h, "open/door/soft"));
}

static int whiteout(const struct hostile *h)
{
	return SYS(SYS_mknodat, AT_FDCWD, join(h, "open/none"), S_IFCHR, 0);
}

static int socket_in_hidden(const struct hostile *h)
{
	return SYS(SYS_mknodat, AT_FDCWD, join(h, "open/dangling"), S_IFSOCK | 0777, 0);
}

static int descriptor_dot_dot(const struct hostile *h)
{
	char path[96];
	long dir = syscall(SYS_openat, AT_FDCWD, h->open, O_RDONLY | O_DIRECTORY, 0);

	if (dir < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%ld/../secret/file", dir);
	return SYS(SYS_truncate, path, 0);
}

static int watched(const struct hostile *h, const char *tail)
{
	long fd = syscall(SYS_inotify_init1, IN_NONBLOCK);

	return fd < 0 ? -errno : SYS(SYS_inotify_add_watch, fd, join(h, tail), IN_ALL_EVENTS);
}

static int watch_through_link(const struct hostile *h)
{
	return watched(h, "open/door");
}

static int watch_parent(const struct hostile *h)
{
	return watched(h, "open/..");
}

static int watch_oracle(const struct hostile *h)
{
	return same_answer(watched(h, "secret/file"), watched(h, "secret/none"));
}

static int change_oracle(const struct hostile *h)
{
	static const char *const tails[2] = {"secret/file", "secret/none"};
	int answers[2][6];

	for (int i = 0; i < 2; i++) {
		answers[i][0] = SYS(SYS_fchmodat, AT_FDCWD, join(h, tails[i]), 0600);
		answers[i][1] = SYS(SYS_fchownat, AT_FDCWD, join(h, tails[i]), -1, -1, 0);
		answers[i][2] = SYS(SYS_utimensat, AT_FDCWD, join(h, tails[i]), then, 0);
		answers[i][3] = SYS(SYS_truncate, join(h, tails[i]), 0);
		answers[i][4] = SYS(SYS_mknodat, AT_FDCWD, join(h, tails[i]), S_IFREG | 0600, 0);
		answers[i][5] = SYS(SYS_linkat, AT_FDCWD, join(h, tails[i]), AT_FDCWD, join(h, tails[i]), 0);
	}
	for (int k = 0; k < 6; k++)
		if (!same_answer(answers[0][k], answers[1][k]))
			return 0;
	return answers[0][0];
}

const struct attempt attempts_attr[] = {
	{"mode_through_link", mode_through_link, HIDDEN, FATTR, 0, 1},
	{"mode_by_name", mode_by_name, READ_ONLY, FATTR, 0, 1},
	{"mode_by_empty_path", mode_by_empty_path, READ_ONLY, FATTR, 0, 1},
	{"mode_by_descriptor", mode_by_descriptor, READ_ONLY, FATTR, 0, 1},
	{"mode_of_here", mode_of_here, "EPERM|ENOENT", FATTR, 0, 0},
	{"mode_of_proc", mode_of_proc, "EPERM|ENOENT", FATTR, 0, 0},
	{"mode_set_id", mode_set_id, "stdio:EPERM HELD", FATTR, 0, 1},
	{"owner_through_link", owner_through_link, HIDDEN, ALL, 0, 1},
	{"owner_by_name", owner_by_name, READ_ONLY, ALL, 0, 1},
	{"owner_by_descriptor", owner_by_descriptor, READ_ONLY, ALL, 0, 1},
	{"owner_of_stdin", owner_of_stdin, "EPERM", ALL, 0, 1},
	{"times_through_link", times_through_link, HIDDEN, FATTR, 0, 1},
	{"times_by_name", times_by_name, READ_ONLY, FATTR, 0, 1},
	{"size_through_link", size_through_link, HIDDEN, ALL, 0, 1},
	{"size_by_name", size_by_name, READ_ONLY, ALL, 0, 1},
	{"attribute_by_name", attribute_by_name, READ_ONLY, FATTR, 0, 1},
	{"attribute_by_descriptor", attribute_by_descriptor, READ_ONLY, FATTR, 0, 1},
	{"attribute_capability", attribute_capability, "EPERM", FATTR, 0, 1},
	{"attribute_trusted", attribute_trusted, "EPERM", FATTR, 0, 1},
	{"attribute_of_hidden", attribute_of_hidden, HIDDEN, 0, 0, 1},
	{"link_through_link", link_through_link, HIDDEN, ALL, 0, 1},
	{"link_descriptor_out", link_descriptor_out, HIDDEN, ALL, 0, 1},
	{"link_descriptor_in_rule", link_descriptor_in_rule, READ_ONLY, ALL, 0, 1},
	{"link_through_directory", link_through_directory, "ENOENT", ALL, 0, 1},
	{"whiteout", whiteout, "stdio:ENOENT EACCES|EPERM", ALL, 0, 1},
	{"socket_in_hidden", socket_in_hidden, "ENOENT|EEXIST|EACCES", ALL, 0, 0},
	{"descriptor_dot_dot", descriptor_dot_dot, HIDDEN, ALL, 0, 1},
	{"watch_through_link", watch_through_link, HIDDEN, 0, 0, 1},
	{"watch_parent", watch_parent, HIDDEN, 0, 0, 1},
	{"watch_oracle", watch_oracle, "EPERM|ENOENT", 0, 0, 1},
	{"change_oracle", change_oracle, "EPERM|ENOENT", ALL, 0, 1},
	{0},
};
