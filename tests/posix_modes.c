/* SPDX-License-Identifier: ISC */
/* chmod, chown, access: which bits can be set, what they allow, and what takes them away. */
#include "tests/posix.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define EMPTY_PATH 0x1000

static void chmods(void)
{
	static const mode_t modes[] = {0, 01, 0111, 0444, 0600, 0644, 0666, 0755, 0777, 01644, 02755, 04755, 06711,
		07777, 0100644, 0170777, 0200600};
	int fd;

	make_file("file", "x", 0600);
	make_dir("dir", 0700);
	fd = open("file", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		want(R(chmod("file", modes[i])), 0, "modes chmod 0%o", modes[i]);
		want(mode_of("file"), (long)(modes[i] & 07777), "modes chmod 0%o: mode", modes[i]);
		want(R(fchmod(fd, modes[i] ^ 0111)), 0, "modes fchmod 0%o", modes[i]);
		want(mode_of("file"), (long)((modes[i] ^ 0111) & 07777), "modes fchmod 0%o: mode", modes[i]);
		want(R(fchmodat(AT_FDCWD, "dir", modes[i], 0)), 0, "modes fchmodat of a directory 0%o", modes[i]);
		want(mode_of("dir"), (long)(modes[i] & 07777), "modes fchmodat of a directory 0%o: mode", modes[i]);
	}
	close(fd);
	make_link("file", "link");
	want(R(chmod("link", 0640)), 0, "modes chmod through a link");
	want(mode_of("file"), 0640, "modes chmod through a link: mode");
	want(mode_of("link"), 0777, "modes chmod through a link: its own");
	if (RAW(fchmodat2, AT_FDCWD, "file", 0600, 0) == -ENOSYS) {
		without("the kernel has none", "modes fchmodat2");
		return;
	}
	want(mode_of("file"), 0600, "modes fchmodat2");
	want(RAW(fchmodat2, AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW), -EOPNOTSUPP, "modes fchmodat2 of a link");
	want(mode_of("link"), 0777, "modes fchmodat2 of a link: mode");
	want(RAW(fchmodat2, AT_FDCWD, "file", 0644, AT_SYMLINK_NOFOLLOW), 0, "modes fchmodat2 NOFOLLOW of a file");
	want(mode_of("file"), 0644, "modes fchmodat2 NOFOLLOW of a file: mode");
	want(RAW(fchmodat2, AT_FDCWD, "file", 0600, 1), -EINVAL, "modes fchmodat2 with an unknown flag");
	fd = open("file", O_RDONLY | O_CLOEXEC);
	want(RAW(fchmodat2, fd, "", 0604, EMPTY_PATH), 0, "modes fchmodat2 of a descriptor");
	want(mode_of("file"), 0604, "modes fchmodat2 of a descriptor: mode");
	want(RAW(fchmodat2, fd, "", 0600, 0), -ENOENT, "modes fchmodat2 of nothing");
	close(fd);
}

