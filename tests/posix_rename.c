/* SPDX-License-Identifier: ISC */
/* rename(2) and renameat2(2): every kind of object onto every kind, and what is there afterwards. */
#include "tests/posix.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define NOREPLACE 1
#define EXCHANGE 2
#define WHITEOUT 4

enum kind { NOTHING, FILE_, EMPTY, FULL, LINK, DANGLING, FIFO, SOCKET, KINDS };
static const char *const kind_names[KINDS] = {"nothing", "a file", "an empty directory", "a full directory",
	"a symlink", "a dangling symlink", "a FIFO", "a socket"};
static const long kind_bits[KINDS] = {-ENOENT, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK, S_IFLNK, S_IFIFO, S_IFSOCK};

static void make(enum kind kind, const char *path)
{
	char inside[64];

	switch (kind) {
	case NOTHING:
	case KINDS:
		break;
	case FILE_:
		make_file(path, path, 0644);
		break;
	case EMPTY:
	case FULL:
		make_dir(path, 0755);
		snprintf(inside, sizeof(inside), "%s/in", path);
		if (kind == FULL)
			make_file(inside, path, 0644);
		break;
	case LINK:
		make_link("target", path);
		break;
	case DANGLING:
		make_link("nowhere", path);
		break;
	case FIFO:
	case SOCKET:
		if (mknod(path, (kind == FIFO ? S_IFIFO : S_IFSOCK) | 0644, 0) != 0)
			die(path);
		break;
	}
}

static bool is_dir(enum kind kind)
{
	return kind == EMPTY || kind == FULL;
}

static long expect(enum kind from, enum kind to, unsigned flags)
{
	if (from == NOTHING)
		return -ENOENT;
	if (flags == NOREPLACE)
		return to == NOTHING ? 0 : -EEXIST;
	if (flags == EXCHANGE)
		return to == NOTHING ? -ENOENT : 0;
	if (to == NOTHING)
		return 0;
	if (is_dir(from) != is_dir(to))
		return is_dir(from) ? -ENOTDIR : -EISDIR;
	return to == FULL ? -ENOTEMPTY : 0;
}

static unsigned long inode(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? (unsigned long)st.st_ino : 0;
}

static void pair(enum kind from, enum kind to, unsigned flags)
{
	static const char *const flag_names[] = {"rename", "NOREPLACE", "EXCHANGE"};
	unsigned long a, b, after_a, after_b;
	char name[128];
	long wanted = expect(from, to, flags);

	snprintf(name, sizeof(name), "rename: %s %s to %s", flag_names[flags], kind_names[from], kind_names[to]);
	make(from, "a");
	make(to, "b");
	a = inode("a");
	b = inode("b");
	want(flags ? RAW(renameat2, AT_FDCWD, "a", AT_FDCWD, "b", flags) : R(rename("a", "b")), wanted, "%s", name);
	after_a = inode("a");
	after_b = inode("b");
	if (wanted != 0)
		yes(after_a == a && after_b == b, "%s: nothing changed", name);
	else if (flags == EXCHANGE)
		yes(after_a == b && after_b == a, "%s: both changed places", name);
	else
		yes(after_a == 0 && after_b == a && kind_of("b") == kind_bits[from], "%s: it is there, and not here",
			name);
	remove_tree("a");
	remove_tree("b");
}

static void same_file(void)
{
	make_file("a", "a", 0644);
	want(R(rename("a", "a")), 0, "rename: a file to itself");
	want(R(link("a", "b")), 0, "rename: link");
	want(R(rename("a", "b")), 0, "rename: a file to another link of it");
	want(links_of("a"), 2, "rename: both links stay");
	want(RAW(renameat2, AT_FDCWD, "a", AT_FDCWD, "b", NOREPLACE), -EEXIST, "rename: NOREPLACE to a link of it");
	want(RAW(renameat2, AT_FDCWD, "a", AT_FDCWD, "b", EXCHANGE), 0, "rename: EXCHANGE with a link of it");
	make_dir("d", 0755);
	want(R(rename("d", "d")), 0, "rename: a directory to itself");
	want(R(rename("d", "d/sub")), -EINVAL, "rename: a directory into itself");
	make_dir("d/e", 0755);
	want(R(rename("d", "d/e/f")), -EINVAL, "rename: a directory below itself");
	want(R(rename("d/e", "d")), -ENOTEMPTY, "rename: a directory to its parent");
	want(RAW(renameat2, AT_FDCWD, "d", AT_FDCWD, "d/e", EXCHANGE), -EINVAL, "rename: EXCHANGE with one below");
	want(RAW(renameat2, AT_FDCWD, "d/e", AT_FDCWD, "d", EXCHANGE), -EINVAL, "rename: EXCHANGE with one above");
	want(R(rename("d/.", "x")), -EBUSY, "rename: from dot");
	want(R(rename("d/e/..", "x")), -EBUSY, "rename: from dotdot");
	want(R(rename("d", "x/")), 0, "rename: a directory to name/");
	want(R(rename("x/", "d")), 0, "rename: a directory from name/");
	want(R(rename("a/", "x")), -ENOTDIR, "rename: a file from name/");
	want(R(rename("a", "x/")), -ENOTDIR, "rename: a file to name/");
}

