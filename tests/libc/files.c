/* SPDX-License-Identifier: ISC */
/* Directories and temporary files. */
#include "checks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <fts.h>
#endif

static void make(void)
{
	static const char *const dirs[] = {"a", "a/b", "c"};
	static const char *const names[] = {"a/one.txt", "a/b/two.txt", "c/three.c", "four.txt"};
	for (size_t i = 0; i < 3; i++)
		say("%d", mkdir(dirs[i], 0755));
	for (size_t i = 0; i < 4; i++) {
		FILE *f = fopen(names[i], "w");
		say("%d", f && fprintf(f, "%zu", i) > 0 && fclose(f) == 0);
	}
	say("%d", symlink("a/b", "link"));
}

static int seen;

static int each(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)path;
	seen += kind * 100 + at->level * 10 + (S_ISREG(st->st_mode) ? 1 : 0);
	return 0;
}

static int by_name(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void walking(void)
{
	make();
	glob_t g;
	say("%d", glob("*/*.txt", 0, NULL, &g));
	for (size_t i = 0; i < g.gl_pathc; i++)
		say("%s", g.gl_pathv[i]);
	globfree(&g);
	say("%d", glob("no/such/*", 0, NULL, &g) == GLOB_NOMATCH);
	say("%d", nftw(".", each, 8, FTW_PHYS));
	say("%d", nftw(".", each, 2, FTW_DEPTH | FTW_CHDIR));
	say("%d", seen);
	struct dirent **list = NULL;
	int n = scandir(".", &list, by_name, alphasort);
	for (int i = 0; i < n; i++)
		say("%s %d", list[i]->d_name, list[i]->d_type);
#ifdef __GLIBC__
	char *roots[] = {(char *)".", NULL};
	FTS *f = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	n = 0;
	while (f && fts_read(f))
		n++;
	say("%d", n);
	if (f)
		fts_close(f);
	f = fts_open(roots, FTS_LOGICAL, NULL);
	n = 0;
	while (f && fts_read(f))
		n++;
	say("%d", n);
#endif
}

static void places(void)
{
	char path[PATH_MAX];
	make();
	say("%s", getcwd(path, sizeof(path)) ? path : errno_name(errno));
	char *r = realpath("link/../b/two.txt", NULL);
	say("%s", r ? r : errno_name(errno));
	r = realpath("link/none", NULL);
	say("%s", r ? r : errno_name(errno));
	r = realpath("four.txt", path);
	say("%s", r ? r : errno_name(errno));
	int e = chdir("link");
	say("%d %s", e, getcwd(path, sizeof(path)) ? path : errno_name(errno));
	int fd = open("..", O_RDONLY | O_DIRECTORY);
	e = fchdir(fd);
	say("%d %d %s", fd >= 0, e, getcwd(path, sizeof(path)) ? path : errno_name(errno));
	char *name = get_current_dir_name();
	say("%s", name ? name : "-");
	struct statvfs v;
	say("%d %d", statvfs(".", &v), fstatvfs(fd, &v));
	DIR *d = fdopendir(fd);
	say("%d %d", d != NULL, d && dirfd(d) == fd);
	say("%d %d", access("b", R_OK | X_OK), access("none", F_OK));
	say("%d", faccessat(AT_FDCWD, "b", R_OK, AT_EACCESS));
}

static void temporary(void)
{
	FILE *f = tmpfile();
	char line[16] = "", name[64] = "t-XXXXXX";
	say("%d", f && fputs("temporary", f) >= 0);
	if (f)
		rewind(f);
	say("%s", f ? fgets(line, sizeof(line), f) : "-");
	int fd = mkstemp(name);
	struct stat st;
	int e = fstat(fd, &st);
	say("%d %o", fd >= 0, e == 0 ? (unsigned)st.st_mode : 0);
	say("%d", unlink(name));
	strcpy(name, "d-XXXXXX");
	say("%d", mkdtemp(name) != NULL);
	say("%d", rmdir(name));
	strcpy(name, "s-XXXXXX.c");
	fd = mkstemps(name, 2);
	say("%d", fd >= 0 && remove(name) == 0);
	strcpy(name, "o-XXXXXX");
	fd = mkostemp(name, O_APPEND | O_CLOEXEC);
	say("%d", fd >= 0 && rename(name, "kept") == 0);
	say("%d", chmod("kept", 0640) == 0 && truncate("kept", 3) == 0);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void names(void)
{
	char name[L_tmpnam];
	say("%d", tmpnam(name) != NULL);
	char *t = tempnam("/tmp", "x");
	say("%d", t != NULL);
}
#pragma GCC diagnostic pop

const struct libc_check file_checks[] = {
	{"glob-ftw-fts-scandir", "stdio rpath wpath cpath", "rwc:@", 0, walking},
	{"getcwd-realpath", "stdio rpath wpath cpath", "rwc:@", 0, places},
	{"tmpfile-mkstemp", "stdio rpath wpath cpath fattr", "rwc:/tmp rwc:@", 0, temporary},
	{"tmpnam", "stdio rpath", "r:/tmp", 0, names},
	{NULL, NULL, NULL, 0, NULL},
};
