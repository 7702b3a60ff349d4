/* SPDX-License-Identifier: ISC */
/* The broker's way from paths to objects: dots, links, what is hidden, where a path starts. */
#include "tests/resolve_tree.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_dotdot(void **state) /* 1 */
{
	(void)state;
	READS("~/a/../secret/f", "ENOENT");
	READS("~/a/sub/../../secret/f", "ENOENT");
	READS("~/a/sub/../ok", "ok");
	READS("~/a/sub/deep/../../sub/ok", "sub");
	READS("~/a/../r/f", "r");
	READS("~/a/..", "ENOENT");
	READS("/../../../..", "ENOENT");
	READS("~/a/missing/../ok", "ENOENT");
	READS("~/a/ok/../ok", "ENOTDIR");
	/* no way to learn what hidden directories there are */
	READS("~/secret/../a/ok", "ENOENT");
	READS("~/missing/../a/ok", "ENOENT");
}

static void test_symlinks(void **state) /* 2, 3, 23 */
{
	(void)state;
	READS("~/a/out", "ENOENT");
	READS("~/a/out_abs", "ENOENT");
	READS("~/a/in", "sub");
	READS("~/a/dir/ok", "sub");
	READS("~/a/dir/deep/../ok", "sub");
	READS("~/a/other", "r");
	OPENS("~/a/other", O_WRONLY, "EACCES");
	READS("~/a/loop", "ELOOP");
	READS("~/bin/ok", "sub");
	READS("~/secret/back", "ok");
	OPENS("~/a/dangling", O_WRONLY | O_CREAT, "ENOENT");
	assert_int_equal(access(expand(0, "~/secret/new"), F_OK), -1);
	OPENS("~/a/dangling", O_WRONLY | O_CREAT | O_EXCL, "EEXIST");
	OPENS("~/a/dangling_in", O_RDWR | O_CREAT, "");
	assert_int_equal(access(expand(0, "~/a/made"), F_OK), 0);
}

