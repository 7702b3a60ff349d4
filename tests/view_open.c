/* SPDX-License-Identifier: ISC */
/* The part of the battery about opening: every flag on every kind of object. Runs natively and in targets. */
#include "tests/view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef O_LARGEFILE_KERNEL
#define O_LARGEFILE_KERNEL 0100000
#endif

static const char *const objects[] = {"file", "ro", "none", "empty", "dir", "link", "dlink", "dangling", "loop", "fifo",
	"sock", "missing", "file/", "file/.", "file/..", "file/x", "dir/", "dir/.", "dir/..", "dir/missing", "missing/",
	"missing/.", "missing/x", "link/", "dlink/", "dlink/.", "dlink/inner", "dangling/", "loop/", "loop/x", "exe",
	"fifolink", "chain/20", "chain/41", "busy", ".", "..", "./", "", "dir//inner", "./dir/./inner", "dlink/../file",
	"dir/sub/../inner", "abs", "rodir/file", "rodir/new", "nodir/file", "nodir/new", "nodir", "suid",
	"deep/dir/link"};

static const struct {
	const char *name;
	int flags;
} combinations[] = {
	{"RDONLY", O_RDONLY},
	{"WRONLY", O_WRONLY},
	{"RDWR", O_RDWR},
	{"3", O_ACCMODE},
	{"CREAT", O_CREAT},
	{"CREAT|WRONLY", O_CREAT | O_WRONLY},
	{"CREAT|RDWR", O_CREAT | O_RDWR},
	{"CREAT|EXCL", O_CREAT | O_EXCL},
	{"EXCL", O_EXCL},
	{"CREAT|WRONLY|EXCL|TRUNC", O_CREAT | O_WRONLY | O_EXCL | O_TRUNC},
	{"CREAT|WRONLY|TRUNC", O_CREAT | O_WRONLY | O_TRUNC},
	{"CREAT|NOFOLLOW", O_CREAT | O_NOFOLLOW},
	{"CREAT|DIRECTORY", O_CREAT | O_DIRECTORY},
	{"WRONLY|TRUNC", O_WRONLY | O_TRUNC},
	{"RDONLY|TRUNC", O_RDONLY | O_TRUNC},
	{"3|TRUNC", O_ACCMODE | O_TRUNC},
	{"WRONLY|APPEND", O_WRONLY | O_APPEND},
	{"RDWR|APPEND|TRUNC", O_RDWR | O_APPEND | O_TRUNC},
	{"RDONLY|APPEND", O_RDONLY | O_APPEND},
	{"RDONLY|NONBLOCK", O_RDONLY | O_NONBLOCK},
	{"WRONLY|NONBLOCK", O_WRONLY | O_NONBLOCK},
	{"RDWR|NONBLOCK", O_RDWR | O_NONBLOCK},
	{"RDONLY|CLOEXEC", O_RDONLY | O_CLOEXEC},
	{"RDONLY|DIRECTORY", O_RDONLY | O_DIRECTORY},
	{"WRONLY|DIRECTORY", O_WRONLY | O_DIRECTORY},
	{"RDWR|DIRECTORY", O_RDWR | O_DIRECTORY},
	{"RDONLY|NOFOLLOW", O_RDONLY | O_NOFOLLOW},
	{"RDONLY|NOFOLLOW|DIRECTORY", O_RDONLY | O_NOFOLLOW | O_DIRECTORY},
	{"RDWR|NOFOLLOW", O_RDWR | O_NOFOLLOW},
	{"RDWR|SYNC", O_RDWR | O_SYNC},
	{"RDWR|DSYNC", O_RDWR | O_DSYNC},
	{"RDONLY|NOATIME", O_RDONLY | O_NOATIME},
	{"RDONLY|DIRECT", O_RDONLY | O_DIRECT},
	{"RDONLY|ASYNC", O_RDONLY | O_ASYNC},
	{"RDONLY|LARGEFILE", O_RDONLY | O_LARGEFILE_KERNEL},
	{"RDONLY|NOCTTY", O_RDONLY | O_NOCTTY},
	{"RDONLY|unknown", O_RDONLY | 1 << 29 | 1 << 30},
	{"TMPFILE|RDONLY", O_TMPFILE | O_RDONLY},
	{"TMPFILE|WRONLY", O_TMPFILE | O_WRONLY},
	{"TMPFILE|RDWR", O_TMPFILE | O_RDWR},
	{"TMPFILE|RDWR|EXCL", O_TMPFILE | O_RDWR | O_EXCL},
	{"TMPFILE|RDWR|CREAT", O_TMPFILE | O_RDWR | O_CREAT},
	{"TMPFILE without DIRECTORY", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR},
	{"RDWR|EXCL|TRUNC|NOFOLLOW|CLOEXEC", O_RDWR | O_EXCL | O_TRUNC | O_NOFOLLOW | O_CLOEXEC},
};

static bool would_block(const char *path, int flags)
{
	return !strncmp(path, "fifo", 4) && !(flags & O_NONBLOCK) && (flags & O_ACCMODE) != O_RDWR;
}

