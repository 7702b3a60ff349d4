/* SPDX-License-Identifier: ISC */
/* The tree of live_exec: programs, scripts, and what is neither. */
#include "tests/exec.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int drop(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)st, (void)type, (void)w;
	return remove(path);
}

void exec_tree_remove(const char *top)
{
	nftw(top, drop, 16, FTW_PHYS | FTW_DEPTH);
}

static char *load(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *bytes = NULL;

	if (fd < 0 || fstat(fd, &st) || !(bytes = malloc((size_t)st.st_size + 1)) ||
		read(fd, bytes, (size_t)st.st_size) != st.st_size) {
		free(bytes);
		bytes = NULL;
	} else {
		*len = (size_t)st.st_size;
	}
	if (fd >= 0)
		close(fd);
	return bytes;
}

static void put(const char *path, const char *bytes, size_t len, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || fchmod(fd, mode))
		fprintf(stderr, "# %s: %s\n", path, strerror(errno));
	close(fd);
}

static void text(const char *path, const char *content, mode_t mode)
{
	put(path, content, strlen(content), mode);
}

/* Programs that the kernel refuses, early and late. */
static void broken(const char *bytes, size_t len)
{
	char *copy = malloc(len);
	Elf64_Ehdr *head = (Elf64_Ehdr *)(void *)copy;

	if (!copy || len < sizeof(*head))
		return;
	memcpy(copy, bytes, len);
	head->e_machine = EM_SPARC;
	put("elf-foreign", copy, len, 0755);
	put("elf-short", bytes, 40, 0755);
	put("elf-head", bytes, 64, 0755);
	memcpy(copy, bytes, len);
	for (unsigned i = 0; i < head->e_phnum; i++) {
		Elf64_Phdr *p = (Elf64_Phdr *)(void *)(copy + head->e_phoff) + i;

		if (p->p_type == PT_INTERP)
			memcpy(copy + p->p_offset, "/nowhere", 9);
	}
	put("elf-interp", copy, len, 0755);
	/* Found out only when the old program is gone. */
	memcpy(copy, bytes, len);
	for (unsigned i = 0; i < head->e_phnum; i++) {
		Elf64_Phdr *p = (Elf64_Phdr *)(void *)(copy + head->e_phoff) + i;

		if (p->p_type == PT_LOAD)
			p->p_memsz = UINT64_C(1) << 60;
	}
	put("elf-huge", copy, len, 0755);
	free(copy);
}

int exec_tree(const char *top, const char *programs)
{
	static const char *const probes[] = {"probe", "probe_static", "probe_pie", "probe_musl"};
	char path[600], line[700];
	size_t len;

	exec_tree_remove(top);
	umask(022);
	if (mkdir(top, 0755) || chdir(top))
		return -1;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		snprintf(path, sizeof(path), "%s/exec_%s", programs, probes[i]);
		char *bytes = load(path, &len);

		if (!bytes && i == 0)
			return -1;
		if (bytes)
			put(probes[i], bytes, len, 0755);
		if (i == 0) {
			broken(bytes, len);
			put("plain", bytes, len, 0644);
			put("busy", bytes, len, 0755);
			put("suid", bytes, len, 06755);
		}
		free(bytes);
	}
	mkdir("dir", 0755);
	mkfifo("fifo", 0755);
	text("garbage", "no program\n", 0755);
	text("empty", "", 0755);
	text("nul", "\0\0\0\0", 0755);
	(void)!symlink("probe", "link");
	(void)!symlink("dir/../probe", "dir-link");
	(void)!symlink("gone", "dangling");
	(void)!symlink("loop", "loop");
	(void)!symlink("../probe", "dir/up");
	snprintf(path, sizeof(path), "%s/probe", top);
	(void)!symlink(path, "absolute");
	snprintf(line, sizeof(line), "#!%s/probe\n", top);
	text("script", line, 0755);
	text("dir/script", line, 0755);
	text("script-plain", line, 0644);
	snprintf(line, sizeof(line), "#!%s/plain\n", top);
	text("script-not-x", line, 0755);
	text("script-exit", "#!/bin/sh\nwhile [ \"$1\" = pause ]; do :; done\nexit 7\n", 0755);
	text("script-sh", "#!/bin/sh\necho \"$0\" \"$@\"\n", 0755);
	text("script-bare", "echo bare \"$@\"\n", 0755);
	(void)!symlink("script", "script-link");
	/* Each runs the one before. */
	for (int i = 1; i <= 8; i++) {
		snprintf(path, sizeof(path), "nested-%d", i);
		if (i == 1)
			snprintf(line, sizeof(line), "#!%s/probe a%d\n", top, i);
		else
			snprintf(line, sizeof(line), "#!%s/nested-%d a%d\n", top, i - 1, i);
		text(path, line, 0755);
	}
	text("nested-missing", "#!./nowhere\n", 0755);
	exec_lines_make(top);
	return 0;
}
