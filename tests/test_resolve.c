/* SPDX-License-Identifier: ISC */
/* Live tests of the broker's way from paths to objects, without a target: requests are made by hand, the target's
 * memory and descriptors are this process' own. Cases by their numbers in docs (path resolution). */
#include "broker/broker.h"
#include "policy/promises.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif
#define SLOW (-100000)

static char top[64];
static struct broker b;
static struct family f;
static struct state s;
static struct request r; /* of the last call */

/* ---- the target is this process ---- */

int memory_write(const struct request *q, uint64_t address, const void *buf, size_t len)
{
	(void)q;
	if (!address)
		return -EFAULT;
	memcpy((void *)(uintptr_t)address, buf, len);
	return 0;
}

int memory_dup_fd(const struct request *q, int fd)
{
	(void)q;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return copy < 0 ? -EBADF : copy;
}

bool request_alive(const struct request *q)
{
	(void)q;
	return true;
}

int state_change(struct request *q, int cwd, const mode_t *mask)
{
	if (cwd >= 0) {
		close(q->state->cwd);
		q->state->cwd = cwd;
	}
	if (mask)
		q->state->umask = *mask;
	return 0;
}

/* ---- calls ---- */

static const struct operation row_open = {0, "openat", {0, -1}, {1, -1}, 2, 3, -1, 0, op_open};
static const struct operation row_open2 = {0, "openat2", {0, -1}, {1, -1}, -1, -1, 2, 0, op_open};
static const struct operation row_stat = {0, "newfstatat", {0, -1}, {1, -1}, 3, -1, -1, 0, op_stat};
static const struct operation row_access = {0, "faccessat2", {0, -1}, {1, -1}, 3, -1, -1, 0, op_access};
static const struct operation row_readlink = {0, "readlinkat", {0, -1}, {1, -1}, -1, -1, -1, 0, op_readlink};
static const struct operation row_statx = {0, "statx", {0, -1}, {1, -1}, 2, -1, -1, 0, op_statx};
static const struct operation row_mkdir = {0, "mkdirat", {0, -1}, {1, -1}, -1, 2, -1, 0, op_mkdir};
static const struct operation row_unlink = {0, "unlinkat", {0, -1}, {1, -1}, 2, -1, -1, 0, op_unlink};
static const struct operation row_rename = {0, "renameat2", {0, 2}, {1, 3}, 4, -1, -1, 0, op_rename};
static const struct operation row_chdir = {0, "chdir", {-1, -1}, {0, -1}, -1, -1, -1, 0, op_chdir};
static const struct operation row_getcwd = {0, "getcwd", {-1, -1}, {-1, -1}, -1, -1, -1, 0, op_getcwd};
static const struct operation row_umask = {0, "umask", {-1, -1}, {-1, -1}, -1, -1, -1, 0, op_umask};

static char paths[2][PATH_MAX + 16];

/* "~/x" is x in the scratch tree. */
static char *expand(int i, const char *path)
{
	if (path[0] == '~')
		snprintf(paths[i], sizeof(paths[i]), "%s%s", top, path + 1);
	else
		snprintf(paths[i], sizeof(paths[i]), "%s", path);
	return paths[i];
}

static void request(const struct operation *op, int dirfd, const char *path)
{
	r = (struct request){.family = &f,
		.op = op,
		.state = &s,
		.tid = (pid_t)syscall(SYS_gettid),
		.dirfd = {dirfd, AT_FDCWD},
		.missing_promise = PROMISE_COUNT};
	if (path)
		r.path[0] = expand(0, path);
}

static int said(struct answer a)
{
	switch (a.kind) {
	case ANSWER_ERROR:
		return -a.error;
	case ANSWER_VALUE:
		return (int)a.value;
	case ANSWER_FD:
		return a.fd;
	default:
		return SLOW;
	}
}

static int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
	request(&row_open, dirfd, path);
	r.flags = flags;
	r.mode = mode;
	return said(op_open(&r));
}

static int open_how(int dirfd, const char *path, uint64_t flags, uint64_t resolve_)
{
	request(&row_open2, dirfd, path);
	r.how = (struct open_how){.flags = flags, .resolve = resolve_};
	return said(op_open(&r));
}

/* The first bytes of what the open gave, or the errno as text. */
static const char *content(int fd)
{
	static char buf[64];
	if (fd < 0)
		return fd == SLOW ? "slow" : strerrorname_np(-fd);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);
	buf[n < 0 ? 0 : n] = 0;
	if (n < 0)
		snprintf(buf, sizeof(buf), "%s", errno == EISDIR ? "directory" : strerrorname_np(errno));
	close(fd);
	return buf;
}

#define READS(path, want) assert_string_equal(content(open_at(AT_FDCWD, path, O_RDONLY, 0)), want)
#define OPENS(path, flags, want) assert_string_equal(content(open_at(AT_FDCWD, path, flags, 0644)), want)

static int stat_at(int dirfd, const char *path, int flags, struct stat *st)
{
	request(&row_stat, dirfd, path);
	r.flags = flags;
	r.args[2] = (uint64_t)(uintptr_t)st;
	return said(op_stat(&r));
}

static int access_(const char *path, int mode)
{
	request(&row_access, AT_FDCWD, path);
	r.args[2] = (uint64_t)mode;
	return said(op_access(&r));
}

static int readlink_(const char *path, char *buf, size_t len)
{
	request(&row_readlink, AT_FDCWD, path);
	r.args[2] = (uint64_t)(uintptr_t)buf;
	r.args[3] = len;
	return said(op_readlink(&r));
}

static int mkdir_(const char *path, mode_t mode)
{
	request(&row_mkdir, AT_FDCWD, path);
	r.mode = mode;
	return said(op_mkdir(&r));
}

static int unlink_(const char *path, int flags)
{
	request(&row_unlink, AT_FDCWD, path);
	r.flags = flags;
	return said(op_unlink(&r));
}

static int rename_(const char *from, const char *to, int flags)
{
	request(&row_rename, AT_FDCWD, from);
	r.path[1] = expand(1, to);
	r.flags = flags;
	return said(op_rename(&r));
}

