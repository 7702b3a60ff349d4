/* SPDX-License-Identifier: ISC */
/* The trusted half of the examples: reads files, and looks at a decoder's answer as at a stranger's. Runs in the host. */
#include "examples/decode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int picture_check(const void *answer, ssize_t len, struct picture *head)
{
	struct picture copy;
	size_t pixels;

	if (len < (ssize_t)sizeof(copy))
		return -EPROTO;
	memcpy(&copy, answer, sizeof(copy));
	copy.error[sizeof(copy.error) - 1] = '\0';
	/* An attacker's text goes to somebody's terminal: no control characters. */
	for (char *c = copy.error; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (copy.format == PICTURE_NONE) {
		*head = copy;
		return 0;
	}
	if (copy.format > PICTURE_JPEG || copy.width == 0 || copy.width > PICTURE_SIDE_MAX || copy.height == 0 ||
		copy.height > PICTURE_SIDE_MAX)
		return -EPROTO;
	pixels = (size_t)copy.width * copy.height * 3;
	if ((size_t)len != sizeof(copy) + pixels)
		return -EPROTO;
	*head = copy;
	return 0;
}

/* FNV-1a. */
static uint64_t checksum(const uint8_t *bytes, size_t len)
{
	uint64_t sum = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3;
	return sum;
}

const char *picture_describe(const struct picture *head, const void *pixels, char *buf, size_t len)
{
	if (head->format == PICTURE_NONE)
		snprintf(buf, len, "%s", head->error);
	else
		snprintf(buf, len, "%s %ux%u, pixels %016llx", head->format == PICTURE_PNG ? "PNG" : "JPEG",
			head->width, head->height,
			(unsigned long long)checksum(pixels, (size_t)head->width * head->height * 3));
	return buf;
}

int picture_read_fd(int fd, void **bytes, size_t *len)
{
	struct stat st;
	char *buf;
	size_t have = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > PICTURE_FILE_MAX)
		return -EFBIG;
	buf = malloc((size_t)st.st_size + 1);
	if (buf == NULL)
		return -ENOMEM;
	while (have < (size_t)st.st_size) {
		ssize_t n = read(fd, buf + have, (size_t)st.st_size - have);

		if (n < 0) {
			int error = errno;

			free(buf);
			return -error;
		}
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*bytes = buf;
	*len = have;
	return 0;
}

int picture_read(const char *path, void **bytes, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	r = picture_read_fd(fd, bytes, len);
	close(fd);
	return r;
}

const char *picture_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}
