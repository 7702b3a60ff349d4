/* SPDX-License-Identifier: ISC */
/*
 * Every call that takes a path, on every kind of path: the result is looked up in posix_matrix.inc. A call that fails
 * must also have left the tree as it was.
 */
#include "tests/posix.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

static union {
	struct stat st;
	unsigned char statx[256];
	struct statfs fs;
	char text[PATH_MAX];
} out;

static long closing(long fd)
{
	if (fd >= 0)
		close((int)fd);
	return fd < 0 ? fd : 0;
}
static long how(const char *p, unsigned long flags, unsigned long resolve)
{
	struct open_how h = {.flags = flags | O_NONBLOCK | O_CLOEXEC, .resolve = resolve};

	return closing(RAW(openat2, base, p, &h, sizeof(h)));
}
#define OPENAT(flags) closing(RAW(openat, base, p, (flags) | O_NONBLOCK | O_CLOEXEC, 0644))
static long linked(long n)
{
	return n < 0 ? n : 0;
}
static const struct timespec then[2] = {{1000000000, 1}, {1000000001, 2}};

/* Where paths start: the base for calls of the old kind, which use the working directory; the others get the base as
 * descriptor, and another working directory. */
#define P const char *p
/* clang-format off */
#ifdef SYS_open
static long old_stat(P) { return RAW(stat, p, &out.st); }
static long old_lstat(P) { return RAW(lstat, p, &out.st); }
static long old_access(P) { return RAW(access, p, F_OK); }
static long old_access_x(P) { return RAW(access, p, X_OK); }
static long old_readlink(P) { return linked(RAW(readlink, p, out.text, sizeof(out.text))); }
static long old_open(P) { return closing(RAW(open, p, O_RDONLY | O_NONBLOCK)); }
static long old_creat(P) { return closing(RAW(open, p, O_CREAT | O_RDWR | O_NONBLOCK, 0600)); }
static long old_mkdir(P) { return RAW(mkdir, p, 0700); }
static long old_rmdir(P) { return RAW(rmdir, p); }
static long old_unlink(P) { return RAW(unlink, p); }
static long old_link_from(P) { return RAW(link, p, "m/new"); }
static long old_link_to(P) { return RAW(link, "m/full/x", p); }
static long old_symlink(P) { return RAW(symlink, "to", p); }
static long old_rename_from(P) { return RAW(rename, p, "m/new"); }
static long old_rename_to(P) { return RAW(rename, "m/full/x", p); }
static long old_rename_dir_to(P) { return RAW(rename, "m/other", p); }
static long old_chmod(P) { return RAW(chmod, p, 0700); }
static long old_chown(P) { return RAW(chown, p, getuid(), getgid()); }
static long old_lchown(P) { return RAW(lchown, p, getuid(), getgid()); }
static long old_mknod(P) { return RAW(mknod, p, S_IFIFO | 0644, 0); }
static long old_utime(P) { return RAW(utime, p, NULL); }
static long old_utimes(P) { return RAW(utimes, p, NULL); }
#endif
static long at_stat(P) { return RAW(newfstatat, base, p, &out.st, 0); }
static long at_lstat(P) { return RAW(newfstatat, base, p, &out.st, AT_SYMLINK_NOFOLLOW); }
static long at_statx(P) { return RAW(statx, base, p, 0, 0x7ff, &out); }
static long at_lstatx(P) { return RAW(statx, base, p, AT_SYMLINK_NOFOLLOW, 0x7ff, &out); }
static long at_access_r(P) { return RAW(faccessat, base, p, R_OK); }
static long at_access_w(P) { return RAW(faccessat, base, p, W_OK); }
static long at_access_x(P) { return RAW(faccessat2, base, p, X_OK, 0); }
static long at_access_eff(P) { return RAW(faccessat2, base, p, R_OK | W_OK, AT_EACCESS); }
static long at_access_link(P) { return RAW(faccessat2, base, p, F_OK, AT_SYMLINK_NOFOLLOW); }
static long at_readlink(P) { return linked(RAW(readlinkat, base, p, out.text, sizeof(out.text))); }
static long open_r(P) { return OPENAT(O_RDONLY); }
static long open_w(P) { return OPENAT(O_WRONLY); }
static long open_rw(P) { return OPENAT(O_RDWR); }
static long open_dir(P) { return OPENAT(O_RDONLY | O_DIRECTORY); }
static long open_nofollow(P) { return OPENAT(O_RDONLY | O_NOFOLLOW); }
static long open_creat(P) { return OPENAT(O_WRONLY | O_CREAT); }
static long open_creat_r(P) { return OPENAT(O_RDONLY | O_CREAT); }
static long open_creat_nofollow(P) { return OPENAT(O_WRONLY | O_CREAT | O_NOFOLLOW); }
static long open_excl(P) { return OPENAT(O_WRONLY | O_CREAT | O_EXCL); }
static long open_trunc(P) { return OPENAT(O_WRONLY | O_TRUNC); }
static long open_path(P) { return OPENAT(O_PATH); }
static long open_path_link(P) { return OPENAT(O_PATH | O_NOFOLLOW); }
static long open_path_dir(P) { return OPENAT(O_PATH | O_DIRECTORY); }
static long open_tmpfile(P) { return OPENAT(O_TMPFILE | O_RDWR); }
static long how_plain(P) { return how(p, O_RDONLY, 0); }
static long how_nolinks(P) { return how(p, O_RDONLY, RESOLVE_NO_SYMLINKS); }
static long how_nomagic(P) { return how(p, O_RDONLY, RESOLVE_NO_MAGICLINKS); }
static long how_beneath(P) { return how(p, O_RDONLY, RESOLVE_BENEATH); }
static long how_root(P) { return how(p, O_RDONLY, RESOLVE_IN_ROOT); }
static long how_xdev(P) { return how(p, O_RDONLY, RESOLVE_NO_XDEV); }
static long at_mkdir(P) { return RAW(mkdirat, base, p, 0700); }
static long at_rmdir(P) { return RAW(unlinkat, base, p, AT_REMOVEDIR); }
static long at_unlink(P) { return RAW(unlinkat, base, p, 0); }
static long at_link_from(P) { return RAW(linkat, base, p, base, "m/new", 0); }
static long at_link_follow(P) { return RAW(linkat, base, p, base, "m/new", AT_SYMLINK_FOLLOW); }
static long at_link_to(P) { return RAW(linkat, base, "m/full/x", base, p, 0); }
static long at_symlink(P) { return RAW(symlinkat, "to", base, p); }
static long at_rename_from(P) { return RAW(renameat2, base, p, base, "m/new", 0); }
static long at_rename_to(P) { return RAW(renameat2, base, "m/full/x", base, p, 0); }
static long at_rename_dir_to(P) { return RAW(renameat2, base, "m/other", base, p, 0); }
static long at_rename_new(P) { return RAW(renameat2, base, "m/full/x", base, p, 1); }
static long at_exchange(P) { return RAW(renameat2, base, p, base, "m/full/x", 2); }
static long do_truncate(P) { return RAW(truncate, p, 3); }
static long at_chmod(P) { return RAW(fchmodat, base, p, 0700); }
static long at_chown(P) { return RAW(fchownat, base, p, getuid(), getgid(), 0); }
static long at_lchown(P) { return RAW(fchownat, base, p, getuid(), getgid(), AT_SYMLINK_NOFOLLOW); }
static long at_utimens(P) { return RAW(utimensat, base, p, then, 0); }
static long at_lutimens(P) { return RAW(utimensat, base, p, then, AT_SYMLINK_NOFOLLOW); }
static long at_mkfifo(P) { return RAW(mknodat, base, p, S_IFIFO | 0644, 0); }
static long at_mkfile(P) { return RAW(mknodat, base, p, S_IFREG | 0644, 0); }
static long at_mksock(P) { return RAW(mknodat, base, p, S_IFSOCK | 0644, 0); }
static long do_statfs(P) { return RAW(statfs, p, &out.fs); }
static long do_chdir(P) { return RAW(chdir, p); }
static long do_getxattr(P) { return RAW(getxattr, p, "user.none", out.text, 10); }
static long do_lgetxattr(P) { return RAW(lgetxattr, p, "user.none", out.text, 10); }
static long do_listxattr(P) { return linked(RAW(listxattr, p, out.text, sizeof(out.text))); }
static long do_removexattr(P) { return RAW(removexattr, p, "user.none"); }
static long do_execve(P)
{
	char *const none[] = {NULL};

	return RAW(execve, p, none, none);
}
static long do_watch(P)
{
	int fd = inotify_init1(IN_CLOEXEC);
	long got = RAW(inotify_add_watch, fd, p, IN_CREATE);

	close(fd);
	return got < 0 ? got : 0;
}

