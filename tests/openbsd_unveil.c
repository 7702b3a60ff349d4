/* SPDX-License-Identifier: ISC */
/* unveil(2), letter by letter: what the call itself says, what is remembered, and which rule decides. The calls under it
 * are openbsd_veiled.c's. A program of OpenBSD's: it knows no other function of airlock. */
#include "tests/openbsd.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void veiled_cases(void);

static const struct walk called[] = {
	{"lock with nothing unveiled: no restriction, and none can be added",
		{{LOCK}, {OPEN, "@dir/file", "r"}, {OPEN, "/etc/passwd", "r"}, {UNVEIL, "@dir", "r", EPERM}, {LOCK},
			{OPEN, "@other/file", "rw"}}},
	{"after the lock all is EPERM, but the lock itself",
		{{UNVEIL, "@dir", "r"}, {LOCK}, {UNVEIL, "@other", "r", EPERM}, {UNVEIL, "@dir", "", EPERM}, {LOCK},
			{LOCK}, {OPEN, "@dir/file", "r"}, {OPEN, "@other/file", "r", ENOENT}}},
	{"a path without permissions", {{UNVEIL, "@dir", NULL, EFAULT}, {OPEN, "@other/file", "r"}}},
	{"permissions without a path", {{UNVEIL, NULL, "r", EFAULT}, {OPEN, "@other/file", "r"}}},
	{"the empty path", {{UNVEIL, "", "r", EINVAL}, {OPEN, "@other/file", "r"}}},
	{"five permissions", {{UNVEIL, "@dir", "rwxcr", ENAMETOOLONG}, {UNVEIL, "@dir", "rrrrrrrrrrrr", ENAMETOOLONG},
				     {OPEN, "@other/file", "r"}}},
	{"unknown permissions",
		{{UNVEIL, "@dir", "q", EINVAL}, {UNVEIL, "@dir", "rd", EINVAL}, {UNVEIL, "@dir", "R", EINVAL},
			{UNVEIL, "@dir", "r ", EINVAL}, {UNVEIL, "@dir", "d", EINVAL}, {OPEN, "@other/file", "r"}}},
	{"permissions twice", {{UNVEIL, "@dir", "rrrr"}, {OPEN, "@dir/file", "r"}, {OPEN, "@other/file", "r", ENOENT}}},
	{"a directory on the way is missing",
		{{UNVEIL, "@no/file", "r", ENOENT}, {UNVEIL, "@dir/no/x/y", "rwc", ENOENT}}},
	{"a file on the way", {{UNVEIL, "@dir/file/x", "r", ENOTDIR}}},
	{"the last name is missing",
		{{UNVEIL, "@new", "rwc"}, {OPEN, "@new", "r", ENOENT}, {OPEN, "@new", "c"}, {OPEN, "@new", "r"},
			{OPEN, "@new2", "c", ENOENT}, {UNLINK, "@new"}, {MKDIR, "@new"}}},
	{"a relative path, and later another directory",
		{{UNVEIL, "dir", "r"}, {CHDIR, "dir"}, {OPEN, "file", "r"}, {OPEN, "@dir/file", "r"},
			{OPEN, "../other/file", "r", ENOENT}}},
	{"\".\" and \"..\" in it", {{CHDIR, "@dir/sub"}, {UNVEIL, "./../sub/.", "r"}, {OPEN, "@dir/sub/deep/file", "r"},
					   {OPEN, "@dir/file", "r", ENOENT}}},
	{"a slash at the end",
		{{UNVEIL, "@dir/", "r"}, {UNVEIL, "@dir/file/", "r", ENOTDIR}, {OPEN, "@dir/file", "r"}}},
	{"links are followed then, not later",
		{{UNVEIL, "@link", "r"}, {OPEN, "@dir/file", "r"}, {OPEN, "@link/file", "r"}, {STAT, "@link"},
			{OPEN, "@other/file", "r", ENOENT}}},
	{"a link to a file", {{UNVEIL, "@dir/out", "r"}, {OPEN, "@other/file", "r"}, {OPEN, "@dir/out", "r"},
				     {OPEN, "@dir/file", "r", ENOENT}, {LSTAT, "@dir/out", NULL, ENOENT}}},
	{"nothing is hidden from unveil itself",
		{{UNVEIL, "@dir", "r"}, {UNVEIL, "@other/file", "r"}, {OPEN, "@other/file", "r"},
			{OPEN, "@other/sub/file", "r", ENOENT}}},
	{"it takes effect at once",
		{{OPEN, "@other/file", "r"}, {UNVEIL, "@dir", "r"}, {OPEN, "@other/file", "r", ENOENT}}},
	{"more, again, before the lock",
		{{UNVEIL, "@dir", "r"}, {OPEN, "@dir/file", "w", EACCES}, {UNVEIL, "@dir", "rw"},
			{OPEN, "@dir/file", "rw"}, {UNVEIL, "@dir", "rwc"}, {OPEN, "@dir/new", "c"}}},
	{"less, again, and then more",
		{{UNVEIL, "@dir", "rwc"}, {OPEN, "@dir/new", "c"}, {UNVEIL, "@dir", "r"},
			{OPEN, "@dir/file", "w", EACCES}, {UNVEIL, "@dir", ""}, {OPEN, "@dir/file", "r", ENOENT},
			{UNVEIL, "@dir", "rw"}, {OPEN, "@dir/file", "rw"}}},
	{"less of a file, and then more",
		{{UNVEIL, "@dir/file", "rw"}, {OPEN, "@dir/file", "rw"}, {UNVEIL, "@dir/file", "r"},
			{OPEN, "@dir/file", "w", EACCES}, {UNVEIL, "@dir/file", "rw"}, {OPEN, "@dir/file", "w"}}},
	{"the same directory by another name",
		{{UNVEIL, "@dir", "r"}, {UNVEIL, "@link", "rw"}, {OPEN, "@dir/file", "w"},
			{UNVEIL, "@dir/../link/.", "r"}, {OPEN, "@dir/file", "w", EACCES}}},
	{"\"hide everything\"",
		{{UNVEIL, "/", ""}, {OPEN, "@dir/file", "r", ENOENT}, {OPEN, "/etc/passwd", "r", ENOENT},
			{STAT, "/", NULL, ENOENT}, {LOCK}, {STAT, "/etc", NULL, ENOENT}}},
	{"\"read everything\"",
		{{UNVEIL, "/", "r"}, {OPEN, "@dir/file", "r"}, {OPEN, "@dir/file", "w", EACCES}, {STAT, "/"},
			{UNVEIL, "@dir", "rw"}, {OPEN, "@dir/file", "w"}, {OPEN, "@other/file", "w", EACCES}}},
	{"with the promise it goes on",
		{{PLEDGE, "stdio rpath unveil"}, {UNVEIL, "@dir", "r"}, {OPEN, "@dir/file", "r"},
			{OPEN, "@other/file", "r", ENOENT}, {UNVEIL, "@other", "r"}, {OPEN, "@other/file", "r"}, {LOCK},
			{UNVEIL, "@other", "r", EPERM}}},
	{"without the promise it is a violation", {{PLEDGE, "stdio rpath"}, {UNVEIL, "@dir", "r"}}, ABORTS,
		"pledge \"unveil\""},
	{"and so is the lock", {{PLEDGE, "stdio rpath"}, {LOCK}}, ABORTS, "pledge \"unveil\""},
	{"with the promise error it is ENOSYS",
		{{PLEDGE, "stdio rpath error"}, {UNVEIL, "@dir", "r", ENOSYS}, {LOCK, NULL, NULL, ENOSYS},
			{OPEN, "@other/file", "r"}},
		0, "unveil"},
	{"unveiled, then pledged without",
		{{UNVEIL, "@dir", "r"}, {PLEDGE, "stdio rpath"}, {OPEN, "@dir/file", "r"},
			{OPEN, "@other/file", "r", ENOENT}, {UNVEIL, "@dir", "rw"}},
		ABORTS, "pledge \"unveil\""},
	{"a child's is its own", {{UNVEIL, "@dir", "r"}, {FORK_STEP}, {UNVEIL, "@other", "r"},
					 {OPEN, "@other/file", "r"}, {LOCK}, {UNVEIL, "@dir", "rw", EPERM}}},
};

