/* SPDX-License-Identifier: ISC */
/* What a program is that a pledged one executes: it is this test's own helper, which says by its exit status what it may do
 * and what its own first calls return. Where OpenBSD would let it go, Linux cannot: it keeps what is left, and the names of
 * these cases say so. Runs in children of the test. */
#include "tests/openbsd_pledge.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- helpers ---- */

static int reads(int argc, char **argv)
{
	return argc > 0 && open(argv[0], O_RDONLY) < 0 ? errno : 0;
}

static int writes(int argc, char **argv)
{
	return argc > 0 && open(argv[0], O_WRONLY | O_CREAT, 0644) < 0 ? errno : 0;
}

static int pledges(int argc, char **argv)
{
	return argc > 0 && pledge(argv[0], NULL) < 0 ? errno : 0;
}

static int asks(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return pledge(NULL, NULL) < 0 ? errno : 0;
}

/* More than is left: says 0, and has what there is. */
static int pledges_and_writes(int argc, char **argv)
{
	if (pledge("stdio rpath wpath cpath inet proc exec", NULL) < 0)
		return errno;
	if (pledge("stdio rpath wpath cpath inet proc exec unix", NULL) == 0 || errno != EPERM)
		return 90;
	if (argc > 0 && open("/etc/passwd", O_RDONLY) < 0)
		return 91;
	return writes(argc, argv);
}

static int unveils(int argc, char **argv)
{
	return argc > 0 && unveil(argv[0], "r") < 0 ? errno : 0;
}

static int unveils_and_reads(int argc, char **argv)
{
	int e = unveils(argc, argv);
	return e ? e : open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
}

static int locks_veil(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return unveil(NULL, NULL) < 0 ? errno : 0;
}

