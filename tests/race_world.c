/* SPDX-License-Identifier: ISC */
/* Owns the trees of the race tests: makes them, puts them back, sums them up. Runs in the judge. */
#include "tests/race.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct {
	char *bytes; /* of the program that trees hold */
	size_t len;
	size_t code; /* where in it the exit code is */
} program;

static const char *at(const struct race_shared *s, const char *tail)
{
	static char buf[4][600];
	static unsigned next;
	char *p = buf[next++ % 4];

	snprintf(p, sizeof(buf[0]), "%s/%s", s->base, tail);
	return p;
}

static void clear(int dir)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (!unlinkat(dirfd(d), e->d_name, 0))
			continue;
		clear(openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	if (d)
		closedir(d);
}

static void remove_all(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		clear(fd);
	if (unlink(path))
		rmdir(path);
}

static void put(int dir, const char *name, const char *text, size_t len, mode_t mode, const char *mark)
{
	struct timespec times[2] = {{1000000000, 1}, {1000000000, 2}};
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || futimens(fd, times) ||
		(fsetxattr(fd, RACE_MARK_ATTRIBUTE, mark, strlen(mark), 0) && errno != EOPNOTSUPP))
		perror(name);
	close(fd);
}

static void put_program(int dir, const char *name, int code, const char *mark)
{
	program.bytes[program.code] = (char)code;
	put(dir, name, program.bytes, program.len, 0755, mark);
}

/* The names of which every tree has its own. */
static void tree(const char *path, const char *mark, int code, bool only)
{
	char target[64];

	if (mkdir(path, 0755) && errno != EEXIST)
		perror(path);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(dir, "file", mark, strlen(mark), 0644, mark);
	put(dir, "victim", mark, strlen(mark), 0644, mark);
	put_program(dir, "prog", code, mark);
	snprintf(target, sizeof(target), "%s-target", mark);
	if (symlinkat(target, dir, "link") && errno != EEXIST)
		perror("link");
	if (mkdirat(dir, "dir", 0755) && errno != EEXIST)
		perror("dir");
	int sub = openat(dir, "dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(sub, "file", mark, strlen(mark), 0644, mark);
	close(sub);
	if (only) {
		put(dir, "onlyfile", mark, strlen(mark), 0644, mark);
		put(dir, "onlyvictim", mark, strlen(mark), 0666, mark);
		put_program(dir, "onlyprog", code, mark);
		if (symlinkat(target, dir, "onlylink") || mkdirat(dir, "onlydir", 0777))
			perror("only");
	}
	close(dir);
}

static void note(struct race_object *list, size_t *count, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;
	char below[600];

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, "..") || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
			*count == RACE_OBJECTS)
			continue;
		/* What is moved in and out belongs to the target as well. */
		if (!strcmp(e->d_name, "b"))
			continue;
		list[(*count)++] = (struct race_object){st.st_dev, st.st_ino};
		snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		if (S_ISDIR(st.st_mode) && strcmp(e->d_name, ".") != 0)
			note(list, count, below);
	}
	if (d)
		closedir(d);
}

static void links(const struct race_shared *s)
{
	static const char *const names[] = {"file", "victim", "prog", "dir", "link"};
	char name[64], target[600];

	tree(at(s, "A/hot/F"), RACE_HONEST, RACE_CODE_HONEST, false);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *to = s->kind == RACE_FINAL_READ_ONLY ? "R" : "S";
		/* The half of them relative. */
		if (i % 2)
			snprintf(target, sizeof(target), "%s/%s/t/%s", s->base, to, names[i]);
		else
			snprintf(target, sizeof(target), "../../../%s/t/%s", to, names[i]);
		snprintf(name, sizeof(name), "A/hot/F/.%s", names[i]);
		if (symlink(target, at(s, name)))
			perror(name);
	}
}

/* A/hot/D is a directory, A/hot/L a link to where the kind says. */
static void component(const struct race_shared *s)
{
	const char *target = at(s, s->kind == RACE_READ_ONLY ? "R/t" : "S/t");

	tree(at(s, "A/hot/D"), RACE_HONEST, RACE_CODE_HONEST, false);
	if (s->kind == RACE_RELATIVE)
		target = "../../S/t";
	if (s->kind == RACE_CHAIN)
		target = "c1";
	if (symlink(target, at(s, "A/hot/L")) || symlink("./c2", at(s, "A/hot/c1")) ||
		symlink("../../S/t", at(s, "A/hot/c2")) || symlink("../t", at(s, "A/hot/c3")))
		perror("A/hot/L");
	if (s->kind == RACE_LINKED &&
		(rename(at(s, "A/hot/D"), at(s, "A/hot/X")) || rename(at(s, "A/hot/L"), at(s, "A/hot/D"))))
		perror("A/hot/D");
}

