/* SPDX-License-Identifier: ISC */
/*
 * This file owns memory that two processes share: memfds that can neither shrink nor grow, so that no peer can make
 * an access of ours end in SIGBUS. Runs in every process; a descriptor given to ipc_map() is hostile.
 */
#include "ipc/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

static int write_all(int fd, const char *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, bytes + done, len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

int ipc_memfd(const char *name, const void *bytes, size_t len, bool read_only)
{
	return ipc_memfd_open(
		name, bytes, len, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (read_only ? F_SEAL_WRITE : 0));
}

int ipc_memfd_open(const char *name, const void *bytes, size_t len, int seals)
{
	int r = 0;

	if (!len || len > INT64_MAX / 2)
		return -EINVAL;
	/* Never a program: with vm.memfd_noexec=2 nothing else is possible, before 6.3 nothing of it is known. */
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) < 0)
		r = -errno;
	if (!r && bytes)
		r = write_all(fd, bytes, len);
	if (!r && fcntl(fd, F_ADD_SEALS, seals) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int ipc_map(int fd, size_t len, bool writable, void **out)
{
	const int sealed = F_SEAL_SHRINK | F_SEAL_GROW;
	struct stat st;
	struct statfs fs;

	if (!len)
		return -EINVAL;
	/* Only a memfd can have these seals: other files of a tmpfs are born with F_SEAL_SEAL, all others say EINVAL. */
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & sealed) != sealed)
		return -EPROTO;
	/* One of huge pages takes them when touched, and SIGBUS says that there are none left. */
	if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return -EPROTO;
	/* After the seals, so that the size is the size for ever. */
	if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size < len)
		return -EPROTO;
	void *p = mmap(NULL, len, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*out = p;
	return 0;
}