/* clang-format on */
static const struct op {
	const char *name;
	long (*call)(P);
	bool cwd; /* paths start in the working directory */
	bool keeps; /* changes nothing */
} ops[] = {
#ifdef SYS_open
	{"stat", old_stat, true, true},
	{"lstat", old_lstat, true, true},
	{"access", old_access, true, true},
	{"access X_OK", old_access_x, true, true},
	{"readlink", old_readlink, true, true},
	{"open", old_open, true, true},
	{"open O_CREAT", old_creat, true, false},
	{"mkdir", old_mkdir, true, false},
	{"rmdir", old_rmdir, true, false},
	{"unlink", old_unlink, true, false},
	{"link from", old_link_from, true, false},
	{"link to", old_link_to, true, false},
	{"symlink", old_symlink, true, false},
	{"rename from", old_rename_from, true, false},
	{"rename to", old_rename_to, true, false},
	{"rename dir to", old_rename_dir_to, true, false},
	{"chmod", old_chmod, true, false},
	{"chown", old_chown, true, true},
	{"lchown", old_lchown, true, true},
	{"mknod", old_mknod, true, false},
	{"utime", old_utime, true, true},
	{"utimes", old_utimes, true, true},
#endif
	{"newfstatat", at_stat, false, true},
	{"newfstatat NOFOLLOW", at_lstat, false, true},
	{"statx", at_statx, false, true},
	{"statx NOFOLLOW", at_lstatx, false, true},
	{"faccessat R_OK", at_access_r, false, true},
	{"faccessat W_OK", at_access_w, false, true},
	{"faccessat2 X_OK", at_access_x, false, true},
	{"faccessat2 EACCESS", at_access_eff, false, true},
	{"faccessat2 NOFOLLOW", at_access_link, false, true},
	{"readlinkat", at_readlink, false, true},
	{"openat O_RDONLY", open_r, false, true},
	{"openat O_WRONLY", open_w, false, true},
	{"openat O_RDWR", open_rw, false, true},
	{"openat O_DIRECTORY", open_dir, false, true},
	{"openat O_NOFOLLOW", open_nofollow, false, true},
	{"openat O_CREAT", open_creat, false, false},
	{"openat O_RDONLY|O_CREAT", open_creat_r, false, false},
	{"openat O_CREAT|O_NOFOLLOW", open_creat_nofollow, false, false},
	{"openat O_EXCL", open_excl, false, false},
	{"openat O_TRUNC", open_trunc, false, false},
	{"openat O_PATH", open_path, false, true},
	{"openat O_PATH|O_NOFOLLOW", open_path_link, false, true},
	{"openat O_PATH|O_DIRECTORY", open_path_dir, false, true},
	{"openat O_TMPFILE", open_tmpfile, false, true},
	{"openat2", how_plain, false, true},
	{"openat2 NO_SYMLINKS", how_nolinks, false, true},
	{"openat2 NO_MAGICLINKS", how_nomagic, false, true},
	{"openat2 BENEATH", how_beneath, false, true},
	{"openat2 IN_ROOT", how_root, false, true},
	{"openat2 NO_XDEV", how_xdev, false, true},
	{"mkdirat", at_mkdir, false, false},
	{"unlinkat REMOVEDIR", at_rmdir, false, false},
	{"unlinkat", at_unlink, false, false},
	{"linkat from", at_link_from, false, false},
	{"linkat from FOLLOW", at_link_follow, false, false},
	{"linkat to", at_link_to, false, false},
	{"symlinkat", at_symlink, false, false},
	{"renameat2 from", at_rename_from, false, false},
	{"renameat2 to", at_rename_to, false, false},
	{"renameat2 dir to", at_rename_dir_to, false, false},
	{"renameat2 NOREPLACE to", at_rename_new, false, false},
	{"renameat2 EXCHANGE", at_exchange, false, false},
	{"truncate", do_truncate, true, false},
	{"fchmodat", at_chmod, false, false},
	{"fchownat", at_chown, false, true},
	{"fchownat NOFOLLOW", at_lchown, false, true},
	{"utimensat", at_utimens, false, true},
	{"utimensat NOFOLLOW", at_lutimens, false, true},
	{"mknodat FIFO", at_mkfifo, false, false},
	{"mknodat file", at_mkfile, false, false},
	{"mknodat socket", at_mksock, false, false},
	{"statfs", do_statfs, true, true},
	{"chdir", do_chdir, true, true},
	{"getxattr", do_getxattr, true, true},
	{"lgetxattr", do_lgetxattr, true, true},
	{"listxattr", do_listxattr, true, true},
	{"removexattr", do_removexattr, true, true},
	{"inotify_add_watch", do_watch, true, true},
	{"execve", do_execve, true, true},
};

