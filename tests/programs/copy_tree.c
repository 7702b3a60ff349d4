/* SPDX-License-Identifier: ISC */
/*
 * copy_tree FROM TO: walks FROM and copies it: contents, links, FIFOs, hard links, modes, times. A small program of its
 * own, so that it can be linked with any libc, statically or not, and run natively and behind the door.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct linked {
	ino_t inode;
	char *path;
} links[1000];
static size_t link_count;
static int failed;

static void complain(const char *what, const char *path)
{
	fprintf(stderr, "copy_tree: %s %s: %s\n", what, path, strerror(errno));
	failed = 1;
}

static int copy_file(const char *from, const char *to)
{
	char buf[16384];
	ssize_t n = -1;
	int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	while (out >= 0 && (n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			n = -1;
	if (in >= 0)
		close(in);
	if (out >= 0 && close(out) != 0)
		n = -1;
	return n == 0 ? 0 : -1;
}

static int copy_link(const char *from, const char *to)
{
	char target[PATH_MAX];
	ssize_t n = readlink(from, target, sizeof(target) - 1);

	if (n < 0)
		return -1;
	target[n] = '\0';
	return symlink(target, to);
}

static const char *seen(const struct stat *st, const char *to)
{
	for (size_t i = 0; i < link_count; i++)
		if (links[i].inode == st->st_ino)
			return links[i].path;
	if (link_count < sizeof(links) / sizeof(links[0])) {
		links[link_count].inode = st->st_ino;
		links[link_count++].path = strdup(to);
	}
	return NULL;
}

static void copy(const char *from, const char *to);

static int copy_dir(const char *from, const char *to)
{
	char a[PATH_MAX], b[PATH_MAX];
	DIR *dir = opendir(from);
	struct dirent *entry;

	if (!dir)
		return -1;
	if (mkdir(to, 0700) != 0) {
		closedir(dir);
		return -1;
	}
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (snprintf(a, sizeof(a), "%s/%s", from, entry->d_name) < PATH_MAX &&
			snprintf(b, sizeof(b), "%s/%s", to, entry->d_name) < PATH_MAX)
			copy(a, b);
	}
	closedir(dir);
	return 0;
}

static void copy(const char *from, const char *to)
{
	const char *first;
	struct stat st;
	int r = -1;

	if (lstat(from, &st) != 0) {
		complain("lstat", from);
		return;
	}
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 && (first = seen(&st, to))) {
		if (link(first, to) != 0)
			complain("link", to);
		return;
	}
	if (S_ISDIR(st.st_mode))
		r = copy_dir(from, to);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(from, to);
	else if (S_ISFIFO(st.st_mode))
		r = mkfifo(to, 0600);
	else if (S_ISREG(st.st_mode))
		r = copy_file(from, to);
	if (r != 0 || (!S_ISLNK(st.st_mode) && chmod(to, st.st_mode & 07777) != 0) ||
		lchown(to, st.st_uid, st.st_gid) != 0 ||
		utimensat(AT_FDCWD, to, (struct timespec[2]){st.st_atim, st.st_mtim}, AT_SYMLINK_NOFOLLOW) != 0)
		complain("copy", to);
}

int main(int argc, char *argv[])
{
	if (argc != 3)
		return 2;
	copy(argv[1], argv[2]);
	printf("%s: %zu files with more than one link\n", argv[1], link_count);
	return failed;
}
