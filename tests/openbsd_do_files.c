/* SPDX-License-Identifier: ISC */
/* Calls about files: see openbsd_do.h. They run in children of the test. */
#include "tests/openbsd_do.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

DO(null_read)
{
	OPENS("/dev/null", O_RDONLY);
}
DO(null_both)
{
	OPENS("/dev/null", O_RDWR);
	OPENS("/dev/null", O_WRONLY);
}
DO(zero)
{
	OPENS("/dev/zero", O_RDONLY);
}
DO(passwd_read)
{
	OPENS("/etc/passwd", O_RDONLY);
}
DO(shadow_quietly)
{
	FAILS(open("/etc/shadow", O_RDONLY), EPERM);
}
DO(localtime_read)
{
	HOLDS(open("/etc/localtime", O_RDONLY) >= 0 || errno == ENOENT);
	HOLDS(access("/etc/localtime", R_OK) == 0 || errno == ENOENT);
	tzset();
	time_t now = 0;
	HOLDS(localtime(&now) != NULL);
}
DO(zone_read)
{
	OPENS("/usr/share/zoneinfo/UTC", O_RDONLY);
}
DO(zone_write)
{
	OPENS("/usr/share/zoneinfo/UTC", O_RDWR);
}
DO(zone_out)
{
	OPENS("/usr/share/zoneinfo/../../../etc/passwd", O_RDONLY);
}
DO(opens_read)
{
	OPENS(in_world("file"), O_RDONLY);
}
DO(opens_write)
{
	OPENS(in_world("file"), O_WRONLY);
}
DO(opens_both)
{
	OPENS(in_world("file"), O_RDWR);
}
DO(opens_truncate)
{
	OPENS(in_world("file"), O_WRONLY | O_TRUNC);
}
DO(opens_new)
{
	OPENS(in_world("new"), O_WRONLY | O_CREAT);
}
DO(opens_new_both)
{
	OPENS(in_world("new"), O_RDWR | O_CREAT);
}
DO(opens_tmp)
{
	char name[64];
	snprintf(name, sizeof(name), "/tmp/airlock-openbsd.%d", getpid());
	OPENS(name, O_RDWR | O_CREAT | O_EXCL);
	GIVES(unlink(name), 0);
}
DO(stats)
{
	struct stat st;
	GIVES(stat(in_world("file"), &st), 0);
	GIVES(lstat(in_world("link"), &st), 0);
}
DO(accesses)
{
	GIVES(access(in_world("file"), R_OK), 0);
}
DO(reads_link)
{
	char buf[64];
	GIVES(readlink(in_world("link"), buf, sizeof(buf)), 4);
}
DO(changes_directory)
{
	GIVES(chdir(world), 0);
}
DO(knows_directory)
{
	char buf[4096];
	HOLDS(getcwd(buf, sizeof(buf)) != NULL);
}
DO(lists_directory)
{
	char buf[1024];
	HOLDS(syscall(SYS_getdents64, opened.dir, buf, sizeof(buf)) > 0);
}
DO(asks_statfs)
{
	struct statfs fs;
	GIVES(statfs("/", &fs), 0);
	GIVES(fstatfs(opened.file, &fs), 0);
}
DO(makes_directory)
{
	GIVES(mkdir(in_world("d"), 0755), 0);
	GIVES(rmdir(in_world("d")), 0);
}
DO(unlinks)
{
	GIVES(unlink(in_world("file")), 0);
}
DO(renames)
{
	GIVES(rename(in_world("file"), in_world("moved")), 0);
}
DO(links)
{
	GIVES(link(in_world("file"), in_world("second")), 0);
}
DO(symlinks)
{
	GIVES(symlink("file", in_world("symlink")), 0);
}
DO(makes_fifo)
{
	GIVES(mkfifo(in_world("fifo"), 0600), 0);
}
DO(changes_mode)
{
	GIVES(chmod(in_world("file"), 0600), 0);
	GIVES(fchmod(opened.file, 0600), 0);
}
DO(changes_mode_fd)
{
	GIVES(fchmod(opened.file, 0600), 0);
}
DO(changes_times)
{
	GIVES(utimensat(AT_FDCWD, in_world("file"), NULL, 0), 0);
	GIVES(futimens(opened.file, NULL), 0);
}
DO(changes_owner)
{
	GIVES(chown(in_world("file"), geteuid(), getegid()), 0);
}
DO(gives_away)
{
	FAILS(chown(in_world("file"), geteuid() + 1, getegid()), EPERM);
}
DO(gives_away_as_root)
{
	if (!is_root())
		FAILS(chown(in_world("file"), geteuid() + 1, getegid()), EPERM);
	else
		GIVES(chown(in_world("file"), 1, 1), 0);
}
DO(truncates)
{
	GIVES(truncate(in_world("file"), 0), 0);
}
/* No set-id bits, and no error. */
DO(drops_bits)
{
	struct stat st;
	int fd = open(in_world("bits"), O_RDWR | O_CREAT, 06755);
	HOLDS(fd >= 0);
	GIVES(fstat(fd, &st), 0);
	GIVES(st.st_mode & 07777, 0755);
	GIVES(chmod(in_world("bits"), 06711), 0);
	GIVES(fstat(fd, &st), 0);
	GIVES(st.st_mode & 07777, 0711);
	GIVES(fchmod(fd, 04700), 0);
	GIVES(fstat(fd, &st), 0);
	GIVES(st.st_mode & 07777, 0700);
}
DO(locks)
{
	struct flock lock = {.l_type = F_WRLCK};
	GIVES(flock(opened.file, LOCK_EX), 0);
	GIVES(fcntl(opened.file, F_SETLK, &lock), 0);
}
DO(asks_lock)
{
	struct flock lock = {.l_type = F_WRLCK};
	GIVES(fcntl(opened.file, F_GETLK, &lock), 0);
}
DO(unveils)
{
	SAYS(unveil(world, "r"), 0);
	FAILS(open("/etc/passwd", O_RDONLY), ENOENT);
}

DO(null_by_dots)
{
	OPENS("/dev//./null", O_RDWR);
}

/* Only absolute paths are libc's. */
DO(null_relative)
{
	GIVES(fchdir(opened.dir), 0);
	OPENS("../../dev/null", O_RDONLY);
}

DO(tmp_by_dots)
{
	OPENS("/tmp/../etc/passwd", O_RDONLY | O_CREAT);
}

DO(changes_mode_alone)
{
	GIVES(chmod(in_world("file"), 0600), 0);
}