static void chowns(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct stat before, after;
	int fd;

	make_file("own", "x", 0640);
	make_link("own", "ownlink");
	fd = open("own", O_RDWR | O_CLOEXEC);
	want(R(chown("own", (uid_t)-1, (gid_t)-1)), 0, "modes chown to nobody new");
	want(R(chown("own", uid, gid)), 0, "modes chown to oneself");
	want(R(chown("own", uid, (gid_t)-1)), 0, "modes chown of the user alone");
	want(R(chown("own", (uid_t)-1, gid)), 0, "modes chown of the group alone");
	want(R(lchown("ownlink", uid, gid)), 0, "modes lchown of a link");
	want(R(fchown(fd, uid, gid)), 0, "modes fchown");
	want(R(fchownat(fd, "", uid, gid, EMPTY_PATH)), 0, "modes fchownat of a descriptor");
	want(R(fchownat(AT_FDCWD, "own", uid, gid, 1)), -EINVAL, "modes fchownat with an unknown flag");
	want(R(fchownat(AT_FDCWD, "ownlink", uid, gid, AT_SYMLINK_NOFOLLOW)), 0, "modes fchownat NOFOLLOW");
	want(R(fchownat(AT_FDCWD, "", uid, gid, 0)), -ENOENT, "modes fchownat of nothing");
	yes(stat("own", &after) == 0 && after.st_uid == uid && after.st_gid == gid, "modes its owner is the same");
	want(mode_of("own"), 0640, "modes chown keeps a plain mode");
	if (is_root) {
		without("root may", "modes chown to others");
	} else {
		want(R(chown("own", uid + 1, (gid_t)-1)), -EPERM, "modes chown to another user");
		want(R(chown("own", (uid_t)-1, gid + 1)), -EPERM, "modes chown to another group");
		want(R(chown("own", 0, 0)), -EPERM, "modes chown to root");
		want(R(fchown(fd, 0, 0)), -EPERM, "modes fchown to root");
		want(R(lchown("ownlink", 0, 0)), -EPERM, "modes lchown to root");
		want(R(fchownat(AT_FDCWD, "own", uid, 0, 0)), -EPERM, "modes fchownat to root's group");
	}
	close(fd);
	chmod("own", 06755);
	want(R(chown("own", uid, gid)), 0, "modes chown of a set-id file");
	want(mode_of("own"), 0755, "modes it clears the set-id bits");
	make_dir("owndir", 0755);
	chmod("owndir", 02755);
	stat("owndir", &before);
	want(R(chown("owndir", uid, gid)), 0, "modes chown of a set-group-id directory");
	want(mode_of("owndir"), (long)(before.st_mode & 07777), "modes it keeps the bit");
	if (!is_root) {
		chmod("own", 04755);
		fd = open("own", O_WRONLY | O_CLOEXEC);
		want(R(write(fd, "y", 1)), 1, "modes write to a set-id file");
		want(mode_of("own"), 0755, "modes that clears the bit");
		chmod("own", 04755);
		want(R(ftruncate(fd, 0)), 0, "modes ftruncate of a set-id file");
		want(mode_of("own"), 0755, "modes that clears it too");
		close(fd);
		chmod("own", 04755);
		want(R(truncate("own", 5)), 0, "modes truncate of a set-id file");
		want(mode_of("own"), 0755, "modes and that");
		chmod("own", 04755);
		fd = open("own", O_WRONLY | O_TRUNC | O_CLOEXEC);
		want(mode_of("own"), 0755, "modes and O_TRUNC");
		close(fd);
	}
}

/* What the owner's bits say, and for root, who is only asked for one x. */
static long allowed(mode_t mode, int want_bits)
{
	if (is_root)
		return want_bits & X_OK && !(mode & 0111) ? -EACCES : 0;
	return (unsigned)want_bits & ~(mode >> 6) ? -EACCES : 0;
}

static void accesses(void)
{
	static const mode_t modes[] = {0, 0100, 0200, 0300, 0400, 0500, 0600, 0700, 0077, 0010, 0666};

	make_file("access", "content", 0600);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		chmod("access", modes[i]);
		for (int bits = 0; bits < 8; bits++) {
			long wanted = allowed(modes[i], bits);
			want(R(access("access", bits)), wanted, "modes access 0%o asks for %d", modes[i], bits);
			want(RAW(faccessat2, AT_FDCWD, "access", bits, AT_EACCESS), wanted,
				"modes faccessat2 EACCESS 0%o asks for %d", modes[i], bits);
		}
		for (int flags = O_RDONLY; flags <= O_RDWR; flags++) {
			static const int bits[] = {R_OK, W_OK, R_OK | W_OK};
			long fd = R(open("access", flags | O_CLOEXEC));
			want(fd < 0 ? fd : 0, allowed(modes[i], bits[flags]), "modes open 0%o with %d", modes[i],
				flags);
			if (fd >= 0)
				close((int)fd);
		}
	}
	want(R(access("access", 8)), -EINVAL, "modes access asks for 8");
	want(R(access("access", -1)), -EINVAL, "modes access asks for -1");
	want(R(access("none", 8)), -EINVAL, "modes access asks nothing for 8");
	want(RAW(faccessat2, AT_FDCWD, "access", R_OK, 1), -EINVAL, "modes faccessat2 with an unknown flag");
	int fd = open("access", O_RDONLY | O_CLOEXEC);
	want(RAW(faccessat2, fd, "", F_OK, EMPTY_PATH), 0, "modes faccessat2 of a descriptor");
	want(RAW(faccessat2, fd, "", X_OK, EMPTY_PATH), -EACCES, "modes faccessat2 of a descriptor, for running");
	close(fd);
}