static const struct walk remembered[] = {
	{"a rule within a rule", {{UNVEIL, "@", "rwc"}, {UNVEIL, "@gone", "r"}, {UNVEIL, "@dir", "r"},
					 {OPEN, "@dir/file", "w", EACCES}}},
	{"a file that is removed and made again",
		{{UNVEIL, "@dir/file", "rwc"}, {UNLINK, "@dir/file"}, {STAT, "@dir/file", NULL, ENOENT},
			{OPEN, "@dir/file", "c"}, {OPEN, "@dir/file", "rw"}}},
	{"another name of the same file does not count",
		{{LINK, "@other/file", "@other/second"}, {UNVEIL, "@other/file", "r"}, {OPEN, "@other/file", "r"},
			{OPEN, "@other/second", "r", ENOENT}}},
	{"a file's own directory is not visible",
		{{UNVEIL, "@dir/file", "r"}, {STAT, "@dir", NULL, ENOENT}, {OPEN, "@dir", "d", ENOENT},
			{STAT, "@dir/file"}, {OPEN, "@dir/sub/deep/file", "r", ENOENT}}},
	{"a missing file's directory neither",
		{{UNVEIL, "@dir/no", "rwc"}, {STAT, "@dir", NULL, ENOENT}, {OPENDIR, "@dir", NULL, ENOENT}}},
	{"a directory that is removed is gone, though it is made again",
		{{UNVEIL, "@gone", "rwc"}, {OPEN, "@gone/x", "c"}, {UNLINK, "@gone/x"},
			{RENAME, "@gone", "@new", EBUSY}, {RMDIR, "@gone"}, {STAT, "@gone", NULL, ENOENT},
			{OPEN, "@gone", "d", ENOENT}, {OPEN, "@gone/x", "c", ENOENT}, {RMDIR, "@gone", NULL, ENOENT},
			{MKDIR, "@gone", NULL, ENOENT}}},
	{"a link that leads to nothing yet",
		{{SYMLINK, "other/new", "@dangling"}, {UNVEIL, "@dangling", "rwc"}, {OPEN, "@dangling", "c"},
			{OPEN, "@other/new", "rw"}, {OPEN, "@other/file", "r", ENOENT}}},
	{"links in a circle", {{SYMLINK, "b", "@a"}, {SYMLINK, "a", "@b"}, {UNVEIL, "@a", "r", ELOOP}}},
	{"a file is moved, its name keeps the rule",
		{{UNVEIL, "@dir", "rwc"}, {UNVEIL, "@dir/file", "rc"}, {RENAME, "@dir/file", "@dir/x", EACCES},
			{UNVEIL, "@dir/file", "rwc"}, {RENAME, "@dir/file", "@dir/x"}, {OPEN, "@dir/x", "rw"},
			{STAT, "@dir/file", NULL, ENOENT}, {OPEN, "@dir/file", "c"}}},
	{"a directory's parents are not visible",
		{{UNVEIL, "@dir/sub", "r"}, {STAT, "@dir", NULL, ENOENT}, {STAT, "@", NULL, ENOENT},
			{STAT, "/", NULL, ENOENT}, {OPEN, "@dir/sub/deep/file", "r"}}},
	{"an open file stays usable, and its directory gives nothing",
		{{HOLD, "@other"}, {UNVEIL, "@dir", "r"}, {OPENAT, "file", "r", ENOENT}, {STATAT, "file", NULL, ENOENT},
			{STATAT, ".", NULL, ENOENT}, {STATAT, "..", NULL, ENOENT}, {FCHDIR},
			{OPEN, "file", "r", ENOENT}, {STAT, "sub", NULL, ENOENT}}},
	{"a directory held before, which is visible",
		{{HOLD, "@dir"}, {UNVEIL, "@dir", "r"}, {OPENAT, "file", "r"}, {OPENAT, "sub/deep/file", "r"},
			{OPENAT, "../other/file", "r", ENOENT}, {OPENAT, "../dir/file", "r"},
			{OPENAT, "file", "w", EACCES}, {FCHDIR}, {OPEN, "file", "r"}}},
	{"a directory held above what is visible",
		{{HOLD, "@"}, {UNVEIL, "@dir", "r"}, {OPENAT, "dir/file", "r"}, {OPENAT, "other/file", "r", ENOENT},
			{STATAT, "dir"}, {STATAT, "link", NULL, 0}}},
	{"standing outside",
		{{CHDIR, "@other"}, {UNVEIL, "@dir", "r"}, {OPEN, "file", "r", ENOENT}, {STAT, ".", NULL, ENOENT},
			{OPEN, "../dir/file", "r"}, {OPENDIR, ".", NULL, ENOENT}, {CHDIR, "@dir"}, {OPEN, "file", "r"},
			{CHDIR, "@other", NULL, ENOENT}, {OPEN, "file", "r"}}},
	{"standing outside, getcwd still knows", {{CHDIR, "@other"}, {UNVEIL, "@dir", "r"}, {GETCWD, "@other"}}},
	{"standing inside",
		{{CHDIR, "@dir/sub"}, {UNVEIL, "@dir", "r"}, {OPEN, "deep/file", "r"}, {OPEN, "../file", "r"},
			{OPEN, "../../other/file", "r", ENOENT}, {STAT, "../..", NULL, ENOENT}, {STAT, ".."},
			{CHDIR, ".."}, {GETCWD, "@dir"}, {CHDIR, "..", NULL, ENOENT}, {GETCWD, "@dir"}}},
};

