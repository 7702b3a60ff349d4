/* SPDX-License-Identifier: ISC */
/* The stat family, which must tell the same in all its ways, and extended attributes. */
#include "tests/posix.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define EMPTY_PATH 0x1000

/* linux/stat.h's, which musl and older headers name differently. */
struct statx_buf {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct {
		int64_t sec;
		uint32_t nsec;
		int32_t spare;
	} atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare[14];
};

static struct statx_buf sx;
static struct stat st;
static char text[PATH_MAX];

static bool same_stat(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode &&
	       a->st_nlink == b->st_nlink && a->st_uid == b->st_uid && a->st_gid == b->st_gid &&
	       a->st_rdev == b->st_rdev && a->st_size == b->st_size && a->st_blksize == b->st_blksize &&
	       a->st_blocks == b->st_blocks && memcmp(&a->st_atim, &b->st_atim, sizeof(a->st_atim)) == 0 &&
	       memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) == 0 &&
	       memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) == 0;
}

static bool same_statx(const struct stat *a, const struct statx_buf *b)
{
	return a->st_dev == makedev(b->dev_major, b->dev_minor) && a->st_ino == b->ino && a->st_mode == b->mode &&
	       a->st_nlink == b->nlink && a->st_uid == b->uid && a->st_gid == b->gid &&
	       a->st_rdev == makedev(b->rdev_major, b->rdev_minor) && (uint64_t)a->st_size == b->size &&
	       (uint64_t)a->st_blocks == b->blocks && (uint32_t)a->st_blksize == b->blksize &&
	       a->st_mtim.tv_sec == b->mtime.sec && a->st_mtim.tv_nsec == b->mtime.nsec &&
	       a->st_ctim.tv_sec == b->ctime.sec && a->st_ctim.tv_nsec == b->ctime.nsec &&
	       a->st_atim.tv_sec == b->atime.sec && a->st_atim.tv_nsec == b->atime.nsec;
}

static void agree(const char *path, mode_t kind)
{
	struct stat by_fd;
	int fd = S_ISLNK(kind) || S_ISSOCK(kind) ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	want(RAW(newfstatat, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW), 0, "stat %s", path);
	yes((st.st_mode & S_IFMT) == kind && st.st_uid == geteuid() && st.st_gid == getegid(), "stat %s: kind, owner",
		path);
	memset(&sx, 0, sizeof(sx));
	want(RAW(statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0xfff, &sx), 0, "stat %s: statx", path);
	yes(same_statx(&st, &sx), "stat %s: statx tells the same", path);
	yes((sx.mask & 0x7ff) == 0x7ff, "stat %s: statx tells all of it", path);
	want(RAW(statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | 0x2000, 0x7ff, &sx), 0, "stat %s: statx FORCE_SYNC",
		path);
	want(RAW(statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | 0x4000, 0x7ff, &sx), 0, "stat %s: statx DONT_SYNC", path);
	if (fd < 0)
		return;
	yes(fstat(fd, &by_fd) == 0 && same_stat(&st, &by_fd), "stat %s: fstat tells the same", path);
	yes(RAW(newfstatat, fd, "", &by_fd, EMPTY_PATH) == 0 && same_stat(&st, &by_fd),
		"stat %s: newfstatat of the descriptor tells the same", path);
	yes(RAW(statx, fd, "", EMPTY_PATH, 0x7ff, &sx) == 0 && same_statx(&st, &sx),
		"stat %s: statx of the descriptor tells the same", path);
	close(fd);
}

