/* SPDX-License-Identifier: ISC */
/* pledge(2) in daemons: with roles, without descriptors, in a chroot, of another user. Runs in children of the test. */
#include "tests/openbsd_pledge.h"

#include <bsd/unistd.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DO(name) static void name(void)

void leave_root(void)
{
	GIVES(setgroups(0, NULL), 0);
	GIVES(setresgid(NOBODY, NOBODY, NOBODY), 0);
	GIVES(setresuid(NOBODY, NOBODY, NOBODY), 0);
}

/* ---- daemons ---- */

/* As it pledges, it opens, and dies. */
static void role(const char *promises, int flags, int ends)
{
	pid_t pid = case_fork();
	if (pid == 0) {
		SAYS(pledge(promises, NULL), 0);
		int fd = open(in_world("file"), flags);
		_exit(fd < 0 ? 50 : 7);
	}
	GIVES(child_ends(pid), ends);
}

static void roles(void)
{
	role("stdio rpath", O_RDONLY, 7);
	role("stdio wpath", O_WRONLY, 7);
	role("stdio rpath wpath", O_RDWR, 7);
	role("stdio rpath", O_RDWR, ABORTS);
	role("stdio", O_RDONLY, ABORTS);
}

DO(roles_before)
{
	world_make();
	file_make(in_world("file"), "x", 0644);
	roles();
	SAYS(pledge("stdio rpath", NULL), 0);
	HOLDS(open(in_world("file"), O_RDONLY) >= 0);
}

DO(roles_after)
{
	world_make();
	file_make(in_world("file"), "x", 0644);
	SAYS(pledge("stdio rpath wpath proc", NULL), 0);
	roles();
	HOLDS(open(in_world("file"), O_RDWR) >= 0);
	SAYS(pledge("stdio rpath", NULL), 0);
	HOLDS(open(in_world("file"), O_RDONLY) >= 0);
}

