/* SPDX-License-Identifier: ISC */
/* Each call that takes a path, under unveil(2): what succeeds, what is not there (ENOENT), what may not be done (EACCES).
 * Each list runs as it is, after the lock, pledged, and both. Runs in children of the test. */
#include "tests/openbsd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void veiled_cases(void);

#define ALL "stdio rpath wpath cpath dpath fattr chown flock unix proc exec unveil"

/* dir may be all, other is not visible, dir/prog may be executed and read. */
static const struct walk wide[] = {
	{"open", {{OPEN, "@dir/file", "rw"}, {OPEN, "@dir/new", "rwc"}, {OPEN, "@dir/no", "r", ENOENT},
			 {OPEN, "@other/file", "r", ENOENT}, {OPEN, "@other/file", "w", ENOENT},
			 {OPEN, "@other/new", "c", ENOENT}, {OPEN, "/etc/passwd", "r", ENOENT},
			 {OPEN, "/etc/hosts", "rw", ENOENT}, {OPEN, "/", "d", ENOENT}, {OPEN, "@", "d", ENOENT},
			 {OPEN, "@dir", "d"}, {OPEN, "@dir", "w", EISDIR}, {OPEN, "@dir/file", "d", ENOTDIR},
			 {OPEN, "@dir/in", "n", ELOOP}, {OPEN, "@no/file", "r", ENOENT}}},
	{"links",
		{{OPEN, "@dir/in", "rw"}, {OPEN, "@dir/out", "r", ENOENT}, {LSTAT, "@dir/out"}, {READLINK, "@dir/out"},
			{STAT, "@dir/out", NULL, ENOENT}, {OPEN, "@dir/abs/passwd", "r", ENOENT},
			{READLINK, "@link", NULL, ENOENT}, {OPEN, "@link/file", "r"}, {STAT, "@link"},
			{LSTAT, "@link", NULL, ENOENT}, {OPEN, "@dir/up/other/file", "r", ENOENT},
			{OPEN, "@dir/up/dir/file", "r"}, {STAT, "@dir/up", NULL, ENOENT}}},
	{"opendir", {{OPENDIR, "@dir"}, {OPENDIR, "@dir/sub"}, {OPENDIR, "@other", NULL, ENOENT},
			    {OPENDIR, "@", NULL, ENOENT}, {OPENDIR, "/", NULL, ENOENT}, {LISTS, "@dir", "file"}}},
	{"stat", {{STAT, "@dir"}, {STAT, "@dir/file"}, {LSTAT, "@dir/in"}, {STAT, "@dir/no", NULL, ENOENT},
			 {STAT, "@other", NULL, ENOENT}, {STAT, "@other/file", NULL, ENOENT}, {STAT, "@", NULL, ENOENT},
			 {STAT, "/", NULL, ENOENT}, {STAT, "/etc", NULL, ENOENT}, {STAT, "/etc/passwd", NULL, ENOENT}}},
	{"access", {{ACCESS, "@dir", "rwx"}, {ACCESS, "@dir/file", "rw"}, {ACCESS, "@dir/file", "f"},
			   {ACCESS, "@dir/prog", "rx"}, {ACCESS, "@other/file", "r", ENOENT},
			   {ACCESS, "@other/file", "f", ENOENT}, {ACCESS, "@other", "x", ENOENT},
			   {ACCESS, "@no", "f", ENOENT}}},
	{"chdir", {{CHDIR, "@dir"}, {CHDIR, "sub"}, {GETCWD, "@dir/sub"}, {OPEN, "deep/file", "r"},
			  {CHDIR, "../..", NULL, ENOENT}, {CHDIR, "..", NULL, 0}, {CHDIR, "@other", NULL, ENOENT},
			  {CHDIR, "/", NULL, ENOENT}, {CHDIR, "@", NULL, ENOENT}, {GETCWD, "@dir"}}},
	{"dot, and dot dot and up again",
		{{CHDIR, "@dir"}, {STAT, "."}, {OPEN, "./file", "r"}, {OPENDIR, "."}, {OPEN, "../dir/file", "r"},
			{STAT, "..", NULL, ENOENT}, {OPEN, "../other/file", "r", ENOENT},
			{OPEN, "../../../../../../../etc/passwd", "r", ENOENT}, {OPEN, "sub/../file", "r"},
			{OPEN, "@dir/sub/../../other/file", "r", ENOENT}, {OPEN, "@dir/sub/../../dir/file", "r"},
			{OPEN, "@dir/..", "d", ENOENT}, {MKDIR, "../x", NULL, ENOENT}}},
	{"slashes", {{OPEN, "@dir//file", "r"}, {STAT, "@dir/"}, {STAT, "@dir/file/", NULL, ENOTDIR},
			    {STAT, "//", NULL, ENOENT}, {STAT, "@other/", NULL, ENOENT}, {MKDIR, "@dir/made/", NULL},
			    {OPEN, "/./", "d", ENOENT}}},
	{"rename", {{RENAME, "@dir/file", "@dir/moved"}, {RENAME, "@dir/moved", "@dir/sub/file"},
			   {RENAME, "@dir/sub/file", "@other/x", ENOENT}, {RENAME, "@other/file", "@dir/x", ENOENT},
			   {RENAME, "@other/file", "@other/x", ENOENT}, {RENAME, "@dir/no", "@dir/x", ENOENT},
			   {RENAME, "@dir/sub", "@dir/moved"}}},
	{"unlink", {{UNLINK, "@dir/file"}, {UNLINK, "@dir/file", NULL, ENOENT}, {UNLINK, "@other/file", NULL, ENOENT},
			   {UNLINK, "@dir/out"}, {UNLINK, "@dir/sub", NULL, EISDIR},
			   {UNLINK, "/etc/passwd", NULL, ENOENT}, {UNLINK, "@link", NULL, ENOENT}}},
	{"mkdir and rmdir", {{MKDIR, "@dir/new"}, {MKDIR, "@dir/new", NULL, EEXIST}, {RMDIR, "@dir/new"},
				    {RMDIR, "@dir/new", NULL, ENOENT}, {MKDIR, "@other/new", NULL, ENOENT},
				    {RMDIR, "@gone", NULL, ENOENT}, {RMDIR, "@dir/sub", NULL, ENOTEMPTY},
				    {MKDIR, "@x", NULL, ENOENT}}},
	{"symlink", {{SYMLINK, "file", "@dir/new"}, {OPEN, "@dir/new", "r"}, {SYMLINK, "/etc/passwd", "@dir/way"},
			    {OPEN, "@dir/way", "r", ENOENT}, {SYMLINK, "x", "@other/new", ENOENT},
			    {SYMLINK, "x", "@dir/new", EEXIST}}},
	{"link", {{LINK, "@dir/file", "@dir/new"}, {LINK, "@dir/file", "@other/new", ENOENT},
			 {LINK, "@other/file", "@dir/x", ENOENT}, {LINK, "/etc/passwd", "@dir/x", ENOENT},
			 {LINK, "@dir/no", "@dir/x", ENOENT}}},
	{"mkfifo", {{MKFIFO, "@dir/new"}, {MKFIFO, "@other/new", NULL, ENOENT}, {MKFIFO, "@dir/new", NULL, EEXIST}}},
	{"chmod", {{CHMOD, "@dir/file"}, {CHMOD, "@dir/sub"}, {CHMOD, "@other/file", NULL, ENOENT},
			  {CHMOD, "@other", NULL, ENOENT}, {CHMOD, "@dir/no", NULL, ENOENT}}},
	{"chown", {{CHOWN, "@dir/file"}, {CHOWN, "@other/file", NULL, ENOENT}, {CHOWN, "/etc/passwd", NULL, ENOENT}}},
	{"utimes",
		{{UTIMES, "@dir/file"}, {UTIMES, "@other/file", NULL, ENOENT}, {UTIMES, "/etc/passwd", NULL, ENOENT}}},
	{"truncate", {{TRUNCATE, "@dir/file"}, {TRUNCATE, "@other/file", NULL, ENOENT}, {OPEN, "@dir/file", "t"},
			     {OPEN, "@other/file", "t", ENOENT}}},
	{"statfs is not hidden",
		{{STATFS, "/"}, {STATFS, "@dir"}, {STATFS, "@other/file"}, {STATFS, "@no", NULL, ENOENT}}},
	{"exec", {{EXEC, "@dir/prog"}, {EXEC, "@dir/file", NULL, EACCES}, {EXEC, "@dir/no", NULL, ENOENT},
			 {EXEC, "/bin/true", NULL, ENOENT}, {EXEC, "@script", NULL, ENOENT}}},
	{"realpath", {{REALPATH, "@dir/file"}, {REALPATH, "@dir/sub/../in"}, {REALPATH, "@other/file", NULL, ENOENT},
			     {REALPATH, "@dir/no", NULL, ENOENT}, {REALPATH, "/etc/passwd", NULL, ENOENT}}},
	{"sockets", {{BIND, "@dir/sock"}, {CONNECT, "@dir/sock", NULL, ECONNREFUSED},
			    {BIND, "@other/sock", NULL, ENOENT}, {CONNECT, "@other/sock", NULL, ENOENT}}},
	{"a child has the same", {{FORK_STEP}, {OPEN, "@dir/file", "rw"}, {OPEN, "@other/file", "r", ENOENT},
					 {CHDIR, "@dir"}, {OPEN, "file", "r"}, {EXEC, "/bin/true", NULL, ENOENT}}},
};