static int chdir_(const char *path)
{
	request(&row_chdir, AT_FDCWD, path);
	return said(op_chdir(&r));
}

static int getcwd_(char *buf, size_t len)
{
	request(&row_getcwd, AT_FDCWD, NULL);
	r.args[0] = (uint64_t)(uintptr_t)buf;
	r.args[1] = len;
	return said(op_getcwd(&r));
}

/* ---- the tree ---- */

static void file(const char *path, const char *bytes)
{
	int fd = open(expand(0, path), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
	close(fd);
}

static void directory(const char *path)
{
	assert_int_equal(mkdir(expand(0, path), 0755), 0);
}

static void link_to(const char *path, const char *target)
{
	assert_int_equal(symlink(expand(1, target), expand(0, path)), 0);
}

static void unveil_(const char *path, unsigned perms, bool name)
{
	assert_int_equal(policy_unveil(&b.policy, expand(0, path), perms, name), 0);
}

static void tree(void)
{
	static const char *const directories[] = {"~/a", "~/a/sub", "~/a/sub/deep", "~/r", "~/secret", "~/secret/d",
		"~/n", "~/n/hidden", "~/x", "~/data2", "~/race", "~/libs"};
	snprintf(top, sizeof(top), "/tmp/airlock-resolve-XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(chmod(top, 0755), 0);
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		directory(directories[i]);
	file("~/a/ok", "ok");
	file("~/a/sub/ok", "sub");
	file("~/a/sub/deep/ok", "deep");
	file("~/r/f", "r");
	file("~/secret/f", "SECRET");
	file("~/secret/d/f", "SECRET");
	file("~/n/f", "n");
	file("~/n/hidden/f", "SECRET");
	file("~/n/name", "SECRET");
	file("~/x/f", "x");
	file("~/data2/f", "SECRET");
	file("~/single", "single");
	file("~/libs/libx.so.1", "elf");
	file("~/libs/passwords", "SECRET");
	link_to("~/a/out", "../secret/f");
	link_to("~/a/out_abs", "~/secret/f");
	link_to("~/a/in", "sub/ok");
	link_to("~/a/other", "../r/f");
	link_to("~/a/dangling", "~/secret/new");
	link_to("~/a/dangling_in", "made");
	link_to("~/a/loop", "loop");
	link_to("~/a/dir", "sub");
	link_to("~/a/environ", "/proc/self/environ");
	link_to("~/libs/libx.so", "libx.so.1");
	link_to("~/bin", "a/sub");
	link_to("~/secret/back", "../a/ok");
	assert_int_equal(mkfifo(expand(0, "~/a/fifo"), 0644), 0);
	assert_int_equal(link(expand(0, "~/secret/f"), expand(1, "~/a/hard")), 0);
}

static void rules(void)
{
	policy_init(&b.policy);
	b.policy.promises = PROMISE_BIT(stdio) | PROMISE_BIT(rpath) | PROMISE_BIT(wpath) | PROMISE_BIT(cpath) |
			    PROMISE_BIT(getpw);
	unveil_("~/a", PERM_R | PERM_W | PERM_C, false);
	unveil_("~/r", PERM_R, false);
	unveil_("~/x", PERM_X, false);
	unveil_("~/n", PERM_R | PERM_W | PERM_C, false);
	unveil_("~/n/hidden", 0, false);
	unveil_("~/n/name", 0, true);
	unveil_("~/race", PERM_R, false);
	unveil_("~/single", PERM_R | PERM_W, true);
	unveil_("~/new", PERM_R | PERM_W | PERM_C, true);
	unveil_("~/libs", PERM_LOADER, false);
}

static int start(bool private_mounts)
{
	umask(0);
	tree();
	rules();
	b.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	b.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	b.log = -1;
	assert_int_equal(broker_anchors_open(&b, private_mounts), 0);
	f.broker = &b;
	s = (struct state){.tag = 1, .cwd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), .umask = 022};
	return 0;
}

static int start_plain(void **state)
{
	(void)state;
	return start(false);
}

static int start_private(void **state)
{
	(void)state;
	return start(true);
}

static int stop(void **state)
{
	(void)state;
	char command[128];
	broker_anchors_close(&b);
	policy_clear(&b.policy);
	close(b.root);
	close(b.proc);
	close(s.cwd);
	memset(&b, 0, sizeof(b));
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command);
}

/* ---- cases ---- */

static void test_dotdot(void **state) /* 1 */
{
	(void)state;
	READS("~/a/../secret/f", "ENOENT");
	READS("~/a/sub/../../secret/f", "ENOENT");
	READS("~/a/sub/../ok", "ok");
	READS("~/a/sub/deep/../../sub/ok", "sub");
	READS("~/a/../r/f", "r");
	READS("~/a/..", "ENOENT");
	READS("/../../../..", "ENOENT");
	READS("~/a/missing/../ok", "ENOENT");
	READS("~/a/ok/../ok", "ENOTDIR");
	/* no way to learn what hidden directories there are */
	READS("~/secret/../a/ok", "ENOENT");
	READS("~/missing/../a/ok", "ENOENT");
}

static void test_symlinks(void **state) /* 2, 3, 23 */
{
	(void)state;
	READS("~/a/out", "ENOENT");
	READS("~/a/out_abs", "ENOENT");
	READS("~/a/in", "sub");
	READS("~/a/dir/ok", "sub");
	READS("~/a/dir/deep/../ok", "sub");
	READS("~/a/other", "r");
	OPENS("~/a/other", O_WRONLY, "EACCES");
	READS("~/a/loop", "ELOOP");
	READS("~/bin/ok", "sub");
	READS("~/secret/back", "ok");
	OPENS("~/a/dangling", O_WRONLY | O_CREAT, "ENOENT");
	assert_int_equal(access(expand(0, "~/secret/new"), F_OK), -1);
	OPENS("~/a/dangling", O_WRONLY | O_CREAT | O_EXCL, "EEXIST");
	OPENS("~/a/dangling_in", O_RDWR | O_CREAT, "");
	assert_int_equal(access(expand(0, "~/a/made"), F_OK), 0);
}

