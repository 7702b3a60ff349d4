/* SPDX-License-Identifier: ISC */
/*
 * attr_battery DIR: each call that names, links, changes or watches an object, on each kind of path, in a new DIR; a line
 * for each with the result and what the tree is like then. It is run natively and as a target, and the lines compared.
 * Nothing in a line depends on where DIR is, or on when it runs. No path leads out of DIR: natively, the calls do what
 * they say.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#define THEN 1000000000
#define CALL(name, ...) (syscall(SYS_##name, __VA_ARGS__) < 0 ? -errno : 0)

static char top[PATH_MAX / 2], long_name[300];
static int base, instance;
static const struct timespec then[2] = {{THEN, 1}, {THEN + 1, 2}};

static void die(const char *what)
{
	printf("cannot %s: %s\n", what, strerror(errno));
	exit(2);
}

static void file_make(const char *name, const char *text, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(name);
	close(fd);
}

static const char *const names[] = {
	"a", "b", "d/in", "d/sub", "d/new", "d", "l", "dl", "dangling", "loop", "p", "new", "moved"};
#define NAMES (sizeof(names) / sizeof(names[0]))

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind;
	return at->level ? remove(path) : 0;
}

static void empty(void)
{
	/* A mode that was set may stand in the way of its owner. */
	static const char *const directories[] = {"d", "moved", "a", "new", "d/sub", "d/in"};
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		fchmodat(base, directories[i], 0700, 0);
	if (nftw(".", drop, 8, FTW_DEPTH | FTW_PHYS))
		die("empty the directory");
}

/* The tree at the start of each line. */
static void make(void)
{
	if (fchmod(base, 0755))
		die("set the mode");
	empty();
	file_make("a", "content", 0644);
	if (link("a", "b") || mkdir("d", 0755) || mkdir("d/sub", 0700) || symlink("a", "l") || symlink("d", "dl") ||
		symlink("none", "dangling") || symlink("loop", "loop") || mknod("p", S_IFIFO | 0600, 0))
		die("make the tree");
	file_make("d/in", "in", 0600);
	setxattr("a", "user.one", "1", 1, 0);
	for (size_t i = 0; i < NAMES; i++)
		utimensat(base, names[i], then, AT_SYMLINK_NOFOLLOW);
}

/* When links are read, and so looked at, is not a matter of the results. */
static char moment(const struct timespec *t, int exact)
{
	if (!exact && t->tv_sec != 77)
		return '-';
	return t->tv_sec == THEN ? '0' : t->tv_sec == THEN + 1 ? '1' : t->tv_sec == 77 ? '7' : 'n';
}

static void show(void)
{
	char list[256], to[64];
	struct stat st;

	for (size_t i = 0; i < NAMES; i++) {
		if (fstatat(base, names[i], &st, AT_SYMLINK_NOFOLLOW))
			continue;
		ssize_t n = S_ISREG(st.st_mode) ? listxattr(names[i], list, sizeof(list)) : -1;
		ssize_t len = S_ISLNK(st.st_mode) ? readlinkat(base, names[i], to, sizeof(to)) : 0;
		int own = st.st_uid == getuid() && st.st_gid == getgid();

		printf(" %s:%o/%d/%d%c%c%c%zd%.*s", names[i], st.st_mode, S_ISDIR(st.st_mode) ? 0 : (int)st.st_nlink,
			S_ISREG(st.st_mode) ? (int)st.st_size : 0, own ? '=' : '#',
			moment(&st.st_atim, !S_ISLNK(st.st_mode)), moment(&st.st_mtim, 1), n, (int)len, to);
	}
}

static void say(const char *name, const char *path, long result, int tree)
{
	const char *text = result < 0 ? strerrorname_np((int)-result) : NULL;

	printf("%s %.20s: %s%.0ld", name, path, text ? text : "", text ? 0 : result);
	if (tree)
		show();
	printf("\n");
}

/* ---- one path ---- */

#define PATHS static int
static const struct timespec set[2] = {{77, 7}, {77, 8}}, now_omit[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}},
			     bad[2] = {{1, -5}, {1, 2000000000}};
static char value[70000];

