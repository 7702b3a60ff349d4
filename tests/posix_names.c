/* SPDX-License-Identifier: ISC */
/* Making and removing names: what is made, with which mode under which umask, and how many links it has. */
#include "tests/posix.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long by_open(const char *p, mode_t mode)
{
	long fd = RAW(openat, AT_FDCWD, p, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);

	return fd < 0 ? fd : R(close((int)fd));
}

static long by_openat2(const char *p, mode_t mode)
{
	struct open_how how = {.flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, .mode = mode};
	long fd = RAW(openat2, AT_FDCWD, p, &how, sizeof(how));

	return fd < 0 ? fd : R(close((int)fd));
}

static long by_creat(const char *p, mode_t mode)
{
	long fd = R(creat(p, mode));

	return fd < 0 ? fd : R(close((int)fd));
}

static long by_mkdir(const char *p, mode_t mode)
{
	return R(mkdir(p, mode));
}

static long by_mkfifo(const char *p, mode_t mode)
{
	return R(mkfifo(p, mode));
}

static long by_mknod(const char *p, mode_t mode)
{
	return R(mknod(p, S_IFREG | mode, 0));
}

static long by_mksock(const char *p, mode_t mode)
{
	return R(mknod(p, S_IFSOCK | mode, 0));
}

static long by_symlink(const char *p, mode_t mode)
{
	(void)mode;
	return R(symlink("to", p));
}

static const struct {
	const char *name;
	long (*make)(const char *p, mode_t mode);
	mode_t kind, keeps; /* of the mode that is asked for */
} makers[] = {
	{"open", by_open, S_IFREG, 07777},
	{"openat2", by_openat2, S_IFREG, 07777},
	{"creat", by_creat, S_IFREG, 07777},
	{"mkdir", by_mkdir, S_IFDIR, 01777},
	{"mkfifo", by_mkfifo, S_IFIFO, 07777},
	{"mknod file", by_mknod, S_IFREG, 07777},
	{"mknod socket", by_mksock, S_IFSOCK, 07777},
	{"symlink", by_symlink, S_IFLNK, 0},
};

static void modes_and_umasks(void)
{
	static const mode_t umasks[] = {0, 022, 077, 0777, 0137, 0700};
	static const mode_t modes[] = {0777, 0666, 0600, 0, 01755, 0541};

	for (size_t m = 0; m < sizeof(makers) / sizeof(makers[0]); m++) {
		for (size_t i = 0; i < sizeof(umasks) / sizeof(umasks[0]); i++) {
			mode_t asked = modes[(i + m) % 6], mask = umasks[i];
			mode_t mode = makers[m].kind == S_IFLNK ? 0777 : asked & makers[m].keeps & ~mask;
			umask(mask);
			long got = makers[m].make("made", asked);
			umask(022);
			want(got, 0, "names %s 0%o under umask 0%o", makers[m].name, asked, mask);
			want(kind_of("made"), (long)makers[m].kind, "names %s 0%o under umask 0%o: kind",
				makers[m].name, asked, mask);
			want(mode_of("made"), (long)mode, "names %s 0%o under umask 0%o: mode", makers[m].name, asked,
				mask);
			remove_tree("made");
		}
	}
}

static void owners(void)
{
	struct stat st;

	for (size_t m = 0; m < sizeof(makers) / sizeof(makers[0]); m++) {
		long got = makers[m].make("made", 0700);
		want(got, 0, "names %s: made", makers[m].name);
		yes(lstat("made", &st) == 0 && st.st_uid == geteuid() && st.st_gid == getegid(), "names %s: owner",
			makers[m].name);
		want(links_of("made"), makers[m].kind == S_IFDIR ? links_of(".") == 1 ? 1 : 2 : 1, "names %s: links",
			makers[m].name);
		/* creat(2) alone opens what is there. */
		want(makers[m].make("made", 0700), makers[m].make == by_creat ? 0 : -EEXIST, "names %s: twice",
			makers[m].name);
		remove_tree("made");
		want(makers[m].make("none/made", 0700), -ENOENT, "names %s: no parent", makers[m].name);
	}
}

