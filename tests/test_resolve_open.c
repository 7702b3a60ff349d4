/* SPDX-License-Identifier: ISC */
/* What opening gives: flags, modes, special files, /proc, and what libc and the loader need. */
#include "tests/resolve_tree.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

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
	OPENS("~/a/out", O_PATH | O_NOFOLLOW, "EOPNOTSUPP"); /* no O_PATH descriptor can be handed over */
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
	assert_int_equal(st.st_mode & 07777, 01755);
	assert_int_equal(umask_(077), 022);
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
	load_begin(&f, getpid());
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
	load_end(&f, getpid());
	READS("~/libs/libx.so", "ENOENT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_openat2),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_socket_and_lease),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_proc),
		cmocka_unit_test(test_libc_files),
		cmocka_unit_test(test_loader),
	};
	return tree_run(tests, sizeof(tests) / sizeof(tests[0]));
}