/* Both sides of a privilege separation speak while the parent narrows. */
DO(roles_together)
{
	int p[2];
	char c = 'x';
	GIVES(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	pid_t pid = case_fork();
	if (pid == 0) {
		SAYS(pledge("stdio", NULL), 0);
		for (int i = 0; i < 100; i++) {
			GIVES(read(p[1], &c, 1), 1);
			GIVES(write(p[1], &c, 1), 1);
		}
		_exit(0);
	}
	SAYS(pledge("stdio rpath proc", NULL), 0);
	for (int i = 0; i < 100; i++) {
		GIVES(write(p[0], &c, 1), 1);
		GIVES(read(p[0], &c, 1), 1);
		SAYS(pledge(i < 50 ? "stdio rpath proc" : "stdio rpath", NULL), 0);
	}
	GIVES(child_ends(pid), 0);
}

DO(close_before)
{
	closefrom(0);
	if (pledge("stdio rpath", NULL) < 0)
		_exit(1);
	for (int i = 0; i < 3; i++)
		if (open("/etc/passwd", O_RDONLY) != i)
			_exit(2);
	if (pledge("stdio rpath wpath", NULL) == 0)
		_exit(3);
	_exit(pledge("stdio", NULL) < 0 ? 4 : 9);
}

DO(close_before_violation)
{
	closefrom(0);
	if (pledge("stdio", NULL) == 0)
		open("/etc/passwd", O_RDONLY);
	_exit(1);
}

DO(close_after)
{
	SAYS(pledge("stdio rpath proc", NULL), 0);
	closefrom(3);
	HOLDS(open("/etc/passwd", O_RDONLY) == 3);
	closefrom(0);
	if (open("/etc/passwd", O_RDONLY) != 0 || pledge("stdio rpath", NULL) < 0 || pledge("stdio", NULL) < 0)
		_exit(1);
	_exit(9);
}

DO(close_above)
{
	closefrom(1);
	_exit(pledge("stdio rpath", NULL) < 0 || open("/etc/passwd", O_RDONLY) != 1 ? 1 : 9);
}

static void daemonize(bool pledged)
{
	int p[2];
	char c;
	GIVES(pipe(p), 0);
	if (pledged)
		SAYS(pledge("stdio rpath proc", NULL), 0);
	pid_t pid = case_fork();
	if (pid > 0) {
		GIVES(child_ends(pid), 0);
		GIVES(read(p[0], &c, 1), 1);
		_exit(c);
	}
	HOLDS(setsid() >= 0);
	if (case_fork() > 0)
		_exit(0);
	c = 9;
	if (!pledged && pledge("stdio rpath proc", NULL) < 0)
		c = 1;
	usleep(20000); /* its parents are gone */
	if (open("/etc/passwd", O_RDONLY) < 0 || pledge("stdio rpath", NULL) < 0 || open("/etc/passwd", O_RDONLY) < 0)
		c = 2;
	if (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD)
		c = 3;
	write(p[1], &c, 1);
	_exit(0);
}

DO(daemon_before)
{
	daemonize(false);
}

DO(daemon_after)
{
	daemonize(true);
}

/* ---- chroot, and other users ---- */

static void rooted(bool proc, bool drops)
{
	if (!is_root())
		skip_case("only root may chroot");
	world_make();
	GIVES(mkdir(in_world("etc"), 0755), 0);
	file_make(in_world("etc/passwd"), "x", 0644);
	GIVES(chroot(proc ? "/" : world), 0);
	GIVES(chdir("/"), 0);
	if (drops)
		leave_root();
	SAYS(pledge("stdio rpath", NULL), 0);
	int fd = open("/etc/passwd", O_RDONLY);
	HOLDS(fd >= 0);
	struct stat st;
	GIVES(stat("/etc/passwd", &st), 0);
	HOLDS(proc || st.st_size == 1);
	SAYS(pledge("stdio rpath wpath", NULL), EPERM);
	SAYS(pledge("stdio", NULL), 0);
	open("/etc/passwd", O_RDONLY);
}

DO(root_with)
{
	rooted(true, false);
}

DO(root_with_drop)
{
	rooted(true, true);
}

DO(root_without)
{
	rooted(false, false);
}

DO(root_without_drop)
{
	rooted(false, true);
}

DO(root_stdio)
{
	if (!is_root())
		skip_case("only root may chroot");
	GIVES(chroot(world_make()), 0);
	GIVES(chdir("/"), 0);
	leave_root();
	SAYS(pledge("stdio", NULL), 0);
	GIVES(write(STDOUT_FILENO, "", 0), 0);
	SAYS(pledge("stdio rpath", NULL), EPERM);
	_exit(9);
}

/* What libc may open leads nowhere else, whoever put a link there. */
DO(zone_links)
{
	if (!is_root())
		skip_case("only root may chroot");
	world_make();
	static const char *const directories[] = {"etc", "usr", "usr/share", "usr/share/zoneinfo", "dev"};
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		GIVES(mkdir(in_world(directories[i]), 0755), 0);
	file_make(in_world("etc/passwd"), "x", 0644);
	file_make(in_world("usr/share/zoneinfo/UTC"), "x", 0644);
	GIVES(symlink("/etc", in_world("usr/share/zoneinfo/evil")), 0);
	GIVES(symlink("../../../etc/passwd", in_world("usr/share/zoneinfo/link")), 0);
	GIVES(symlink("UTC", in_world("usr/share/zoneinfo/alias")), 0);
	GIVES(symlink("/etc/passwd", in_world("etc/localtime")), 0);
	GIVES(symlink("/etc/passwd", in_world("dev/null")), 0);
	GIVES(chroot(world), 0);
	GIVES(chdir("/"), 0);
	SAYS(pledge("stdio error", NULL), 0);
	HOLDS(open("/usr/share/zoneinfo/UTC", O_RDONLY) >= 0);
	HOLDS(open("/usr/share/zoneinfo/alias", O_RDONLY) >= 0);
	static const char *const bad[] = {"/usr/share/zoneinfo/evil/passwd", "/usr/share/zoneinfo/link",
		"/usr/share/zoneinfo/evil", "/usr/share/zoneinfo/../../../etc/passwd", "/dev/null", "/etc/passwd"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		HOLDS(open(bad[i], O_RDONLY) < 0);
}

DO(drop_before)
{
	if (!is_root())
		skip_case("only root may become somebody else");
	leave_root();
	SAYS(pledge("stdio rpath", NULL), 0);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	FAILS(open("/etc/shadow", O_RDONLY), EACCES);
}

DO(drop_after)
{
	struct stat st;
	if (!is_root())
		skip_case("only root may become somebody else");
	world_make();
	file_make(in_world("secret"), "x", 0600);
	GIVES(mkdir(in_world("open"), 0777), 0);
	GIVES(chmod(in_world("open"), 0777), 0);
	GIVES(mkdir(in_world("shut"), 0755), 0);
	SAYS(pledge("stdio rpath wpath cpath fattr id", NULL), 0);
	HOLDS(open(in_world("secret"), O_RDWR) >= 0);
	HOLDS(open("/etc/shadow", O_RDONLY) >= 0);
	leave_root();
	GIVES(getuid(), NOBODY);
	GIVES(geteuid(), NOBODY);
	FAILS(setresuid(0, 0, 0), EPERM);
	FAILS(setuid(0), EPERM);
	FAILS(open(in_world("secret"), O_RDONLY), EACCES);
	FAILS(open("/etc/shadow", O_RDONLY), EACCES);
	FAILS(access("/etc/shadow", R_OK), EACCES);
	FAILS(unlink(in_world("secret")), EACCES);
	FAILS(chmod(in_world("secret"), 0666), EPERM);
	FAILS(open(in_world("shut/new"), O_WRONLY | O_CREAT, 0644), EACCES);
	int fd = open(in_world("open/new"), O_WRONLY | O_CREAT, 0644);
	HOLDS(fd >= 0 && fstat(fd, &st) == 0);
	HOLDS(st.st_uid == NOBODY && st.st_gid == NOBODY);
	GIVES(mkdir(in_world("open/dir"), 0755), 0);
	GIVES(stat(in_world("open/dir"), &st), 0);
	HOLDS(st.st_uid == NOBODY && st.st_gid == NOBODY);
	SAYS(pledge("stdio rpath wpath cpath", NULL), 0);
	HOLDS(open(in_world("open/new"), O_RDWR) >= 0);
	FAILS(open(in_world("secret"), O_RDONLY), EACCES);
}

/* A child becomes somebody else; its parent stays root. */
DO(drop_in_child)
{
	if (!is_root())
		skip_case("only root may become somebody else");
	SAYS(pledge("stdio rpath id proc", NULL), 0);
	pid_t pid = case_fork();
	if (pid == 0) {
		leave_root();
		FAILS(open("/etc/shadow", O_RDONLY), EACCES);
		SAYS(pledge("stdio rpath", NULL), 0);
		FAILS(open("/etc/shadow", O_RDONLY), EACCES);
		_exit(9);
	}
	GIVES(child_ends(pid), 9);
	HOLDS(open("/etc/shadow", O_RDONLY) >= 0);
}

void any_cases(void)
{
	static const struct attempt attempts[] = {
		{"roles before their parent", roles_before, 0, "pledge \"rpath\""},
		{"roles after their parent", roles_after, 0, "pledge \"rpath\""},
		{"roles that speak to each other", roles_together, 0, NULL},
		{"closefrom(0) first", close_before, 9, NULL},
		{"closefrom(0) first, and a violation", close_before_violation, ABORTS, NULL},
		{"closefrom(3) and closefrom(0) after", close_after, 9, NULL},
		{"closefrom(1) first", close_above, 9, NULL},
		{"a daemon pledges", daemon_before, 9, NULL},
		{"a pledged program becomes a daemon", daemon_after, 9, NULL},
		{"chroot with /proc", root_with, ABORTS, "pledge \"rpath\""},
		{"chroot with /proc, another user", root_with_drop, ABORTS, "pledge \"rpath\""},
		{"chroot without /proc", root_without, ABORTS, "pledge \"rpath\""},
		{"chroot without /proc, another user", root_without_drop, ABORTS, "pledge \"rpath\""},
		{"chroot, another user, stdio alone", root_stdio, 9, NULL},
		{"links in the time zones", zone_links, 0, ""},
		{"another user first", drop_before, 0, NULL},
		{"another user afterwards", drop_after, 0, NULL},
		{"another user in a child", drop_in_child, 0, NULL},
	};
	ATTEMPTS("any program", attempts);
}