static int makes_socket(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

/* Executes itself once more. */
static int again(int argc, char **argv)
{
	return argc > 0 ? helper_ends("reads", argv[0]) & 255 : 0;
}

static int raised(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return geteuid() == getuid() ? 0 : 1;
}

const struct helper helpers[] = {{"reads", reads}, {"writes", writes}, {"pledges", pledges}, {"asks", asks},
	{"pledges and writes", pledges_and_writes}, {"unveils", unveils}, {"unveils and reads", unveils_and_reads},
	{"locks", locks_veil}, {"socket", makes_socket}, {"again", again}, {"raised", raised}, {"bare", any_bare},
	{"secure", any_secure}, {"deleted", any_deleted}, {"replaced", any_replaced}, {"narrows", any_narrows},
	{"violates", any_violates}, {NULL, NULL}};

/* ---- cases ---- */

#define DO(name) static void name(void)

/* A program whose library lies in no directory of libraries, as when it is tested before it is installed, must be allowed to
 * read it. */
static void installed(void)
{
	if (getenv("LD_LIBRARY_PATH"))
		skip_case("the library is not installed");
}

DO(without)
{
	SAYS(pledge("stdio rpath proc exec", NULL), 0);
	GIVES(helper_ends("asks", NULL), 0);
	GIVES(helper_ends("reads", "/etc/passwd"), 0);
	GIVES(helper_ends("again", "/etc/passwd"), 0);
}

/* Though it has not pledged itself, what was given up before it is a violation. */
DO(without_keeps)
{
	world_make();
	SAYS(pledge("stdio rpath proc exec", NULL), 0);
	GIVES(helper_ends("writes", in_world("new")), ABORTS);
	GIVES(helper_ends("socket", NULL), ABORTS);
}

DO(without_first_pledge)
{
	world_make();
	SAYS(pledge("stdio rpath proc exec", NULL), 0);
	GIVES(helper_ends("pledges", "stdio rpath wpath cpath inet unix"), 0);
	GIVES(helper_ends("pledges", "stdio xpath"), EINVAL);
	GIVES(helper_ends("pledges and writes", in_world("new")), ABORTS);
}

DO(with)
{
	SAYS(pledge("stdio rpath wpath cpath proc exec", "stdio rpath"), 0);
	GIVES(helper_ends("asks", NULL), 0);
	GIVES(helper_ends("reads", "/etc/passwd"), 0);
	GIVES(helper_ends("pledges", "stdio"), 0);
	GIVES(helper_ends("pledges", "stdio rpath"), 0);
	GIVES(helper_ends("pledges", "stdio rpath wpath"), EPERM);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
}

DO(with_violation)
{
	world_make();
	SAYS(pledge("stdio rpath wpath cpath proc exec", "stdio rpath"), 0);
	GIVES(helper_ends("writes", in_world("new")), ABORTS);
	GIVES(open(in_world("new"), O_WRONLY | O_CREAT, 0644) >= 0, 1);
}

DO(with_stdio)
{
	installed();
	SAYS(pledge("stdio proc exec", "stdio"), 0);
	GIVES(helper_ends("asks", NULL), 0);
	GIVES(helper_ends("reads", "/dev/null"), 0);
	GIVES(helper_ends("reads", "/etc/passwd"), ABORTS);
}

/* OpenBSD would give rpath to the new program. */
DO(with_more)
{
	installed();
	SAYS(pledge("stdio proc exec", "stdio rpath"), 0);
	GIVES(helper_ends("reads", "/etc/passwd"), ABORTS);
}

DO(exec_promises_alone)
{
	world_make();
	SAYS(pledge(NULL, "stdio rpath"), 0);
	HOLDS(open(in_world("new"), O_WRONLY | O_CREAT, 0644) >= 0);
	GIVES(helper_ends("reads", "/etc/passwd"), 0);
	GIVES(helper_ends("pledges", "stdio rpath wpath"), EPERM);
	GIVES(helper_ends("writes", in_world("new2")), ABORTS);
}

DO(with_nothing)
{
	SAYS(pledge("stdio proc exec", ""), 0);
	int ends = helper_ends("asks", NULL);
	HOLDS(ends == ABORTS || ends == 127); /* its loader cannot even map its libraries */
}

DO(with_error)
{
	installed();
	SAYS(pledge("stdio rpath proc exec error", "stdio error"), 0);
	GIVES(helper_ends("reads", "/etc/passwd"), ENOSYS);
	GIVES(helper_ends("pledges", "stdio rpath error"), 0);
}

/* The new program's veil is lifted on OpenBSD; here it sees what its starter saw, and may unveil within that. */
DO(unveiled_without)
{
	installed();
	SAYS(unveil("/etc", "r"), 0);
	SAYS(unveil(program, "rx"), 0);
	SAYS(unveil(NULL, NULL), 0);
	SAYS(pledge("stdio rpath proc exec unveil", NULL), 0);
	GIVES(helper_ends("reads", "/etc/passwd"), 0);
	GIVES(helper_ends("reads", "/usr/bin/id"), ENOENT);
	GIVES(helper_ends("unveils", "/etc"), 0);
	GIVES(helper_ends("unveils", "/usr"), 0);
	GIVES(helper_ends("unveils and reads", "/etc"), 0);
	GIVES(helper_ends("unveils and reads", "/dev"), ENOENT);
	GIVES(helper_ends("locks", NULL), 0);
}

DO(unveiled_with)
{
	installed();
	SAYS(unveil("/etc", "r"), 0);
	SAYS(unveil(program, "rx"), 0);
	SAYS(pledge("stdio rpath proc exec unveil", "stdio rpath unveil"), 0);
	GIVES(helper_ends("reads", "/etc/passwd"), 0);
	GIVES(helper_ends("reads", "/usr/bin/id"), ENOENT);
	GIVES(helper_ends("unveils", "/etc"), 0);
	SAYS(unveil(NULL, NULL), 0);
	GIVES(helper_ends("unveils", "/etc"), EPERM);
	GIVES(helper_ends("locks", NULL), 0);
	SAYS(pledge(NULL, "stdio rpath"), 0);
	GIVES(helper_ends("unveils", "/etc"), ABORTS);
}

DO(unveiled_alone)
{
	installed();
	SAYS(unveil("/etc", "r"), 0);
	SAYS(unveil(program, "x"), 0);
	SAYS(unveil(NULL, NULL), 0);
	GIVES(helper_ends("reads", "/etc/passwd"), 0);
	GIVES(helper_ends("reads", "/usr/bin/id"), ENOENT);
	GIVES(helper_ends("pledges", "stdio rpath inet"), 0);
	GIVES(helper_ends("socket", NULL), 0);
}

DO(program_hidden)
{
	installed();
	SAYS(unveil("/etc", "r"), 0);
	GIVES(helper_ends("asks", NULL), 100 + ENOENT);
	SAYS(unveil(program, "r"), 0);
	GIVES(helper_ends("asks", NULL), 100 + EACCES);
	SAYS(unveil(program, "rx"), 0);
	GIVES(helper_ends("asks", NULL), 0);
}

/* fork(2) by other names */
DO(spawned)
{
	char *const argv[] = {"helper", "--helper", "reads", "/etc/passwd", NULL};
	pid_t pid;
	SAYS(pledge("stdio rpath proc exec", "stdio rpath"), 0);
	GIVES(posix_spawn(&pid, program, NULL, NULL, argv, environ), 0);
	GIVES(child_ends(pid), 0);
	pid = vfork();
	if (pid == 0) {
		execv(program, argv);
		_exit(99);
	}
	GIVES(child_ends(pid), 0);
	GIVES(WEXITSTATUS(system("exit 3")), 3);
	FILE *f = popen("echo hello", "r");
	char line[16] = "";
	HOLDS(f && fgets(line, sizeof(line), f));
	GIVES(strcmp(line, "hello\n"), 0);
	GIVES(pclose(f), 0);
	GIVES(posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, environ), ENOENT);
}

