/* SPDX-License-Identifier: ISC */
/*
 * What all targets of a policy share: the broker's user namespace, and the empty namespaces with the empty root that
 * targets enter. A network namespace alone costs half a millisecond, so they are made once. Runs in the broker before it
 * confines itself, and in helpers that share its memory and end before these functions return.
 */
#include "sandbox/nursery.h"

#include "sandbox/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* From <sys/mount.h>, which this libc's <linux/mount.h> does not suffer beside it. */
#define MNT_DETACH_FLAG 2

#define CAP(c) (UINT64_C(1) << CAP_##c)
#define CAPS_BROKER (CAP(SYS_ADMIN) | CAP(SYS_CHROOT) | CAP(SYS_PTRACE) | CAP(SYS_RESOURCE) | CAP(SETPCAP))
#define CAPS_FILES (CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(CHOWN) | CAP(FSETID))

#define STACK 32768 /* of a helper; from the heap, for sanitizers watch what a frame leaves on our own stack */

static int failed(char *error, size_t len, int r, const char *format, ...) __attribute__((format(printf, 4, 5)));
static int failed(char *error, size_t len, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, len, format, args);
	va_end(args);
	return r;
}

static int missing(unsigned bit, int r, char *error, size_t len)
{
	char why[200];

	return failed(error, len, r, "the layer %s is missing: %s", airlock_layer_name(bit),
		layer_why(bit, r, why, sizeof(why)));
}

/* ---- the user namespace ---- */

static uint64_t capabilities_effective(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

/* "inside outside count" lines of one's own map become "inside inside count": every id stays what it is. */
static int map_identity(const char *path, char *out, size_t len)
{
	char text[4096];
	size_t used = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	unsigned inside, outside, count;
	int r = n < 0 ? -errno : 0, skip;

	if (fd >= 0)
		close(fd);
	if (r < 0)
		return r;
	text[n] = 0;
	for (char *p = text; sscanf(p, "%u %u %u%n", &inside, &outside, &count, &skip) == 3; p += skip) {
		int w = snprintf(out + used, len - used, "%u %u %u\n", inside, inside, count);
		if (w < 0 || (size_t)w >= len - used)
			return -E2BIG;
		used += (size_t)w;
	}
	return used > 0 ? 0 : -EINVAL;
}

static int write_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int r = n < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return r;
}

struct maps {
	bool all;
	char uids[4096], gids[4096];
};

static int maps_make(struct maps *m, uint64_t had)
{
	m->all = (had & CAP(SETUID)) && (had & CAP(SETGID));
	if (!m->all) {
		snprintf(m->uids, sizeof(m->uids), "%u %u 1\n", geteuid(), geteuid());
		snprintf(m->gids, sizeof(m->gids), "%u %u 1\n", getegid(), getegid());
		return 0;
	}
	int r = map_identity("/proc/self/uid_map", m->uids, sizeof(m->uids));
	return r < 0 ? r : map_identity("/proc/self/gid_map", m->gids, sizeof(m->gids));
}

static int maps_write(const struct maps *m, pid_t pid)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : 0;

	/* An ordinary user may map his group only after giving up setgroups(): leaving a group can be a gain. */
	if (r == 0 && !m->all)
		r = write_file(dir, "setgroups", "deny");
	if (r == 0)
		r = write_file(dir, "uid_map", m->uids);
	if (r == 0)
		r = write_file(dir, "gid_map", m->gids);
	if (dir >= 0)
		close(dir);
	return r;
}

/* Holds the new namespaces until the one that made it has entered them or died. */
static int holder(void *arg)
{
	int *pipe_fds = arg;
	char c;

	syscall(SYS_close, pipe_fds[1]);
	while (syscall(SYS_read, pipe_fds[0], &c, 1) > 0)
		;
	syscall(SYS_exit, 0);
	return 0;
}

/* The one who writes a map must be in the parent namespace, so a helper is born in the new one and we join it, all at
 * once: when anything is refused, nothing has changed. */