static void bad_flags(void)
{
	static const unsigned flags[] = {NOREPLACE | EXCHANGE, WHITEOUT | EXCHANGE, 8, 0x80000000, 0xffffffff};

	make_file("x1", "1", 0644);
	make_file("x2", "2", 0644);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		want(RAW(renameat2, AT_FDCWD, "x1", AT_FDCWD, "x2", flags[i]), -EINVAL, "rename: flags 0x%x", flags[i]);
	want(RAW(renameat2, AT_FDCWD, "none", AT_FDCWD, "x2", 8), -EINVAL, "rename: flags are looked at first");
	want(content_is("x1", "1"), 1, "rename: refused flags change nothing");
}

static void open_objects(void)
{
	struct stat st, dot;
	char buf[8];
	int file, old, dir;

	make_file("old", "old", 0644);
	make_file("new", "new!", 0644);
	old = open("old", O_RDONLY | O_CLOEXEC);
	file = open("new", O_RDWR | O_CLOEXEC);
	want(R(rename("new", "old")), 0, "rename: over an open file");
	want(R(read(old, buf, sizeof(buf))), 3, "rename: who had it open still reads it");
	yes(fstat(old, &st) == 0 && st.st_nlink == 0, "rename: it has no link");
	yes(fstat(file, &st) == 0 && st.st_nlink == 1, "rename: the other has one");
	want(R(pwrite(file, "N", 1, 0)), 1, "rename: the descriptor followed");
	want(content_is("old", "New!"), 1, "rename: to the new name");
	close(old);
	close(file);
	make_dir("dir", 0755);
	make_dir("dir/sub", 0755);
	make_dir("to", 0755);
	dir = open("dir/sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	want(R(rename("dir/sub", "to/moved")), 0, "rename: an open directory to elsewhere");
	want(R(close(openat(dir, "made", O_CREAT | O_WRONLY | O_CLOEXEC, 0600))), 0, "rename: a file is made in it");
	want(kind_of("to/moved/made"), S_IFREG, "rename: it is at the new place");
	yes(fstatat(dir, "..", &st, 0) == 0 && stat("to", &dot) == 0 && st.st_ino == dot.st_ino,
		"rename: its parent is the new one");
	yes(stat("to/moved/..", &st) == 0 && st.st_ino == dot.st_ino, "rename: by path too");
	want(R(unlinkat(dir, "made", 0)), 0, "rename: unlinkat in it");
	close(dir);
}

static void other_file_system(void)
{
	char path[4096];
	struct stat here, there;
	long wanted;

	if (stat(".", &here) != 0 || stat(other_path, &there) != 0)
		die(other_path);
	wanted = here.st_dev == there.st_dev ? 0 : -EXDEV;
	snprintf(path, sizeof(path), "%s/posix", other_path);
	remove_tree(path);
	make_file("moving", "moving", 0640);
	want(R(link("moving", path)), wanted, "rename: link to the other directory");
	remove_tree(path);
	want(R(rename("moving", path)), wanted, "rename: a file to the other directory");
	if (wanted == 0)
		want(R(rename(path, "moving")), 0, "rename: and back");
	make_dir("tree", 0755);
	make_file("tree/in", "in", 0600);
	want(R(rename("tree", path)), wanted, "rename: a directory to the other directory");
	if (wanted == 0)
		want(R(rename(path, "tree")), 0, "rename: and back");
	make_file(path, "there", 0600);
	want(RAW(renameat2, AT_FDCWD, "moving", AT_FDCWD, path, EXCHANGE), wanted,
		"rename: EXCHANGE with one in the other directory");
	want(RAW(renameat2, AT_FDCWD, "none", AT_FDCWD, path, 0), wanted == 0 ? -ENOENT : -EXDEV,
		"rename: what is missing to the other directory");
	remove_tree(path);
}

static void chain(void)
{
	char from[32] = "r0", to[32];

	make_file("r0", "same", 0600);
	unsigned long first = inode("r0");
	for (int i = 1; i <= 40; i++) {
		snprintf(to, sizeof(to), "r%d", i);
		if (rename(from, to) != 0) {
			yes(false, "rename: step %d of a chain", i);
			return;
		}
		strcpy(from, to);
	}
	yes(inode("r40") == first && inode("r39") == 0, "rename: forty times");
}

void posix_rename(void)
{
	fixture("rename");
	make_file("target", "t", 0644);
	for (unsigned flags = 0; flags <= EXCHANGE; flags++)
		for (unsigned from = 0; from < KINDS; from++)
			for (unsigned to = 0; to < KINDS; to++)
				pair((enum kind)from, (enum kind)to, flags);
	fixture("rename");
	same_file();
	bad_flags();
	open_objects();
	other_file_system();
	chain();
}