static char *name_255, *name_256, *path_4095, *path_4096, *at_end, *over_end;
static char *absolute;
static const struct kind {
	const char *name;
	const char *path;
	char **made; /* instead of path */
} kinds[] = {
	{"missing", "m/none", NULL},
	{"missing/", "m/none/", NULL},
	{"missing/x", "m/none/x", NULL},
	{"missing/..", "m/none/../file", NULL},
	{"file", "m/file", NULL},
	{"file/", "m/file/", NULL},
	{"file/x", "m/file/x", NULL},
	{"file/..", "m/file/../file", NULL},
	{"file/.", "m/file/.", NULL},
	{"dir", "m/dir", NULL},
	{"dir/", "m/dir/", NULL},
	{"dir/.", "m/dir/.", NULL},
	{"dir/..", "m/dir/..", NULL},
	{"full", "m/full", NULL},
	{"link to file", "m/lfile", NULL},
	{"link to file/", "m/lfile/", NULL},
	{"link to dir", "m/ldir", NULL},
	{"link to dir/", "m/ldir/", NULL},
	{"link to dir/x", "m/lfull/x", NULL},
	{"dangling", "m/gone", NULL},
	{"dangling/", "m/gone/", NULL},
	{"dangling/..", "m/gone/../file", NULL},
	{"loop", "m/loop", NULL},
	{"loop/x", "m/loop/x", NULL},
	{"40 links", "links/39", NULL},
	{"41 links", "links/40", NULL},
	{"FIFO", "m/fifo", NULL},
	{"socket", "m/sock", NULL},
	{"dots", ".//m/./full/../dir/..//file", NULL},
	{"absolute", NULL, &absolute},
	{"empty", "", NULL},
	{"NULL", NULL, NULL},
	{"name of 255", NULL, &name_255},
	{"name of 256", NULL, &name_256},
	{"path of 4095", NULL, &path_4095},
	{"path of 4096", NULL, &path_4096},
	{"ends with the page", NULL, &at_end},
	{"beyond the page", NULL, &over_end},
	{"closed/x", "m/closed/x", NULL},
	{"closed/none", "m/closed/none", NULL},
	{"readonly/none", "m/readonly/none", NULL},
	{"readonly/x", "m/readonly/x", NULL},
	{"unreadable", "m/secret", NULL},
	{"unwritable", "m/fixed", NULL},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define FIRST_CLOSED 38 /* from here on modes decide, which do not stop root */

static const struct {
	char word[3];
	short error;
} words[] = {{".", 0}, {"AC", EACCES}, {"BU", EBUSY}, {"DA", ENODATA}, {"EX", EEXIST}, {"FA", EFAULT}, {"IN", EINVAL},
	{"IS", EISDIR}, {"LO", ELOOP}, {"NL", ENAMETOOLONG}, {"ND", ENOTDIR}, {"NE", ENOENT}, {"NX", ENXIO},
	{"NY", ENOTEMPTY}, {"PE", EPERM}, {"XD", EXDEV}};

static const struct {
	const char *op, *words, *as_root; /* a word for each kind; for root, for the last ones */
} expected[] = {
#include "tests/posix_matrix.inc"
};

static void make_strings(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED || mprotect(map + page, page, PROT_NONE) != 0)
		die("mmap");
	at_end = map + page - sizeof("m/file");
	strcpy(at_end, "m/file");
	map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED || mprotect(map + page, page, PROT_NONE) != 0)
		die("mmap");
	over_end = map + page - 6;
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): where its end would be, no memory is */
	memcpy(over_end, "m/file", 6);
	name_255 = malloc(PATH_MAX);
	name_256 = malloc(PATH_MAX);
	path_4095 = malloc(PATH_MAX);
	path_4096 = malloc(PATH_MAX + 1);
	absolute = malloc(PATH_MAX);
	if (!name_255 || !name_256 || !path_4095 || !path_4096 || !absolute)
		die("malloc");
	memset(name_255, 'n', 2 + 255);
	memset(name_256, 'n', 2 + 256);
	memcpy(name_255, "m/", 2);
	memcpy(name_256, "m/", 2);
	name_255[2 + 255] = name_256[2 + 256] = '\0';
	memset(path_4095, '/', PATH_MAX);
	memset(path_4096, '/', PATH_MAX + 1);
	memcpy(path_4095, "m", 1);
	memcpy(path_4096, "m", 1);
	strcpy(path_4095 + 4095 - 4, "file");
	strcpy(path_4096 + 4096 - 4, "file");
	snprintf(absolute, PATH_MAX, "%s/posix/m/file", base_path);
}