static int user_enter(const struct maps *m, char *error, size_t len)
{
	char *stack = malloc(STACK);
	int pipe_fds[2], pidfd = -1, r = 0;

	if (!stack || pipe2(pipe_fds, O_CLOEXEC) < 0) {
		free(stack);
		return failed(error, len, -errno, "no pipe: %s", strerror(errno));
	}
	/* The files in /proc of a process that is not dumpable belong to root. */
	int dumpable = prctl(PR_GET_DUMPABLE);
	if (dumpable != 1)
		prctl(PR_SET_DUMPABLE, 1);
	/* The helper shares our memory: no handler of ours may run in it. */
	sigset_t all, old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	int pid = clone(holder, stack + STACK, CLONE_VM | CLONE_NEWUSER | CLONE_NEWNS | CLONE_PIDFD, pipe_fds, &pidfd);
	if (pid < 0) {
		r = missing(AIRLOCK_LAYER_USER, -errno, error, len);
	} else if ((r = maps_write(m, pid)) < 0) {
		failed(error, len, r, "cannot map ids into the user namespace: %s%s", strerror(-r),
			m->all ? " (mapping id 0 takes CAP_SETFCAP)" : "");
	} else if (setns(pidfd, CLONE_NEWUSER | CLONE_NEWNS) < 0) {
		r = missing(AIRLOCK_LAYER_USER, -errno, error, len);
	}
	if (pidfd >= 0)
		close(pidfd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	if (pid > 0)
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	sigprocmask(SIG_SETMASK, &old, NULL);
	free(stack);
	if (dumpable != 1)
		prctl(PR_SET_DUMPABLE, dumpable == 0 ? 0 : 1);
	return r;
}

/* <sys/mount.h> and <linux/mount.h> of this libc and these headers exclude each other. */
static int make_private(void)
{
	const unsigned long rec_private = 0x4000 | 1 << 18; /* MS_REC | MS_PRIVATE */

	return syscall(SYS_mount, NULL, "/", NULL, rec_private, NULL) < 0 ? -errno : 0;
}

int nursery_user(bool *mapped_all, char *error, size_t len)
{
	struct maps maps;
	uint64_t had = capabilities_effective();
	int r = maps_make(&maps, had);

	if (r < 0)
		return failed(error, len, r, "cannot read the id maps in /proc/self: %s", strerror(-r));
	r = user_enter(&maps, error, len);
	if (r < 0)
		return r;
	r = make_private();
	if (r == 0)
		r = broker_capabilities(CAPS_BROKER | (had & CAPS_FILES));
	if (r < 0)
		return failed(error, len, -EIO, "the new user namespace cannot be used: %s", strerror(-r));
	*mapped_all = maps.all;
	return 0;
}

/* ---- the shared namespaces ---- */

/* What the helper is told, and what it says; it shares our memory and our descriptors, and we sleep meanwhile. */
struct birth {
	struct nursery *nursery;
	const char *const *paths;
	int *clones; /* detached mounts, one for each path */
	size_t count;
	unsigned tolerate;
	unsigned failed; /* the layer that could not be had */
	int error;
};

static const struct {
	int flag;
	unsigned bit;
	size_t fd; /* offset */
	unsigned ioctl; /* PIDFD_GET_..._NAMESPACE, 6.11 */
	const char *path;
} spaces[] = {
	{CLONE_NEWNET, AIRLOCK_LAYER_NETWORK, offsetof(struct nursery, net), 4, "/proc/self/ns/net"},
	{CLONE_NEWIPC, AIRLOCK_LAYER_IPC, offsetof(struct nursery, ipc), 2, "/proc/self/ns/ipc"},
	{CLONE_NEWUTS, AIRLOCK_LAYER_UTS, offsetof(struct nursery, uts), 10, "/proc/self/ns/uts"},
	{CLONE_NEWCGROUP, AIRLOCK_LAYER_CGROUP, offsetof(struct nursery, cgroup), 1, "/proc/self/ns/cgroup"},
	{CLONE_NEWNS, AIRLOCK_LAYER_MOUNT, offsetof(struct nursery, mnt), 3, "/proc/self/ns/mnt"},
};
#define SPACES (sizeof(spaces) / sizeof(spaces[0]))

static int *space_fd(struct nursery *n, size_t i)
{
	return (int *)((char *)n + spaces[i].fd);
}

/* The kernel tears network namespaces down behind our back, and the limit counts those still waiting for it. */
static int unshare_patiently(int flags)
{
	for (int attempt = 0;; attempt++) {
		if (unshare(flags) == 0)
			return 0;
		if (errno != ENOSPC || attempt == 25)
			return -errno;
		nanosleep(&(struct timespec){0, 20000000}, NULL);
	}
}

static int spaces_unshare(struct birth *b)
{
	int all = 0;

	for (size_t i = 0; i < SPACES; i++)
		all |= spaces[i].flag;
	if (unshare(all) == 0) {
		for (size_t i = 0; i < SPACES; i++)
			b->nursery->layers |= spaces[i].bit;
		return 0;
	}
	for (size_t i = 0; i < SPACES; i++) {
		int r = unshare_patiently(spaces[i].flag);
		if (r == 0) {
			b->nursery->layers |= spaces[i].bit;
		} else if (!(b->tolerate & spaces[i].bit)) {
			b->failed = spaces[i].bit;
			return r;
		}
	}
	return 0;
}

static int spaces_open(struct birth *b)
{
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int r = 0;

	for (size_t i = 0; r == 0 && i < SPACES; i++) {
		if (!(b->nursery->layers & spaces[i].bit))
			continue;
		int fd = self < 0 ? -1 : ioctl(self, _IO(0xFF, spaces[i].ioctl), 0);
		if (fd < 0)
			fd = open(spaces[i].path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			b->failed = spaces[i].bit;
			r = -errno;
		}
		*space_fd(b->nursery, i) = fd;
	}
	if (self >= 0)
		close(self);
	return r;
}

/* Puts the mount at path under root, a tmpfs that nobody else has seen: no symlink can be met. */
static int place_file(int root, const char *path, int mount)
{
	char name[256];
	int dir = fcntl(root, F_DUPFD_CLOEXEC, 0), r = dir < 0 ? -errno : 0;

	for (const char *p = path; r == 0 && *p;) {
		p += strspn(p, "/");
		size_t len = strcspn(p, "/");
		if (len == 0 || len >= sizeof(name) || (len == 2 && p[0] == '.' && p[1] == '.')) {
			r = -EINVAL;
			break;
		}
		memcpy(name, p, len);
		name[len] = 0;
		p += len;
		bool last = *p == 0;
		if (!last && mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
			r = -errno;
		int next = r < 0  ? -1
			   : last ? openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0555)
				  : openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 && r == 0)
			r = -errno;
		close(dir);
		dir = next;
	}
	if (r == 0 &&
		syscall(SYS_move_mount, mount, "", dir, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		r = -errno;
	if (dir >= 0)
		close(dir);
	return r;
}

static int tmpfs_mount(void)
{
	static const char *const options[][2] = {{"size", "64k"}, {"nr_inodes", "64"}, {"mode", "0755"}};
	int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), mount = -1, r = 0;

	if (fs < 0)
		return -errno;
	for (size_t i = 0; r == 0 && i < sizeof(options) / sizeof(options[0]); i++)
		r = (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0);
	if (r == 0)
		r = (int)syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (r == 0)
		mount = (int)syscall(
			SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	r = mount < 0 ? -errno : mount;
	close(fs);
	return r;
}

/* The old root is stacked on the new one by pivot_root(".", "."), and then let go: CVE-2024-21626 and its kind need a
 * directory of the old tree, and none is left in this namespace. */
static int root_build(struct birth *b)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	int r = make_private();
	int root = r < 0 ? r : tmpfs_mount();

	if (root < 0)
		return root;
	if (syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = -errno;
	for (size_t i = 0; r == 0 && i < b->count; i++)
		r = place_file(root, b->paths[i], b->clones[i]);
	if (r == 0 &&
		(syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 || fchdir(root) < 0 ||
			syscall(SYS_pivot_root, ".", ".") < 0 || syscall(SYS_umount2, ".", MNT_DETACH_FLAG) < 0))
		r = -errno;
	close(root);
	return r;
}

int nursery_root_probe(void)
{
	struct birth b = {.count = 0};

	return root_build(&b);
}

static int nursery_child(void *arg)
{
	struct birth *b = arg;
	int r = spaces_unshare(b);

	if (r == 0)
		r = spaces_open(b);
	if (r == 0 && b->nursery->layers & AIRLOCK_LAYER_UTS &&
		(sethostname("airlock", 7) < 0 || setdomainname("", 0) < 0)) {
		b->failed = AIRLOCK_LAYER_UTS;
		r = -errno;
	}
	if (r == 0 && b->nursery->layers & AIRLOCK_LAYER_MOUNT) {
		r = root_build(b);
		b->failed = AIRLOCK_LAYER_ROOT;
		if (r == 0)
			b->nursery->layers |= AIRLOCK_LAYER_ROOT;
	}
	b->error = r;
	syscall(SYS_exit, 0);
	return 0;
}

/* Detached, read-only copies of the files' mounts: what may be moved into a namespace that we are not in. */
static int clones_make(int *clones, const int *fds, size_t count)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};

	for (size_t i = 0; i < count; i++) {
		clones[i] = (int)syscall(
			SYS_open_tree, fds[i], "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
		if (clones[i] < 0 || syscall(SYS_mount_setattr, clones[i], "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
			return -errno;
	}
	return 0;
}

static void root_forget(struct nursery *n)
{
	n->layers &= ~(unsigned)(AIRLOCK_LAYER_MOUNT | AIRLOCK_LAYER_ROOT);
	if (n->mnt >= 0)
		close(n->mnt);
	n->mnt = -1;
}

static int nursery_bear(struct birth *b, char *error, size_t len)
{
	char *stack = malloc(STACK);
	sigset_t all, old;

	if (!stack)
		return failed(error, len, -ENOMEM, "no memory");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	int pid = clone(nursery_child, stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_FILES, b);
	if (pid < 0)
		b->error = -errno;
	else
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	sigprocmask(SIG_SETMASK, &old, NULL);
	free(stack);
	if (b->error == 0)
		return 0;
	if (b->failed == AIRLOCK_LAYER_ROOT && (b->tolerate & AIRLOCK_LAYER_ROOT)) {
		root_forget(b->nursery);
		if (b->tolerate & AIRLOCK_LAYER_MOUNT)
			return 0;
	}
	return b->failed ? missing(b->failed, b->error, error, len)
			 : failed(error, len, b->error, "cannot make namespaces: %s", strerror(-b->error));
}

int nursery_make(struct nursery *n, const int *file_fds, const char *const *file_paths, size_t count, unsigned tolerate,
	char *error, size_t len)
{
	int clones[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
	struct nursery made = {-1, -1, -1, -1, -1, 0};
	struct birth b = {
		.nursery = &made, .paths = file_paths, .clones = clones, .count = count, .tolerate = tolerate};

	if (count > sizeof(clones) / sizeof(clones[0]))
		return failed(error, len, -E2BIG, "more than 8 files for an empty root");
	int r = clones_make(clones, file_fds, count);
	if (r < 0 && (tolerate & AIRLOCK_LAYER_ROOT)) {
		b.count = 0;
		r = 0;
	}
	if (r < 0)
		failed(error, len, r, "the layer root is missing: cannot clone the mount of %s: %s",
			count ? file_paths[0] : "", strerror(-r));
	else
		r = nursery_bear(&b, error, len);
	for (size_t i = 0; i < sizeof(clones) / sizeof(clones[0]); i++)
		if (clones[i] >= 0)
			close(clones[i]);
	if (r < 0)
		nursery_close(&made);
	*n = made;
	return r;
}

void nursery_close(struct nursery *n)
{
	for (size_t i = 0; i < SPACES; i++) {
		int *fd = space_fd(n, i);
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
	}
	n->layers = 0;
}