static void test_visibility(void **state) /* 38, 40 and unveil(2)'s rules */
{
	(void)state;
	READS("~/r/f", "r");
	OPENS("~/r/f", O_WRONLY, "EACCES");
	READS("~/secret/f", "ENOENT");
	READS("~/secret/missing", "ENOENT");
	READS("~/secret/f/x", "ENOENT");
	READS("~/data2/f", "ENOENT");
	READS("~/aa", "ENOENT");
	READS("/", "ENOENT");
	READS("~", "ENOENT");
	READS("~/x/f", "EACCES");
	READS("~/n/f", "n");
	READS("~/n/hidden/f", "ENOENT");
	READS("~/n/hidden", "ENOENT");
	READS("~/n/name", "ENOENT");
	READS("~/n/name/x", "ENOENT");
	READS("~/n/missing/x", "ENOENT");
	READS("~/single", "single");
	READS("~/single/x", "ENOTDIR");
	READS("/", "ENOENT");
	READS("~//a/./sub///ok", "sub");
	READS("//tmp/../tmp/./..", "ENOENT");
	assert_int_equal(access_("~/secret/f", F_OK), -ENOENT);
	assert_int_equal(access_("~/secret/missing", F_OK), -ENOENT);
	char buf[16];
	assert_int_equal(readlink_("~/secret/back", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(readlink_("~", buf, sizeof(buf)), -EINVAL); /* realpath(3) asks; a rule lies below */
	assert_int_equal(readlink_("~/bin", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(readlink_("~/secret/f", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(chdir_("~/secret"), -ENOENT);
	assert_int_equal(chdir_("~/nosuch"), -ENOENT);
	assert_int_equal(mkdir_("~/secret/d", 0755), -ENOENT);
	assert_int_equal(unlink_("~/secret/f", 0), -ENOENT);
}

static void test_report(void **state)
{
	(void)state;
	open_at(AT_FDCWD, "~/a/out", O_RDONLY, 0);
	assert_string_equal(r.canonical, expand(1, "~/secret/f"));
	assert_int_equal(r.missing_perms, PERM_R);
	open_at(AT_FDCWD, "~/r/f", O_RDWR, 0);
	assert_int_equal(r.missing_perms, PERM_W);
	b.policy.promises &= ~PROMISE_BIT(wpath);
	OPENS("~/a/ok", O_WRONLY, "EPERM");
	assert_int_equal(r.missing_promise, PROMISE_wpath);
	b.policy.promises |= PROMISE_BIT(wpath);
}

static void test_hard_link(void **state) /* 7 */
{
	(void)state;
	READS("~/a/hard", "SECRET");
}

static void test_proc(void **state) /* 8, 9, 10, 11 */
{
	(void)state;
	char text[64], own[64], buf[256];
	static const char *const never[] = {"/proc/self/environ", "/proc/thread-self/environ", "/proc/1/maps",
		"/proc/1/fd/0", "/proc/self/root/etc/passwd", "/proc/self/cwd/x", "/proc/self/mem", "/proc/self/exe",
		"/proc/self/ns/mnt", "/proc/sys/kernel/core_pattern", "/proc/self", "/proc", "/proc/self/fd",
		"/proc/kcore", "~/a/environ", "/proc/self/../1/status", "/proc/../etc/shells", "/dev/fd",
		"/proc/self/fd/3/..", "/proc/self/task", "/proc/self/fdinfo/0"};
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		READS(never[i], "ENOENT");
	READS("/dev/tty", "ENOENT");
	int fd = open_at(AT_FDCWD, "/proc/self/maps", O_RDONLY, 0);
	assert_true(fd >= 0);
	close(fd);
	OPENS("/proc/self/maps", O_RDWR, "EACCES");
	fd = open_at(AT_FDCWD, "/proc/../proc/./self/maps", O_RDONLY, 0);
	assert_true(fd >= 0);
	close(fd);
	READS("/proc/cpuinfo", "ENOENT");
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(write(pipes[1], "pipe", 4), 4);
	snprintf(text, sizeof(text), "/dev/fd/%d", pipes[0]);
	OPENS(text, O_WRONLY, "EACCES");
	READS(text, "pipe");
	snprintf(text, sizeof(text), "/proc/%d/fd/%d", (int)getpid(), pipes[1]);
	READS(text, "EACCES");
	int n = readlink_(text, buf, sizeof(buf));
	assert_true(n > 5 && strncmp(buf, "pipe:", 5) == 0);
	n = readlink_("/proc/self", buf, sizeof(buf));
	snprintf(own, sizeof(own), "%d", (int)getpid());
	assert_int_equal(n, strlen(own));
	assert_memory_equal(buf, own, strlen(own));
	int hidden = open(expand(0, "~/secret/f"), O_RDONLY);
	snprintf(text, sizeof(text), "/proc/self/fd/%d", hidden);
	n = readlink_(text, buf, sizeof(buf));
	assert_true(n > 5 && strncmp(buf, "file:", 5) == 0);
	close(hidden);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_slashes_and_names(void **state) /* 12, 13, 14 */
{
	(void)state;
	char path[PATH_MAX];
	READS("~/a/ok/", "ENOTDIR");
	READS("~/a/sub/", "directory");
	READS("~/a/sub/.", "directory");
	OPENS("~/a/nosuch/", O_WRONLY | O_CREAT, "EISDIR");
	READS("", "ENOENT");
	int n = snprintf(path, sizeof(path), "%s/a/", top);
	memset(path + n, 'n', 255);
	path[n + 255] = 0;
	READS(path, "ENOENT");
	path[n + 255] = 'n';
	path[n + 256] = 0;
	READS(path, "ENAMETOOLONG");
	snprintf(path, sizeof(path), "%s/secret/", top);
	n = (int)strlen(path);
	memset(path + n, 'n', 256);
	path[n + 256] = 0;
	READS(path, "ENOENT");
	n = snprintf(path, sizeof(path), "%s/a", top);
	while (n < PATH_MAX - 8)
		n += snprintf(path + n, sizeof(path) - (size_t)n, "/./");
	READS(path, "directory");
	struct stat st, want;
	assert_int_equal(stat_at(AT_FDCWD, "", 0, &st), -ENOENT);
	int fd = open(expand(0, "~/secret/f"), O_RDONLY);
	assert_int_equal(fstat(fd, &want), 0);
	assert_int_equal(stat_at(fd, "", AT_EMPTY_PATH, &st), 0);
	assert_int_equal(st.st_ino, want.st_ino);
	close(fd);
	assert_int_equal(stat_at(AT_FDCWD, "", AT_EMPTY_PATH, &st), -ENOENT);
}

static void test_dirfd(void **state) /* 19 */
{
	(void)state;
	int hidden = open(expand(0, "~/secret"), O_RDONLY), sub = open_at(AT_FDCWD, "~/a/sub", O_RDONLY, 0);
	int regular = open_at(AT_FDCWD, "~/a/ok", O_RDONLY, 0), path = open_at(AT_FDCWD, "~/a/sub", O_PATH, 0);
	assert_true(hidden >= 0 && sub >= 0 && regular >= 0 && path >= 0);
	assert_string_equal(content(open_at(sub, "ok", O_RDONLY, 0)), "sub");
	assert_string_equal(content(open_at(path, "ok", O_RDONLY, 0)), "sub");
	assert_string_equal(content(open_at(sub, "../ok", O_RDONLY, 0)), "ok");
	assert_string_equal(content(open_at(sub, "../in", O_RDONLY, 0)), "sub");
	assert_string_equal(content(open_at(sub, "../../r/f", O_RDONLY, 0)), "r");
	assert_string_equal(content(open_at(sub, "../../secret/f", O_RDONLY, 0)), "ENOENT");
	assert_string_equal(content(open_at(sub, "../../../../../etc/passwd", O_RDONLY, 0)), "ENOENT");
	assert_string_equal(content(open_at(hidden, "f", O_RDONLY, 0)), "ENOENT");
	assert_string_equal(content(open_at(hidden, "../a/ok", O_RDONLY, 0)), "ENOENT");
	assert_string_equal(content(open_at(regular, "x", O_RDONLY, 0)), "ENOTDIR");
	assert_string_equal(content(open_at(9999, "x", O_RDONLY, 0)), "EBADF");
	/* an absolute path takes no notice */
	assert_string_equal(content(open_at(9999, "~/a/ok", O_RDONLY, 0)), "ok");
	close(hidden);
	close(sub);
	close(regular);
	close(path);
}

static void test_working_directory(void **state) /* 21 */
{
	(void)state;
	char buf[PATH_MAX];
	assert_int_equal(getcwd_(buf, sizeof(buf)), 2); /* "/" is hidden, but where it was put it may know */
	assert_string_equal(buf, "/");
	assert_int_equal(chdir_("~/a/sub"), 0);
	READS("ok", "sub");
	READS("../ok", "ok");
	READS("deep/../../in", "sub");
	assert_int_equal(getcwd_(buf, sizeof(buf)), (int)strlen(expand(0, "~/a/sub")) + 1);
	assert_string_equal(buf, paths[0]);
	assert_int_equal(getcwd_(buf, 4), -ERANGE);
	assert_int_equal(chdir_("ok"), -ENOTDIR);
	assert_int_equal(chdir_("../../secret"), -ENOENT);
	assert_int_equal(mkdir_("gone", 0755), 0);
	assert_int_equal(chdir_("gone"), 0);
	assert_int_equal(unlink_("../gone", AT_REMOVEDIR), 0);
	READS("ok", "ENOENT");
	assert_int_equal(getcwd_(buf, sizeof(buf)), -ENOENT);
	/* renamed out of the tree by the host */
	assert_int_equal(mkdir_("~/a/moves", 0755), 0);
	file("~/a/moves/f", "moved");
	assert_int_equal(chdir_("~/a/moves"), 0);
	READS("f", "moved");
	if (!b.private_mounts) {
		assert_int_equal(rename(expand(0, "~/a/moves"), expand(1, "~/secret/moves")), 0);
		READS("f", "ENOENT");
	}
	assert_int_equal(chdir_("~/a"), 0);
}

static void test_flags(void **state) /* 22, 24, 25, 26, 27 */
{
	(void)state;
	OPENS("~/a/in", O_RDONLY | O_NOFOLLOW, "ELOOP");
	OPENS("~/a/ok", O_RDONLY | O_DIRECTORY, "ENOTDIR");
	OPENS("~/a/ok", O_RDONLY | O_CREAT | O_EXCL, "EEXIST");
	OPENS("~/r/f", O_RDONLY | O_TRUNC, "EACCES");
	OPENS("~/r/f", 3, "EACCES");
	OPENS("~/r/new", O_WRONLY | O_CREAT, "EACCES");
	OPENS("~/r", O_TMPFILE | O_RDWR, "EACCES");
	OPENS("~/secret/f", O_PATH, "ENOENT");
	OPENS("~/x/f", O_PATH, "EACCES");
	OPENS("~/a/ok", O_RDONLY | (1 << 29), "ok");
	struct stat st;
	assert_int_equal(stat(expand(0, "~/r/f"), &st), 0);
	assert_int_equal(st.st_size, 1);
	OPENS("~/a/out", O_PATH | O_NOFOLLOW, "ELOOP"); /* no O_PATH descriptor can be handed over */
	OPENS("~/a/ok", O_PATH, "ok");
	int fd = open_at(AT_FDCWD, "~/a/appended", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK), O_APPEND);
	close(fd);
	fd = open_at(AT_FDCWD, "~/a", O_TMPFILE | O_RDWR, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void test_openat2(void **state) /* 28 */
{
	(void)state;
	int sub = open_at(AT_FDCWD, "~/a/sub", O_RDONLY, 0), a = open_at(AT_FDCWD, "~/a", O_RDONLY, 0);
	assert_string_equal(content(open_how(a, "ok", O_RDONLY, UINT64_C(1) << 40)), "EINVAL");
	assert_string_equal(content(open_how(a, "ok", UINT64_C(1) << 40, 0)), "EINVAL");
	assert_string_equal(content(open_how(a, "ok", O_RDONLY, RESOLVE_CACHED)), "EAGAIN");
	assert_string_equal(content(open_how(a, "ok", O_RDONLY, RESOLVE_BENEATH)), "ok");
	assert_string_equal(content(open_how(a, "in", O_RDONLY, RESOLVE_BENEATH)), "sub");
	assert_string_equal(content(open_how(a, "in", O_RDONLY, RESOLVE_NO_SYMLINKS)), "ELOOP");
	assert_string_equal(content(open_how(a, "sub/../ok", O_RDONLY, RESOLVE_BENEATH)), "ok");
	assert_string_equal(content(open_how(sub, "../ok", O_RDONLY, RESOLVE_BENEATH)), "EXDEV");
	assert_string_equal(content(open_how(sub, "~/a/ok", O_RDONLY, RESOLVE_BENEATH)), "EXDEV");
	assert_string_equal(content(open_how(a, "/../../sub/../ok", O_RDONLY, RESOLVE_IN_ROOT)), "ok");
	assert_string_equal(content(open_how(a, "out_abs", O_RDONLY, RESOLVE_IN_ROOT)), "ENOENT");
	assert_string_equal(content(open_how(a, "ok", O_RDONLY, RESOLVE_NO_XDEV)), "ok");
	close(sub);
	close(a);
}

static void test_modes(void **state) /* 29, 30 */
{
	(void)state;
	struct stat st;
	int fd = open_at(AT_FDCWD, "~/a/setuid", O_WRONLY | O_CREAT, 06777);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	close(fd);
	assert_int_equal(mkdir_("~/a/sticky", 07777), 0);
	assert_int_equal(stat(expand(0, "~/a/sticky"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	request(&row_umask, AT_FDCWD, NULL);
	r.args[0] = 077;
	assert_int_equal(said(op_umask(&r)), 022);
	fd = open_at(AT_FDCWD, "~/a/private", O_WRONLY | O_CREAT, 0666);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	close(fd);
	s.umask = 022;
}

static void *writer(void *arg)
{
	int fd = open(expand(1, "~/a/fifo"), O_WRONLY);
	ssize_t n = write(fd, "fifo", 4);
	close(fd);
	return n == 4 ? arg : NULL;
}

static void test_fifo(void **state) /* 31 */
{
	(void)state;
	pthread_t thread;
	OPENS("~/a/fifo", O_WRONLY, "slow");
	OPENS("~/a/fifo", O_WRONLY | O_NONBLOCK, "ENXIO");
	int fd = open_at(AT_FDCWD, "~/a/fifo", O_RDONLY | O_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	int w = open_at(AT_FDCWD, "~/a/fifo", O_WRONLY, 0);
	assert_true(w >= 0);
	assert_false(fcntl(w, F_GETFL) & O_NONBLOCK);
	close(w);
	close(fd);
	assert_int_equal(open_at(AT_FDCWD, "~/a/fifo", O_RDONLY, 0), SLOW);
	assert_true(r.held);
	r.slow = true;
	assert_int_equal(pthread_create(&thread, NULL, writer, top), 0);
	fd = said(op_open(&r));
	assert_true(fd >= 0);
	assert_int_equal(r.held, 0);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_string_equal(content(fd), "fifo");
	void *wrote;
	pthread_join(thread, &wrote);
	assert_non_null(wrote);
}

static void test_socket_and_lease(void **state) /* 32, 34 */
{
	(void)state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/a/socket", top);
	assert_int_equal(bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	READS("~/a/socket", "ENXIO");
	close(sock);
	int fd = open(expand(0, "~/a/ok"), O_RDONLY);
	signal(SIGIO, SIG_IGN);
	assert_int_equal(fcntl(fd, F_SETLEASE, F_RDLCK), 0);
	OPENS("~/a/ok", O_WRONLY | O_NONBLOCK, "EAGAIN");
	OPENS("~/a/ok", O_WRONLY, "slow");
	close(fd);
}

static void test_devices(void **state) /* 33 */
{
	(void)state;
	if (mknod(expand(0, "~/a/disk"), S_IFBLK | 0666, makedev(7, 0)) == 0)
		READS("~/a/disk", "EACCES");
	if (mknod(expand(0, "~/a/console"), S_IFCHR | 0666, makedev(5, 1)) == 0)
		READS("~/a/console", "EACCES");
	READS("/dev/null", "");
	OPENS("/dev/null", O_WRONLY | O_CREAT | O_TRUNC, "EBADF");
	OPENS("/dev/zero", O_RDWR, "");
	OPENS("/dev/urandom", O_WRONLY, "ENOENT");
	OPENS("/dev/mem", O_RDONLY, "ENOENT");
	assert_int_equal(access_("/dev/null", R_OK | W_OK), 0);
}

static void test_anchor(void **state) /* 37 */
{
	(void)state;
	assert_int_equal(rename(expand(0, "~/r"), expand(1, "~/r_moved")), 0);
	link_to("~/r", "~/secret");
	READS("~/r/f", "r");
	READS("~/a/other", "r");
	assert_int_equal(unlink(expand(0, "~/r")), 0);
	READS("~/r/f", "r");
	assert_int_equal(rename(expand(0, "~/r_moved"), expand(1, "~/r")), 0);
}

static void test_names(void **state)
{
	(void)state;
	struct stat st;
	READS("~/new", "ENOENT");
	OPENS("~/new", O_RDWR | O_CREAT, "");
	assert_int_equal(stat_at(AT_FDCWD, "~/new", 0, &st), 0);
	assert_int_equal(unlink_("~/new", 0), 0);
	assert_int_equal(unlink_("~/single", 0), -EACCES);
	assert_int_equal(stat_at(AT_FDCWD, "~/new", 0, &st), -ENOENT);
	/* a link put there leads where its target is judged */
	link_to("~/new", "secret/f");
	READS("~/new", "ENOENT");
	OPENS("~/new", O_WRONLY | O_CREAT, "ENOENT");
	assert_int_equal(unlink(expand(0, "~/new")), 0);
}

static void test_mkdir_unlink(void **state)
{
	(void)state;
	assert_int_equal(mkdir_("~/a/d", 0755), 0);
	assert_int_equal(mkdir_("~/a/d", 0755), -EEXIST);
	assert_int_equal(mkdir_("~/a/d/", 0755), -EEXIST);
	assert_int_equal(mkdir_("~/a/d/e/", 0755), 0);
	assert_int_equal(mkdir_("~/a/dir/via_link", 0755), 0);
	assert_int_equal(mkdir_("~/a/ok/x", 0755), -ENOTDIR);
	assert_int_equal(mkdir_("~/a/nosuch/x", 0755), -ENOENT);
	assert_int_equal(mkdir_("~/r/x", 0755), -EACCES);
	assert_int_equal(mkdir_("~/r", 0755), -EEXIST);
	assert_int_equal(mkdir_("~/a", 0755), -EEXIST);
	assert_int_equal(mkdir_("~", 0755), -EEXIST); /* a rule lies below: mkdir -p */
	assert_int_equal(mkdir_("/tmp", 0755), -EEXIST);
	assert_int_equal(mkdir_("~/elsewhere", 0755), -ENOENT);
	assert_int_equal(mkdir_("/", 0755), -EEXIST);
	assert_int_equal(mkdir_("~/a/d/.", 0755), -EEXIST);
	assert_int_equal(unlink_("~/a/d", 0), -EISDIR);
	assert_int_equal(unlink_("~/a/d", AT_REMOVEDIR), -ENOTEMPTY);
	assert_int_equal(unlink_("~/a/d/.", AT_REMOVEDIR), -EINVAL);
	assert_int_equal(unlink_("~/a/d/e/..", AT_REMOVEDIR), -ENOTEMPTY);
	assert_int_equal(unlink_("~/a/d/e/", AT_REMOVEDIR), 0);
	assert_int_equal(unlink_("~/a/d", AT_REMOVEDIR), 0);
	assert_int_equal(unlink_("~/a", AT_REMOVEDIR), -EBUSY);
	assert_int_equal(unlink_("~/r/f", 0), -EACCES);
	assert_int_equal(unlink_("~/a/ok/", 0), -ENOTDIR);
	file("~/a/removed", "");
	assert_int_equal(unlink_("~/a/removed", 0), 0);
	assert_int_equal(unlink_("~/a/removed", 0), -ENOENT);
	/* the link goes, not what it names */
	link_to("~/a/link", "~/secret/f");
	assert_int_equal(unlink_("~/a/link", 0), 0);
	assert_int_equal(access(expand(0, "~/secret/f"), F_OK), 0);
}

static void test_rename(void **state) /* 41 */
{
	(void)state;
	file("~/a/from", "from");
	assert_int_equal(rename_("~/a/from", "~/a/to", 0), 0);
	READS("~/a/to", "from");
	assert_int_equal(rename_("~/a/to", "~/a/ok", 1 /* NOREPLACE */), -EEXIST);
	assert_int_equal(rename_("~/a/to", "~/a/ok", RENAME_EXCHANGE), 0);
	READS("~/a/ok", "from");
	assert_int_equal(rename_("~/a/to", "~/a/ok", RENAME_EXCHANGE), 0);
	assert_int_equal(rename_("~/a/to", "~/a/ok", 4), -EINVAL);
	assert_int_equal(rename_("~/a/to", "~/r/to", 0), -EACCES);
	assert_int_equal(rename_("~/r/f", "~/a/f", 0), -EACCES);
	assert_int_equal(rename_("~/a/to", "~/secret/to", 0), -ENOENT);
	assert_int_equal(rename_("~/secret/f", "~/a/stolen", 0), -ENOENT);
	assert_int_equal(rename_("~/n", "~/a/n", 0), -EBUSY);
	assert_int_equal(rename_("~/n/hidden", "~/n/seen", 0), -ENOENT);
	assert_int_equal(rename_("~/n/name", "~/n/seen", 0), -ENOENT);
	assert_int_equal(mkdir(expand(0, "~/n/p"), 0755), 0);
	assert_int_equal(rename_("~/n/p", "~/n/q", 0), 0);
	assert_int_equal(rename_("~/a/sub", "~/a/sub/deep/x", 0), -EINVAL);
	assert_int_equal(rename_("~/a/.", "~/a/x", 0), -EBUSY);
	unlink_("~/a/to", 0);
}

static void test_rename_keeps_nested_rules(void **state)
{
	(void)state;
	/* n/hidden lies in n: were n's parent movable, what is hidden would be seen under another name */
	struct policy *p = &b.policy;
	struct unveil *saved = p->unveils;
	struct unveil outer = {.path = strdup(top), .perms = PERM_R | PERM_C};
	struct unveil *more = calloc(p->unveil_count + 1, sizeof(*more));
	struct anchor *anchors = calloc(p->unveil_count + 1, sizeof(*anchors)), *before = b.anchors;
	more[0] = outer;
	memcpy(more + 1, saved, p->unveil_count * sizeof(*more));
	anchors[0] = (struct anchor){.fd = open(top, O_PATH | O_DIRECTORY)};
	memcpy(anchors + 1, before, p->unveil_count * sizeof(*anchors));
	p->unveils = more;
	p->unveil_count++;
	b.anchors = anchors;
	READS("~/n/hidden/f", "ENOENT");
	READS("~/data2/f", "SECRET");
	assert_int_equal(rename_("~/n", "~/m", 0), -EBUSY);
	assert_int_equal(rename_("~/data2", "~/data3", 0), 0);
	assert_int_equal(rename_("~/data3", "~/data2", 0), 0);
	close(anchors[0].fd);
	p->unveils = saved;
	p->unveil_count--;
	b.anchors = before;
	free(outer.path);
	free(more);
	free(anchors);
}

static void test_looking(void **state)
{
	(void)state;
	struct stat st, want;
	struct statx x;
	char buf[64];
	assert_int_equal(stat_at(AT_FDCWD, "~/a/in", 0, &st), 0);
	assert_int_equal(stat(expand(0, "~/a/in"), &want), 0);
	assert_memory_equal(&st, &want, sizeof(st));
	assert_int_equal(stat_at(AT_FDCWD, "~/a/out", AT_SYMLINK_NOFOLLOW, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat_at(AT_FDCWD, "~/a/out", 0, &st), -ENOENT);
	assert_int_equal(stat_at(AT_FDCWD, "~/a/ok", 0, NULL), -EFAULT);
	assert_int_equal(stat_at(AT_FDCWD, "~/a/ok", 1, &st), -EINVAL);
	request(&row_statx, AT_FDCWD, "~/a/ok");
	r.args[3] = STATX_BASIC_STATS;
	r.args[4] = (uint64_t)(uintptr_t)&x;
	assert_int_equal(said(op_statx(&r)), 0);
	assert_int_equal(x.stx_size, 2);
	assert_int_equal(readlink_("~/a/out", buf, sizeof(buf)), strlen("../secret/f"));
	assert_memory_equal(buf, "../secret/f", strlen("../secret/f"));
	assert_int_equal(readlink_("~/a/out", buf, 3), 3);
	assert_int_equal(readlink_("~/a/ok", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(readlink_("~/a/ok", buf, 0), -EINVAL);
	assert_int_equal(access_("~/a/ok", R_OK | W_OK), 0);
	assert_int_equal(access_("~/r/f", W_OK), -EACCES);
	assert_int_equal(access_("~/r/f", R_OK), 0);
	assert_int_equal(access_("~/a/ok", X_OK), -EACCES);
	assert_int_equal(access_("~/a/ok", 8), -EINVAL);
	assert_int_equal(access_("~/x/f", X_OK), -EACCES);
}

static void test_libc_files(void **state)
{
	(void)state;
	int fd = open_at(AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
	assert_true(fd >= 0);
	close(fd);
	OPENS("/etc/passwd", O_RDWR, "ENOENT");
	READS("/etc/shadow", "EPERM");
	READS("/etc/hosts", "ENOENT"); /* needs dns */
	READS("/usr/share/zoneinfo/../../../etc/shells", "ENOENT");
	READS("/usr/share/zoneinfo", "ENOENT");
	struct stat st;
	if (access("/usr/share/zoneinfo/UTC", F_OK) == 0) {
		fd = open_at(AT_FDCWD, "/usr/share/zoneinfo/UTC", O_RDONLY | O_CLOEXEC, 0);
		assert_true(fd >= 0);
		close(fd);
		assert_int_equal(stat_at(AT_FDCWD, "/usr/share/zoneinfo/UTC", 0, &st), 0);
	}
	b.policy.promises &= ~(PROMISE_BIT(rpath) | PROMISE_BIT(getpw));
	fd = open_at(AT_FDCWD, "/sys/devices/system/cpu/online", O_RDONLY, 0);
	assert_true(fd >= 0);
	assert_int_equal(r.missing_promise, PROMISE_COUNT);
	close(fd);
	READS("/etc/passwd", "EPERM");
	b.policy.promises |= PROMISE_BIT(rpath) | PROMISE_BIT(getpw);
}

static void test_loader(void **state)
{
	(void)state;
	READS("~/libs/libx.so", "ENOENT");
	READS("~/libs/libx.so.1", "ENOENT");
	f.loading = true;
	b.policy.promises &= ~PROMISE_BIT(rpath);
	READS("~/libs/libx.so", "elf");
	READS("~/libs/libx.so.1", "elf");
	READS("~/libs/passwords", "ENOENT");
	READS("~/libs/libnone.so", "ENOENT");
	assert_int_equal(r.missing_promise, PROMISE_COUNT);
	assert_int_equal(access_("/etc/ld.so.preload", R_OK), -ENOENT);
	assert_int_equal(r.missing_perms, 0);
	READS("~/a/ok", "EPERM");
	OPENS("~/libs/libx.so", O_RDWR, "EPERM");
	b.policy.promises |= PROMISE_BIT(rpath);
	READS("~/libs/passwords", "ENOENT");
	READS("~/libs", "ENOENT");
	OPENS("~/libs/libx.so", O_RDWR, "EACCES");
	f.loading = false;
	READS("~/libs/libx.so", "ENOENT");
}

static void test_everything(void **state)
{
	(void)state;
	struct policy saved = b.policy;
	b.policy.everything = true;
	b.policy.unveil_count = 0;
	READS("~/secret/f", "SECRET");
	READS("~/a/out", "SECRET");
	READS("~/a/../secret/d/../f", "SECRET");
	READS("~/a/missing/../ok", "ENOENT");
	READS("~/bin/ok", "sub");
	READS("/proc/1/environ", "ENOENT");
	READS("~/a/environ", "ENOENT");
	int fd = open_at(AT_FDCWD, "/proc/cpuinfo", O_RDONLY, 0);
	assert_true(fd >= 0);
	close(fd);
	char buf[PATH_MAX];
	int secret = open_at(AT_FDCWD, "~/secret", O_RDONLY, 0);
	assert_string_equal(content(open_at(secret, "f", O_RDONLY, 0)), "SECRET");
	assert_string_equal(content(open_at(secret, "../a/in", O_RDONLY, 0)), "sub");
	close(secret);
	assert_int_equal(chdir_("~/secret"), 0);
	assert_int_equal(getcwd_(buf, sizeof(buf)), (int)strlen(expand(0, "~/secret")) + 1);
	READS("f", "SECRET");
	OPENS("made", O_RDWR | O_CREAT | O_EXCL, "");
	assert_int_equal(rename_("made", "../made", 0), 0);
	assert_int_equal(unlink_("~/made", 0), 0);
	assert_int_equal(chdir_("/"), 0);
	READS("tmp", "directory");
	READS("/", "directory");
	b.policy = saved;
}

static void test_narrowed(void **state)
{
	(void)state;
	struct policy narrow;
	struct anchor *anchors;
	policy_init(&narrow);
	narrow.promises = b.policy.promises;
	assert_int_equal(policy_unveil(&narrow, expand(0, "~/a/sub"), PERM_R, false), 0);
	assert_int_equal(policy_unveil(&narrow, expand(0, "~/a/ok"), PERM_R, true), 0);
	assert_int_equal(policy_unveil(&narrow, expand(0, "~/single"), PERM_R, true), 0);
	int old = open_at(AT_FDCWD, "~/a", O_RDONLY, 0);
	assert_int_equal(anchors_narrow(&b, &s, &narrow, &anchors), 0);
	s.policy = &narrow;
	s.anchors = anchors;
	READS("~/a/sub/ok", "sub");
	READS("~/a/ok", "ok");
	READS("~/single", "single");
	READS("~/a/in", "sub"); /* through the link, in a hidden directory */
	READS("~/r/f", "ENOENT");
	OPENS("~/a/sub/ok", O_WRONLY, "EACCES");
	assert_string_equal(content(open_at(old, "ok", O_RDONLY, 0)), "ok");
	assert_string_equal(content(open_at(old, "sub/ok", O_RDONLY, 0)), "sub");
	assert_string_equal(content(open_at(old, "hard", O_RDONLY, 0)), "ENOENT");
	s.policy = NULL;
	s.anchors = NULL;
	anchors_free(anchors, narrow.unveil_count);
	policy_clear(&narrow);
	close(old);
}

static int descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_nothing_leaks(void **state)
{
	(void)state;
	int before = descriptors();
	for (int i = 0; i < 50; i++) {
		READS("~/a/sub/../out", "ENOENT");
		READS("~/a/dir/deep/ok", "deep");
		READS("~/a/environ", "ENOENT");
		READS("/dev/null", "");
		mkdir_("~/r/x", 0755);
		rename_("~/a/ok", "~/r/x", 0);
	}
	assert_int_equal(descriptors(), before);
}

/* ---- races ---- */

static _Atomic bool racing;

static void *swap_component(void *arg)
{
	char a[128], c[128];
	snprintf(a, sizeof(a), "%s/race/c", top);
	snprintf(c, sizeof(c), "%s/race/link", top);
	while (racing)
		syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, c, RENAME_EXCHANGE);
	return arg;
}

static void *move_directory(void *arg)
{
	char a[128], c[128];
	snprintf(a, sizeof(a), "%s/race/p/q", top);
	snprintf(c, sizeof(c), "%s/secret/q", top);
	while (racing) {
		(void)!rename(a, c);
		(void)!rename(c, a);
	}
	return arg;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void race(void *(*mover)(void *), const char *path, const char *good)
{
	unsigned long tries = 0, ok = 0, escapes = 0;
	pthread_t thread;
	racing = true;
	assert_int_equal(pthread_create(&thread, NULL, mover, NULL), 0);
	for (double end = now() + 1; now() < end;)
		for (int i = 0; i < 100; i++, tries++) {
			const char *got = content(open_at(AT_FDCWD, path, O_RDONLY, 0));
			ok += strcmp(got, good) == 0;
			escapes += strcmp(got, "SECRET") == 0;
		}
	racing = false;
	pthread_join(thread, NULL);
	print_message("%lu tries, %lu ok, %lu escapes\n", tries, ok, escapes);
	assert_true(ok > 0);
	assert_int_equal(escapes, 0);
}

static void test_race_symlink_swap(void **state) /* 4 */
{
	(void)state;
	directory("~/race/c");
	file("~/race/c/f", "good");
	link_to("~/race/link", "~/secret");
	race(swap_component, "~/race/c/f", "good");
}

static void test_race_directory_move(void **state) /* 5 */
{
	(void)state;
	directory("~/race/p");
	directory("~/race/p/q");
	file("~/race/f", "good");
	race(move_directory, "~/race/p/q/../../f", "good");
}

#define CASES                                                                                                          \
	cmocka_unit_test(test_dotdot), cmocka_unit_test(test_symlinks), cmocka_unit_test(test_visibility),             \
		cmocka_unit_test(test_report), cmocka_unit_test(test_hard_link), cmocka_unit_test(test_proc),          \
		cmocka_unit_test(test_slashes_and_names), cmocka_unit_test(test_dirfd),                                \
		cmocka_unit_test(test_working_directory), cmocka_unit_test(test_flags),                                \
		cmocka_unit_test(test_openat2), cmocka_unit_test(test_modes), cmocka_unit_test(test_fifo),             \
		cmocka_unit_test(test_socket_and_lease), cmocka_unit_test(test_devices),                               \
		cmocka_unit_test(test_anchor), cmocka_unit_test(test_names), cmocka_unit_test(test_mkdir_unlink),      \
		cmocka_unit_test(test_rename), cmocka_unit_test(test_rename_keeps_nested_rules),                       \
		cmocka_unit_test(test_looking), cmocka_unit_test(test_libc_files), cmocka_unit_test(test_loader),      \
		cmocka_unit_test(test_everything), cmocka_unit_test(test_narrowed),                                    \
		cmocka_unit_test(test_nothing_leaks), cmocka_unit_test(test_race_symlink_swap),                        \
		cmocka_unit_test(test_race_directory_move)

int main(void)
{
	const struct CMUnitTest plain[] = {CASES}, with_mounts[] = {CASES};
	int failed = cmocka_run_group_tests_name("plain anchors", plain, start_plain, stop);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		print_message("skipped: private mounts need CAP_SYS_ADMIN: %s\n", strerror(errno));
		return failed;
	}
	return failed + cmocka_run_group_tests_name("private mounts", with_mounts, start_private, stop);
}