static void make_tree(void)
{
	struct stat st;

	if (fchdir(base) != 0)
		die("base");
	if (lstat("m/closed", &st) == 0)
		(void)!(chmod("m/closed", 0700) | chmod("m/readonly", 0700));
	remove_tree("m");
	make_dir("m", 0755);
	make_dir("m/dir", 0755);
	make_dir("m/full", 0755);
	make_dir("m/other", 0755);
	make_dir("m/closed", 0755);
	make_dir("m/readonly", 0755);
	make_file("m/file", "hello", 0644);
	make_file("m/full/x", "x", 0644);
	make_file("m/closed/x", "x", 0644);
	make_file("m/readonly/x", "x", 0644);
	make_file("m/secret", "secret", 0200);
	make_file("m/fixed", "fixed", 0444);
	make_link("file", "m/lfile");
	make_link("dir", "m/ldir");
	make_link("full", "m/lfull");
	make_link("nothing", "m/gone");
	make_link("loop", "m/loop");
	remove_tree("links/39");
	remove_tree("links/40");
	make_link("38", "links/39");
	make_link("39", "links/40");
	if (mknod("m/fifo", S_IFIFO | 0644, 0) != 0 || mknod("m/sock", S_IFSOCK | 0644, 0) != 0 ||
		chmod("m/readonly", 0555) != 0 || chmod("m/closed", 0) != 0)
		die("m");
}

