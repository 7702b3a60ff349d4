/* SPDX-License-Identifier: ISC */
/* What a worker with direct trees tries, and how each attempt must end: one table, live_direct.c's. Runs in targets. */
#include "policy/filter.h"
#include "sandbox/airlock.h"
#include "tests/direct_tries.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif

char base[64]; /* in the host, and told to the worker */

const char *at(const char *rest)
{
	static char path[4][256];
	static unsigned i;
	char *p = path[i++ % 4];
	snprintf(p, sizeof(path[0]), "%s/%s", base, rest);
	return p;
}

/* ---- in the target: each returns 0 for success, or the errno ---- */

static int result(long r)
{
	return r < 0 ? errno : 0;
}

static int open_path(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644), e = result(fd);
	if (fd >= 0)
		close(fd);
	return e;
}

/* Whether path holds this text. */
static int read_path(const char *path, const char *want)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC), e = result(fd);
	if (fd >= 0) {
		ssize_t n = read(fd, text, sizeof(text) - 1);
		e = n < 0 ? errno : strcmp(text, want) ? EBADMSG : 0;
		close(fd);
	}
	return e;
}

static int beside(const char *directory, const char *rest, int flags)
{
	int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return EBADF;
	int fd = openat(dir, rest, flags | O_CLOEXEC), e = result(fd);
	close(dir);
	if (fd >= 0)
		close(fd);
	return e;
}

int try_file(void)
{
	return read_path(at("tree/file"), "hello");
}
static int try_relative(void)
{
	return read_path("tree/sub/deep", "deep");
}
static int try_link(void)
{
	return read_path(at("tree/link_in"), "hello");
}
static int try_far_link(void)
{
	return read_path(at("tree/link_near"), "other");
}
static int try_link_out(void)
{
	return open_path(at("tree/link_out"), O_RDONLY);
}
static int try_link_etc(void)
{
	return open_path(at("tree/link_etc"), O_RDONLY);
}
static int try_link_root(void)
{
	return open_path(at("tree/link_root/etc/passwd"), O_RDONLY);
}
int try_secret(void)
{
	return open_path(at("outside/secret"), O_RDONLY);
}
static int try_etc(void)
{
	return open_path("/etc/passwd", O_RDONLY);
}
static int try_up(void)
{
	return open_path(at("tree/../outside/secret"), O_RDONLY);
}
static int try_far_up(void)
{
	return open_path(at("tree/../../../../../../../etc/passwd"), O_RDONLY);
}
static int try_beside(void)
{
	return beside(at("tree/sub"), "../../outside/secret", O_RDONLY);
}
static int try_beside_root(void)
{
	return beside(at("tree"), "../../../../../../etc/passwd", O_RDONLY);
}
static int try_list_root(void)
{
	return open_path("/", O_RDONLY | O_DIRECTORY);
}
static int try_list_parent(void)
{
	return beside(at("tree"), "..", O_RDONLY | O_DIRECTORY);
}
static int try_parent_path(void)
{
	return open_path(at("outside"), O_PATH);
}
static int try_stat_hidden(void)
{
	struct stat st;
	return result(stat(at("outside/secret"), &st));
}
static int try_stat_etc(void)
{
	struct stat st;
	return result(lstat("/etc/passwd", &st));
}
static int try_access_etc(void)
{
	return result(access("/etc/passwd", F_OK));
}
static int try_write(void)
{
	return open_path(at("tree/file"), O_WRONLY);
}
static int try_read_write(void)
{
	return open_path(at("tree/file"), O_RDWR);
}
static int try_truncate(void)
{
	return open_path(at("tree/file"), O_RDONLY | O_TRUNC);
}
static int try_create(void)
{
	return open_path(at("tree/new"), O_WRONLY | O_CREAT);
}
static int try_tmpfile(void)
{
	return open_path(at("tree"), O_RDWR | O_TMPFILE);
}
static int try_mkdir(void)
{
	return result(mkdir(at("tree/new"), 0755));
}
static int try_unlink(void)
{
	return result(unlink(at("tree/file")));
}
static int try_rename(void)
{
	return result(rename(at("tree/file"), at("rw/file")));
}
static int try_chmod(void)
{
	return result(chmod(at("tree/file"), 0777));
}
int try_device(void)
{
	return open_path(at("tree/device"), O_RDONLY);
}
static int try_fifo(void)
{
	return open_path(at("tree/fifo"), O_RDONLY | O_NONBLOCK);
}
static int try_proc(void)
{
	return open_path("/proc/self/environ", O_RDONLY);
}
static int try_proc_root(void)
{
	return open_path("/proc/1/root/etc/passwd", O_RDONLY);
}
static int try_null(void)
{
	return open_path("/dev/null", O_RDONLY);
}
static int try_null_write(void)
{
	return open_path("/dev/null", O_WRONLY);
}
static int try_write_only(void)
{
	return open_path(at("drop/dropped"), O_WRONLY | O_CREAT);
}
static int try_read_write_only(void)
{
	return open_path(at("drop/dropped"), O_RDONLY);
}
static int try_mount(void)
{
	return result(mount("/", at("tree"), NULL, MS_BIND, NULL));
}
static int try_remount(void)
{
	return result(mount(NULL, at("tree"), NULL, MS_REMOUNT | MS_BIND, NULL));
}
static int try_umount(void)
{
	return result(umount2(at("tree"), MNT_DETACH));
}
static int try_open_tree(void)
{
	return result(syscall(SYS_open_tree, AT_FDCWD, at("tree"), 1));
}
static int try_chroot(void)
{
	return result(chroot(at("tree")));
}