static void directory_links(void)
{
	long before;

	make_dir("parent", 0755);
	before = links_of("parent");
	if (before != 2) {
		without("this file system does not count directories", "names directory links");
		return;
	}
	for (long i = 1; i <= 3; i++) {
		char name[32];
		snprintf(name, sizeof(name), "parent/%ld", i);
		make_dir(name, 0700);
		want(links_of("parent"), 2 + i, "names links of a directory with %ld in it", i);
	}
	make_file("parent/file", "", 0600);
	want(links_of("parent"), 5, "names a file in it does not count");
	want(R(rename("parent/3", "moved")), 0, "names move a directory out");
	want(links_of("parent"), 4, "names links after a directory was moved out");
	want(R(rename("moved", "parent/2")), 0, "names replace a directory");
	want(links_of("parent"), 4, "names links after it replaced one");
	want(R(rmdir("parent/2")), 0, "names rmdir");
	want(links_of("parent"), 3, "names links after rmdir");
	want(R(rmdir("parent")), -ENOTEMPTY, "names rmdir of a full directory");
	want(R(unlink("parent")), -EISDIR, "names unlink of a directory");
	want(R(unlinkat(AT_FDCWD, "parent/1", 0)), -EISDIR, "names unlinkat of a directory");
	want(R(unlinkat(AT_FDCWD, "parent/file", AT_REMOVEDIR)), -ENOTDIR, "names unlinkat REMOVEDIR of a file");
	want(RAW(unlinkat, AT_FDCWD, "parent/file", 0x100), -EINVAL, "names unlinkat with an unknown flag");
	want(R(rmdir(".")), -EINVAL, "names rmdir .");
	want(R(rmdir("..")), -ENOTEMPTY, "names rmdir ..");
	want(R(mkdir(".", 0700)), -EEXIST, "names mkdir .");
	want(R(mkdir("..", 0700)), -EEXIST, "names mkdir ..");
	want(R(unlink(".")), -EISDIR, "names unlink .");
}

static void set_group(void)
{
	struct stat st;

	make_dir("sgid", 0755);
	if (chmod("sgid", 02755) != 0 || mode_of("sgid") != 02755) {
		yes(false, "names a directory can be made set-group-id");
		return;
	}
	make_dir("sgid/sub", 0700);
	want(mode_of("sgid/sub"), 02700, "names a directory in it is set-group-id");
	make_file("sgid/file", "", 0640);
	want(mode_of("sgid/file"), 0640, "names a file in it is not");
	yes(lstat("sgid/file", &st) == 0 && st.st_gid == getegid(), "names a file in it has its group");
	make_dir("sticky", 01777);
	want(mode_of("sticky"), 01777, "names a sticky directory");
	make_file("sticky/own", "", 0600);
	want(R(unlink("sticky/own")), 0, "names own files go from a sticky directory");
}

static void hard_links(void)
{
	struct stat one, two;
	int fd;

	make_file("one", "content", 0644);
	want(R(link("one", "two")), 0, "names link");
	yes(stat("one", &one) == 0 && stat("two", &two) == 0 && one.st_ino == two.st_ino && one.st_dev == two.st_dev,
		"names both are one file");
	want(links_of("one"), 2, "names link counts");
	want(R(link("one", "two")), -EEXIST, "names link to what exists");
	want(R(link("one", "one")), -EEXIST, "names link to itself");
	for (long i = 3; i < 20; i++) {
		char name[32];
		snprintf(name, sizeof(name), "link%ld", i);
		if (link("one", name) != 0 || links_of(name) != i) {
			yes(false, "names the links of link %ld", i);
			return;
		}
	}
	want(links_of("two"), 19, "names links of many");
	want(R(unlink("one")), 0, "names unlink one of many");
	want(links_of("two"), 18, "names links of the others");
	want(content_is("two", "content"), 1, "names the content stays");
	make_link("two", "soft");
	want(R(linkat(AT_FDCWD, "soft", AT_FDCWD, "soft2", 0)), 0, "names link to a symlink");
	want(kind_of("soft2"), S_IFLNK, "names makes a symlink");
	want(links_of("soft"), 2, "names of two links");
	want(R(linkat(AT_FDCWD, "soft", AT_FDCWD, "hard", AT_SYMLINK_FOLLOW)), 0, "names link FOLLOW");
	want(kind_of("hard"), S_IFREG, "names makes a link to the file");
	want(links_of("two"), 19, "names which counts");
	want(R(linkat(AT_FDCWD, "two", AT_FDCWD, "x", 1)), -EINVAL, "names linkat with an unknown flag");
	want(kind_of("x"), -ENOENT, "names makes nothing then");
	fd = open("two", O_RDONLY | O_CLOEXEC);
	for (long i = 3; i < 20; i++) {
		char name[32];
		snprintf(name, sizeof(name), "link%ld", i);
		(void)!unlink(name);
	}
	want(R(unlink("two")), 0, "names unlink the last but one");
	yes(fstat(fd, &one) == 0 && one.st_nlink == 1, "names one link is left");
	want(R(unlink("hard")), 0, "names unlink the last");
	yes(fstat(fd, &one) == 0 && one.st_nlink == 0, "names none is left");
	yes(linkat(fd, "", AT_FDCWD, "back", 0x1000) != 0 && kind_of("back") == -ENOENT, "names it cannot come back");
	close(fd);
}