static const struct walk nearest[] = {
	{"a file within a readable tree may be written",
		{{UNVEIL, "/", "r"}, {UNVEIL, "/dev/null", "rw"}, {OPEN, "/dev/null", "rw"},
			{OPEN, "/dev/zero", "rw", EACCES}, {OPEN, "/dev/zero", "r"}}},
	{"a program within a readable tree",
		{{UNVEIL, "/", "r"}, {UNVEIL, "/usr/bin/id", "rx"}, {STAT, "/usr/bin"}, {STAT, "/usr/bin/id"},
			{EXEC, "/usr/bin/id", NULL, 0}, {EXEC, "/usr/bin/env", NULL, EACCES}}},
	{"its directory hidden", {{UNVEIL, "/", "r"}, {UNVEIL, "/usr/bin/id", "rx"}, {UNVEIL, "/usr/bin", ""},
					 {STAT, "/usr/bin", NULL, ENOENT}, {STAT, "/usr/bin/id"},
					 {STAT, "/usr/bin/env", NULL, ENOENT}, {STAT, "/usr"}}},
	{"the nearest wins, in both directions",
		{{UNVEIL, "@", "rwc"}, {UNVEIL, "@dir", "r"}, {UNVEIL, "@dir/sub", "rw"}, {OPEN, "@other/file", "w"},
			{OPEN, "@dir/file", "w", EACCES}, {OPEN, "@dir/sub/deep/file", "w"},
			{OPEN, "@dir/sub/new", "c", EACCES}, {OPEN, "@other/new", "c"}}},
	{"no union with what is above",
		{{UNVEIL, "@", "r"}, {UNVEIL, "@dir", "w"}, {OPEN, "@dir/file", "r", EACCES}, {OPEN, "@dir/file", "w"},
			{STAT, "@dir/file", NULL, EACCES}, {STAT, "@dir", NULL, EACCES}}},
	{"hidden within visible", {{UNVEIL, "@", "r"}, {UNVEIL, "@dir", ""}, {OPEN, "@dir/file", "r", ENOENT},
					  {STAT, "@dir", NULL, ENOENT}, {OPEN, "@dir/sub/deep/file", "r", ENOENT},
					  {OPEN, "@other/file", "r"}}},
	{"visible within hidden within visible",
		{{UNVEIL, "@", "r"}, {UNVEIL, "@dir", ""}, {UNVEIL, "@dir/sub/deep", "r"},
			{OPEN, "@dir/sub/deep/file", "r"}, {STAT, "@dir/sub", NULL, ENOENT}, {STAT, "@dir/sub/deep"}}},
	{"a name that is hidden within a visible directory is EACCES",
		{{UNVEIL, "@dir", "r"}, {UNVEIL, "@dir/file", ""}, {OPEN, "@dir/file", "r", EACCES},
			{STAT, "@dir/file", NULL, EACCES}, {OPEN, "@dir/in", "r", EACCES}}},
	{"a name's rule wins over its directory's",
		{{UNVEIL, "@dir", "rwc"}, {UNVEIL, "@dir/file", "r"}, {OPEN, "@dir/file", "w", EACCES},
			{UNLINK, "@dir/file", NULL, EACCES}, {OPEN, "@dir/new", "c"}, {OPEN, "@dir/file", "r"}}},
	{"x alone: neither open nor lstat", {{UNVEIL, "@dir/prog", "x"}, {OPEN, "@dir/prog", "r", EACCES},
						    {LSTAT, "@dir/prog", NULL, EACCES}, {EXEC, "@dir/prog"}}},
	{"rw: no execution",
		{{UNVEIL, "@dir/prog", "rw"}, {EXEC, "@dir/prog", NULL, EACCES}, {OPEN, "@dir/prog", "rw"}}},
	{"a directory with x", {{UNVEIL, "@dir", "x"}, {EXEC, "@dir/prog"}, {OPEN, "@dir/file", "r", EACCES},
				       {STAT, "@dir", NULL, EACCES}}},
	{"w alone", {{UNVEIL, "@dir/file", "w"}, {OPEN, "@dir/file", "w"}, {OPEN, "@dir/file", "r", EACCES},
			    {STAT, "@dir/file", NULL, EACCES}}},
	{"w alone changes attributes", {{UNVEIL, "@dir", "w"}, {CHMOD, "@dir/file"}, {UTIMES, "@dir/file"},
					       {CHOWN, "@dir/file"}, {TRUNCATE, "@dir/file"},
					       {UNLINK, "@dir/file", NULL, EACCES}, {MKDIR, "@dir/new", NULL, EACCES}}},
	{"renames take r and c on one side, c on the other",
		{{UNVEIL, "@dir", "c"}, {UNVEIL, "@other", "rc"}, {RENAME, "@dir/file", "@dir/x", EACCES},
			{RENAME, "@other/file", "@dir/x"}, {LINK, "@dir/prog", "@dir/y", EACCES},
			{LINK, "@other/sub/file", "@dir/y", 0}}},
	{"sockets: c to bind, w to connect",
		{{UNVEIL, "@dir", "c"}, {BIND, "@dir/sock"}, {CONNECT, "@dir/sock", NULL, EACCES},
			{UNVEIL, "@dir", "w"}, {CONNECT, "@dir/sock", NULL, ECONNREFUSED},
			{BIND, "@dir/sock2", NULL, EACCES}}},
	{"c alone makes and removes",
		{{UNVEIL, "@dir", "c"}, {MKDIR, "@dir/new"}, {RMDIR, "@dir/new"}, {UNLINK, "@dir/file"},
			{OPEN, "@dir/prog", "r", EACCES}, {OPEN, "@dir/x", "c", EACCES}}},
};