#ifdef SYS_chmod
PATHS old_chmod(const char *p)
{
	return CALL(chmod, p, 0604);
}
PATHS old_chown(const char *p)
{
	return CALL(chown, p, getuid(), getgid());
}
PATHS old_lchown(const char *p)
{
	return CALL(lchown, p, -1, getgid());
}
PATHS old_utime(const char *p)
{
	return CALL(utime, p, &((struct utimbuf){77, 77}));
}
PATHS old_utimes(const char *p)
{
	return CALL(utimes, p, ((struct timeval[2]){{77, 1}, {77, 999999}}));
}
PATHS old_utimes_bad(const char *p)
{
	return CALL(utimes, p, ((struct timeval[2]){{77, 1}, {77, 1000000}}));
}
PATHS old_futimesat(const char *p)
{
	return CALL(futimesat, base, p, ((struct timeval[2]){{77, 1}, {77, 1}}));
}
PATHS old_link(const char *p)
{
	return CALL(link, p, "new");
}
PATHS old_link_to(const char *p)
{
	return CALL(link, "a", p);
}
PATHS old_symlink(const char *p)
{
	return CALL(symlink, "to/where", p);
}
PATHS old_mknod(const char *p)
{
	return CALL(mknod, p, S_IFIFO | 0640, 0);
}
PATHS old_rename(const char *p)
{
	return CALL(rename, p, "moved");
}
#endif
PATHS at_chmod(const char *p)
{
	return CALL(fchmodat, base, p, 01622);
}
PATHS at_chmod2(const char *p)
{
	return CALL(fchmodat2, base, p, 0611, AT_SYMLINK_NOFOLLOW);
}
PATHS at_chmod_wrong(const char *p)
{
	return CALL(fchmodat2, base, p, 0611, AT_REMOVEDIR);
}
PATHS libc_chmod(const char *p)
{
	return fchmodat(base, p, 0666, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}
PATHS at_chown(const char *p)
{
	return CALL(fchownat, base, p, getuid(), -1, 0);
}
PATHS at_chown_link(const char *p)
{
	return CALL(fchownat, base, p, getuid(), -1, AT_SYMLINK_NOFOLLOW);
}
PATHS at_chown_empty(const char *p)
{
	return CALL(fchownat, base, p, -1, -1, AT_EMPTY_PATH);
}
PATHS at_utimens(const char *p)
{
	return CALL(utimensat, base, p, set, 0);
}
PATHS at_utimens_link(const char *p)
{
	return CALL(utimensat, base, p, set, AT_SYMLINK_NOFOLLOW);
}
PATHS at_utimens_now(const char *p)
{
	return CALL(utimensat, base, p, NULL, 0);
}
PATHS at_utimens_omit(const char *p)
{
	return CALL(utimensat, base, p, now_omit, 0);
}
PATHS at_utimens_bad(const char *p)
{
	return CALL(utimensat, base, p, bad, 0);
}
PATHS at_utimens_fault(const char *p)
{
	return CALL(utimensat, base, p, 1L, 0);
}
PATHS truncate_short(const char *p)
{
	return CALL(truncate, p, 3L);
}
PATHS truncate_long(const char *p)
{
	return CALL(truncate, p, 5000L);
}
PATHS truncate_minus(const char *p)
{
	return CALL(truncate, p, -1L);
}
PATHS get(const char *p)
{
	return (int)(getxattr(p, "user.one", value, sizeof(value)) < 0 ? -errno : 1);
}
PATHS lget(const char *p)
{
	return lgetxattr(p, "user.one", value, 0) < 0 ? -errno : 1;
}
PATHS get_none(const char *p)
{
	return getxattr(p, "user.two", value, 10) < 0 ? -errno : 1;
}
PATHS get_acl(const char *p)
{
	return getxattr(p, "system.posix_acl_access", value, 100) < 0 ? -errno : 1;
}
PATHS list(const char *p)
{
	return listxattr(p, value, sizeof(value)) < 0 ? -errno : 1;
}
PATHS list_small(const char *p)
{
	return listxattr(p, value, 3) < 0 ? -errno : 1;
}
PATHS llist(const char *p)
{
	return llistxattr(p, value, 0) < 0 ? -errno : 1;
}
PATHS set_value(const char *p)
{
	return setxattr(p, "user.two", "22", 2, 0) < 0 ? -errno : 0;
}
PATHS set_create(const char *p)
{
	return setxattr(p, "user.one", "22", 2, XATTR_CREATE) < 0 ? -errno : 0;
}
PATHS set_replace(const char *p)
{
	return setxattr(p, "user.two", "22", 2, XATTR_REPLACE) < 0 ? -errno : 0;
}
PATHS set_huge(const char *p)
{
	return setxattr(p, "user.two", value, sizeof(value), 0) < 0 ? -errno : 0;
}
PATHS set_wrong(const char *p)
{
	return setxattr(p, "user.two", value, 1, 8) < 0 ? -errno : 0;
}
PATHS set_nameless(const char *p)
{
	return setxattr(p, "", value, 1, 0) < 0 ? -errno : 0;
}
PATHS set_long(const char *p)
{
	return setxattr(p, long_name, value, 1, 0) < 0 ? -errno : 0;
}
PATHS lset(const char *p)
{
	return lsetxattr(p, "user.two", "22", 2, 0) < 0 ? -errno : 0;
}
PATHS remove_value(const char *p)
{
	return removexattr(p, "user.one") < 0 ? -errno : 0;
}
PATHS lremove(const char *p)
{
	return lremovexattr(p, "user.one") < 0 ? -errno : 0;
}
PATHS at_link(const char *p)
{
	return CALL(linkat, base, p, base, "new", 0);
}
PATHS at_link_follow(const char *p)
{
	return CALL(linkat, base, p, base, "d/new", AT_SYMLINK_FOLLOW);
}
PATHS at_link_wrong(const char *p)
{
	return CALL(linkat, base, p, base, "new", AT_SYMLINK_NOFOLLOW);
}
PATHS at_link_to(const char *p)
{
	return CALL(linkat, base, "d/in", base, p, 0);
}
PATHS at_symlink(const char *p)
{
	return CALL(symlinkat, "a", base, p);
}
PATHS at_symlink_empty(const char *p)
{
	return CALL(symlinkat, "", base, p);
}
PATHS at_mkfifo(const char *p)
{
	return CALL(mknodat, base, p, S_IFIFO | 0666, 0);
}
PATHS at_mksock(const char *p)
{
	return CALL(mknodat, base, p, S_IFSOCK | 0777, 0);
}
PATHS at_mkreg(const char *p)
{
	return CALL(mknodat, base, p, 0600, 0);
}
PATHS at_mkdir_by_mknod(const char *p)
{
	return CALL(mknodat, base, p, S_IFDIR | 0600, 0);
}
PATHS at_mkwrong(const char *p)
{
	return CALL(mknodat, base, p, 0170000 | 0600, 0);
}
PATHS at_rename(const char *p)
{
	return CALL(renameat2, base, p, base, "moved", 0);
}
PATHS at_rename_to(const char *p)
{
	return CALL(renameat2, base, "a", base, p, 0);
}
PATHS at_rename_noreplace(const char *p)
{
	return CALL(renameat2, base, "a", base, p, 1);
}
PATHS at_exchange(const char *p)
{
	return CALL(renameat2, base, "a", base, p, 2);
}
PATHS watch(const char *p)
{
	return inotify_add_watch(instance, p, IN_MODIFY) < 0 ? -errno : 0;
}
PATHS watch_link(const char *p)
{
	return inotify_add_watch(instance, p, IN_ATTRIB | IN_DONT_FOLLOW) < 0 ? -errno : 0;
}
PATHS watch_dir(const char *p)
{
	return inotify_add_watch(instance, p, IN_CREATE | IN_ONLYDIR) < 0 ? -errno : 0;
}
PATHS watch_nothing(const char *p)
{
	return inotify_add_watch(instance, p, 0) < 0 ? -errno : 0;
}
PATHS watch_no_instance(const char *p)
{
	return inotify_add_watch(base, p, IN_MODIFY) < 0 ? -errno : 0;
}

static const struct {
	const char *name;
	int (*run)(const char *path);
} calls[] = {
#define C(name)                                                                                                        \
	{                                                                                                              \
#name, name                                                                                            \
	}
#ifdef SYS_chmod
	C(old_chmod), C(old_chown), C(old_lchown), C(old_utime), C(old_utimes), C(old_utimes_bad), C(old_futimesat),
	C(old_link), C(old_link_to), C(old_symlink), C(old_mknod), C(old_rename),
#endif
	C(at_chmod), C(at_chmod2), C(at_chmod_wrong), C(libc_chmod), C(at_chown), C(at_chown_link), C(at_chown_empty),
	C(at_utimens), C(at_utimens_link), C(at_utimens_now), C(at_utimens_omit), C(at_utimens_bad),
	C(at_utimens_fault), C(truncate_short), C(truncate_long), C(truncate_minus), C(get), C(lget), C(get_none),
	C(get_acl), C(list), C(list_small), C(llist), C(set_value), C(set_create), C(set_replace), C(set_huge),
	C(set_wrong), C(set_nameless), C(set_long), C(lset), C(remove_value), C(lremove), C(at_link), C(at_link_follow),
	C(at_link_wrong), C(at_link_to), C(at_symlink), C(at_symlink_empty), C(at_mkfifo), C(at_mksock), C(at_mkreg),
	C(at_mkdir_by_mknod), C(at_mkwrong), C(at_rename), C(at_rename_to), C(at_rename_noreplace), C(at_exchange),
	C(watch), C(watch_link), C(watch_dir), C(watch_nothing), C(watch_no_instance)};

static const char *const paths[] = {"a", "./a", "a/", "a/.", "d", "d/", "d/.", "d/..", ".", "d/in", "d/sub", "l", "l/",
	"dl", "dl/", "dl/in", "dl/../a", "dangling", "dangling/", "loop", "p", "new", "new/", "d/new", "none/new",
	"a/new", "", long_name, NULL};

/* libc changes what may be a link by way of an O_PATH descriptor, which behind the door there is only of these. */
static int plain(const char *path)
{
	struct stat st;

	return lstat(path, &st) || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

/* ---- descriptors ---- */

#define LINE(name, ...) (make(), say(name, #__VA_ARGS__, CALL(__VA_ARGS__), 1))

static void by_descriptor(void)
{
	static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR, O_PATH};
	char link[40];

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		for (int gone = 0; gone < 2; gone++) {
			make();
			int fd = openat(base, "a", flags[i] | O_CLOEXEC);
			/* Behind the door an O_PATH descriptor is one for reading: what takes no O_PATH differs. */
			int real = flags[i] != O_PATH;

			if (gone && (unlink("a") || unlink("b")))
				die("unlink");
			snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
			printf("descriptor %#x %d\n", flags[i], gone);
			say("", "chmod", CALL(fchmodat, AT_FDCWD, link, 0640), 1);
			say("", "chmod empty", CALL(fchmodat2, fd, "", 0641, AT_EMPTY_PATH), 1);
			say("", "chmod no flag", CALL(fchmodat, fd, "", 0641), 1);
			say("", "chown", CALL(fchownat, AT_FDCWD, link, getuid(), getgid(), 0), 1);
			say("", "chown empty", CALL(fchownat, fd, "", getuid(), getgid(), AT_EMPTY_PATH), 1);
			say("", "utimens", CALL(utimensat, AT_FDCWD, link, set, 0), 1);
			say("", "utimens empty", CALL(utimensat, fd, "", NULL, AT_EMPTY_PATH), 1);
			if (real) {
				say("", "fchmod", CALL(fchmod, fd, 0646), 1);
				say("", "fchown", CALL(fchown, fd, -1, getgid()), 1);
				say("", "futimens", CALL(utimensat, fd, NULL, set, 0), 1);
				say("", "fsetxattr", CALL(fsetxattr, fd, "user.f", "f", 1, 0), 1);
				say("", "fremovexattr", CALL(fremovexattr, fd, "user.f"), 1);
#ifdef SYS_futimesat
				say("", "futimesat", CALL(futimesat, fd, NULL, NULL), 1);
#endif
			}
			say("", "setxattr", setxattr(link, "user.p", "p", 1, 0) < 0 ? -errno : 0, 1);
			say("", "getxattr", getxattr(link, "user.p", value, 1) < 0 ? -errno : 0, 0);
			say("", "listxattr", listxattr(link, value, 0) < 0 ? -errno : 0, 0);
			if (!gone || flags[i] == O_RDWR)
				say("", "truncate", CALL(truncate, link, 2L), 1);
			say("", "link", CALL(linkat, AT_FDCWD, link, base, "new", AT_SYMLINK_FOLLOW), 1);
			close(fd);
		}
	}
	say("chmod", "no descriptor", chmod("/proc/self/fd/999", 0600) < 0 ? -errno : 0, 0);
	say("chown", "no descriptor", lchown("/proc/self/fd/999", -1, -1) < 0 ? -errno : 0, 0);
	say("xattr", "no number", getxattr("/dev/fd/x", "user.one", value, 1) < 0 ? -errno : 0, 0);
	say("chmod", "bad descriptor", CALL(fchmod, 999, 0600), 0);
	say("chown", "bad descriptor", CALL(fchownat, 999, "", 0, 0, AT_EMPTY_PATH), 0);
	say("link", "bad descriptor", CALL(linkat, 999, "a", base, "new", 0), 0);
	say("link", "to a file's descriptor", CALL(linkat, base, "a", instance, "new", 0), 0);
	LINE("here", utimensat, AT_FDCWD, "", set, AT_EMPTY_PATH);
	say("no path", "utimensat", CALL(utimensat, AT_FDCWD, NULL, set, 0), 0);
	say("no path", "chmod", CALL(fchmodat, AT_FDCWD, 1L, 0600), 0);
	say("no path", "getxattr", CALL(getxattr, "a", 1L, value, 1L), 0);
	say("no room", "getxattr", CALL(getxattr, "a", "user.one", 1L, 10L), 0);
	say("no value", "setxattr", CALL(setxattr, "a", "user.one", 1L, 10L, 0), 0);
}