static int try_exec(void)
{
	char *argv[] = {"x", NULL}, *env[] = {NULL};
	return result(execve(at("tree/setuid"), argv, env));
}

static int by_descriptor(int (*change)(int))
{
	int fd = open(at("tree/file"), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return EBADF;
	int e = result(change(fd));
	close(fd);
	return e;
}

static int change_mode(int fd)
{
	return fchmod(fd, 0777);
}
static int change_times(int fd)
{
	return futimens(fd, NULL);
}
static int change_size(int fd)
{
	return ftruncate(fd, 0);
}
static int try_fchmod(void)
{
	return by_descriptor(change_mode);
}
static int try_futimens(void)
{
	return by_descriptor(change_times);
}
static int try_ftruncate(void)
{
	return by_descriptor(change_size);
}

static int try_reopen(void)
{
	char name[40];
	int fd = open(at("tree/file"), O_RDONLY | O_CLOEXEC);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	int e = open_path(name, O_RDWR);
	close(fd);
	return e;
}

static int try_list(void)
{
	DIR *d = opendir(at("tree"));
	int n = 0;
	if (!d)
		return errno;
	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, "file") == 0 || strcmp(e->d_name, "sub") == 0;
	closedir(d);
	return n == 2 ? 0 : EBADMSG;
}

/* The kernel's working directory and the broker's idea of it are one. */
static int try_chdir(void)
{
	char text[256];
	int e = result(chdir(at("rw/d")));
	if (e == 0)
		e = getcwd(text, sizeof(text)) ? strcmp(text, at("rw/d")) ? EBADMSG : 0 : errno;
	if (e == 0)
		e = open_path("made", O_WRONLY | O_CREAT);
	if (e == 0)
		e = open_path("made", O_RDONLY);
	if (e == 0)
		e = open_path("../d/made", O_RDONLY);
	if (e == 0)
		e = result(rename("made", "../moved"));
	if (e == 0)
		e = open_path(at("rw/moved"), O_RDONLY);
	if (e == 0)
		e = read_path("../../tree/file", "hello");
	if (e == 0)
		e = open_path("../../outside/secret", O_RDONLY) == ENOENT ? 0 : EBADMSG;
	if (e == 0)
		e = result(readlink("../../tree/link_in", text, sizeof(text)));
	return chdir(base) < 0 ? errno : e;
}