/* dir may only be read. */
static const struct walk reading[] = {
	{"reading", {{OPEN, "@dir/file", "r"}, {OPEN, "@dir/file", "w", EACCES}, {OPEN, "@dir/file", "rw", EACCES},
			    {OPEN, "@dir/file", "t", EACCES}, {OPEN, "@dir/new", "c", EACCES},
			    {OPEN, "@other/file", "r", ENOENT}, {STAT, "@dir/file"}, {ACCESS, "@dir/file", "r"},
			    {ACCESS, "@dir/file", "f"}, {ACCESS, "@dir/prog", "x"}, {ACCESS, "@dir/file", "w", EACCES},
			    {OPENDIR, "@dir"}, {CHDIR, "@dir"}}},
	{"changing", {{UNLINK, "@dir/file", NULL, EACCES}, {RENAME, "@dir/file", "@dir/x", EACCES},
			     {MKDIR, "@dir/new", NULL, EACCES}, {RMDIR, "@dir/sub", NULL, EACCES},
			     {SYMLINK, "x", "@dir/new", EACCES}, {LINK, "@dir/file", "@dir/new", EACCES},
			     {MKFIFO, "@dir/new", NULL, EACCES}, {CHMOD, "@dir/file", NULL, EACCES},
			     {UTIMES, "@dir/file", NULL, EACCES}, {CHOWN, "@dir/file", NULL, EACCES},
			     {TRUNCATE, "@dir/file", NULL, EACCES}, {EXEC, "@dir/prog", NULL, EACCES},
			     {BIND, "@dir/sock", NULL, EACCES}}},
};

