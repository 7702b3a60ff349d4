/* SPDX-License-Identifier: ISC */
/* What a peer may do to a shared memory that it hands over. */
#include "ipc/ipc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void test_memfd_is_sealed(void **unused)
{
	(void)unused;
	int fd = ipc_memfd("test", "bytes", 6, true);
	void *p;
	char got[6];

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pread(fd, got, 6, 0), 6);
	assert_memory_equal(got, "bytes", 6);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 100), -1);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_true(ipc_map(fd, 6, true, &p) < 0);
	assert_int_equal(ipc_map(fd, 7, false, &p), -EPROTO);
	assert_int_equal(ipc_map(fd, 6, false, &p), 0);
	assert_memory_equal(p, "bytes", 6);
	munmap(p, 6);
	close(fd);
	assert_int_equal(ipc_memfd("test", NULL, 0, false), -EINVAL);
	assert_int_equal(ipc_memfd("test", NULL, SIZE_MAX, false), -EINVAL);
}

static void test_memfd_writable_is_shared(void **unused)
{
	(void)unused;
	void *a, *b;
	int fd = ipc_memfd("test", NULL, 8192, false);

	assert_true(fd >= 0);
	assert_int_equal(ipc_map(fd, 8192, true, &a), 0);
	assert_int_equal(ipc_map(fd, 8192, true, &b), 0);
	((char *)a)[8191] = 'x';
	assert_int_equal(((char *)b)[8191], 'x');
	munmap(a, 8192);
	munmap(b, 8192);
	close(fd);
}

static void unmappable(int fd)
{
	void *p = &fd;

	if (fd < 0)
		return;
	assert_int_equal(ipc_map(fd, 4096, true, &p), -EPROTO);
	assert_ptr_equal(p, &fd);
	close(fd);
}

static int memfd_with(unsigned flags, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | flags);

	if (fd < 0)
		return fd; /* no huge pages here */
	assert_int_equal(ftruncate(fd, 4 << 20), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void test_map_wants_seals(void **unused)
{
	(void)unused;
	void *p;
	int s[2];
	char path[] = "/dev/shm/airlock-test-XXXXXX";

	assert_int_equal(ipc_map(-1, 4096, true, &p), -EPROTO);
	unmappable(memfd_with(0, 0));
	unmappable(memfd_with(MFD_ALLOW_SEALING, 0));
	unmappable(memfd_with(MFD_ALLOW_SEALING, F_SEAL_GROW));
	unmappable(memfd_with(MFD_ALLOW_SEALING, F_SEAL_SHRINK));
	/* Touching this one raises SIGBUS when the machine has no huge page left. */
	unmappable(memfd_with(MFD_HUGETLB | MFD_ALLOW_SEALING, F_SEAL_SHRINK | F_SEAL_GROW));
	unmappable(open("/dev/zero", O_RDWR | O_CLOEXEC));
	unmappable(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	assert_int_equal(ipc_pair(s), 0);
	unmappable(s[0]);
	unmappable(s[1]);
	int fd = mkstemp(path);
	if (fd >= 0) {
		assert_int_equal(ftruncate(fd, 8192), 0);
		unlink(path);
		unmappable(fd);
	}
	assert_int_equal(ipc_map(0, 0, true, &p), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memfd_is_sealed),
		cmocka_unit_test(test_memfd_writable_is_shared),
		cmocka_unit_test(test_map_wants_seals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