static void describe(struct view *v, const char *name, long fd)
{
	struct stat st;

	if (fd < 0) {
		view_result(v, name, -errno);
		return;
	}
	fstat((int)fd, &st);
	view_say(v, name, "fd, flags %o, fd flags %d, type %o, mode %o, nlink %d, size %lld", fcntl((int)fd, F_GETFL),
		fcntl((int)fd, F_GETFD), st.st_mode & S_IFMT, st.st_mode & 07777, (int)st.st_nlink,
		S_ISREG(st.st_mode) ? (long long)st.st_size : 0);
	close((int)fd);
}

static void tidy(void)
{
	static const char *const made[] = {"missing", "gone", "dir/missing", "rodir/new", "nodir/new"};

	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		unlink(made[i]);
}

void view_open(struct view *v)
{
	char name[128];
	size_t i, k;

	for (k = 0; k < sizeof(combinations) / sizeof(combinations[0]); k++)
		for (i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
			if (would_block(objects[i], combinations[k].flags))
				continue;
			snprintf(name, sizeof(name), "open(\"%s\", %s)", objects[i], combinations[k].name);
			describe(v, name, syscall(SYS_openat, AT_FDCWD, objects[i], combinations[k].flags, 0640));
			tidy();
		}
	/* No O_PATH descriptor can be handed over: what is compared is whether there is one. */
	for (i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		long fd = syscall(SYS_openat, AT_FDCWD, objects[i], O_PATH);

		snprintf(name, sizeof(name), "open(\"%s\", PATH)", objects[i]);
		if (strstr(objects[i], "fifo") || !strcmp(objects[i], "sock") || !strcmp(objects[i], "none") ||
			!strcmp(objects[i], "nodir"))
			;
		else
			view_result(v, name, fd < 0 ? -errno : 0);
		if (fd >= 0)
			close((int)fd);
	}
}

struct how {
	uint64_t flags, mode, resolve, more[600];
};

static void one(struct view *v, const char *path, const struct how *how, size_t size, const char *what)
{
	char name[160];

	snprintf(name, sizeof(name), "openat2(\"%s\", %s)", path, what);
	long fd = -1;
	/* A rename anywhere meanwhile makes a walk through ".." end with EAGAIN, natively too. */
	for (int i = 0; i < 20 && fd < 0; i++) {
		fd = syscall(SYS_openat2, AT_FDCWD, path, how, size);
		if (fd < 0 && errno != EAGAIN)
			break;
	}
	describe(v, name, fd);
	tidy();
}

static void descriptors(struct view *v)
{
	struct rlimit old, few;
	int fds[64], n = 0, fd;

	close(0);
	fd = open("file", O_RDONLY);
	view_result(v, "the lowest free descriptor", fd);
	dup2(1, 0);
	fd = open("file", O_RDONLY);
	view_result(v, "a closed number again", (close(fd), open("dir", O_RDONLY)) - fd);
	close(fd);
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	while (n < 64 && (fds[n] = open("file", O_RDONLY)) >= 0 && n < 4)
		n++;
	view_result(v, "four descriptors", n);
	while (n > 0)
		close(fds[--n]);
	(void)few;
}

static void memory(struct view *v)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = map + page - 2;

	munmap(map + 2 * page, page);
	strcpy(at, "file");
	describe(v, "a path across pages", syscall(SYS_openat, AT_FDCWD, at, O_RDONLY));
	at = strcpy(map + 2 * page - 5, "file");
	describe(v, "a path that ends with its page", syscall(SYS_openat, AT_FDCWD, at, O_RDONLY));
	memset(map, '/', 2 * page);
	describe(v, "a path that runs off its page", syscall(SYS_openat, AT_FDCWD, at, O_RDONLY));
	describe(v, "a path without an end", syscall(SYS_openat, AT_FDCWD, map, O_RDONLY));
	map[4095] = 0;
	describe(v, "4095 slashes", syscall(SYS_openat, AT_FDCWD, map, O_RDONLY));
	memset(map, 'a', 4095);
	describe(v, "a component of 4095", syscall(SYS_openat, AT_FDCWD, map, O_RDONLY));
	map[256] = 0;
	describe(v, "a component of 256", syscall(SYS_openat, AT_FDCWD, map, O_RDONLY));
	map[255] = 0;
	describe(v, "a component of 255", syscall(SYS_openat, AT_FDCWD, map, O_RDONLY));
	memcpy(map + 256, "/x", 3);
	map[255] = 'a';
	describe(v, "a component of 256 before another", syscall(SYS_openat, AT_FDCWD, map, O_RDONLY));
	for (size_t i = 0; i + 2 < 4094; i += 2)
		memcpy(map + i, "./", 2);
	strcpy(map + 4090, "file");
	describe(v, "a long path of dots", syscall(SYS_openat, AT_FDCWD, map, O_RDONLY));
	describe(v, "NULL", syscall(SYS_openat, AT_FDCWD, NULL, O_RDONLY));
	describe(v, "address 1", syscall(SYS_openat, AT_FDCWD, 1, O_RDONLY));
	munmap(map, 2 * page);
	describe(v, "unmapped", syscall(SYS_openat, AT_FDCWD, map, O_RDONLY));
	describe(v, "upper halves of registers",
		syscall(SYS_openat, 0x12345678ffffff9cUL, "file", 0x7700000000UL | O_RDONLY, 0));
	describe(v, "a bad descriptor", syscall(SYS_openat, 999, "file", O_RDONLY));
	describe(v, "a bad descriptor, absolute", syscall(SYS_openat, 999, "/", O_RDONLY));
	describe(v, "a bad descriptor, empty", syscall(SYS_openat, 999, "", O_RDONLY));
	int fd = open("file", O_RDONLY);
	describe(v, "below a file's descriptor", syscall(SYS_openat, fd, "x", O_RDONLY));
	describe(v, "\".\" of a file's descriptor", syscall(SYS_openat, fd, ".", O_RDONLY));
	describe(v, "\"\" of a file's descriptor", syscall(SYS_openat, fd, "", O_RDONLY));
	close(fd);
}