static void make_links(void)
{
	char name[32], to[32] = "../m/file";

	make_dir("links", 0755);
	for (int i = 0; i < 39; i++) {
		snprintf(name, sizeof(name), "links/%d", i);
		make_link(to, name);
		snprintf(to, sizeof(to), "%d", i);
	}
}

/* The names, kinds, modes, sizes and link counts in m, as one number. */
static unsigned long tree_sum(void)
{
	static const char *const names[] = {"m", "m/dir", "m/full", "m/other", "m/file", "m/full/x", "m/lfile",
		"m/ldir", "m/lfull", "m/gone", "m/loop", "m/fifo", "m/sock", "m/closed", "m/readonly", "m/readonly/x",
		"m/secret", "m/fixed", "m/none", "m/new", "m/nothing"};
	unsigned long sum = 0;
	struct stat st;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		sum = sum * 31;
		if (fstatat(base, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			sum += st.st_mode + st.st_nlink * 7 +
			       (S_ISDIR(st.st_mode) ? 0 : (unsigned long)st.st_size * 13) + 1;
	}
	return sum;
}

static int word_of(const char *list, size_t index)
{
	for (; index > 0; index--) {
		list += strcspn(list, " ");
		list += strspn(list, " ");
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcspn(list, " ") == strlen(words[i].word) &&
			strncmp(list, words[i].word, strlen(words[i].word)) == 0)
			return words[i].error;
	return 4096;
}

static int expect(const char *op, size_t kind)
{
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (strcmp(expected[i].op, op) == 0)
			return is_root && kind >= FIRST_CLOSED ? word_of(expected[i].as_root, kind - FIRST_CLOSED)
							       : word_of(expected[i].words, kind);
	return 4096;
}

static void one(const struct op *op, size_t kind, unsigned long sum)
{
	const char *path = kinds[kind].made ? *kinds[kind].made : kinds[kind].path;
	long got;

	/* What is mounted between the root and the base is not known here. */
	if (op->call == how_xdev && path == absolute)
		return;
	if (op->cwd ? fchdir(base) != 0 : chdir("elsewhere") != 0)
		die("elsewhere");
	got = op->call(path);
	/* When somebody renames anything meanwhile the kernel walks a second time, and goes on counting links. */
	for (int i = 0; i < 10 && (got == -ELOOP || got == -EAGAIN) && expect(op->name, kind) != -got; i++)
		got = op->call(path);
	if (fchdir(base) != 0)
		die("base");
	if (got < 0 && !op->keeps && tree_sum() != sum)
		yes(false, "matrix %s, %s: it failed and has changed the tree", op->name, kinds[kind].name);
	else
		want(got, -expect(op->name, kind), "matrix %s, %s", op->name, kinds[kind].name);
	if (got >= 0 && !op->keeps)
		make_tree();
}

void posix_matrix(void)
{
	make_strings();
	make_links();
	make_dir("elsewhere", 0755);
	make_tree();
	unsigned long sum = tree_sum();
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		for (size_t k = 0; k < KINDS; k++)
			one(&ops[i], k, sum);
	chmod("m/closed", 0700);
	chmod("m/readonly", 0700);
}