static void unlinked_open(void)
{
	char buf[16];
	struct stat st;
	int fd = open("gone", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	want(R(write(fd, "abcdef", 6)), 6, "names write");
	want(R(unlink("gone")), 0, "names unlink an open file");
	want(kind_of("gone"), -ENOENT, "names its name is gone");
	want(R(pread(fd, buf, sizeof(buf), 0)), 6, "names it can be read");
	want(R(write(fd, "ghi", 3)), 3, "names it can be written");
	want(R(ftruncate(fd, 2)), 0, "names it can be cut");
	yes(fstat(fd, &st) == 0 && st.st_size == 2 && st.st_nlink == 0, "names fstat of it");
	want(R(fchmod(fd, 0640)), 0, "names fchmod of it");
	make_file("gone", "new", 0600);
	want(content_is("gone", "new"), 1, "names another file may have the name");
	want(R(pread(fd, buf, sizeof(buf), 0)), 2, "names and the first stays what it was");
	close(fd);
}

static void symbolic_links(void)
{
	static const int lengths[] = {1, 59, 60, 61, 255, 256, 1000, 4000};
	char target[PATH_MAX + 2], buf[PATH_MAX + 2];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memset(target, 'a', (size_t)lengths[i]);
		target[lengths[i]] = '\0';
		want(R(symlink(target, "soft")), 0, "names symlink to %d letters", lengths[i]);
		want(size_of("soft"), lengths[i], "names symlink to %d letters: size", lengths[i]);
		want(R(readlink("soft", buf, sizeof(buf))), lengths[i], "names readlink of %d letters", lengths[i]);
		yes(memcmp(buf, target, (size_t)lengths[i]) == 0, "names readlink of %d letters: text", lengths[i]);
		remove_tree("soft");
	}
	memset(target, 'a', sizeof(target));
	target[PATH_MAX] = '\0';
	want(R(symlink(target, "soft")), -ENAMETOOLONG, "names symlink to 4096 letters");
	want(R(symlink("", "soft")), -ENOENT, "names symlink to nothing");
	want(RAW(symlinkat, NULL, AT_FDCWD, "soft"), -EFAULT, "names symlink to NULL");
	make_link("../some where/\xff\x01\n", "soft");
	want(R(readlink("soft", buf, sizeof(buf))), 17, "names odd bytes in a link");
	yes(memcmp(buf, "../some where/\xff\x01\n", 17) == 0, "names odd bytes in a link: text");
	memset(buf, 'x', sizeof(buf));
	want(R(readlink("soft", buf, 5)), 5, "names readlink into a short buffer");
	yes(memcmp(buf, "../sox", 6) == 0, "names readlink writes no more than that");
	want(RAW(readlinkat, AT_FDCWD, "soft", buf, 0), -EINVAL, "names readlink into no buffer");
	want(RAW(readlinkat, AT_FDCWD, "soft", buf, -1), -EINVAL, "names readlink into a negative buffer");
	want(RAW(readlinkat, AT_FDCWD, "soft", NULL, 10), -EFAULT, "names readlink into NULL");
	want(RAW(readlinkat, AT_FDCWD, "none", NULL, 10), -ENOENT, "names readlink of nothing into NULL");
}

static void nodes(void)
{
	want(R(mknod("node", 0644, 0)), 0, "names mknod without a kind");
	want(kind_of("node"), S_IFREG, "names makes a file");
	remove_tree("node");
	want(R(mknod("node", S_IFDIR | 0755, 0)), -EPERM, "names mknod of a directory");
	want(R(mknod("node", S_IFLNK | 0755, 0)), -EINVAL, "names mknod of a symlink");
	want(RAW(mknodat, AT_FDCWD, "node", 0170000 | 0644, 0), -EINVAL, "names mknod of no known kind");
	if (is_root) {
		without("root may", "names mknod of a device");
	} else {
		want(R(mknod("node", S_IFCHR | 0600, 0x103)), -EPERM, "names mknod of a character device");
		want(R(mknod("node", S_IFBLK | 0600, 0x103)), -EPERM, "names mknod of a block device");
		want(R(mknod("none/node", S_IFBLK | 0600, 0x103)), -ENOENT, "names mknod of a device in no directory");
	}
	want(kind_of("node"), -ENOENT, "names mknod has made nothing of these");
}

static void odd_names(void)
{
	static const char *const names[] = {" ", "\n", "\x01", "\xff\xfe", "...", "-rf", "a b", "*", "\"", "'", "\\",
		"%s", "caf\xc3\xa9", "~", ".hidden", "a:b", "x\ty"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		want(by_open(names[i], 0600), 0, "names odd name %zu: made", i);
		want(kind_of(names[i]), S_IFREG, "names odd name %zu: found", i);
		want(R(rename(names[i], "plain")), 0, "names odd name %zu: renamed", i);
		want(R(rename("plain", names[i])), 0, "names odd name %zu: and back", i);
		want(R(unlink(names[i])), 0, "names odd name %zu: removed", i);
	}
}

void posix_names(void)
{
	fixture("names");
	modes_and_umasks();
	fixture("names");
	owners();
	fixture("names");
	directory_links();
	fixture("names");
	set_group();
	fixture("names");
	hard_links();
	fixture("names");
	unlinked_open();
	fixture("names");
	symbolic_links();
	fixture("names");
	nodes();
	fixture("names");
	odd_names();
}