static void bad_arguments(void)
{
	int fd = open("file", O_RDONLY | O_CLOEXEC);

	want(RAW(newfstatat, AT_FDCWD, "file", NULL, 0), -EFAULT, "stat into NULL");
	want(RAW(newfstatat, AT_FDCWD, "none", NULL, 0), -ENOENT, "stat of nothing into NULL");
	want(RAW(newfstatat, AT_FDCWD, "file", (void *)-4096L, 0), -EFAULT, "stat into the kernel");
	want(RAW(newfstatat, AT_FDCWD, "file", &st, 1), -EINVAL, "stat with an unknown flag");
	want(RAW(newfstatat, AT_FDCWD, "none", &st, 1), -EINVAL, "stat of nothing with an unknown flag");
	want(RAW(newfstatat, AT_FDCWD, "file", &st, 0x800), 0, "stat with AT_NO_AUTOMOUNT");
	want(RAW(statx, AT_FDCWD, "file", 0, 0x7ff, NULL), -EFAULT, "statx into NULL");
	want(RAW(statx, AT_FDCWD, "file", 1, 0x7ff, &sx), -EINVAL, "statx with an unknown flag");
	want(RAW(statx, AT_FDCWD, "file", 0x6000, 0x7ff, &sx), -EINVAL, "statx with both ways to sync");
	want(RAW(statx, AT_FDCWD, "file", 0, 0x80000000, &sx), -EINVAL, "statx with the reserved mask bit");
	want(RAW(statx, AT_FDCWD, "file", 0, 0, &sx), 0, "statx with no mask");
	want(RAW(newfstatat, -1, "", &st, EMPTY_PATH), -EBADF, "stat of descriptor -1");
	want(RAW(newfstatat, AT_FDCWD, "", &st, EMPTY_PATH), 0, "stat of AT_FDCWD");
	yes(S_ISDIR(st.st_mode), "stat of AT_FDCWD: it is a directory");
	want(RAW(newfstatat, fd, "", &st, 0), -ENOENT, "stat of a descriptor without AT_EMPTY_PATH");
	want(RAW(newfstatat, fd, "file", &st, EMPTY_PATH), -ENOTDIR, "stat of a path from a file with AT_EMPTY_PATH");
	close(fd);
	want(R(fstat(fd, &st)), -EBADF, "fstat of a closed descriptor");
}

static void file_systems(void)
{
	struct statfs one, two;
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	want(R(statfs(".", &one)), 0, "statfs");
	want(R(fstatfs(fd, &two)), 0, "fstatfs");
	yes(one.f_type == two.f_type && one.f_bsize == two.f_bsize && one.f_blocks == two.f_blocks &&
			one.f_files == two.f_files && one.f_namelen == two.f_namelen && one.f_frsize == two.f_frsize &&
			memcmp(&one.f_fsid, &two.f_fsid, sizeof(one.f_fsid)) == 0,
		"statfs and fstatfs tell the same");
	want(RAW(statfs, ".", NULL), -EFAULT, "statfs into NULL");
	want(RAW(statfs, "none", NULL), -ENOENT, "statfs of nothing into NULL");
	want((long)one.f_namelen, 255, "statfs tells how long names are");
	want(R(pathconf(".", _PC_NAME_MAX)), 255, "pathconf tells it too");
	close(fd);
}