/* ---- the limits, and what is no string ---- */

static void many(bool directories)
{
	char name[32];
	world_make();
	for (int i = 0; i < 128; i++) {
		snprintf(name, sizeof(name), "%d", i);
		if (directories)
			GIVES(mkdir(in_world(name), 0755), 0);
	}
	if (directories)
		GIVES(mkdir(in_world("more"), 0755), 0);
	for (int i = 0; i < 128; i++) {
		snprintf(name, sizeof(name), "%d", i);
		SAYS(unveil(in_world(name), "r"), 0);
	}
	SAYS(unveil(in_world("more"), "r"), E2BIG);
	SAYS(unveil(in_world("7"), "rw"), 0); /* replaces */
	SAYS(unveil(NULL, NULL), 0);
}

static void many_directories(void)
{
	many(true);
}

static void many_names(void)
{
	many(false);
}

static void long_path(void)
{
	static char path[3000];
	memset(path, '/', sizeof(path) - 1);
	memcpy(path + 1019, "/etc", 4);
	path[1023] = 0;
	GIVES(strlen(path), 1023);
	SAYS(unveil(path, "r"), 0);
	FAILS(open("/usr/bin/id", O_RDONLY), ENOENT);
	path[1023] = '/';
	path[1024] = 0;
	SAYS(unveil(path, "r"), ENAMETOOLONG);
	path[1024] = '/';
	SAYS(unveil(path, "r"), ENAMETOOLONG);
}