static void directories(void)
{
	static const mode_t modes[] = {0, 0100, 0200, 0300, 0400, 0500, 0600, 0700};
	struct stat st;

	make_dir("dir2", 0700);
	make_file("dir2/file", "x", 0600);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		bool r = is_root || modes[i] & 0400, w = is_root || modes[i] & 0200, x = is_root || modes[i] & 0100;
		chmod("dir2", modes[i]);
		want(R(stat("dir2", &st)), 0, "modes directory 0%o: stat of it", modes[i]);
		want(R(stat("dir2/file", &st)), x ? 0 : -EACCES, "modes directory 0%o: stat in it", modes[i]);
		want(R(stat("dir2/none", &st)), x ? -ENOENT : -EACCES, "modes directory 0%o: stat of nothing",
			modes[i]);
		long fd = R(open("dir2", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		want(fd < 0 ? fd : 0, r ? 0 : -EACCES, "modes directory 0%o: open", modes[i]);
		if (fd >= 0)
			close((int)fd);
		fd = R(open("dir2/file", O_RDONLY | O_CLOEXEC));
		want(fd < 0 ? fd : 0, x ? 0 : -EACCES, "modes directory 0%o: open in it", modes[i]);
		if (fd >= 0)
			close((int)fd);
		want(R(mkdir("dir2/new", 0700)), w && x ? 0 : -EACCES, "modes directory 0%o: mkdir in it", modes[i]);
		want(R(rmdir("dir2/new")),
			w && x ? 0
			: x    ? -ENOENT
			       : -EACCES,
			"modes directory 0%o: rmdir in it", modes[i]);
		want(R(rename("dir2/file", "dir2/other")), w && x ? 0 : -EACCES, "modes directory 0%o: rename in it",
			modes[i]);
		if (w && x)
			(void)!rename("dir2/other", "dir2/file");
		want(R(chdir("dir2")), x ? 0 : -EACCES, "modes directory 0%o: chdir", modes[i]);
		if (x)
			(void)!chdir("..");
		want(R(access("dir2", W_OK)), w ? 0 : -EACCES, "modes directory 0%o: access", modes[i]);
		want(R(chmod("dir2/file", 0600)), x ? 0 : -EACCES, "modes directory 0%o: chmod in it", modes[i]);
		want(R(truncate("dir2/file", 1)), x ? 0 : -EACCES, "modes directory 0%o: truncate in it", modes[i]);
	}
	chmod("dir2", 0700);
}

static void truncates(void)
{
	static const long sizes[] = {0, 1, 4095, 4096, 4097, 100000};
	struct stat st;
	int fd;

	make_file("cut", "0123456789", 0600);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		want(R(truncate("cut", sizes[i])), 0, "modes truncate to %ld", sizes[i]);
		want(size_of("cut"), sizes[i], "modes truncate to %ld: size", sizes[i]);
	}
	want(R(truncate("cut", -1)), -EINVAL, "modes truncate to -1");
	fd = open("cut", O_RDONLY | O_CLOEXEC);
	want(R(ftruncate(fd, 0)), -EINVAL, "modes ftruncate of one open for reading");
	close(fd);
	fd = open("cut", O_RDWR | O_CLOEXEC);
	want(R(ftruncate(fd, 7)), 0, "modes ftruncate");
	yes(fstat(fd, &st) == 0 && st.st_size == 7, "modes ftruncate: size");
	want(R(truncate("cut", 3)), 0, "modes truncate of one that is open");
	yes(fstat(fd, &st) == 0 && st.st_size == 3, "modes truncate of one that is open: size");
	close(fd);
	chmod("cut", 0400);
	want(R(truncate("cut", 0)), is_root ? 0 : -EACCES, "modes truncate of a read-only file");
}

void posix_modes(void)
{
	fixture("modes");
	chmods();
	fixture("modes");
	chowns();
	fixture("modes");
	accesses();
	fixture("modes");
	directories();
	fixture("modes");
	truncates();
}