static void put_text(const struct race_shared *s, const char *directory, const char *name, const char *text)
{
	int dir = mkdir(at(s, directory), 0755) ? -1 : open(at(s, directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	put(dir, name, text, strlen(text), 0644, RACE_HONEST);
	close(dir);
}

/* What race_state.c works on. */
static void states(const struct race_shared *s)
{
	char directory[32], number[16];

	if (mkdir(at(s, "A/s"), 0755) || mkdir(at(s, "A/s/p"), 0755))
		perror("A/s");
	put_text(s, "A/s/x", "name", "x");
	put_text(s, "A/s/y", "name", "y");
	for (int i = 0; s->kind >= RACE_MANY && i < RACE_MANY_PROCESSES; i++) {
		snprintf(directory, sizeof(directory), "A/s/p/%d", i);
		snprintf(number, sizeof(number), "%d", i);
		put_text(s, directory, "me", number);
	}
}

void race_world_reset(struct race_shared *s)
{
	static const char *const directories[] = {"A", "A/hot", "R", "S"};
	struct stat st;

	mkdir(s->base, 0755);
	/* A stays the directory that it is. */
	if (!lstat(at(s, "A"), &st) && S_ISLNK(st.st_mode)) {
		unlink(at(s, "A"));
		rename(at(s, "A2"), at(s, "A"));
	}
	remove_all(at(s, "A2"));
	int fd = open(at(s, "A"), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		clear(fd);
	bool first = lstat(at(s, "S"), &st) != 0;
	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories); i++)
		if (mkdir(at(s, directories[i]), 0755) && errno != EEXIST)
			perror(directories[i]);
	if (first) {
		tree(at(s, "S/t"), RACE_SECRET, RACE_CODE_SECRET, true);
		tree(at(s, "R/t"), RACE_READABLE, RACE_CODE_READABLE, false);
		tree(at(s, "O"), RACE_SECRET, RACE_CODE_SECRET, true);
		s->secret_count = s->readable_count = 0;
		note(s->secrets, &s->secret_count, at(s, "S"));
		note(s->secrets, &s->secret_count, at(s, "O"));
		note(s->readable, &s->readable_count, at(s, "R"));
	}
	remove_all(at(s, "O/b"));
	remove_all(at(s, "O/b.old"));
	remove_all(at(s, "R/b"));
	tree(at(s, "O/b"), RACE_HONEST, RACE_CODE_HONEST, false);
	tree(at(s, "A/t"), RACE_HONEST, RACE_CODE_HONEST, false);
	tree(at(s, "A/calm"), RACE_HONEST, RACE_CODE_HONEST, false);
	tree(at(s, "A/m"), RACE_HONEST, RACE_CODE_HONEST, false);
	tree(at(s, "A/m/b"), RACE_HONEST, RACE_CODE_HONEST, false);
	component(s);
	links(s);
	if (s->kind > RACE_AWAY)
		states(s);
	if (symlink(at(s, "S"), at(s, "A2")))
		perror("A2");
}

static uint64_t mix(uint64_t sum, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len--)
		sum = (sum ^ *p++) * 0x100000001b3;
	return sum;
}

static uint64_t sum_object(int dir, const char *name, const struct stat *st)
{
	uint64_t sum = mix(0xcbf29ce484222325, name, strlen(name));
	char buf[4096], path[64];
	ssize_t n;

	sum = mix(sum, &st->st_mode, sizeof(st->st_mode));
	sum = mix(sum, &st->st_uid, sizeof(st->st_uid));
	sum = mix(sum, &st->st_gid, sizeof(st->st_gid));
	sum = mix(sum, &st->st_nlink, sizeof(st->st_nlink));
	sum = mix(sum, &st->st_size, sizeof(st->st_size));
	sum = mix(sum, &st->st_ino, sizeof(st->st_ino));
	sum = mix(sum, &st->st_mtim, sizeof(st->st_mtim));
	sum = mix(sum, &st->st_ctim, sizeof(st->st_ctim));
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(dir, name, buf, sizeof(buf));
		return mix(sum, buf, n > 0 ? (size_t)n : 0);
	}
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return sum;
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = listxattr(path, buf, sizeof(buf));
	sum = mix(sum, buf, n > 0 ? (size_t)n : 0);
	n = getxattr(path, RACE_MARK_ATTRIBUTE, buf, sizeof(buf));
	sum = mix(sum, buf, n > 0 ? (size_t)n : 0);
	while (S_ISREG(st->st_mode) && (n = read(fd, buf, sizeof(buf))) > 0)
		sum = mix(sum, buf, (size_t)n);
	close(fd);
	return sum;
}

/* top: its own times and links change when the swappers move things in and out of it. */
static uint64_t sum_tree(const char *path, bool top)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint64_t sum = 0;
	struct stat st;
	char below[600];

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, "..") || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
			(top && (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "b"))))
			continue;
		sum += sum_object(fd, e->d_name, &st);
		snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		if (S_ISDIR(st.st_mode) && strcmp(e->d_name, ".") != 0)
			sum += 3 * sum_tree(below, false);
	}
	if (d)
		closedir(d);
	return sum;
}

uint64_t race_world_sum(const struct race_shared *s)
{
	return sum_tree(at(s, "S"), false) + 5 * sum_tree(at(s, "R"), false) + 7 * sum_tree(at(s, "O"), true);
}

uint64_t race_world_sum_of(const struct race_shared *s, const char *name)
{
	return sum_tree(at(s, name), false);
}

static int program_read(const char *path)
{
	static const char mark[] = "AIRLOCK RACE PROGRAM:";
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	program.len = (size_t)st.st_size;
	program.bytes = malloc(program.len);
	ssize_t n = program.bytes ? read(fd, program.bytes, program.len) : -1;
	close(fd);
	char *found = n == st.st_size ? memmem(program.bytes, program.len, mark, strlen(mark)) : NULL;
	if (!found)
		return -ENOEXEC;
	program.code = (size_t)(found - program.bytes) + strlen(mark);
	return 0;
}

int race_world_make(struct race_shared *s, const char *path)
{
	const char *tmp = getenv("TMPDIR");
	int e = program_read(path);

	if (e < 0)
		return e;
	snprintf(s->base, sizeof(s->base), "%.100s/airlock-race-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(s->base) || chmod(s->base, 0755))
		return -errno;
	s->no_attributes = setxattr(s->base, RACE_MARK_ATTRIBUTE, "", 0, 0) && errno == EOPNOTSUPP;
	int temporary = open(s->base, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	s->no_temporary = temporary < 0 && errno == EOPNOTSUPP;
	close(temporary);
	race_world_reset(s);
	return 0;
}

void race_world_end(struct race_shared *s)
{
	clear(open(s->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	rmdir(s->base);
}
