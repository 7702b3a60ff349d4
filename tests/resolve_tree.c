/* SPDX-License-Identifier: ISC */
/* The tree and the requests of the tests of path resolution. Runs in the test, which is broker and target at once. */
#include "broker/carrier.h"
#include "tests/resolve_tree.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

char top[64], paths[2][PATH_MAX + 16];
struct broker b;
struct family f = {.carrier = &carrier_listener};
struct state s;
struct request r;

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

bool request_signalled(const struct request *q)
{
	(void)q;
	return false;
}

bool state_ours(struct family *family, pid_t pid)
{
	(void)family;
	return pid == getpid();
}

pid_t process_outside(struct request *q, pid_t id)
{
	(void)q;
	return id;
}

void state_unveiled(const struct request *q, struct state *wide)
{
	*wide = *q->state;
}

pid_t thread_outside(struct request *q, pid_t id)
{
	(void)q;
	return id;
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

char *expand(int i, const char *path)
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

int said(struct answer a)
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

int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
	request(&row_open, dirfd, path);
	r.flags = flags;
	r.mode = mode;
	return said(op_open(&r));
}

int open_how(int dirfd, const char *path, uint64_t flags, uint64_t resolve_)
{
	request(&row_open2, dirfd, path);
	r.how = (struct open_how){.flags = flags, .resolve = resolve_};
	return said(op_open(&r));
}

const char *content(int fd)
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

int stat_at(int dirfd, const char *path, int flags, struct stat *st)
{
	request(&row_stat, dirfd, path);
	r.flags = flags;
	r.args[2] = (uint64_t)(uintptr_t)st;
	return said(op_stat(&r));
}

int statx_(const char *path, struct statx *x)
{
	request(&row_statx, AT_FDCWD, path);
	r.args[3] = STATX_BASIC_STATS;
	r.args[4] = (uint64_t)(uintptr_t)x;
	return said(op_statx(&r));
}

int access_(const char *path, int mode)
{
	request(&row_access, AT_FDCWD, path);
	r.args[2] = (uint64_t)mode;
	return said(op_access(&r));
}

int readlink_(const char *path, void *buf, size_t len)
{
	request(&row_readlink, AT_FDCWD, path);
	r.args[2] = (uint64_t)(uintptr_t)buf;
	r.args[3] = len;
	return said(op_readlink(&r));
}

int mkdir_(const char *path, mode_t mode)
{
	request(&row_mkdir, AT_FDCWD, path);
	r.mode = mode;
	return said(op_mkdir(&r));
}

int unlink_(const char *path, int flags)
{
	request(&row_unlink, AT_FDCWD, path);
	r.flags = flags;
	return said(op_unlink(&r));
}

int rename_(const char *from, const char *to, int flags)
{
	request(&row_rename, AT_FDCWD, from);
	r.path[1] = expand(1, to);
	r.flags = flags;
	return said(op_rename(&r));
}

int chdir_(const char *path)
{
	request(&row_chdir, AT_FDCWD, path);
	return said(op_chdir(&r));
}

int getcwd_(void *buf, size_t len)
{
	request(&row_getcwd, AT_FDCWD, NULL);
	r.args[0] = (uint64_t)(uintptr_t)buf;
	r.args[1] = len;
	return said(op_getcwd(&r));
}

int umask_(mode_t mask)
{
	request(&row_umask, AT_FDCWD, NULL);
	r.args[0] = mask;
	return said(op_umask(&r));
}

/* ---- the tree ---- */

void file(const char *path, const char *bytes)
{
	int fd = open(expand(0, path), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
	close(fd);
}

void directory(const char *path)
{
	assert_int_equal(mkdir(expand(0, path), 0755), 0);
}

void link_to(const char *path, const char *target)
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

int tree_run(const struct CMUnitTest *tests, size_t count)
{
	int failed = _cmocka_run_group_tests("plain anchors", tests, count, start_plain, stop);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		print_message("skipped: private mounts need CAP_SYS_ADMIN: %s\n", strerror(errno));
		return failed;
	}
	return failed + _cmocka_run_group_tests("private mounts", tests, count, start_private, stop);
}