DO(shell_pledged)
{
	SAYS(pledge("stdio rpath proc exec", NULL), 0);
	GIVES(WEXITSTATUS(system("test -r /etc/passwd && exit 7")), 7);
	HOLDS(WEXITSTATUS(system("(echo x >/tmp/airlock-openbsd-no)")) != 0);
}

DO(set_id_programs)
{
	char command[8192];
	installed();
	world_make();
	snprintf(command, sizeof(command), "cp %s %s && %s chmod 4755 %s", program, in_world("raised"),
		is_root() ? "chown 65534 raised &&" : "", in_world("raised"));
	GIVES(chdir(world), 0);
	GIVES(system(command), 0);
	SAYS(pledge("stdio rpath proc exec", "stdio"), 0);
	program = in_world("raised");
	/* EACCES on OpenBSD; here it runs as whom it is started by. */
	int ends = helper_ends("raised", NULL);
	HOLDS(ends == 0 || ends == 100 + EACCES);
}

DO(children)
{
	SAYS(pledge("stdio rpath proc", NULL), 0);
	pid_t pid = case_fork();
	if (pid == 0) {
		HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
		SAYS(pledge("stdio rpath proc inet", NULL), EPERM);
		SAYS(pledge("stdio proc", NULL), 0);
		pid = case_fork();
		if (pid == 0) {
			SAYS(pledge("stdio rpath proc", NULL), EPERM);
			open("/etc/passwd", O_RDONLY);
			_exit(0);
		}
		GIVES(child_ends(pid), ABORTS);
		_exit(6);
	}
	GIVES(child_ends(pid), 6);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
}

void exec_cases(void)
{
	static const struct attempt attempts[] = {
		{"without exec promises it starts as if unpledged", without, 0, NULL},
		{"... and keeps what is left (OpenBSD: everything)", without_keeps, 0, "pledge \"wpath\""},
		{"... its first pledge may ask for anything", without_first_pledge, 0, "pledge \""},
		{"with exec promises it is pledged", with, 0, NULL},
		{"... and ended by a violation", with_violation, 0, "pledge \"wpath\""},
		{"exec promises stdio", with_stdio, 0, "pledge \"rpath\""},
		{"exec promises are bounded by promises (OpenBSD: not)", with_more, 0, "pledge \"rpath\""},
		{"exec promises before promises", exec_promises_alone, 0, "pledge \""},
		{"exec promises \"\"", with_nothing, 0, ""},
		{"exec promises error", with_error, 0, "refused"},
		{"unveiled, without exec promises", unveiled_without, 0, NULL},
		{"unveiled, with exec promises", unveiled_with, 0, "pledge \"unveil\""},
		{"unveiled alone", unveiled_alone, 0, NULL},
		{"a program that is hidden", program_hidden, 0, NULL},
		{"posix_spawn, vfork, system, popen", spawned, 0, NULL},
		{"a shell", shell_pledged, 0, "pledge \"wpath\""},
		{"set-user-id programs", set_id_programs, 0, NULL},
		{"children have their own", children, 0, "pledge \"rpath\""},
	};
	ATTEMPTS("exec", attempts);
}
