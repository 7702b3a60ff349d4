/* SPDX-License-Identifier: ISC */
/* Owns what a target gets in place of an O_PATH descriptor of a FIFO, socket or device: the kernel hands over no O_PATH
 * descriptor (EBADF, as of 6.18), and to open such a thing has effects. It is a sealed memfd that holds the object's path.
 * libc (fchmodat() with AT_SYMLINK_NOFOLLOW, before glibc 2.39 and in musl) brings it back as "/proc/self/fd/N" at once;
 * then the path is judged and walked anew, so that one which a target has forged is as good as the path in it. */
#include "broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int standin_make(const char *path)
{
	size_t len = strlen(path);
	int fd = memfd_create("airlock: an object by its path", MFD_CLOEXEC | MFD_ALLOW_SEALING), e = 0;
	if (fd < 0)
		return -errno;
	if (write(fd, path, len) != (ssize_t)len)
		e = -EIO;
	else if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		e = -errno;
	if (e < 0)
		close(fd);
	return e < 0 ? e : fd;
}

bool standin_read(int fd, char path[PATH_MAX])
{
	if (fcntl(fd, F_GET_SEALS) != SEALS)
		return false;
	ssize_t n = pread(fd, path, PATH_MAX, 0);
	if (n <= 0 || n == PATH_MAX || path[0] != '/' || memchr(path, 0, (size_t)n))
		return false;
	path[n] = 0;
	return true;
}
