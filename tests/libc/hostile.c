/* SPDX-License-Identifier: ISC */
/* What else one could do with the files that libc opens whatever is unveiled: nothing. */
#include "checks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Whether what is read there is what passwd begins with. */
static int is_passwd(int fd)
{
	char text[6] = "";
	return pread(fd, text, 5, 0) == 5 && strcmp(text, "root:") == 0;
}

static void try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);
	say("%s %x: %s", path, (unsigned)flags, fd >= 0 ? "YES" : "no");
	if (fd >= 0)
		close(fd);
}

/* Without getpw none of its files, however they are written. */
static void spelled(void)
{
	static const char *const paths[] = {"/etc/passwd", "//etc//passwd", "/etc/./passwd", "/etc/../etc/passwd",
		"/usr/share/zoneinfo/../../../etc/passwd", "/usr/share/zoneinfo/Europe/../../../../etc/passwd",
		"/usr/lib/locale/../../../etc/passwd", "/proc/self/root/etc/passwd", "/dev/fd/../../../etc/passwd",
		"/dev/../etc/passwd", "/etc/localtime/../passwd", "/etc/group", "/etc/resolv.conf", "/etc/hosts",
		"/etc/shadow", "/etc/nsswitch.conf", "/dev/null/../../etc/passwd"};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		try_open(paths[i], O_RDONLY);
	int root = open("/", O_RDONLY | O_DIRECTORY), zones = open("/usr/share/zoneinfo", O_RDONLY | O_DIRECTORY);
	int path = open("/usr/share/zoneinfo", O_PATH), etc = open("/etc", O_PATH);
	say("%s", root >= 0 ? "YES" : "no");
	say("%s", etc >= 0 ? "YES" : "no");
	int fd = zones >= 0 ? openat(zones, "../../../etc/passwd", O_RDONLY) : -1;
	say("%s", fd >= 0 && is_passwd(fd) ? "YES" : "no");
	fd = path >= 0 ? openat(path, "../../../etc/passwd", O_RDONLY) : -1;
	say("%s", fd >= 0 && is_passwd(fd) ? "YES" : "no");
	/* A path that is changed while it is looked at. */
	static char moving[64];
	strcpy(moving, "/usr/share/zoneinfo/UTC");
	fd = open(moving, O_RDONLY);
	strcpy(moving, "/etc/passwd");
	say("%s", fd >= 0 && is_passwd(fd) ? "YES" : "no");
}

/* None is written to, made or emptied. */
static void written(void)
{
	static const char *const paths[] = {"/etc/localtime", "/usr/share/zoneinfo/UTC", "/usr/share/zoneinfo/new",
		"/usr/lib/locale/new", "/usr/share/locale/new.mo", "/etc/nsswitch.conf", "/etc/passwd", "/etc/hosts",
		"/sys/devices/system/cpu/online", "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache"};
	static const int flags[] = {O_WRONLY, O_RDWR, O_WRONLY | O_APPEND, 3};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		for (size_t k = 0; k < sizeof(flags) / sizeof(flags[0]); k++)
			try_open(paths[i], flags[k]);
}

/* And nothing is made in its directories. */
static void made(void)
{
	static const char *const dirs[] = {"/usr/share/zoneinfo", "/usr/lib/locale", "/usr/share/locale"};
	char path[64];
	for (size_t i = 0; i < 3; i++) {
		int fd = open(dirs[i], O_TMPFILE | O_RDWR, 0600);
		say("%s", fd >= 0 ? "YES" : "no");
		fd = open("/usr/lib/locale/C.utf8/LC_MESSAGES", O_RDONLY);
		say("%s", fd >= 0 && fchmod(fd, 0755) == 0 ? "YES" : "no");
		say("%s", fd >= 0 && mkdirat(fd, "airlock-test", 0755) == 0 ? "YES" : "no");
		snprintf(path, sizeof(path), "%s/airlock-test-%d", dirs[i], (int)getpid());
		fd = open(path, O_RDONLY | O_CREAT | O_EXCL, 0600);
		say("%s", fd >= 0 ? "YES" : "no");
		say("%s", unlink(path) == 0 ? "YES" : "no");
		say("%s", mkdir(path, 0700) == 0 ? "YES" : "no");
		say("%s", rmdir(path) == 0 ? "YES" : "no");
		say("%s", symlink("/etc/passwd", path) == 0 ? "YES" : "no");
		say("%s", unlink(path) == 0 ? "YES" : "no");
	}
}

/* Whether a descriptor leads up, by the call that is not a request: libc's fstat(). */
static int seen_from(int fd)
{
	struct stat st;
	static const char *const ups[] = {"../../../etc/passwd", "../../../../etc/passwd", "../../../../../etc/passwd"};
	int seen = 0;
	for (size_t i = 0; fd >= 0 && i < 3; i++)
		seen += fstatat(fd, ups[i], &st, AT_EMPTY_PATH) == 0;
	return seen;
}