/* What libc needs under every pledge is there, whatever is hidden: read, and no more. */
static const struct walk libc[] = {
	{"/dev/null", {{OPEN, "/dev/null", "rw"}, {OPEN, "/dev/null", "r"}, {OPEN, "/dev/null", "w"}}},
	{"time zones", {{OPEN, "/usr/share/zoneinfo/UTC", "r"}, {OPEN, "/usr/share/zoneinfo/UTC", "w", ENOENT},
			       {OPEN, "/usr/share/zoneinfo/../../../etc/passwd", "r", ENOENT},
			       {OPEN, "/etc/passwd", "r", ENOENT}}},
};

static const struct {
	const char *name;
	bool lock;
	const char *promises;
} ways[] = {
	{"", false, NULL}, {", locked", true, NULL}, {", pledged", false, ALL}, {", locked and pledged", true, ALL}};

static void run(const char *prefix, const struct step *setup, size_t steps, const struct walk *w, size_t way)
{
	struct walk made = {.ends = w->ends, .line = w->line};
	char name[128], text[64];
	size_t n = 0;
	snprintf(name, sizeof(name), "%s%s", w->name, ways[way].name);
	snprintf(text, sizeof(text), "%s", prefix);
	made.name = name;
	for (size_t i = 0; i < steps; i++)
		made.steps[n++] = setup[i];
	if (ways[way].lock)
		made.steps[n++] = (struct step){.op = LOCK};
	if (ways[way].promises)
		made.steps[n++] = (struct step){PLEDGE, ways[way].promises, NULL, 0};
	for (size_t i = 0; w->steps[i].op != STEP_END; i++)
		made.steps[n++] = w->steps[i];
	walks_run(text, &made, 1);
}

void veiled_cases(void)
{
	static const struct step all[] = {{UNVEIL, "@dir", "rwxc"}}, read_only[] = {{UNVEIL, "@dir", "r"}};
	/* "hide everything" first, the other order of programs. */
	static const struct step hidden[] = {{UNVEIL, "/", ""}, {UNVEIL, "@dir", "rwxc"}};
	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
			run("veiled", all, 1, &wide[i], way);
		for (size_t i = 0; i < sizeof(reading) / sizeof(reading[0]); i++)
			run("read only", read_only, 1, &reading[i], way);
	}
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		run("veiled below a hidden root", hidden, 2, &wide[i], 3);
	for (size_t i = 0; i < sizeof(libc) / sizeof(libc[0]); i++) {
		run("libc's files", read_only, 1, &libc[i], 2);
		run("libc's files below a hidden root", hidden, 1, &libc[i], 3);
	}
}