void posix_stat(void)
{
	fixture("stat");
	make_file("file", "content of some length", 0640);
	make_dir("dir", 0750);
	make_link("some target", "link");
	if (mknod("fifo", S_IFIFO | 0600, 0) != 0 || mknod("socket", S_IFSOCK | 0600, 0) != 0)
		die("fifo");
	agree("file", S_IFREG);
	agree("dir", S_IFDIR);
	agree("link", S_IFLNK);
	agree("fifo", S_IFIFO);
	agree("socket", S_IFSOCK);
	agree(".", S_IFDIR);
	want(size_of("link"), 11, "stat of a link: its size is its length");
	int fd = open("holes", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	want(R(pwrite(fd, "end", 3, 1 << 20)), 3, "stat: write far into a file");
	want(size_of("holes"), (1 << 20) + 3, "stat: its size");
	yes(lstat("holes", &st) == 0 && st.st_blocks < 1024, "stat: its blocks");
	close(fd);
	bad_arguments();
	file_systems();
}

static void links_of_attributes(void)
{
	make_link("file", "link");
	want(R(getxattr("link", "user.one", text, sizeof(text))), 12, "xattr through a link");
	want(R(lgetxattr("link", "user.one", text, sizeof(text))), -ENODATA, "xattr of a link");
	want(R(lsetxattr("link", "user.one", "v", 1, 0)), -EPERM, "xattr set on a link");
	want(R(llistxattr("link", text, sizeof(text))), 0, "xattr list of a link");
	want(R(lremovexattr("link", "user.one")), -EPERM, "xattr removed from a link");
	want(R(setxattr("none", "user.one", "v", 1, 0)), -ENOENT, "xattr of nothing");
	want(R(getxattr("file", "trusted.one", text, sizeof(text))), -ENODATA, "xattr that is trusted");
	want(R(getxattr("file", "nonsense", text, sizeof(text))), -EOPNOTSUPP, "xattr of no kind");
	want(R(setxattr("file", "nonsense.x", "v", 1, 0)), -EOPNOTSUPP, "xattr set, of no kind");
	if (is_root)
		without("root may", "xattr set, trusted or of security");
	else
		want(R(setxattr("file", "trusted.x", "v", 1, 0)), -EPERM, "xattr set, trusted");
	if (is_root)
		without("root may", "xattr of a file that is not writable");
	else {
		chmod("file", 0400);
		want(R(setxattr("file", "user.two", "v", 1, 0)), -EACCES, "xattr of a file that is not writable");
		chmod("file", 0200);
		want(R(getxattr("file", "user.one", text, sizeof(text))), -EACCES,
			"xattr of a file that is not readable");
		chmod("file", 0600);
	}
}

void posix_xattr(void)
{
	char name[300], big[70000] = "";
	int fd;

	fixture("xattr");
	make_file("file", "x", 0600);
	make_dir("dir", 0700);
	fd = open("file", O_RDWR | O_CLOEXEC);
	if (fsetxattr(fd, "user.probe", "v", 1, 0) != 0 || fremovexattr(fd, "user.probe") != 0) {
		close(fd);
		without("this file system has none", "xattr");
		return;
	}
	want(R(setxattr("file", "user.one", "value", 5, 0)), 0, "xattr set");
	want(R(getxattr("file", "user.one", text, sizeof(text))), 5, "xattr get");
	yes(memcmp(text, "value", 5) == 0, "xattr get: its value");
	want(R(getxattr("file", "user.one", NULL, 0)), 5, "xattr get: its size");
	want(R(getxattr("file", "user.one", text, 4)), -ERANGE, "xattr get into too little");
	want(R(getxattr("file", "user.one", (void *)-4096L, 5)), -EFAULT, "xattr get into the kernel");
	want(R(getxattr("file", "user.two", text, sizeof(text))), -ENODATA, "xattr get what is not there");
	want(R(setxattr("file", "user.one", "v", 1, XATTR_CREATE)), -EEXIST, "xattr set CREATE");
	want(R(setxattr("file", "user.two", "v", 1, XATTR_REPLACE)), -ENODATA, "xattr set REPLACE");
	want(R(setxattr("file", "user.two", "v", 1, 8)), -EINVAL, "xattr set with an unknown flag");
	want(R(setxattr("file", "user.two", "", 0, XATTR_CREATE)), 0, "xattr set to nothing");
	want(R(getxattr("file", "user.two", text, sizeof(text))), 0, "xattr get nothing");
	want(R(setxattr("file", "user.one", "longer value", 12, XATTR_REPLACE)), 0, "xattr set anew");
	want(R(fgetxattr(fd, "user.one", text, sizeof(text))), 12, "xattr get by descriptor");
	want(R(fsetxattr(fd, "user.three", "3", 1, 0)), 0, "xattr set by descriptor");
	want(R(listxattr("file", NULL, 0)), 9 + 9 + 11, "xattr list: its size");
	want(R(listxattr("file", text, 5)), -ERANGE, "xattr list into too little");
	long n = R(listxattr("file", text, sizeof(text)));
	long f = R(flistxattr(fd, big, sizeof(big)));
	yes(n == f && n > 0 && memcmp(text, big, (size_t)n) == 0, "xattr list, by path and by descriptor");
	want(R(removexattr("file", "user.two")), 0, "xattr remove");
	want(R(removexattr("file", "user.two")), -ENODATA, "xattr remove what is not there");
	want(R(fremovexattr(fd, "user.three")), 0, "xattr remove by descriptor");
	want(R(setxattr("dir", "user.dir", "d", 1, 0)), 0, "xattr of a directory");
	want(R(getxattr("dir", "user.dir", text, sizeof(text))), 1, "xattr of a directory: get");
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[255] = '\0';
	want(R(setxattr("file", name, "v", 1, 0)), 0, "xattr with a name of 255");
	name[255] = 'n';
	name[256] = '\0';
	want(R(setxattr("file", name, "v", 1, 0)), -ERANGE, "xattr with a name of 256");
	want(R(setxattr("file", "", "v", 1, 0)), -ERANGE, "xattr without a name");
	want(R(setxattr("file", "user.big", big, 65537, 0)), -E2BIG, "xattr that is too big");
	want(R(setxattr("file", NULL, "v", 1, 0)), -EFAULT, "xattr whose name is NULL");
	want(R(setxattr("file", "user.v", (void *)-4096L, 1, 0)), -EFAULT, "xattr whose value is in the kernel");
	links_of_attributes();
	close(fd);
}