static void temporary(void)
{
	char link[40];

	for (int exclusive = 0; exclusive < 2; exclusive++) {
		make();
		int fd = open("d", O_TMPFILE | O_RDWR | O_CLOEXEC | (exclusive ? O_EXCL : 0), 0600);

		if (fd < 0) {
			say("temporary", "open", -errno, 0);
			continue;
		}
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (write(fd, "tmp", 3) != 3)
			die("write");
		say("temporary", "link", CALL(linkat, AT_FDCWD, link, base, "new", AT_SYMLINK_FOLLOW), 1);
		say("temporary", "again", CALL(linkat, AT_FDCWD, link, base, "d/new", AT_SYMLINK_FOLLOW), 1);
		close(fd);
	}
}

static int signalled;

static void on_signal(int sig)
{
	(void)sig;
	signalled++;
}

static void limits(void)
{
	make();
	signal(SIGXFSZ, on_signal);
	struct rlimit limit = {4096, RLIM_INFINITY};
	if (setrlimit(RLIMIT_FSIZE, &limit))
		say("limit", "set", -errno, 0);
	say("limit", "below", CALL(truncate, "a", 4096L), 1);
	say("limit", "above", CALL(truncate, "a", 4097L), 1);
	printf("limit: %d signals\n", signalled);
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	say("limit", "none", CALL(truncate, "a", 4097L), 1);
	say("limit", "too large", CALL(truncate, "a", LONG_MAX), 1);
}

