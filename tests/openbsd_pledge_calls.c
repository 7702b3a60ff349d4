/* SPDX-License-Identifier: ISC */
/* What each promise allows: a table of promises, calls and how the process ends. Runs in children of the test. */
#include "tests/openbsd_do.h"
#include "tests/openbsd_pledge.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct opened opened = {.terminal = -1};

/* The same promise that is missing is the one that is told. */
static const struct {
	const char *promises;
	const char *name;
	void (*run)(void);
	const char *missing; /* NULL: it works; "": no promise would do */
	const char *line; /* of what works nevertheless */
} rows[] = {
#define ROW(promises, call, missing)                                                                                   \
	{                                                                                                              \
		promises, #call, do_##call, missing                                                                    \
	}
	ROW("", nothing, NULL),
	ROW("", writes, "stdio"),
	ROW("", null_read, "rpath"),
	ROW("", kill_self, "stdio"),
	ROW("", descriptor_calls, "stdio"),
	ROW("", memory_calls, "stdio"),
	ROW("", forks, "proc"),
	ROW("stdio", nothing, NULL),
	ROW("stdio", writes, NULL),
	ROW("stdio", descriptor_calls, NULL),
	ROW("stdio", process_calls, NULL),
	ROW("stdio", memory_calls, NULL),
	ROW("stdio", socket_calls, NULL),
	ROW("stdio", kill_self, NULL),
	ROW("stdio", kill_group, NULL),
	ROW("stdio", kill_parent, "proc"),
	ROW("stdio", forks, "proc"),
	ROW("stdio", vforks, "proc"),
	ROW("stdio", new_session, "proc"),
	ROW("stdio", executes, "exec"),
	ROW("stdio", priority, "proc"),
	ROW("stdio", limit_set, "proc"),
	ROW("stdio", null_read, NULL),
	ROW("stdio", null_both, NULL),
	ROW("stdio", zero, "rpath"),
	ROW("stdio", passwd_read, "rpath"),
	ROW("stdio", localtime_read, NULL),
	ROW("stdio", zone_read, NULL),
	ROW("stdio", zone_write, "path"),
	ROW("stdio", zone_out, "rpath"),
	ROW("stdio", opens_read, "rpath"),
	ROW("stdio", opens_write, "wpath"),
	ROW("stdio", opens_new, "path"),
	ROW("stdio", stats, "rpath"),
	ROW("stdio", accesses, "rpath"),
	ROW("stdio", reads_link, "rpath"),
	ROW("stdio", changes_directory, "rpath"),
	ROW("stdio", knows_directory, "rpath"),
	ROW("stdio", lists_directory, "rpath"),
	ROW("stdio", asks_statfs, "rpath"),
	ROW("stdio", makes_directory, "cpath"),
	ROW("stdio", unlinks, "cpath"),
	ROW("stdio", renames, "path"),
	ROW("stdio", links, "path"),
	ROW("stdio", symlinks, "cpath"),
	ROW("stdio", makes_fifo, "dpath"),
	ROW("stdio", changes_mode, ""),
	ROW("stdio", changes_mode_fd, "fattr"),
	ROW("stdio", changes_times, ""),
	ROW("stdio", truncates, "wpath"),
	ROW("stdio", locks, "flock"),
	ROW("stdio", asks_lock, "flock"),
	ROW("stdio", sets_owner, "proc"),
	ROW("stdio", internet_socket, "inet"),
	ROW("stdio", unix_socket, "unix"),
	ROW("stdio", sends_descriptor, "sendfd"),
	ROW("stdio", receives_descriptor, "recvfd"),
	ROW("stdio", terminal_asked, NULL),
	ROW("stdio", terminal_set, "tty"),
	ROW("stdio", terminal_own, "path"),
	ROW("stdio", maps_code, "prot_exec"),
	ROW("stdio", makes_code, "prot_exec"),
	ROW("stdio", same_user, "id"),
	ROW("stdio", sees_processes, "rpath"),
	ROW("stdio", roots, ""),
	ROW("stdio", mounts, ""),
	ROW("stdio", shares_memory, ""),
	ROW("stdio", names_host, ""),
	ROW("stdio", packet_socket, ""),
	ROW("stdio", unveils, "unveil"),
	ROW("stdio", asks_clock, "settime"),
	/* holes of other ports */
	ROW("stdio", null_by_dots, NULL),
	ROW("stdio", null_relative, "rpath"),
	ROW("stdio", thread_of_parent, "proc"),
	ROW("stdio", moves_parent, "proc"),
	ROW("stdio wpath", changes_mode_alone, ""),
	ROW("stdio tmppath", tmp_by_dots, "path"),
	/* paths */
	ROW("stdio rpath", opens_read, NULL),
	ROW("stdio rpath", opens_write, "wpath"),
	ROW("stdio rpath", opens_both, "wpath"),
	ROW("stdio rpath", opens_new, "path"),
	ROW("stdio rpath", opens_truncate, "wpath"),
	ROW("stdio rpath", stats, NULL),
	ROW("stdio rpath", accesses, NULL),
	ROW("stdio rpath", reads_link, NULL),
	ROW("stdio rpath", changes_directory, NULL),
	ROW("stdio rpath", knows_directory, NULL),
	ROW("stdio rpath", lists_directory, NULL),
	ROW("stdio rpath", asks_statfs, NULL),
	ROW("stdio rpath", passwd_read, NULL),
	ROW("stdio rpath", unlinks, "cpath"),
	ROW("stdio rpath", changes_mode, "fattr"),
	ROW("stdio wpath", opens_read, "rpath"),
	ROW("stdio wpath", opens_write, NULL),
	ROW("stdio wpath", opens_both, "rpath"),
	ROW("stdio wpath", opens_truncate, NULL),
	ROW("stdio wpath", opens_new, "cpath"),
	ROW("stdio wpath", knows_directory, NULL),
	ROW("stdio rpath wpath", opens_both, NULL),
	ROW("stdio rpath wpath", opens_new_both, "cpath"),
	ROW("stdio wpath cpath", opens_new, NULL),
	ROW("stdio wpath cpath", opens_new_both, "rpath"),
	ROW("stdio rpath wpath cpath", opens_new_both, NULL),
	ROW("stdio cpath", makes_directory, NULL),
	ROW("stdio cpath", unlinks, NULL),
	ROW("stdio cpath", symlinks, NULL),
	ROW("stdio cpath", renames, "rpath"),
	ROW("stdio rpath cpath", renames, NULL),
	ROW("stdio cpath", links, "rpath"),
	ROW("stdio rpath cpath", links, NULL),
	ROW("stdio cpath", makes_fifo, "dpath"),
	ROW("stdio dpath", makes_fifo, NULL),
	ROW("stdio tmppath", opens_tmp, NULL),
	ROW("stdio tmppath", opens_read, "rpath"),
	ROW("stdio rpath fattr", changes_mode, NULL),
	ROW("stdio fattr", changes_mode, "rpath"),
	ROW("stdio fattr", changes_mode_fd, NULL),
	ROW("stdio rpath fattr", changes_times, NULL),
	ROW("stdio rpath fattr", changes_owner, NULL),
	ROW("stdio rpath chown", changes_owner, NULL),
	ROW("stdio rpath", changes_owner, "fattr"),
	{"stdio rpath fattr", "gives_away", do_gives_away, NULL, "promise chown"},
	ROW("stdio rpath chown", gives_away_as_root, NULL),
	ROW("stdio rpath wpath fattr", truncates, NULL),
	ROW("stdio rpath wpath cpath fattr", drops_bits, NULL),
	ROW("stdio flock", locks, NULL),
	ROW("stdio flock", asks_lock, NULL),
	ROW("stdio rpath unveil", unveils, NULL),
	/* names */
	ROW("stdio getpw", user_names, NULL),
	ROW("stdio getpw", passwd_read, NULL),
	ROW("stdio getpw", shadow_quietly, NULL),
	ROW("stdio rpath getpw", shadow_quietly, NULL),
	ROW("stdio getpw", opens_read, "rpath"),
	ROW("stdio dns", name_server, NULL),
	ROW("stdio dns", opens_read, "rpath"),
	/* sockets */
	ROW("stdio inet", internet, NULL),
	ROW("stdio inet", unix_socket, "unix"),
	ROW("stdio inet", multicast, "mcast"),
	ROW("stdio inet mcast", multicast, NULL),
	ROW("stdio inet", packet_socket, ""),
	ROW("stdio unix", unix_socket, NULL),
	ROW("stdio unix", internet_socket, "inet"),
	ROW("stdio dns", other_server, NULL),
	ROW("stdio sendfd", sends_descriptor, NULL),
	{"stdio sendfd", "sends_directory", do_sends_directory, NULL, "directories"},
	ROW("stdio recvfd", receives_descriptor, NULL),
	ROW("stdio unix", sends_descriptor, "sendfd"),
	ROW("stdio unix", receives_descriptor, "recvfd"),
	ROW("stdio inet", raw_socket, ""),
	/* processes and terminals */
	ROW("stdio proc", forks, NULL),
	ROW("stdio proc", vforks, NULL),
	ROW("stdio proc", kill_child, NULL),
	ROW("stdio proc", kill_parent, NULL),
	ROW("stdio proc", priority, NULL),
	ROW("stdio proc", limit_set, NULL),
	ROW("stdio proc", sets_owner, NULL),
	ROW("stdio proc", executes, "exec"),
	ROW("stdio exec", executes, NULL),
	ROW("stdio exec", forks, "proc"),
	ROW("stdio id", same_user, NULL),
	ROW("stdio id", limit_set, NULL),
	ROW("stdio id", priority, NULL),
	ROW("stdio tty", terminal_set, NULL),
	ROW("stdio tty", terminal_own, NULL),
	ROW("stdio tty proc", terminal_group, NULL),
	ROW("stdio tty", terminal_group, "proc"),
	ROW("stdio tty", terminal_types, ""),
	ROW("stdio rpath wpath tty", new_terminal, NULL),
	ROW("stdio prot_exec", maps_code, NULL),
	ROW("stdio prot_exec", makes_code, NULL),
	ROW("stdio settime", asks_clock, NULL),
	ROW("stdio ps", sees_processes, NULL),
	ROW("stdio vminfo", sees_memory, NULL),
};