/* The directories as such. */
static void listed(void)
{
	static const char *const dirs[] = {"/usr/share/zoneinfo", "/usr/share/zoneinfo/Europe", "/usr/lib/locale",
		"/usr/share/locale", "/usr/share/zoneinfo/", "/usr/share/zoneinfo/.", "/usr/lib/getconf", "/"};
	char buf[4096];
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		int fd = open(dirs[i], O_RDONLY | O_DIRECTORY);
		say("%s", fd >= 0 && syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0 ? "YES" : "no");
		fd = open(dirs[i], O_PATH);
		say("%s", fd >= 0 && syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0 ? "YES" : "no");
		say("%s", fd >= 0 && openat(fd, "../../../etc/passwd", O_RDONLY) >= 0 ? "YES" : "no");
		say("%s", seen_from(fd) ? "YES" : "no");
		say("%s", chdir(dirs[i]) == 0 ? "YES" : "no");
	}
	/* The one that is given away, since libc must find out that it is a directory. */
	int fd = open("/usr/lib/locale/C.utf8/LC_MESSAGES", O_RDONLY);
	say("%s", seen_from(fd) ? "YES" : "no");
	say("%s", fd >= 0 && openat(fd, "../../../../../etc/passwd", O_RDONLY) >= 0 ? "YES" : "no");
	say("%s", fd >= 0 && openat(fd, "../LC_CTYPE", O_RDWR) >= 0 ? "YES" : "no");
}

/* The name services' settings, which natively are a file, and here a copy in memory. */
static void sealed(void)
{
	static const char evil[] = "passwd: evil\n";
	int fd = open("/etc/nsswitch.conf", O_RDONLY);
	if (fd < 0) {
		say("not there");
		return;
	}
	char link[64], first[256] = "", again[256] = "";
	ssize_t n = pread(fd, first, sizeof(first) - 1, 0);
	say("%s", n > 0 && (strstr(first, "systemd") || strstr(first, "compat")) ? "YES, the machine's" : "no");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	int w = open(link, O_RDWR);
	say("%s", w >= 0 ? "YES" : "no");
	w = open(link, O_WRONLY | O_TRUNC);
	say("%s", w >= 0 ? "YES" : "no");
	say("%s", pwrite(fd, evil, sizeof(evil) - 1, 0) > 0 ? "YES" : "no");
	say("%s", ftruncate(fd, 0) == 0 ? "YES" : "no");
	say("%s", fallocate(fd, 0, 0, 1 << 20) == 0 ? "YES" : "no");
	say("%s", fchmod(fd, 0777) == 0 ? "YES" : "no");
	void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	say("%s", m != MAP_FAILED ? "YES" : "no");
	m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	say("%s", m != MAP_FAILED && mprotect(m, 4096, PROT_READ | PROT_WRITE) == 0 ? "YES" : "no");
	m = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	say("%s", m != MAP_FAILED ? "YES" : "no");
	fd = open("/etc/nsswitch.conf", O_RDONLY);
	say("%s",
		pread(fd, again, sizeof(again) - 1, 0) != n || strcmp(first, again) != 0 ? "YES, it is another" : "no");
	/* The position of one open is not another's. */
	lseek(fd, 5, SEEK_SET);
	int third = open("/etc/nsswitch.conf", O_RDONLY);
	say("%s", lseek(third, 0, SEEK_CUR) != 0 ? "YES" : "no");
}

/* What is served can be looked at, and nothing around it. */
static void looked(void)
{
	static const char *const paths[] = {"/etc/passwd", "/etc", "/usr/share", "/etc/shadow", "/etc/group",
		"/usr/share/zoneinfo/../../../etc/passwd", "/etc/localtime/."};
	struct stat st;
	char text[64];
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		say("%s", stat(paths[i], &st) == 0 ? "YES" : "no");
		say("%s", access(paths[i], F_OK) == 0 ? "YES" : "no");
		say("%s", readlink(paths[i], text, sizeof(text)) > 0 ? "YES" : "no");
	}
}

/* A symbolic link that was put into the directory leads nowhere; tests/libc.sh puts one there. */
static void planted(void)
{
	static const char *const paths[] = {"/usr/share/zoneinfo/planted",
		"/usr/share/zoneinfo/planted-directory/passwd", "/usr/share/zoneinfo/planted-relative",
		"/usr/share/zoneinfo/planted-proc/cmdline"};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int fd = open(paths[i], O_RDONLY);
		say("%s", fd >= 0 ? "YES" : "no");
		struct stat st;
		say("%s", stat(paths[i], &st) == 0 ? "YES" : "no");
	}
	setenv("TZ", ":planted", 1);
	int fd = open("/usr/share/zoneinfo/planted-fifo", O_RDONLY | O_NONBLOCK);
	say("%s", fd >= 0 ? "YES" : "no");
}

const struct libc_check hostile_checks[] = {
	{"hostile-spelled", "stdio", NULL, LIBC_HOSTILE, spelled},
	{"hostile-written", "stdio getpw dns", NULL, LIBC_HOSTILE | LIBC_HARMFUL, written},
	{"hostile-made", "stdio getpw dns", NULL, LIBC_HOSTILE | LIBC_HARMFUL, made},
	{"hostile-listed", "stdio rpath", "r:@", LIBC_HOSTILE, listed},
	{"hostile-sealed", "stdio getpw", NULL, LIBC_HOSTILE | LIBC_HARMFUL, sealed},
	{"hostile-sealed-rpath", "stdio rpath wpath getpw", "r:/usr", LIBC_HOSTILE | LIBC_HARMFUL, sealed},
	{"hostile-looked", "stdio", NULL, LIBC_HOSTILE, looked},
	{"hostile-planted", "stdio", NULL, LIBC_HOSTILE, planted},
	{NULL, NULL, NULL, 0, NULL},
};