static void bad_pointers(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *const bad[] = {(char *)8, (char *)-4096, (char *)0xffffffff81000000, page + 4096};
	GIVES(munmap(page + 4096, 4096), 0);
	unended(page + 4096, "/e");
	for (size_t i = 0; i < 4; i++) {
		SAYS(unveil(bad[i], "r"), EFAULT);
		SAYS(unveil("/etc", bad[i]), EFAULT);
	}
	SAYS(unveil(page + 4094, "r"), EFAULT);
	SAYS(unveil("/etc", page + 4094), EFAULT);
	memcpy(page + 4091, "/etc", 5);
	SAYS(unveil(page + 4091, "r"), 0);
	/* And so when there is a broker. */
	for (size_t i = 0; i < 4; i++) {
		SAYS(unveil(bad[i], "r"), EFAULT);
		SAYS(unveil("/etc", bad[i]), EFAULT);
	}
	unended(page + 4096, "/e");
	SAYS(unveil(page + 4094, "r"), EFAULT);
	HOLDS(access("/etc/passwd", R_OK) == 0);
}

static void untouched(void)
{
	size_t before = descriptors();
	SAYS(unveil("/", "r"), 0);
	SAYS(unveil("/etc", "rw"), 0);
	SAYS(unveil(NULL, NULL), 0);
	GIVES(descriptors(), before);
}