static void events(void)
{
	char buf[4096] __attribute__((aligned(8)));

	close(instance);
	instance = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	make();
	int wd = inotify_add_watch(instance, "d", IN_CREATE | IN_ATTRIB | IN_MOVED_TO);
	printf("watch again: %d\n", inotify_add_watch(instance, "dl", IN_CREATE | IN_ATTRIB | IN_MOVED_TO) == wd);
	mknod("d/new", S_IFREG | 0600, 0);
	chmod("d/new", 0640);
	rename("a", "d/moved");
	ssize_t n = read(instance, buf, sizeof(buf));
	for (ssize_t at = 0; at < n;) {
		struct inotify_event *e = (struct inotify_event *)(buf + at);

		printf("event %#x %s\n", e->mask, e->len ? e->name : "");
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	say("watch", "remove", inotify_rm_watch(instance, wd) < 0 ? -errno : 0, 0);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];

	umask(027);
	if (argc < 2 || !realpath(argv[1], top) || chdir(top))
		die("enter the directory");
	memset(long_name, 'n', sizeof(long_name) - 1);
	base = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	instance = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (base < 0 || instance < 0)
		die("begin");
	for (int absolute = 0; absolute < 2; absolute++)
		for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++)
			for (size_t i = 0; paths[i]; i++) {
				make();
				/* DIR itself is unveiled, and cannot be renamed. */
				if ((calls[c].run == libc_chmod && !plain(paths[i])) || (absolute && !*paths[i]))
					continue;
				snprintf(path, sizeof(path), "%s/%s", top, paths[i]);
				printf("%d ", absolute);
				say(calls[c].name, paths[i], calls[c].run(absolute ? path : paths[i]), 1);
			}
	say("no path", "fault", CALL(fchmodat, AT_FDCWD, NULL, 0600), 0);
	by_descriptor();
	temporary();
	limits();
	events();
	empty();
	return 0;
}