static void test_visibility(void **state) /* 38, 40 and unveil(2)'s rules */
{
	(void)state;
	READS("~/r/f", "r");
	OPENS("~/r/f", O_WRONLY, "EACCES");
	READS("~/secret/f", "ENOENT");
	READS("~/secret/missing", "ENOENT");
	READS("~/secret/f/x", "ENOENT");
	READS("~/data2/f", "ENOENT");
	READS("~/aa", "ENOENT");
	READS("/", "ENOENT");
	READS("~", "ENOENT");
	READS("~/x/f", "EACCES");
	READS("~/n/f", "n");
	READS("~/n/hidden/f", "ENOENT");
	READS("~/n/hidden", "ENOENT");
	READS("~/n/name", "ENOENT");
	READS("~/n/name/x", "ENOENT");
	READS("~/n/missing/x", "ENOENT");
	READS("~/single", "single");
	READS("~/single/x", "ENOTDIR");
	READS("/", "ENOENT");
	READS("~//a/./sub///ok", "sub");
	READS("//tmp/../tmp/./..", "ENOENT");
	assert_int_equal(access_("~/secret/f", F_OK), -ENOENT);
	assert_int_equal(access_("~/secret/missing", F_OK), -ENOENT);
	char buf[16];
	assert_int_equal(readlink_("~/secret/back", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(readlink_("~", buf, sizeof(buf)), -EINVAL); /* realpath(3) asks; a rule lies below */
	assert_int_equal(readlink_("~/bin", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(readlink_("~/secret/f", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(chdir_("~/secret"), -ENOENT);
	assert_int_equal(chdir_("~/nosuch"), -ENOENT);
	assert_int_equal(mkdir_("~/secret/d", 0755), -ENOENT);
	assert_int_equal(unlink_("~/secret/f", 0), -ENOENT);
}

static void test_report(void **state)
{
	(void)state;
	open_at(AT_FDCWD, "~/a/out", O_RDONLY, 0);
	assert_string_equal(r.canonical, expand(1, "~/secret/f"));
	assert_int_equal(r.missing_perms, PERM_R);
	open_at(AT_FDCWD, "~/r/f", O_RDWR, 0);
	assert_int_equal(r.missing_perms, PERM_W);
	b.policy.promises &= ~PROMISE_BIT(wpath);
	OPENS("~/a/ok", O_WRONLY, "EPERM");
	assert_int_equal(r.missing_promise, PROMISE_wpath);
	b.policy.promises |= PROMISE_BIT(wpath);
}

static void test_hard_link(void **state) /* 7 */
{
	(void)state;
	READS("~/a/hard", "SECRET");
}

static void test_slashes_and_names(void **state) /* 12, 13, 14 */
{
	(void)state;
	char path[PATH_MAX];
	READS("~/a/ok/", "ENOTDIR");
	READS("~/a/sub/", "directory");
	READS("~/a/sub/.", "directory");
	OPENS("~/a/nosuch/", O_WRONLY | O_CREAT, "EISDIR");
	READS("", "ENOENT");
	int n = snprintf(path, sizeof(path), "%s/a/", top);
	memset(path + n, 'n', 255);
	path[n + 255] = 0;
	READS(path, "ENOENT");
	path[n + 255] = 'n';
	path[n + 256] = 0;
	READS(path, "ENAMETOOLONG");
	snprintf(path, sizeof(path), "%s/secret/", top);
	n = (int)strlen(path);
	memset(path + n, 'n', 256);
	path[n + 256] = 0;
	READS(path, "ENOENT");
	n = snprintf(path, sizeof(path), "%s/a", top);
	while (n < PATH_MAX - 8)
		n += snprintf(path + n, sizeof(path) - (size_t)n, "/./");
	READS(path, "directory");
	struct stat st, want;
	assert_int_equal(stat_at(AT_FDCWD, "", 0, &st), -ENOENT);
	int fd = open(expand(0, "~/secret/f"), O_RDONLY);
	assert_int_equal(fstat(fd, &want), 0);
	assert_int_equal(stat_at(fd, "", AT_EMPTY_PATH, &st), 0);
	assert_int_equal(st.st_ino, want.st_ino);
	close(fd);
	assert_int_equal(stat_at(AT_FDCWD, "", AT_EMPTY_PATH, &st), -ENOENT);
}

static void test_dirfd(void **state) /* 19 */
{
	(void)state;
	int hidden = open(expand(0, "~/secret"), O_RDONLY), sub = open_at(AT_FDCWD, "~/a/sub", O_RDONLY, 0);
	int regular = open_at(AT_FDCWD, "~/a/ok", O_RDONLY, 0), path = open_at(AT_FDCWD, "~/a/sub", O_PATH, 0);
	assert_true(hidden >= 0 && sub >= 0 && regular >= 0 && path >= 0);
	assert_string_equal(content(open_at(sub, "ok", O_RDONLY, 0)), "sub");
	assert_string_equal(content(open_at(path, "ok", O_RDONLY, 0)), "sub");
	assert_string_equal(content(open_at(sub, "../ok", O_RDONLY, 0)), "ok");
	assert_string_equal(content(open_at(sub, "../in", O_RDONLY, 0)), "sub");
	assert_string_equal(content(open_at(sub, "../../r/f", O_RDONLY, 0)), "r");
	assert_string_equal(content(open_at(sub, "../../secret/f", O_RDONLY, 0)), "ENOENT");
	assert_string_equal(content(open_at(sub, "../../../../../etc/passwd", O_RDONLY, 0)), "ENOENT");
	assert_string_equal(content(open_at(hidden, "f", O_RDONLY, 0)), "ENOENT");
	/* It stands there, so ".." tells nothing: what is visible is reached from where it is not. */
	assert_string_equal(content(open_at(hidden, "../a/ok", O_RDONLY, 0)), "ok");
	assert_string_equal(content(open_at(hidden, "../secret/f", O_RDONLY, 0)), "ENOENT");
	assert_string_equal(content(open_at(hidden, "f/../../a/ok", O_RDONLY, 0)), "ENOENT");
	assert_string_equal(content(open_at(hidden, "none/../../a/ok", O_RDONLY, 0)), "ENOENT");
	assert_string_equal(content(open_at(regular, "x", O_RDONLY, 0)), "ENOTDIR");
	assert_string_equal(content(open_at(9999, "x", O_RDONLY, 0)), "EBADF");
	/* an absolute path takes no notice */
	assert_string_equal(content(open_at(9999, "~/a/ok", O_RDONLY, 0)), "ok");
	close(hidden);
	close(sub);
	close(regular);
	close(path);
}

static void test_working_directory(void **state) /* 21 */
{
	(void)state;
	char buf[PATH_MAX];
	assert_int_equal(getcwd_(buf, sizeof(buf)), 2); /* "/" is hidden, but where it was put it may know */
	assert_string_equal(buf, "/");
	assert_int_equal(chdir_("~/a/sub"), 0);
	READS("ok", "sub");
	READS("../ok", "ok");
	READS("deep/../../in", "sub");
	assert_int_equal(getcwd_(buf, sizeof(buf)), (int)strlen(expand(0, "~/a/sub")) + 1);
	assert_string_equal(buf, paths[0]);
	assert_int_equal(getcwd_(buf, 4), -ERANGE);
	assert_int_equal(chdir_("ok"), -ENOTDIR);
	assert_int_equal(chdir_("../../secret"), -ENOENT);
	assert_int_equal(mkdir_("gone", 0755), 0);
	assert_int_equal(chdir_("gone"), 0);
	assert_int_equal(unlink_("../gone", AT_REMOVEDIR), 0);
	READS("ok", "ENOENT");
	assert_int_equal(getcwd_(buf, sizeof(buf)), -ENOENT);
	/* renamed out of the tree by the host */
	assert_int_equal(mkdir_("~/a/moves", 0755), 0);
	file("~/a/moves/f", "moved");
	assert_int_equal(chdir_("~/a/moves"), 0);
	READS("f", "moved");
	if (!b.private_mounts) {
		assert_int_equal(rename(expand(0, "~/a/moves"), expand(1, "~/secret/moves")), 0);
		READS("f", "ENOENT");
	}
	assert_int_equal(chdir_("~/a"), 0);
}

static void test_anchor(void **state) /* 37 */
{
	(void)state;
	assert_int_equal(rename(expand(0, "~/r"), expand(1, "~/r_moved")), 0);
	link_to("~/r", "~/secret");
	READS("~/r/f", "r");
	READS("~/a/other", "r");
	assert_int_equal(unlink(expand(0, "~/r")), 0);
	READS("~/r/f", "r");
	assert_int_equal(rename(expand(0, "~/r_moved"), expand(1, "~/r")), 0);
}

static int descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_nothing_leaks(void **state)
{
	(void)state;
	int before = descriptors();
	for (int i = 0; i < 50; i++) {
		READS("~/a/sub/../out", "ENOENT");
		READS("~/a/dir/deep/ok", "deep");
		READS("~/a/environ", "ENOENT");
		READS("/dev/null", "");
		mkdir_("~/r/x", 0755);
		rename_("~/a/ok", "~/r/x", 0);
	}
	assert_int_equal(descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dotdot),
		cmocka_unit_test(test_symlinks),
		cmocka_unit_test(test_visibility),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_hard_link),
		cmocka_unit_test(test_slashes_and_names),
		cmocka_unit_test(test_dirfd),
		cmocka_unit_test(test_working_directory),
		cmocka_unit_test(test_anchor),
		cmocka_unit_test(test_nothing_leaks),
	};
	return tree_run(tests, sizeof(tests) / sizeof(tests[0]));
}