/* After it, the broker trusts no path that a mount tells; the empty directory in which the target stands has one. */
static int try_move(void)
{
	int e = open_path(at("rw/mover"), O_WRONLY | O_CREAT);
	if (e == 0)
		e = result(rename(at("rw/mover"), at("drop/mover")));
	if (e == 0)
		e = open_path("rw/again", O_WRONLY | O_CREAT);
	return e ? e : try_chdir();
}

static int try_chdir_out(void)
{
	return result(chdir(at("outside")));
}

static int try_fchdir(void)
{
	int fd = open(at("tree/sub"), O_RDONLY | O_DIRECTORY | O_CLOEXEC), e = result(fchdir(fd));
	if (e == 0)
		e = read_path("deep", "deep");
	if (e == 0)
		e = open_path("../../outside/secret", O_RDONLY) == ENOENT ? 0 : EBADMSG;
	close(fd);
	return chdir(base) < 0 ? errno : e;
}

/* A directory that was opened before it was moved: ".." ends where the tree does. */
static int try_moved(void)
{
	int dir = open(at("rw/d/e"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int e = result(rename(at("rw/d/e"), at("rw/e")));
	if (e == 0)
		e = result(openat(dir, "../../outside/secret", O_RDONLY | O_CLOEXEC));
	if (rename(at("rw/e"), at("rw/d/e")) < 0)
		e = EBADMSG;
	close(dir);
	return e;
}

static int try_new_link(void)
{
	int e = result(symlink(at("outside/secret"), at("rw/l")));
	if (e == 0)
		e = open_path(at("rw/l"), O_RDONLY);
	unlink(at("rw/l"));
	return e;
}

static int try_hard_link(void)
{
	return result(link(at("outside/secret"), at("rw/h")));
}

static int try_child(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		int e = read_path("tree/file", "hello");
		_exit(e ? e : open_path(at("outside/secret"), O_RDONLY));
	}
	return pid < 0 ? errno : waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ? EBADMSG : WEXITSTATUS(status);
}

static int try_narrow(void)
{
	return result(syscall(AIRLOCK_SYSCALL, 4L /* unveil */, at("tree/sub"), "r", 0L));
}

const struct attempt attempts[] = {
	{"reads a file", try_file, {0}, true},
	{"reads by a relative path", try_relative, {0}, true},
	{"follows a link within the tree", try_link, {0}, true},
	{"follows a link into another tree", try_far_link, {0}, true},
	{"lists the tree", try_list, {0}, true},
	{"opens a FIFO", try_fifo, {0}, true},
	{"opens /dev/null to read", try_null, {0}, true},
	{"opens /dev/null to write", try_null_write, {0}, true},
	{"makes a file where it may only write", try_write_only, {0}, true},
	{"changes its directory, and makes files there", try_chdir, {0}, true},
	{"changes its directory by a descriptor", try_fchdir, {0}, true},
	{"moves a file to another rule's tree", try_move, {0}, true},
	{"a file beside the tree", try_secret, {ENOENT}, false},
	{"a file of the machine", try_etc, {ENOENT}, false},
	{"a link out of the tree", try_link_out, {ENOENT}, false},
	{"an absolute link out of the tree", try_link_etc, {ENOENT}, false},
	{"a link to the root", try_link_root, {ENOENT}, false},
	{"'..' out of the tree", try_up, {ENOENT}, false},
	{"many '..' out of the tree", try_far_up, {ENOENT}, false},
	{"'..' from a descriptor", try_beside, {ENOENT}, false},
	{"many '..' from a descriptor", try_beside_root, {ENOENT}, false},
	{"'..' from a directory that was moved", try_moved, {ENOENT}, false},
	{"a link made to lead out", try_new_link, {ENOENT, EACCES}, false},
	{"a hard link to what is hidden", try_hard_link, {ENOENT, EACCES, EPERM}, false},
	{"listing the root", try_list_root, {EACCES}, false},
	{"listing the tree's parent", try_list_parent, {EACCES}, false},
	{"O_PATH of what is hidden", try_parent_path, {ENOENT}, false},
	{"stat of what is hidden", try_stat_hidden, {ENOENT}, false},
	{"lstat of a file of the machine", try_stat_etc, {ENOENT}, false},
	{"access to a file of the machine", try_access_etc, {ENOENT}, false},
	{"chdir to what is hidden", try_chdir_out, {ENOENT}, false},
	{"reading what may only be written", try_read_write_only, {ENOENT, EACCES}, false},
	{"writing", try_write, {EACCES}, false},
	{"reading and writing", try_read_write, {EACCES}, false},
	{"truncating by open", try_truncate, {EACCES}, false},
	{"creating", try_create, {EACCES}, false},
	{"a file without a name", try_tmpfile, {EACCES}, false},
	{"mkdir", try_mkdir, {EACCES}, false},
	{"unlink", try_unlink, {EACCES}, false},
	{"rename out of the tree", try_rename, {EACCES}, false},
	{"chmod", try_chmod, {EACCES, EPERM}, false},
	{"fchmod on what is read", try_fchmod, {EROFS, EPERM, EACCES}, false},
	{"futimens on what is read", try_futimens, {EROFS, EPERM, EACCES}, false},
	{"ftruncate on what is read", try_ftruncate, {EINVAL, EPERM}, false},
	{"opening again by /proc to write", try_reopen, {EACCES, EROFS}, false},
	{"a device", try_device, {EACCES}, false},
	{"a set-user-id program", try_exec, {EACCES, EPERM}, false},
	{"/proc/self/environ", try_proc, {ENOENT}, false},
	{"/proc/1/root", try_proc_root, {ENOENT}, false},
	{"a bind mount", try_mount, {EPERM, ENOSYS}, false},
	{"a remount", try_remount, {EPERM, ENOSYS}, false},
	{"an unmount", try_umount, {EPERM, ENOSYS}, false},
	{"open_tree", try_open_tree, {EPERM, ENOSYS}, false},
	{"chroot", try_chroot, {EPERM, ENOSYS}, false},
	{"from a child", try_child, {ENOENT}, false},
	{"narrowing what is unveiled", try_narrow, {EOPNOTSUPP}, false},
};
const size_t attempt_count = sizeof(attempts) / sizeof(attempts[0]);

/* in: the number of the attempt, and the directory of all. */
static ssize_t direct_try(const void *in, size_t len, void *out, size_t cap)
{
	unsigned i;
	if (len != sizeof(i) + sizeof(base) || cap < sizeof(int))
		return -EINVAL;
	memcpy(&i, in, sizeof(i));
	memcpy(base, (const char *)in + sizeof(i), sizeof(base));
	if (i >= attempt_count)
		return -EINVAL;
	int r = attempts[i].attempt();
	memcpy(out, &r, sizeof(r));
	return sizeof(r);
}
AIRLOCK_FUNCTION(direct_try)

/* A thousand looks at a tree: argv[0] is the directory of all. */
static int looks(struct airlock_target *host, int argc, char **argv)
{
	struct stat st;
	(void)host;
	if (argc != 1)
		return 1;
	snprintf(base, sizeof(base), "%s", argv[0]);
	for (int i = 0; i < 250; i++) {
		if (try_file() || stat(at("tree/sub/deep"), &st) || access(at("tree/sub"), R_OK) || try_list())
			return 2;
	}
	return chdir(at("tree/sub")) || read_path("deep", "deep") ? 3 : 0;
}
AIRLOCK_ENTRY(looks)