static void *look(void *arg)
{
	int *p = arg, fd;
	while (!__atomic_load_n(p, __ATOMIC_SEQ_CST))
		usleep(1000);
	fd = open("/etc/passwd", O_RDONLY);
	return (void *)(long)(fd < 0 ? errno : 0);
}

static void threads(void)
{
	pthread_t t;
	int go = 0;
	void *seen;
	GIVES(pthread_create(&t, NULL, look, &go), 0);
	SAYS(unveil("/dev", "r"), 0);
	__atomic_store_n(&go, 1, __ATOMIC_SEQ_CST);
	GIVES(pthread_join(t, &seen), 0);
	GIVES((long)seen, ENOENT);
}

/* A directory is remembered by what it is: renamed it keeps its rule, and what is made in its place has none. */
static void objects(void)
{
	world_make();
	GIVES(mkdir(in_world("a"), 0755), 0);
	GIVES(mkdir(in_world("dropped"), 0755), 0);
	file_make(in_world("a/file"), "x", 0644);
	pid_t pid = case_fork();
	int go[2];
	GIVES(pipe(go), 0);
	(void)pid;
	if (pid == 0)
		_exit(0);
	child_ends(pid);
	pid = case_fork();
	if (pid == 0) {
		char c;
		GIVES(read(go[0], &c, 1), 1);
		GIVES(rename(in_world("a"), in_world("b")), 0);
		GIVES(rmdir(in_world("dropped")), 0);
		GIVES(mkdir(in_world("dropped"), 0755), 0);
		file_make(in_world("dropped/file"), "x", 0644);
		_exit(0);
	}
	SAYS(unveil(in_world("a"), "r"), 0);
	SAYS(unveil(in_world("dropped"), "r"), 0);
	HOLDS(access(in_world("a/file"), R_OK) == 0);
	GIVES(write(go[1], "x", 1), 1);
	GIVES(child_ends(pid), 0);
	/* Whether a rule follows its directory to a new name is the one thing where this differs: the old name leads there
	 * still, and the new one does not. */
	HOLDS(access(in_world("a/file"), R_OK) == 0);
	FAILS(access(in_world("dropped/file"), R_OK), ENOENT);
}

static void no_access(void)
{
	if (is_root())
		skip_case("root may access everything");
	world_make();
	GIVES(mkdir(in_world("shut"), 0700), 0);
	file_make(in_world("shut/file"), "x", 0600);
	SAYS(unveil("/root/x", "r"), access("/root", X_OK) == 0 ? 0 : EACCES);
	SAYS(unveil("/etc/shadow", "r"), 0); /* its directory can be read */
	FAILS(open("/etc/shadow", O_RDONLY), EACCES);
	GIVES(access(in_world("shut/file"), F_OK), -1);
}

static void parent_shut(void)
{
	if (is_root())
		skip_case("root may access everything");
	world_make();
	GIVES(mkdir(in_world("shut"), 0700), 0);
	file_make(in_world("shut/none"), "x", 0000);
	GIVES(chmod(in_world("shut"), 0100), 0);
	/* Its directory may be searched: some access. */
	SAYS(unveil(in_world("shut/none"), "r"), 0);
	FAILS(open(in_world("shut/none"), O_RDONLY), EACCES);
	SAYS(unveil(in_world("shut/new"), "rwc"), 0);
	FAILS(open(in_world("shut/new"), O_WRONLY | O_CREAT, 0600), EACCES);
}

static const struct attempt limits[] = {
	{"128 directories", many_directories, 0, NULL},
	{"128 names", many_names, 0, NULL},
	{"1023 bytes and 1024", long_path, 0, NULL},
	{"pointers to nothing", bad_pointers, 0, NULL},
	{"errno and descriptors are left alone", untouched, 0, NULL},
	{"all threads", threads, 0, NULL},
	{"directories are remembered by what they are", objects, 0, NULL},
	{"what may not be accessed", no_access, 0, NULL},
	{"a parent that cannot be read", parent_shut, 0, NULL},
};

const struct helper helpers[] = {{NULL, NULL}};

static void cases(void)
{
	WALKS("unveil", called);
	WALKS("remembered", remembered);
	WALKS("nearest", nearest);
	ATTEMPTS("unveil", limits);
	veiled_cases();
}

int main(int argc, char **argv)
{
	return openbsd_main(argc, argv, cases);
}