static size_t row;

/* A terminal of its own, which is the process' controlling one. */
static void terminal_make(void)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);
	HOLDS(fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0 && setsid() >= 0);
	opened.terminal = open(ptsname(fd), O_RDWR | O_NOCTTY);
	HOLDS(opened.terminal >= 0 && ioctl(opened.terminal, TIOCSCTTY, 0) == 0);
}

static void call_run(void)
{
	world_make();
	file_make(in_world("file"), "text", 0644);
	GIVES(symlink("file", in_world("link")), 0);
	opened.file = open(in_world("file"), O_RDWR);
	opened.dir = open(world, O_RDONLY | O_DIRECTORY);
	HOLDS(opened.file >= 0 && opened.dir >= 0);
	GIVES(socketpair(AF_UNIX, SOCK_STREAM, 0, opened.pair), 0);
	opened.memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (strncmp(rows[row].name, "terminal", 8) == 0)
		terminal_make();
	if (rows[row].run == do_kill_group)
		GIVES(setpgid(0, 0), 0);
	if (rows[row].run == do_receives_descriptor)
		do_sends_descriptor();
	SAYS(pledge(rows[row].promises, NULL), 0);
	rows[row].run();
	_exit(0);
}

void call_cases(void)
{
	char name[160], line[64];
	for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		const char *missing = rows[row].missing;
		snprintf(name, sizeof(name), "\"%s\" %s", rows[row].promises, rows[row].name);
		snprintf(line, sizeof(line), "%s%s", missing ? missing : "", missing && *missing ? "\"" : "pledge");
		struct attempt a = {name, call_run, missing ? ABORTS : 0, missing ? line : rows[row].line};
		attempt_run("calls", &a);
	}
}