void view_open2(struct view *v)
{
	static const char *const paths[] = {"file", "link", "dlink/inner", "../", "dir/../file", "/", "abs", "missing",
		"dir", "loop", "dir/../../t/file", "deep/dir/link", "deep/up", "/nonexistent/file", "deep/abs"};
	static const uint64_t flags[] = {
		O_RDONLY, O_RDWR, O_WRONLY | O_CREAT, O_PATH | O_DIRECTORY, O_DIRECTORY | O_RDONLY};
	char what[80];
	struct how how;
	size_t i, k;

	for (unsigned resolve = 0; resolve < 128; resolve++)
		for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
			/* NO_XDEV: no more than the broker knows of mounts. CACHED: what is cached is chance. */
			if (resolve & (RESOLVE_CACHED | RESOLVE_NO_XDEV))
				continue;
			how = (struct how){.flags = O_RDONLY, .resolve = resolve};
			snprintf(what, sizeof(what), "resolve %#x", resolve);
			one(v, paths[i], &how, 24, what);
		}
	for (k = 0; k < sizeof(flags) / sizeof(flags[0]); k++) {
		if (flags[k] & O_PATH)
			continue;
		how = (struct how){.flags = flags[k], .mode = flags[k] & O_CREAT ? 0600 : 0};
		snprintf(what, sizeof(what), "flags %#llx", (unsigned long long)flags[k]);
		for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
			if (strcmp(paths[i], "/") != 0) /* which is not unveiled for writing */
				one(v, paths[i], &how, 24, what);
	}
	static const struct {
		struct how how;
		size_t size;
	} bad[] = {
		{{.flags = 0}, 0},
		{{.flags = 0}, 8},
		{{.flags = 0}, 23},
		{{.flags = 0}, 32},
		{{.flags = 0, .more = {1}}, 32},
		{{.flags = 0, .more = {1}}, 24},
		{{.flags = 0}, 4096},
		{{.flags = 0}, 4097},
		{{.flags = 0, .more = {[508] = 1}}, 4096},
		{{.flags = 1ULL << 40}, 24},
		{{.flags = 1ULL << 29}, 24},
		{{.flags = O_RDONLY, .mode = 0600}, 24},
		{{.flags = O_CREAT, .mode = 010600}, 24},
		{{.flags = O_CREAT, .mode = 1ULL << 33}, 24},
		{{.flags = O_PATH | O_RDWR}, 24},
		{{.flags = O_PATH | O_CREAT}, 24},
		{{.flags = 0, .resolve = 1ULL << 20}, 24},
		{{.flags = 0, .resolve = 1ULL << 40}, 24},
		{{.flags = 0, .resolve = RESOLVE_BENEATH | RESOLVE_IN_ROOT}, 24},
		{{.flags = O_CREAT, .resolve = RESOLVE_CACHED, .mode = 0600}, 24},
		{{.flags = O_TRUNC | O_RDWR, .resolve = RESOLVE_CACHED}, 24},
		{{.flags = O_TMPFILE | O_RDONLY}, 24},
		{{.flags = O_CREAT | O_DIRECTORY, .mode = 0600}, 24},
		{{.flags = O_TMPFILE | O_RDWR, .mode = 0600}, 24},
		{{.flags = O_CREAT | O_RDWR, .mode = 06755}, 24},
	};
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		/* The one that makes a set-id file: the bits are taken off, as documented. */
		if (bad[i].how.mode == 06755)
			continue;
		snprintf(what, sizeof(what), "odd %zu", i);
		one(v, "file", &bad[i].how, bad[i].size, what);
		one(v, "missing", &bad[i].how, bad[i].size, what);
		one(v, "dir", &bad[i].how, bad[i].size, what);
	}
	describe(v, "openat2 of a bad pointer", syscall(SYS_openat2, AT_FDCWD, "file", 8, 24));
	describe(v, "creat", syscall(SYS_openat, AT_FDCWD, "missing", O_CREAT | O_WRONLY | O_TRUNC, 0666));
	tidy();
	memory(v);
	descriptors(v);
}
