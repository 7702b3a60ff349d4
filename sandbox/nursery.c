/* SPDX-License-Identifier: ISC */
/*
 * What all targets of a policy share: the empty namespaces with the empty root that targets enter. A network namespace
 * alone costs half a millisecond, so they are made once, and beside the broker, which meanwhile does what else there is to do
 * before a target can be started: in a thread that ends before nursery_end() returns. What the broker's own thread gives up
 * meanwhile, capabilities, paths, system calls, the kernel takes from that thread alone.
 */
#include "sandbox/nursery.h"

#include "sandbox/direct.h"
#include "sandbox/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* From <sys/mount.h>, which this libc's <linux/mount.h> does not suffer beside it. */
#define MNT_DETACH_FLAG 2

#define STACK 131072
#define FILES 8
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* 6.9 */
#endif

/* What the thread is told, and what it says. */
struct birth {
	pthread_t thread;
	struct nursery made, *nursery;
	const char *paths[FILES];
	int clones[FILES]; /* detached mounts, one for each path */
	size_t count;
	struct direct *direct; /* or NULL */
	unsigned tolerate;
	unsigned failed; /* the layer that could not be had */
	int error, early; /* early: before there is the thread */
	bool begun;
};

static const struct {
	int flag;
	unsigned bit;
	size_t fd; /* offset */
	unsigned ioctl; /* PIDFD_GET_..._NAMESPACE, 6.11 */
	const char *path;
} spaces[] = {
	{CLONE_NEWNET, AIRLOCK_LAYER_NETWORK, offsetof(struct nursery, net), 4, "/proc/thread-self/ns/net"},
	{CLONE_NEWIPC, AIRLOCK_LAYER_IPC, offsetof(struct nursery, ipc), 2, "/proc/thread-self/ns/ipc"},
	{CLONE_NEWUTS, AIRLOCK_LAYER_UTS, offsetof(struct nursery, uts), 10, "/proc/thread-self/ns/uts"},
	{CLONE_NEWCGROUP, AIRLOCK_LAYER_CGROUP, offsetof(struct nursery, cgroup), 1, "/proc/thread-self/ns/cgroup"},
	{CLONE_NEWNS, AIRLOCK_LAYER_MOUNT, offsetof(struct nursery, mnt), 3, "/proc/thread-self/ns/mnt"},
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
	int self = (int)syscall(SYS_pidfd_open, gettid(), PIDFD_THREAD);
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

static int tmpfs_mount(bool direct)
{
	/* Direct trees take a directory for each step of their paths. */
	const char *const options[][2] = {
		{"size", direct ? "1m" : "64k"}, {"nr_inodes", direct ? "4096" : "64"}, {"mode", "0755"}};
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
	int r = nursery_private();
	int root = r < 0 ? r : tmpfs_mount(b->direct);

	if (root < 0)
		return root;
	if (syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = -errno;
	for (size_t i = 0; r == 0 && i < b->count; i++)
		r = place_file(root, b->paths[i], b->clones[i]);
	if (r == 0 && b->direct)
		r = direct_place(b->direct, root);
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

static void *nursery_thread(void *arg)
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
	return NULL;
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

static int begin(struct birth *b)
{
	pthread_attr_t attr;
	sigset_t all, old;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&b->thread, &attr, nursery_thread, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

struct birth *nursery_begin(
	const int *file_fds, const char *const *file_paths, size_t count, struct direct *direct, unsigned tolerate)
{
	struct birth *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->made = (struct nursery){-1, -1, -1, -1, -1, 0};
	b->nursery = &b->made;
	b->direct = direct;
	b->tolerate = tolerate;
	for (size_t i = 0; i < FILES; i++)
		b->clones[i] = -1;
	b->early = count > FILES ? -E2BIG : clones_make(b->clones, file_fds, count);
	if (b->early == 0) {
		memcpy(b->paths, file_paths, count * sizeof(*file_paths));
		b->count = count;
	} else if (tolerate & AIRLOCK_LAYER_ROOT) {
		b->early = 0;
	}
	const int r = b->early == 0 ? begin(b) : 0;
	b->begun = b->early == 0 && r == 0;
	if (r < 0) /* else the thread says how it went */
		b->error = r;
	return b;
}

static int outcome(struct birth *b, char *error, size_t len)
{
	if (b->early < 0)
		return nursery_failed(error, len, b->early,
			"the layer root is missing: cannot clone the mount of a loader: %s", strerror(-b->early));
	if (b->error == 0)
		return 0;
	if (b->failed == AIRLOCK_LAYER_ROOT && (b->tolerate & AIRLOCK_LAYER_ROOT)) {
		root_forget(b->nursery);
		if (b->tolerate & AIRLOCK_LAYER_MOUNT)
			return 0;
	}
	return b->failed ? nursery_missing(b->failed, b->error, error, len)
			 : nursery_failed(error, len, b->error, "cannot make namespaces: %s", strerror(-b->error));
}

int nursery_end(struct birth *b, struct nursery *n, char *error, size_t len)
{
	if (!b)
		return nursery_failed(error, len, -ENOMEM, "no memory");
	if (b->begun)
		pthread_join(b->thread, NULL);
	int r = outcome(b, error, len);
	for (size_t i = 0; i < FILES; i++)
		if (b->clones[i] >= 0)
			close(b->clones[i]);
	if (r < 0)
		nursery_close(&b->made);
	*n = b->made;
	free(b);
	return r;
}

int nursery_make(struct nursery *n, const int *file_fds, const char *const *file_paths, size_t count, unsigned tolerate,
	char *error, size_t len)
{
	return nursery_end(nursery_begin(file_fds, file_paths, count, NULL, tolerate), n, error, len);
}

int nursery_make_direct(struct nursery *n, struct direct *direct, unsigned tolerate, char *error, size_t len)
{
	return nursery_end(nursery_begin(NULL, NULL, 0, direct, tolerate), n, error, len);
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
